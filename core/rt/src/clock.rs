//! The clocks: the only place that reads them. All shards of a broker share one zero of the steady clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringmq_proto::time::{Mono, Now, Wall};

/// Both clocks of one broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    zero: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { zero: Instant::now() }
    }

    /// One reading of both, for one turn.
    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: Mono(milliseconds(self.zero.elapsed())), wall: Wall(milliseconds(wall)) }
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
