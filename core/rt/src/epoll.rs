//! The driver that runs everywhere: epoll, level-triggered, on a plain thread. Correct rather than fast.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use ringmq_shard::ConnId;
use rustix::event::{Timespec, epoll};

use crate::limits::CONNECTIONS_PER_TURN_MAX;
use crate::sockets::{Event, Next, Read, Sockets, Token, receive};
use crate::worker::Worker;

/// An epoll set.
pub(crate) struct Poller {
    set: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { set: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: Token, read: bool, write: bool) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.to_u64());
        Ok(epoll::add(&self.set, fd, data, flags(read, write))?)
    }

    pub(crate) fn modify(&self, fd: BorrowedFd<'_>, token: Token, read: bool, write: bool) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token.to_u64());
        Ok(epoll::modify(&self.set, fd, data, flags(read, write))?)
    }

    /// Takes a descriptor out; one that is not in is no error.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        let _ = epoll::delete(&self.set, fd);
    }

    /// Adds what is ready to `events`, after waiting at most so long for the first.
    pub(crate) fn wait(&self, events: &mut Vec<Event>, wait: Duration) {
        let mut raw = [MaybeUninit::<epoll::Event>::uninit(); CONNECTIONS_PER_TURN_MAX];
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        // Interrupted is like nothing: the caller comes again.
        let Ok((ready, _)) = epoll::wait(&self.set, &mut raw, Some(&timeout)) else { return };
        events.extend(ready.iter().map(|event| {
            let (flags, data) = (event.flags, event.data);
            Event {
                token: Token::from_u64(data.u64()),
                readable: flags.contains(epoll::EventFlags::IN),
                writable: flags.contains(epoll::EventFlags::OUT),
                broken: flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR),
            }
        }));
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}

fn flags(read: bool, write: bool) -> epoll::EventFlags {
    let mut flags = epoll::EventFlags::empty();
    flags.set(epoll::EventFlags::IN, read);
    flags.set(epoll::EventFlags::OUT, write);
    flags
}

/// The sockets of a shard on a plain thread.
pub(crate) struct EpollSockets {
    poller: Poller,
    ear: OwnedFd,
    /// What the last sleep ended with.
    woken_by: Vec<Event>,
}

impl EpollSockets {
    /// `ear` wakes the shard when it becomes readable.
    pub(crate) fn new(ear: OwnedFd) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(ear.as_fd(), Token::Doorbell, true, false)?;
        Ok(Self { poller, ear, woken_by: Vec::new() })
    }

    fn sleep(&mut self, at_most: Duration) {
        self.poller.wait(&mut self.woken_by, at_most);
    }
}

/// A connection's socket.
pub(crate) struct EpollSocket {
    fd: OwnedFd,
    /// Whether it stands in the set. One that waits for nothing must not: a connection that failed would be
    /// reported for ever.
    watched: bool,
}

impl AsFd for EpollSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Sockets for EpollSockets {
    type Socket = EpollSocket;

    fn attach(&mut self, fd: OwnedFd, id: ConnId) -> io::Result<EpollSocket> {
        self.poller.add(fd.as_fd(), Token::Connection(id), true, false)?;
        Ok(EpollSocket { fd, watched: true })
    }

    fn detach(&mut self, socket: EpollSocket) -> io::Result<OwnedFd> {
        self.poller.remove(socket.as_fd());
        Ok(socket.fd)
    }

    fn release(&mut self, socket: EpollSocket) {
        self.poller.remove(socket.as_fd());
    }

    fn read(&mut self, socket: &mut EpollSocket, buffer: &mut [u8]) -> Read {
        receive(socket.as_fd(), buffer)
    }

    fn want(&mut self, socket: &mut EpollSocket, id: ConnId, read: bool, write: bool) -> io::Result<()> {
        let token = Token::Connection(id);
        let was_watched = std::mem::replace(&mut socket.watched, read || write);
        match (was_watched, read || write) {
            (true, true) => self.poller.modify(socket.fd.as_fd(), token, read, write),
            (false, true) => self.poller.add(socket.fd.as_fd(), token, read, write),
            (_, false) => {
                self.poller.remove(socket.fd.as_fd());
                Ok(())
            }
        }
    }

    fn listen(&mut self, fd: BorrowedFd<'_>, index: u16, on: bool) -> io::Result<()> {
        if on {
            return self.poller.add(fd, Token::Listener(index), true, false);
        }
        self.poller.remove(fd);
        Ok(())
    }

    fn gather(&mut self, events: &mut Vec<Event>) -> bool {
        if self.woken_by.is_empty() {
            self.poller.wait(events, Duration::ZERO);
        } else {
            events.append(&mut self.woken_by);
        }
        if events.iter().any(|event| event.token == Token::Doorbell) {
            receive(self.ear.as_fd(), &mut [0; 64]);
        }
        // What did not fit is reported again: the set is level-triggered.
        false
    }
}

/// Runs a shard on this thread until it leaves.
pub(crate) fn run(worker: &mut Worker<EpollSockets>) {
    loop {
        match worker.turn() {
            Next::Again => (),
            Next::Sleep(at_most) => {
                worker.sockets().sleep(at_most);
                worker.woke_up();
            }
            Next::Leave => return,
        }
    }
}
