//! How a sleeping shard is woken: a counter of the kernel, which every driver can wait for as for a socket. It is
//! rung only for a shard that announced its sleep, once per sleep. Nobody reads it: the drivers are told of each
//! ring, and it counts further than anybody rings.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ringmq_sync::SleepFlag;
use rustix::event::{EventfdFlags, eventfd};

/// One shard's bell.
pub(crate) struct Doorbell {
    /// Raised by the shard before it sleeps.
    pub(crate) flag: SleepFlag,
    /// Nothing once the shard is gone: whoever outlives it holds no descriptor.
    button: Mutex<Option<OwnedFd>>,
}

impl Doorbell {
    /// A bell, and its ear: what an edge-triggered wait is told of each time the bell is rung.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let button = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let ear = button.try_clone()?;
        Ok((Self { flag: SleepFlag::new(), button: Mutex::new(Some(button)) }, ear))
    }

    /// Wakes the shard if it sleeps. To be called after what it shall find is in place.
    pub(crate) fn ring_if_asleep(&self) {
        if self.flag.should_wake()
            && let Some(button) = &*self.button()
        {
            // It fails only after 2^64 rings.
            let _ = rustix::io::write(button, &1_u64.to_ne_bytes());
        }
    }

    /// Nobody listens any more.
    pub(crate) fn take_down(&self) {
        self.button().take();
    }

    fn button(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.button.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
