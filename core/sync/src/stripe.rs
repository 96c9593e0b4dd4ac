//! One stripe of the shared table: open addressing over segments that never move. Readers take no lock; they
//! read under a version and start anew when slots were moved under them. Writers hold the stripe's lock, for
//! some 100 ns as a rule and for one pass over the stripe when it is laid out anew. A reader never waits for a
//! writer: when it keeps meeting one, it says so, and the caller takes every core.

use crate::atomics::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence, spin_loop};
use crate::segment::Segment;
use alloc::vec::Vec;

/// Segment 0 and 1 have the first number of slots, each later one twice the one before, so that each doubles
/// the stripe. With 16 slots first these make 8 million slots a stripe.
const SEGMENTS_MAX: usize = 20;

/// How often a reader starts anew before it gives up.
const READS_MAX: usize = 3;

/// The answer of a reader that kept meeting a writer which moves slots.
pub(crate) struct Moving;

/// What all stripes of a table have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Slots a stripe begins with, as a power of two.
    pub(crate) slots_first_log2: u32,
    /// Words of a mask.
    pub(crate) mask_words: usize,
}

impl Layout {
    /// A slot is its key and then its mask.
    #[inline]
    fn slot_words(self) -> usize {
        1 + self.mask_words
    }

    fn slots_first(self) -> usize {
        1 << self.slots_first_log2
    }
}

pub(crate) struct Stripe {
    /// Odd while slots are being moved.
    version: AtomicU64,
    /// Slots in use by the layout; 0 before the first key. Only grows.
    slots: AtomicUsize,
    /// Slots that have a key, with or without a mask. Only read and written under the lock.
    keyed: AtomicUsize,
    locked: AtomicBool,
    segments: [Segment; SEGMENTS_MAX],
}

impl Stripe {
    pub(crate) fn new() -> Self {
        Self {
            version: AtomicU64::new(0),
            slots: AtomicUsize::new(0),
            keyed: AtomicUsize::new(0),
            locked: AtomicBool::new(false),
            segments: core::array::from_fn(|_| Segment::absent()),
        }
    }

    /// Hands each word of the key's mask to `each`, or nothing if the key is not here.
    #[inline]
    pub(crate) fn read(
        &self,
        layout: Layout,
        key: u64,
        mut each: impl FnMut(usize, u64),
    ) -> Result<(), Moving> {
        for _ in 0..READS_MAX {
            let before = self.version.load(Ordering::Acquire);
            if before & 1 == 1 {
                spin_loop();
                continue;
            }
            let mut words = [0; 4];
            match self.find(layout, key) {
                // Up to 64 cores, which is nearly always, there is nothing to go round.
                Some([bits]) => words[0] = bits.load(Ordering::Acquire),
                Some(mask) => {
                    for (word, bits) in words.iter_mut().zip(mask) {
                        *word = bits.load(Ordering::Acquire);
                    }
                }
                None => {}
            }
            // Every load above is an Acquire, so this one is not made before any of them, and whoever read a
            // moved word reads the odd version or a later one here.
            if self.version.load(Ordering::Relaxed) == before {
                each(0, words[0]);
                (1..layout.mask_words).for_each(|index| each(index, words[index]));
                return Ok(());
            }
        }
        Err(Moving)
    }

    /// Sets bits of the key's mask.
    pub(crate) fn set(&self, layout: Layout, key: u64, word: usize, bits: u64) {
        let _lock = self.lock();
        if let Some(mask) = self.find(layout, key) {
            mask[word].fetch_or(bits, Ordering::AcqRel);
            return;
        }
        let keyed = self.keyed.load(Ordering::Relaxed);
        if (keyed + 1) * 4 > self.slots.load(Ordering::Relaxed) * 3 {
            self.lay_out_anew(layout);
        }
        let slot = self.vacant(layout, key);
        slot[1 + word].store(bits, Ordering::Relaxed);
        // Whoever reads the key reads the mask that was stored before it.
        slot[0].store(key, Ordering::Release);
        self.keyed.store(self.keyed.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Clears bits of the key's mask. The slot keeps its key until the stripe is laid out anew.
    pub(crate) fn clear(&self, layout: Layout, key: u64, word: usize, bits: u64) {
        let _lock = self.lock();
        if let Some(mask) = self.find(layout, key) {
            mask[word].fetch_and(!bits, Ordering::AcqRel);
        }
    }

    /// Slots of the present layout.
    pub(crate) fn slots(&self) -> usize {
        self.slots.load(Ordering::Acquire)
    }

    /// The mask of a key. May be wrong for a reader while slots are moved; the version tells it.
    #[inline]
    fn find(&self, layout: Layout, key: u64) -> Option<&[AtomicU64]> {
        let slots = self.slots.load(Ordering::Acquire);
        let mut passed = 0;
        while passed < slots {
            // Slots of one segment stand side by side, so the segment is looked for once and not for each.
            let (segment, offset) = split(layout, (place(key) + passed) & (slots - 1));
            let words =
                self.segments[segment].words().expect("a segment is published before its slots count");
            let mut at = offset * layout.slot_words();
            while let Some(found) = words.get(at) {
                match found.load(Ordering::Acquire) {
                    0 => return None,
                    found if found == key => return words.get(at + 1..at + layout.slot_words()),
                    _ => passed += 1,
                }
                at += layout.slot_words();
            }
        }
        None
    }

    /// A slot without a key where `find` will look for this one. There is one: a quarter is always free.
    fn vacant(&self, layout: Layout, key: u64) -> &[AtomicU64] {
        let slots = self.slots.load(Ordering::Relaxed);
        let mut index = place(key);
        loop {
            let slot = self.slot(layout, index & (slots - 1));
            if slot[0].load(Ordering::Relaxed) == 0 {
                return slot;
            }
            index += 1;
        }
    }

    /// Drops the keys whose mask is empty and doubles the slots if more than half stay. At least a quarter of
    /// the slots can then be keyed before this runs again, so its cost per new key is constant.
    fn lay_out_anew(&self, layout: Layout) {
        let old = self.slots.load(Ordering::Relaxed);
        let living = self.living(layout, old);
        let mut slots = old.max(layout.slots_first());
        if old > 0 && (living.len() / layout.slot_words() + 1) * 2 > old {
            slots = old * 2;
        }
        self.publish(layout, slots);
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        // Whoever acquires any store below reads the odd version, or a later one, at its second look.
        fence(Ordering::Release);
        self.slots.store(slots, Ordering::Release);
        for index in 0..old {
            self.slot(layout, index).iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
        for entry in living.chunks_exact(layout.slot_words()) {
            let slot = self.vacant(layout, entry[0]);
            for (word, &bits) in slot.iter().zip(entry) {
                word.store(bits, Ordering::Relaxed);
            }
        }
        self.keyed.store(living.len() / layout.slot_words(), Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }

    /// Key and mask of every key whose mask is not empty.
    fn living(&self, layout: Layout, slots: usize) -> Vec<u64> {
        let mut living = Vec::new();
        for index in 0..slots {
            let slot = self.slot(layout, index);
            if slot[1..].iter().any(|word| word.load(Ordering::Relaxed) != 0) {
                living.extend(slot.iter().map(|word| word.load(Ordering::Relaxed)));
            }
        }
        living
    }

    /// Makes the memory of the segment that brings the stripe to this many slots.
    fn publish(&self, layout: Layout, slots: usize) {
        let (segment, _) = split(layout, slots - 1);
        let own = if segment == 0 { slots } else { slots / 2 };
        self.segments[segment].publish(own * layout.slot_words());
    }

    #[inline]
    fn slot(&self, layout: Layout, index: usize) -> &[AtomicU64] {
        let (segment, offset) = split(layout, index);
        let words = self.segments[segment].words().expect("a segment is published before its slots count");
        let from = offset * layout.slot_words();
        &words[from..from + layout.slot_words()]
    }

    fn lock(&self) -> Locked<'_> {
        while self.locked.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            spin_loop();
        }
        Locked(self)
    }
}

/// Where the search for a key begins. The low bits chose the stripe.
#[inline]
fn place(key: u64) -> usize {
    (key >> 16) as usize
}

/// The segment of a slot, and its place in there.
#[inline]
fn split(layout: Layout, index: usize) -> (usize, usize) {
    let firsts = index >> layout.slots_first_log2;
    if firsts == 0 {
        return (0, index);
    }
    let segment = firsts.ilog2();
    (segment as usize + 1, index - (1 << (layout.slots_first_log2 + segment)))
}

struct Locked<'a>(&'a Stripe);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}
