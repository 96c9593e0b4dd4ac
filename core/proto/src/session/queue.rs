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

/// The out-queue of a session: one word until the first message has to wait.
#[derive(Debug, Default)]
pub struct Queue(Option<Box<Lanes>>);

#[derive(Debug, Default)]
struct Lanes {
    without_ack: VecDeque<Numbered>,
    with_ack: VecDeque<Numbered>,
    /// QoS 1 and 2 entries with RETAIN: copies of retained messages, or live ones that look like it.
    copies: usize,
    /// QoS 0 entries in the second lane.
    behind: usize,
    bytes: u64,
    arrivals: u64,
}

enum Lane {
    WithoutAck,
    WithAck,
}

impl Queue {
    /// Messages in both lanes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |lanes| lanes.len())
    }
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bytes in both lanes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |lanes| lanes.bytes)
    }
    /// Whether one more message of `bytes` fits into the given bounds; an empty queue takes any size.
    #[must_use]
    pub fn has_room(&self, bytes: u64, messages_max: u32, bytes_max: u64) -> bool {
        let Some(lanes) = &self.0 else { return true };
        lanes.len() == 0 || (lanes.len() < messages_max as usize && lanes.bytes + bytes <= bytes_max)
    }
    /// Appends to the lane of its QoS. A QoS 0 message that was published as retained goes behind the copies
    /// of retained messages that wait for the window: it must not be overtaken by an older one of its topic.
    /// Later QoS 0 messages follow it, to keep their order.
    pub fn push(&mut self, entry: Entry) {
        self.0.get_or_insert_default().push(entry);
    }
    /// The next message: the older of both lanes, or of the first alone while the window is closed.
    #[must_use]
    pub fn front(&self, window_open: bool) -> Option<&Entry> {
        let lanes = self.0.as_ref()?;
        let lane = match lanes.pick(window_open)? {
            Lane::WithoutAck => &lanes.without_ack,
            Lane::WithAck => &lanes.with_ack,
        };
        lane.front().map(|numbered| &numbered.entry)
    }
    /// Takes what [`Queue::front`] shows.
    pub fn pop(&mut self, window_open: bool) -> Option<Entry> {
        let lanes = self.0.as_mut()?;
        match lanes.pick(window_open)? {
            Lane::WithoutAck => {
                let entry = lanes.without_ack.pop_front()?.entry;
                lanes.bytes -= entry.bytes();
                Some(entry)
            }
            Lane::WithAck => lanes.pop_with_ack(),
        }
    }
    /// Takes the oldest of the second lane whatever the window.
    pub fn pop_with_ack(&mut self) -> Option<Entry> {
        self.0.as_mut()?.pop_with_ack()
    }
    /// Takes out all entries for which `keep` says no, in order.
    pub fn take_out(&mut self, keep: impl Fn(&Entry) -> bool) -> alloc::vec::Vec<Entry> {
        self.0.as_mut().map_or_else(alloc::vec::Vec::new, |lanes| lanes.take_out(keep))
    }
    /// Empties it and gives its memory back.
    pub fn clear(&mut self) {
        self.0 = None;
    }
    /// Gives back the memory that its entries do not need: a busy hour would be paid for until the session ends.
    pub fn shrink(&mut self) {
        self.0.take_if(|lanes| lanes.len() == 0);
        if let Some(lanes) = &mut self.0 {
            lanes.without_ack.shrink_to_fit();
            lanes.with_ack.shrink_to_fit();
        }
    }
    /// All entries, QoS 0 first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        let lanes = self.0.iter().flat_map(|lanes| lanes.without_ack.iter().chain(&lanes.with_ack));
        lanes.map(|numbered| &numbered.entry)
    }
}

impl Lanes {
    fn len(&self) -> usize {
        self.without_ack.len() + self.with_ack.len()
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.arrivals += 1;
        let with_ack = entry.qos > Qos::AtMostOnce;
        self.copies += usize::from(is_copy(&entry));
        let behind = !with_ack && (self.behind > 0 || (entry.message.retain() && self.copies > 0));
        self.behind += usize::from(behind);
        let numbered = Numbered { number: self.arrivals, entry };
        if with_ack || behind {
            self.with_ack.push_back(numbered);
        } else {
            self.without_ack.push_back(numbered);
        }
    }

    fn pop_with_ack(&mut self) -> Option<Entry> {
        let entry = self.with_ack.pop_front()?.entry;
        self.bytes -= entry.bytes();
        self.copies -= usize::from(is_copy(&entry));
        self.behind -= usize::from(entry.qos == Qos::AtMostOnce);
        Some(entry)
    }

    fn take_out(&mut self, keep: impl Fn(&Entry) -> bool) -> alloc::vec::Vec<Entry> {
        let mut out = alloc::vec::Vec::new();
        for lane in [&mut self.without_ack, &mut self.with_ack] {
            let mut kept = VecDeque::with_capacity(lane.len());
            for numbered in lane.drain(..) {
                if keep(&numbered.entry) {
                    kept.push_back(numbered);
                } else {
                    self.bytes -= numbered.entry.bytes();
                    self.copies -= usize::from(is_copy(&numbered.entry));
                    out.push(numbered.entry);
                }
            }
            *lane = kept;
        }
        self.behind = self.with_ack.iter().filter(|n| n.entry.qos == Qos::AtMostOnce).count();
        out
    }

    fn pick(&self, window_open: bool) -> Option<Lane> {
        let with_ack = if window_open { self.with_ack.front() } else { None };
        match (self.without_ack.front(), with_ack) {
            (None, None) => None,
            (Some(_), None) => Some(Lane::WithoutAck),
            (None, Some(_)) => Some(Lane::WithAck),
            (Some(a), Some(b)) if a.number < b.number => Some(Lane::WithoutAck),
            (Some(_), Some(_)) => Some(Lane::WithAck),
        }
    }
}

fn is_copy(entry: &Entry) -> bool {
    entry.retain && entry.qos > Qos::AtMostOnce
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_wire::message::{MessageParts, Payload};
    use ringmq_wire::{Properties, Qos};

    fn entry(name: &str, qos: Qos, published_retained: bool, retain: bool) -> Entry {
        let message = Message::new(MessageParts {
            topic: name,
            qos,
            retain: published_retained,
            properties: Properties::EMPTY,
            payload: Payload::Copy(b""),
            expires_at: None,
            publisher: 0,
            stamp: 0,
        });
        Entry { message: Rc::new(message), qos, retain, ids: SubscriptionIds::None, shared: None }
    }

    fn names(queue: &mut Queue, window_open: bool) -> alloc::string::String {
        let mut names = alloc::string::String::new();
        while let Some(entry) = queue.pop(window_open) {
            names.push_str(entry.message.topic());
        }
        names
    }

    #[test]
    fn qos_0_passes_what_waits_for_the_window_and_nothing_else() {
        let mut queue = Queue::default();
        queue.push(entry("a", Qos::AtLeastOnce, false, false));
        queue.push(entry("b", Qos::AtMostOnce, false, false));
        queue.push(entry("c", Qos::ExactlyOnce, false, false));
        assert_eq!(names(&mut queue, false), "b");
        queue.push(entry("d", Qos::AtMostOnce, false, false));
        assert_eq!(names(&mut queue, true), "acd");
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
    }

    #[test]
    fn a_queue_that_was_long_shrinks_to_what_is_in_it() {
        let mut queue = Queue::default();
        for _ in 0..1_000 {
            queue.push(entry("a", Qos::AtLeastOnce, false, false));
            queue.push(entry("b", Qos::AtMostOnce, false, false));
        }
        while queue.len() > 1 {
            queue.pop(true);
        }
        queue.shrink();
        let lanes = queue.0.as_ref().expect("one message waits");
        assert_eq!((lanes.without_ack.capacity(), lanes.with_ack.capacity()), (1, 0));
        assert_eq!(names(&mut queue, true), "b");
        queue.shrink();
        assert!(queue.0.is_none());
    }

    #[test]
    fn a_newer_retained_message_stays_behind_the_copy_that_waits() {
        let mut queue = Queue::default();
        queue.push(entry("old", Qos::AtLeastOnce, true, true));
        queue.push(entry("new", Qos::AtMostOnce, true, false));
        queue.push(entry("other", Qos::AtMostOnce, false, false));
        assert_eq!(names(&mut queue, false), "");
        assert_eq!(names(&mut queue, true), "oldnewother");
        queue.push(entry("later", Qos::AtMostOnce, true, false));
        assert_eq!(names(&mut queue, false), "later");
    }
}
