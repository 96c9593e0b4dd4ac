//! The shared table from a 64-bit hash to the set of cores that have something under it. It never holds too
//! little; it never asks what a hash stands for; a reader never takes a lock or waits.

use crate::atomics::{AtomicU64, Ordering, fence};
use crate::core_mask::{CORES_MAX, CoreMask};
use crate::stripe::{Layout, Stripe};
use alloc::boxed::Box;
use core::fmt;

/// Stripes of a table; a power of two, at most 65,536 as the low 16 bits of a hash choose. A stripe is laid
/// out anew in one go, so this many times fewer entries are moved at once than the table has.
const STRIPES: usize = 512;
const STRIPE_SLOTS_FIRST: usize = 16;

/// Hash to core mask, shared by all cores of a broker.
///
/// Any core reads; each core sets and clears its own bit alone, and clears it only when nothing of its own is
/// left under that hash. The hashes must be spread evenly, so the caller keys them.
///
/// May hold too much, never too little: once [`set`](Self::set) has returned, every reader that starts later
/// finds the bit, until the same core clears it. "Later" is what the caller's own means make it: either the
/// reader has heard of the set by way of a release and acquire, or both sides stand around SeqCst fences; `set`
/// ends with one, and a reader that needs the second kind puts one before its read.
///
/// Growth goes stripe by stripe; no operation passes over more than one of the 512 stripes. A reader that
/// meets a stripe in that state three times answers with every core.
///
/// Memory: a key whose mask became empty keeps its slot until its stripe is next laid out anew. That happens
/// when three quarters of the slots have a key, and doubles them only if more than half of them live. So a
/// stripe never has more than four times the slots that lived in it at its peak (and never fewer than 16),
/// however many different keys come and go. Slots are not given back before the table is dropped.
pub struct MaskTable {
    cores: usize,
    layout: Layout,
    /// The mask of hash 0, which marks a free slot inside the stripes.
    zero: [AtomicU64; CORES_MAX / 64],
    stripes: Box<[Stripe]>,
}

impl MaskTable {
    /// A table for `cores` cores, 1 to [`CORES_MAX`]. Panics outside of that.
    pub fn new(cores: usize) -> Self {
        Self::with_stripes(cores, STRIPES, STRIPE_SLOTS_FIRST)
    }

    pub(crate) fn with_stripes(cores: usize, stripes: usize, slots_first: usize) -> Self {
        assert!((1..=CORES_MAX).contains(&cores), "a table for {cores} cores");
        Self {
            cores,
            layout: Layout { slots_first_log2: slots_first.ilog2(), mask_words: cores.div_ceil(64) },
            zero: core::array::from_fn(|_| AtomicU64::new(0)),
            stripes: (0..stripes).map(|_| Stripe::new()).collect(),
        }
    }

    /// How many cores the table was made for.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Sets the core's bit. Ends with a SeqCst fence. Panics if the table was made for fewer cores.
    pub fn set(&self, hash: u64, core: usize) {
        assert!(core < self.cores, "core {core} of {}", self.cores);
        let (word, bit) = (core / 64, 1 << (core % 64));
        if hash == 0 {
            self.zero[word].fetch_or(bit, Ordering::AcqRel);
        } else {
            self.stripe(hash).set(self.layout, hash, word, bit);
        }
        fence(Ordering::SeqCst);
    }

    /// Clears the core's bit. Panics if the table was made for fewer cores.
    pub fn clear(&self, hash: u64, core: usize) {
        assert!(core < self.cores, "core {core} of {}", self.cores);
        let (word, bit) = (core / 64, 1 << (core % 64));
        if hash == 0 {
            self.zero[word].fetch_and(!bit, Ordering::AcqRel);
        } else {
            self.stripe(hash).clear(self.layout, hash, word, bit);
        }
    }

    /// Adds the cores under the hash to `mask`. False when they could not be told, as the table was being moved:
    /// then it adds all.
    #[inline]
    pub fn or_into(&self, hash: u64, mask: &mut CoreMask) -> bool {
        let is_known = self.read(hash, |index, bits| mask.union_word(index, bits)).is_ok();
        if !is_known {
            mask.union(&CoreMask::all(self.cores));
        }
        is_known
    }

    /// Whether any core has something under the hash; true when in doubt.
    #[inline]
    pub fn contains_any(&self, hash: u64) -> bool {
        let mut any = 0;
        self.read(hash, |_, bits| any |= bits).is_err() || any != 0
    }

    /// Slots that the table holds, full or free: what its memory follows.
    pub fn slots(&self) -> usize {
        self.stripes.iter().map(Stripe::slots).sum()
    }

    #[inline]
    fn read(&self, hash: u64, mut each: impl FnMut(usize, u64)) -> Result<(), crate::stripe::Moving> {
        if hash != 0 {
            return self.stripe(hash).read(self.layout, hash, each);
        }
        for (index, word) in self.zero.iter().enumerate() {
            each(index, word.load(Ordering::Acquire));
        }
        Ok(())
    }

    #[inline]
    fn stripe(&self, hash: u64) -> &Stripe {
        &self.stripes[hash as usize & (self.stripes.len() - 1)]
    }
}

impl fmt::Debug for MaskTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskTable").field("cores", &self.cores).field("slots", &self.slots()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, sync::Arc, thread, vec::Vec};

    fn cores(table: &MaskTable, hash: u64) -> Vec<usize> {
        let mut mask = CoreMask::new();
        table.or_into(hash, &mut mask);
        mask.iter().collect()
    }

    /// Spread like a keyed hash.
    fn spread(number: u64) -> u64 {
        let product = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (product ^ (product >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (number << 7)
    }

    #[test]
    fn behaves_like_a_map_of_sets() {
        for count in [1, 2, 64, 65, 256] {
            let table = MaskTable::with_stripes(count, 2, 2);
            let mut model: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
            let mut state = count as u64;
            for _ in 0..5_000 {
                state = spread(state.wrapping_add(1));
                // Few different hashes, 0 among them, all in the same two stripes.
                let (hash, core) = ((state >> 8) % 97 * 0x1_0001, (state >> 40) as usize % count);
                let held = model.entry(hash).or_default();
                held.retain(|&other| other != core);
                if state & 4 == 0 {
                    held.push(core);
                    held.sort_unstable();
                    table.set(hash, core);
                } else {
                    table.clear(hash, core);
                }
                assert_eq!(cores(&table, hash), *held);
                assert_eq!(table.contains_any(hash), !held.is_empty());
            }
            assert!(model.iter().all(|(hash, held)| cores(&table, *hash) == *held));
        }
    }

    #[test]
    fn memory_follows_what_lives_not_what_came() {
        let table = MaskTable::with_stripes(1, 2, 16);
        let living = 100;
        for number in 1..200_000 {
            table.set(spread(number), 0);
            if number > living {
                table.clear(spread(number - living), 0);
            }
        }
        assert!(table.slots() <= 4 * (living as usize + 64), "{} slots", table.slots());
    }

    #[test]
    fn many_keys_from_several_threads_while_others_read() {
        const KEYS: u64 = 30_000;
        let table = Arc::new(MaskTable::new(4));
        let writers: Vec<_> = (0..3)
            .map(|core| {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    for number in 0..KEYS {
                        table.set(spread(number), core);
                        let mut mask = CoreMask::new();
                        table.or_into(spread(number / 2), &mut mask);
                        assert!(mask.contains(core));
                        if number % 3 == 0 {
                            table.clear(spread(number), core);
                            table.set(spread(number), core);
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert!((0..KEYS).all(|number| cores(&table, spread(number)) == [0, 1, 2]));
        assert!(!table.contains_any(spread(KEYS + 1)));
    }

    #[test]
    #[should_panic(expected = "core 2 of 2")]
    fn a_core_beyond_the_table_is_refused() {
        MaskTable::new(2).set(1, 2);
    }
}
