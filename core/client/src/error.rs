//! What can go wrong, and who can do something about it.

use ringmq_proto::peer::{PeerViolation, RequestError};
use ringmq_wire::ReasonCode;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Why an attempt to connect failed, or why a connection ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The options make no valid CONNECT; the caller corrects them.
    Options(RequestError),
    /// The options for TLS or WebSocket cannot be used; says why. The caller corrects them.
    Settings(String),
    /// TLS or WebSocket failed; says why. Tried again, because certificates and servers change; when it is the
    /// first attempt, somebody probably has to change something.
    Layer(&'static str),
    /// The host name has no address, or asking failed. Tried again.
    Resolve(Arc<io::Error>),
    /// No address could be reached, or the connection broke. Tried again.
    Transport(Arc<io::Error>),
    /// The server closed the connection without a word. Tried again.
    Closed,
    /// The server did not answer in time. Tried again.
    Timeout,
    /// CONNACK refused the connection. Tried again only where waiting may help (server busy or unavailable,
    /// quota or rate exceeded); else somebody has to change something.
    Refused {
        /// Reason code; a return code of 3.x stands as the code of 5.0 that means the same.
        reason: ReasonCode,
        /// The server's words, if any.
        reason_string: Option<String>,
        /// Where else to connect to, if the server says so.
        server_reference: Option<String>,
    },
    /// The server sent DISCONNECT. Tried again unless another client took the session over or the server
    /// sends its clients elsewhere.
    ByServer {
        /// Reason code.
        reason: ReasonCode,
        /// The server's words, if any.
        reason_string: Option<String>,
        /// Where else to connect to, if the server says so.
        server_reference: Option<String>,
    },
    /// The server broke a rule of the protocol. Tried again, because a connection may be at fault.
    Protocol(PeerViolation),
    /// The client was disconnected or dropped while it connected.
    Stopped,
    /// The thread of the context could not be started; the caller may try later.
    Context(Arc<io::Error>),
}

impl ConnectError {
    /// Whether trying again may help without anybody changing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Options(_) | Self::Settings(_) | Self::Stopped | Self::Context(_) => false,
            Self::Refused { reason, .. } => matches!(
                *reason,
                ReasonCode::UNSPECIFIED_ERROR
                    | ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR
                    | ReasonCode::SERVER_UNAVAILABLE
                    | ReasonCode::SERVER_BUSY
                    | ReasonCode::QUOTA_EXCEEDED
                    | ReasonCode::CONNECTION_RATE_EXCEEDED
            ),
            Self::ByServer { reason, .. } => !matches!(
                *reason,
                ReasonCode::SESSION_TAKEN_OVER
                    | ReasonCode::USE_ANOTHER_SERVER
                    | ReasonCode::SERVER_MOVED
                    | ReasonCode::NOT_AUTHORIZED
            ),
            _ => true,
        }
    }

    /// The server's reason code, if this came from the server.
    #[must_use]
    pub fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Refused { reason, .. } | Self::ByServer { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    pub(crate) fn transport(error: io::Error) -> Self {
        Self::Transport(Arc::new(error))
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => error.fmt(formatter),
            Self::Settings(why) => write!(formatter, "{why}."),
            Self::Layer(why) => write!(formatter, "{why}."),
            Self::Resolve(error) => write!(formatter, "The host name cannot be resolved: {error}"),
            Self::Transport(error) => error.fmt(formatter),
            Self::Closed => formatter.write_str("The server closed the connection."),
            Self::Timeout => formatter.write_str("The server did not answer in time."),
            Self::Refused { reason, reason_string, .. } => {
                write!(formatter, "Connection refused: {reason}")?;
                reason_string.as_ref().map_or(Ok(()), |text| write!(formatter, ": {text}"))
            }
            Self::ByServer { reason, reason_string, .. } => {
                write!(formatter, "Disconnected by the server: {reason}")?;
                reason_string.as_ref().map_or(Ok(()), |text| write!(formatter, ": {text}"))
            }
            Self::Protocol(violation) => violation.fmt(formatter),
            Self::Stopped => formatter.write_str("The client was stopped."),
            Self::Context(error) => write!(formatter, "The client's thread cannot be started: {error}"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Why a request failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request is wrong, more than the server allows, or had no room; see there.
    Request(RequestError),
    /// The server answered with this code, 0x80 or above; the request had no effect.
    Refused(ReasonCode),
    /// The time was up before the answer or the room came. A message that was taken is still delivered.
    Timeout,
    /// The client is stopped and does nothing any more; make a new one.
    Stopped,
    /// A call that waits was made from a callback, which runs on the thread that would end the wait. Use the
    /// calls that do not wait, or another thread.
    InCallback,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(formatter),
            Self::Refused(reason) => write!(formatter, "The server refused: {reason}"),
            Self::Timeout => formatter.write_str("The time was up."),
            Self::Stopped => formatter.write_str("The client is stopped."),
            Self::InCallback => formatter.write_str("A callback must not wait."),
        }
    }
}

impl std::error::Error for Error {}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

/// Why no message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// None came in time.
    Timeout,
    /// The client is stopped and all its messages have been taken.
    Stopped,
}

impl fmt::Display for RecvError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Timeout => "No message came in time.",
            Self::Stopped => "The client is stopped.",
        })
    }
}

impl std::error::Error for RecvError {}
