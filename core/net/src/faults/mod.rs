//! Faults on purpose, for tests: packets that are lost, come late or twice, connections that break or are refused. The
//! layer on top of the others, where bytes are MQTT's; only doors that were given [`Faults`] have it.

mod flow;
mod layer;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use ringmq_wire::{PacketKind, ReasonCode};

pub(crate) use layer::FaultLayer;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client.
    ToBroker,
    /// To a client.
    ToClient,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not arrive.
    Drop,
    /// It arrives twice.
    Duplicate,
    /// It arrives so much later, and so does everything behind it. What is under way when its connection ends does not
    /// arrive.
    Delay(Duration),
    /// Instead of it the other end sees that its connection was reset.
    Reset,
    /// A CONNECT is answered with this code, and its connection closed. Not for other packets.
    Refuse(ReasonCode),
}

/// Which packets have which fault. Packets of more than [`PACKET_BYTES_MAX`](crate::limits::FAULT_PACKET_BYTES_MAX) have
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    /// Those of this client; of all when there is none.
    pub client_id: Option<String>,
    /// Those of this type.
    pub packet: Option<PacketKind>,
    /// Those that go this way.
    pub direction: Option<Direction>,
    /// The first so many of them.
    pub times: Option<u64>,
    /// What happens to them.
    pub fault: Fault,
}

/// The faults that hold for all connections of some doors. They may change at any time.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<Arc<Placed>>>,
    /// Whether there are any: looked at for each packet.
    any: AtomicBool,
}

#[derive(Debug)]
struct Placed {
    rule: FaultRule,
    hits: AtomicU64,
}

/// A rule that was added.
#[derive(Clone, Debug)]
pub struct PlacedFault {
    placed: Arc<Placed>,
    faults: Arc<Faults>,
}

/// A packet as rules see it.
#[derive(Clone, Copy)]
struct Seen<'a> {
    client_id: Option<&'a str>,
    packet: PacketKind,
    direction: Direction,
}

impl Placed {
    /// Whether this rule is for the packet, which then counts.
    fn hits(&self, seen: Seen<'_>) -> bool {
        let FaultRule { client_id, packet, direction, times, fault } = &self.rule;
        let fits = client_id.as_deref().is_none_or(|wanted| seen.client_id == Some(wanted))
            && packet.is_none_or(|wanted| seen.packet == wanted)
            && direction.is_none_or(|wanted| seen.direction == wanted)
            && (!matches!(fault, Fault::Refuse(_)) || seen.packet == PacketKind::Connect);
        // Under the lock of the rules: no two count at once.
        if !fits || times.is_some_and(|times| self.hits.load(Ordering::Relaxed) >= times) {
            return false;
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        true
    }
}

impl Faults {
    /// No faults so far.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Placed>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on packets have this fault, unless a rule before it is for them.
    #[must_use]
    pub fn add(self: &Arc<Self>, rule: FaultRule) -> PlacedFault {
        let placed = Arc::new(Placed { rule, hits: AtomicU64::new(0) });
        let mut rules = self.lock();
        rules.push(Arc::clone(&placed));
        self.any.store(true, Ordering::Release);
        drop(rules);
        PlacedFault { placed, faults: Arc::clone(self) }
    }

    /// No packet has a fault any more. What is late stays late.
    pub fn clear(&self) {
        self.keep(|_| false);
    }

    fn keep(&self, wanted: impl Fn(&Arc<Placed>) -> bool) {
        let mut rules = self.lock();
        rules.retain(wanted);
        self.any.store(!rules.is_empty(), Ordering::Release);
    }

    fn of(&self, seen: Seen<'_>) -> Option<Fault> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.lock().iter().find(|placed| placed.hits(seen)).map(|placed| placed.rule.fault)
    }
}

impl PlacedFault {
    /// How many packets had it so far.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.placed.hits.load(Ordering::Relaxed)
    }

    /// No packet has it any more.
    pub fn remove(&self) {
        self.faults.keep(|placed| !Arc::ptr_eq(placed, &self.placed));
    }
}
