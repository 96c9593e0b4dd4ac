//! A set of cores as bits: small, copied freely, iterated in ascending order. It never allocates.

/// Most cores (shards) one broker can have.
pub const CORES_MAX: usize = 256;

const WORDS: usize = CORES_MAX / 64;

/// A set of core numbers in `0..CORES_MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CoreMask {
    words: [u64; WORDS],
}

impl CoreMask {
    /// The empty set.
    pub const fn new() -> Self {
        Self { words: [0; WORDS] }
    }

    /// The set of the cores `0..cores`; more than [`CORES_MAX`] counts as that.
    pub fn all(cores: usize) -> Self {
        let mut mask = Self::new();
        for (index, word) in mask.words.iter_mut().enumerate() {
            let bits = cores.saturating_sub(index * 64).min(64);
            *word = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        }
        mask
    }

    /// Adds a core. Panics from [`CORES_MAX`] on.
    #[inline]
    pub fn insert(&mut self, core: usize) {
        self.words[core / 64] |= 1 << (core % 64);
    }

    /// Takes a core out. Panics from [`CORES_MAX`] on.
    #[inline]
    pub fn remove(&mut self, core: usize) {
        self.words[core / 64] &= !(1 << (core % 64));
    }

    /// Whether the core is in the set; false from [`CORES_MAX`] on.
    #[inline]
    pub fn contains(&self, core: usize) -> bool {
        self.words.get(core / 64).is_some_and(|word| word & (1 << (core % 64)) != 0)
    }

    /// Whether no core is in the set.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.words == [0; WORDS]
    }

    /// How many cores are in the set.
    #[inline]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Takes every core out.
    #[inline]
    pub fn clear(&mut self) {
        self.words = [0; WORDS];
    }

    /// Adds every core of the other set.
    #[inline]
    pub fn union(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(other.words) {
            *word |= more;
        }
    }

    /// Adds the cores whose bits are set in one word; word 0 holds the cores 0 to 63.
    #[inline]
    pub(crate) fn union_word(&mut self, index: usize, bits: u64) {
        self.words[index] |= bits;
    }

    /// The cores in ascending order.
    #[inline]
    pub fn iter(&self) -> Cores<'_> {
        Cores { words: &self.words, next: 0, bits: 0 }
    }
}

impl<'a> IntoIterator for &'a CoreMask {
    type Item = usize;
    type IntoIter = Cores<'a>;

    fn into_iter(self) -> Cores<'a> {
        self.iter()
    }
}

impl FromIterator<usize> for CoreMask {
    fn from_iter<I: IntoIterator<Item = usize>>(cores: I) -> Self {
        let mut mask = Self::new();
        cores.into_iter().for_each(|core| mask.insert(core));
        mask
    }
}

/// The cores of a mask in ascending order. It reads one word at a time: a mask is mostly looked through right after a
/// word of it was written, and a copy of all its words would wait for that to reach the cache.
#[derive(Clone, Debug)]
pub struct Cores<'a> {
    words: &'a [u64; WORDS],
    /// The word to be read next.
    next: usize,
    /// What is left of the one before it.
    bits: u64,
}

impl Iterator for Cores<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            self.bits = *self.words.get(self.next)?;
            self.next += 1;
        }
        let bit = self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some((self.next - 1) * 64 + bit)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn bits_of_every_word_are_kept_apart() {
        let cores = [0, 1, 63, 64, 127, 128, 200, 255];
        let mut mask: CoreMask = cores.into_iter().collect();
        assert_eq!(mask.iter().collect::<Vec<_>>(), cores);
        assert_eq!(mask.len(), cores.len());
        assert!(mask.contains(255) && !mask.contains(2) && !mask.contains(CORES_MAX));
        mask.remove(63);
        assert!(!mask.contains(63) && mask.contains(64));
        mask.clear();
        assert!(mask.is_empty());
    }

    #[test]
    fn all_holds_exactly_the_cores_below() {
        for cores in [0, 1, 2, 63, 64, 65, 128, 200, 256] {
            let mask = CoreMask::all(cores);
            assert_eq!(mask.iter().collect::<Vec<_>>(), (0..cores).collect::<Vec<_>>());
        }
        assert_eq!(CoreMask::all(1000), CoreMask::all(CORES_MAX));
    }
}
