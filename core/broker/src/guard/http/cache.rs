//! Answers that are good for some time, by a keyed digest of what was asked. Bounded; a full one takes in nothing before
//! something in it has run out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringmq_auth::verified::Digest;
use ringmq_proto::time::Wall;
use ringmq_shard::Identity;

use crate::guard::{lock, tokens};

/// Entries: a fleet that comes back at once, in some 2 MiB.
const ENTRIES_MAX: usize = 16_384;
/// How long a no is kept at most: somebody may be about to make it a yes.
const DENIAL_MAX: Duration = Duration::from_secs(5);

/// An answer that may come again.
#[derive(Clone, Debug)]
pub enum Remembered {
    /// The client comes in as this.
    Allow(Arc<Identity>),
    /// It does not.
    Deny,
    /// The files decide.
    Ignore,
}

/// The answers.
#[derive(Debug)]
pub struct Cache {
    keep: Duration,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_digest: HashMap<Digest, (Remembered, Instant)>,
    /// Before this nothing in a full cache has run out.
    full_until: Option<Instant>,
}

impl Cache {
    /// One that keeps answers so long.
    pub fn new(keep: Duration) -> Self {
        Self { keep, entries: Mutex::default() }
    }

    /// Whether it keeps any.
    pub const fn keeps(&self) -> bool {
        !self.keep.is_zero()
    }

    /// What was answered, as long as it holds.
    pub fn find(&self, digest: &Digest, now: Instant) -> Option<Remembered> {
        let entries = lock(&self.entries);
        let (answer, until) = entries.by_digest.get(digest)?;
        (now < *until).then(|| answer.clone())
    }

    /// Keeps an answer.
    pub fn insert(&self, digest: Digest, answer: Remembered, now: Instant) {
        let keep = match &answer {
            Remembered::Deny => self.keep.min(DENIAL_MAX),
            Remembered::Ignore => self.keep,
            Remembered::Allow(identity) => self.keep.min(left(identity)),
        };
        let mut entries = lock(&self.entries);
        if entries.makes_room(&digest, now) {
            entries.by_digest.insert(digest, (answer, now + keep));
        }
    }
}

fn left(identity: &Identity) -> Duration {
    let left = |until: Wall| Duration::from_secs((until.0 / 1000).saturating_sub(tokens::now_seconds()));
    identity.expires_at.map_or(Duration::MAX, left)
}

impl Entries {
    /// Whether there is room for one more. What has run out is looked for at most once until something has, so a full
    /// cache does not cost a look at all of it for each answer.
    fn makes_room(&mut self, digest: &Digest, now: Instant) -> bool {
        if self.by_digest.len() < ENTRIES_MAX || self.by_digest.contains_key(digest) {
            return true;
        }
        if self.full_until.is_some_and(|until| now < until) {
            return false;
        }
        self.by_digest.retain(|_, (_, until)| now < *until);
        self.full_until = self.by_digest.values().map(|(_, until)| *until).min();
        self.by_digest.len() < ENTRIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_auth::verified::Digester;

    fn digest(number: usize) -> Digest {
        Digester::new([1; 32]).digest_of(&[&number.to_le_bytes()])
    }

    fn allow() -> Remembered {
        Remembered::Allow(Arc::default())
    }

    #[test]
    fn a_yes_is_kept_longer_than_a_no() {
        let (cache, now) = (Cache::new(Duration::from_secs(60)), Instant::now());
        cache.insert(digest(1), allow(), now);
        cache.insert(digest(2), Remembered::Deny, now);
        for (number, seconds, is_known) in
            [(1, 59, true), (1, 60, false), (2, 4, true), (2, 5, false), (3, 0, false)]
        {
            let found = cache.find(&digest(number), now + Duration::from_secs(seconds));
            assert_eq!(found.is_some(), is_known, "{number} after {seconds} s");
        }
    }

    #[test]
    fn a_yes_is_kept_no_longer_than_it_holds() {
        let (cache, now) = (Cache::new(Duration::from_secs(60)), Instant::now());
        let expires_at = Some(Wall((tokens::now_seconds() + 10) * 1000));
        let identity = Identity { expires_at, ..Identity::default() };
        cache.insert(digest(1), Remembered::Allow(Arc::new(identity)), now);
        assert!(cache.find(&digest(1), now).is_some());
        assert!(cache.find(&digest(1), now + Duration::from_secs(10)).is_none());
    }

    #[test]
    fn a_full_one_takes_nothing_in_until_something_runs_out() {
        let (cache, now) = (Cache::new(Duration::from_secs(60)), Instant::now());
        cache.insert(digest(0), Remembered::Deny, now);
        (1..ENTRIES_MAX).for_each(|number| cache.insert(digest(number), allow(), now));
        cache.insert(digest(ENTRIES_MAX), allow(), now);
        assert!(cache.find(&digest(ENTRIES_MAX), now).is_none() && cache.find(&digest(1), now).is_some());
        let later = now + Duration::from_secs(5);
        cache.insert(digest(ENTRIES_MAX), allow(), later);
        assert!(cache.find(&digest(ENTRIES_MAX), later).is_some());
        assert_eq!(lock(&cache.entries).by_digest.len(), ENTRIES_MAX);
    }
}
