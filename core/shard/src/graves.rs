//! Stamps of retained topics that were cleared, so that an older publish still on its way does not bring one back.
//! Topics stand here by their keyed hash and never by name: a client that clears topics with names of 64 KiB would
//! have the broker keep gigabytes of them. Were two topics to share a hash, a publish of one that is older than the
//! other's clearing would not be kept; without the key nobody can find two.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

/// Cleared topics remembered. Stamps are taken when a publish enters its lane, so what is still on its way is at
/// most what the lanes hold.
const GRAVES_MAX: usize = 65_536;

/// The cleared topics of one shard that are still remembered.
pub struct Graves {
    key: [u8; 16],
    stamps: HashMap<u64, u64>,
    /// Every burial, oldest first; one that a later burial of its topic has replaced means nothing any more.
    order: VecDeque<(u64, u64)>,
}

impl Graves {
    /// None yet.
    pub fn new(key: [u8; 16]) -> Self {
        Self { key, stamps: HashMap::new(), order: VecDeque::new() }
    }

    /// When the topic was cleared, 0 when that is not known.
    pub fn stamp(&self, topic: &str) -> u64 {
        if self.stamps.is_empty() {
            return 0;
        }
        self.stamps.get(&self.hash(topic)).copied().unwrap_or(0)
    }

    /// The topic was cleared.
    pub fn bury(&mut self, topic: &str, stamp: u64) {
        let hash = self.hash(topic);
        self.stamps.insert(hash, stamp);
        self.order.push_back((hash, stamp));
        while self.order.len() > GRAVES_MAX {
            if let Some((hash, stamp)) = self.order.pop_front()
                && self.stamps.get(&hash) == Some(&stamp)
            {
                self.stamps.remove(&hash);
            }
        }
    }

    /// The topic has a message again, or a newer stamp of its own.
    pub fn remove(&mut self, topic: &str) {
        if !self.stamps.is_empty() {
            let hash = self.hash(topic);
            self.stamps.remove(&hash);
        }
    }

    fn hash(&self, topic: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(topic.as_bytes());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered_and_the_rest_is_forgotten() {
        let mut graves = Graves::new(*b"some test's key!");
        graves.bury("again", 1);
        let topic = |number: usize| format!("a/{number}");
        for number in 0..2 * GRAVES_MAX {
            if number == GRAVES_MAX + 10 {
                graves.bury("again", 7);
            }
            graves.bury(&topic(number), 100 + number as u64);
            assert!(graves.order.len() <= GRAVES_MAX && graves.stamps.len() <= GRAVES_MAX);
        }
        assert_eq!(graves.stamp(&topic(5)), 0);
        for number in [GRAVES_MAX + 20, 2 * GRAVES_MAX - 1] {
            assert_eq!(graves.stamp(&topic(number)), 100 + number as u64);
        }
        assert_eq!(graves.stamp("again"), 7, "the first burial was forgotten, the second was not");
        graves.remove("again");
        assert_eq!(graves.stamp("again"), 0);
    }
}
