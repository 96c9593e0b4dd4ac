//! The memory budget of a whole broker and the ladder of what is given up for it: first new clients, then what can be
//! lost, then the pace of publishers. Each shard says what it holds, as far as it counts that; what an allocator and the
//! kernel add is not in it. The sum gives the rung, which all shards share.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use ringmq_wire::Qos;

use crate::input::ConnId;
use crate::links::Link;
use crate::sessions::{Attached, Home};
use crate::{LogLevel, Shard};

/// A shard tells the others of its memory once that has changed by so much: 256 shards are wrong by 16 MiB together.
const TOLD_BYTES: u64 = 64 << 10;
/// And once it has changed by this part of a small budget.
const TOLD_PART: u64 = 1024;
/// A message in a queue or in flight, beside the message itself: its entry, and the room that a growing queue has free.
const ENTRY_BYTES: u64 = 96;
/// A message that is held beyond a full queue, beside the message itself: its entry, and what its publisher waits by.
const HELD_BYTES: u64 = 256;
/// A subscription: its place in the tree, in the index of all shards and in its session.
const SUBSCRIPTION_BYTES: u64 = 192;
/// A retained message's place in the tree of topics.
const RETAINED_BYTES: u64 = 128;
/// A ClientID, a user name and what an allocator adds.
const SESSION_BYTES: u64 = size_of::<Home>() as u64 + 128;
/// A connection, with what the runtime keeps for it; layers such as TLS are not in it.
const CONNECTION_BYTES: u64 = size_of::<Link>() as u64 + 128;
/// A session is given so much in flight on the rung [`Rung::Hold`], or one message of any size.
pub(crate) const LEAN_BYTES: u64 = 64 << 10;
/// What the output of a connection takes is followed in steps of so many bytes.
const OUTPUT_PAGE_BYTES: usize = 4096;
/// Incomplete packets of all shards may take this part of the budget on that rung.
const UNREAD_PART: u64 = 16;

/// What is given up for memory. Each rung has what the ones before it have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rung {
    /// Nothing.
    #[default]
    Free = 0,
    /// No new sessions. Who has one comes in, as it may empty its queue.
    Refuse = 1,
    /// QoS 0 to no queue that is not empty, nothing into queues without a connection, no new subscriptions and
    /// retained topics.
    Shed = 2,
    /// Every queue counts as full that is not empty: who publishes to it at QoS 1 and 2 waits.
    Hold = 3,
}

impl Rung {
    const ALL: [Self; 4] = [Self::Free, Self::Refuse, Self::Shed, Self::Hold];
    /// Percent of the budget from which each holds.
    const UP: [u64; 4] = [0, 80, 90, 97];
    /// A rung is left this many percent below where it begins, so that it does not come and go with every message.
    const HYSTERESIS: u64 = 5;

    fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Hold)
    }

    /// The rung that holds after this one.
    fn next(self, bytes: u64, bytes_max: u64) -> Self {
        if bytes_max == 0 {
            return Self::Free;
        }
        let reaches = |percent: u64| u128::from(bytes) * 100 >= u128::from(bytes_max) * u128::from(percent);
        let is_held = |rung: &Self| {
            let up = Self::UP[*rung as usize];
            reaches(if *rung <= self { up.saturating_sub(Self::HYSTERESIS) } else { up })
        };
        Self::ALL.into_iter().rev().find(is_held).unwrap_or_default()
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Free => "everything is served again",
            Self::Refuse => "new clients are refused",
            Self::Shed => "QoS 0 to clients that lag and everything for clients that are away is dropped",
            Self::Hold => "publishers wait for clients that lag",
        }
    }
}

/// What all shards hold together. Written by any of them, seldom.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Budget {
    bytes: AtomicU64,
    rung: AtomicU8,
}

impl Budget {
    /// Bytes that all shards have told of.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
    /// The rung that holds now.
    #[must_use]
    pub fn rung(&self) -> Rung {
        Rung::from_number(self.rung.load(Ordering::Relaxed))
    }
    fn follow(&self, before: u64, after: u64) {
        self.bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
    /// Moves to the rung that holds for so much. Says which it was where this call has moved it.
    fn look(&self, bytes_max: u64) -> Option<Rung> {
        let before = self.rung();
        let after = before.next(self.bytes(), bytes_max);
        let moved = after != before
            && self
                .rung
                .compare_exchange(before as u8, after as u8, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        moved.then_some(before)
    }
}

impl Shard {
    /// Bytes that this shard holds: messages that anybody keeps, and for everything else what one takes.
    fn bytes_held(&self) -> u64 {
        let counters = self.counters();
        let entries = counters.queued.value() + counters.inflight.value();
        let subscriptions = counters.subscriptions.value() + counters.subscriptions_shared.value();
        self.messages.ledger().bytes()
            + entries * ENTRY_BYTES
            + counters.held.value() * HELD_BYTES
            + subscriptions * SUBSCRIPTION_BYTES
            + counters.retained.value() * RETAINED_BYTES
            + counters.unread_bytes.value()
            + counters.output_bytes.value()
            + self.sessions.len() as u64 * SESSION_BYTES
            + self.links.len() as u64 * CONNECTION_BYTES
            + self.peers.waiting_bytes() as u64
    }

    /// Once a turn: tells what this shard holds, and takes the rung that follows from what all hold.
    pub(crate) fn look_at_budget(&mut self) {
        let bytes = self.bytes_held();
        self.counters().memory_bytes.set(bytes);
        let budget = &self.common.counters.budget;
        let told_bytes = match self.settings.memory_max {
            0 => TOLD_BYTES,
            bytes_max => TOLD_BYTES.min(bytes_max / TOLD_PART),
        };
        if bytes.abs_diff(self.bytes_told) >= told_bytes {
            budget.follow(self.bytes_told, bytes);
            self.bytes_told = bytes;
        }
        let before = budget.look(self.settings.memory_max);
        self.rung = budget.rung();
        if let Some(before) = before {
            self.tell_rung(before);
        }
    }

    /// What the others have come to while this shard slept.
    pub(crate) fn take_rung(&mut self) {
        self.rung = self.common.counters.budget.rung();
    }

    #[cold]
    fn tell_rung(&mut self, before: Rung) {
        let (rung, bytes, bytes_max) =
            (self.rung, self.common.counters.budget.bytes(), self.settings.memory_max);
        self.counters().memory_rung_changes.add(1);
        let level = if rung > before { LogLevel::Warning } else { LogLevel::Info };
        self.log(level, || {
            format!(
                "Memory: {bytes} bytes are held, memory_max is {bytes_max}; rung {} of 3, it was {}: {}.",
                rung as u8,
                before as u8,
                rung.text()
            )
        });
    }

    /// Whether the budget lets one more message into the queue of a session that has room for it by its own bounds.
    pub(crate) fn budget_lets_queue(&self, home: &Home, qos: Qos) -> bool {
        match self.rung {
            Rung::Free | Rung::Refuse => true,
            _ if home.attached == Attached::Nobody => false,
            Rung::Shed => qos > Qos::AtMostOnce || home.session.queue.is_empty(),
            Rung::Hold => home.session.queue.is_empty() && home.session.inflight_bytes <= LEAN_BYTES,
        }
    }

    /// Follows what the output of a connection takes, by pages: most have less than one, and are not counted.
    #[inline]
    pub(crate) fn note_output(&mut self, id: ConnId) {
        let Some(link) = self.links.at_mut(id) else { return };
        let pages = (link.out.own_bytes() / OUTPUT_PAGE_BYTES) as u32;
        let before = std::mem::replace(&mut link.output_pages, pages);
        if pages != before {
            self.count_output(before, pages);
        }
    }

    /// The output of a connection took so many pages and takes so many.
    pub(crate) fn count_output(&self, before: u32, after: u32) {
        let bytes = |pages: u32| u64::from(pages) * OUTPUT_PAGE_BYTES as u64;
        self.counters().output_bytes.follow(bytes(before), bytes(after));
    }

    /// Bytes that incomplete packets of this shard may take now.
    pub(crate) fn unread_bytes_max(&self) -> usize {
        let bytes_max = self.settings.unread_bytes_max;
        if self.rung < Rung::Hold {
            return bytes_max;
        }
        let part = self.settings.memory_max / UNREAD_PART / self.common.shards as u64;
        bytes_max.min(usize::try_from(part).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_is_taken_at_once_and_left_later() {
        use Rung::{Free, Hold, Refuse, Shed};
        for (from, percent, to) in [
            (Free, 79, Free),
            (Free, 80, Refuse),
            (Free, 90, Shed),
            (Free, 200, Hold),
            (Refuse, 89, Refuse),
            (Refuse, 76, Refuse),
            (Refuse, 74, Free),
            (Shed, 86, Shed),
            (Shed, 84, Refuse),
            (Shed, 10, Free),
            (Hold, 93, Hold),
            (Hold, 91, Shed),
            (Hold, 84, Refuse),
        ] {
            assert_eq!(from.next(percent * 10, 1000), to, "{from:?} at {percent} %");
        }
        assert_eq!(Hold.next(u64::MAX, 0), Free, "no budget");
        assert_eq!(Free.next(u64::MAX, u64::MAX), Hold, "no overflow");
    }

    #[test]
    fn one_shard_says_that_the_rung_has_changed() {
        let budget = Budget::default();
        budget.follow(0, 95);
        assert_eq!((budget.look(100), budget.look(100)), (Some(Rung::Free), None));
        assert_eq!(budget.rung(), Rung::Shed);
        budget.follow(95, 5);
        assert_eq!((budget.look(100), budget.bytes()), (Some(Rung::Shed), 5));
    }
}
