//! The driver that runs everywhere: epoll, edge-triggered, on a plain thread.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use ringmq_shard::ConnId;
use rustix::event::{Timespec, epoll};

use crate::again::Again;
use crate::limits::CONNECTIONS_PER_TURN_MAX;
use crate::send_ring::SendRing;
use crate::sockets::{Event, Next, Sockets, Token, Word};
use crate::worker::Worker;

/// The sockets of a shard on a plain thread.
pub(crate) struct EpollSockets {
    set: OwnedFd,
    /// Stays open, for the set to hear it.
    _ear: OwnedFd,
    again: Again,
    /// What the last sleep ended with.
    woken_by: Vec<Event>,
}

impl EpollSockets {
    /// `ear` wakes the shard when it becomes readable.
    pub(crate) fn new(ear: OwnedFd) -> io::Result<Self> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let sockets = Self { set, _ear: ear, again: Again::default(), woken_by: Vec::new() };
        sockets.add(sockets._ear.as_fd(), Token::Doorbell)?;
        Ok(sockets)
    }

    fn add(&self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.set, fd, data(token), flags(false))?)
    }

    /// Takes a descriptor out; one that is not in is no error.
    fn remove(&self, fd: BorrowedFd<'_>) {
        let _ = epoll::delete(&self.set, fd);
    }

    /// Waits at most so long for the first event.
    fn wait(&mut self, wait: Duration) {
        let mut raw = [MaybeUninit::<epoll::Event>::uninit(); CONNECTIONS_PER_TURN_MAX];
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        // Interrupted is like nothing: the caller comes again.
        let Ok((ready, _)) = epoll::wait(&self.set, &mut raw, Some(&timeout)) else { return };
        self.woken_by.extend(ready.iter().filter_map(event));
    }
}

fn data(token: Token) -> epoll::EventData {
    epoll::EventData::new_u64(Word::readable(token).0)
}

fn flags(write: bool) -> epoll::EventFlags {
    let mut flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
    flags.set(epoll::EventFlags::OUT, write);
    flags
}

fn event(event: &epoll::Event) -> Option<Event> {
    let (said, data) = (event.flags, event.data);
    let broken = said.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
    let hung_up = broken || said.contains(epoll::EventFlags::RDHUP);
    Some(Event {
        token: Word(data.u64()).token()?,
        readable: hung_up || said.contains(epoll::EventFlags::IN),
        writable: said.contains(epoll::EventFlags::OUT),
        broken,
        hung_up,
        unwatched: false,
    })
}

/// A connection's socket.
pub(crate) struct EpollSocket {
    fd: OwnedFd,
    /// Whether room to write is waited for.
    waits_to_write: bool,
}

impl AsFd for EpollSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Sockets for EpollSockets {
    type Socket = EpollSocket;

    fn attach(&mut self, fd: OwnedFd, id: ConnId) -> io::Result<EpollSocket> {
        self.add(fd.as_fd(), Token::Connection(id))?;
        Ok(EpollSocket { fd, waits_to_write: false })
    }

    fn detach(&mut self, socket: EpollSocket, _: ConnId) -> OwnedFd {
        self.remove(socket.as_fd());
        socket.fd
    }

    fn close(&mut self, socket: EpollSocket, _: ConnId) {
        // The set forgets what is closed.
        drop(socket);
    }

    fn watch_again(&mut self, _: &EpollSocket, _: ConnId) -> io::Result<()> {
        Ok(())
    }

    fn want(&mut self, socket: &mut EpollSocket, id: ConnId, read: bool, write: bool) -> io::Result<()> {
        let token = Token::Connection(id);
        if read {
            // What arrived meanwhile has been told and not heard.
            self.again(token);
        }
        if std::mem::replace(&mut socket.waits_to_write, write) != write {
            epoll::modify(&self.set, &socket.fd, data(token), flags(write))?;
        }
        Ok(())
    }

    fn listen(&mut self, fd: BorrowedFd<'_>, index: u16, on: bool) -> io::Result<()> {
        if on {
            return self.add(fd, Token::Listener(index));
        }
        self.remove(fd);
        Ok(())
    }

    fn again(&mut self, token: Token) {
        self.again.push(token);
    }

    fn is_filled(&mut self) -> bool {
        !self.again.is_empty() || !self.woken_by.is_empty()
    }

    fn is_told(&mut self) -> Option<bool> {
        None
    }

    fn gather(&mut self, events: &mut Vec<Event>) {
        if self.woken_by.is_empty() {
            self.wait(Duration::ZERO);
        }
        self.again.take(events);
        events.append(&mut self.woken_by);
    }

    fn send_ring(&mut self) -> Option<&mut SendRing> {
        None
    }
}

/// Runs a shard on this thread until it leaves.
pub(crate) fn run(worker: &mut Worker<EpollSockets>) {
    loop {
        match worker.turn() {
            Next::Again => (),
            Next::Sleep(at_most) => {
                worker.sockets().wait(at_most);
                worker.woke_up();
            }
            Next::Leave => return,
        }
    }
}
