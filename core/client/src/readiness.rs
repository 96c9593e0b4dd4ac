//! Waiting until sockets can be read or written, by epoll. It holds no sockets and does no input or output.

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::Timespec;
use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// Events taken in one wait; more come with the next.
const EVENTS_MAX: usize = 256;

/// What a source is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// What a source is ready for. An error or hang-up counts as both, so that the next call meets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Error or hang-up: reported even for a source that nobody waits for.
    pub(crate) hung_up: bool,
}

/// A set of sources, each with a key.
pub(crate) struct Readiness {
    epoll: OwnedFd,
}

/// Where a wait puts its events; stays on the thread that waits.
pub(crate) type Events = Vec<epoll::Event>;

impl Readiness {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Room for the events of one wait.
    pub(crate) fn events() -> Events {
        Vec::with_capacity(EVENTS_MAX)
    }

    pub(crate) fn add(&self, source: &impl AsFd, key: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(key), interest.flags())?)
    }

    pub(crate) fn modify(&self, source: &impl AsFd, key: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(key), interest.flags())?)
    }

    /// Forgets a source; one that is not there is no error, since closing it forgets it too.
    pub(crate) fn remove(&self, source: &impl AsFd) {
        let _ = epoll::delete(&self.epoll, source);
    }

    /// Waits until something is ready or the time is up, and appends what is ready.
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        events: &mut Events,
        ready: &mut Vec<(u64, Ready)>,
    ) -> io::Result<()> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(events.iter().map(|event| (event.data.u64(), Ready::from_flags(event.flags))));
        Ok(())
    }
}

impl Interest {
    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags
    }
}

impl Ready {
    fn from_flags(flags: EventFlags) -> Self {
        let hung_up = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        Self {
            read: hung_up || flags.contains(EventFlags::IN),
            write: hung_up || flags.contains(EventFlags::OUT),
            hung_up,
        }
    }
}

/// A bell that other threads ring to end a wait.
pub(crate) struct Bell(OwnedFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub(crate) fn ring(&self) {
        // It fails only when the counter is full, and then the bell rings already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub(crate) fn silence(&self) {
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
