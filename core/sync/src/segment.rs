//! A piece of slot memory that is made once, later than its holder, and then stands still until the holder
//! goes. The only unsafe code of this crate. It never gives out memory that is not initialised, and never
//! moves or frees what a reader may hold.

use crate::atomics::{AtomicPtr, AtomicU64, Ordering};
use alloc::boxed::Box;
use core::ptr;

/// Memory for a fixed number of atomic words, absent until [`publish`](Self::publish) makes it.
pub(crate) struct Segment {
    words: AtomicPtr<AtomicU64>,
    count: AtomicU64,
}

impl Segment {
    /// A segment without memory.
    pub(crate) fn absent() -> Self {
        Self { words: AtomicPtr::new(ptr::null_mut()), count: AtomicU64::new(0) }
    }

    /// Makes the memory, all zero. Does nothing when it is already there. Only one caller at a time.
    pub(crate) fn publish(&self, count: usize) {
        if !self.words.load(Ordering::Acquire).is_null() {
            return;
        }
        let words: Box<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
        self.count.store(count as u64, Ordering::Relaxed);
        let words = Box::into_raw(words).cast::<AtomicU64>();
        self.words.store(words, Ordering::Release);
    }

    /// The memory, or nothing before it is made.
    #[inline]
    pub(crate) fn words(&self) -> Option<&[AtomicU64]> {
        let words = self.words.load(Ordering::Acquire);
        if words.is_null() {
            return None;
        }
        let count = self.count.load(Ordering::Relaxed) as usize;
        // SAFETY: a pointer that is not null was stored once by `publish`, from a box of `count` initialised
        // words; `count` was stored before it and the Acquire load above makes that visible. The box is freed
        // only in `drop`, which needs the segment exclusively, so it outlives this borrow of it.
        Some(unsafe { core::slice::from_raw_parts(words, count) })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let words = self.words.load(Ordering::Acquire);
        if words.is_null() {
            return;
        }
        let words = ptr::slice_from_raw_parts_mut(words, self.count.load(Ordering::Relaxed) as usize);
        // SAFETY: pointer and length are those of the box that `publish` gave up, nobody else frees it, and
        // `&mut self` proves that no slice given out by `words` is left.
        drop(unsafe { Box::from_raw(words) });
    }
}
