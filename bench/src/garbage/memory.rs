//! The broker's resident memory over a run, and whether it stayed flat.

use std::io;

use crate::process;

/// What the second half of a run may take beyond the first, in bytes. The first half is where pools fill, tables
/// reach their bounds and every session, topic and subscription that the garbage can name comes into being. What
/// grows behind that is a leak: over half a million packets this bound finds one of 8 bytes a packet, and one of
/// a single forgotten connection of a few KiB every few hundred packets.
const GROWTH_BYTES_MAX: u64 = 4 << 20;
/// The same for a broker whose allocator uses huge pages: four of them more, since which of them have a byte in use
/// changes with every burst. Measured with RingMQ: 2 MiB of live bytes were 9 MiB resident without huge pages and 34
/// with them, and those went up and down by 2 to 4 MiB.
const GROWTH_BYTES_MAX_HUGE: u64 = 12 << 20;
/// What a program that wants no huge pages may have got of one before it could say so.
const ONE_HUGE_PAGE: u64 = 2 << 20;

/// Samples of one process, in the order of the packets sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    pid: Option<u32>,
    samples: Vec<(u64, u64)>,
    huge: bool,
}

impl Series {
    pub(super) fn new(pid: Option<u32>) -> Self {
        Self { pid, samples: Vec::new(), huge: false }
    }

    /// Looks once, after so many packets.
    pub(super) fn sample(&mut self, packets: u64) -> io::Result<()> {
        if let Some(pid) = self.pid {
            self.samples.push((packets, process::resident_bytes(pid)?));
            self.huge |= process::huge_page_bytes(pid)? > ONE_HUGE_PAGE;
        }
        Ok(())
    }

    pub(super) fn samples(&self) -> &[(u64, u64)] {
        &self.samples
    }

    pub(super) fn last_bytes(&self) -> Option<u64> {
        self.samples.last().map(|(_, bytes)| *bytes)
    }

    /// The most that each half had; nothing when there are too few samples to say.
    pub(super) fn halves(&self) -> Option<(u64, u64)> {
        let middle = self.samples.last()?.0 / 2;
        let most = |late: bool| {
            let half = self.samples.iter().filter(|(packets, _)| (*packets > middle) == late);
            half.map(|(_, bytes)| *bytes).max()
        };
        Some((most(false)?, most(true)?))
    }

    /// How much more than the first half the second may have had.
    pub(super) fn growth_bytes_max(&self) -> u64 {
        if self.huge { GROWTH_BYTES_MAX_HUGE } else { GROWTH_BYTES_MAX }
    }

    /// Whether the second half had no more than the first and the bound.
    pub(super) fn is_flat(&self) -> Option<bool> {
        self.halves().map(|(first, second)| second <= first + self.growth_bytes_max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(mebibytes: &[u64]) -> Series {
        let samples = mebibytes.iter().enumerate().map(|(at, size)| (at as u64 * 100, size << 20)).collect();
        Series { pid: None, samples, huge: false }
    }

    #[test]
    fn a_rise_that_ends_is_flat_and_one_that_goes_on_is_not() {
        assert_eq!(series(&[5, 20, 30, 31, 31, 30, 31]).is_flat(), Some(true));
        assert_eq!(series(&[5, 8, 11, 14, 17, 20, 25]).is_flat(), Some(false));
        let huge = Series { huge: true, ..series(&[5, 8, 11, 14, 17, 20, 25]) };
        assert_eq!(huge.is_flat(), Some(true));
        assert_eq!(series(&[]).is_flat(), None);
        assert_eq!(series(&[5]).is_flat(), None);
    }

    #[test]
    fn one_process_can_be_looked_at() {
        let mut memory = Series::new(Some(std::process::id()));
        memory.sample(7).unwrap();
        assert_eq!(memory.samples()[0].0, 7);
        assert!(memory.last_bytes().unwrap() > 100_000);
    }
}
