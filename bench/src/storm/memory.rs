//! A process's memory over a run: the series, and whether it stayed flat.

use std::io;
use std::time::{Duration, Instant};

use crate::process::resident_bytes;

/// Growth that is no growth: an allocator's pages come and go.
const SLACK_BYTES: u64 = 4 << 20;
/// Growth in percent that is still flat.
const SLACK_PERCENT: u64 = 10;

/// Resident memory of a process, sampled.
pub(crate) struct Memory {
    pid: u32,
    started: Instant,
    every: Duration,
    next: Duration,
    /// Seconds since the start, and bytes.
    samples: Vec<(f64, u64)>,
}

impl Memory {
    pub(crate) fn new(pid: u32, every: Duration) -> io::Result<Memory> {
        resident_bytes(pid)?;
        Ok(Memory { pid, started: Instant::now(), every, next: Duration::ZERO, samples: Vec::new() })
    }

    /// Samples when it is time to; whether it did.
    pub(crate) fn sample(&mut self) -> io::Result<bool> {
        let at = self.started.elapsed();
        if at < self.next {
            return Ok(false);
        }
        self.next = at + self.every;
        self.samples.push((at.as_secs_f64(), resident_bytes(self.pid)?));
        Ok(true)
    }

    /// The last sample in MiB.
    pub(crate) fn last_mib(&self) -> f64 {
        self.samples.last().map_or(0.0, |&(_, bytes)| mib(bytes))
    }

    /// The largest sample in bytes.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.samples.iter().map(|&(_, bytes)| bytes).max().unwrap_or(0)
    }

    /// The samples as `seconds:MiB`, at most `count` of them, evenly taken.
    pub(crate) fn series(&self, count: usize) -> String {
        let step = self.samples.len().div_ceil(count.max(1)).max(1);
        let shown = self.samples.iter().step_by(step);
        shown.map(|&(at, bytes)| format!("{at:.0}:{:.1}", mib(bytes))).collect::<Vec<_>>().join(" ")
    }

    /// Whether the samples between `from` and `to` stayed flat: see [`flat`].
    pub(crate) fn is_flat(&self, from: Duration, to: Duration) -> (bool, u64, u64) {
        let range = from.as_secs_f64()..to.as_secs_f64();
        let taken = self.samples.iter().filter(|(at, _)| range.contains(at));
        flat(&taken.map(|&(_, bytes)| bytes).collect::<Vec<_>>())
    }
}

/// Whether the largest sample of the second half is no more than the largest of the first, but for a slack of 10 %
/// and 4 MiB, with the two. A leak slower than that shows in the series, and in a longer run.
fn flat(samples: &[u64]) -> (bool, u64, u64) {
    let (first, second) = samples.split_at(samples.len() / 2);
    let max = |samples: &[u64]| samples.iter().copied().max().unwrap_or(0);
    let (before, after) = (max(first), max(second));
    (after <= before + before * SLACK_PERCENT / 100 + SLACK_BYTES, before, after)
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_noise() {
        let mib = |values: &[u64]| values.iter().map(|value| value << 20).collect::<Vec<_>>();
        assert!(flat(&mib(&[40, 50, 45, 50])).0);
        assert!(flat(&mib(&[100, 100, 110, 114])).0);
        assert!(!flat(&mib(&[100, 100, 110, 115])).0);
        assert!(!flat(&mib(&[10, 10, 20, 30])).0);
    }

    #[test]
    fn this_process_has_a_series() {
        let mut memory = Memory::new(std::process::id(), Duration::ZERO).unwrap();
        assert!(memory.sample().unwrap() && memory.sample().unwrap());
        assert!(memory.max_bytes() > 100_000 && memory.series(10).contains("0:"));
    }
}
