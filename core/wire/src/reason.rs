//! Reason codes of MQTT 5.0, where each may stand, and the return codes of CONNACK in 3.x.
//!
//! One table names every code with the packets that may carry it; decoding reads it and nothing else does.

use crate::{PacketKind, Sender};

/// A reason code. Values of 0x80 and above are errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonCode(u8);

const CONNACK: u16 = 1;
const PUBACK: u16 = 1 << 1;
const PUBREC: u16 = 1 << 2;
const PUBREL: u16 = 1 << 3;
const PUBCOMP: u16 = 1 << 4;
const SUBACK: u16 = 1 << 5;
const UNSUBACK: u16 = 1 << 6;
const DISCONNECT_CLIENT: u16 = 1 << 7;
const DISCONNECT_SERVER: u16 = 1 << 8;
const AUTH_CLIENT: u16 = 1 << 9;
const AUTH_SERVER: u16 = 1 << 10;
const PUBLISHED: u16 = PUBACK | PUBREC;
const RELEASED: u16 = PUBREL | PUBCOMP;
const DISCONNECT: u16 = DISCONNECT_CLIENT | DISCONNECT_SERVER;
const AUTH: u16 = AUTH_CLIENT | AUTH_SERVER;

macro_rules! reason_codes {
    ($($constant:ident = $value:literal, $name:literal, $places:expr;)*) => {
        impl ReasonCode {
            $(#[doc = concat!($name, " (", stringify!($value), ").")]
            pub const $constant: ReasonCode = ReasonCode($value);)*
        }
        const TABLE: &[(u8, &str, u16)] = &[$(($value, $name, $places)),*];
    };
}

reason_codes! {
    SUCCESS = 0x00, "Success", CONNACK | PUBLISHED | RELEASED | SUBACK | UNSUBACK | DISCONNECT | AUTH_SERVER;
    GRANTED_QOS_1 = 0x01, "Granted QoS 1", SUBACK;
    GRANTED_QOS_2 = 0x02, "Granted QoS 2", SUBACK;
    DISCONNECT_WITH_WILL = 0x04, "Disconnect with Will Message", DISCONNECT_CLIENT;
    NO_MATCHING_SUBSCRIBERS = 0x10, "No matching subscribers", PUBLISHED;
    NO_SUBSCRIPTION_EXISTED = 0x11, "No subscription existed", UNSUBACK;
    CONTINUE_AUTHENTICATION = 0x18, "Continue authentication", AUTH;
    REAUTHENTICATE = 0x19, "Re-authenticate", AUTH_CLIENT;
    UNSPECIFIED_ERROR = 0x80, "Unspecified error", CONNACK | PUBLISHED | SUBACK | UNSUBACK | DISCONNECT;
    MALFORMED_PACKET = 0x81, "Malformed packet", CONNACK | DISCONNECT;
    PROTOCOL_ERROR = 0x82, "Protocol error", CONNACK | DISCONNECT;
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83, "Implementation specific error",
        CONNACK | PUBLISHED | SUBACK | UNSUBACK | DISCONNECT;
    UNSUPPORTED_PROTOCOL_VERSION = 0x84, "Unsupported protocol version", CONNACK;
    CLIENT_IDENTIFIER_NOT_VALID = 0x85, "Client identifier not valid", CONNACK;
    BAD_USER_NAME_OR_PASSWORD = 0x86, "Bad user name or password", CONNACK;
    NOT_AUTHORIZED = 0x87, "Not authorized", CONNACK | PUBLISHED | SUBACK | UNSUBACK | DISCONNECT_SERVER;
    SERVER_UNAVAILABLE = 0x88, "Server unavailable", CONNACK;
    SERVER_BUSY = 0x89, "Server busy", CONNACK | DISCONNECT_SERVER;
    BANNED = 0x8A, "Banned", CONNACK;
    SERVER_SHUTTING_DOWN = 0x8B, "Server shutting down", DISCONNECT_SERVER;
    BAD_AUTHENTICATION_METHOD = 0x8C, "Bad authentication method", CONNACK | DISCONNECT_SERVER;
    KEEP_ALIVE_TIMEOUT = 0x8D, "Keep alive timeout", DISCONNECT_SERVER;
    SESSION_TAKEN_OVER = 0x8E, "Session taken over", DISCONNECT_SERVER;
    TOPIC_FILTER_INVALID = 0x8F, "Topic filter invalid", SUBACK | UNSUBACK | DISCONNECT_SERVER;
    TOPIC_NAME_INVALID = 0x90, "Topic name invalid", CONNACK | PUBLISHED | DISCONNECT;
    PACKET_IDENTIFIER_IN_USE = 0x91, "Packet identifier in use", PUBLISHED | SUBACK | UNSUBACK;
    PACKET_IDENTIFIER_NOT_FOUND = 0x92, "Packet identifier not found", RELEASED;
    RECEIVE_MAXIMUM_EXCEEDED = 0x93, "Receive maximum exceeded", DISCONNECT;
    TOPIC_ALIAS_INVALID = 0x94, "Topic alias invalid", DISCONNECT;
    PACKET_TOO_LARGE = 0x95, "Packet too large", CONNACK | DISCONNECT;
    MESSAGE_RATE_TOO_HIGH = 0x96, "Message rate too high", DISCONNECT;
    QUOTA_EXCEEDED = 0x97, "Quota exceeded", CONNACK | PUBLISHED | SUBACK | DISCONNECT;
    ADMINISTRATIVE_ACTION = 0x98, "Administrative action", DISCONNECT;
    PAYLOAD_FORMAT_INVALID = 0x99, "Payload format invalid", CONNACK | PUBLISHED | DISCONNECT;
    RETAIN_NOT_SUPPORTED = 0x9A, "Retain not supported", CONNACK | DISCONNECT_SERVER;
    QOS_NOT_SUPPORTED = 0x9B, "QoS not supported", CONNACK | DISCONNECT_SERVER;
    USE_ANOTHER_SERVER = 0x9C, "Use another server", CONNACK | DISCONNECT_SERVER;
    SERVER_MOVED = 0x9D, "Server moved", CONNACK | DISCONNECT_SERVER;
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E, "Shared subscriptions not supported",
        SUBACK | DISCONNECT_SERVER;
    CONNECTION_RATE_EXCEEDED = 0x9F, "Connection rate exceeded", CONNACK | DISCONNECT_SERVER;
    MAXIMUM_CONNECT_TIME = 0xA0, "Maximum connect time", DISCONNECT_SERVER;
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1, "Subscription identifiers not supported",
        SUBACK | DISCONNECT_SERVER;
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2, "Wildcard subscriptions not supported",
        SUBACK | DISCONNECT_SERVER;
}

impl ReasonCode {
    /// Normal disconnection (0x00), the name of success in DISCONNECT.
    pub const NORMAL_DISCONNECTION: ReasonCode = ReasonCode(0x00);
    /// Granted QoS 0 (0x00), the name of success in SUBACK.
    pub const GRANTED_QOS_0: ReasonCode = ReasonCode(0x00);

    /// The code for a number, or nothing when the specification assigns it no meaning.
    pub fn from_u8(value: u8) -> Option<ReasonCode> {
        TABLE.iter().any(|row| row.0 == value).then_some(ReasonCode(value))
    }

    /// The number on the wire.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Whether the code says that something failed (0x80 and above).
    pub const fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// The name in the specification.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self.0).map_or("Unknown", |row| row.1)
    }

    /// Whether `sender` may use this code in a packet of this kind of MQTT 5.0.
    pub fn is_allowed(self, kind: PacketKind, sender: Sender) -> bool {
        let place = place(kind, sender);
        TABLE.iter().any(|row| row.0 == self.0 && row.2 & place != 0)
    }

    /// The CONNACK return code of 3.x, 0 to 5, that says nearly the same as this code.
    pub const fn connect_return_code_v3(self) -> u8 {
        match self.0 {
            0x00 => 0,
            0x84 => 1,
            0x85 => 2,
            0x86 => 4,
            0x87 | 0x8A | 0x8C | 0x90 => 5,
            _ => 3,
        }
    }

    /// The code for a CONNACK return code of 3.x, or nothing when it is greater than 5.
    pub const fn from_connect_return_code_v3(code: u8) -> Option<ReasonCode> {
        Some(match code {
            0 => ReasonCode::SUCCESS,
            1 => ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
            2 => ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
            3 => ReasonCode::SERVER_UNAVAILABLE,
            4 => ReasonCode::BAD_USER_NAME_OR_PASSWORD,
            5 => ReasonCode::NOT_AUTHORIZED,
            _ => return None,
        })
    }

    /// Reads a code that `sender` put into a packet of this kind; nothing when it may not stand there.
    pub(crate) fn read(value: u8, kind: PacketKind, sender: Sender) -> Option<ReasonCode> {
        let code = ReasonCode(value);
        // Success is by far the most frequent code and allowed nearly everywhere.
        if value == 0 && kind != PacketKind::Auth {
            return Some(code);
        }
        code.is_allowed(kind, sender).then_some(code)
    }
}

impl core::fmt::Display for ReasonCode {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{} (0x{:02X})", self.name(), self.0)
    }
}

const fn place(kind: PacketKind, sender: Sender) -> u16 {
    match (kind, sender) {
        (PacketKind::Connack, Sender::Server) => CONNACK,
        (PacketKind::Puback, _) => PUBACK,
        (PacketKind::Pubrec, _) => PUBREC,
        (PacketKind::Pubrel, _) => PUBREL,
        (PacketKind::Pubcomp, _) => PUBCOMP,
        (PacketKind::Suback, Sender::Server) => SUBACK,
        (PacketKind::Unsuback, Sender::Server) => UNSUBACK,
        (PacketKind::Disconnect, Sender::Client) => DISCONNECT_CLIENT,
        (PacketKind::Disconnect, Sender::Server) => DISCONNECT_SERVER,
        (PacketKind::Auth, Sender::Client) => AUTH_CLIENT,
        (PacketKind::Auth, Sender::Server) => AUTH_SERVER,
        _ => 0,
    }
}
