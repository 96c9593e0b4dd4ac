//! The driver on io_uring: a ring of the shard's own, inside a glommio executor whose thread sleeps on it. Every
//! socket has one multishot poll that tells each time something arrives, so a turn costs one system call
//! beside those that read and send, however many sockets are ready. glommio's own sockets take ten a wake-up.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};
use ringmq_shard::ConnId;

use crate::again::Again;
use crate::limits::{CONNECTIONS_PER_TURN_MAX, RING_COMPLETIONS, RING_SUBMISSIONS};
use crate::send_ring::SendRing;
use crate::sockets::{Event, Next, Sockets, Token, Word};
use crate::worker::Worker;

/// The sockets of a shard on an executor.
pub(crate) struct UringSockets {
    ring: IoUring,
    /// Whether the ring shows in its memory that there is something to take in.
    tells_what_is_due: bool,
    /// Has nothing told of what succeeds, where the kernel can do that (5.17).
    silently: squeue::Flags,
    ear: OwnedFd,
    again: Again,
    sends: SendRing,
}

/// A connection's socket.
pub(crate) struct UringSocket {
    fd: OwnedFd,
    /// Whether a poll for room to write is under way.
    waits_to_write: bool,
}

impl AsFd for UringSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Looks until a ring that is given up has nothing under way; each takes some twenty events.
const SETTLES_MAX: usize = 1 << 14;
const READ: u32 = (libc::POLLIN | libc::POLLRDHUP) as u32;
const WRITE: u32 = libc::POLLOUT as u32;
const HUNG_UP: u32 = (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) as u32;
const BROKEN: u32 = (libc::POLLHUP | libc::POLLERR) as u32;

impl UringSockets {
    /// To be called on the thread that will use it. `ear` wakes the shard when it becomes readable.
    pub(crate) fn new(ear: OwnedFd) -> io::Result<Self> {
        let ring = ring()?;
        let tells_what_is_due = ring.params().is_setup_single_issuer();
        let skips = ring.params().is_feature_skip_cqe_on_success();
        let silently = if skips { squeue::Flags::SKIP_SUCCESS } else { squeue::Flags::empty() };
        let (again, sends) = (Again::default(), SendRing::new()?);
        let mut sockets = Self { ring, tells_what_is_due, silently, ear, again, sends };
        let ear = sockets.ear.as_raw_fd();
        sockets.watch(ear, Token::Doorbell)?;
        Ok(sockets)
    }

    /// Has the kernel tell each time something arrives.
    fn watch(&mut self, fd: i32, token: Token) -> io::Result<()> {
        let poll = opcode::PollAdd::new(Fd(fd), READ).multi(true).build();
        self.push(&poll.user_data(Word::readable(token).0))
    }

    /// Has the kernel forget what it was to tell. It holds the socket open until it has, which is when it is
    /// asked the next time what has happened. Removing a poll would fail where it has just been triggered; cancelling
    /// it does not.
    fn forget(&mut self, word: Word) -> io::Result<()> {
        let cancel = opcode::AsyncCancel::new(word.0).build().user_data(Word::NOTHING.0);
        self.push(&cancel.flags(self.silently))
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: the entries made here name descriptors and numbers, no memory.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit()?;
        }
        Ok(())
    }

    /// Whether the kernel has something for us that it has not yet written down.
    fn is_due(&mut self) -> bool {
        let queue = self.ring.submission();
        !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
    }

    /// Hands in what is to be handed in and takes in what has happened, without waiting. The kernel writes down
    /// some twenty events a call, and says in [`Self::is_due`] that there are more.
    fn look(&mut self) {
        let pending = self.ring.submission().len() as u32;
        // SAFETY: no argument is passed along. An interruption or a full queue of completions is like nothing:
        // the caller comes again.
        let _ = unsafe { self.ring.submitter().enter::<()>(pending, 0, EnterFlags::GETEVENTS.bits(), None) };
    }

    /// Until the kernel holds nothing any more that it was told to forget.
    fn settle(&mut self) {
        for _ in 0..SETTLES_MAX {
            self.look();
            while self.ring.completion().next().is_some() {}
            if !self.is_due() {
                return;
            }
        }
    }

    fn sleep(&mut self, at_most: Duration) {
        let timeout = Timespec::from(at_most);
        let _ = self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout));
    }
}

/// A ring as lean as this kernel has it: completions are made when this thread asks for them and not by
/// interrupting it (6.1), else when it enters the kernel anyway (5.19), else at once.
fn ring() -> io::Result<IoUring> {
    let mut refused = None;
    for level in 0..3 {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(RING_COMPLETIONS).setup_clamp().dontfork();
        match level {
            0 => builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag(),
            1 => builder.setup_coop_taskrun(),
            _ => &mut builder,
        };
        match builder.build(RING_SUBMISSIONS) {
            Ok(ring) => return Ok(ring),
            Err(error) => refused.get_or_insert(error),
        };
    }
    Err(refused.expect("a ring was tried"))
}

/// What a completion says, if it is about a socket.
fn event(entry: &cqueue::Entry) -> Option<Event> {
    let word = Word(entry.user_data());
    let token = word.token()?;
    let result = entry.result();
    if result == -libc::ECANCELED {
        return None;
    }
    let said = result.max(0).cast_unsigned();
    let lost = result < 0;
    let to_write = word.is_to_write();
    Some(Event {
        token,
        readable: !to_write && (said & (READ | BROKEN) != 0),
        writable: to_write,
        broken: lost || said & BROKEN != 0,
        hung_up: said & HUNG_UP != 0,
        unwatched: !to_write && !lost && !cqueue::more(entry.flags()),
    })
}

impl Sockets for UringSockets {
    type Socket = UringSocket;

    fn attach(&mut self, fd: OwnedFd, id: ConnId) -> io::Result<UringSocket> {
        self.watch(fd.as_raw_fd(), Token::Connection(id))?;
        Ok(UringSocket { fd, waits_to_write: false })
    }

    fn detach(&mut self, socket: UringSocket, id: ConnId) -> OwnedFd {
        // A queue that takes nothing more is that of a ring that is gone, and its polls are gone with it.
        let _ = self.forget(Word::readable(Token::Connection(id)));
        if socket.waits_to_write {
            let _ = self.forget(Word::writable(id));
        }
        socket.fd
    }

    fn close(&mut self, socket: UringSocket, id: ConnId) {
        drop(self.detach(socket, id));
    }

    fn watch_again(&mut self, socket: &UringSocket, id: ConnId) -> io::Result<()> {
        self.watch(socket.fd.as_raw_fd(), Token::Connection(id))
    }

    fn want(&mut self, socket: &mut UringSocket, id: ConnId, read: bool, write: bool) -> io::Result<()> {
        if read {
            // What arrived meanwhile has been told and not heard.
            self.again(Token::Connection(id));
        }
        if std::mem::replace(&mut socket.waits_to_write, write) == write {
            return Ok(());
        }
        if write {
            let poll = opcode::PollAdd::new(Fd(socket.fd.as_raw_fd()), WRITE).build();
            return self.push(&poll.user_data(Word::writable(id).0));
        }
        self.forget(Word::writable(id))
    }

    fn listen(&mut self, fd: BorrowedFd<'_>, index: u16, on: bool) -> io::Result<()> {
        let token = Token::Listener(index);
        if on {
            return self.watch(fd.as_raw_fd(), token);
        }
        self.forget(Word::readable(token))?;
        // At once, so that the port is free when the listener is closed.
        self.look();
        Ok(())
    }

    fn again(&mut self, token: Token) {
        self.again.push(token);
    }

    fn is_filled(&mut self) -> bool {
        !self.again.is_empty() || !self.ring.completion().is_empty()
    }

    fn is_told(&mut self) -> Option<bool> {
        let queue = self.ring.submission();
        self.tells_what_is_due.then(|| queue.taskrun() || queue.cq_overflow())
    }

    fn gather(&mut self, events: &mut Vec<Event>) {
        if self.ring.completion().is_empty() && (self.is_due() || !self.tells_what_is_due) {
            self.look();
        }
        self.again.take(events);
        while events.len() < CONNECTIONS_PER_TURN_MAX {
            let Some(entry) = self.ring.completion().next() else {
                if !self.is_due() {
                    break;
                }
                self.look();
                if self.ring.completion().is_empty() {
                    break;
                }
                continue;
            };
            let Some(event) = event(&entry) else { continue };
            if event.token != Token::Doorbell {
                events.push(event);
                continue;
            }
            if event.unwatched {
                let ear = self.ear.as_raw_fd();
                drop(self.watch(ear, Token::Doorbell));
            }
        }
    }

    fn send_ring(&mut self) -> Option<&mut SendRing> {
        Some(&mut self.sends)
    }
}

impl Drop for UringSockets {
    /// Else the kernel would close the sockets at a time of its own, and a port would be taken until then.
    fn drop(&mut self) {
        self.settle();
    }
}

/// Runs a shard on this executor until it leaves. Nothing else runs on it, so its thread may sleep here.
pub(crate) fn run(worker: &mut Worker<UringSockets>) {
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::doorbell::Doorbell;

    #[test]
    fn a_socket_is_closed_although_something_arrived_just_before() {
        let (_bell, ear) = Doorbell::new().unwrap();
        let Ok(mut sockets) = UringSockets::new(ear) else {
            return assert!(crate::probe::choose(crate::DriverChoice::Uring).is_err());
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let id = ConnId { slot: 3, generation: 1 };
        let socket = sockets.attach(listener.accept().unwrap().0.into(), id).unwrap();
        sockets.look();
        // The kernel has an event of the socket to tell while it is asked to forget the socket.
        client.write_all(b"bye").unwrap();
        drop(sockets.detach(socket, id));
        sockets.look();
        let read = client.read(&mut [0]).map_err(|error| error.kind());
        assert!(matches!(read, Ok(0) | Err(io::ErrorKind::ConnectionReset)), "still open: {read:?}");
    }
}
