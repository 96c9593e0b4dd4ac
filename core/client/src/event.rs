//! What becomes of the connection, for applications that want to know.

use crate::ConnectError;
use ringmq_proto::peer::Connected;
use ringmq_wire::{PropertiesBuffer, ReasonCode};
use std::time::Duration;

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// No connection; one is being made, or will be after a wait.
    Connecting,
    /// The server has accepted the connection.
    Connected,
    /// For good; see [`Stopped`].
    Stopped,
}

/// Why a client stopped.
#[derive(Clone, Debug)]
pub enum Stopped {
    /// The application disconnected.
    Requested,
    /// Connecting again would not help, or is turned off.
    Failed(ConnectError),
    /// A callback panicked.
    CallbackPanicked,
}

/// What happened to the connection, in order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server accepted the connection.
    Connected(Box<Connected>),
    /// A connection that stood ended, or an attempt to connect failed.
    Disconnected {
        /// Why.
        error: ConnectError,
        /// Whether there was a connection.
        was_connected: bool,
        /// When the next attempt is made; none when there will be none.
        retry_in: Option<Duration>,
    },
    /// After the server had lost the session, this subscription was not granted again.
    ResubscribeRefused {
        /// The filter.
        filter: String,
        /// The server's answer.
        reason: ReasonCode,
    },
    /// A step of an enhanced authentication; answer with [`crate::Client::authenticate`].
    Authentication {
        /// Reason code.
        reason: ReasonCode,
        /// All properties of AUTH.
        properties: PropertiesBuffer,
    },
    /// The last event.
    Stopped(Stopped),
}
