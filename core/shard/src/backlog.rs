//! What is held beyond the full queue of a session: each of these messages is a part of a publish that waits for it.

use std::collections::VecDeque;

use ringmq_proto::session::Entry;
use ringmq_proto::time::Mono;

use crate::aggregate::AggregateId;

/// Places that an emptied backlog may keep.
const KEPT: usize = 64;

/// A message beyond a full queue: its publisher's acknowledgement waits.
pub struct Held {
    /// The message.
    pub entry: Entry,
    /// The publish it belongs to.
    pub aggregate: AggregateId,
    /// When the queue's policy is applied.
    pub until: Mono,
    /// Whether the session's own client has published it.
    pub is_own: bool,
}

/// All of one session, oldest first.
#[derive(Default)]
pub struct Backlog {
    held: VecDeque<Held>,
    bytes: u64,
    own: usize,
}

impl Backlog {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
    /// Whether one more message of `bytes` fits into the given bounds; an empty one takes any size.
    pub fn has_room(&self, bytes: u64, messages_max: u32, bytes_max: u64) -> bool {
        (self.held.len() as u64) < u64::from(messages_max)
            && (self.held.is_empty() || self.bytes + bytes <= bytes_max)
    }
    /// Whether the session's own client has published any of it.
    pub const fn has_own(&self) -> bool {
        self.own > 0
    }
    /// The oldest one.
    pub fn front(&self) -> Option<&Held> {
        self.held.front()
    }
    /// When the first deadline is.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.held.iter().map(|held| held.until).min()
    }
    /// One more, behind the others.
    pub fn push(&mut self, held: Held) {
        self.bytes += held.entry.bytes();
        self.own += usize::from(held.is_own);
        self.held.push_back(held);
    }
    /// Takes the oldest one out.
    pub fn pop(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.bytes -= held.entry.bytes();
        self.own -= usize::from(held.is_own);
        if self.held.is_empty() && self.held.capacity() > KEPT {
            self.held = VecDeque::new();
        }
        Some(held)
    }
    /// Takes out those for which `is_due` says so, which is asked once of each, oldest first.
    pub fn take_where(&mut self, is_due: impl FnMut(&Held) -> bool) -> Vec<Held> {
        let (due, kept): (Vec<Held>, Vec<Held>) = self.held.drain(..).partition(is_due);
        self.bytes = kept.iter().map(|held| held.entry.bytes()).sum();
        self.own = kept.iter().filter(|held| held.is_own).count();
        self.held = kept.into();
        due
    }
}
