//! Buffers for output, lent to the connections that have some and taken back when it is written: an idle
//! connection holds none, and a busy shard takes none from the allocator.

/// Lengths of buffers. The first holds one message for one connection of very many, the second what a turn has for
/// one of many; a backlog goes on in longer ones, so that it is few slices.
const LENGTHS: [usize; 4] = [128, 512, 4096, 16 << 10];
/// What is shorter than this is copied into something longer rather than continued in a second slice: a send of
/// several slices costs the kernel more than so many bytes copied.
const SHORT: usize = 4096;

/// Memory kept for output to come, in bytes: what a turn writes to sixteen thousand connections. More than that
/// is a burst, and its memory goes back to the allocator.
const SPARE_BYTES_MAX: usize = 2 << 20;

/// Buffers that nobody has.
#[derive(Default)]
pub struct BufferPool {
    spare: [Vec<Vec<u8>>; LENGTHS.len()],
    bytes: usize,
}

impl BufferPool {
    /// An empty buffer with room for at least `bytes`, longer when `behind` others are not written yet.
    #[inline]
    pub fn lend(&mut self, bytes: usize, behind: usize) -> Vec<u8> {
        let first = if behind == 0 { 0 } else { (behind + 1).min(LENGTHS.len() - 1) };
        let at = LENGTHS.iter().map(|length| usize::from(bytes > *length)).sum::<usize>().max(first);
        let Some(spare) = self.spare.get_mut(at) else { return Vec::with_capacity(bytes) };
        match spare.pop() {
            Some(buffer) => {
                self.bytes -= LENGTHS[at];
                buffer
            }
            None => Vec::with_capacity(LENGTHS[at]),
        }
    }

    /// Whether a buffer, which may be none at all, is to give way to a longer one when it is full.
    pub const fn is_short(buffer: &Vec<u8>) -> bool {
        buffer.capacity() < SHORT
    }

    /// Takes a buffer back; one of another length is freed.
    pub fn take_back(&mut self, mut buffer: Vec<u8>) {
        let Some(at) = LENGTHS.iter().position(|length| *length == buffer.capacity()) else { return };
        if self.bytes + LENGTHS[at] <= SPARE_BYTES_MAX {
            buffer.clear();
            self.bytes += LENGTHS[at];
            self.spare[at].push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_home_is_lent_again_and_bounded() {
        let mut pool = BufferPool::default();
        for (bytes, behind, length) in
            [(1, 0, 128), (128, 0, 128), (129, 0, 512), (513, 0, 4096), (1, 1, 4096), (1, 9, 16384)]
        {
            let buffer = pool.lend(bytes, behind);
            assert_eq!(buffer.capacity(), length);
            let memory = buffer.as_ptr();
            pool.take_back(buffer);
            let again = pool.lend(bytes, behind);
            assert_eq!((again.as_ptr(), again.len()), (memory, 0));
            pool.take_back(again);
        }
        let all: Vec<_> = (0..1000).map(|_| pool.lend(16 << 10, 0)).collect();
        all.into_iter().for_each(|buffer| pool.take_back(buffer));
        pool.take_back(Vec::with_capacity(70_000));
        let kept: usize = pool.spare.iter().flatten().map(Vec::capacity).sum();
        assert_eq!(kept, pool.bytes);
        assert!(kept <= SPARE_BYTES_MAX);
    }
}
