//! A one-way lane of owned values between two cores, with a way home for the emptied ones, so that a buffer
//! is freed by the core that made it. Nothing here waits: full and empty are answers.

use rtrb::{Consumer, Producer, PushError, RingBuffer};

/// Makes a lane with room for `slots` values under way, and as many on the way home.
pub fn lane<T>(slots: usize) -> (LaneSender<T>, LaneReceiver<T>) {
    let (out, inbox) = RingBuffer::new(slots);
    let (home, returned) = RingBuffer::new(slots);
    (LaneSender { out, returned }, LaneReceiver { inbox, home })
}

/// The sending core's end of a lane.
#[derive(Debug)]
pub struct LaneSender<T> {
    out: Producer<T>,
    returned: Consumer<T>,
}

impl<T> LaneSender<T> {
    /// Sends a value; it is visible to the receiver when this returns. Gives it back when the lane is full.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        self.out.push(value).map_err(|PushError::Full(value)| value)
    }

    /// How many values can be pushed before the lane is full.
    pub fn room(&self) -> usize {
        self.out.slots()
    }

    /// An emptied value that came home, if there is one.
    pub fn take_home(&mut self) -> Option<T> {
        self.returned.pop().ok()
    }

    /// Whether the receiver's end is gone: what is pushed will never be read.
    pub fn is_abandoned(&self) -> bool {
        self.out.is_abandoned()
    }
}

/// The receiving core's end of a lane.
#[derive(Debug)]
pub struct LaneReceiver<T> {
    inbox: Consumer<T>,
    home: Producer<T>,
}

impl<T> LaneReceiver<T> {
    /// The next value in the order of sending, if one has arrived.
    pub fn pop(&mut self) -> Option<T> {
        self.inbox.pop().ok()
    }

    /// Whether nothing has arrived.
    pub fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }

    /// Sends an emptied value back to its maker; it is dropped here when the way home is full.
    pub fn give_home(&mut self, value: T) {
        drop(self.home.push(value));
    }

    /// Whether the sender's end is gone: what has not arrived yet never will.
    pub fn is_abandoned(&self) -> bool {
        self.inbox.is_abandoned()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::{thread, vec::Vec};

    #[test]
    fn full_gives_back_and_home_overflow_drops() {
        let (mut sender, mut receiver) = lane::<u32>(2);
        assert_eq!(sender.room(), 2);
        assert_eq!((sender.push(1), sender.push(2), sender.push(3)), (Ok(()), Ok(()), Err(3)));
        assert_eq!((receiver.pop(), receiver.pop(), receiver.pop()), (Some(1), Some(2), None));
        assert!(receiver.is_empty());
        (1..=3).for_each(|value| receiver.give_home(value));
        assert_eq!((sender.take_home(), sender.take_home(), sender.take_home()), (Some(1), Some(2), None));
        drop(receiver);
        assert!(sender.is_abandoned());
    }

    #[test]
    fn two_threads_keep_order_and_lose_nothing() {
        const COUNT: u32 = 20_000;
        let (mut sender, mut receiver) = lane::<Vec<u32>>(8);
        let reader = thread::spawn(move || {
            let mut expected = 0;
            while expected < COUNT {
                let Some(mut batch) = receiver.pop() else {
                    thread::yield_now();
                    continue;
                };
                for value in batch.drain(..) {
                    assert_eq!(value, expected);
                    expected += 1;
                }
                receiver.give_home(batch);
            }
        });
        let mut next = 0;
        while next < COUNT {
            let mut batch = sender.take_home().unwrap_or_default();
            assert!(batch.is_empty());
            batch.extend(next..(next + 7).min(COUNT));
            next = batch[batch.len() - 1] + 1;
            while let Err(back) = sender.push(batch) {
                batch = back;
                thread::yield_now();
            }
        }
        reader.join().unwrap();
    }
}
