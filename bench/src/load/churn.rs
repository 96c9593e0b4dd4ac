//! Connections that subscribe and unsubscribe without end while others publish, each one change at a time.

use ringmq_wire::{
    Packet, PacketId, Properties, Subscribe, SubscribeFilters, SubscriptionOptions, Unsubscribe,
    UnsubscribeFilters,
};

use super::{Load, packets::unasked};
use crate::connection::Connection;
use crate::handshake::open_reader;
use crate::{Failure, Plan};

/// Names that one of them goes through, so that the broker's tables see new ones.
const FILTERS: u64 = 1000;

/// One of them.
pub(super) struct Churner {
    index: usize,
    /// What all its filters begin with.
    branch: String,
    /// Changes the broker has acknowledged.
    pub(super) changes: u64,
}

impl Churner {
    /// The one of this number, on the connection of this index.
    pub(super) fn new(plan: &Plan, index: usize, number: usize) -> Churner {
        Churner { index, branch: format!("{}/churn/{number}", plan.topics()), changes: 0 }
    }

    /// The next change: the filter is subscribed to, then given up again.
    fn next(&self, plan: &Plan, out: &mut Vec<u8>) -> Result<(), Failure> {
        let filter = format!("{}/+/{}", self.branch, self.changes / 2 % FILTERS);
        let (packet_id, properties) = (PacketId::MIN, Properties::EMPTY);
        let mut filters = Vec::new();
        if self.changes.is_multiple_of(2) {
            SubscribeFilters::encode_one(&filter, SubscriptionOptions::qos(plan.qos), &mut filters)?;
            let filters = SubscribeFilters::from_encoded(plan.version, &filters)?;
            Packet::Subscribe(Subscribe { packet_id, properties, filters }).encode(plan.version, out);
        } else {
            UnsubscribeFilters::encode_one(&filter, &mut filters)?;
            let filters = UnsubscribeFilters::from_encoded(plan.version, &filters)?;
            Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters }).encode(plan.version, out);
        }
        Ok(())
    }
}

/// Opens the connection of one of them.
pub(super) fn open(plan: &Plan, number: usize) -> Result<Connection, Failure> {
    open_reader(plan, plan.readers() + plan.slow_readers + number, [])
}

impl Load<'_, '_> {
    /// Makes the next change.
    pub(super) fn churn(&mut self, number: usize) -> Result<(), Failure> {
        let index = self.churners[number].index;
        self.churners[number].next(self.plan, self.connections[index].out())?;
        self.mark_dirty(index);
        Ok(())
    }

    /// What a churner gets: the acknowledgement of its change.
    pub(super) fn churner_packet(&mut self, number: usize, packet: &Packet<'_>) -> Result<(), Failure> {
        match packet {
            Packet::Suback(_) | Packet::Unsuback(_) => {}
            other => return Err(unasked(other)),
        }
        self.churners[number].changes += 1;
        if self.publishing { self.churn(number) } else { Ok(()) }
    }
}
