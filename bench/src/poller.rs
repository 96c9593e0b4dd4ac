//! An epoll set over connections known by number. Level-triggered, so that nothing is forgotten.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

/// Events taken in one wait: as many connections as one turn serves.
const EVENTS_MAX: usize = 1024;

/// One connection is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) index: usize,
    /// There is something to read, an end of the stream or an error included.
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// An epoll set.
pub(crate) struct Poller {
    set: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        Ok(Poller { set: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Watches a connection for reading.
    pub(crate) fn add(&self, fd: impl AsFd, index: usize) -> io::Result<()> {
        let data = epoll::EventData::new_u64(index as u64);
        Ok(epoll::add(&self.set, fd, data, epoll::EventFlags::IN)?)
    }

    /// Watches a connection for reading and, if asked, for room to write.
    pub(crate) fn watch(&self, fd: impl AsFd, index: usize, write: bool) -> io::Result<()> {
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, write);
        Ok(epoll::modify(&self.set, fd, epoll::EventData::new_u64(index as u64), flags)?)
    }

    /// Watches a connection no more.
    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.set, fd)?)
    }

    /// Fills `ready` with what is ready, after waiting at most so long for the first.
    pub(crate) fn wait(&self, ready: &mut Vec<Ready>, wait: Duration) -> io::Result<()> {
        ready.clear();
        let mut raw = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        let mut timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        // epoll counts in milliseconds and rounds up: what is due before would be published late. poll does not.
        if timeout.tv_nsec % 1_000_000 != 0 {
            match poll(&mut [PollFd::new(&self.set, PollFlags::IN)], Some(&timeout)) {
                Ok(_) => timeout = Timespec::default(),
                Err(rustix::io::Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        let events = match epoll::wait(&self.set, &mut raw, Some(&timeout)) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        ready.extend(events.iter().map(|event| {
            let (flags, data) = (event.flags, event.data);
            let ended = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
            Ready {
                index: data.u64() as usize,
                readable: flags.intersects(epoll::EventFlags::IN | ended),
                writable: flags.contains(epoll::EventFlags::OUT),
            }
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// The best of many, so that what else the machine does is left out.
    #[test]
    fn a_short_wait_is_no_millisecond() {
        let poller = Poller::new().unwrap();
        let wait = || {
            let began = Instant::now();
            poller.wait(&mut Vec::new(), Duration::from_micros(150)).unwrap();
            began.elapsed()
        };
        let shortest = (0..100).map(|_| wait()).min().unwrap();
        assert!(shortest >= Duration::from_micros(150), "{shortest:?}");
        assert!(shortest < Duration::from_micros(900), "{shortest:?}");
    }
}
