//! What has been sent with a packet identifier and is not finished: one table per session and direction.
//! It hands identifiers out, keeps the order in which entries came, and never looks at what an entry means.
//!
//! The identifier is the slot plus one, so finding an entry is one index. Two lists run through the slots:
//! the entries in order of insertion, and the free slots, oldest first. A slot just freed goes to the end of
//! the free list and the table keeps a few slots free before it uses one again, so a late duplicate of an
//! acknowledgement does not meet a new message under its old number. Nothing is allocated before first use.

use alloc::boxed::Box;
use alloc::vec::Vec;
use ringmq_wire::PacketId;

/// End of a list. Slots are numbered 0 to 65,534, so no slot has this number.
const NIL: u16 = u16::MAX;

/// All packet identifiers, 1 to 65,535.
const SLOTS_MAX: usize = 65_535;

/// Free slots to keep before one is used again: an identifier rests for at least this many insertions.
const REST_SLOTS_MIN: u16 = 8;

struct Slot<T> {
    previous: u16,
    next: u16,
    value: Option<T>,
}

#[derive(Clone, Copy)]
struct List {
    first: u16,
    last: u16,
    len: u16,
}

const EMPTY: List = List { first: NIL, last: NIL, len: 0 };

/// Entries by packet identifier, in order of insertion; every operation but iteration takes constant time.
pub struct Inflight<T>(Option<Box<Table<T>>>);

struct Table<T> {
    slots: Vec<Slot<T>>,
    order: List,
    free: List,
}

impl<T> Inflight<T> {
    /// An empty table; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds an entry at the end and names its identifier. Nothing when `limit` or more entries are there, or
    /// all 65,535 identifiers are in use; the value is dropped then, so ask [`Self::has_room`] first where
    /// it matters.
    pub fn insert(&mut self, limit: u16, value: T) -> Option<PacketId> {
        if !self.has_room(limit) {
            return None;
        }
        self.table().insert(value)
    }

    /// Whether [`Self::insert`] with this limit would succeed.
    #[must_use]
    pub fn has_room(&self, limit: u16) -> bool {
        self.len() < usize::from(limit)
    }

    /// The identifier to use next, nothing at the same bounds as [`Self::insert`]; it is taken only by
    /// [`Self::insert_at`].
    #[must_use]
    pub fn vacant(&self, limit: u16) -> Option<PacketId> {
        if !self.has_room(limit) {
            return None;
        }
        self.0.as_ref().map_or(identifier(0), |table| table.vacant())
    }

    /// Adds an entry at the end under a given identifier; false when that identifier is in use.
    pub fn insert_at(&mut self, packet_id: PacketId, value: T) -> bool {
        self.table().insert_at(packet_id, value)
    }

    /// The entry under this identifier.
    #[must_use]
    pub fn get(&self, packet_id: PacketId) -> Option<&T> {
        self.0.as_ref()?.slots.get(index(packet_id))?.value.as_ref()
    }

    /// The entry under this identifier, to change it; its place in the order stays.
    pub fn get_mut(&mut self, packet_id: PacketId) -> Option<&mut T> {
        self.0.as_mut()?.slots.get_mut(index(packet_id))?.value.as_mut()
    }

    /// Takes an entry out; its identifier rests before it is given again.
    pub fn remove(&mut self, packet_id: PacketId) -> Option<T> {
        self.0.as_mut()?.remove(packet_id)
    }

    /// The entry inserted first among those that are left.
    #[must_use]
    pub fn first(&self) -> Option<(PacketId, &T)> {
        self.iter().next()
    }

    /// The entries in order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (PacketId, &T)> {
        self.0.iter().flat_map(|table| table.iter())
    }

    /// Calls `visit` for every entry in order of insertion.
    pub fn for_each_mut(&mut self, visit: impl FnMut(PacketId, &mut T)) {
        if let Some(table) = &mut self.0 {
            table.for_each_mut(visit);
        }
    }

    /// How many entries there are, 0 to 65,535.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |table| usize::from(table.order.len))
    }

    /// Whether no entry is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every entry and gives the memory back; identifiers start at 1 again.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    fn table(&mut self) -> &mut Table<T> {
        self.0.get_or_insert_with(|| Box::new(Table { slots: Vec::new(), order: EMPTY, free: EMPTY }))
    }
}

impl<T> Table<T> {
    fn insert(&mut self, value: T) -> Option<PacketId> {
        let slot = self.take_free()?;
        self.fill(slot, value);
        identifier(slot)
    }

    fn vacant(&self) -> Option<PacketId> {
        let fresh = u16::try_from(self.slots.len()).ok().filter(|n| usize::from(*n) < SLOTS_MAX);
        let rested = (self.free.first != NIL).then_some(self.free.first);
        let slot = if self.free.len < REST_SLOTS_MIN { fresh.or(rested) } else { rested };
        identifier(slot?)
    }

    fn insert_at(&mut self, packet_id: PacketId, value: T) -> bool {
        let slot = packet_id.value() - 1;
        while self.slots.len() <= usize::from(slot) {
            let Some(fresh) = self.grow() else { return false };
            link_last(&mut self.slots, &mut self.free, fresh);
        }
        if self.slots[usize::from(slot)].value.is_some() {
            return false;
        }
        unlink(&mut self.slots, &mut self.free, slot);
        self.fill(slot, value);
        true
    }

    fn remove(&mut self, packet_id: PacketId) -> Option<T> {
        let value = self.slots.get_mut(index(packet_id))?.value.take()?;
        let slot = packet_id.value() - 1;
        unlink(&mut self.slots, &mut self.order, slot);
        link_last(&mut self.slots, &mut self.free, slot);
        Some(value)
    }

    fn iter(&self) -> impl Iterator<Item = (PacketId, &T)> {
        let mut at = self.order.first;
        core::iter::from_fn(move || {
            let slot = self.slots.get(usize::from(at))?;
            let packet_id = identifier(at)?;
            at = slot.next;
            Some((packet_id, slot.value.as_ref()?))
        })
    }

    fn for_each_mut(&mut self, mut visit: impl FnMut(PacketId, &mut T)) {
        let mut at = self.order.first;
        while let Some(slot) = self.slots.get_mut(usize::from(at)) {
            if let (Some(packet_id), Some(value)) = (identifier(at), slot.value.as_mut()) {
                visit(packet_id, value);
            }
            at = slot.next;
        }
    }

    fn take_free(&mut self) -> Option<u16> {
        if self.free.len < REST_SLOTS_MIN
            && let Some(fresh) = self.grow()
        {
            return Some(fresh);
        }
        let slot = self.free.first;
        if slot == NIL {
            return None;
        }
        unlink(&mut self.slots, &mut self.free, slot);
        Some(slot)
    }

    /// A new slot that is in neither list.
    fn grow(&mut self) -> Option<u16> {
        if self.slots.len() >= SLOTS_MAX {
            return None;
        }
        let slot = u16::try_from(self.slots.len()).ok()?;
        self.slots.push(Slot { previous: NIL, next: NIL, value: None });
        Some(slot)
    }

    fn fill(&mut self, slot: u16, value: T) {
        self.slots[usize::from(slot)].value = Some(value);
        link_last(&mut self.slots, &mut self.order, slot);
    }
}

impl<T> Default for Inflight<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Inflight<T> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_map().entries(self.iter().map(|(id, value)| (id.value(), value))).finish()
    }
}

fn index(packet_id: PacketId) -> usize {
    usize::from(packet_id.value()) - 1
}

fn identifier(slot: u16) -> Option<PacketId> {
    PacketId::new(slot.checked_add(1)?)
}

fn link_last<T>(slots: &mut [Slot<T>], list: &mut List, slot: u16) {
    let previous = list.last;
    slots[usize::from(slot)].previous = previous;
    slots[usize::from(slot)].next = NIL;
    match slots.get_mut(usize::from(previous)) {
        Some(last) => last.next = slot,
        None => list.first = slot,
    }
    list.last = slot;
    list.len += 1;
}

fn unlink<T>(slots: &mut [Slot<T>], list: &mut List, slot: u16) {
    let (previous, next) = (slots[usize::from(slot)].previous, slots[usize::from(slot)].next);
    match slots.get_mut(usize::from(previous)) {
        Some(before) => before.next = next,
        None => list.first = next,
    }
    match slots.get_mut(usize::from(next)) {
        Some(after) => after.previous = previous,
        None => list.last = previous,
    }
    list.len -= 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn id(value: u16) -> PacketId {
        PacketId::new(value).unwrap()
    }

    fn ids<T>(table: &Inflight<T>) -> Vec<u16> {
        table.iter().map(|(id, _)| id.value()).collect()
    }

    #[test]
    fn identifiers_rest_before_they_are_given_again() {
        let mut table = Inflight::new();
        let mut given = Vec::new();
        for _ in 0..100 {
            let packet_id = table.insert(10, ()).unwrap();
            given.push(packet_id.value());
            table.remove(packet_id);
        }
        for (at, packet_id) in given.iter().enumerate() {
            let again = given[at + 1..].iter().position(|other| other == packet_id);
            assert!(again.is_none_or(|distance| distance + 1 >= usize::from(REST_SLOTS_MIN)));
        }
        assert!(given.iter().max().unwrap() <= &(REST_SLOTS_MIN + 1), "the table does not grow without need");
    }

    #[test]
    fn limit_and_exhaustion() {
        let mut table = Inflight::new();
        assert!(table.insert(0, 0).is_none());
        for value in 0..SLOTS_MAX {
            assert!(table.insert(u16::MAX, value).is_some());
        }
        assert!(table.insert(u16::MAX, 0).is_none());
        assert_eq!(table.len(), SLOTS_MAX);
        assert_eq!(table.remove(id(40_000)), Some(39_999));
        assert_eq!(table.insert(u16::MAX, 7), Some(id(40_000)));
        assert_eq!(table.iter().last(), Some((id(40_000), &7)));
    }

    #[test]
    fn insert_at_keeps_order_and_the_free_list_whole() {
        let mut table = Inflight::new();
        assert!(table.insert_at(id(5), 'a'));
        assert!(!table.insert_at(id(5), 'b'));
        assert!(table.insert_at(id(2), 'c'));
        assert_eq!(ids(&table), vec![5, 2]);
        let mut all = ids(&table);
        for _ in 0..20 {
            all.push(table.insert(u16::MAX, 'x').unwrap().value());
        }
        assert_eq!(ids(&table), all);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 22);
        assert!(table.insert_at(PacketId::MAX, 'z'));
        assert_eq!(table.get(PacketId::MAX), Some(&'z'));
        table.clear();
        assert!(table.is_empty() && table.get(id(5)).is_none());
    }

    /// Any sequence of operations against an ordered list of pairs.
    #[test]
    fn behaves_like_an_ordered_list() {
        let mut table = Inflight::new();
        let mut model: Vec<(u16, u32)> = Vec::new();
        let mut seed = 0x1234_5678_u32;
        for step in 0..20_000_u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let pick = (seed >> 8) as usize;
            match seed >> 30 {
                0 if !model.is_empty() => {
                    let (packet_id, value) = model.remove(pick % model.len());
                    assert_eq!(table.remove(id(packet_id)), Some(value));
                    assert_eq!(table.remove(id(packet_id)), None);
                }
                1 => {
                    let packet_id = (pick % 300) as u16 + 1;
                    let free = model.iter().all(|entry| entry.0 != packet_id);
                    assert_eq!(table.insert_at(id(packet_id), step), free);
                    if free {
                        model.push((packet_id, step));
                    }
                }
                _ => match table.insert(200, step) {
                    Some(packet_id) => {
                        assert!(model.iter().all(|entry| entry.0 != packet_id.value()));
                        model.push((packet_id.value(), step));
                    }
                    None => assert!(model.len() >= 200),
                },
            }
            if step % 64 == 0 {
                let entries: Vec<_> = table.iter().map(|(id, value)| (id.value(), *value)).collect();
                assert_eq!(entries, model);
            }
        }
        let mut seen = Vec::new();
        table.for_each_mut(|id, value| seen.push((id.value(), *value)));
        assert_eq!(seen, model);
    }
}
