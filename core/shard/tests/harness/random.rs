//! The one source of chance of a test run, so that a seed is a whole run. It never asks the machine for
//! anything.

use std::collections::VecDeque;

/// A small generator (SplitMix64): any seed is good, and the same seed gives the same numbers for ever. It may
/// have a tape, whose bytes choose first; a fuzzer that changes one byte changes one choice.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    tape: VecDeque<u8>,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, tape: VecDeque::new() }
    }

    /// A generator whose choices are the tape's while there is any left, and then those of a seed.
    pub fn with_tape(seed: u64, tape: &[u8]) -> Self {
        Self { state: seed, tape: tape.iter().copied().collect() }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end`, `end` excluded.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "nothing to choose from");
        self.choice_of_tape(end).unwrap_or_else(|| (self.next() % end as u64) as usize)
    }

    /// The tape's next choice; one of a single possibility takes nothing from it.
    fn choice_of_tape(&mut self, end: usize) -> Option<usize> {
        if end == 1 {
            return None;
        }
        let byte = usize::from(self.tape.pop_front()?);
        if end <= 256 {
            return Some(byte % end);
        }
        let more = usize::from(self.tape.pop_front().unwrap_or(0));
        Some((byte << 8 | more) % end)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True `percent` times out of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A hash over everything that happened, in order: two runs of one seed must agree on it (FNV-1a, 64 bits).
#[derive(Clone, Debug)]
pub struct Trace(u64);

impl Trace {
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub fn event(&mut self, what: &str, numbers: &[u64]) {
        self.bytes(what.as_bytes());
        for number in numbers {
            self.bytes(&number.to_le_bytes());
        }
    }

    pub fn hash(&self) -> u64 {
        self.0
    }
}
