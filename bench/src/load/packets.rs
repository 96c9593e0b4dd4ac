//! What arrives: acknowledgements at publishers, messages at readers.

use std::mem;
use std::time::Instant;

use ringmq_wire::{Ack, Packet, PacketKind, Publish, Qos, Sender, decode, frame};

use super::Load;
use crate::Failure;
use crate::connection::Read;
use crate::ledger::Arrival;
use crate::stamp::Stamp;

impl Load<'_, '_> {
    /// Reads once from a connection and handles every whole packet.
    pub(super) fn receive(&mut self, index: usize) -> Result<(), Failure> {
        let mut buffer = mem::take(&mut self.read_buffer);
        let read = self.connections[index].read(&mut buffer);
        if self.latency.is_some() {
            // A turn may be long; what it reads last has not waited for it in the broker.
            self.now = Instant::now();
        }
        let handled = match read.map_err(|error| Failure::Io("reading", error))? {
            Read::Nothing => Ok(()),
            Read::End => Err(Failure::Closed(self.connections[index].name.clone())),
            Read::Bytes(bytes) => self.arrived(index, &buffer[..bytes]),
        };
        self.read_buffer = buffer;
        handled
    }

    fn arrived(&mut self, index: usize, bytes: &[u8]) -> Result<(), Failure> {
        let mut tail = self.connections[index].take_tail();
        if tail.is_empty() {
            let handled = self.packets(index, bytes)?;
            tail.extend_from_slice(&bytes[handled..]);
        } else {
            tail.extend_from_slice(bytes);
            let handled = self.packets(index, &tail)?;
            tail.drain(..handled);
        }
        self.connections[index].keep(tail);
        Ok(())
    }

    /// Handles the whole packets at the front of `bytes`; gives how many bytes they took.
    fn packets(&mut self, index: usize, bytes: &[u8]) -> Result<usize, Failure> {
        let mut handled = 0;
        while let Some(frame) = frame::split(&bytes[handled..], u32::MAX)? {
            let packet = decode(self.plan.version, Sender::Server, &frame)?;
            let (publishers, readers) = (self.plan.publishers(), self.plan.readers());
            match index.checked_sub(publishers) {
                None => self.publisher_packet(index, &packet)?,
                Some(reader) if reader < readers => self.reader_packet(index, reader, &packet)?,
                Some(other) => self.churner_packet(other - readers, &packet)?,
            }
            handled += frame.bytes;
        }
        Ok(handled)
    }

    /// What a publisher gets: acknowledgements.
    fn publisher_packet(&mut self, publisher: usize, packet: &Packet<'_>) -> Result<(), Failure> {
        let (Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubcomp(ack)) = packet else {
            return Err(unasked(packet));
        };
        if ack.reason.is_error() {
            return Err(Failure::Refused(packet.kind(), ack.reason));
        }
        if packet.kind() == PacketKind::Pubrec {
            self.answer(publisher, &Packet::Pubrel(Ack::success(ack.packet_id)));
            return Ok(());
        }
        let freed = self.ledger.acknowledge(publisher, ack.packet_id);
        self.progress(publisher, freed);
        Ok(())
    }

    /// What a reader gets: messages, and the release of those at QoS 2.
    #[inline]
    fn reader_packet(&mut self, index: usize, reader: usize, packet: &Packet<'_>) -> Result<(), Failure> {
        match packet {
            Packet::Publish(publish) => {
                self.message(index, reader, publish);
                Ok(())
            }
            Packet::Pubrel(ack) => {
                self.answer(index, &Packet::Pubcomp(Ack::success(ack.packet_id)));
                Ok(())
            }
            other => Err(unasked(other)),
        }
    }

    #[inline]
    fn message(&mut self, index: usize, reader: usize, publish: &Publish<'_>) {
        match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(id)) => self.answer(index, &Packet::Puback(Ack::success(id))),
            (Qos::ExactlyOnce, Some(id)) => self.answer(index, &Packet::Pubrec(Ack::success(id))),
            _ => {}
        }
        let stamp = Stamp::of(publish.payload).filter(|stamp| stamp.run_id == self.plan.run_id);
        let stamp = stamp.filter(|_| publish.payload.len() == self.plan.payload_bytes);
        let found =
            stamp.and_then(|stamp| Some((stamp, self.plan.stream(stamp.publisher as usize, reader)?)));
        let found =
            found.and_then(|(stamp, stream)| Some((stamp, stream, self.order(reader, stream, &stamp)?)));
        let Some((stamp, stream, order)) = found else {
            self.ledger.counts_mut().foreign += 1;
            return;
        };
        let publisher = stamp.publisher as usize;
        let arrival = self.ledger.receive(stream, order, publisher, stamp.sequence);
        if arrival != Arrival::Wrong && self.latency.is_some() {
            self.record_latency(publisher, stamp.sequence);
        }
        self.progress(publisher, arrival == Arrival::Last);
    }

    /// Which other arrivals one must be in order with: those of its stream, with many topics those of its topic.
    /// Nothing when the reader did not subscribe to that.
    #[inline]
    fn order(&self, reader: usize, stream: usize, stamp: &Stamp) -> Option<usize> {
        let Some(population) = &self.population else { return Some(stream) };
        let topic = population.topic_of(stamp.sequence);
        population.reads(reader, topic).then(|| population.order(reader, topic))
    }

    fn record_latency(&mut self, publisher: usize, sequence: u64) {
        let from = match &self.pace {
            Some(pace) => pace.due_at(publisher, sequence),
            None => self.published_at[self.ledger.place(publisher, sequence)],
        };
        if self.counted.is_some_and(|(start, end)| from >= start && from < end) {
            let latency = self.now.saturating_duration_since(from);
            self.latency.iter_mut().for_each(|latencies| latencies.record(latency));
        }
    }

    #[inline]
    fn progress(&mut self, publisher: usize, freed: bool) {
        let moved = mem::replace(&mut self.moved[publisher], self.now);
        self.longest_wait = self.longest_wait.max(self.now - moved);
        if freed {
            self.wake(publisher);
        }
    }

    fn answer(&mut self, index: usize, packet: &Packet<'_>) {
        packet.encode(self.plan.version, self.connections[index].out());
        self.mark_dirty(index);
    }
}

/// A packet that no client of ours asked for; a DISCONNECT says why the broker leaves.
pub(super) fn unasked(packet: &Packet<'_>) -> Failure {
    match packet {
        Packet::Disconnect(disconnect) => Failure::Refused(PacketKind::Disconnect, disconnect.reason),
        other => Failure::Unexpected(other.kind()),
    }
}
