//! Who subscribed to one filter. One subscriber takes no memory of its own; a crowd is a list to walk, with an
//! index from some size on, so that joining and leaving a filter of 100,000 costs no walk. The order is that
//! of the history: joining goes to the end, the last one fills the place of one who leaves.

use alloc::{boxed::Box, vec::Vec};
use core::mem;
use hashbrown::HashTable;

/// Subscribers above which the list gets an index, and at half of which it loses it.
const UNINDEXED_MAX: usize = 16;

pub(crate) enum Subscribers<V> {
    None,
    One((u32, V)),
    Many(Box<Crowd<V>>),
}

pub(crate) struct Crowd<V> {
    list: Vec<(u32, V)>,
    /// Places in the list; empty while the list is short.
    places: HashTable<u32>,
}

impl<V> Subscribers<V> {
    /// The subscribers in order.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[(u32, V)] {
        match self {
            Self::None => &[],
            Self::One(one) => core::slice::from_ref(one),
            Self::Many(crowd) => &crowd.list,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(crate) fn contains(&self, who: u32) -> bool {
        match self {
            Self::Many(crowd) => crowd.place(who).is_some(),
            few => few.as_slice().first().is_some_and(|one| one.0 == who),
        }
    }

    /// Adds a subscriber, or replaces the value it had and gives that back.
    pub(crate) fn insert(&mut self, who: u32, value: V) -> Option<V> {
        match self {
            Self::One(one) if one.0 == who => Some(mem::replace(&mut one.1, value)),
            Self::Many(crowd) => crowd.insert(who, value),
            Self::None => {
                *self = Self::One((who, value));
                None
            }
            Self::One(_) => {
                let mut crowd = Crowd { list: Vec::with_capacity(4), places: HashTable::new() };
                if let Self::One(one) = mem::replace(self, Self::None) {
                    crowd.list.push(one);
                }
                crowd.list.push((who, value));
                *self = Self::Many(Box::new(crowd));
                None
            }
        }
    }

    /// Takes a subscriber out.
    pub(crate) fn remove(&mut self, who: u32) -> Option<V> {
        if !self.contains(who) {
            return None;
        }
        match mem::replace(self, Self::None) {
            Self::None => None,
            Self::One((_, value)) => Some(value),
            Self::Many(mut crowd) => {
                let value = crowd.remove(who);
                *self = match crowd.list.len() {
                    1 => crowd.list.pop().map_or(Self::None, Self::One),
                    _ => Self::Many(crowd),
                };
                value
            }
        }
    }
}

impl<V> Crowd<V> {
    fn place(&self, who: u32) -> Option<usize> {
        if self.places.is_empty() {
            return self.list.iter().position(|one| one.0 == who);
        }
        let place = self.places.find(hash(who), |&place| self.list[place as usize].0 == who)?;
        Some(*place as usize)
    }

    fn insert(&mut self, who: u32, value: V) -> Option<V> {
        if let Some(place) = self.place(who) {
            return Some(mem::replace(&mut self.list[place].1, value));
        }
        self.list.push((who, value));
        if !self.places.is_empty() {
            self.index(self.list.len() - 1);
        } else if self.list.len() > UNINDEXED_MAX {
            (0..self.list.len()).for_each(|place| self.index(place));
        }
        None
    }

    fn index(&mut self, place: usize) {
        let list = &self.list;
        let rehash = |&place: &u32| hash(list[place as usize].0);
        self.places.insert_unique(hash(list[place].0), place as u32, rehash);
    }

    fn remove(&mut self, who: u32) -> Option<V> {
        let place = self.place(who)?;
        if !self.places.is_empty() {
            self.unindex(place);
        }
        let (_, value) = self.list.swap_remove(place);
        if self.list.len() <= UNINDEXED_MAX / 2 {
            self.places = HashTable::new();
        }
        if self.list.len() * 4 < self.list.capacity() {
            self.list.shrink_to(self.list.len() * 2);
            let list = &self.list;
            self.places.shrink_to(list.len() * 2, |&place| hash(list[place as usize].0));
        }
        Some(value)
    }

    /// Takes a place out of the index and gives it to the last of the list, which will move there.
    fn unindex(&mut self, place: usize) {
        let list = &self.list;
        if let Ok(entry) = self.places.find_entry(hash(list[place].0), |&found| found as usize == place) {
            entry.remove();
        }
        let last = list.len() - 1;
        if let Some(found) = self.places.find_mut(hash(list[last].0), |&found| found as usize == last) {
            *found = place as u32;
        }
    }
}

/// Session slots are given out by the shard itself, so no key is needed against chosen numbers.
fn hash(who: u32) -> u64 {
    let product = u64::from(who).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn behaves_like_a_list(steps in prop::collection::vec((any::<bool>(), 0u32..60, any::<u16>()), 0..400)) {
            let mut subscribers = Subscribers::None;
            let mut model: Vec<(u32, u16)> = Vec::new();
            for (joins, who, value) in steps {
                let place = model.iter().position(|one| one.0 == who);
                if joins {
                    let before = place.map(|place| mem::replace(&mut model[place].1, value));
                    if place.is_none() {
                        model.push((who, value));
                    }
                    prop_assert_eq!(subscribers.insert(who, value), before);
                } else {
                    prop_assert_eq!(subscribers.remove(who), place.map(|place| model.swap_remove(place).1));
                }
                prop_assert_eq!(subscribers.as_slice(), &model[..]);
                prop_assert_eq!(subscribers.contains(who), joins);
                prop_assert_eq!(subscribers.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn a_crowd_gives_its_memory_back() {
        let mut subscribers = Subscribers::None;
        (0..10_000).for_each(|who| assert_eq!(subscribers.insert(who, ()), None));
        (8..10_000).rev().for_each(|who| assert_eq!(subscribers.remove(who), Some(())));
        let Subscribers::Many(crowd) = &subscribers else { panic!("eight are many") };
        assert!(crowd.list.capacity() <= 32 && crowd.places.capacity() == 0);
        (0..8).for_each(|who| assert_eq!(subscribers.remove(who), Some(())));
        assert!(subscribers.is_empty());
    }
}
