//! How long to wait before connecting again.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Waiting times between attempts: they double from the first to the longest, each shortened by a random
/// part of up to a quarter, so that many clients of a restarted server do not come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Wait before the second attempt.
    pub min: Duration,
    /// Longest wait.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(500), max: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// The wait after `failures` failed attempts in a row, with `dice` for the random part.
    pub(crate) fn delay(self, failures: u32, dice: u64) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = self.min.saturating_mul(factor).min(self.max.max(self.min));
        let quarter = u64::try_from(whole.as_nanos() / 4).unwrap_or(u64::MAX);
        whole - Duration::from_nanos(if quarter == 0 { 0 } else { dice % quarter })
    }
}

/// A number that differs from call to call; good enough to spread clients, not for secrets.
pub(crate) fn dice() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest_and_stays_in_its_quarter() {
        let backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(1) };
        let rows = [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (40, 1000)];
        for (failures, whole_ms) in rows {
            assert_eq!(backoff.delay(failures, 0), Duration::from_millis(whole_ms));
            for _ in 0..20 {
                let delay = backoff.delay(failures, dice());
                assert!(delay <= Duration::from_millis(whole_ms));
                assert!(delay >= Duration::from_millis(whole_ms * 3 / 4));
            }
        }
        let none = Backoff { min: Duration::ZERO, max: Duration::ZERO };
        assert_eq!(none.delay(7, 12345), Duration::ZERO);
    }
}
