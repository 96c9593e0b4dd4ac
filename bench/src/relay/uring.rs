//! The relay on io_uring: multishot receives into buffers the kernel picks, and all sends of a turn submitted
//! together with the wait for the next.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;

use io_uring::{IoUring, cqueue, opcode, squeue, types::Fd};
use rustix::io::Errno;

use crate::buffers::{Buffers, GROUP};
use crate::{End, pass_on};

/// Places in the submission queue: the sends of one turn, else they are submitted in parts.
const SUBMISSIONS: u32 = 2048;
/// Marks the completion of a send; the other bits are the place of the connection.
const SEND: u64 = 1 << 63;
/// Whole or not at all, and no signal when nobody is there.
const SEND_FLAGS: i32 = 0x100 | 0x4000; // MSG_WAITALL | MSG_NOSIGNAL

/// The ring and what the kernel may still read or write for it.
struct Relay {
    // Dropped first: closed before what it works on is gone.
    ring: IoUring,
    buffers: Buffers,
    ends: Vec<End>,
    dirty: Vec<usize>,
    /// Receives that have not ended.
    receiving: usize,
    /// Sends that have not ended.
    sending: usize,
}

/// Relays until one connection ends.
pub(crate) fn relay(ends: Vec<End>) -> io::Result<()> {
    let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(SUBMISSIONS)?;
    let buffers = Buffers::register(&ring)?;
    let mut relay = Relay { ring, buffers, ends, dirty: Vec::new(), receiving: 0, sending: 0 };
    let outcome = relay.turns();
    relay.wind_down()?;
    outcome
}

impl Relay {
    fn turns(&mut self) -> io::Result<()> {
        for place in 0..self.ends.len() {
            self.receive(place)?;
        }
        let mut completions: Vec<cqueue::Entry> = Vec::new();
        loop {
            // Waiting for the sends and one more would save a call where there is little to do. It stood still for
            // 100 ms now and then (Linux 6.18, one publisher to many readers), as if a wake-up was lost.
            wait(&self.ring, 1)?;
            completions.extend(self.ring.completion());
            let mut ended = false;
            for completion in completions.drain(..) {
                ended |= match completion.user_data() & SEND != 0 {
                    true => self.sent(&completion),
                    false => self.received(&completion)?,
                };
            }
            if ended {
                return Ok(());
            }
            self.buffers.publish();
            self.send_dirty()?;
        }
    }

    /// Passes on what came. Whether the connection has ended.
    fn received(&mut self, completion: &cqueue::Entry) -> io::Result<bool> {
        let place = completion.user_data() as usize;
        if let Some(id) = cqueue::buffer_select(completion.flags()) {
            let bytes = self.buffers.filled(id, completion.result());
            pass_on(&mut self.ends, place, bytes, &mut self.dirty)?;
            self.buffers.give_back(id);
        }
        let ended = completion.result() <= 0 && completion.result() != -Errno::NOBUFS.raw_os_error();
        if !cqueue::more(completion.flags()) {
            self.receiving -= 1;
            if !ended {
                self.buffers.publish();
                self.receive(place)?;
            }
        }
        Ok(ended)
    }

    /// Books a send that is over. Whether the connection has ended.
    fn sent(&mut self, completion: &cqueue::Entry) -> bool {
        let place = (completion.user_data() & !SEND) as usize;
        self.sending -= 1;
        let end = &mut self.ends[place];
        let ended = completion.result() != end.sending.len() as i32;
        end.sending.clear();
        if !end.out.is_empty() && !std::mem::replace(&mut end.dirty, true) {
            self.dirty.push(place);
        }
        ended
    }

    fn receive(&mut self, place: usize) -> io::Result<()> {
        let fd = Fd(self.ends[place].stream.as_raw_fd());
        self.receiving += 1;
        self.push(&opcode::RecvMulti::new(fd, GROUP).build().user_data(place as u64))
    }

    /// Sends once to everybody there is something for; who is being sent to gets the rest with the next turn.
    fn send_dirty(&mut self) -> io::Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        for place in dirty.drain(..) {
            let end = &mut self.ends[place];
            end.dirty = false;
            if !end.sending.is_empty() {
                continue;
            }
            std::mem::swap(&mut end.out, &mut end.sending);
            let (fd, bytes) = (Fd(end.stream.as_raw_fd()), &end.sending);
            let send = opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32).flags(SEND_FLAGS);
            self.sending += 1;
            self.push(&send.build().user_data(place as u64 | SEND))?;
        }
        self.dirty = dirty;
        Ok(())
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: an entry refers to the buffer ring or to the `sending` of a connection. Both live in `self`
        // and stay where they are until the operation has completed: `sending` is touched in `sent` only, and
        // `relay` drops nothing before `wind_down` has seen every operation end.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit()?;
        }
        Ok(())
    }

    /// Ends every connection and waits until the kernel has let go of all memory.
    fn wind_down(&mut self) -> io::Result<()> {
        for end in &self.ends {
            let _ = end.stream.shutdown(Shutdown::Both);
        }
        while self.receiving + self.sending > 0 {
            wait(&self.ring, 1)?;
            let completions: Vec<cqueue::Entry> = self.ring.completion().collect();
            for completion in completions {
                match completion.user_data() & SEND != 0 {
                    true => self.sending -= 1,
                    false => self.receiving -= usize::from(!cqueue::more(completion.flags())),
                }
            }
        }
        Ok(())
    }
}

/// Submits and waits for so many completions, interruptions aside.
fn wait(ring: &IoUring, completions: usize) -> io::Result<()> {
    match ring.submit_and_wait(completions) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}
