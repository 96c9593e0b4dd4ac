//! The messages of a session that were not sent yet: one lane for QoS 0, one for QoS 1 and 2, so that a
//! closed window does not stop what needs none. Order within a lane is the order of arrival; across lanes
//! the arrival number decides while both may go.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;

use ringmq_wire::Qos;
use ringmq_wire::message::Message;

/// The identifiers a delivery carries: none and one without memory of their own.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SubscriptionIds {
    /// No identifier.
    #[default]
    None,
    /// One.
    One([u32; 1]),
    /// Those of overlapping subscriptions, ascending and without repetition.
    Many(Box<[u32]>),
}

impl SubscriptionIds {
    /// As a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(id) => id,
            Self::Many(ids) => ids,
        }
    }

    /// From a slice in any order; zeros mean no identifier and are left out.
    #[must_use]
    pub fn from_unsorted(ids: &[u32]) -> Self {
        let mut ids: alloc::vec::Vec<u32> = ids.iter().copied().filter(|id| *id != 0).collect();
        ids.sort_unstable();
        ids.dedup();
        match ids.as_slice() {
            [] => Self::None,
            [id] => Self::One([*id]),
            _ => Self::Many(ids.into_boxed_slice()),
        }
    }
}

/// The shared subscription a delivery came from: where it goes back to when this member is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedOrigin {
    /// Shard that owns the group.
    pub shard: u16,
    /// Slot of the group there.
    pub group: u32,
    /// Tells users of the same slot apart.
    pub generation: u32,
}

/// One message for one session.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The message, shared with the other sessions of the shard.
    pub message: Rc<Message>,
    /// QoS it is delivered with: the lower of the message's and the subscription's [MQTT-3.8.4-8].
    pub qos: Qos,
    /// RETAIN as the subscriber is to see it.
    pub retain: bool,
    /// Identifiers of the matching subscriptions.
    pub ids: SubscriptionIds,
    /// The shared subscription it came from.
    pub shared: Option<SharedOrigin>,
}

impl Entry {
    /// Size for budgets, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.message.bytes() as u64
    }
}

#[derive(Debug)]
struct Numbered {
    number: u64,
    entry: Entry,
}

/// The out-queue of a session.
#[derive(Debug, Default)]
pub struct Queue {
    without_ack: VecDeque<Numbered>,
    with_ack: VecDeque<Numbered>,
    bytes: u64,
    arrivals: u64,
}

impl Queue {
    /// Messages in both lanes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.without_ack.len() + self.with_ack.len()
    }
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bytes in both lanes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
    /// Whether one more message of `bytes` fits into the given bounds; an empty queue takes any size.
    #[must_use]
    pub fn has_room(&self, bytes: u64, messages_max: u32, bytes_max: u64) -> bool {
        self.is_empty() || (self.len() < messages_max as usize && self.bytes + bytes <= bytes_max)
    }
    /// Appends to the lane of its QoS.
    pub fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.arrivals += 1;
        let numbered = Numbered { number: self.arrivals, entry };
        if numbered.entry.qos == Qos::AtMostOnce {
            self.without_ack.push_back(numbered);
        } else {
            self.with_ack.push_back(numbered);
        }
    }
    /// The next message: the older of both lanes, or of QoS 0 alone while the window is closed.
    #[must_use]
    pub fn front(&self, window_open: bool) -> Option<&Entry> {
        Some(match self.pick(window_open)? {
            Qos::AtMostOnce => &self.without_ack.front()?.entry,
            _ => &self.with_ack.front()?.entry,
        })
    }
    /// Takes what [`Queue::front`] shows.
    pub fn pop(&mut self, window_open: bool) -> Option<Entry> {
        let taken = match self.pick(window_open)? {
            Qos::AtMostOnce => self.without_ack.pop_front()?,
            _ => self.with_ack.pop_front()?,
        };
        self.bytes -= taken.entry.bytes();
        Some(taken.entry)
    }
    /// Takes the oldest QoS 1 or 2 message whatever the window.
    pub fn pop_with_ack(&mut self) -> Option<Entry> {
        let taken = self.with_ack.pop_front()?.entry;
        self.bytes -= taken.bytes();
        Some(taken)
    }
    /// Takes out all entries for which `keep` says no, in order.
    pub fn take_out(&mut self, keep: impl Fn(&Entry) -> bool) -> alloc::vec::Vec<Entry> {
        let mut out = alloc::vec::Vec::new();
        for lane in [&mut self.without_ack, &mut self.with_ack] {
            let mut kept = VecDeque::with_capacity(lane.len());
            for numbered in lane.drain(..) {
                if keep(&numbered.entry) {
                    kept.push_back(numbered);
                } else {
                    self.bytes -= numbered.entry.bytes();
                    out.push(numbered.entry);
                }
            }
            *lane = kept;
        }
        out
    }
    /// Empties it and gives its memory back.
    pub fn clear(&mut self) {
        *self = Self { arrivals: self.arrivals, ..Self::default() };
    }
    /// All entries, QoS 0 first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.without_ack.iter().chain(&self.with_ack).map(|n| &n.entry)
    }

    fn pick(&self, window_open: bool) -> Option<Qos> {
        let with_ack = if window_open { self.with_ack.front() } else { None };
        match (self.without_ack.front(), with_ack) {
            (None, None) => None,
            (Some(_), None) => Some(Qos::AtMostOnce),
            (None, Some(b)) => Some(b.entry.qos),
            (Some(a), Some(b)) if a.number < b.number => Some(Qos::AtMostOnce),
            (Some(_), Some(b)) => Some(b.entry.qos),
        }
    }
}
