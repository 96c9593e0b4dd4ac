//! The buffers the kernel picks from for received bytes: a ring of them shared with it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// The number the ring of buffers goes by.
pub(crate) const GROUP: u16 = 0;
/// Buffers in the ring, a power of two: one for each connection of the largest usual run.
const COUNT: u16 = 1024;
/// The bytes of one.
const BYTES: usize = 16 << 10;
/// From one buffer to the next. Not a power of two, so that their fronts do not fight for one place in the cache.
const STRIDE: usize = BYTES + 5 * 64;
/// The kernel wants the ring on a page of its own.
const PAGE: usize = 4096;

/// A registered ring of buffers.
pub(crate) struct Buffers {
    entries: *mut BufRingEntry,
    memory: Vec<u8>,
    tail: u16,
}

impl Buffers {
    /// Registers all buffers, free. They must outlive the ring.
    pub(crate) fn register(ring: &IoUring) -> io::Result<Buffers> {
        // SAFETY: the size is not zero.
        let entries = unsafe { alloc_zeroed(layout()) }.cast::<BufRingEntry>();
        if entries.is_null() {
            handle_alloc_error(layout());
        }
        let mut buffers = Buffers { entries, memory: vec![0; usize::from(COUNT) * STRIDE], tail: 0 };
        // SAFETY: `entries` is page-aligned, has `COUNT` places and is freed when `Buffers` is dropped, which
        // its owner does after closing the ring.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries as u64, COUNT, GROUP, 0) }?;
        (0..COUNT).for_each(|id| buffers.give_back(id));
        buffers.publish();
        Ok(buffers)
    }

    /// What the kernel wrote into a buffer.
    pub(crate) fn filled(&self, id: u16, bytes: i32) -> &[u8] {
        let start = usize::from(id) * STRIDE;
        &self.memory[start..start + bytes as usize]
    }

    /// Gives a buffer back, which the kernel sees with the next [`Buffers::publish`].
    pub(crate) fn give_back(&mut self, id: u16) {
        let place = usize::from(self.tail % COUNT);
        let front = &raw mut self.memory[usize::from(id) * STRIDE];
        // SAFETY: `place` is within the ring, and the kernel does not read a place that is not published.
        let entry = unsafe { &mut *self.entries.add(place) };
        entry.set_addr(front as u64);
        entry.set_len(BYTES as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Tells the kernel of all that was given back.
    pub(crate) fn publish(&mut self) {
        // SAFETY: the first entry is initialised; its tail is aligned, and shared with the kernel only.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout in `register`.
        unsafe { dealloc(self.entries.cast(), layout()) };
    }
}

fn layout() -> Layout {
    // Both are constants: a mistake would show with the first run.
    Layout::from_size_align(usize::from(COUNT) * size_of::<BufRingEntry>(), PAGE).expect("a power of two")
}
