//! Tables with reusable slots: an id names its slot and the slot's generation, so that an id of something
//! gone finds nothing instead of a stranger.

/// An id into [`Slots`].
pub trait SlotId: Copy {
    /// From its parts.
    fn from_parts(slot: u32, generation: u32) -> Self;
    /// Index in the table.
    fn slot(self) -> u32;
    /// Generation of that slot.
    fn generation(self) -> u32;
}

macro_rules! slot_id {
    ($name:ty) => {
        impl $crate::slots::SlotId for $name {
            fn from_parts(slot: u32, generation: u32) -> Self {
                Self { slot, generation }
            }
            fn slot(self) -> u32 {
                self.slot
            }
            fn generation(self) -> u32 {
                self.generation
            }
        }
    };
}
pub(crate) use slot_id;

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Slots of one chunk, as a power of two. A table grows by a chunk and nothing is ever moved: a doubling table would
/// stop the shard to copy what it has, and hold twice the memory meanwhile.
const CHUNK_BITS: u32 = 6;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;

/// A table of `T` by id.
pub struct Slots<K, T> {
    chunks: Vec<Box<[Slot<T>; CHUNK_SLOTS]>>,
    /// Slots that were ever used.
    slots: u32,
    free: Vec<u32>,
    used: usize,
    kind: std::marker::PhantomData<K>,
}

impl<K: SlotId, T> Slots<K, T> {
    /// An empty table; takes no memory.
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), slots: 0, free: Vec::new(), used: 0, kind: std::marker::PhantomData }
    }
    #[inline]
    fn entry(&self, slot: u32) -> Option<&Slot<T>> {
        let chunk = self.chunks.get((slot >> CHUNK_BITS) as usize)?;
        Some(&chunk[slot as usize % CHUNK_SLOTS])
    }
    #[inline]
    fn entry_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        let chunk = self.chunks.get_mut((slot >> CHUNK_BITS) as usize)?;
        Some(&mut chunk[slot as usize % CHUNK_SLOTS])
    }
    /// Puts a value in and names it.
    pub fn insert(&mut self, value: T) -> K {
        self.used += 1;
        if let Some(slot) = self.free.pop() {
            let entry = self.entry_mut(slot).expect("a free slot stands in its chunk");
            entry.value = Some(value);
            return K::from_parts(slot, entry.generation);
        }
        let slot = self.slots;
        self.slots = slot.checked_add(1).expect("fewer than 2^32 slots by limits");
        if self.entry(slot).is_none() {
            let vacant = || Slot { generation: 0, value: None };
            let chunk: Box<[Slot<T>]> = std::iter::repeat_with(vacant).take(CHUNK_SLOTS).collect();
            self.chunks.extend(chunk.try_into().ok());
        }
        self.entry_mut(slot).expect("its chunk is there").value = Some(value);
        K::from_parts(slot, 0)
    }
    /// Takes the value out; its id is dead from now on.
    pub fn remove(&mut self, id: K) -> Option<T> {
        let slot = self.entry_mut(id.slot())?;
        if slot.generation != id.generation() {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot());
        self.used -= 1;
        Some(value)
    }
    /// The value.
    #[inline]
    pub fn at(&self, id: K) -> Option<&T> {
        let slot = self.entry(id.slot())?;
        if slot.generation == id.generation() { slot.value.as_ref() } else { None }
    }
    /// The value, to change it.
    #[inline]
    pub fn at_mut(&mut self, id: K) -> Option<&mut T> {
        let slot = self.entry_mut(id.slot())?;
        if slot.generation == id.generation() { slot.value.as_mut() } else { None }
    }
    /// The id of whoever is in this slot now.
    #[inline]
    pub fn id_of_slot(&self, slot: u32) -> Option<K> {
        let entry = self.entry(slot)?;
        entry.value.as_ref().map(|_| K::from_parts(slot, entry.generation))
    }
    /// Whoever is in this slot now, and its id.
    #[inline]
    pub fn of_slot_mut(&mut self, slot: u32) -> Option<(K, &mut T)> {
        let entry = self.entry_mut(slot)?;
        let generation = entry.generation;
        entry.value.as_mut().map(|value| (K::from_parts(slot, generation), value))
    }
    /// Slots that were ever used: every id has one below it.
    pub const fn slots(&self) -> u32 {
        self.slots
    }
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.used
    }
    /// All ids, by slot.
    pub fn ids(&self) -> Vec<K> {
        (0..self.slots).filter_map(|slot| self.id_of_slot(slot)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::ConnId;

    #[test]
    fn an_id_of_something_gone_finds_nothing() {
        let mut slots: Slots<ConnId, &str> = Slots::new();
        let a = slots.insert("a");
        assert_eq!(slots.remove(a), Some("a"));
        let b = slots.insert("b");
        assert_eq!(a.slot, b.slot);
        assert_eq!((slots.at(a), slots.at(b)), (None, Some(&"b")));
        assert_eq!(slots.remove(a), None);
        assert_eq!((slots.len(), slots.ids()), (1, vec![b]));
    }

    #[test]
    fn a_table_grows_over_its_chunks_and_uses_what_is_free_first() {
        let mut slots: Slots<ConnId, usize> = Slots::new();
        let ids: Vec<ConnId> = (0..3 * CHUNK_SLOTS + 1).map(|value| slots.insert(value)).collect();
        assert_eq!((slots.len(), slots.ids()), (ids.len(), ids.clone()));
        assert!(ids.iter().enumerate().all(|(value, &id)| slots.at(id) == Some(&value)));
        let (first, last) = (ids[0], ids[ids.len() - 1]);
        assert_eq!((slots.remove(last), slots.remove(first)), (Some(3 * CHUNK_SLOTS), Some(0)));
        assert_eq!((slots.insert(7).slot, slots.insert(8).slot), (first.slot, last.slot));
        assert_eq!(slots.insert(9).slot as usize, ids.len());
        assert_eq!(slots.at(ConnId { slot: u32::MAX, generation: 0 }), None);
    }
}
