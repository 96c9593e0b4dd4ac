//! What a driver is to a shard's turn: it says which sockets are ready and reads them. Writing, accepting
//! and closing are the same system calls for all drivers and stand here too.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use ringmq_net::Sealed;
use ringmq_shard::ConnId;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use crate::limits::{CLOSE_READS_MAX, WRITE_SLICES_MAX};
use crate::send_ring::SendRing;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Connection(ConnId),
    Listener(u16),
    Doorbell,
}

/// Slots from here on are no connections: a shard cannot have two billion of them.
const SPECIAL_SLOT: u32 = 0x7FFF_0000;

/// A token as the kernel keeps it for us, with what was asked about the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    /// About nothing.
    pub(crate) const NOTHING: Self = Self(u64::MAX);
    const DOORBELL: Self = Self(u64::MAX - 1);
    /// The highest bit of the slot.
    const TO_WRITE: u64 = 1 << 31;

    /// Whether there is something to read.
    pub(crate) fn readable(token: Token) -> Self {
        match token {
            Token::Connection(id) => Self(u64::from(id.generation) << 32 | u64::from(id.slot)),
            Token::Listener(index) => Self(u64::from(SPECIAL_SLOT) + u64::from(index)),
            Token::Doorbell => Self::DOORBELL,
        }
    }

    /// Whether there is room to write.
    pub(crate) fn writable(id: ConnId) -> Self {
        Self(Self::readable(Token::Connection(id)).0 | Self::TO_WRITE)
    }

    pub(crate) fn is_to_write(self) -> bool {
        self != Self::DOORBELL && self.0 & Self::TO_WRITE != 0
    }

    pub(crate) fn token(self) -> Option<Token> {
        let (generation, slot) = ((self.0 >> 32) as u32, (self.0 & !Self::TO_WRITE) as u32);
        match (self, slot) {
            (Self::NOTHING, _) => None,
            (Self::DOORBELL, _) => Some(Token::Doorbell),
            (_, SPECIAL_SLOT..) => Some(Token::Listener((slot - SPECIAL_SLOT) as u16)),
            _ => Some(Token::Connection(ConnId { slot, generation })),
        }
    }
}

/// Something is ready. It may be stale or untrue: the reading or writing will tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) token: Token,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// Both directions are shut or the connection failed, told even when nobody asked.
    pub(crate) broken: bool,
    /// No more will come than what is there; that is told this once.
    pub(crate) hung_up: bool,
    /// No further event will come unless [`Sockets::watch_again`] is called.
    pub(crate) unwatched: bool,
}

impl Event {
    pub(crate) fn readable(token: Token) -> Self {
        Self { token, readable: true, writable: false, broken: false, hung_up: false, unwatched: false }
    }
}

/// What came of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing for now; an event will come.
    Nothing,
    /// No more bytes will ever come.
    Ended,
}

/// A driver's sockets. Events come when something arrives and not while something is there: who leaves a part
/// of it says [`Sockets::again`].
pub(crate) trait Sockets {
    /// A connection's socket; closed when dropped.
    type Socket: AsFd;

    /// Takes a connected, non-blocking socket in; events for reading begin at once.
    fn attach(&mut self, fd: OwnedFd, id: ConnId) -> io::Result<Self::Socket>;
    /// Lets the socket go, still open.
    fn detach(&mut self, socket: Self::Socket, id: ConnId) -> OwnedFd;
    /// Closes the socket, at the latest when the next events are gathered or waited for.
    fn close(&mut self, socket: Self::Socket, id: ConnId);
    /// Whether events for reading and for writing are wanted. What is not wanted may be told all the same.
    fn want(&mut self, socket: &mut Self::Socket, id: ConnId, read: bool, write: bool) -> io::Result<()>;
    /// Makes events for reading come again after one that said [`Event::unwatched`].
    fn watch_again(&mut self, socket: &Self::Socket, id: ConnId) -> io::Result<()>;
    /// Whether events for a listener are wanted.
    fn listen(&mut self, fd: BorrowedFd<'_>, index: u16, on: bool) -> io::Result<()>;
    /// Has it told once more that there is something to read.
    fn again(&mut self, token: Token);
    /// Whether the next [`Sockets::gather`] finds something for sure.
    fn is_filled(&mut self) -> bool;
    /// Whether something has happened, where that can be seen without asking the kernel; nothing where it cannot.
    fn is_told(&mut self) -> Option<bool>;
    /// Adds what is ready now to `events`, without waiting.
    fn gather(&mut self, events: &mut Vec<Event>);
    /// What sends to many sockets at once, if this driver has it.
    fn send_ring(&mut self) -> Option<&mut SendRing>;
}

/// When a shard's next turn is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// At once.
    Again,
    /// When something happens, or after this time.
    Sleep(Duration),
    /// Never.
    Leave,
}

/// Sends without waiting and without a signal. Returns how many bytes the kernel took.
pub(crate) fn send(fd: BorrowedFd<'_>, sealed: &Sealed<'_>) -> rustix::io::Result<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    loop {
        let sent = match sealed {
            Sealed::Same([one]) => rustix::net::send(fd, one, flags),
            Sealed::Same(slices) => {
                rustix::net::sendmsg(fd, slices, &mut SendAncillaryBuffer::default(), flags)
            }
            Sealed::Other(bytes) => rustix::net::send(fd, bytes, flags),
            Sealed::Framed(_) => {
                let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX + 1];
                let pieces =
                    slices.iter_mut().zip(sealed.pieces()).map(|(slice, piece)| *slice = IoSlice::new(piece));
                let count = pieces.count();
                rustix::net::sendmsg(fd, &slices[..count], &mut SendAncillaryBuffer::default(), flags)
            }
        };
        if sent != Err(Errno::INTR) {
            return sent;
        }
    }
}

/// Receives without waiting.
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Read {
    loop {
        return match rustix::net::recv(fd, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Read::Ended,
            Ok((bytes, _)) => Read::Bytes(bytes),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => Read::Nothing,
            Err(_) => Read::Ended,
        };
    }
}

/// Prepares a socket for being closed: throws away what the other end still sent, because closing over unread
/// bytes would reset the connection and with it the last packet.
pub(crate) fn take_unread(fd: BorrowedFd<'_>, buffer: &mut [u8]) {
    for _ in 0..CLOSE_READS_MAX {
        if !matches!(receive(fd, buffer), Read::Bytes(_)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_as_words() {
        let connection = |slot, generation| Token::Connection(ConnId { slot, generation });
        let tokens = [
            connection(0, 0),
            connection(7, u32::MAX),
            connection(SPECIAL_SLOT - 1, 3),
            Token::Listener(0),
            Token::Listener(u16::MAX),
            Token::Doorbell,
        ];
        for token in tokens {
            let word = Word::readable(token);
            assert_eq!((word.token(), word.is_to_write()), (Some(token), false));
            if let Token::Connection(id) = token {
                let word = Word::writable(id);
                assert_eq!((word.token(), word.is_to_write()), (Some(token), true));
            }
        }
        assert_eq!(Word::NOTHING.token(), None);
    }
}
