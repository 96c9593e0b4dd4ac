//! Handles: publish from any thread, with the answer that says who got it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringmq_shard::{AdminAnswer, AdminQuestion, LocalId, LocalInput, LocalMessage, LocalOutcome, ShardId};
use ringmq_wire::{Place, Properties, PropertiesBuffer, Property, Qos, ReasonCode, TopicName, Violation};

use super::answers::{Answer, Ending, Pending};
use super::entrance::{Entrance, moment_in};
use super::queue::Watch;
use crate::AdminError;

/// Messages that can be published at one go.
pub const BATCH_MAX: usize = ringmq_shard::limits::LOCAL_BATCH_MAX;
/// Bytes up to which the payload of a message of those is copied.
pub const BATCH_COPIED_BYTES_MAX: usize = ringmq_shard::limits::LOCAL_BATCH_SHARED_BYTES_MIN - 1;
/// How long a request may take when nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Room for the answer to arrive after the shard's own deadline has passed.
const GRACE: Duration = Duration::from_millis(500);

/// A session of this program in the broker, on one shard. Clones share the session; it ends with the last.
/// Messages of one handle keep their order.
#[derive(Clone)]
pub struct Handle {
    session: Arc<Session>,
}

/// Owned by its handles; ends on its shard when the last is dropped.
struct Session {
    entrance: Arc<Entrance>,
    local: LocalId,
    shard: ShardId,
    left: Arc<AtomicBool>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.left.store(true, Ordering::SeqCst);
        self.entrance.push_reserved(self.shard, LocalInput::Close { local: self.local });
    }
}

/// Why a session could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The broker has stopped; start another.
    Stopped,
    /// The broker has failed, its log says why; start another.
    Failed,
    /// The shard took no request for 5 s; try later.
    Busy,
    /// There is no shard of this number; choose a smaller one.
    NoShard(usize),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => f.write_str("the broker has stopped"),
            Self::Failed => f.write_str("the broker has failed, its log says why"),
            Self::Busy => f.write_str("the shard takes no requests: too many are waiting"),
            Self::NoShard(number) => write!(f, "there is no shard {number}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<Ending> for OpenError {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Stopped => Self::Stopped,
            Ending::Failed => Self::Failed,
        }
    }
}

impl From<Ending> for AdminError {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Stopped => Self::Stopped,
            Ending::Failed => Self::Failed,
        }
    }
}

/// How a message is published.
#[derive(Clone, Debug)]
pub struct PublishOptions {
    qos: Qos,
    retain: bool,
    properties: PropertiesBuffer,
    timeout: Duration,
}

impl Default for PublishOptions {
    /// QoS 0, not retained, no properties, 5 s.
    fn default() -> Self {
        Self { qos: Qos::AtMostOnce, retain: false, properties: PropertiesBuffer::new(), timeout: TIMEOUT }
    }
}

impl PublishOptions {
    /// Default options with this quality.
    #[must_use]
    pub fn qos(qos: Qos) -> Self {
        Self { qos, ..Self::default() }
    }
    /// Keeps the message as the topic's last; an empty payload deletes what is kept.
    #[must_use]
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }
    /// How long to wait for sessions with full queues. Default 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
    /// How long the message is of use, in seconds.
    #[must_use]
    pub fn expiry_seconds(mut self, seconds: u32) -> Self {
        self.properties.push_u32(Property::MessageExpiryInterval, seconds);
        self
    }
    /// What kind of thing the payload is.
    #[must_use]
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.properties.push_str(Property::ContentType, content_type);
        self
    }
    /// Where a response is expected.
    #[must_use]
    pub fn response_topic(mut self, topic: &str) -> Self {
        self.properties.push_str(Property::ResponseTopic, topic);
        self
    }
    /// What a response is to carry so that it is recognised.
    #[must_use]
    pub fn correlation_data(mut self, data: &[u8]) -> Self {
        self.properties.push_bytes(Property::CorrelationData, data);
        self
    }
    /// Adds all of these, as they are.
    #[must_use]
    pub fn properties(mut self, properties: Properties<'_>) -> Self {
        self.properties.push_raw(properties);
        self
    }
    /// Says that the payload is UTF-8 text.
    #[must_use]
    pub fn utf8_payload(mut self) -> Self {
        self.properties.push_u8(Property::PayloadFormatIndicator, 1);
        self
    }
    /// A name and a value of the application's own; may be repeated, keeps its order.
    #[must_use]
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        self.properties.push_user(name, value);
        self
    }
}

/// A publish that is complete: every session that matched has taken the message, or its own policy was
/// applied and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Sessions whose subscriptions matched.
    pub matched: u32,
    /// Of those, sessions that did not get a QoS 0 message because their queue was full.
    pub dropped: u32,
}

/// Why a publish did not do all it should.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// A session's queue stayed full until the timeout; the others have the message. Publish slower, or let
    /// that session's client read faster.
    Full {
        /// The ClientID of that session, cut after 256 bytes.
        subscription: String,
        /// Sessions whose subscriptions matched.
        matched: u32,
        /// Of those, sessions that did not get it.
        dropped: u32,
    },
    /// The broker refused to take on more, such as another retained message.
    QuotaExceeded,
    /// The decider said no.
    NotAuthorized,
    /// Topic or properties are not what MQTT allows; names the clause.
    Invalid(Violation),
    /// The message is larger than `packet_bytes_max`.
    TooLarge,
    /// The shard took no request; try later.
    Busy,
    /// No answer came in time; the message may still be delivered.
    Timeout,
    /// The broker has stopped.
    Stopped,
    /// The broker has failed, its log says why; the message may have been delivered.
    Failed,
    /// The broker refused for another reason.
    Refused(ReasonCode),
}

impl std::fmt::Display for PublishError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full { subscription, matched, dropped } => {
                write!(
                    f,
                    "the queue of `{subscription}` is full: {dropped} of {matched} sessions did not get it"
                )
            }
            Self::QuotaExceeded => f.write_str("the broker's quota is exceeded"),
            Self::NotAuthorized => f.write_str("not authorized"),
            Self::Invalid(violation) => write!(f, "not a valid message: {violation}"),
            Self::TooLarge => f.write_str("the message is larger than packet_bytes_max"),
            Self::Busy => f.write_str("the shard takes no requests: too many are waiting"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Stopped => f.write_str("the broker has stopped"),
            Self::Failed => f.write_str("the broker has failed, its log says why"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
        }
    }
}

impl std::error::Error for PublishError {}

impl From<Ending> for PublishError {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Stopped => Self::Stopped,
            Ending::Failed => Self::Failed,
        }
    }
}

impl Handle {
    /// Opens a session on the chosen shard, or on each in turn.
    pub(crate) fn open(entrance: &Arc<Entrance>, shard: Option<usize>) -> Result<Self, OpenError> {
        let home = entrance.home(shard).ok_or(OpenError::NoShard(shard.unwrap_or_default()))?;
        let local = entrance.new_local();
        let answers = entrance.answers();
        if let Some(ending) = answers.ending() {
            return Err(ending.into());
        }
        let left = Arc::new(AtomicBool::new(false));
        let session = Session { entrance: Arc::clone(entrance), local, shard: home, left: Arc::clone(&left) };
        let sink = Box::new(Watch::new(Arc::clone(answers), left));
        // A handle subscribes to nothing, so its queue stays empty.
        let open = LocalInput::Open { local, sink, queue_messages_max: 1 };
        let entered = entrance.enter(home, open, Instant::now() + TIMEOUT);
        match entered {
            Ok(()) => Ok(Self { session: Arc::new(session) }),
            Err(open) => {
                // An inlet that took nothing must not look like a shard that went away.
                session.left.store(true, Ordering::SeqCst);
                drop(open);
                Err(answers.ending().map_or(OpenError::Busy, OpenError::from))
            }
        }
    }
    /// The shard the session lives on.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.session.shard.index()
    }
    /// Publishes and waits until every matching session has taken the message, at most for the timeout of
    /// `options` and a moment for the answer.
    ///
    /// # Errors
    /// [`PublishError`]; at QoS 1 and 2 a session whose queue stayed full is named.
    pub fn publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        options: PublishOptions,
    ) -> Result<Published, PublishError> {
        let timeout = options.timeout;
        let deadline = moment_in(timeout);
        let pending = self.start(topic, payload.into(), options, timeout, |input| {
            let session = &self.session;
            session.entrance.enter(session.shard, input, deadline).is_ok()
        })?;
        pending.wait(deadline + GRACE)
    }
    /// Publishes without waiting for room anywhere: a full queue is an error at once. Waits only for the
    /// shard's word, at most half a second.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn try_publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        options: PublishOptions,
    ) -> Result<Published, PublishError> {
        let pending = self.start(topic, payload.into(), options, Duration::ZERO, |input| {
            let session = &self.session;
            session.entrance.try_enter(session.shard, input).is_ok()
        })?;
        pending.wait(Instant::now() + GRACE)
    }
    /// Hands the message in and returns at once; the answer can be awaited on any executor or waited for.
    /// The timeout of `options` bounds how long full queues may hold the answer.
    ///
    /// # Errors
    /// [`PublishError`] for what can be told at once.
    pub fn start_publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        options: PublishOptions,
    ) -> Result<PendingPublish, PublishError> {
        let timeout = options.timeout;
        self.start(topic, payload.into(), options, timeout, |input| {
            let session = &self.session;
            session.entrance.try_enter(session.shard, input).is_ok()
        })
    }
    /// As [`Handle::start_publish`], and waits until `deadline` for the shard to take the message.
    ///
    /// # Errors
    /// [`PublishError`] for what can be told by then; [`PublishError::Busy`] where the shard took nothing.
    pub fn start_publish_by(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        options: PublishOptions,
        deadline: Instant,
    ) -> Result<PendingPublish, PublishError> {
        let timeout = options.timeout;
        self.start(topic, payload.into(), options, timeout, |input| {
            let session = &self.session;
            session.entrance.enter(session.shard, input, deadline).is_ok()
        })
    }

    /// Hands several messages in at one go, in this order and with the same options, waiting until `deadline` for the
    /// shard to take them. Messages in a row whose topics are the same `Arc` cost least. Payloads of more than
    /// [`BATCH_COPIED_BYTES_MAX`] bytes are not copied: subscriptions of this program share their memory. The answer has the
    /// sums, and of what went wrong the first; the others are published all the same.
    ///
    /// # Errors
    /// [`PublishError`] for what can be told at once; then nothing is published. More than [`BATCH_MAX`] messages, or
    /// none, are [`PublishError::QuotaExceeded`].
    pub fn start_publish_many(
        &self,
        messages: Vec<(Arc<str>, Bytes)>,
        options: PublishOptions,
        deadline: Instant,
    ) -> Result<PendingPublish, PublishError> {
        let session = &self.session;
        let properties_bytes = options.properties.len();
        options.properties.check(Place::Publish).map_err(PublishError::Invalid)?;
        if messages.is_empty() || messages.len() > BATCH_MAX {
            return Err(PublishError::QuotaExceeded);
        }
        let mut last: Option<&Arc<str>> = None;
        for (topic, payload) in &messages {
            if last.is_none_or(|last| !Arc::ptr_eq(last, topic)) {
                TopicName::new(topic).map_err(PublishError::Invalid)?;
            }
            last = Some(topic);
            if !session.entrance.takes(topic, properties_bytes, payload.len()) {
                return Err(PublishError::TooLarge);
            }
        }
        let answers = session.entrance.answers();
        if let Some(ending) = answers.ending() {
            return Err(ending.into());
        }
        let pending = answers.open();
        let messages = messages.into_iter().map(|(topic, payload)| LocalMessage { topic, payload }).collect();
        let input = LocalInput::PublishMany {
            local: session.local,
            ticket: pending.ticket(),
            messages,
            qos: options.qos,
            retain: options.retain,
            properties: options.properties,
            hold: u64::try_from(options.timeout.as_millis()).unwrap_or(u64::MAX),
        };
        match session.entrance.enter(session.shard, input, deadline) {
            Ok(()) => Ok(PendingPublish { pending, qos: options.qos }),
            Err(_) => Err(answers.ending().map_or(PublishError::Busy, PublishError::from)),
        }
    }
    /// Asks the shard of this handle about its clients and messages.
    pub(crate) fn administer(
        &self,
        question: AdminQuestion,
        deadline: Instant,
    ) -> Result<AdminAnswer, AdminError> {
        let session = &self.session;
        let answers = session.entrance.answers();
        let pending = answers.open();
        let input = LocalInput::Administer { local: session.local, ticket: pending.ticket(), question };
        if session.entrance.enter(session.shard, input, deadline).is_err() {
            return Err(answers.ending().map_or(AdminError::Timeout, AdminError::from));
        }
        match pending.wait(deadline) {
            Some(Answer::Outcome(LocalOutcome::Administered(answer))) => Ok(answer),
            Some(Answer::Outcome(_)) => Err(AdminError::Stopped),
            Some(Answer::Ended(ending)) => Err(ending.into()),
            None => Err(AdminError::Timeout),
        }
    }

    fn start(
        &self,
        topic: &str,
        payload: Bytes,
        options: PublishOptions,
        hold: Duration,
        enter: impl FnOnce(LocalInput) -> bool,
    ) -> Result<PendingPublish, PublishError> {
        TopicName::new(topic).map_err(PublishError::Invalid)?;
        options.properties.check(Place::Publish).map_err(PublishError::Invalid)?;
        let entrance = &self.session.entrance;
        if !entrance.takes(topic, options.properties.len(), payload.len()) {
            return Err(PublishError::TooLarge);
        }
        let answers = entrance.answers();
        if let Some(ending) = answers.ending() {
            return Err(ending.into());
        }
        let pending = answers.open();
        let entered = enter(LocalInput::Publish {
            local: self.session.local,
            ticket: pending.ticket(),
            topic: topic.to_owned(),
            payload,
            qos: options.qos,
            retain: options.retain,
            properties: options.properties,
            hold: u64::try_from(hold.as_millis()).unwrap_or(u64::MAX),
        });
        match entered {
            true => Ok(PendingPublish { pending, qos: options.qos }),
            false => Err(answers.ending().map_or(PublishError::Busy, PublishError::from)),
        }
    }
}

/// A publish under way. As a future it ends when the shard has answered, which the publish's timeout bounds.
/// Dropping it forgets the answer; the message is delivered all the same.
#[must_use = "the answer says who got the message"]
pub struct PendingPublish {
    pending: Pending,
    qos: Qos,
}

impl PendingPublish {
    /// Waits for the answer.
    ///
    /// # Errors
    /// [`PublishError`]; [`PublishError::Timeout`] when `deadline` passed first.
    pub fn wait(self, deadline: Instant) -> Result<Published, PublishError> {
        self.wait_until(deadline).unwrap_or(Err(PublishError::Timeout))
    }
    /// Waits for the answer until `deadline`; nothing when it has not come by then, and it can be waited for again.
    #[must_use]
    pub fn wait_until(&self, deadline: Instant) -> Option<Result<Published, PublishError>> {
        self.pending.wait(deadline).map(|answer| judge(answer, self.qos))
    }
}

impl Future for PendingPublish {
    type Output = Result<Published, PublishError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.pending.poll(context).map(|answer| judge(answer, self.qos))
    }
}

fn judge(answer: Answer, qos: Qos) -> Result<Published, PublishError> {
    match answer {
        Answer::Ended(ending) => Err(ending.into()),
        Answer::Outcome(LocalOutcome::Published { reason, matched, dropped, full }) => match full {
            Some(subscription) if qos != Qos::AtMostOnce => {
                Err(PublishError::Full { subscription, matched, dropped })
            }
            _ if reason.is_error() => Err(refused(reason)),
            _ => Ok(Published { matched, dropped }),
        },
        Answer::Outcome(LocalOutcome::Refused(reason)) => Err(refused(reason)),
        Answer::Outcome(_) => Err(PublishError::Refused(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR)),
    }
}

fn refused(reason: ReasonCode) -> PublishError {
    match reason {
        ReasonCode::QUOTA_EXCEEDED => PublishError::QuotaExceeded,
        ReasonCode::NOT_AUTHORIZED => PublishError::NotAuthorized,
        ReasonCode::PACKET_TOO_LARGE => PublishError::TooLarge,
        ReasonCode::SERVER_SHUTTING_DOWN => PublishError::Stopped,
        other => PublishError::Refused(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(reason: ReasonCode, dropped: u32, full: Option<&str>) -> Answer {
        let full = full.map(str::to_owned);
        Answer::Outcome(LocalOutcome::Published { reason, matched: 2, dropped, full })
    }

    #[test]
    fn outcomes_become_answers() {
        let full = PublishError::Full { subscription: String::from("slow"), matched: 2, dropped: 1 };
        let rows = [
            (
                outcome(ReasonCode::SUCCESS, 0, None),
                Qos::AtLeastOnce,
                Ok(Published { matched: 2, dropped: 0 }),
            ),
            (outcome(ReasonCode::SUCCESS, 1, Some("slow")), Qos::AtLeastOnce, Err(full.clone())),
            (
                outcome(ReasonCode::SUCCESS, 1, Some("slow")),
                Qos::AtMostOnce,
                Ok(Published { matched: 2, dropped: 1 }),
            ),
            (outcome(ReasonCode::QUOTA_EXCEEDED, 1, Some("slow")), Qos::ExactlyOnce, Err(full)),
            (outcome(ReasonCode::NOT_AUTHORIZED, 0, None), Qos::AtMostOnce, Err(PublishError::NotAuthorized)),
            (Answer::Ended(Ending::Stopped), Qos::AtMostOnce, Err(PublishError::Stopped)),
            (Answer::Ended(Ending::Failed), Qos::AtLeastOnce, Err(PublishError::Failed)),
        ];
        for (answer, qos, expected) in rows {
            assert_eq!(judge(answer.clone(), qos), expected, "{answer:?}");
        }
    }
}
