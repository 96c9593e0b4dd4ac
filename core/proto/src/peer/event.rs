//! What the machine tells whoever drives it.

use super::{PeerViolation, RequestError, ServerLimits, Token};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use ringmq_wire::{PacketId, PropertiesBuffer, Qos, ReasonCode};

/// Names an incoming message that waits for its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckToken {
    pub(super) packet_id: PacketId,
    pub(super) qos: Qos,
    pub(super) connection: u32,
    pub(super) session: u32,
}

/// A message from the server.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Topic name, with any alias resolved.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Quality of service it was delivered with.
    pub qos: Qos,
    /// Whether it is a retained message, or keeps its retain flag by the subscription's option.
    pub retain: bool,
    /// Whether the server says that it may have sent it before.
    pub dup: bool,
    /// Packet identifier, above QoS 0.
    pub packet_id: Option<PacketId>,
    /// Properties of PUBLISH; empty in 3.x. The topic alias is among them if the server used one.
    pub properties: PropertiesBuffer,
    /// How to acknowledge it; none at QoS 0 and when the machine acknowledges by itself.
    pub ack: Option<AckToken>,
}

/// The server has accepted the connection.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Whether the server has kept the session. 3.1 cannot say; there it is assumed unless the session
    /// was to start clean.
    pub session_present: bool,
    /// What the server offers and allows.
    pub limits: ServerLimits,
    /// The identifier the server assigned, if the client gave none.
    pub assigned_client_id: Option<String>,
    /// All properties of CONNACK.
    pub properties: PropertiesBuffer,
}

/// Why a connection ended.
#[derive(Clone, Debug)]
pub enum DisconnectCause {
    /// The application asked for it.
    Requested,
    /// CONNACK refused the connection, with this code (mapped to 5.0's from a 3.x return code).
    Refused {
        /// Reason code.
        reason: ReasonCode,
        /// All properties of CONNACK.
        properties: PropertiesBuffer,
    },
    /// The server sent DISCONNECT (5.0).
    ByServer {
        /// Reason code.
        reason: ReasonCode,
        /// All properties of DISCONNECT.
        properties: PropertiesBuffer,
    },
    /// The server broke a rule of the protocol.
    Violation(PeerViolation),
    /// No CONNACK came in time.
    ConnackTimeout,
    /// No PINGRESP came in time.
    PingTimeout,
    /// The transport closed or failed.
    Transport,
}

/// What happened, in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// The connection stands.
    Connected(Box<Connected>),
    /// A message came.
    Message(Incoming),
    /// A message is done: QoS 0 was encoded for the transport, QoS 1 and 2 were acknowledged with this
    /// reason code (which may be an error), or it cannot be sent.
    Published {
        /// The request.
        token: Token,
        /// The server's answer, or why there is none.
        outcome: Result<ReasonCode, RequestError>,
    },
    /// SUBACK came, or the request cannot be sent.
    Subscribed {
        /// The request.
        token: Token,
        /// A code for each filter, in order: the granted QoS or an error.
        outcome: Result<Vec<ReasonCode>, RequestError>,
    },
    /// A subscription that was to be made again after the session was lost was refused, and is given up.
    ResubscribeRefused {
        /// The filter.
        filter: String,
        /// The server's answer.
        reason: ReasonCode,
    },
    /// UNSUBACK came, or the request cannot be sent.
    Unsubscribed {
        /// The request.
        token: Token,
        /// A code for each filter, in order; success for each in 3.x.
        outcome: Result<Vec<ReasonCode>, RequestError>,
    },
    /// The server continues or ends an enhanced authentication; answer with [`super::Peer::authenticate`]
    /// when the reason is [`ReasonCode::CONTINUE_AUTHENTICATION`].
    Authentication {
        /// Reason code.
        reason: ReasonCode,
        /// All properties of AUTH.
        properties: PropertiesBuffer,
    },
    /// The connection ended; the transport is to be closed once the output is written.
    Disconnected(Box<DisconnectCause>),
}
