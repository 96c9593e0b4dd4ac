//! A session of the broker: what MQTT keeps for one ClientID, with or without a connection. A value: what
//! is durable changes only through [`Session::apply`]; what dies with the connection stands in
//! [`Attachment`]. It never routes, encodes or sends anything.
//!
//! ```text
//!            attach                     detach, expiry > 0
//!  (new) ────────────▶ attached ───────────────────────────▶ detached ──── expires_at ────▶ (ended)
//!                        │   ▲                                   │
//!      detach, expiry 0  │   └──────────── attach ───────────────┘
//!                        ▼
//!                     (ended)
//! ```

mod change;
mod queue;
mod read;
mod sent;
mod subscriptions;
mod will;

use alloc::boxed::Box;
use alloc::vec::Vec;

use ringmq_wire::{PacketId, SubscriptionOptions};

use crate::id_set::IdSet;
use crate::inflight::Inflight;
use crate::rare_queue::RareQueue;
use crate::time::Wall;

pub use change::Change;
pub use queue::{Entry, Queue, SharedOrigin, SubscriptionIds};
pub use read::RetainedRead;
pub use sent::{Sent, SentState};
pub use subscriptions::Subscriptions;
pub use will::Will;

/// A session expiry interval that never ends [MQTT-3.1.2.11.2].
pub const NEVER: u32 = u32::MAX;

/// One subscription of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its options.
    pub options: SubscriptionOptions,
    /// Its identifier, 0 for none.
    pub id: u32,
}

/// What MQTT keeps for one ClientID.
#[derive(Debug)]
pub struct Session {
    /// The ClientID.
    pub client_id: Box<str>,
    /// Raised at each takeover and each new beginning; commands of an older one are refused.
    pub epoch: u64,
    /// Seconds the session outlives its connection; [`NEVER`] for no end.
    pub expiry_seconds: u32,
    /// When it ends if no client comes back; `None` while connected or when it never ends.
    pub expires_at: Option<Wall>,
    /// The will of the connection, until it is published or withdrawn.
    pub will: Option<Will>,
    /// When the will is due, set when the connection was lost.
    pub will_due: Option<Wall>,
    /// Subscriptions by whole filter, `$share/…/` included, in filter order.
    pub subscriptions: Subscriptions,
    /// Messages not yet sent.
    pub queue: Queue,
    /// QoS 1 and 2 messages sent and not yet complete, in the order sent.
    pub inflight: Inflight<Sent>,
    /// Bytes of the messages in flight that the client does not own yet.
    pub inflight_bytes: u64,
    /// Packet ids of QoS 2 publishes received and not yet released.
    pub incoming: IdSet,
    /// Retained messages still to be read for new subscriptions, in the order subscribed.
    pub reads: RareQueue<RetainedRead>,
    /// What belongs to the present connection.
    pub attachment: Option<Attachment>,
}

/// What a session knows of its present connection.
#[derive(Debug, Default)]
pub struct Attachment {
    /// QoS 1 and 2 messages the client takes unacknowledged [MQTT-3.3.4-9].
    pub window: u16,
    /// How many of them are outstanding on this connection.
    pub outstanding: u16,
    /// Packet ids sent on an earlier connection and to be sent again on this one, in order.
    pub resend: RareQueue<PacketId>,
}

impl Session {
    /// A new session without subscriptions.
    #[must_use]
    pub fn new(client_id: &str, epoch: u64) -> Self {
        Self {
            client_id: client_id.into(),
            epoch,
            expiry_seconds: 0,
            expires_at: None,
            will: None,
            will_due: None,
            subscriptions: Subscriptions::new(),
            queue: Queue::default(),
            inflight: Inflight::new(),
            inflight_bytes: 0,
            incoming: IdSet::default(),
            reads: RareQueue::new(),
            attachment: None,
        }
    }

    /// Whether it outlives its connection.
    #[must_use]
    pub const fn is_durable(&self) -> bool {
        self.expiry_seconds > 0
    }

    /// Whether a connection is there.
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        self.attachment.is_some()
    }

    /// Whether nothing waits to be sent: a new message is the next.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.reads.is_empty()
            && self.attachment.as_ref().is_some_and(|a| a.resend.is_empty())
    }

    /// A connection is there: everything in flight is to be sent again, in the original order
    /// [MQTT-4.4.0-1].
    pub fn attach(&mut self, window: u16) {
        let resend = self.inflight.iter().map(|(id, _)| id).collect();
        self.attachment = Some(Attachment { window: window.max(1), outstanding: 0, resend });
        let ids: Vec<PacketId> = self.inflight.iter().map(|(id, _)| id).collect();
        for id in ids {
            if let Some(sent) = self.inflight.get_mut(id) {
                sent.on_this_connection = false;
            }
        }
    }

    /// The connection is gone. The session keeps what it has and no memory beyond that: many may wait for their
    /// clients. Identifiers need no rest any more, as no acknowledgement of this connection can come.
    pub fn detach(&mut self) {
        self.attachment = None;
        self.queue.shrink();
        if self.inflight.is_empty() {
            self.inflight.clear();
        }
    }

    /// Whether another QoS 1 or 2 message may be sent on this connection [MQTT-3.3.4-7].
    #[must_use]
    pub fn window_open(&self) -> bool {
        self.attachment.as_ref().is_some_and(|a| a.outstanding < a.window)
    }

    /// Counts one message sent on this connection.
    pub fn window_take(&mut self) {
        if let Some(a) = &mut self.attachment {
            a.outstanding = a.outstanding.saturating_add(1);
        }
    }

    /// Counts one message complete that was sent on this connection.
    pub fn window_give(&mut self) {
        if let Some(a) = &mut self.attachment {
            a.outstanding = a.outstanding.saturating_sub(1);
        }
    }
}
