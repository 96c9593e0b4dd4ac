//! One wheel for all timers of a shard: six levels of 64 slots over milliseconds. Arming and cancelling link a
//! timer into its slot's list and out of it. Who goes cancels what it armed, so that the wheel holds no more than
//! what lives; a keep-alive is armed once per period and not once per packet.

use ringmq_proto::time::Mono;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Timers in one piece of the wheel's memory: it grows by pieces and copies nothing.
const CHUNK: usize = 256;
/// In the place of a timer's number: none.
const NONE: u32 = u32::MAX;
/// In the place of a slot's number: the timer is in none.
const FREE: u16 = u16::MAX;

/// Names a timer that was armed. It names nothing once that has fired or was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    number: u32,
    generation: u32,
}

impl TimerKey {
    /// A key of no timer.
    pub const NONE: Self = Self { number: NONE, generation: 0 };
}

/// Timers carrying a `T` each.
pub struct Wheel<T> {
    now: u64,
    /// Of each slot, its first and its last timer.
    slots: Vec<(u32, u32)>,
    occupied: [u64; LEVELS],
    armed: usize,
    chunks: Vec<Vec<Node<T>>>,
    /// The first of the places whose timer is gone.
    free: u32,
}

struct Node<T> {
    deadline: u64,
    what: T,
    before: u32,
    behind: u32,
    generation: u32,
    slot: u16,
}

impl<T: Copy> Wheel<T> {
    /// A wheel whose present is `now`.
    pub fn new(now: Mono) -> Self {
        let slots = vec![(NONE, NONE); LEVELS * SLOTS];
        Self { now: now.0, slots, occupied: [0; LEVELS], armed: 0, chunks: Vec::new(), free: NONE }
    }

    /// How many timers are armed.
    pub const fn len(&self) -> usize {
        self.armed
    }

    /// Arms a timer; one in the past fires at the next advance. Deadlines further away than the wheel
    /// reaches (about two years) are taken as that far.
    pub fn arm(&mut self, deadline: Mono, what: T) -> TimerKey {
        self.armed += 1;
        let number = self.take_place(deadline.0, what);
        self.link(number);
        TimerKey { number, generation: self.node(number).generation }
    }

    /// Takes a timer out; one that has fired or was cancelled is let be.
    pub fn cancel(&mut self, key: TimerKey) {
        let chunk = self.chunks.get(key.number as usize / CHUNK);
        let node = chunk.and_then(|chunk| chunk.get(key.number as usize % CHUNK));
        if node.is_some_and(|node| node.generation == key.generation && node.slot != FREE) {
            self.unlink(key.number);
            self.give_back(key.number);
        }
    }

    fn take_place(&mut self, deadline: u64, what: T) -> u32 {
        if self.free != NONE {
            let number = self.free;
            let node = self.node_mut(number);
            (node.deadline, node.what) = (deadline, what);
            self.free = node.behind;
            return number;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[index];
        let number = u32::try_from(index * CHUNK + chunk.len()).expect("fewer than 2^32 timers by limits");
        chunk.push(Node { deadline, what, before: NONE, behind: NONE, generation: 0, slot: FREE });
        number
    }

    fn give_back(&mut self, number: u32) {
        let free = self.free;
        let node = self.node_mut(number);
        node.generation = node.generation.wrapping_add(1);
        (node.slot, node.behind) = (FREE, free);
        self.free = number;
        self.armed -= 1;
    }

    /// Puts a timer behind the others of its slot.
    fn link(&mut self, number: u32) {
        let reach = (1u64 << (SLOT_BITS * LEVELS as u32)) - 1;
        let deadline = self.node(number).deadline;
        let at = deadline.clamp(self.now + 1, (self.now + 1).max(self.now.saturating_add(reach >> 1)));
        let level = ((63 - (at ^ self.now).leading_zeros()) / SLOT_BITS).min(LEVELS as u32 - 1) as usize;
        let place = (at >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        self.occupied[level] |= 1 << place;
        let slot = level * SLOTS + place;
        let last = std::mem::replace(&mut self.slots[slot].1, number);
        let node = self.node_mut(number);
        (node.slot, node.before, node.behind) = (slot as u16, last, NONE);
        match last {
            NONE => self.slots[slot].0 = number,
            last => self.node_mut(last).behind = number,
        }
    }

    fn unlink(&mut self, number: u32) {
        let node = self.node(number);
        let (slot, before, behind) = (usize::from(node.slot), node.before, node.behind);
        match before {
            NONE => self.slots[slot].0 = behind,
            before => self.node_mut(before).behind = behind,
        }
        match behind {
            NONE => self.slots[slot].1 = before,
            behind => self.node_mut(behind).before = before,
        }
        if self.slots[slot].0 == NONE {
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        }
    }

    fn node(&self, number: u32) -> &Node<T> {
        &self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }

    fn node_mut(&mut self, number: u32) -> &mut Node<T> {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }

    /// A moment at or before the first timer, at which `advance` makes progress.
    pub fn deadline(&self) -> Option<Mono> {
        if self.armed == 0 {
            return None;
        }
        (0..LEVELS).filter_map(|level| self.level_deadline(level)).min().map(Mono)
    }

    fn level_deadline(&self, level: usize) -> Option<u64> {
        let shift = SLOT_BITS * level as u32;
        let here = (self.now >> shift) as u32 % SLOTS as u32;
        let turned = self.occupied[level].rotate_right(here);
        // Slot `here` itself, on any level, can only hold what lies one full turn ahead.
        let ahead = match (turned & !1).trailing_zeros() {
            64 if turned & 1 == 1 => 64,
            64 => return None,
            n => n,
        };
        Some(((self.now >> shift) + u64::from(ahead)) << shift)
    }

    /// Goes on to `to` and collects what is due, in the order of the slots.
    pub fn advance(&mut self, to: Mono, due: &mut Vec<T>) {
        while let Some(at) = self.deadline().filter(|at| at.0 <= to.0) {
            self.now = at.0;
            for level in (0..LEVELS).rev() {
                let shift = SLOT_BITS * level as u32;
                if self.now & ((1u64 << shift) - 1) == 0 {
                    self.empty(level * SLOTS + (self.now >> shift) as usize % SLOTS, due);
                }
            }
        }
        self.now = self.now.max(to.0);
    }

    /// Collects what is due of one slot and places the rest anew.
    fn empty(&mut self, slot: usize, due: &mut Vec<T>) {
        let (mut number, _) = std::mem::replace(&mut self.slots[slot], (NONE, NONE));
        self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        while number != NONE {
            let node = self.node(number);
            let (deadline, what, behind) = (node.deadline, node.what, node.behind);
            if deadline <= self.now {
                self.give_back(number);
                due.push(what);
            } else {
                self.link(number);
            }
            number = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_fires_once_and_never_early() {
        let mut random = 1u64;
        let mut wheel = Wheel::new(Mono(5));
        let mut armed = Vec::new();
        let (mut now, mut fired) = (5u64, Vec::new());
        for step in 0..20_000u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let span = 1u64 << ((random >> 58) % 24);
            let deadline = now + (random >> 20) % span;
            wheel.arm(Mono(deadline), (step, deadline));
            armed.push(step);
            if step % 7 == 0 {
                let next = wheel.deadline().expect("armed").0;
                now = if random & 1 == 0 { now + (random >> 30) % 5000 } else { now.max(next) };
                let before = fired.len();
                wheel.advance(Mono(now), &mut fired);
                assert!(fired[before..].iter().all(|(_, d)| *d <= now), "early at {now}");
            }
        }
        wheel.advance(Mono(now + (1 << 30)), &mut fired);
        let mut ids: Vec<u64> = fired.iter().map(|(step, _)| *step).collect();
        ids.sort_unstable();
        assert_eq!(ids, armed);
        assert_eq!(wheel.deadline(), None);
    }

    #[test]
    fn what_is_due_fires_at_its_moment() {
        let mut wheel = Wheel::new(Mono(0));
        let mut fired = Vec::new();
        for deadline in [1, 63, 64, 65, 4095, 4096, 4097, 262_144, 300_000] {
            wheel.arm(Mono(deadline), deadline);
            while let Some(at) = wheel.deadline() {
                wheel.advance(at, &mut fired);
                if fired.last() == Some(&deadline) {
                    assert_eq!(at.0, deadline);
                }
            }
            assert_eq!(fired.last(), Some(&deadline));
            wheel = Wheel::new(Mono(0));
        }
    }

    /// Against a list of what must fire: cancelled timers never do, all others once, and their places are used
    /// again.
    #[test]
    fn what_is_cancelled_never_fires_and_leaves_nothing() {
        let mut random = 7u64;
        let mut next = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> 20
        };
        let mut wheel = Wheel::new(Mono(9));
        let (mut now, mut fired) = (9u64, Vec::new());
        let mut armed: Vec<(u64, TimerKey)> = Vec::new();
        let mut expected = Vec::new();
        for step in 0..50_000u64 {
            let deadline = now + next() % (1 << (next() % 20));
            armed.push((step, wheel.arm(Mono(deadline), step)));
            expected.push(step);
            // As many go as come, so that a hundred or so live at a time.
            while armed.len() > 100 {
                let (gone, key) = armed.swap_remove(next() as usize % armed.len());
                let before = wheel.len();
                wheel.cancel(key);
                if wheel.len() < before {
                    expected.retain(|step| *step != gone);
                }
                wheel.cancel(key);
            }
            now += next() % 3;
            wheel.advance(Mono(now), &mut fired);
            for step in fired.drain(..) {
                let at = expected.iter().position(|other| *other == step).expect("armed and not cancelled");
                expected.swap_remove(at);
            }
            assert_eq!(wheel.len(), expected.len());
        }
        assert_eq!(wheel.chunks.len(), 1);
        wheel.advance(Mono(now + (1 << 30)), &mut fired);
        fired.sort_unstable();
        expected.sort_unstable();
        assert_eq!(fired, expected);
        assert_eq!((wheel.len(), wheel.deadline(), wheel.occupied), (0, None, [0; LEVELS]));
        wheel.cancel(TimerKey::NONE);
    }
}
