//! The machine itself: its phases, the way of bytes in and out, timeouts and goodbyes. What the packets mean
//! for messages and subscriptions stands in the neighbouring files.

use super::connack::{PACKET_BYTES_MAX, refusal_of_older_server};
use super::incoming::IncomingState;
use super::keep_alive::KeepAlive;
use super::outgoing::OutgoingState;
use super::subscriptions::Subscriptions;
use super::{
    Authentication, Authenticator, DisconnectCause, Event, Goodbye, Options, PeerViolation, RequestError,
    ServerLimits, Token,
};
use crate::time::Mono;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use ringmq_wire::{
    Auth, Disconnect, Packet, PacketKind, Place, Properties, PropertiesBuffer, Property, ReasonCode, Sender,
    Version, decode, frame,
};

/// Output that is kept for the next connection's use once it is written, in bytes; more is given back.
const OUTPUT_KEPT_BYTES_MAX: usize = 256 << 10;

/// Where a connection stands; the drawing is in the module's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Down,
    Opening { deadline: Mono },
    Up,
    Closing,
}

/// A client as a value: see the module's description.
pub struct Peer {
    pub(super) options: Options,
    authenticator: Option<Box<dyn Authenticator>>,
    pub(super) phase: Phase,
    pub(super) output: Vec<u8>,
    pub(super) events: VecDeque<Event>,
    pub(super) limits: ServerLimits,
    pub(super) keep_alive: KeepAlive,
    pub(super) asked_clean: bool,
    pub(super) was_connected: bool,
    pub(super) outgoing: OutgoingState,
    pub(super) incoming: IncomingState,
    pub(super) subscriptions: Subscriptions,
    output_taken: usize,
    input: Vec<u8>,
    tokens: u64,
}

impl Peer {
    /// A machine that is down.
    ///
    /// # Errors
    /// Options that make no valid CONNECT: [`RequestError::Invalid`] with the rule, or
    /// [`RequestError::NeedsVersion5`].
    pub fn new(options: Options) -> Result<Self, RequestError> {
        options.check()?;
        let limits = ServerLimits::read(Properties::EMPTY, options.keep_alive_seconds, 0);
        Ok(Self {
            incoming: IncomingState::new(&options),
            options,
            authenticator: None,
            phase: Phase::Down,
            output: Vec::new(),
            events: VecDeque::new(),
            limits,
            keep_alive: KeepAlive::default(),
            asked_clean: false,
            was_connected: false,
            outgoing: OutgoingState::default(),
            subscriptions: Subscriptions::default(),
            output_taken: 0,
            input: Vec::new(),
            tokens: 0,
        })
    }

    /// Has this one answer the server's AUTH, instead of events that ask the application to; of 5.0 only.
    pub fn set_authenticator(&mut self, authenticator: Box<dyn Authenticator>) {
        self.options.authentication = Some((authenticator.method().into(), Bytes::new()));
        self.authenticator = Some(authenticator);
    }

    /// Whether the server has proved what it has to, with the last data of an authentication.
    pub(super) fn is_server_proved(&mut self, properties: Properties<'_>) -> bool {
        let data = properties.bytes(Property::AuthenticationData).unwrap_or_default();
        self.authenticator.as_mut().is_none_or(|authenticator| authenticator.is_proved(data))
    }

    /// A transport stands: writes CONNECT and waits for the answer. Whatever was left of an earlier
    /// connection is forgotten; the session is kept.
    pub fn connect(&mut self, now: Mono) {
        self.transport_closed();
        self.output.clear();
        self.output_taken = 0;
        self.asked_clean = self.starts_clean();
        self.outgoing.start_connection();
        self.incoming.start_connection(&self.options);
        if let Some((authenticator, (_, data))) =
            self.authenticator.as_mut().zip(self.options.authentication.as_mut())
        {
            *data = authenticator.begin();
        }
        self.options.encode_connect(self.asked_clean, &mut self.output);
        self.phase = Phase::Opening { deadline: now.plus(self.options.response_timeout_ms) };
    }

    /// Takes bytes from the transport, split anywhere. What the server did wrong comes back as an event.
    pub fn handle(&mut self, now: Mono, bytes: &[u8]) {
        if !self.is_open() {
            return;
        }
        self.keep_alive.received(now);
        if self.input.is_empty() {
            let used = self.consume(now, bytes);
            self.input.extend_from_slice(&bytes[used..]);
        } else {
            let mut input = core::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            let used = self.consume(now, &input);
            input.drain(..used);
            if !input.is_empty() {
                self.input = input;
            }
        }
        self.pump();
    }

    /// When [`Self::handle_timeout`] is to be called next, if at all; changes with every other call.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        match self.phase {
            Phase::Opening { deadline } => Some(deadline),
            Phase::Up => {
                [self.keep_alive.ping_due(), self.keep_alive.answer_due()].into_iter().flatten().min()
            }
            Phase::Down | Phase::Closing => None,
        }
    }

    /// Does what is due at `now`; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Mono) {
        let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        match self.phase {
            Phase::Opening { deadline } if deadline <= now => self.close(DisconnectCause::ConnackTimeout),
            Phase::Up if is_due(self.keep_alive.answer_due()) => {
                self.goodbye_packet(ReasonCode::UNSPECIFIED_ERROR, Properties::EMPTY);
                self.close(DisconnectCause::PingTimeout);
            }
            Phase::Up if is_due(self.keep_alive.ping_due()) => {
                self.send(&Packet::Pingreq);
                self.keep_alive.asked(now);
            }
            _ => {}
        }
    }

    /// Bytes to write to the transport.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.get(self.output_taken..).unwrap_or(&[])
    }

    /// The transport took this many bytes of [`Self::output`].
    pub fn output_taken(&mut self, now: Mono, bytes: usize) {
        self.output_taken = (self.output_taken + bytes).min(self.output.len());
        if bytes > 0 {
            self.keep_alive.sent(now);
        }
        if self.output_taken == self.output.len() {
            self.output.clear();
            self.output_taken = 0;
            if self.output.capacity() > OUTPUT_KEPT_BYTES_MAX {
                self.output = Vec::new();
            }
            self.pump();
        }
    }

    /// The next thing that happened.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Says whether the driver has stopped reading the transport because the application is behind. While it
    /// has, a missing PINGRESP is no sign of a dead server.
    pub fn pause_input(&mut self, now: Mono, paused: bool) {
        self.keep_alive.pause(now, paused);
    }

    /// The transport is closed or failed. In `Closing` this ends the connection; before, it also says so in
    /// an event.
    pub fn transport_closed(&mut self) {
        if self.is_open() {
            self.close(DisconnectCause::Transport);
        }
        self.phase = Phase::Down;
    }

    /// Says goodbye: DISCONNECT goes behind what is already in the output, without the words that would make
    /// it larger than the server takes [MQTT-3.14.2-3] [MQTT-3.14.2-4]. Messages that are not finished stay
    /// with the session.
    ///
    /// # Errors
    /// No connection, or a goodbye that 5.0 does not allow.
    pub fn disconnect(&mut self, goodbye: &Goodbye) -> Result<(), RequestError> {
        if !self.is_open() {
            return Err(RequestError::NotConnected);
        }
        let mut properties = PropertiesBuffer::new();
        if let Some(seconds) = goodbye.session_expiry_seconds {
            if seconds > 0 && self.options.session_expiry_seconds == 0 {
                return Err(RequestError::SessionExpiryNotAllowed);
            }
            properties.push_u32(Property::SessionExpiryInterval, seconds);
        }
        let bare = properties.clone();
        if let Some(reason) = &goodbye.reason_string {
            properties.push_str(Property::ReasonString, reason);
        }
        for (name, value) in &goodbye.user_properties {
            properties.push_user(name, value);
        }
        let properties = properties.check(Place::Disconnect).map_err(RequestError::Invalid)?;
        if !goodbye.reason.is_allowed(PacketKind::Disconnect, Sender::Client) {
            return Err(RequestError::Invalid(ringmq_wire::Violation::DisconnectReasonUnknown));
        }
        let packet = Packet::Disconnect(Disconnect { reason: goodbye.reason, properties });
        let fits = self.check_size(&packet).is_ok();
        self.goodbye_packet(goodbye.reason, if fits { properties } else { bare.as_properties() });
        self.close(DisconnectCause::Requested);
        Ok(())
    }

    /// Sends AUTH with the method of the options; an authenticator brings its own data to begin with.
    ///
    /// # Errors
    /// No connection, not 5.0, no method in the options, data of more than 65,535 bytes, or more than the
    /// server takes.
    pub fn authenticate(&mut self, step: &Authentication) -> Result<(), RequestError> {
        let Some((method, _)) = &self.options.authentication else {
            return Err(RequestError::NeedsVersion5);
        };
        let reason = match (self.phase, step.start_again) {
            (Phase::Up, true) => ReasonCode::REAUTHENTICATE,
            (Phase::Up | Phase::Opening { .. }, false) => ReasonCode::CONTINUE_AUTHENTICATION,
            _ => return Err(RequestError::NotConnected),
        };
        let mut properties = PropertiesBuffer::new();
        properties.push_str(Property::AuthenticationMethod, method);
        // Who answers begins as well.
        let begun = self.authenticator.as_mut().filter(|_| step.start_again).map(|own| own.begin());
        let data = begun.as_ref().unwrap_or(&step.data);
        if !data.is_empty() {
            properties.push_bytes(Property::AuthenticationData, data);
        }
        let checked = properties.check(Place::Auth).map_err(RequestError::Invalid)?;
        let packet = Packet::Auth(Auth { reason, properties: checked });
        self.check_size(&packet)?;
        packet.encode(self.options.version, &mut self.output);
        Ok(())
    }

    /// Whether the server has accepted the connection and it stands.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Whether the output is to be written and the transport closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// What the server of the present or last connection allows.
    #[must_use]
    pub fn limits(&self) -> &ServerLimits {
        &self.limits
    }

    /// The options, with the client identifier the server assigned, if it did.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Opening { .. } | Phase::Up)
    }

    /// Whether the server takes a packet of this size [MQTT-3.2.2-15]; before CONNACK nobody knows.
    fn check_size(&self, packet: &Packet<'_>) -> Result<(), RequestError> {
        let (bytes, bytes_max) = (packet.encoded_bytes(self.options.version), self.limits.packet_bytes_max);
        match self.is_up() && bytes > bytes_max as usize {
            true => Err(RequestError::PacketTooLarge { bytes, bytes_max }),
            false => Ok(()),
        }
    }

    pub(super) fn next_token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    pub(super) fn send(&mut self, packet: &Packet<'_>) {
        packet.encode(self.options.version, &mut self.output);
    }

    /// The server broke a rule: 5.0 tells it why [MQTT-4.13.1-1], and the connection closes.
    pub(super) fn fail(&mut self, _now: Mono, violation: PeerViolation) {
        if self.phase == Phase::Up && self.options.version == Version::V5 {
            self.goodbye_packet(violation.reason(), Properties::EMPTY);
        }
        self.close(DisconnectCause::Violation(violation));
    }

    pub(super) fn close(&mut self, cause: DisconnectCause) {
        self.phase = Phase::Closing;
        self.input = Vec::new();
        self.keep_alive.stop();
        self.events.push_back(Event::Disconnected(Box::new(cause)));
    }

    /// A clean start happens once: what the application asked to begin anew, a reconnect goes on with.
    fn starts_clean(&self) -> bool {
        self.options.clean_start && (self.options.version < Version::V5 || !self.was_connected)
    }

    fn goodbye_packet(&mut self, reason: ReasonCode, properties: Properties<'_>) {
        // 3.x knows only the goodbye that discards the will; to have it published, the client just closes.
        if self.options.version == Version::V5 || reason == ReasonCode::NORMAL_DISCONNECTION {
            self.send(&Packet::Disconnect(Disconnect { reason, properties }));
        }
    }

    /// Handles every whole packet; how many bytes they took. After a fault all bytes count as taken.
    fn consume(&mut self, now: Mono, bytes: &[u8]) -> usize {
        let mut at = 0;
        while self.is_open() {
            let rest = &bytes[at..];
            let frame = match frame::split(rest, self.options.packet_bytes_max.min(PACKET_BYTES_MAX)) {
                Ok(Some(frame)) => frame,
                Ok(None) => return at,
                Err(violation) => {
                    self.fail(now, PeerViolation::Packet(violation));
                    break;
                }
            };
            at += frame.bytes;
            let refusal = refusal_of_older_server(self.options.version, &frame);
            if let (Phase::Opening { .. }, Some(reason)) = (self.phase, refusal) {
                self.close(DisconnectCause::Refused { reason, properties: PropertiesBuffer::new() });
                break;
            }
            match decode(self.options.version, Sender::Server, &frame) {
                Ok(packet) => self.on_packet(now, &packet),
                Err(violation) => self.fail(now, PeerViolation::Packet(violation)),
            }
        }
        bytes.len()
    }

    fn on_packet(&mut self, now: Mono, packet: &Packet<'_>) {
        match (self.phase, packet) {
            (Phase::Opening { .. }, Packet::Connack(connack)) => self.on_connack(now, connack),
            (_, Packet::Auth(auth)) => self.on_auth(now, auth),
            (Phase::Opening { .. }, _) => self.fail(now, PeerViolation::ConnackMissing),
            (_, Packet::Connack(_)) => self.fail(now, PeerViolation::ConnackRepeated),
            (_, Packet::Publish(publish)) => self.on_publish(now, publish),
            (_, Packet::Puback(ack)) => self.on_puback(now, ack),
            (_, Packet::Pubrec(ack)) => self.on_pubrec(now, ack),
            (_, Packet::Pubrel(ack)) => self.on_pubrel(ack),
            (_, Packet::Pubcomp(ack)) => self.on_pubcomp(now, ack),
            (_, Packet::Suback(suback)) => self.on_suback(now, suback),
            (_, Packet::Unsuback(unsuback)) => self.on_unsuback(now, unsuback),
            (_, Packet::Pingresp) => self.keep_alive.answered(),
            (_, Packet::Disconnect(disconnect)) => {
                let properties = owned(disconnect.properties);
                self.close(DisconnectCause::ByServer { reason: disconnect.reason, properties });
            }
            // The decoder refuses what only clients send.
            (_, Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Pingreq) => {
                self.fail(now, PeerViolation::Packet(ringmq_wire::Violation::PacketFromWrongSide))
            }
        }
    }

    fn on_auth(&mut self, now: Mono, auth: &Auth<'_>) {
        if self.options.authentication.is_none() {
            self.fail(now, PeerViolation::AuthenticationUnasked);
            return;
        }
        if self.authenticator.is_some() {
            return self.answer_auth(now, auth);
        }
        let properties = owned(auth.properties);
        self.events.push_back(Event::Authentication { reason: auth.reason, properties });
    }

    fn answer_auth(&mut self, now: Mono, auth: &Auth<'_>) {
        let is_good = match auth.reason {
            ReasonCode::CONTINUE_AUTHENTICATION => {
                let data = auth.properties.bytes(Property::AuthenticationData).unwrap_or_default();
                let answer = self.authenticator.as_mut().and_then(|authenticator| authenticator.answer(data));
                let step = answer.map(|data| Authentication { data, start_again: false });
                step.is_some_and(|step| self.authenticate(&step).is_ok())
            }
            _ => self.is_server_proved(auth.properties),
        };
        if !is_good {
            self.fail(now, PeerViolation::ServerUnproved);
        }
    }
}

pub(super) fn owned(properties: Properties<'_>) -> PropertiesBuffer {
    let mut buffer = PropertiesBuffer::new();
    buffer.push_raw(properties);
    buffer
}
