//! How a sleeping shard is woken: an eventfd for a plain thread, the ready list of its executor otherwise.
//! It is rung only for a shard that announced its sleep, and once per sleep.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ringmq_sync::SleepFlag;
use rustix::event::{EventfdFlags, eventfd};

use crate::uring::ReadyList;

/// One shard's bell.
pub(crate) struct Doorbell {
    /// Raised by the shard before it sleeps.
    pub(crate) flag: SleepFlag,
    bell: Bell,
}

enum Bell {
    Eventfd(OwnedFd),
    Executor(Arc<ReadyList>),
}

impl Doorbell {
    /// A bell for a thread that sleeps in epoll.
    pub(crate) fn for_thread() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { flag: SleepFlag::new(), bell: Bell::Eventfd(fd) })
    }

    /// A bell for a shard on an executor.
    pub(crate) fn for_executor() -> Self {
        Self { flag: SleepFlag::new(), bell: Bell::Executor(Arc::default()) }
    }

    /// Wakes the shard if it sleeps. To be called after what it shall find is in place.
    pub(crate) fn ring_if_asleep(&self) {
        if !self.flag.should_wake() {
            return;
        }
        match &self.bell {
            // A full counter means that the bell has been rung already.
            Bell::Eventfd(fd) => drop(rustix::io::write(fd, &1u64.to_ne_bytes())),
            Bell::Executor(list) => list.ring(),
        }
    }

    /// The descriptor that becomes readable when the bell is rung.
    pub(crate) fn eventfd(&self) -> Option<BorrowedFd<'_>> {
        match &self.bell {
            Bell::Eventfd(fd) => Some(fd.as_fd()),
            Bell::Executor(_) => None,
        }
    }

    /// The list that gets an entry when the bell is rung.
    pub(crate) fn ready_list(&self) -> Option<&Arc<ReadyList>> {
        match &self.bell {
            Bell::Eventfd(_) => None,
            Bell::Executor(list) => Some(list),
        }
    }
}
