//! What waits to be written to one connection: buffers that are lent for everything small, and references to
//! large payloads in between. Idle connections hold nothing.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use ringmq_wire::message::Message;

use crate::buffer_pool::BufferPool;

/// Payloads from here on are referenced and not copied: below, copying costs less than a second slice.
pub const REFERENCE_BYTES_MIN: usize = 2048;

/// A part of the output. What is written is given back piece by piece, and no piece grows, so that a backlog
/// that never ends does not grow either.
enum Piece {
    Bytes(Vec<u8>),
    Payload(Rc<Message>),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Payload(message) => message.payload(),
        }
    }
}

/// The output of one connection.
#[derive(Default)]
pub struct Output {
    /// The first piece. Mostly it is the only one, and then no list is needed to hold it.
    first: Option<Piece>,
    /// Those behind it; none while there is no first.
    rest: VecDeque<Piece>,
    /// Bytes of the first piece already written.
    written: usize,
    bytes: usize,
}

impl Output {
    /// Bytes waiting.
    pub const fn len(&self) -> usize {
        self.bytes
    }
    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }
    /// Appends what `encode` writes, which is at most `bytes`.
    pub fn write<R>(
        &mut self,
        pool: &mut BufferPool,
        bytes: usize,
        encode: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> R {
        let has_room = |b: &Vec<u8>| b.capacity() - b.len() >= bytes;
        let behind = match self.last_mut() {
            Some(Piece::Bytes(b)) if has_room(b) => None,
            // What stands between two large payloads is short.
            Some(Piece::Payload(_)) => Some(0),
            Some(Piece::Bytes(_)) => Some(1 + self.rest.len()),
            None => Some(0),
        };
        if let Some(behind) = behind {
            self.push(Piece::Bytes(pool.lend(bytes, behind)));
        }
        let Some(Piece::Bytes(buffer)) = self.last_mut() else { unreachable!("pushed above") };
        let before = buffer.len();
        let result = encode(buffer);
        debug_assert!(buffer.len() - before <= bytes, "no more is written than was said");
        self.bytes += buffer.len() - before;
        result
    }
    /// Appends bytes.
    pub fn extend(&mut self, pool: &mut BufferPool, bytes: &[u8]) {
        self.write(pool, bytes.len(), |out| out.extend_from_slice(bytes));
    }
    /// Appends a message's payload by reference.
    pub fn payload(&mut self, message: Rc<Message>) {
        self.bytes += message.payload().len();
        self.push(Piece::Payload(message));
    }
    fn push(&mut self, piece: Piece) {
        if self.first.is_none() {
            self.first = Some(piece);
        } else {
            self.rest.push_back(piece);
        }
    }
    fn last_mut(&mut self) -> Option<&mut Piece> {
        self.rest.back_mut().or(self.first.as_mut())
    }
    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.first.iter().chain(&self.rest)
    }
    /// Fills `slices` from the front; returns how many were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(self.pieces()) {
            let skip = if filled == 0 { self.written } else { 0 };
            *slice = IoSlice::new(&piece.as_slice()[skip..]);
            filled += 1;
        }
        if self.bytes == 0 { 0 } else { filled }
    }
    /// Forgets the first `bytes`.
    pub fn consume(&mut self, pool: &mut BufferPool, bytes: usize) {
        let mut left = bytes.min(self.bytes);
        self.bytes -= left;
        while let Some(piece) = &self.first {
            let here = piece.as_slice().len() - self.written;
            if left < here {
                self.written += left;
                return;
            }
            left -= here;
            self.written = 0;
            let done = std::mem::replace(&mut self.first, self.rest.pop_front());
            if let Some(Piece::Bytes(buffer)) = done {
                pool.take_back(buffer);
            }
        }
    }
    /// Copies up to `limit` bytes from the front and forgets them.
    pub fn take(&mut self, pool: &mut BufferPool, limit: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(limit.min(self.bytes));
        let mut skip = self.written;
        for piece in self.pieces() {
            let slice = &piece.as_slice()[skip..];
            skip = 0;
            let room = limit - out.len();
            out.extend_from_slice(&slice[..slice.len().min(room)]);
            if out.len() == limit {
                break;
            }
        }
        self.consume(pool, out.len());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_split_gives_the_same_bytes() {
        for step in 1..9 {
            let (mut output, mut pool) = (Output::default(), BufferPool::default());
            output.extend(&mut pool, b"hello ");
            output.extend(&mut pool, b"world");
            let mut got = Vec::new();
            while !output.is_empty() {
                let mut slices = [IoSlice::new(&[]); 4];
                let n = output.slices(&mut slices);
                let all: Vec<u8> = slices[..n].iter().flat_map(|s| s.to_vec()).collect();
                assert_eq!(all.len(), output.len());
                got.extend_from_slice(&all[..step.min(all.len())]);
                output.consume(&mut pool, step.min(all.len()));
            }
            assert_eq!(got, b"hello world");
            assert_eq!(output.slices(&mut [IoSlice::new(&[]); 2]), 0);
        }
    }

    #[test]
    fn a_backlog_that_never_ends_does_not_grow() {
        let (mut output, mut pool) = (Output::default(), BufferPool::default());
        output.extend(&mut pool, &[0; 1000]);
        for _ in 0..10_000 {
            output.extend(&mut pool, &[0; 100]);
            output.consume(&mut pool, 100);
        }
        let kept: usize = output.pieces().map(|p| p.as_slice().len()).sum();
        assert!(kept <= 1000 + 2 * (16 << 10), "{kept}");
    }

    #[test]
    fn what_does_not_fit_goes_into_the_next_piece() {
        let (mut output, mut pool) = (Output::default(), BufferPool::default());
        let mut expected = Vec::new();
        for (number, length) in [500, 20, 4000, 300, 20_000, 1].into_iter().enumerate() {
            output.extend(&mut pool, &vec![number as u8; length]);
            expected.extend(vec![number as u8; length]);
        }
        assert_eq!(output.len(), expected.len());
        assert_eq!(output.take(&mut pool, usize::MAX), expected);
        assert!(output.is_empty() && output.first.is_none() && output.rest.is_empty());
    }

    #[test]
    fn take_is_slices_and_consume() {
        let (mut output, mut pool) = (Output::default(), BufferPool::default());
        output.extend(&mut pool, b"abcdef");
        let mut take = |limit| output.take(&mut pool, limit);
        assert_eq!((take(4), take(4), take(4)), (b"abcd".to_vec(), b"ef".to_vec(), vec![]));
    }
}
