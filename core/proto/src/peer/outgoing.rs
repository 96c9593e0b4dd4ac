//! Messages on their way to the server: the queue, the window, acknowledgements, and what a new connection
//! sends again.

use super::connack::PACKET_BYTES_MAX;
use super::{
    Event, Outgoing, Peer, PeerViolation, RequestError, SubscribeRequest, Token, UnsubscribeRequest,
};
use crate::alias::OutboundAliases;
use crate::inflight::Inflight;
use crate::time::Mono;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use ringmq_wire::{
    Ack, Packet, PacketId, Place, Properties, PropertiesBuffer, Property, Publish, Qos, ReasonCode,
    TopicName, Version,
};

/// Output that may stand before queued messages wait for the transport, in bytes.
const OUTPUT_BYTES_HIGH: usize = 64 << 10;

/// Unfinished messages towards a server that names its own limit (5.0).
const IN_FLIGHT_MAX_V5: u16 = 1000;

/// Unfinished messages towards a 3.x server, which cannot name its limit: mosquitto's default.
const IN_FLIGHT_MAX_V3: u16 = 20;

/// What stands under a packet identifier.
pub(super) enum Flight {
    /// PUBLISH, waiting for PUBACK or PUBREC.
    Message { token: Token, message: Outgoing },
    /// PUBREL, waiting for PUBCOMP.
    Release { token: Token },
    /// SUBSCRIBE, waiting for SUBACK; without a token the machine asked by itself.
    Subscribe { token: Option<Token>, request: SubscribeRequest },
    /// UNSUBSCRIBE, waiting for UNSUBACK.
    Unsubscribe { token: Token, request: UnsubscribeRequest },
}

/// A request that waits for a connection.
pub(super) enum Request {
    Subscribe { token: Option<Token>, request: SubscribeRequest },
    Unsubscribe { token: Token, request: UnsubscribeRequest },
}

#[derive(Default)]
pub(super) struct OutgoingState {
    pub(super) flights: Inflight<Flight>,
    pub(super) requests: VecDeque<Request>,
    queue: VecDeque<(Token, Outgoing)>,
    /// What this connection has yet to send again, oldest first.
    resend: VecDeque<PacketId>,
    aliases: OutboundAliases,
    /// Messages of QoS 1 and 2 sent on this connection and not finished.
    unfinished: u32,
    /// Bytes of all messages queued or in flight.
    held_bytes: usize,
    scratch: PropertiesBuffer,
}

impl OutgoingState {
    /// A new connection: requests without an answer are asked again, before those never sent.
    pub(super) fn start_connection(&mut self) {
        self.resend.clear();
        self.unfinished = 0;
        self.aliases = OutboundAliases::new(0);
        let is_request =
            |flight: &Flight| matches!(flight, Flight::Subscribe { .. } | Flight::Unsubscribe { .. });
        let asked: Vec<PacketId> =
            self.flights.iter().filter(|(_, flight)| is_request(flight)).map(|(id, _)| id).collect();
        for packet_id in asked.into_iter().rev() {
            match self.flights.remove(packet_id) {
                Some(Flight::Subscribe { token, request }) => {
                    self.requests.push_front(Request::Subscribe { token, request });
                }
                Some(Flight::Unsubscribe { token, request }) => {
                    self.requests.push_front(Request::Unsubscribe { token, request });
                }
                _ => {}
            }
        }
    }
}

impl Peer {
    /// Takes a message: it is sent at once, or queued behind others, for room in the window or for a
    /// connection. [`Event::Published`] tells the end.
    ///
    /// # Errors
    /// The message is wrong or more than the server allows, or the queue is full: see [`Self::has_room`].
    pub fn publish(&mut self, message: Outgoing) -> Result<Token, RequestError> {
        self.check_message(&message)?;
        if !self.is_up() && message.qos == Qos::AtMostOnce && !self.options.queue_qos0_offline {
            return Err(RequestError::NotConnected);
        }
        if !self.has_room(message.bytes()) {
            return Err(RequestError::QueueFull);
        }
        let token = self.next_token();
        self.outgoing.held_bytes += message.bytes();
        self.outgoing.queue.push_back((token, message));
        self.pump();
        Ok(token)
    }

    /// Whether a message that counts this many bytes ([`Outgoing::bytes`]) would be taken now.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        let state = &self.outgoing;
        let fits = state.held_bytes == 0 || state.held_bytes + bytes <= self.options.queue_bytes_max;
        fits && state.queue.len() < self.options.queue_messages_max.max(1)
    }

    /// Messages queued or waiting for an acknowledgement, subscriptions and unsubscriptions without an
    /// answer.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.outgoing.queue.len() + self.outgoing.flights.len() + self.outgoing.requests.len()
    }

    /// Drops what is queued and in flight; each request ends with an event that carries this error. The
    /// session is given up with it, so the machine must not be connected again to resume it.
    pub fn abandon(&mut self, error: &RequestError) {
        let queue = core::mem::take(&mut self.outgoing.queue);
        let mut ended: Vec<Event> = Vec::new();
        let mut flights = core::mem::take(&mut self.outgoing.flights);
        flights.for_each_mut(|_, flight| ended.extend(flight.ended(error)));
        for request in core::mem::take(&mut self.outgoing.requests) {
            ended.extend(Flight::from(request).ended(error));
        }
        for (token, _) in queue {
            ended.push(Event::Published { token, outcome: Err(error.clone()) });
        }
        self.events.extend(ended);
        self.outgoing = OutgoingState::default();
    }

    /// Moves what may go into the output: requests, then what is sent again, then the queue.
    pub(super) fn pump(&mut self) {
        while self.is_up() && self.output.len() < OUTPUT_BYTES_HIGH {
            if let Some(request) = self.outgoing.requests.pop_front() {
                if !self.send_request(request) {
                    return;
                }
            } else if let Some(&packet_id) = self.outgoing.resend.front() {
                if !self.send_again(packet_id) {
                    return;
                }
                self.outgoing.resend.pop_front();
            } else if !self.send_next() {
                return;
            }
        }
    }

    /// The server's answer is there: what becomes of the messages of earlier connections.
    pub(super) fn start_outgoing(&mut self, session_present: bool) {
        self.outgoing.aliases = OutboundAliases::new(match self.options.topic_alias_send {
            true => self.limits.topic_alias_max,
            false => 0,
        });
        if session_present {
            self.outgoing.resend = self.outgoing.flights.iter().map(|(id, _)| id).collect();
            return;
        }
        let mut flights = core::mem::take(&mut self.outgoing.flights);
        let mut again = VecDeque::new();
        flights.for_each_mut(|_, flight| match flight {
            // PUBREC said that the server has it, so it counts as delivered.
            Flight::Release { token } => {
                self.events.push_back(Event::Published { token: *token, outcome: Ok(ReasonCode::SUCCESS) });
            }
            Flight::Message { token, message } if self.options.republish => {
                again.push_back((*token, core::mem::take(message)));
            }
            lost => {
                self.outgoing.held_bytes -= lost.bytes().min(self.outgoing.held_bytes);
                self.events.extend(lost.ended(&RequestError::SessionLost));
            }
        });
        again.append(&mut self.outgoing.queue);
        self.outgoing.queue = again;
    }

    pub(super) fn on_puback(&mut self, now: Mono, ack: &Ack<'_>) {
        match self.outgoing.flights.get(ack.packet_id) {
            Some(Flight::Message { message, .. }) if message.qos == Qos::AtLeastOnce => {
                self.finish(ack.packet_id, ack.reason);
            }
            Some(_) => self.fail(now, PeerViolation::AckMismatched),
            // A late answer to what an earlier connection sent.
            None => {}
        }
    }

    pub(super) fn on_pubrec(&mut self, now: Mono, ack: &Ack<'_>) {
        match self.outgoing.flights.get_mut(ack.packet_id) {
            Some(Flight::Message { message, .. }) if message.qos != Qos::ExactlyOnce => {
                self.fail(now, PeerViolation::AckMismatched);
            }
            Some(Flight::Message { .. }) if ack.reason.is_error() => self.finish(ack.packet_id, ack.reason),
            Some(flight @ Flight::Message { .. }) => {
                self.outgoing.held_bytes -= flight.bytes().min(self.outgoing.held_bytes);
                let Flight::Message { token, .. } = *flight else { return };
                *flight = Flight::Release { token };
                self.send(&Packet::Pubrel(Ack::success(ack.packet_id)));
            }
            Some(Flight::Release { .. }) => self.send(&Packet::Pubrel(Ack::success(ack.packet_id))),
            Some(_) => self.fail(now, PeerViolation::AckMismatched),
            None => {
                let reason = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
                let properties = Properties::EMPTY;
                self.send(&Packet::Pubrel(Ack { packet_id: ack.packet_id, reason, properties }));
            }
        }
    }

    pub(super) fn on_pubcomp(&mut self, now: Mono, ack: &Ack<'_>) {
        match self.outgoing.flights.get(ack.packet_id) {
            // "Not found" answers a PUBREL that was sent again: the server had finished it before.
            Some(Flight::Release { .. }) => self.finish(ack.packet_id, ReasonCode::SUCCESS),
            Some(_) => self.fail(now, PeerViolation::AckMismatched),
            None => {}
        }
    }

    /// A message is done: its place in the window is free again.
    fn finish(&mut self, packet_id: PacketId, reason: ReasonCode) {
        let Some(flight) = self.outgoing.flights.remove(packet_id) else { return };
        self.outgoing.held_bytes -= flight.bytes().min(self.outgoing.held_bytes);
        self.outgoing.unfinished = self.outgoing.unfinished.saturating_sub(1);
        if let Flight::Message { token, .. } | Flight::Release { token } = flight {
            self.events.push_back(Event::Published { token, outcome: Ok(reason) });
        }
    }

    fn window_is_open(&self) -> bool {
        let own = self.options.in_flight_max.unwrap_or(match self.options.version {
            Version::V5 => IN_FLIGHT_MAX_V5,
            Version::V31 | Version::V311 => IN_FLIGHT_MAX_V3,
        });
        let window = self.limits.receive_maximum.min(own).max(1);
        self.outgoing.unfinished < u32::from(window)
    }

    /// Sends the first message of the queue; false when there is none or the window is closed.
    fn send_next(&mut self) -> bool {
        let Some((_, message)) = self.outgoing.queue.front() else { return false };
        let needs_window = message.qos != Qos::AtMostOnce;
        if needs_window && !(self.window_is_open() && self.outgoing.flights.has_room(u16::MAX)) {
            return false;
        }
        let Some((token, message)) = self.outgoing.queue.pop_front() else { return false };
        if let Err(error) = self.check_server_limits(&message) {
            self.outgoing.held_bytes -= message.bytes().min(self.outgoing.held_bytes);
            self.events.push_back(Event::Published { token, outcome: Err(error) });
        } else if needs_window {
            let flight = Flight::Message { token, message };
            let Some(packet_id) = self.outgoing.flights.insert(u16::MAX, flight) else { return false };
            self.send_flight(packet_id, false);
        } else {
            self.outgoing.held_bytes -= message.bytes().min(self.outgoing.held_bytes);
            self.encode_publish(&message, None, false);
            self.events.push_back(Event::Published { token, outcome: Ok(ReasonCode::SUCCESS) });
        }
        true
    }

    /// Sends what an earlier connection left unfinished [MQTT-4.4.0-1]; false while the window is closed.
    fn send_again(&mut self, packet_id: PacketId) -> bool {
        match self.outgoing.flights.get(packet_id) {
            Some(Flight::Message { .. }) if !self.window_is_open() => return false,
            Some(Flight::Message { message, .. }) => match self.check_server_limits(message) {
                Ok(()) => self.send_flight(packet_id, true),
                Err(error) => {
                    if let Some(mut flight) = self.outgoing.flights.remove(packet_id) {
                        self.outgoing.held_bytes -= flight.bytes().min(self.outgoing.held_bytes);
                        self.events.extend(flight.ended(&error));
                    }
                }
            },
            Some(Flight::Release { .. }) => {
                self.outgoing.unfinished += 1;
                self.send(&Packet::Pubrel(Ack::success(packet_id)));
            }
            _ => {}
        }
        true
    }

    fn send_flight(&mut self, packet_id: PacketId, dup: bool) {
        let Some(Flight::Message { message, .. }) = self.outgoing.flights.get_mut(packet_id) else { return };
        let message = core::mem::take(message);
        self.encode_publish(&message, Some(packet_id), dup);
        if let Some(Flight::Message { message: place, .. }) = self.outgoing.flights.get_mut(packet_id) {
            *place = message;
        }
        self.outgoing.unfinished += 1;
    }

    fn encode_publish(&mut self, message: &Outgoing, packet_id: Option<PacketId>, dup: bool) {
        let Ok(mut topic) = TopicName::new(&message.topic) else { return };
        let state = &mut self.outgoing;
        let mut properties = message.properties.as_properties();
        if let Some((alias, binds)) = state.aliases.assign(&message.topic) {
            state.scratch.clear();
            state.scratch.push_u16(Property::TopicAlias, alias);
            state.scratch.push_raw(properties);
            properties = state.scratch.as_properties();
            if !binds {
                topic = TopicName::EMPTY;
            }
        }
        let (qos, retain, payload) = (message.qos, message.retain, &message.payload);
        let publish = Publish { dup, qos, retain, topic, packet_id, properties, payload };
        Packet::Publish(publish).encode(self.options.version, &mut self.output);
    }

    fn check_message(&self, message: &Outgoing) -> Result<(), RequestError> {
        TopicName::new(&message.topic).map_err(RequestError::Invalid)?;
        // Also finds a property that could not be written and so left nothing behind.
        let properties = message.properties.check(Place::Publish).map_err(RequestError::Invalid)?;
        if !properties.is_empty() {
            if self.options.version != Version::V5 {
                return Err(RequestError::NeedsVersion5);
            }
            if properties.contains(Property::TopicAlias)
                || properties.contains(Property::SubscriptionIdentifier)
            {
                return Err(RequestError::PropertyReserved);
            }
        }
        match self.is_up() {
            true => self.check_server_limits(message),
            false => Ok(()),
        }
    }

    fn check_server_limits(&self, message: &Outgoing) -> Result<(), RequestError> {
        if message.qos > self.limits.maximum_qos {
            return Err(RequestError::QosNotSupported(self.limits.maximum_qos));
        }
        if message.retain && !self.limits.retain_available {
            return Err(RequestError::RetainNotSupported);
        }
        // An upper bound first; only what comes near the limit is measured. The header takes at most 5
        // bytes, topic length, packet identifier, property length and topic alias 11.
        let bytes_max = self.limits.packet_bytes_max.min(PACKET_BYTES_MAX);
        let about = 16 + message.topic.len() + message.properties.len() + message.payload.len();
        if about <= bytes_max as usize {
            return Ok(());
        }
        let bytes = self.publish_bytes(message);
        match bytes > bytes_max as usize {
            true => Err(RequestError::PacketTooLarge { bytes, bytes_max }),
            false => Ok(()),
        }
    }

    /// Size of the packet as it would be with the topic and an alias, in bytes.
    fn publish_bytes(&self, message: &Outgoing) -> usize {
        // Three for the property, and one more where it makes the length of the properties longer.
        const ALIAS_BYTES: usize = 4;
        let packet_id = (message.qos != Qos::AtMostOnce).then_some(PacketId::MIN);
        let publish = Publish {
            dup: false,
            qos: message.qos,
            retain: message.retain,
            topic: TopicName::new(&message.topic).unwrap_or(TopicName::EMPTY),
            packet_id,
            properties: message.properties.as_properties(),
            payload: &message.payload,
        };
        let alias_bytes = if self.limits.topic_alias_max > 0 { ALIAS_BYTES } else { 0 };
        Packet::Publish(publish).encoded_bytes(self.options.version) + alias_bytes
    }
}

impl Flight {
    /// What this counts against the bound on bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Message { message, .. } => message.bytes(),
            _ => 0,
        }
    }

    /// The event that ends this with an error, if anyone asked for it.
    pub(super) fn ended(&mut self, error: &RequestError) -> Option<Event> {
        let error = error.clone();
        match *self {
            Self::Message { token, .. } | Self::Release { token } => {
                Some(Event::Published { token, outcome: Err(error) })
            }
            Self::Subscribe { token: Some(token), .. } => {
                Some(Event::Subscribed { token, outcome: Err(error) })
            }
            Self::Subscribe { token: None, .. } => None,
            Self::Unsubscribe { token, .. } => Some(Event::Unsubscribed { token, outcome: Err(error) }),
        }
    }
}

impl From<Request> for Flight {
    fn from(request: Request) -> Self {
        match request {
            Request::Subscribe { token, request } => Self::Subscribe { token, request },
            Request::Unsubscribe { token, request } => Self::Unsubscribe { token, request },
        }
    }
}
