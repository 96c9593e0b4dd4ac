//! When each publish of an open loop is due: evenly, the publishers taking turns. It is a schedule that nothing
//! changes, so a publish that is made late is known to be late.

use std::time::{Duration, Instant};

/// The schedule of an open loop.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    start: Instant,
    interval: f64,
    publishers: u64,
    /// How many publishes were due so far, over all publishers.
    due: u64,
}

impl Pace {
    /// So many publishes per second over so many publishers, the first of them now.
    pub(crate) fn new(rate: f64, publishers: usize, start: Instant) -> Pace {
        Pace { start, interval: 1.0 / rate, publishers: publishers as u64, due: 0 }
    }

    /// When a publisher's message of this number is due.
    pub(crate) fn due_at(&self, publisher: usize, sequence: u64) -> Instant {
        self.moment(sequence * self.publishers + publisher as u64)
    }

    /// How many messages of a publisher were due so far.
    pub(crate) fn due_of(&self, publisher: usize) -> u64 {
        (self.due + self.publishers - 1 - publisher as u64) / self.publishers
    }

    /// How many messages of all publishers were due so far.
    pub(crate) fn due(&self) -> u64 {
        self.due
    }

    /// Gives the publisher of the next message that is due by `now`; nothing when there is none.
    pub(crate) fn next(&mut self, now: Instant) -> Option<usize> {
        if self.moment(self.due) > now {
            return None;
        }
        self.due += 1;
        Some(((self.due - 1) % self.publishers) as usize)
    }

    /// How long until the next message is due.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.moment(self.due).saturating_duration_since(now)
    }

    fn moment(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 * self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_take_turns_and_late_calls_change_no_moment() {
        let start = Instant::now();
        let mut pace = Pace::new(1000.0, 3, start);
        assert_eq!(pace.next(start), Some(0));
        assert_eq!(pace.next(start), None);
        assert_eq!(pace.wait(start), Duration::from_millis(1));
        let late = start + Duration::from_micros(4500);
        let turns: Vec<_> = std::iter::from_fn(|| pace.next(late)).collect();
        assert_eq!(turns, [1, 2, 0, 1]);
        assert_eq!([0, 1, 2].map(|publisher| pace.due_of(publisher)), [2, 2, 1]);
        assert_eq!(pace.due_at(1, 1), start + Duration::from_millis(4));
        assert_eq!(pace.wait(late + Duration::from_secs(1)), Duration::ZERO);
    }
}
