//! Many sends in one system call: a ring that knows nothing but sends that never wait, so each is over when the
//! call returns and no memory is lent to the kernel for longer.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::types::Fd;
use io_uring::{IoUring, opcode};
use ringmq_net::Sealed;
use ringmq_shard::ConnId;

use crate::limits::{SEND_ATTEMPTS_MAX, SENDS_PER_CALL_MAX};

/// One send of a batch and what came of it.
pub(crate) struct Sending {
    pub(crate) conn: ConnId,
    /// Bytes given.
    pub(crate) offered: usize,
    /// Bytes taken.
    pub(crate) taken: Result<usize, rustix::io::Errno>,
    fd: i32,
    slices: usize,
}

/// A ring for sends, and the batch that is being made.
pub(crate) struct SendRing {
    ring: IoUring,
    batch: Vec<Sending>,
    slices: Vec<libc::iovec>,
    headers: Vec<libc::msghdr>,
}

const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

impl SendRing {
    pub(crate) fn new() -> io::Result<Self> {
        let ring = IoUring::builder().dontfork().build(SENDS_PER_CALL_MAX as u32)?;
        Ok(Self { ring, batch: Vec::new(), slices: Vec::new(), headers: Vec::new() })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.batch.len() >= SENDS_PER_CALL_MAX
    }

    /// Adds a send to the batch.
    ///
    /// # Safety
    /// What `sealed` names must stay where it is, and the descriptor open, until [`Self::send`] has returned.
    pub(crate) unsafe fn add(&mut self, conn: ConnId, fd: BorrowedFd<'_>, sealed: &Sealed<'_>) {
        let before = self.slices.len();
        let slice =
            |bytes: &[u8]| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        match sealed {
            Sealed::Same(slices) => self.slices.extend(slices.iter().map(|bytes| slice(bytes))),
            Sealed::Other(bytes) => self.slices.push(slice(bytes)),
            Sealed::Framed(_) => self.slices.extend(sealed.pieces().map(slice)),
        }
        let slices = self.slices.len() - before;
        let offered = sealed.len();
        self.batch.push(Sending { conn, offered, taken: Ok(0), fd: fd.as_raw_fd(), slices });
    }

    /// Carries out the batch.
    ///
    /// # Panics
    /// When the kernel has no memory for it for long.
    pub(crate) fn send(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        self.headers.clear();
        let mut slices = self.slices.as_mut_slice();
        for sending in &self.batch {
            let (own, rest) = slices.split_at_mut(sending.slices);
            slices = rest;
            // SAFETY: all zero is a header of nothing, with no address and nothing beside the data.
            let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
            (header.msg_iov, header.msg_iovlen) = (own.as_mut_ptr(), own.len() as _);
            self.headers.push(header);
        }
        let mut queue = self.ring.submission();
        for (index, (sending, header)) in self.batch.iter().zip(&self.headers).enumerate() {
            let fd = Fd(sending.fd);
            let entry = if sending.slices == 1 {
                // SAFETY: the header names one slice of `self.slices`.
                let slice = unsafe { &*header.msg_iov };
                opcode::Send::new(fd, slice.iov_base.cast(), slice.iov_len as u32).flags(FLAGS).build()
            } else {
                opcode::SendMsg::new(fd, header).flags(FLAGS as u32).build()
            };
            // SAFETY: headers and slices stay as they are until all sends are over, below; what the slices name
            // and the descriptor stay until then by the promise of whoever added them.
            unsafe { queue.push(&entry.user_data(index as u64)) }
                .expect("a batch is no larger than its ring");
        }
        drop(queue);
        self.finish();
        self.slices.clear();
    }

    /// Hands the batch in and waits for all of it, which is no waiting: sends that may not wait are over at once.
    fn finish(&mut self) {
        let mut left = self.batch.len();
        for _ in 0..SEND_ATTEMPTS_MAX {
            // Interrupted or short of memory: what is left is handed in again.
            let _ = self.ring.submit_and_wait(left);
            for entry in self.ring.completion() {
                let result = entry.result();
                self.batch[entry.user_data() as usize].taken = match usize::try_from(result) {
                    Ok(bytes) => Ok(bytes),
                    Err(_) => Err(rustix::io::Errno::from_raw_os_error(-result)),
                };
                left -= 1;
            }
            if left == 0 {
                return;
            }
        }
        panic!("the kernel takes no sends through io_uring");
    }

    /// What came of each send, in the order in which they were added; the batch is empty afterwards.
    pub(crate) fn take_results(&mut self) -> Vec<Sending> {
        std::mem::take(&mut self.batch)
    }

    /// Gives the batch's memory back for the next one.
    pub(crate) fn give_back(&mut self, mut batch: Vec<Sending>) {
        batch.clear();
        self.batch = batch;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Read as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 1 }
    }

    #[test]
    fn each_send_is_over_when_the_call_returns_and_tells_its_own_fate() {
        let Ok(mut ring) = SendRing::new() else {
            return assert!(crate::probe::choose(crate::DriverChoice::Uring).is_err());
        };
        let (whole, mut whole_end) = pair();
        let (parts, mut parts_end) = pair();
        let (stuck, _stuck_end) = pair();
        let (gone, gone_end) = pair();
        drop(gone_end);
        // The first send finds out that nobody is there, the second is told.
        let much = vec![7; 64 << 20];
        for round in 0..3_u8 {
            let slices = [IoSlice::new(b"one,"), IoSlice::new(b"two,"), IoSlice::new(b"three")];
            let batch = [
                (&whole, Sealed::Other(b"hello")),
                (&parts, Sealed::Same(&slices)),
                (&stuck, Sealed::Other(&much)),
                (&gone, Sealed::Other(b"anybody?")),
            ];
            for (slot, (stream, sealed)) in batch.iter().enumerate() {
                assert!(!ring.is_full());
                // SAFETY: streams and bytes outlive the round.
                unsafe { ring.add(id(slot as u32), stream.as_fd(), sealed) };
            }
            ring.send();
            let results = ring.take_results();
            assert_eq!(results.iter().map(|sending| sending.conn).collect::<Vec<_>>(), [0, 1, 2, 3].map(id));
            assert_eq!((results[0].taken, results[1].taken), (Ok(5), Ok(13)));
            match results[2].taken {
                Ok(taken) => assert!(taken < results[2].offered, "{taken} of {}", results[2].offered),
                Err(error) => assert_eq!(error, rustix::io::Errno::AGAIN),
            }
            if round == 2 {
                assert!(results[3].taken.is_err(), "{:?}", results[3].taken);
            }
            ring.give_back(results);
            let (mut five, mut thirteen) = ([0; 5], [0; 13]);
            whole_end.read_exact(&mut five).unwrap();
            parts_end.read_exact(&mut thirteen).unwrap();
            assert_eq!((&five, &thirteen), (b"hello", b"one,two,three"));
        }
    }
}
