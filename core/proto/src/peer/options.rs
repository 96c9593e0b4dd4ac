//! What a client asks for when it connects, and the bounds it keeps for itself.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use ringmq_wire::{PropertiesBuffer, Qos, Version};

/// When an incoming message of QoS 1 or 2 is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// As soon as the machine has handed it out as an event.
    #[default]
    OnReceipt,
    /// When [`super::Peer::acknowledge`] is called. Acknowledgements leave in the order in which the
    /// messages came [MQTT-4.6.0-2], so one that is never acknowledged holds all behind it.
    ByApplication,
}

/// The message the server publishes when the connection ends without DISCONNECT.
#[derive(Clone, Debug, Default)]
pub struct PeerWill {
    /// Topic name, without wildcards.
    pub topic: String,
    /// Payload, at most 65,535 bytes.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: Qos,
    /// Whether it is published as a retained message.
    pub retain: bool,
    /// Will properties (5.0 only): delay, format, expiry, content type, response topic, correlation data,
    /// user properties.
    pub properties: PropertiesBuffer,
}

/// Everything a client says in CONNECT, and its own bounds.
#[derive(Clone, Debug)]
pub struct Options {
    /// Protocol version.
    pub version: Version,
    /// Client identifier; empty asks the server to assign one (not in 3.1).
    pub client_id: String,
    /// Clean start, or clean session in 3.x. In 5.0 only the first connection starts clean: later ones of
    /// the same machine resume.
    pub clean_start: bool,
    /// Seconds the session outlives its connection, 5.0 only; `u32::MAX` is for ever, 0 is not at all.
    pub session_expiry_seconds: u32,
    /// Seconds of silence after which PINGREQ is sent; 0 turns it off. The server's own value wins.
    pub keep_alive_seconds: u16,
    /// User name.
    pub user_name: Option<String>,
    /// Password, at most 65,535 bytes.
    pub password: Option<Bytes>,
    /// Will.
    pub will: Option<PeerWill>,
    /// How many QoS 1 and 2 messages the server may have unacknowledged towards this client, 1 to 65,535.
    pub receive_maximum: u16,
    /// The greatest packet accepted, in bytes, header included. In 5.0 the server is told when it is less
    /// than the protocol's maximum.
    pub packet_bytes_max: u32,
    /// How many topic aliases the server may use towards this client.
    pub topic_alias_max: u16,
    /// Whether aliases are used towards a server that offers them.
    pub topic_alias_send: bool,
    /// Asks the server for response information (5.0).
    pub request_response_information: bool,
    /// Whether the server may send reason strings and user properties with errors (5.0).
    pub request_problem_information: bool,
    /// Authentication method and first data of an enhanced authentication (5.0).
    pub authentication: Option<(String, Bytes)>,
    /// User properties of CONNECT (5.0), in order.
    pub user_properties: Vec<(String, String)>,
    /// Whether CONNECT carries the bridge bit (3.x, understood by mosquitto and RingMQ).
    pub bridge: bool,
    /// When incoming messages are acknowledged.
    pub acknowledge: Acknowledge,
    /// How many QoS 1 and 2 messages may be unfinished towards the server, 1 to 65,535; the server's
    /// receive maximum bounds it further. Without it 1000 in 5.0 and 20 in 3.x, where a server cannot name
    /// its limit and mosquitto closes the connection above 20.
    pub in_flight_max: Option<u16>,
    /// How many messages may wait for a connection or for room in the window.
    pub queue_messages_max: usize,
    /// How many bytes of messages may wait or be unfinished. One message more than that is taken when
    /// nothing else is held.
    pub queue_bytes_max: usize,
    /// Whether QoS 0 messages are queued while there is no connection.
    pub queue_qos0_offline: bool,
    /// Whether unfinished messages are published as new when the server has lost the session. At QoS 2 a
    /// receiver may then see such a message twice; without it they are reported as lost.
    pub republish: bool,
    /// Whether subscriptions are made again when the server has lost the session.
    pub resubscribe: bool,
    /// Milliseconds to wait for CONNACK and for PINGRESP.
    pub response_timeout_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: Version::V5,
            client_id: String::new(),
            clean_start: true,
            session_expiry_seconds: 0,
            keep_alive_seconds: 60,
            user_name: None,
            password: None,
            will: None,
            receive_maximum: u16::MAX,
            packet_bytes_max: u32::MAX,
            topic_alias_max: 0,
            topic_alias_send: true,
            request_response_information: false,
            request_problem_information: true,
            authentication: None,
            user_properties: Vec::new(),
            bridge: false,
            acknowledge: Acknowledge::OnReceipt,
            in_flight_max: None,
            queue_messages_max: 10_000,
            queue_bytes_max: 64 << 20,
            queue_qos0_offline: true,
            republish: true,
            resubscribe: true,
            response_timeout_ms: 10_000,
        }
    }
}
