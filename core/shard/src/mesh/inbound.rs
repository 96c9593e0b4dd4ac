//! Frames from other shards, one by one to whoever handles them.

use ringmq_proto::session::SharedOrigin;
use ringmq_proto::time::Now;
use ringmq_wire::frame::split;
use ringmq_wire::{Packet, Sender, Version, decode};

use super::Batch;
use super::bytes::Take;
use super::frame::Frame;
use crate::aggregate::{AggregateId, Origin, Tally};
use crate::authz::PeerAddress;
use crate::input::ShardId;
use crate::publication::Publication;
use crate::slots::SlotId;
use crate::{LogLevel, Shard};

impl Shard {
    /// Handles all frames of a batch and leaves it empty.
    pub(crate) fn mesh(&mut self, now: Now, from: ShardId, batch: &mut Batch) {
        let bytes = std::mem::take(&mut batch.bytes);
        let mut beside = batch.payloads.drain(..);
        let mut take = Take(&bytes);
        while !take.is_empty() {
            let Some(frame) = Frame::take(&mut take, &mut beside, &mut self.messages) else {
                self.log_unreadable(from);
                break;
            };
            self.frame(now, from, frame);
        }
        drop(beside);
        batch.bytes = bytes;
        batch.clear();
    }

    fn answer_to(&mut self, from: ShardId, ticket: Option<AggregateId>) -> Option<AggregateId> {
        ticket.map(|ticket| self.aggregate_open(Origin::Remote { shard: from, ticket }))
    }

    fn frame(&mut self, now: Now, from: ShardId, frame: Frame<'_>) {
        match frame {
            Frame::Publish { ticket, hold, message } => {
                let aggregate = self.answer_to(from, ticket);
                self.deliver(now, &mut Publication::of(&message), aggregate, hold);
                if let Some(id) = aggregate {
                    self.aggregate_answer(now, id, Tally::default());
                }
                self.messages.take_back(message);
            }
            Frame::Packet { publisher, v5, packet } => self.packet_arrived(now, from, publisher, v5, packet),
            Frame::Retain { ticket, open, message } => {
                let tally = self.retain(&message, open);
                if let Some(ticket) = ticket {
                    self.peers.send(from, &Frame::Done { ticket, tally });
                }
            }
            Frame::Settle { topic, stamp, kept } => self.settle_retained(topic, stamp, kept),
            Frame::Done { ticket, tally } => self.aggregate_answer(now, ticket, tally),
            Frame::Held { ticket } => self.aggregate_hold(ticket),
            Frame::Query { session, serial, filter, after, messages } => {
                self.queried(from, session, serial, filter, after, messages);
            }
            Frame::Page { session, serial, next, messages } => {
                self.page_arrived(now, session, serial, next, messages);
            }
            shared => self.frame_shared(now, from, shared),
        }
    }

    /// A QoS 0 publish of another shard's client, as it came.
    fn packet_arrived(&mut self, now: Now, from: ShardId, publisher: u64, v5: bool, packet: &[u8]) {
        let version = if v5 { Version::V5 } else { Version::V311 };
        let frame = split(packet, u32::MAX).ok().flatten();
        let decoded = frame.map(|frame| decode(version, Sender::Client, &frame));
        let Some(Ok(Packet::Publish(publish))) = decoded else {
            return self.log_unreadable(from);
        };
        let mut publication = Publication::new(publish.topic.as_str(), &publish);
        publication.publisher = publisher;
        publication.in_packet(version, packet);
        self.deliver(now, &mut publication, None, 0);
        publication.end(&mut self.messages);
    }

    fn log_unreadable(&mut self, from: ShardId) {
        self.log(LogLevel::Error, || format!("A batch from shard {} cannot be read.", from.0));
    }

    fn frame_shared(&mut self, now: Now, from: ShardId, frame: Frame<'_>) {
        match frame {
            Frame::Shared { ticket, hold, group, member, keep, filter, message } => {
                let aggregate = self.answer_to(from, ticket);
                let origin =
                    SharedOrigin { shard: from.0, group: group.slot(), generation: group.generation() };
                self.shared_arrive(now, origin, member, filter, keep, &message, aggregate, hold);
                self.messages.take_back(message);
            }
            Frame::SharedBack { ticket, group, member, message } => {
                self.shared_returned(now, from, group, member, &message, ticket);
            }
            Frame::SharedDone { group, member } => self.shared_completed(from, group, member),
            Frame::Join { ticket, filter, member, qos, window } => {
                self.joined(from, filter, member, qos, window);
                self.peers.send(from, &Frame::Done { ticket, tally: Tally::default() });
            }
            Frame::Leave { filter, member } => self.left(from, filter, member),
            Frame::Member { filter, member, window } => self.member_changed(from, filter, member, window),
            tunnel => self.frame_tunnel(now, from, tunnel),
        }
    }

    fn frame_tunnel(&mut self, now: Now, from: ShardId, frame: Frame<'_>) {
        match frame {
            Frame::TunnelOpen { conn, listener, address, user_name, connect_stamp, bytes } => {
                let user_name = user_name.map(Into::into);
                let peer = PeerAddress { socket: address, listener, user_name };
                self.tunnel_open(now, from, conn, peer, connect_stamp, bytes);
            }
            Frame::TunnelBytes { conn, bytes } => self.tunnel_bytes(now, from, conn, bytes),
            Frame::TunnelEnded { conn } => self.tunnel_ended(now, from, conn),
            Frame::TunnelTaken { conn, bytes } => self.relay_taken(conn, bytes as usize),
            Frame::TunnelOutput { conn, bytes } => self.relay_output(conn, bytes),
            Frame::TunnelWritten { conn, bytes } => self.tunnel_written(from, conn, bytes as usize),
            Frame::TunnelHearOut { conn } => self.tunnel_hear_out(from, conn),
            Frame::TunnelHeard { conn } => self.tunnel_heard(now, from, conn),
            Frame::TunnelClose { conn } => self.link_finish(now, conn),
            _ => {}
        }
    }
}
