//! A queue that is nearly always empty: one word while it is, and when it is empty again its memory is given back.
//! For what every session could have and few have at a time.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

/// A first-in, first-out queue that takes 8 bytes while it is empty.
#[expect(clippy::box_collection, reason = "one word instead of four is what it is for")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RareQueue<T>(Option<Box<VecDeque<T>>>);

impl<T> RareQueue<T> {
    /// An empty queue; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }
    /// Whether there is none.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        // An empty one is given back.
        self.0.is_none()
    }
    /// The oldest.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.0.as_ref()?.front()
    }
    /// The oldest, to change it.
    pub fn front_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut()?.front_mut()
    }
    /// Appends one.
    pub fn push_back(&mut self, value: T) {
        self.0.get_or_insert_default().push_back(value);
    }
    /// Takes the oldest out.
    pub fn pop_front(&mut self) -> Option<T> {
        let value = self.0.as_mut()?.pop_front();
        self.give_back();
        value
    }
    /// Keeps only those for which `keep` says yes.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        if let Some(queue) = &mut self.0 {
            queue.retain(keep);
        }
        self.give_back();
    }
    /// All, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|queue| queue.iter())
    }

    fn give_back(&mut self) {
        self.0.take_if(|queue| queue.is_empty());
    }
}

impl<T> Default for RareQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FromIterator<T> for RareQueue<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut queue = Self(Some(Box::new(values.into_iter().collect())));
        queue.give_back();
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_queue_and_holds_nothing_once_it_is_empty() {
        let mut queue: RareQueue<u32> = (1..=3).collect();
        queue.push_back(4);
        queue.retain(|value| *value != 2);
        queue.front_mut().into_iter().for_each(|front| *front = 9);
        assert!(queue.iter().eq(&[9, 3, 4]));
        assert_eq!((queue.len(), queue.front()), (3, Some(&9)));
        assert_eq!((queue.pop_front(), queue.pop_front()), (Some(9), Some(3)));
        assert!(!queue.is_empty());
        assert_eq!((queue.pop_front(), queue.pop_front()), (Some(4), None));
        assert!(queue.is_empty() && queue.0.is_none());
        let mut queue: RareQueue<u32> = (1..=3).collect();
        queue.retain(|_| false);
        assert!(queue.0.is_none());
        assert!(core::iter::empty::<u32>().collect::<RareQueue<u32>>().is_empty());
        assert_eq!(size_of::<RareQueue<u32>>(), size_of::<usize>());
    }
}
