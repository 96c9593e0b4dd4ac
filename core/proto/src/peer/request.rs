//! What an application asks of the machine, and why a request cannot be done.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use ringmq_wire::{PropertiesBuffer, Qos, ReasonCode, SubscriptionOptions, Violation};

/// Names a request until its event comes; never used twice by one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A message to publish.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// Topic name, without wildcards.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: Qos,
    /// Whether the server keeps it as the topic's retained message.
    pub retain: bool,
    /// Properties of PUBLISH (5.0 only), without topic alias and subscription identifier.
    pub properties: PropertiesBuffer,
}

impl Outgoing {
    /// What this message counts against the bound on bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // Two vectors, one reference-counted payload and the entry itself take about this much.
        const ENTRY_BYTES: usize = 128;
        ENTRY_BYTES + self.topic.len() + self.payload.len() + self.properties.len()
    }
}

/// Filters to subscribe to in one packet.
#[derive(Clone, Debug, Default)]
pub struct SubscribeRequest {
    /// Filters with their options, at least one; outside 5.0 only the QoS counts.
    pub filters: Vec<(String, SubscriptionOptions)>,
    /// Subscription identifier (5.0), 1 to 268,435,455.
    pub subscription_id: Option<u32>,
    /// User properties (5.0), in order.
    pub user_properties: Vec<(String, String)>,
}

/// Filters to unsubscribe from in one packet.
#[derive(Clone, Debug, Default)]
pub struct UnsubscribeRequest {
    /// Filters, at least one.
    pub filters: Vec<String>,
    /// User properties (5.0), in order.
    pub user_properties: Vec<(String, String)>,
}

/// How to say goodbye.
#[derive(Clone, Debug)]
pub struct Goodbye {
    /// Reason code; [`ReasonCode::DISCONNECT_WITH_WILL`] has the will published, in 3.x by closing without
    /// a word.
    pub reason: ReasonCode,
    /// Changes how long the session outlives the connection, in seconds (5.0). Not from 0 to more.
    pub session_expiry_seconds: Option<u32>,
    /// Reason in words (5.0).
    pub reason_string: Option<String>,
    /// User properties (5.0), in order.
    pub user_properties: Vec<(String, String)>,
}

impl Default for Goodbye {
    fn default() -> Self {
        Self {
            reason: ReasonCode::NORMAL_DISCONNECTION,
            session_expiry_seconds: None,
            reason_string: None,
            user_properties: Vec::new(),
        }
    }
}

/// One step of an enhanced authentication (5.0).
#[derive(Clone, Debug, Default)]
pub struct Authentication {
    /// Whether this starts a new authentication of a connection that stands; else it continues one.
    pub start_again: bool,
    /// Authentication data.
    pub data: Bytes,
}

/// Why a request cannot be done. The caller recovers all of them; none closes the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The queue is full. Wait until messages have been acknowledged, or drop this one.
    QueueFull,
    /// There is no connection, and the request cannot wait for one.
    NotConnected,
    /// The session was lost before the server confirmed the message; it may or may not have arrived.
    SessionLost,
    /// The topic, a filter or a property breaks this rule; correct it.
    Invalid(Violation),
    /// Properties, enhanced authentication and subscription identifiers exist in 5.0 only.
    NeedsVersion5,
    /// A request without a single filter.
    NoFilters,
    /// A client identifier is needed: 3.1 always wants one, 3.1.1 for a session that is not clean
    /// [MQTT-3.1.3-7].
    ClientIdNeeded,
    /// The property is set by the machine and must not be given.
    PropertyReserved,
    /// The server does not accept this QoS; publish at the one named or lower [MQTT-3.2.2-11].
    QosNotSupported(Qos),
    /// The server does not keep retained messages [MQTT-3.2.2-14].
    RetainNotSupported,
    /// The packet would be larger than the server accepts, in bytes [MQTT-3.2.2-15].
    PacketTooLarge {
        /// Size of the packet in bytes.
        bytes: usize,
        /// What the server accepts, in bytes.
        bytes_max: u32,
    },
    /// The server does not offer wildcard subscriptions.
    WildcardsNotSupported,
    /// The server does not offer shared subscriptions.
    SharedNotSupported,
    /// The server does not offer subscription identifiers.
    SubscriptionIdsNotSupported,
    /// All packet identifiers are in use; wait until requests have been answered.
    PacketIdsUsedUp,
    /// A session that was to end with its connection cannot be kept by DISCONNECT [MQTT-3.14.2-2].
    SessionExpiryNotAllowed,
}

impl core::fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text = match self {
            Self::QueueFull => "The queue of messages to send is full.",
            Self::NotConnected => "There is no connection to the server.",
            Self::SessionLost => "The server lost the session before it confirmed the message.",
            Self::Invalid(violation) => return violation.fmt(formatter),
            Self::NeedsVersion5 => "This needs MQTT 5.0.",
            Self::NoFilters => "There is no topic filter.",
            Self::ClientIdNeeded => "This version needs a client identifier here.",
            Self::PropertyReserved => "Topic alias and subscription identifier are set by the client itself.",
            Self::QosNotSupported(maximum) => {
                return write!(formatter, "The server accepts at most QoS {}.", maximum.value());
            }
            Self::RetainNotSupported => "The server does not keep retained messages.",
            Self::PacketTooLarge { bytes, bytes_max } => {
                return write!(
                    formatter,
                    "The packet has {bytes} bytes, and the server accepts at most {bytes_max}."
                );
            }
            Self::WildcardsNotSupported => "The server does not offer wildcard subscriptions.",
            Self::SharedNotSupported => "The server does not offer shared subscriptions.",
            Self::SubscriptionIdsNotSupported => "The server does not offer subscription identifiers.",
            Self::PacketIdsUsedUp => "All packet identifiers are in use.",
            Self::SessionExpiryNotAllowed => {
                "A session that ends with its connection cannot be kept when disconnecting."
            }
        };
        formatter.write_str(text)
    }
}

impl core::error::Error for RequestError {}
