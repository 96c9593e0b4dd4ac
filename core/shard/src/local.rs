//! In-process handles: sessions without a connection. A handle's requests come in as [`LocalInput`], its
//! messages leave through its [`LocalSink`]; neither waits.

use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::Bytes;
use ringmq_wire::message::Message;
use ringmq_wire::{PacketId, Properties, PropertiesBuffer, Qos, ReasonCode, SubscriptionOptions};

use crate::admin::{AdminAnswer, AdminQuestion};
use crate::input::ShardId;

/// One in-process handle; unique in its broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalId(pub u64);

/// What the names of handles' sessions begin with; no client may use it, so none can take one over.
pub(crate) const LOCAL_PREFIX: &str = "$local/";

impl LocalId {
    /// The ClientID of the handle's session on this shard, by which errors and log lines name it.
    #[must_use]
    pub fn client_id(self, shard: ShardId) -> String {
        format!("{LOCAL_PREFIX}{}/{}", shard.0, self.0)
    }
}

/// One request of an in-process handle; unique in its broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalTicket(pub u64);

/// A message on its way out of a handle's session.
#[derive(Debug)]
pub struct LocalDelivery<'a> {
    /// Its topic name.
    pub topic: &'a str,
    /// The properties that go on to subscribers, in the publisher's order.
    pub properties: Properties<'a>,
    /// What it says.
    pub payload: &'a [u8],
    /// The same, where it can be kept without a copy.
    pub shared_payload: Option<&'a Bytes>,
    /// QoS it is delivered with.
    pub qos: Qos,
    /// By what its taker acknowledges it, where it does and the QoS is not 0.
    pub packet_id: Option<PacketId>,
    /// RETAIN as the subscriber is to see it.
    pub retain: bool,
    /// Identifiers of the matching subscriptions.
    pub subscription_ids: &'a [u32],
    /// Seconds until it expires.
    pub expiry_left_seconds: Option<u32>,
}

impl<'a> LocalDelivery<'a> {
    /// A message at QoS 0, without RETAIN and identifiers, that does not expire.
    #[must_use]
    pub fn of(message: &'a Message) -> Self {
        Self {
            topic: message.topic(),
            properties: message.properties(),
            payload: message.payload(),
            shared_payload: message.large_payload(),
            qos: Qos::AtMostOnce,
            packet_id: None,
            retain: false,
            subscription_ids: &[],
            expiry_left_seconds: None,
        }
    }
}

/// Takes messages out of a handle's session, on the shard's core; must not block.
pub trait LocalSink {
    /// How many messages of QoS 1 and 2 it takes before it acknowledges some; nothing when taking is acknowledging.
    fn unacknowledged_max(&self) -> Option<NonZeroU16> {
        None
    }
    /// Tells what was acknowledged since the last time; the shard asks on [`LocalInput::Room`].
    fn acknowledged(&mut self, _into: &mut Vec<PacketId>) {}
    /// Takes the message, or says that it has no room; then the shard waits for [`LocalInput::Room`].
    fn push(&mut self, delivery: &LocalDelivery<'_>) -> bool;
    /// The turn is over: wake whoever waits, once.
    fn flush(&mut self);
    /// The session has ended.
    fn end(&mut self);
}

/// One message of several that are published at one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMessage {
    /// Topic name; checked by the shard, once for messages in a row that share it.
    pub topic: Arc<str>,
    /// Payload. Of [`LOCAL_BATCH_SHARED_BYTES_MIN`](crate::limits::LOCAL_BATCH_SHARED_BYTES_MIN) bytes and more its memory
    /// may be kept by who gets it.
    pub payload: Bytes,
}

/// What an in-process handle asks for.
pub enum LocalInput {
    /// Open a handle.
    Open {
        /// Its number.
        local: LocalId,
        /// Where its messages go.
        sink: Box<dyn LocalSink + Send>,
        /// Messages its queue may hold beyond the sink.
        queue_messages_max: u32,
    },
    /// Publish.
    Publish {
        /// By which handle.
        local: LocalId,
        /// To be answered with [`LocalOutcome::Published`].
        ticket: LocalTicket,
        /// Topic name; checked by the shard.
        topic: String,
        /// Payload.
        payload: Bytes,
        /// QoS.
        qos: Qos,
        /// Whether it is retained.
        retain: bool,
        /// Properties of a PUBLISH.
        properties: PropertiesBuffer,
        /// How long a full queue may hold it, in milliseconds; 0 applies the queue's policy at once.
        hold: u64,
    },
    /// Publish several messages, in this order.
    PublishMany {
        /// By which handle.
        local: LocalId,
        /// To be answered, once, with [`LocalOutcome::Published`]: the sums, and of what went wrong the first.
        ticket: LocalTicket,
        /// The messages; at most [`LOCAL_BATCH_MAX`](crate::limits::LOCAL_BATCH_MAX), so that they are a turn's work.
        messages: Vec<LocalMessage>,
        /// QoS of all.
        qos: Qos,
        /// Whether they are retained.
        retain: bool,
        /// Properties of each.
        properties: PropertiesBuffer,
        /// As for one.
        hold: u64,
    },
    /// Subscribe.
    Subscribe {
        /// By which handle.
        local: LocalId,
        /// To be answered with [`LocalOutcome::Subscribed`].
        ticket: LocalTicket,
        /// Filters with their options; checked by the shard.
        filters: Vec<(String, SubscriptionOptions)>,
        /// Subscription identifier, 1 to 268,435,455.
        subscription_id: Option<u32>,
    },
    /// Unsubscribe.
    Unsubscribe {
        /// By which handle.
        local: LocalId,
        /// To be answered with [`LocalOutcome::Unsubscribed`].
        ticket: LocalTicket,
        /// Filters.
        filters: Vec<String>,
    },
    /// Ask about this shard's clients and messages, or have something done to them.
    Administer {
        /// By which handle.
        local: LocalId,
        /// To be answered with [`LocalOutcome::Administered`].
        ticket: LocalTicket,
        /// What.
        question: AdminQuestion,
    },
    /// The sink has room again, or acknowledges something.
    Room {
        /// Which handle.
        local: LocalId,
    },
    /// End the handle's session.
    Close {
        /// Which handle.
        local: LocalId,
    },
}

impl std::fmt::Debug for LocalInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, local) = match self {
            Self::Open { local, .. } => ("Open", local),
            Self::Publish { local, .. } => ("Publish", local),
            Self::PublishMany { local, .. } => ("PublishMany", local),
            Self::Subscribe { local, .. } => ("Subscribe", local),
            Self::Unsubscribe { local, .. } => ("Unsubscribe", local),
            Self::Administer { local, .. } => ("Administer", local),
            Self::Room { local } => ("Room", local),
            Self::Close { local } => ("Close", local),
        };
        f.debug_tuple(name).field(local).finish()
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalOutcome {
    /// A publish is complete.
    Published {
        /// SUCCESS, NO_MATCHING_SUBSCRIBERS, QUOTA_EXCEEDED, NOT_AUTHORIZED, TOPIC_NAME_INVALID, …
        reason: ReasonCode,
        /// Sessions whose subscriptions matched.
        matched: u32,
        /// Sessions that did not get it because their queue was full.
        dropped: u32,
        /// The ClientID of one session that did not get it, cut after 256 bytes.
        full: Option<String>,
    },
    /// A reason code for each filter.
    Subscribed(Vec<ReasonCode>),
    /// A reason code for each filter.
    Unsubscribed(Vec<ReasonCode>),
    /// What came of a question.
    Administered(AdminAnswer),
    /// The handle is not open, or the broker is stopping.
    Refused(ReasonCode),
}
