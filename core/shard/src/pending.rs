//! The acknowledgements that a connection still owes for its publishes, in the order of these
//! [MQTT-4.6.0-2, MQTT-4.6.0-3]. Nothing until the first.

use std::collections::VecDeque;

use ringmq_wire::{PacketId, Qos, ReasonCode};

/// A publish of the client whose acknowledgement is not out yet.
#[derive(Debug)]
pub struct PendingAck {
    /// Its packet id.
    pub packet_id: PacketId,
    /// QoS 1 or 2.
    pub qos: Qos,
    /// The code, once known.
    pub reason: Option<ReasonCode>,
}

/// What a connection owes, oldest first.
#[derive(Debug, Default)]
pub struct PendingAcks(Option<Box<Owed>>);

#[derive(Debug, Default)]
struct Owed {
    acks: VecDeque<PendingAck>,
    /// How many of them are for QoS 1.
    at_least_once: usize,
}

impl PendingAcks {
    /// One more, behind the others.
    pub fn push(&mut self, ack: PendingAck) {
        let owed = self.0.get_or_insert_default();
        owed.at_least_once += usize::from(ack.qos == Qos::AtLeastOnce);
        owed.acks.push_back(ack);
    }
    /// The first of them.
    pub fn front(&self) -> Option<&PendingAck> {
        self.0.as_ref()?.acks.front()
    }
    /// Takes the first out.
    pub fn pop(&mut self) -> Option<PendingAck> {
        let owed = self.0.as_mut()?;
        let ack = owed.acks.pop_front()?;
        owed.at_least_once -= usize::from(ack.qos == Qos::AtLeastOnce);
        Some(ack)
    }
    /// The one for this packet id that has no code yet.
    pub fn open(&mut self, packet_id: PacketId) -> Option<&mut PendingAck> {
        let mut acks = self.0.as_mut()?.acks.iter_mut();
        acks.find(|ack| ack.packet_id == packet_id && ack.reason.is_none())
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |owed| owed.acks.len())
    }
    /// How many are for QoS 1.
    pub fn at_least_once(&self) -> usize {
        self.0.as_ref().map_or(0, |owed| owed.at_least_once)
    }
}
