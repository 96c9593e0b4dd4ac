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
    /// The last bytes: what is appended goes here, and most output is nothing else. Lent while there are any.
    tail: Vec<u8>,
    /// What stands before them.
    front: VecDeque<Piece>,
    /// Bytes of the first piece already written.
    written: usize,
    bytes: usize,
}

impl Output {
    /// Bytes waiting.
    pub const fn len(&self) -> usize {
        self.bytes
    }
    /// Bytes of memory that are its own, about: without the payloads in front, which belong to their messages.
    pub fn own_bytes(&self) -> usize {
        if self.front.is_empty() {
            return self.bytes;
        }
        let referenced = self.front.iter().map(|piece| match piece {
            Piece::Bytes(_) => 0,
            Piece::Payload(message) => message.payload().len(),
        });
        self.bytes.saturating_sub(referenced.sum())
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
        self.make_room(pool, bytes);
        let before = self.tail.len();
        let result = encode(&mut self.tail);
        debug_assert!(self.tail.len() - before <= bytes, "no more is written than was said");
        self.bytes += self.tail.len() - before;
        result
    }
    /// Appends bytes.
    #[inline]
    pub fn extend(&mut self, pool: &mut BufferPool, bytes: &[u8]) {
        self.make_room(pool, bytes.len());
        self.tail.extend_from_slice(bytes);
        self.bytes += bytes.len();
    }
    /// Appends a message's payload by reference.
    pub fn payload(&mut self, message: Rc<Message>) {
        self.bytes += message.payload().len();
        self.close_tail();
        self.front.push_back(Piece::Payload(message));
    }
    #[inline]
    fn make_room(&mut self, pool: &mut BufferPool, bytes: usize) {
        if self.tail.capacity() - self.tail.len() < bytes {
            self.lend(pool, bytes);
        }
    }
    /// A buffer with room for so many bytes. One that is short gives way to a longer one, so that most output is
    /// one slice; a long one is kept.
    fn lend(&mut self, pool: &mut BufferPool, bytes: usize) {
        if self.bytes == 0 {
            self.tail = pool.lend(bytes, 0);
            return;
        }
        if self.front.is_empty() && BufferPool::is_short(&self.tail) {
            let longer = pool.lend(self.bytes + bytes, 0);
            let short = std::mem::replace(&mut self.tail, longer);
            self.tail.extend_from_slice(&short[std::mem::take(&mut self.written)..]);
            return pool.take_back(short);
        }
        self.close_tail();
        // What stands between two large payloads is short.
        let behind = if let Some(Piece::Payload(_)) = self.front.back() { 0 } else { self.front.len() };
        self.tail = pool.lend(bytes, behind);
    }
    fn close_tail(&mut self) {
        if self.tail.capacity() > 0 {
            self.front.push_back(Piece::Bytes(std::mem::take(&mut self.tail)));
        }
    }
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let front = self.front.iter().map(Piece::as_slice);
        front.chain((!self.tail.is_empty()).then_some(&self.tail[..]))
    }
    /// Fills `slices` from the front; returns how many were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(self.pieces()) {
            let skip = if filled == 0 { self.written } else { 0 };
            *slice = IoSlice::new(&piece[skip..]);
            filled += 1;
        }
        filled
    }
    /// Forgets the first `bytes`.
    pub fn consume(&mut self, pool: &mut BufferPool, bytes: usize) {
        let mut left = bytes.min(self.bytes);
        self.bytes -= left;
        while let Some(piece) = self.front.front() {
            let here = piece.as_slice().len() - self.written;
            if left < here {
                self.written += left;
                return;
            }
            left -= here;
            self.written = 0;
            if let Some(Piece::Bytes(buffer)) = self.front.pop_front() {
                pool.take_back(buffer);
            }
        }
        self.written += left;
        if self.bytes == 0 {
            self.written = 0;
            pool.take_back(std::mem::take(&mut self.tail));
        }
    }
    /// Copies up to `limit` bytes from the front and forgets them.
    pub fn take(&mut self, pool: &mut BufferPool, limit: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(limit.min(self.bytes));
        let mut skip = self.written;
        for piece in self.pieces() {
            let slice = &piece[skip..];
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
        let kept: usize = output.pieces().map(<[u8]>::len).sum();
        assert!(kept <= 1000 + 2 * (16 << 10), "{kept}");
    }

    #[test]
    fn what_is_short_is_one_slice_also_when_part_of_it_is_written() {
        let (mut output, mut pool) = (Output::default(), BufferPool::default());
        let mut expected = Vec::new();
        for number in 0..100_u8 {
            output.extend(&mut pool, &[number; 40]);
            expected.extend([number; 40]);
            if number % 3 == 0 {
                output.consume(&mut pool, 7);
                expected.drain(..7);
            }
            let mut slices = [IoSlice::new(&[]); 4];
            assert_eq!(output.slices(&mut slices), 1);
            assert_eq!(&slices[0][..], expected);
        }
        output.consume(&mut pool, usize::MAX);
        assert!(output.is_empty() && output.tail.capacity() == 0 && output.written == 0);
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
        assert!(output.is_empty() && output.pieces().next().is_none());
    }

    #[test]
    fn take_is_slices_and_consume() {
        let (mut output, mut pool) = (Output::default(), BufferPool::default());
        output.extend(&mut pool, b"abcdef");
        let mut take = |limit| output.take(&mut pool, limit);
        assert_eq!((take(4), take(4), take(4)), (b"abcd".to_vec(), b"ef".to_vec(), vec![]));
    }
}
