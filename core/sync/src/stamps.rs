//! A count that orders publishes of all cores. It never goes back and never gives a number twice.

use crate::atomics::{AtomicU64, Ordering};

/// One total order over everything that takes a stamp, whichever core takes it.
#[derive(Debug, Default)]
pub struct Stamps(AtomicU64);

impl Stamps {
    /// The first stamp given will be `last + 1`; pass the highest that is already in use, 0 for none.
    pub fn new(last: u64) -> Self {
        Self(AtomicU64::new(last))
    }

    /// The next stamp. Relaxed suffices: all changes of one atomic are in one order, and what happened before
    /// a call is before it in that order too.
    #[inline]
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn stamps_rise_from_where_they_were_left() {
        let stamps = Stamps::new(41);
        assert_eq!((stamps.next(), stamps.next()), (42, 43));
        assert_eq!(Stamps::default().next(), 1);
    }
}
