//! Values at numbers, in chunks that never move, so that growth copies nothing. A chunk without values gives
//! its memory back. A number is used again after its value is gone, so it must not be kept longer.

use alloc::vec::Vec;

const CHUNK: usize = 256;

pub(crate) struct Arena<T> {
    chunks: Vec<Chunk<T>>,
    /// Chunks with a free place; each stands here at most once.
    open: Vec<u32>,
    len: usize,
}

struct Chunk<T> {
    values: Vec<Option<T>>,
    free: Vec<u8>,
    is_open: bool,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), open: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Stores a value and gives its number. Panics past `u32::MAX` values.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let index = match self.open.last() {
            Some(&index) => index as usize,
            None => self.add_chunk(),
        };
        let chunk = &mut self.chunks[index];
        let place = match chunk.free.pop() {
            Some(place) => {
                chunk.values[place as usize] = Some(value);
                place as usize
            }
            None => {
                if chunk.values.capacity() == 0 {
                    chunk.values.reserve_exact(if index == 0 { 4 } else { CHUNK });
                }
                chunk.values.push(Some(value));
                chunk.values.len() - 1
            }
        };
        if chunk.free.is_empty() && chunk.values.len() == CHUNK {
            chunk.is_open = false;
            self.open.pop();
        }
        self.len += 1;
        u32::try_from(index * CHUNK + place).expect("fewer values than numbers")
    }

    /// Takes a value out. None when there is none under the number.
    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let (index, place) = split(number);
        let chunk = self.chunks.get_mut(index)?;
        let value = chunk.values.get_mut(place)?.take()?;
        chunk.free.push(place as u8);
        if chunk.free.len() == chunk.values.len() {
            (chunk.values, chunk.free) = (Vec::new(), Vec::new());
        }
        if !chunk.is_open {
            chunk.is_open = true;
            self.open.push(index as u32);
        }
        self.len -= 1;
        Some(value)
    }

    #[inline]
    pub(crate) fn at(&self, number: u32) -> Option<&T> {
        let (index, place) = split(number);
        self.chunks.get(index)?.values.get(place)?.as_ref()
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, number: u32) -> Option<&mut T> {
        let (index, place) = split(number);
        self.chunks.get_mut(index)?.values.get_mut(place)?.as_mut()
    }

    /// The values with their numbers, in the order of the numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.chunks.iter().enumerate().flat_map(|(index, chunk)| {
            let values = chunk.values.iter().enumerate();
            values.filter_map(move |(place, value)| Some((as_number(index, place), value.as_ref()?)))
        })
    }

    fn add_chunk(&mut self) -> usize {
        let index = self.chunks.len();
        self.chunks.push(Chunk { values: Vec::new(), free: Vec::new(), is_open: true });
        self.open.push(index as u32);
        index
    }
}

#[inline]
fn split(number: u32) -> (usize, usize) {
    (number as usize / CHUNK, number as usize % CHUNK)
}

fn as_number(index: usize, place: usize) -> u32 {
    (index * CHUNK + place) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_chunks_are_freed() {
        let mut arena = Arena::new();
        let numbers: Vec<u32> = (0..1000).map(|value| arena.insert(value)).collect();
        assert_eq!(numbers, (0..1000).collect::<Vec<u32>>());
        assert_eq!(arena.iter().map(|(_, value)| *value).sum::<u32>(), 499_500);
        for &number in &numbers[256..512] {
            assert_eq!(arena.remove(number), Some(number));
            assert_eq!((arena.remove(number), arena.at(number)), (None, None));
        }
        assert_eq!(arena.chunks[1].values.capacity(), 0);
        assert_eq!(arena.len(), 744);
        let again: Vec<u32> = (0..256).map(|value| arena.insert(value)).collect();
        assert_eq!(arena.chunks.len(), 4);
        for (value, &number) in again.iter().enumerate() {
            assert_eq!(arena.at(number), Some(&(value as u32)));
            *arena.at_mut(number).unwrap() += 1;
        }
        assert_eq!(arena.len(), 1000);
        assert_eq!(arena.at(u32::MAX), None);
    }
}
