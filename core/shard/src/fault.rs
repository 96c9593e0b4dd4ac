//! What a client did wrong, as a value: the code it is told, the clause, and words for the log. Whoever
//! finds a fault returns it; [`crate::Shard`] closes the connection with it in one place.

use ringmq_proto::alias::AliasViolation;
use ringmq_wire::{ReasonCode, Violation};

/// A reason to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code for CONNACK or DISCONNECT.
    pub reason: ReasonCode,
    /// The clause that was broken, empty when none was.
    pub clause: &'static str,
    /// What is wrong.
    pub text: &'static str,
}

impl Fault {
    /// A fault by its parts.
    pub const fn new(reason: ReasonCode, clause: &'static str, text: &'static str) -> Self {
        Self { reason, clause, text }
    }
}

impl From<Violation> for Fault {
    fn from(v: Violation) -> Self {
        Self::new(v.reason(), v.clause(), v.text())
    }
}

impl From<AliasViolation> for Fault {
    fn from(v: AliasViolation) -> Self {
        Self::new(v.reason(), v.clause(), "The topic alias is not valid here.")
    }
}

/// Anything but CONNECT first [MQTT-3.1.0-1].
pub const NOT_CONNECT: Fault =
    Fault::new(ReasonCode::PROTOCOL_ERROR, "MQTT-3.1.0-1", "The first packet is not CONNECT.");
/// A second CONNECT [MQTT-3.1.0-2].
pub const SECOND_CONNECT: Fault =
    Fault::new(ReasonCode::PROTOCOL_ERROR, "MQTT-3.1.0-2", "A second CONNECT on one connection.");
/// More QoS 1 and 2 publishes than allowed [MQTT-3.3.4-7].
pub const RECEIVE_MAXIMUM: Fault = Fault::new(
    ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
    "MQTT-3.3.4-7",
    "More unacknowledged publishes than the receive maximum.",
);
/// QoS above Maximum QoS [MQTT-3.2.2-11].
pub const QOS_NOT_SUPPORTED: Fault =
    Fault::new(ReasonCode::QOS_NOT_SUPPORTED, "MQTT-3.2.2-11", "The QoS is above the maximum QoS.");
/// RETAIN where it is not available [MQTT-3.2.2-14].
pub const RETAIN_NOT_SUPPORTED: Fault =
    Fault::new(ReasonCode::RETAIN_NOT_SUPPORTED, "MQTT-3.2.2-14", "Retained messages are not available.");
/// Silence longer than one and a half times the keep alive [MQTT-3.1.2-22].
pub const KEEP_ALIVE: Fault =
    Fault::new(ReasonCode::KEEP_ALIVE_TIMEOUT, "MQTT-3.1.2-22", "No packet within the keep alive.");
/// No complete CONNECT in time [MQTT-3.1.4-1].
pub const CONNECT_TIMEOUT: Fault =
    Fault::new(ReasonCode::MAXIMUM_CONNECT_TIME, "MQTT-3.1.4-1", "No complete CONNECT in time.");
/// Too many connections have not said who they are, and this is the oldest.
pub const HALF_OPEN: Fault = Fault::new(
    ReasonCode::QUOTA_EXCEEDED,
    "",
    "It had not said who it is for longest, and too many had not.",
);
/// More filters in one packet than may be.
pub const FILTERS_TOO_MANY: Fault =
    Fault::new(ReasonCode::QUOTA_EXCEEDED, "", "More filters in one packet than filters_per_packet_max.");
/// The handshakes below MQTT are not over in time.
pub const HANDSHAKE_TIMEOUT: Fault =
    Fault::new(ReasonCode::MAXIMUM_CONNECT_TIME, "", "The handshake below MQTT was not complete in time.");
/// An expiry set by DISCONNECT where CONNECT had none [MQTT-3.1.2.11.2].
pub const EXPIRY_FROM_ZERO: Fault = Fault::new(
    ReasonCode::PROTOCOL_ERROR,
    "MQTT-3.14.2.2.2",
    "DISCONNECT sets a session expiry where CONNECT had zero.",
);
/// A method that is not known [MQTT-4.12.0-1].
pub const BAD_METHOD: Fault = Fault::new(
    ReasonCode::BAD_AUTHENTICATION_METHOD,
    "MQTT-4.12.0-1",
    "This authentication method is not known here.",
);
/// Another method than that of CONNECT [MQTT-4.12.0-5].
pub const OTHER_METHOD: Fault = Fault::new(
    ReasonCode::BAD_AUTHENTICATION_METHOD,
    "MQTT-4.12.0-5",
    "AUTH names another authentication method than CONNECT.",
);
/// AUTH that begins anew within an exchange, or goes on where there is none [MQTT-4.12.0-3].
pub const AUTH_OUT_OF_TURN: Fault =
    Fault::new(ReasonCode::PROTOCOL_ERROR, "MQTT-4.12.0-3", "AUTH with a reason code that is not its turn.");
/// Something else than AUTH and DISCONNECT within the exchange [MQTT-3.1.2-30].
pub const NOT_AUTH: Fault = Fault::new(
    ReasonCode::PROTOCOL_ERROR,
    "MQTT-3.1.2-30",
    "Neither AUTH nor DISCONNECT while the authentication goes on.",
);
/// No end of the exchange in time, in a code that CONNACK may have.
pub const EXCHANGE_TIMEOUT: Fault =
    Fault::new(ReasonCode::NOT_AUTHORIZED, "MQTT-4.12.0-4", "The authentication did not end in time.");
/// An authentication that began anew and failed [MQTT-4.12.1-2].
pub const NOT_AUTHENTICATED_ANEW: Fault =
    Fault::new(ReasonCode::NOT_AUTHORIZED, "MQTT-4.12.1-2", "The client could not authenticate anew.");
/// An authentication that began anew, of somebody else.
pub const SOMEBODY_ELSE: Fault = Fault::new(
    ReasonCode::NOT_AUTHORIZED,
    "MQTT-4.12.1-2",
    "The client authenticated anew as another user; a connection has one.",
);
/// AUTH without an exchange [MQTT-4.12.0-6].
pub const AUTH_UNEXPECTED: Fault =
    Fault::new(ReasonCode::PROTOCOL_ERROR, "MQTT-4.12.1-1", "AUTH without an authentication method.");
/// A subscription identifier where they are not available.
pub const IDENTIFIERS_NOT_SUPPORTED: Fault = Fault::new(
    ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
    "MQTT-3.2.2.3.12",
    "Subscription identifiers are not available.",
);
/// A version of the protocol that this listener does not serve [MQTT-3.1.2-2].
pub const VERSION_NOT_SERVED: Fault = Fault::new(
    ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
    "MQTT-3.1.2-2",
    "This version of MQTT is not served here.",
);
/// An answer that is larger than what the client takes [MQTT-3.1.2-24].
pub const ANSWER_TOO_LARGE: Fault = Fault::new(
    ReasonCode::PACKET_TOO_LARGE,
    "MQTT-3.1.2-24",
    "The answer is larger than the client's maximum packet size.",
);
/// The policy `end` of a full queue.
pub const QUEUE_FULL: Fault =
    Fault::new(ReasonCode::QUOTA_EXCEEDED, "", "The session's queue is full and its policy is to end.");
/// Incomplete packets of all clients take too much memory together.
pub const UNREAD_FULL: Fault = Fault::new(
    ReasonCode::QUOTA_EXCEEDED,
    "",
    "Its packet was incomplete for longest when incomplete packets took more memory than they may.",
);
/// The policy `refuse`, for versions that cannot say it.
pub const PUBLISH_REFUSED: Fault =
    Fault::new(ReasonCode::QUOTA_EXCEEDED, "", "A publish was refused because a subscriber's queue is full.");
/// A publish that waits for a decision which does not come.
pub const PUBLISH_UNDECIDED: Fault =
    Fault::new(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR, "", "No decision about a publish in time.");
/// One session more than there may be.
pub const SESSIONS_FULL: Fault =
    Fault::new(ReasonCode::QUOTA_EXCEEDED, "", "The broker has as many sessions as it may have.");
/// A new session while memory is short.
pub const MEMORY_SHORT: Fault = Fault::new(
    ReasonCode::QUOTA_EXCEEDED,
    "",
    "The broker holds almost as much as memory_max allows and takes no new clients; come back later.",
);
/// A client that may not connect [MQTT-3.1.4-2].
pub const NOT_AUTHORIZED: Fault =
    Fault::new(ReasonCode::NOT_AUTHORIZED, "MQTT-3.1.4-2", "The client may not connect.");
/// A client that is not who it says it is [MQTT-3.1.4-2].
pub const BAD_CREDENTIALS: Fault =
    Fault::new(ReasonCode::BAD_USER_NAME_OR_PASSWORD, "MQTT-3.1.4-2", "Bad user name or password.");
/// Too many connections want to be judged [MQTT-3.1.4-2].
pub const BUSY: Fault = Fault::new(
    ReasonCode::SERVER_BUSY,
    "MQTT-3.1.4-2",
    "Too many clients want to connect at once; come back later.",
);
/// Too many wrong passwords came from there [MQTT-3.1.4-2].
pub const TOO_OFTEN: Fault = Fault::new(
    ReasonCode::CONNECTION_RATE_EXCEEDED,
    "MQTT-3.1.4-2",
    "Too many failed logins from this address; come back later.",
);
/// What a client came in with is over. 0xA0 says that "the maximum connection time authorized for this connection has
/// been exceeded"; 0x87 would say that something it asked for is not authorized, and it asked for nothing.
pub const LOGIN_OVER: Fault = Fault::new(
    ReasonCode::MAXIMUM_CONNECT_TIME,
    "",
    "What it came in with has expired; connect anew with something that holds.",
);
/// Who is connected and would not be let in any more.
pub const MAY_NOT_STAY: Fault = Fault::new(
    ReasonCode::ADMINISTRATIVE_ACTION,
    "",
    "The broker's rules have changed, and by the new ones it would not be let in.",
);
/// Whoever holds the broker wants the client to go.
pub const KICKED: Fault =
    Fault::new(ReasonCode::ADMINISTRATIVE_ACTION, "", "It was disconnected by administrative action.");
/// A ClientID that belongs to a handle in the broker's own process.
pub const CLIENT_ID_OF_HANDLE: Fault =
    Fault::new(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, "", "A ClientID of an in-process handle.");
/// A ClientID that this client may not have.
pub const CLIENT_ID_DENIED: Fault =
    Fault::new(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, "", "This client may not have this ClientID.");
/// A decider that says nothing [MQTT-3.1.4-2].
pub const UNDECIDED: Fault =
    Fault::new(ReasonCode::SERVER_UNAVAILABLE, "MQTT-3.1.4-2", "No decision about this client in time.");
/// A publish that is not allowed, where the setting says that its client is to go.
pub const PUBLISH_DENIED: Fault =
    Fault::new(ReasonCode::NOT_AUTHORIZED, "", "A publish to a topic that is not allowed.");
