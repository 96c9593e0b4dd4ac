//! Subscriptions: a session with a bounded queue that this program reads, from any thread, blocking or async.

use std::future::poll_fn;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ringmq_shard::{LocalId, LocalInput, LocalOutcome, ShardId};
use ringmq_wire::{Qos, ReasonCode, RetainHandling, SubscriptionOptions, TopicFilter, Violation};

use super::answers::{Answer, Ending};
use super::entrance::{Entrance, moment_in};
use super::queue::{Queue, ReceivedMessage, Sink, Taken};
use super::receipts::Receipts;

/// How long the broker may take to answer a subscribe when nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that are handed over to the reader before it asks. A burst waits in the session's own queue, whose
/// bound the reader chose; this many are enough to keep a reader busy while its shard is asked for more, also when it
/// takes them in batches, and more than one publisher has under way of a batch: that does not go through the session's queue.
const HANDED_OVER_MAX: usize = 1024;

/// How to subscribe.
#[derive(Clone, Debug)]
pub struct SubscribeOptions {
    filter: SubscriptionOptions,
    maxlen: usize,
    shard: Option<usize>,
    subscription_id: Option<u32>,
    unacknowledged_max: Option<NonZeroU16>,
    timeout: Duration,
}

impl Default for SubscribeOptions {
    /// QoS 2 (as published), retained messages at once, 1000 messages, a shard by turns, 5 s.
    fn default() -> Self {
        let filter = SubscriptionOptions { qos: Qos::ExactlyOnce, ..SubscriptionOptions::default() };
        let (shard, subscription_id, unacknowledged_max) = (None, None, None);
        Self { filter, maxlen: 1000, shard, subscription_id, unacknowledged_max, timeout: TIMEOUT }
    }
}

impl SubscribeOptions {
    /// Default options with this quality at most.
    #[must_use]
    pub fn qos(qos: Qos) -> Self {
        let default = Self::default();
        Self { filter: SubscriptionOptions { qos, ..default.filter }, ..default }
    }
    /// Messages that may wait in the session, at least 1, besides those already handed over to the reader: as
    /// many again, at most 1024. Beyond it publishers are held, at most until their timeout, and QoS 0 messages
    /// are dropped and counted. Default 1000.
    #[must_use]
    pub fn maxlen(mut self, messages: usize) -> Self {
        self.maxlen = messages.max(1);
        self
    }
    /// Which retained messages are wanted at once.
    #[must_use]
    pub fn retain_handling(mut self, handling: RetainHandling) -> Self {
        self.filter.retain_handling = handling;
        self
    }
    /// Whether live messages keep the retain flag they were published with.
    #[must_use]
    pub fn retain_as_published(mut self, keep: bool) -> Self {
        self.filter.retain_as_published = keep;
        self
    }
    /// The shard the session lives on, from 0. Default: each in turn.
    #[must_use]
    pub fn shard(mut self, shard: usize) -> Self {
        self.shard = Some(shard);
        self
    }
    /// A number that comes with each message of these filters, 1 to 268,435,455.
    #[must_use]
    pub fn subscription_id(mut self, id: u32) -> Self {
        self.subscription_id = Some(id);
        self
    }
    /// Messages of QoS 1 and 2 are acknowledged by [`ReceivedMessage::acknowledge`], and so many may be unacknowledged, at
    /// most as many as the broker's `inflight_messages_max`; what comes then waits in the session. Those of a shared
    /// subscription (QoS 1) that are unacknowledged when the session ends go to another member. Default: whoever takes a
    /// message acknowledges it by that.
    #[must_use]
    pub fn unacknowledged_max(mut self, messages: NonZeroU16) -> Self {
        self.unacknowledged_max = Some(messages);
        self
    }
    /// How long the broker may take to answer. Default 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// A filter is not what MQTT allows; names the clause.
    Invalid {
        /// Which.
        filter: String,
        /// What is wrong.
        violation: Violation,
    },
    /// The broker refused a filter.
    Refused {
        /// Which.
        filter: String,
        /// Why.
        reason: ReasonCode,
    },
    /// No filter was given, or the subscription identifier is out of range.
    Options(&'static str),
    /// There is no shard of this number; choose a smaller one.
    NoShard(usize),
    /// The shard took no request; try later.
    Busy,
    /// No answer came in time.
    Timeout,
    /// The broker has stopped.
    Stopped,
    /// The broker has failed, its log says why.
    Failed,
}

impl From<Ending> for SubscribeError {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Stopped => Self::Stopped,
            Ending::Failed => Self::Failed,
        }
    }
}

impl std::fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid { filter, violation } => write!(f, "`{filter}` is no valid filter: {violation}"),
            Self::Refused { filter, reason } => write!(f, "`{filter}` was refused: {reason}"),
            Self::Options(text) => f.write_str(text),
            Self::NoShard(number) => write!(f, "there is no shard {number}"),
            Self::Busy => f.write_str("the shard takes no requests: too many are waiting"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Stopped => f.write_str("the broker has stopped"),
            Self::Failed => f.write_str("the broker has failed, its log says why"),
        }
    }
}

impl std::error::Error for SubscribeError {}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// None arrived in time.
    Timeout,
    /// The session has ended and everything was read: the broker has stopped, or a full queue ended it.
    Ended,
    /// The broker has failed, its log says why; everything that had arrived was read.
    Failed,
}

impl std::fmt::Display for RecvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no message in time",
            Self::Ended => "the subscription has ended",
            Self::Failed => "the broker has failed, its log says why",
        })
    }
}

impl std::error::Error for RecvError {}

/// A session of this program with subscriptions. Dropping it ends the session. Several threads may read; each
/// message goes to one of them.
pub struct Subscription {
    entrance: Arc<Entrance>,
    queue: Arc<Queue>,
    receipts: Option<Arc<Receipts>>,
    local: LocalId,
    shard: ShardId,
    granted: Vec<Qos>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.receipts.iter().for_each(|receipts| receipts.end());
        self.entrance.push_reserved(self.shard, LocalInput::Close { local: self.local });
    }
}

impl Subscription {
    /// Opens a session and subscribes it; all filters or none.
    pub(crate) fn open(
        entrance: &Arc<Entrance>,
        filters: Vec<String>,
        options: &SubscribeOptions,
    ) -> Result<Self, SubscribeError> {
        check(&filters, options)?;
        let shard = entrance.home(options.shard);
        let shard = shard.ok_or(SubscribeError::NoShard(options.shard.unwrap_or_default()))?;
        let deadline = moment_in(options.timeout);
        let local = entrance.new_local();
        let queue = Queue::new(options.maxlen.min(HANDED_OVER_MAX));
        let queue_messages_max = u32::try_from(options.maxlen).unwrap_or(u32::MAX);
        let receipts =
            options.unacknowledged_max.map(|max| Arc::new(Receipts::new(entrance, shard, local, max)));
        let sink = Box::new(Sink::new(Arc::clone(&queue), receipts.clone()));
        let open = LocalInput::Open { local, sink, queue_messages_max };
        enter(entrance, shard, open, deadline)?;
        // From here on dropping `subscription` ends the session, whatever the answer is.
        let mut subscription =
            Self { entrance: Arc::clone(entrance), queue, receipts, local, shard, granted: Vec::new() };
        let codes = subscription.subscribe(&filters, options, deadline)?;
        subscription.granted = granted(&filters, &codes)?;
        Ok(subscription)
    }
    /// The quality granted to each filter.
    #[must_use]
    pub fn granted(&self) -> &[Qos] {
        &self.granted
    }
    /// The shard the session lives on.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.shard.index()
    }
    /// Its name, as [`PublishError::Full`](crate::PublishError::Full) and the log tell of it: the session's
    /// ClientID.
    #[must_use]
    pub fn name(&self) -> String {
        self.local.client_id(self.shard)
    }
    /// Messages that were handed over and wait to be read.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
    /// The next message, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv(&self, timeout: Duration) -> Result<ReceivedMessage, RecvError> {
        let deadline = moment_in(timeout);
        self.judge(self.queue.take_until(deadline))
    }
    /// The next message, if one is there.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn try_recv(&self) -> Result<ReceivedMessage, RecvError> {
        self.judge(self.queue.take())
    }
    /// Gives the messages that are there, up to `max`, to `each`, which should not take long, and no more of what comes
    /// meanwhile. Takes no lock. How many they were.
    ///
    /// # Errors
    /// [`RecvError`] when there was none.
    pub fn try_recv_many(
        &self,
        max: usize,
        mut each: impl FnMut(ReceivedMessage),
    ) -> Result<usize, RecvError> {
        let mut count = 0;
        let room = TellRoom(self);
        let ended = self.queue.take_many(max, |message| {
            count += 1;
            each(message);
        });
        drop(room);
        match () {
            () if count > 0 || max == 0 => Ok(count),
            () if !ended => Err(RecvError::Timeout),
            () if self.entrance.answers().ending() == Some(Ending::Failed) => Err(RecvError::Failed),
            () => Err(RecvError::Ended),
        }
    }
    /// Acknowledges a message of this subscription, as [`ReceivedMessage::acknowledge`] does; false for one of another.
    pub fn acknowledge(&self, message: &ReceivedMessage) -> bool {
        self.receipts.as_ref().is_some_and(|receipts| message.is_of(receipts) && message.acknowledge())
    }
    /// Ends the session; whoever reads is told that it has ended, and messages that were not read are dropped. Dropping
    /// the subscription does the same, once nobody reads.
    pub fn close(&self) {
        self.queue.close();
        self.receipts.iter().for_each(|receipts| receipts.end());
        self.entrance.push_reserved(self.shard, LocalInput::Close { local: self.local });
    }
    /// All messages until the session ends; waits for each.
    #[must_use]
    pub fn iter(&self) -> Messages<'_> {
        Messages { subscription: self }
    }
    /// The next message on any executor; nothing when the session has ended. Why it has, `try_recv` says then.
    pub async fn next(&self) -> Option<ReceivedMessage> {
        poll_fn(|context| self.poll_next(context)).await
    }
    /// The next message, or the context is woken when one comes; nothing when the session has ended. This is
    /// the one function a stream of any flavour is made from.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<ReceivedMessage>> {
        self.queue.poll(context).map(|taken| self.judge(taken).ok())
    }

    fn subscribe(
        &self,
        filters: &[String],
        options: &SubscribeOptions,
        deadline: Instant,
    ) -> Result<Vec<ReasonCode>, SubscribeError> {
        let pending = self.entrance.answers().open();
        let request = LocalInput::Subscribe {
            local: self.local,
            ticket: pending.ticket(),
            filters: filters.iter().map(|filter| (filter.clone(), options.filter)).collect(),
            subscription_id: options.subscription_id,
        };
        enter(&self.entrance, self.shard, request, deadline)?;
        match pending.wait(deadline) {
            Some(Answer::Outcome(LocalOutcome::Subscribed(codes))) => Ok(codes),
            Some(Answer::Outcome(LocalOutcome::Refused(reason))) => {
                Err(SubscribeError::Refused { filter: filters[0].clone(), reason })
            }
            Some(Answer::Outcome(_)) | None => Err(SubscribeError::Timeout),
            Some(Answer::Ended(ending)) => Err(ending.into()),
        }
    }
    fn judge(&self, taken: Taken) -> Result<ReceivedMessage, RecvError> {
        match taken {
            Taken::Message { message, room } => {
                if room {
                    self.entrance.push_reserved(self.shard, LocalInput::Room { local: self.local });
                }
                Ok(*message)
            }
            Taken::Ended if self.entrance.answers().ending() == Some(Ending::Failed) => {
                Err(RecvError::Failed)
            }
            Taken::Ended => Err(RecvError::Ended),
            Taken::Nothing => Err(RecvError::Timeout),
        }
    }
}

/// Tells the shard of the room that was made, also where whoever took the messages panicked.
struct TellRoom<'a>(&'a Subscription);

impl Drop for TellRoom<'_> {
    fn drop(&mut self) {
        let Self(Subscription { entrance, queue, local, shard, .. }) = self;
        if queue.claim_room() {
            entrance.push_reserved(*shard, LocalInput::Room { local: *local });
        }
    }
}

impl<'a> IntoIterator for &'a Subscription {
    type Item = ReceivedMessage;
    type IntoIter = Messages<'a>;

    fn into_iter(self) -> Messages<'a> {
        self.iter()
    }
}

/// The messages of a subscription, each waited for.
pub struct Messages<'a> {
    subscription: &'a Subscription,
}

impl Iterator for Messages<'_> {
    type Item = ReceivedMessage;

    fn next(&mut self) -> Option<ReceivedMessage> {
        /// Long enough to cost nothing; the end of a session wakes the reader anyway.
        const STEP: Duration = Duration::from_secs(3600);
        loop {
            match self.subscription.recv(STEP) {
                Ok(message) => return Some(message),
                Err(RecvError::Ended | RecvError::Failed) => return None,
                Err(RecvError::Timeout) => {}
            }
        }
    }
}

fn check(filters: &[String], options: &SubscribeOptions) -> Result<(), SubscribeError> {
    if filters.is_empty() {
        return Err(SubscribeError::Options("a subscription needs at least one filter"));
    }
    if options.subscription_id.is_some_and(|id| id == 0 || id > ringmq_wire::REMAINING_LENGTH_MAX) {
        return Err(SubscribeError::Options("a subscription identifier is 1 to 268,435,455"));
    }
    for filter in filters {
        TopicFilter::new(filter)
            .map_err(|violation| SubscribeError::Invalid { filter: filter.clone(), violation })?;
    }
    Ok(())
}

fn enter(
    entrance: &Entrance,
    shard: ShardId,
    input: LocalInput,
    deadline: Instant,
) -> Result<(), SubscribeError> {
    let ending = || entrance.answers().ending();
    if let Some(ending) = ending() {
        return Err(ending.into());
    }
    let refused = |_: LocalInput| ending().map_or(SubscribeError::Busy, SubscribeError::from);
    entrance.enter(shard, input, deadline).map_err(refused)
}

fn granted(filters: &[String], codes: &[ReasonCode]) -> Result<Vec<Qos>, SubscribeError> {
    let grant = |(filter, code): (&String, &ReasonCode)| {
        let refused = || SubscribeError::Refused { filter: filter.clone(), reason: *code };
        Qos::from_u8(code.value()).ok_or_else(refused)
    };
    filters.iter().zip(codes).map(grant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_subscribed_is_named() {
        let options = SubscribeOptions::default();
        assert!(matches!(check(&[], &options), Err(SubscribeError::Options(_))));
        let error = check(&[String::from("a/#/b")], &options).unwrap_err();
        assert!(error.to_string().contains("a/#/b"), "{error}");
        assert!(check(&[String::from("a")], &options.clone().subscription_id(0)).is_err());
        assert!(
            check(&[String::from("$share/g/a"), String::from("+/b")], &options.subscription_id(1)).is_ok()
        );
    }

    #[test]
    fn one_refused_filter_refuses_the_subscription() {
        let filters = [String::from("a"), String::from("b")];
        let codes = [ReasonCode::GRANTED_QOS_1, ReasonCode::NOT_AUTHORIZED];
        assert_eq!(granted(&filters[..1], &codes), Ok(vec![Qos::AtLeastOnce]));
        let refused =
            SubscribeError::Refused { filter: String::from("b"), reason: ReasonCode::NOT_AUTHORIZED };
        assert_eq!(granted(&filters, &codes), Err(refused));
    }
}
