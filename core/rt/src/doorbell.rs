//! How a sleeping shard is woken: a byte in a pair of connected sockets, whose receiving end every driver can
//! wait for as for any other socket. It is rung only for a shard that announced its sleep, once per sleep.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ringmq_sync::SleepFlag;
use rustix::net::SendFlags;

/// One shard's bell.
pub(crate) struct Doorbell {
    /// Raised by the shard before it sleeps.
    pub(crate) flag: SleepFlag,
    /// Nothing once the shard is gone: whoever outlives it holds no socket.
    button: Mutex<Option<UnixStream>>,
}

impl Doorbell {
    /// A bell, and its ear: what becomes readable when the bell is rung; reading it silences the bell.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let (button, ear) = UnixStream::pair()?;
        ear.set_nonblocking(true)?;
        Ok((Self { flag: SleepFlag::new(), button: Mutex::new(Some(button)) }, ear.into()))
    }

    /// Wakes the shard if it sleeps. To be called after what it shall find is in place.
    pub(crate) fn ring_if_asleep(&self) {
        if self.flag.should_wake()
            && let Some(button) = &*self.button()
        {
            // When there is no room the bell has been rung already.
            let _ = rustix::net::send(button, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }

    /// Nobody listens any more.
    pub(crate) fn take_down(&self) {
        self.button().take();
    }

    fn button(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.button.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
