//! One wheel for all timers of a shard: six levels of 64 slots over milliseconds. Nothing is ever
//! cancelled; whoever gets a timer checks whether it still means anything, so arming is a push and a
//! keep-alive is armed once per period and not once per packet.

use ringmq_proto::time::Mono;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;

/// Emptied slots whose memory waits for the next slot that is needed: a shard's regular timers take no more.
const SPARE_SLOTS_MAX: usize = 8;

/// Longest slot whose memory is kept; a longer one held a burst of timers.
const SPARE_TIMERS_MAX: usize = 64;

/// Timers carrying a `T` each.
pub struct Wheel<T> {
    now: u64,
    slots: Vec<Vec<(u64, T)>>,
    spare: Vec<Vec<(u64, T)>>,
    occupied: [u64; LEVELS],
    armed: usize,
}

impl<T> Wheel<T> {
    /// A wheel whose present is `now`.
    pub fn new(now: Mono) -> Self {
        let slots = (0..LEVELS * SLOTS).map(|_| Vec::new()).collect();
        Self { now: now.0, slots, spare: Vec::new(), occupied: [0; LEVELS], armed: 0 }
    }

    /// Arms a timer; one in the past fires at the next advance. Deadlines further away than the wheel
    /// reaches (about two years) are taken as that far.
    pub fn arm(&mut self, deadline: Mono, what: T) {
        self.armed += 1;
        self.place(deadline.0, what);
    }

    fn place(&mut self, deadline: u64, what: T) {
        let reach = (1u64 << (SLOT_BITS * LEVELS as u32)) - 1;
        let at = deadline.clamp(self.now + 1, (self.now + 1).max(self.now.saturating_add(reach >> 1)));
        let level = ((63 - (at ^ self.now).leading_zeros()) / SLOT_BITS).min(LEVELS as u32 - 1) as usize;
        let slot = (at >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        self.occupied[level] |= 1 << slot;
        let timers = &mut self.slots[level * SLOTS + slot];
        if timers.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            *timers = spare;
        }
        timers.push((deadline, what));
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
                if self.now & ((1u64 << shift) - 1) != 0 {
                    continue;
                }
                let slot = (self.now >> shift) as usize % SLOTS;
                if self.occupied[level] & (1 << slot) == 0 {
                    continue;
                }
                self.occupied[level] &= !(1 << slot);
                let mut timers = std::mem::take(&mut self.slots[level * SLOTS + slot]);
                for (deadline, what) in timers.drain(..) {
                    if deadline <= self.now {
                        self.armed -= 1;
                        due.push(what);
                    } else {
                        self.place(deadline, what);
                    }
                }
                if self.spare.len() < SPARE_SLOTS_MAX && timers.capacity() <= SPARE_TIMERS_MAX {
                    self.spare.push(timers);
                }
            }
        }
        self.now = self.now.max(to.0);
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
}
