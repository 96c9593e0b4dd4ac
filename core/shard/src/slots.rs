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

/// A table of `T` by id.
pub struct Slots<K, T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    used: usize,
    kind: std::marker::PhantomData<K>,
}

impl<K: SlotId, T> Slots<K, T> {
    /// An empty table; takes no memory.
    pub const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), used: 0, kind: std::marker::PhantomData }
    }
    /// Puts a value in and names it.
    pub fn insert(&mut self, value: T) -> K {
        self.used += 1;
        if let Some(slot) = self.free.pop() {
            let entry = &mut self.slots[slot as usize];
            entry.value = Some(value);
            return K::from_parts(slot, entry.generation);
        }
        let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 slots by limits");
        self.slots.push(Slot { generation: 0, value: Some(value) });
        K::from_parts(slot, 0)
    }
    /// Takes the value out; its id is dead from now on.
    pub fn remove(&mut self, id: K) -> Option<T> {
        let slot = self.slots.get_mut(id.slot() as usize)?;
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
    pub fn at(&self, id: K) -> Option<&T> {
        let slot = self.slots.get(id.slot() as usize)?;
        if slot.generation == id.generation() { slot.value.as_ref() } else { None }
    }
    /// The value, to change it.
    pub fn at_mut(&mut self, id: K) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.slot() as usize)?;
        if slot.generation == id.generation() { slot.value.as_mut() } else { None }
    }
    /// The id of whoever is in this slot now.
    pub fn id_of_slot(&self, slot: u32) -> Option<K> {
        let entry = self.slots.get(slot as usize)?;
        entry.value.as_ref().map(|_| K::from_parts(slot, entry.generation))
    }
    /// Whoever is in this slot now, and its id.
    pub fn of_slot_mut(&mut self, slot: u32) -> Option<(K, &mut T)> {
        let entry = self.slots.get_mut(slot as usize)?;
        let generation = entry.generation;
        entry.value.as_mut().map(|value| (K::from_parts(slot, generation), value))
    }
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.used
    }
    /// All ids, by slot.
    pub fn ids(&self) -> Vec<K> {
        (0..self.slots.len() as u32).filter_map(|slot| self.id_of_slot(slot)).collect()
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
}
