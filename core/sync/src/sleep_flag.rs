//! The handshake between a core that goes to sleep and those that send it something. It wakes nobody itself
//! and knows no descriptor: whoever is told to wake rings the bell by his own means.

use crate::atomics::{AtomicBool, Ordering, fence};

/// Says whether a core sleeps, so that only sleeping cores are rung, and each sleep by one producer.
///
/// The sleeper: [`announce`](Self::announce), look into every ring once more, sleep only if all are empty, and
/// [`awake`](Self::awake) in every case. The producer: publish the ring's tail, then
/// [`should_wake`](Self::should_wake). The two SeqCst fences make it impossible that the sleeper misses the
/// tail and the producer misses the flag.
#[derive(Debug, Default)]
pub struct SleepFlag(AtomicBool);

impl SleepFlag {
    /// A flag of a core that is awake.
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The owning core is about to sleep. Every ring must be looked into after this and before the sleep.
    pub fn announce(&self) {
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The owning core is awake again, or found work after all. A bell rung meanwhile costs one empty turn.
    pub fn awake(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether the caller has to ring. True for one caller per sleep. To be called after the tails of all
    /// rings written this turn are published.
    #[inline]
    pub fn should_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::AcqRel)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_producer_per_sleep_rings() {
        let flag = SleepFlag::new();
        assert!(!flag.should_wake());
        flag.announce();
        assert!(flag.should_wake());
        assert!(!flag.should_wake());
        flag.announce();
        flag.awake();
        assert!(!flag.should_wake());
    }
}
