//! From queues to bytes: at the end of a turn every connection that has something to say is filled up to
//! its high-water mark, once.

use ringmq_proto::conn::Phase;
use ringmq_proto::session::{Change, Entry, SentState};
use ringmq_proto::time::Now;
use ringmq_wire::message::Delivery;
use ringmq_wire::{
    Ack, Disconnect, Packet, PacketId, Properties, Qos, ReasonCode, Version, encoded_publish_bytes,
};

use crate::input::ConnId;
use crate::links::Way;
use crate::sessions::{Attached, Home, SessionId};
use crate::{Effect, Shard};

impl Shard {
    /// A session has something for whoever is attached to it.
    pub(crate) fn mark_dirty(&mut self, id: SessionId) {
        match self.sessions.at(id).map(|home| home.attached) {
            Some(Attached::Link(conn)) => self.mark_link_dirty(conn),
            Some(Attached::Local(local)) => self.mark_local_dirty(local),
            Some(Attached::Nobody) | None => {}
        }
    }

    /// Fills all connections that are marked and asks for their output to be written.
    pub(crate) fn fill_dirty(&mut self, now: Now) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            let Some(link) = self.links.at_mut(id) else { continue };
            link.dirty = false;
            self.fill(now, id);
            self.note_output(id);
            self.emit(now, id);
        }
        // Filling one connection may mark another, whose turn is the next pass.
        std::mem::swap(&mut self.dirty, &mut dirty);
        self.dirty.append(&mut dirty);
    }

    /// Output leaves: by the runtime, or through another shard. A closing connection without any is done.
    pub(crate) fn emit(&mut self, now: Now, id: ConnId) {
        let Some(link) = self.links.at(id) else { return };
        match link.way {
            Way::Socket if !link.out.is_empty() => self.effects.push(Effect::Write(id)),
            Way::Socket => {}
            Way::Tunnel { .. } => {
                let sent = self.tunnel_output(id);
                self.counters().bytes_sent.add(sent as u64);
                let low = self.settings.output_high_water_bytes / 2;
                if let Some(link) = self.links.at_mut(id) {
                    link.answers = link.answers.saturating_sub(sent as u32);
                    if sent > 0 && link.answers as usize <= low && link.paused {
                        self.resume_later(now, id);
                    }
                }
            }
        }
        if self.links.at(id).is_some_and(|l| l.conn.phase == Phase::Closing && l.out.is_empty()) {
            self.link_drop(now, id);
        }
    }

    /// The kernel has taken output of a connection.
    pub(crate) fn wrote(&mut self, now: Now, id: ConnId, bytes: usize) {
        let Some(link) = self.links.at_mut(id) else { return };
        link.out.consume(&mut self.buffers, bytes);
        // Where there is a queue, nothing is filled above the high-water mark, so what is written there are answers.
        link.answers = link.answers.saturating_sub(bytes as u32);
        if link.paused {
            // It reads what it asked for: that it is not read is our doing.
            link.conn.keep_alive.last_packet = now.mono;
        }
        let relay = link.relay;
        let resume = link.paused
            && relay.is_none()
            && link.answers as usize <= self.settings.output_high_water_bytes / 2;
        if let Some(relay) = relay {
            let frame = crate::mesh::frame::Frame::TunnelWritten { conn: id, bytes: bytes as u32 };
            self.peers.send(relay.home, &frame);
        } else {
            self.counters().bytes_sent.add(bytes as u64);
        }
        self.fill(now, id);
        self.note_output(id);
        if resume {
            self.resume_later(now, id);
        }
        if self.links.at(id).is_some_and(|l| l.conn.phase == Phase::Closing && l.out.is_empty()) {
            self.link_drop(now, id);
        }
    }

    /// Encodes what the session has for this connection, up to the high-water mark.
    pub(crate) fn fill(&mut self, now: Now, id: ConnId) {
        self.fill_to(now, id, self.settings.output_high_water_bytes);
    }

    /// As [`Shard::fill`], up to `high` bytes of output.
    pub(crate) fn fill_to(&mut self, now: Now, id: ConnId, high: usize) {
        let Some(link) = self.links.at(id) else { return };
        let Some(session) =
            link.session.filter(|_| matches!(link.conn.phase, Phase::Connected | Phase::Leaving(_)))
        else {
            return;
        };
        let nothing_waits = |home: &Home| home.session.is_idle() && !home.holds();
        if link.conn.phase == Phase::Connected && self.sessions.at(session).is_some_and(nothing_waits) {
            return;
        }
        loop {
            let Some(link) = self.links.at(id).filter(|l| l.out.len() < high) else { return };
            let phase = link.conn.phase;
            if self.fill_resend(id, session) || self.fill_next(now, id, session) {
                continue;
            }
            self.release_held(now, session);
            self.read_next(now, session);
            if self
                .sessions
                .at(session)
                .is_some_and(|h| h.session.queue.front(h.session.window_open()).is_some())
                && self.can_send(session)
            {
                continue;
            }
            if let Phase::Leaving(reason) = phase {
                self.say_goodbye(now, id, reason);
            }
            return;
        }
    }

    /// Whether [`Shard::fill_next`] would take something.
    fn can_send(&self, session: SessionId) -> bool {
        let open = self.may_send_with_ack(session);
        self.sessions.at(session).is_some_and(|home| home.session.queue.front(open).is_some())
    }

    /// Whether the next QoS 1 or 2 message may go: what is unfinished goes first, the client's window and ours
    /// have room, and so have the bytes in flight, which are bounded like those in the queue; a message larger
    /// than that bound goes alone.
    pub(crate) fn may_send_with_ack(&self, session: SessionId) -> bool {
        let (messages_max, bytes_max) = (self.settings.inflight_messages_max, self.settings.queue_bytes_max);
        let Some(home) = self.sessions.at(session).filter(|_| !self.must_resend(session)) else {
            return false;
        };
        let (session, in_flight) = (&home.session, home.session.inflight_bytes);
        session.window_open()
            && session.inflight.has_room(messages_max)
            && session.queue.front(true).is_none_or(|next| {
                next.qos == Qos::AtMostOnce || in_flight == 0 || in_flight + next.bytes() <= bytes_max
            })
    }

    fn must_resend(&self, session: SessionId) -> bool {
        let attachment = self.sessions.at(session).and_then(|home| home.session.attachment.as_ref());
        attachment.is_some_and(|a| !a.resend.is_empty())
    }

    /// Nothing more can be sent: DISCONNECT where the version has it, then the connection closes.
    fn say_goodbye(&mut self, now: Now, id: ConnId, reason: ReasonCode) {
        if self.links.at(id).is_some_and(|l| l.conn.version == Version::V5) {
            let properties = Properties::EMPTY;
            self.send(id, &Packet::Disconnect(Disconnect { reason, properties }));
        }
        self.link_finish(now, id);
    }

    /// Sends again what an earlier connection left unfinished, in its order [MQTT-4.4.0-1]; true when it
    /// made progress.
    fn fill_resend(&mut self, id: ConnId, session: SessionId) -> bool {
        let Some(home) = self.sessions.at_mut(session) else { return false };
        let window_open = home.session.window_open();
        let Some(attachment) = &mut home.session.attachment else { return false };
        let Some(packet_id) = attachment.resend.front().copied() else { return false };
        let state = home.session.inflight.get(packet_id).map(|sent| sent.state);
        if window_open || !matches!(state, Some(SentState::AwaitPuback | SentState::AwaitPubrec)) {
            attachment.resend.pop_front();
        } else {
            return false;
        }
        let Some(sent) = home.session.inflight.get_mut(packet_id) else { return true };
        match sent.entry.clone() {
            Some(entry) => {
                if self.too_large(id, &entry, Some(packet_id)) {
                    self.counters().dropped_too_large.add(1);
                    self.change(session, Change::Completed { packet_id });
                    if let Some(origin) = entry.shared {
                        self.shared_done(session, origin);
                    }
                    return true;
                }
                let Some(home) = self.sessions.at_mut(session) else { return false };
                let Some(sent) = home.session.inflight.get_mut(packet_id) else { return true };
                sent.on_this_connection = true;
                home.session.window_take();
                self.send_publish(id, &entry, Some(packet_id), true);
            }
            None => {
                let ack = Ack { packet_id, reason: ReasonCode::SUCCESS, properties: Properties::EMPTY };
                self.send(id, &Packet::Pubrel(ack));
            }
        }
        true
    }

    /// Sends the next queued message; false when there is none or the window is closed.
    fn fill_next(&mut self, now: Now, id: ConnId, session: SessionId) -> bool {
        let limit = self.settings.inflight_messages_max;
        let open = self.may_send_with_ack(session);
        let Some(home) = self.sessions.at_mut(session) else { return false };
        let packet_id = home.session.inflight.vacant(limit).filter(|_| open);
        let Some(front) = home.session.queue.front(packet_id.is_some()) else { return false };
        if front.qos == Qos::AtMostOnce {
            let Some(entry) = home.session.queue.pop(packet_id.is_some()) else { return false };
            self.fill_without_ack(now, id, session, entry);
        } else {
            let (entry, Some(packet_id)) = (front.clone(), packet_id) else { return false };
            self.fill_with_ack(now, id, session, &entry, packet_id);
        }
        self.release_held(now, session);
        true
    }

    fn fill_without_ack(&mut self, now: Now, id: ConnId, session: SessionId, entry: Entry) {
        self.count_queue((1, entry.bytes()), (0, 0));
        self.made_progress(session);
        match self.unsendable(now, id, &entry, None) {
            Some(count) => count(self),
            None => self.send_publish(id, &entry, None, false),
        }
        self.messages.take_back(entry.message);
    }

    fn fill_with_ack(
        &mut self,
        now: Now,
        id: ConnId,
        session: SessionId,
        entry: &Entry,
        packet_id: PacketId,
    ) {
        if let Some(count) = self.unsendable(now, id, entry, Some(packet_id)) {
            count(self);
            self.change(session, Change::GivenUp);
            if let Some(origin) = entry.shared {
                self.shared_done(session, origin);
            }
            return;
        }
        self.change(session, Change::Sent { packet_id });
        if let Some(home) = self.sessions.at_mut(session) {
            home.session.window_take();
        }
        self.send_publish(id, entry, Some(packet_id), false);
    }

    /// Why a message is not sent: it has expired [MQTT-3.3.2-5], or is larger than its client takes
    /// [MQTT-3.1.2-25]. What counts it.
    fn unsendable(
        &self,
        now: Now,
        id: ConnId,
        entry: &Entry,
        packet_id: Option<PacketId>,
    ) -> Option<fn(&Self)> {
        if entry.message.expires_at().is_some_and(|at| at <= now.wall.0) {
            return Some(|shard| shard.counters().dropped_expired.add(1));
        }
        self.too_large(id, entry, packet_id)
            .then_some(|shard: &Self| shard.counters().dropped_too_large.add(1))
    }

    /// Whether a message is larger than its client takes, without an alias, which would add three bytes and is
    /// not used that close to the limit.
    fn too_large(&self, id: ConnId, entry: &Entry, packet_id: Option<PacketId>) -> bool {
        let Some(link) = self.links.at(id) else { return false };
        let delivery = delivery(self.now, entry, packet_id, false, None);
        encoded_publish_bytes(link.conn.version, &delivery) > link.packet_bytes_max()
    }

    fn send_publish(&mut self, id: ConnId, entry: &Entry, packet_id: Option<PacketId>, dup: bool) {
        let Some(link) = self.links.at_mut(id) else { return };
        let mut delivery = delivery(self.now, entry, packet_id, dup, None);
        let bytes = encoded_publish_bytes(link.conn.version, &delivery);
        link.write_publish(&mut self.buffers, &entry.message, &mut delivery, bytes);
        self.count_sent(1, entry.message.payload().len());
        self.log_delivery(id, &delivery);
    }

    /// Counts PUBLISH packets that were encoded.
    pub(crate) fn count_sent(&self, packets: u64, payload_bytes: usize) {
        let counters = self.counters();
        counters.packets_sent.add(packets);
        counters.publish_sent.add(packets);
        counters.publish_bytes_sent.add(packets * payload_bytes as u64);
    }
}

fn delivery<'a>(
    now: Now,
    entry: &'a Entry,
    packet_id: Option<PacketId>,
    dup: bool,
    topic_alias: Option<(u16, bool)>,
) -> Delivery<'a> {
    Delivery {
        message: &entry.message,
        qos: entry.qos,
        dup,
        retain: entry.retain,
        packet_id: packet_id.filter(|_| entry.qos > Qos::AtMostOnce),
        topic_alias,
        expiry_left_seconds: entry.message.expires_at().map(|at| seconds_left(at, now.wall.0)),
        subscription_ids: entry.ids.as_slice(),
    }
}

/// How much older this turn's time may be than the one by which another shard says when a message expires, in
/// milliseconds: each shard has the time of its turn's beginning, and a turn is far shorter than this.
const TURN_SKEW: u64 = 250;

/// Seconds until `at`, rounded up: a message that is delivered at once keeps its interval, and never gets more than it
/// had [MQTT-3.3.2-6].
pub fn seconds_left(at: u64, now: u64) -> u32 {
    let left = at.saturating_sub(now).saturating_sub(TURN_SKEW).div_ceil(1000);
    u32::try_from(left.max(u64::from(at > now))).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_from_a_shard_whose_turn_is_younger_does_not_gain_a_second() {
        const AT: u64 = 1_000_000;
        let rows = [
            (60_000, 60),
            (59_999, 60),
            (59_251, 60),
            (59_250, 59),
            (60_001, 60),
            (60_249, 60),
            (1000, 1),
            (1, 1),
            (0, 0),
        ];
        for (left, seconds) in rows {
            assert_eq!(seconds_left(AT, AT - left), seconds, "{left} ms");
        }
        assert_eq!(seconds_left(u64::MAX, 0), u32::MAX);
    }
}
