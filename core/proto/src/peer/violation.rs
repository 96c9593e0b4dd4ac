//! What a server can do wrong towards a client.

use crate::alias::AliasViolation;
use ringmq_wire::{ReasonCode, Violation};

/// A rule that the server broke. The machine has closed the connection, with DISCONNECT in 5.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerViolation {
    /// One packet alone is wrong.
    Packet(Violation),
    /// A topic alias is wrong.
    Alias(AliasViolation),
    /// The first packet is neither CONNACK nor AUTH [MQTT-3.2.0-1].
    ConnackMissing,
    /// A second CONNACK [MQTT-3.2.0-2].
    ConnackRepeated,
    /// A session is present although the client asked for a clean start [MQTT-3.2.2-2].
    SessionAtCleanStart,
    /// Far more unacknowledged messages than this client's receive maximum [MQTT-3.3.4-9].
    ReceiveMaximumExceeded,
    /// An acknowledgement that does not fit what was sent under its identifier.
    AckMismatched,
    /// SUBACK or UNSUBACK has not one code for each filter [MQTT-3.8.4-6, MQTT-3.11.3-1].
    CodesMismatched,
    /// AUTH although the client offered no authentication method [MQTT-4.12.0-6].
    AuthenticationUnasked,
    /// The server has not proved what its side of the authentication method has to prove.
    ServerUnproved,
}

impl PeerViolation {
    /// The reason code for DISCONNECT.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Packet(violation) => violation.reason(),
            Self::Alias(violation) => violation.reason(),
            Self::ReceiveMaximumExceeded => ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
            _ => ReasonCode::PROTOCOL_ERROR,
        }
    }

    /// The clause of MQTT 5.0 that is broken; for a rule without a number, `MQTT-` and its section.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Packet(violation) => violation.clause(),
            Self::Alias(violation) => violation.clause(),
            Self::ConnackMissing => "MQTT-3.2.0-1",
            Self::ConnackRepeated => "MQTT-3.2.0-2",
            Self::SessionAtCleanStart => "MQTT-3.2.2-2",
            Self::ReceiveMaximumExceeded => "MQTT-3.3.4-9",
            Self::AckMismatched => "MQTT-4.3.2",
            Self::CodesMismatched => "MQTT-3.8.4-6",
            Self::AuthenticationUnasked => "MQTT-4.12.0-6",
            Self::ServerUnproved => "MQTT-4.12",
        }
    }
}

impl core::fmt::Display for PeerViolation {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text = match self {
            Self::Packet(violation) => return violation.fmt(formatter),
            Self::Alias(violation) => return violation.fmt(formatter),
            Self::ConnackMissing => "The server's first packet is not CONNACK.",
            Self::ConnackRepeated => "The server sent CONNACK again.",
            Self::SessionAtCleanStart => "The server kept a session although a clean start was asked for.",
            Self::ReceiveMaximumExceeded => "The server sent more messages than may be unacknowledged.",
            Self::AckMismatched => "The server acknowledged something that was not sent like that.",
            Self::CodesMismatched => "The server did not answer with one code for each filter.",
            Self::AuthenticationUnasked => "The server sent AUTH although no method was offered.",
            Self::ServerUnproved => "The server has not proved that it knows the password.",
        };
        write!(formatter, "{text} [{}]", self.clause())
    }
}

impl core::error::Error for PeerViolation {}
