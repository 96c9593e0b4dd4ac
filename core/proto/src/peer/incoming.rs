//! Messages from the server: aliases, the receive maximum, QoS 2 without duplicates, and acknowledgements in
//! the order in which the messages came [MQTT-4.6.0-2, MQTT-4.6.0-3].

use super::machine::owned;
use super::{AckToken, Acknowledge, Event, Incoming, Options, Peer, PeerViolation};
use crate::alias::InboundAliases;
use crate::id_set::IdSet;
use crate::time::Mono;
use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use bytes::Bytes;
use ringmq_wire::{
    Ack, Packet, PacketId, PacketKind, Properties, Property, Publish, Qos, ReasonCode, Sender, Version,
};

/// How many messages above its receive maximum a client bears. mosquitto 2.0.11 counts some QoS 2 messages as
/// done too early: against a maximum of 20 it had up to 53 unfinished in a run of 50,000. Closing would cost
/// the application its connection for a fault that does no harm.
const RECEIVE_SLACK: usize = 100;

/// A message of this connection that is not acknowledged yet.
struct Pending {
    packet_id: PacketId,
    qos: Qos,
    answer: Option<ReasonCode>,
}

pub(super) struct IncomingState {
    aliases: InboundAliases,
    /// QoS 2 identifiers received and not released; part of the session.
    received: IdSet,
    /// Those of `received` that the application has not acknowledged.
    unanswered: IdSet,
    /// QoS 2 identifiers that count against the receive maximum of this connection.
    counted: IdSet,
    /// In order of arrival; the first one without an answer holds those behind it.
    pending: VecDeque<Pending>,
    /// QoS 1 entries of `pending`.
    pending_qos1: usize,
    connection: u32,
    session: u32,
}

impl IncomingState {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            aliases: InboundAliases::new(options.topic_alias_max),
            received: IdSet::new(),
            unanswered: IdSet::new(),
            counted: IdSet::new(),
            pending: VecDeque::new(),
            pending_qos1: 0,
            connection: 0,
            session: 0,
        }
    }

    pub(super) fn start_connection(&mut self, options: &Options) {
        self.aliases = InboundAliases::new(options.topic_alias_max);
        self.counted.clear();
        self.pending.clear();
        self.pending_qos1 = 0;
        self.connection = self.connection.wrapping_add(1);
    }

    pub(super) fn forget_session(&mut self) {
        self.received.clear();
        self.unanswered.clear();
        self.session = self.session.wrapping_add(1);
    }
}

impl Peer {
    pub(super) fn on_publish(&mut self, now: Mono, publish: &Publish<'_>) {
        let alias = publish.properties.u16(Property::TopicAlias);
        let topic = match self.incoming.aliases.resolve(alias, publish.topic.as_str()) {
            Ok(topic) => topic.to_owned(),
            Err(violation) => return self.fail(now, PeerViolation::Alias(violation)),
        };
        let token = publish.packet_id.map(|packet_id| self.incoming.token(packet_id, publish.qos));
        if let Some(token) = token {
            match self.incoming.arrive(token, &self.options) {
                Arrival::New => {}
                Arrival::Known => return self.send_answers(),
                Arrival::TooMany => return self.fail(now, PeerViolation::ReceiveMaximumExceeded),
            }
        }
        let by_application = self.options.acknowledge == Acknowledge::ByApplication;
        self.events.push_back(Event::Message(Incoming {
            topic,
            payload: Bytes::copy_from_slice(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            properties: owned(publish.properties),
            ack: token.filter(|_| by_application),
        }));
        if let Some(token) = token.filter(|_| !by_application) {
            self.acknowledge(token, ReasonCode::SUCCESS);
        }
    }

    pub(super) fn on_pubrel(&mut self, ack: &Ack<'_>) {
        let state = &mut self.incoming;
        state.counted.remove(ack.packet_id);
        state.unanswered.remove(ack.packet_id);
        // A server that releases before PUBREC wants no PUBREC; later answers must not wait for it.
        state.pending.retain(|p| p.qos != Qos::ExactlyOnce || p.packet_id != ack.packet_id);
        let reason = match state.received.remove(ack.packet_id) {
            true => ReasonCode::SUCCESS,
            false => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
        };
        let properties = Properties::EMPTY;
        self.send(&Packet::Pubcomp(Ack { packet_id: ack.packet_id, reason, properties }));
        self.send_answers();
    }

    /// Acknowledges an incoming message; a reason of 0x80 or above refuses it (5.0 only, else it counts as
    /// success). A reason that may not stand in the answer goes out as 0x80 or success. False when the token belongs to a connection or session that is gone: the server sends a
    /// QoS 1 message again then, and the application sees it again.
    pub fn acknowledge(&mut self, token: AckToken, reason: ReasonCode) -> bool {
        let state = &mut self.incoming;
        let this_connection = token.connection == state.connection;
        let held = token.qos == Qos::ExactlyOnce && token.session == state.session;
        if !this_connection && !held {
            return false;
        }
        if token.qos == Qos::ExactlyOnce && !state.unanswered.remove(token.packet_id) {
            return false;
        }
        let is_asked = |pending: &&mut Pending| {
            pending.packet_id == token.packet_id && pending.qos == token.qos && pending.answer.is_none()
        };
        match state.pending.iter_mut().find(is_asked) {
            Some(pending) => pending.answer = Some(reason),
            // Of an earlier connection, and not come again yet: the answer stands ready in `received`.
            None => return held,
        }
        self.send_answers();
        true
    }

    /// Sends the answers that no earlier message holds back.
    fn send_answers(&mut self) {
        while let Some(Pending { packet_id, qos, answer: Some(reason) }) = self.incoming.pending.front() {
            let (packet_id, qos) = (*packet_id, *qos);
            let reason = match self.options.version {
                Version::V5 => allowed(*reason, qos),
                Version::V31 | Version::V311 => ReasonCode::SUCCESS,
            };
            self.incoming.pending.pop_front();
            if !self.is_up() {
                continue;
            }
            let ack = Ack { packet_id, reason, properties: Properties::EMPTY };
            if qos == Qos::AtLeastOnce {
                self.incoming.pending_qos1 -= 1;
                self.send(&Packet::Puback(ack));
                continue;
            }
            if reason.is_error() {
                self.incoming.received.remove(packet_id);
                self.incoming.counted.remove(packet_id);
            }
            self.send(&Packet::Pubrec(ack));
        }
    }
}

/// The code, or, where it may not stand in PUBACK or PUBREC [MQTT-3.4.2-1] [MQTT-3.5.2-1], the general one that
/// means success or failure as it does.
fn allowed(reason: ReasonCode, qos: Qos) -> ReasonCode {
    let kind = if qos == Qos::AtLeastOnce { PacketKind::Puback } else { PacketKind::Pubrec };
    match reason.is_allowed(kind, Sender::Client) {
        true => reason,
        false if reason.is_error() => ReasonCode::UNSPECIFIED_ERROR,
        false => ReasonCode::SUCCESS,
    }
}

enum Arrival {
    New,
    /// A QoS 2 message that was delivered before.
    Known,
    TooMany,
}

impl IncomingState {
    fn token(&self, packet_id: PacketId, qos: Qos) -> AckToken {
        AckToken { packet_id, qos, connection: self.connection, session: self.session }
    }

    fn arrive(&mut self, token: AckToken, options: &Options) -> Arrival {
        let AckToken { packet_id, qos, .. } = token;
        let counts = qos == Qos::AtLeastOnce || !self.counted.contains(packet_id);
        let limit = match options.version {
            Version::V5 => usize::from(options.receive_maximum) + RECEIVE_SLACK,
            Version::V31 | Version::V311 => usize::MAX,
        };
        if counts && self.pending_qos1 + self.counted.len() >= limit {
            return Arrival::TooMany;
        }
        if qos == Qos::AtLeastOnce {
            self.pending_qos1 += 1;
            self.pending.push_back(Pending { packet_id, qos, answer: None });
            return Arrival::New;
        }
        self.counted.insert(packet_id);
        if self.received.insert(packet_id) {
            self.unanswered.insert(packet_id);
            self.pending.push_back(Pending { packet_id, qos, answer: None });
            return Arrival::New;
        }
        let is_pending = |pending: &Pending| pending.packet_id == packet_id && pending.qos == qos;
        if !self.pending.iter().any(is_pending) {
            let answer = (!self.unanswered.contains(packet_id)).then_some(ReasonCode::SUCCESS);
            self.pending.push_back(Pending { packet_id, qos, answer });
        }
        Arrival::Known
    }
}
