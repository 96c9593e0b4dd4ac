//! A hash table that grows in many small steps: past a size it is split into parts that grow each by itself,
//! so that no insertion moves more than a small share of the entries. It is never iterated in an order that
//! may be seen outside.

use alloc::{vec, vec::Vec};
use hashbrown::HashTable;

const PARTS: usize = 256;
/// Entries in the one table before it is split; few enough to be moved at once in some 20 us.
const ENTRIES_UNSPLIT_MAX: usize = 1024;
/// A part smaller than this keeps its memory.
const CAPACITY_KEPT_MAX: usize = 32;

/// An entry that carries its hash, so that growing does not read what stands behind it.
pub(crate) trait Hashed {
    fn hash(&self) -> u64;
}

pub(crate) struct SegmentedTable<T> {
    /// One, or [`PARTS`].
    parts: Vec<HashTable<T>>,
    len: usize,
}

impl<T: Hashed> SegmentedTable<T> {
    pub(crate) fn new() -> Self {
        Self { parts: vec![HashTable::new()], len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<&T> {
        self.parts[self.part(hash)].find(hash, is)
    }

    pub(crate) fn find_mut(&mut self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let part = self.part(hash);
        self.parts[part].find_mut(hash, is)
    }

    /// Adds an entry that is not in the table yet.
    pub(crate) fn insert(&mut self, entry: T) {
        if self.parts.len() == 1 && self.len == ENTRIES_UNSPLIT_MAX {
            self.split();
        }
        let part = self.part(entry.hash());
        self.parts[part].insert_unique(entry.hash(), entry, T::hash);
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<T> {
        let part = self.part(hash);
        let part = &mut self.parts[part];
        let (entry, _) = part.find_entry(hash, is).ok()?.remove();
        if part.capacity() > CAPACITY_KEPT_MAX && part.len() * 4 < part.capacity() {
            part.shrink_to(part.len() * 2, T::hash);
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Self::new();
        }
        Some(entry)
    }

    /// All entries, in an order that depends on the hashes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().flatten()
    }

    fn split(&mut self) {
        let entries = core::mem::take(&mut self.parts[0]);
        self.parts.resize_with(PARTS, HashTable::new);
        for entry in entries {
            let part = self.part(entry.hash());
            self.parts[part].insert_unique(entry.hash(), entry, T::hash);
        }
    }

    /// Bits that the tables themselves use neither for the place nor for the tag.
    #[inline]
    fn part(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.parts.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Hashed for u64 {
        fn hash(&self) -> u64 {
            self.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        }
    }

    #[test]
    fn entries_survive_the_split_and_memory_comes_back() {
        let mut table = SegmentedTable::new();
        let count = ENTRIES_UNSPLIT_MAX as u64 * 5;
        (0..count).for_each(|entry: u64| table.insert(entry));
        assert_eq!((table.len(), table.parts.len()), (count as usize, PARTS));
        assert_eq!(table.iter().sum::<u64>(), count * (count - 1) / 2);
        for entry in 0..count {
            assert_eq!(table.find(entry.hash(), |found| *found == entry), Some(&entry));
        }
        for entry in 0..count {
            assert_eq!(table.remove(entry.hash(), |found| *found == entry), Some(entry));
            assert_eq!(table.remove(entry.hash(), |found| *found == entry), None);
        }
        assert_eq!((table.len(), table.parts.len(), table.parts[0].capacity()), (0, 1, 0));
    }
}
