//! The server's answer to CONNECT: what it allows, and what becomes of the session.

use super::machine::Phase;
use super::{Connected, DisconnectCause, Event, Peer, PeerViolation};
use crate::time::Mono;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use ringmq_wire::{
    Connack, Frame, Properties, PropertiesBuffer, Property, Qos, REMAINING_LENGTH_MAX, ReasonCode, Version,
};

/// The greatest packet there is, in bytes: the longest header and the longest rest.
pub(super) const PACKET_BYTES_MAX: u32 = REMAINING_LENGTH_MAX + 5;

/// What a server allows, from CONNACK; the protocol's defaults for all it does not mention and in 3.x.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// The highest QoS to publish with.
    pub maximum_qos: Qos,
    /// Whether retained messages are kept.
    pub retain_available: bool,
    /// How many QoS 1 and 2 messages may be unfinished.
    pub receive_maximum: u16,
    /// The greatest packet the server accepts, in bytes.
    pub packet_bytes_max: u32,
    /// How many topic aliases may be used.
    pub topic_alias_max: u16,
    /// Keep alive in force, in seconds; 0 is off.
    pub keep_alive_seconds: u16,
    /// How long the session outlives the connection, in seconds; `u32::MAX` is for ever.
    pub session_expiry_seconds: u32,
    /// Whether filters may have wildcards.
    pub wildcards_available: bool,
    /// Whether subscription identifiers may be given.
    pub subscription_ids_available: bool,
    /// Whether shared subscriptions may be made.
    pub shared_available: bool,
    /// Where response topics are to be formed, if asked for and given.
    pub response_information: Option<String>,
}

impl ServerLimits {
    pub(super) fn read(properties: Properties<'_>, keep_alive: u16, session_expiry: u32) -> Self {
        let is_available = |property| properties.u8(property) != Some(0);
        let maximum_qos = properties.u8(Property::MaximumQos).and_then(Qos::from_u8);
        Self {
            maximum_qos: maximum_qos.unwrap_or(Qos::ExactlyOnce),
            retain_available: is_available(Property::RetainAvailable),
            receive_maximum: properties.u16(Property::ReceiveMaximum).unwrap_or(u16::MAX),
            packet_bytes_max: properties
                .u32(Property::MaximumPacketSize)
                .map_or(PACKET_BYTES_MAX, |bytes| bytes.min(PACKET_BYTES_MAX)),
            topic_alias_max: properties.u16(Property::TopicAliasMaximum).unwrap_or(0),
            keep_alive_seconds: properties.u16(Property::ServerKeepAlive).unwrap_or(keep_alive),
            session_expiry_seconds: properties.u32(Property::SessionExpiryInterval).unwrap_or(session_expiry),
            wildcards_available: is_available(Property::WildcardSubscriptionAvailable),
            subscription_ids_available: is_available(Property::SubscriptionIdentifierAvailable),
            shared_available: is_available(Property::SharedSubscriptionAvailable),
            response_information: properties.str(Property::ResponseInformation).map(ToOwned::to_owned),
        }
    }
}

/// A server that knows 3.x only answers a CONNECT of 5.0 with a CONNACK of its own form: two bytes.
pub(super) fn refusal_of_older_server(version: Version, frame: &Frame<'_>) -> Option<ReasonCode> {
    match *frame.body {
        [_, code] if version == Version::V5 && frame.first == 0x20 && code != 0 => {
            ReasonCode::from_connect_return_code_v3(code)
        }
        _ => None,
    }
}

impl Peer {
    pub(super) fn on_connack(&mut self, now: Mono, connack: &Connack<'_>) {
        let mut properties = PropertiesBuffer::new();
        properties.push_raw(connack.properties);
        if connack.reason.is_error() {
            self.close(DisconnectCause::Refused { reason: connack.reason, properties });
            return;
        }
        if connack.session_present && self.asked_clean {
            self.fail(now, PeerViolation::SessionAtCleanStart);
            return;
        }
        if !self.is_server_proved(connack.properties) {
            self.fail(now, PeerViolation::ServerUnproved);
            return;
        }
        // 3.1 has no flag for it. The server keeps a session that is not clean, and sending again what it
        // might have lost is within the promise of QoS 1 and 2.
        let session_present = match self.options.version {
            Version::V31 => !self.asked_clean,
            Version::V311 | Version::V5 => connack.session_present,
        };
        let expiry = self.options.session_expiry_seconds;
        self.limits = ServerLimits::read(connack.properties, self.options.keep_alive_seconds, expiry);
        self.keep_alive.start(now, self.limits.keep_alive_seconds, self.options.response_timeout_ms);
        self.start_outgoing(session_present);
        if !session_present {
            self.incoming.forget_session();
        }
        // Where the flag is missing, the subscriptions may be missing too; asking again does no harm.
        if self.was_connected && (!session_present || self.options.version == Version::V31) {
            self.subscribe_again();
        }
        self.was_connected = true;
        self.phase = Phase::Up;
        let assigned = connack.properties.str(Property::AssignedClientIdentifier).map(ToOwned::to_owned);
        if let Some(client_id) = &assigned {
            // The session belongs to this name from now on: to resume it, the client must say it.
            self.options.client_id.clone_from(client_id);
        }
        self.events.push_back(Event::Connected(Box::new(Connected {
            session_present,
            limits: self.limits.clone(),
            assigned_client_id: assigned,
            properties,
        })));
    }
}
