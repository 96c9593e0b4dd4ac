//! A QoS 1 or 2 message on its way to a client.
//!
//! ```text
//!  QoS 1: AwaitPuback ── PUBACK ─▶ (complete)
//!  QoS 2: AwaitPubrec ── PUBREC ─▶ AwaitPubcomp ── PUBCOMP ─▶ (complete)
//!             └──── PUBREC ≥ 0x80 ─▶ (complete)
//! ```

use super::queue::{Entry, SharedOrigin};

/// What the broker waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentState {
    /// The PUBACK of a QoS 1 message.
    AwaitPuback,
    /// The PUBREC of a QoS 2 message.
    AwaitPubrec,
    /// The PUBCOMP; the message itself is no longer needed [MQTT-4.3.3-4].
    AwaitPubcomp,
}

/// One message in flight.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What it waits for.
    pub state: SentState,
    /// The message, until it is owned by the client.
    pub entry: Option<Entry>,
    /// The shared subscription it came from.
    pub shared: Option<SharedOrigin>,
    /// Whether it counts in this connection's window.
    pub on_this_connection: bool,
}
