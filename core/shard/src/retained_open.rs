//! Retained publishes that may still be refused: under the policy `refuse` a publish is known to be refused
//! only when all parts have answered, and by then it has stood in its owner's lane and may have been read. Until
//! then its topic keeps what was there before. It never decides who is refused.
//!
//! Bounded by the publishes that wait for their acknowledgement, each for at most `publish_hold`.

use std::collections::HashMap;
use std::rc::Rc;

use ringmq_wire::message::Message;

/// What a topic has from one publish on.
#[derive(Clone, Debug)]
pub struct TopicVersion {
    /// Stamp of that publish, 0 when there was none.
    pub stamp: u64,
    /// The message; `None` when the topic is empty.
    pub message: Option<Rc<Message>>,
    /// Whether it may still be refused.
    pub open: bool,
}

/// What a change of an open topic came to.
#[derive(Debug, Default)]
pub struct Settled {
    /// What can no longer be taken back, where that is new.
    pub base: Option<TopicVersion>,
    /// What the topic has now; `None` when it had no open publish.
    pub latest: Option<TopicVersion>,
}

/// Topics with open publishes: what cannot be taken back any more, then what came since, by stamp.
#[derive(Debug, Default)]
pub struct OpenTopics(HashMap<Box<str>, Vec<TopicVersion>>);

impl OpenTopics {
    /// Whether the topic has an open publish.
    pub fn contains(&self, topic: &str) -> bool {
        self.0.contains_key(topic)
    }

    /// One more publish of a topic that has open ones or is open itself; `base` is what the topic has, where it
    /// has no open ones yet.
    pub fn add(&mut self, topic: &str, base: TopicVersion, version: TopicVersion) -> Settled {
        let versions = self.0.entry(topic.into()).or_insert_with(|| vec![base]);
        let at = versions.partition_point(|other| other.stamp < version.stamp);
        // Older than what cannot be taken back: it changes nothing.
        if at > 0 {
            versions.insert(at, version);
        }
        self.settled(topic)
    }

    /// An open publish stays, or is taken back.
    pub fn settle(&mut self, topic: &str, stamp: u64, kept: bool) -> Settled {
        let Some(versions) = self.0.get_mut(topic) else { return Settled::default() };
        if kept {
            versions
                .iter_mut()
                .filter(|version| version.stamp == stamp)
                .for_each(|version| version.open = false);
        } else {
            versions.retain(|version| version.stamp != stamp || !version.open);
        }
        self.settled(topic)
    }

    /// Forgets what lies before the latest version that cannot be taken back.
    fn settled(&mut self, topic: &str) -> Settled {
        let Some(versions) = self.0.get_mut(topic) else { return Settled::default() };
        let base = versions.iter().rposition(|version| !version.open).unwrap_or(0);
        versions.drain(..base);
        let settled = Settled {
            base: versions.first().filter(|_| base > 0).cloned(),
            latest: versions.last().cloned(),
        };
        if versions.len() == 1 {
            self.0.remove(topic);
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(stamp: u64, open: bool) -> TopicVersion {
        TopicVersion { stamp, message: None, open }
    }

    /// Runs steps such as `+12` (an open publish with stamp 12), `=12` (it stays), `-12` (it is refused) and
    /// `.12` (a publish that cannot be refused) on a topic that has version 1; the latest after each.
    fn check(steps: &str, expected: &[u64]) {
        let mut open = OpenTopics::default();
        let mut shown = version(1, false);
        for (step, expected) in steps.split_whitespace().zip(expected) {
            let stamp = step[1..].parse().expect("a number");
            let settled = match &step[..1] {
                "=" => open.settle("t", stamp, true),
                "-" => open.settle("t", stamp, false),
                sign => open.add("t", shown.clone(), version(stamp, sign == "+")),
            };
            shown = settled.latest.unwrap_or(shown);
            assert_eq!(shown.stamp, *expected, "{steps}: after {step}");
        }
        assert!(!open.contains("t"), "{steps}: nothing is left open");
    }

    #[test]
    fn what_is_refused_leaves_no_trace() {
        check("+2 =2", &[2, 2]);
        check("+2 -2", &[2, 1]);
        check("+2 +3 -2 -3", &[2, 3, 3, 1]);
        check("+2 +3 -3 -2", &[2, 3, 2, 1]);
        check("+2 +3 -3 =2", &[2, 3, 2, 2]);
        check("+2 +3 =3 -2", &[2, 3, 3, 3]);
        check("+2 +3 -2 =3", &[2, 3, 3, 3]);
        check("+3 +2 -3 =2", &[3, 3, 2, 2]);
        check("+2 .3 -2", &[2, 3, 3]);
        check("+3 .2 -3", &[3, 3, 2]);
        check("+4 .3 +2 -4", &[4, 4, 4, 3]);
    }
}
