//! How a sleeping shard is woken: a byte in a pair of connected sockets, whose receiving end every driver can
//! wait for as for any other socket. It is rung only for a shard that announced its sleep, once per sleep.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use ringmq_sync::SleepFlag;
use rustix::net::SendFlags;

/// One shard's bell.
pub(crate) struct Doorbell {
    /// Raised by the shard before it sleeps.
    pub(crate) flag: SleepFlag,
    button: UnixStream,
    ear: UnixStream,
}

impl Doorbell {
    pub(crate) fn new() -> io::Result<Self> {
        let (button, ear) = UnixStream::pair()?;
        ear.set_nonblocking(true)?;
        Ok(Self { flag: SleepFlag::new(), button, ear })
    }

    /// Wakes the shard if it sleeps. To be called after what it shall find is in place.
    pub(crate) fn ring_if_asleep(&self) {
        if self.flag.should_wake() {
            // When there is no room the bell has been rung already.
            let _ = rustix::net::send(&self.button, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }

    /// What becomes readable when the bell is rung; reading it silences the bell.
    pub(crate) fn ear(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }
}
