//! The clocks: the only place that reads them. All shards of a broker share one zero of the steady clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringmq_proto::time::{Mono, Now, Wall};

/// Both clocks of one broker.
#[derive(Debug)]
pub(crate) struct Clock {
    zero: Instant,
    /// Milliseconds by which the program has set the wall clock ahead.
    ahead: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { zero: Instant::now(), ahead: AtomicU64::new(0) }
    }

    /// One reading of both, for one turn.
    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = milliseconds(wall).saturating_add(self.ahead.load(Ordering::Relaxed));
        Now { mono: Mono(milliseconds(self.zero.elapsed())), wall: Wall(wall) }
    }

    /// Sets the wall clock ahead, of this broker alone, once more.
    pub(crate) fn advance(&self, by: Duration) {
        let _ = self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| {
            Some(ahead.saturating_add(milliseconds(by)))
        });
    }

    /// How long since the zero of the steady clock.
    #[inline]
    pub(crate) fn elapsed(&self) -> Duration {
        self.zero.elapsed()
    }

    /// From now until the moment: nothing once it has come.
    pub(crate) fn until(&self, moment: Mono) -> Duration {
        Duration::from_millis(moment.0).saturating_sub(self.zero.elapsed())
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
