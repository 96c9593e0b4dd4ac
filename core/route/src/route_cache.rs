//! What the wildcard filters came to for a topic before, so that a topic published again and again is not looked up
//! level by level each time. It holds no more than a fixed number of topics and never tells anything that is not true
//! any more: each entry is right for one state of the filters, and every filter that comes or goes makes another.

use crate::levels::Text;
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

/// Topics at most: 16,384 slots of 88 bytes, or 96, are 1.5 MiB per shard and index, and more only with long topics.
const SEGMENTS: usize = 64;
/// Slots that are made at once, with the first topic that belongs to one of them.
const SEGMENT_SLOTS: usize = 256;
/// Topics longer than this are not kept, as they are the clients' to choose.
const TOPIC_BYTES_MAX: usize = 256;

/// The topics looked up again and again, each in the one slot that its hash names, with what was found for them.
pub(crate) struct RouteCache<T> {
    segments: Vec<Box<[Slot<T>]>>,
}

#[derive(Default)]
struct Slot<T> {
    topic: Text,
    found: T,
    /// The state of the filters for which it is right; never 0 in a slot that holds something.
    state: u64,
    /// Part of the hash of the topic.
    tag: u32,
    /// The same of the topic that missed here last: only one that misses twice in a row takes the slot.
    missed: u32,
}

impl<T: Default> RouteCache<T> {
    /// What was found for the topic, if that is known for this state of the filters, which is not 0.
    #[inline]
    pub(crate) fn find(&self, hash: u64, topic: &str, state: u64) -> Option<&T> {
        let slot = self.segments.get(segment(hash))?.get(slot(hash))?;
        let is_known = slot.tag == tag(hash) && slot.state == state && slot.topic[..] == *topic.as_bytes();
        is_known.then_some(&slot.found)
    }

    /// A topic is not known here, and this was found otherwise, no earlier than in that state of the filters.
    pub(crate) fn missed(&mut self, hash: u64, topic: &str, state: u64, found: T) {
        if topic.len() > TOPIC_BYTES_MAX {
            return;
        }
        if self.segments.is_empty() {
            self.segments.resize_with(SEGMENTS, Box::default);
        }
        let segment = &mut self.segments[segment(hash)];
        if segment.is_empty() {
            *segment = (0..SEGMENT_SLOTS).map(|_| Slot::default()).collect();
        }
        let slot = &mut segment[slot(hash)];
        let tag = tag(hash);
        // A topic that was known until the filters changed needs no second miss.
        let is_back = slot.tag == tag && slot.topic[..] == *topic.as_bytes();
        if slot.missed != tag && !is_back {
            slot.missed = tag;
            return;
        }
        if !is_back {
            slot.topic = Text::from_slice(topic.as_bytes());
        }
        (slot.found, slot.state, slot.tag) = (found, state, tag);
    }
}

impl<T> Default for RouteCache<T> {
    fn default() -> Self {
        Self { segments: Vec::new() }
    }
}

impl<T> fmt::Debug for RouteCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteCache").finish_non_exhaustive()
    }
}

#[inline]
fn segment(hash: u64) -> usize {
    (hash >> 8) as usize % SEGMENTS
}

#[inline]
fn slot(hash: u64) -> usize {
    hash as usize % SEGMENT_SLOTS
}

#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}
