//! Logins that wait for their hash, oldest first, bounded in every way in which one peer could fill it.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, PoisonError};

use super::lock;

/// Logins that wait: at some 20 ms for one hash more would wait longer than a decision may take.
const WAITING_MAX: usize = 1024;
/// Of them from one address, so that one that storms leaves room for others.
const WAITING_OF_ADDRESS_MAX: u32 = 256;
/// Bytes of their passwords; one may have 64 KiB.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// How many may wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In all.
    pub waiting_max: usize,
    /// Of them from one address.
    pub waiting_of_address_max: u32,
}

impl Bounds {
    /// Of logins that wait for a hash.
    pub const HASHING: Self =
        Self { waiting_max: WAITING_MAX, waiting_of_address_max: WAITING_OF_ADDRESS_MAX };
    /// Of logins that wait for a service: sixteen requests of 10 ms at a time answer some 8,000 within a decision's
    /// default time, and a fleet behind one balancer has one address.
    pub const SERVICE: Self = Self { waiting_max: 8192, waiting_of_address_max: 6144 };
}

/// There is no room in the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// What may wait.
pub trait Waits {
    /// Bytes it keeps.
    fn bytes(&self) -> usize;
    /// Where it comes from.
    fn address(&self) -> Option<IpAddr>;
}

/// Logins that wait for their hash.
pub struct Queue<L> {
    bounds: Bounds,
    waiting: Mutex<Waiting<L>>,
    changed: Condvar,
}

struct Waiting<L> {
    logins: VecDeque<L>,
    bytes: usize,
    by_address: HashMap<IpAddr, u32>,
    is_closed: bool,
}

impl<L> Default for Waiting<L> {
    fn default() -> Self {
        Self { logins: VecDeque::new(), bytes: 0, by_address: HashMap::new(), is_closed: false }
    }
}

impl<L> Default for Queue<L> {
    fn default() -> Self {
        Self::new(Bounds::HASHING)
    }
}

impl<L> Queue<L> {
    /// With bounds of its own.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, waiting: Mutex::default(), changed: Condvar::new() }
    }
}

impl<L: Waits> Queue<L> {
    /// Lets a login wait. Takes one short lock.
    pub fn push(&self, login: L) -> Result<(), Full> {
        let mut waiting = lock(&self.waiting);
        let bytes = waiting.bytes + login.bytes();
        let has_room = waiting.logins.len() < self.bounds.waiting_max && bytes <= WAITING_BYTES_MAX;
        if !has_room || waiting.is_closed {
            return Err(Full);
        }
        if let Some(address) = login.address() {
            let count = waiting.by_address.entry(address).or_default();
            if *count >= self.bounds.waiting_of_address_max {
                return Err(Full);
            }
            *count += 1;
        }
        waiting.bytes = bytes;
        waiting.logins.push_back(login);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// The oldest login, as soon as there is one; nothing once the queue is closed.
    pub fn pop(&self) -> Option<L> {
        let mut waiting = lock(&self.waiting);
        loop {
            if waiting.is_closed {
                return None;
            }
            if let Some(login) = waiting.take_oldest() {
                return Some(login);
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes logins in again, after [`Queue::close`].
    pub fn open(&self) {
        lock(&self.waiting).is_closed = false;
    }

    /// Lets nobody wait any more; what waits is forgotten, its broker being about to end.
    pub fn close(&self) {
        let mut waiting = lock(&self.waiting);
        *waiting = Waiting { is_closed: true, ..Waiting::default() };
        drop(waiting);
        self.changed.notify_all();
    }
}

impl<L: Waits> Waiting<L> {
    fn take_oldest(&mut self) -> Option<L> {
        let login = self.logins.pop_front()?;
        self.bytes -= login.bytes();
        if let Some(address) = login.address()
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        Some(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Login {
        bytes: usize,
        address: Option<IpAddr>,
    }

    impl Waits for Login {
        fn bytes(&self) -> usize {
            self.bytes
        }
        fn address(&self) -> Option<IpAddr> {
            self.address
        }
    }

    fn from(number: u32, bytes: usize) -> Login {
        Login { bytes, address: Some(IpAddr::V4(number.into())) }
    }

    /// How many of these find room.
    fn taken(queue: &Queue<Login>, logins: impl Iterator<Item = Login>) -> usize {
        logins.map_while(|login| queue.push(login).ok()).count()
    }

    #[test]
    fn one_address_fills_a_part_of_it_and_many_all() {
        let queue = Queue::default();
        assert_eq!(taken(&queue, (0..2000).map(|_| from(1, 8))), WAITING_OF_ADDRESS_MAX as usize);
        assert_eq!(taken(&queue, (2..2000).map(|number| from(number, 8))), WAITING_MAX - 256);
        assert_eq!(queue.push(Login { bytes: 0, address: None }), Err(Full));
        assert_eq!(queue.pop(), Some(from(1, 8)), "the oldest comes first");
        assert_eq!(queue.push(from(1, 8)), Ok(()), "and leaves room, also for its address");
    }

    #[test]
    fn long_passwords_fill_it_sooner() {
        let queue = Queue::default();
        assert_eq!(taken(&queue, (0..2000).map(|number| from(number, 64 << 10))), 64);
        assert_eq!(queue.pop(), Some(from(0, 64 << 10)));
        assert_eq!(queue.push(from(0, 64 << 10)), Ok(()));
    }

    #[test]
    fn everything_taken_leaves_nothing_behind() {
        let queue = Queue::default();
        assert_eq!(taken(&queue, (0..100).map(|number| from(number % 7, 10))), 100);
        (0..100).for_each(|_| assert!(queue.pop().is_some()));
        let waiting = lock(&queue.waiting);
        assert!(waiting.bytes == 0 && waiting.by_address.is_empty());
    }

    #[test]
    fn closed_it_takes_and_gives_nothing_and_wakes_who_waits() {
        let queue = Queue::default();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.pop());
            queue.close();
            assert_eq!(waits.join().unwrap(), None);
        });
        assert_eq!(queue.push(from(1, 1)), Err(Full));
        assert_eq!(queue.pop(), None);
    }
}
