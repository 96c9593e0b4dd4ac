//! The client's side of MQTT 3.1, 3.1.1 and 5.0 as a machine: bytes, the time and the application's requests
//! go in; bytes for the server and [`Event`]s come out. It never opens a connection, waits, retries by itself
//! or reads a clock; whoever drives it brings a transport and decides when to connect again.
//!
//! ```text
//!            connect()              CONNACK 0x00
//!   Down ---------------> Opening ----------------> Up
//!     ^                      |                       |
//!     | transport_closed()   | refused, too late,    | disconnect(), server's DISCONNECT,
//!     |                      | violation             | violation, no PINGRESP
//!     +------------------ Closing <------------------+
//! ```
//!
//! In `Closing` the driver writes what is left of [`Peer::output`] and closes the transport. The session
//! (what is in flight, what came in at QoS 2, what is queued, which filters are subscribed) lives in the
//! machine from one connection to the next:
//!
//! * session present: unfinished PUBLISH are sent again with DUP, then PUBREL, in their order
//!   [MQTT-4.4.0-1]; received QoS 2 identifiers stay known, so nothing is delivered twice.
//! * session lost: what the server has not confirmed is published as new (or reported lost, see
//!   [`Options::republish`]), QoS 2 messages it had confirmed with PUBREC count as delivered, received
//!   identifiers are forgotten, and filters are subscribed again when [`Options::resubscribe`] says so.

mod authenticator;
mod connack;
mod connect;
mod event;
mod incoming;
mod keep_alive;
mod machine;
mod options;
mod outgoing;
mod request;
mod subscriptions;
mod violation;

#[cfg(test)]
mod tests;

pub use authenticator::Authenticator;
pub use connack::ServerLimits;
pub use event::{AckToken, Connected, DisconnectCause, Event, Incoming};
pub use machine::Peer;
pub use options::{Acknowledge, Options, PeerWill};
pub use request::{
    Authentication, Goodbye, Outgoing, RequestError, SubscribeRequest, Token, UnsubscribeRequest,
};
pub use violation::PeerViolation;
