//! In-process handles: each is a session of this shard whose messages leave through its sink.

use std::sync::Arc;

use bytes::Bytes;
use ringmq_proto::session::{Change, Entry};
use ringmq_proto::time::Now;
use ringmq_wire::message::{Message, MessageParts, Payload};
use ringmq_wire::{
    Place, PropertiesBuffer, Property, Qos, ReasonCode, SubscriptionOptions, TopicFilter, TopicName,
};

use crate::aggregate::{Origin, Tally};
use crate::fill::seconds_left;
use crate::limits::LOCAL_BATCH_MAX;
use crate::local::{LocalDelivery, LocalId, LocalInput, LocalMessage, LocalOutcome, LocalSink, LocalTicket};
use crate::publish::expires_at;
use crate::sessions::{Attached, SessionId};
use crate::stop::Stopping;
use crate::{Effect, Shard};

/// Publishes that wait for room in a lane or for their match; beyond it in-process ones are refused.
const DEFERRED_MAX: usize = 10_000;

/// How a handle publishes.
struct How<'a> {
    qos: Qos,
    retain: bool,
    properties: &'a PropertiesBuffer,
    hold: u64,
}

/// A handle that is open.
pub struct Local {
    session: SessionId,
    sink: Box<dyn LocalSink>,
    /// Whether what is taken waits to be acknowledged.
    acknowledges: bool,
}

/// Messages that were published at one go.
pub struct LocalBatch {
    left: usize,
    reason: ReasonCode,
    matched: u32,
    dropped: u32,
    full: Option<String>,
}

impl LocalBatch {
    fn new(messages: usize) -> Self {
        Self {
            left: messages,
            reason: ReasonCode::NO_MATCHING_SUBSCRIBERS,
            matched: 0,
            dropped: 0,
            full: None,
        }
    }
    /// One of them is complete; an error stays, and one who matched is enough for success.
    fn add(&mut self, outcome: LocalOutcome) {
        self.left -= 1;
        let LocalOutcome::Published { reason, matched, dropped, full } = outcome else {
            self.reason = ReasonCode::SERVER_SHUTTING_DOWN;
            return;
        };
        self.matched = self.matched.saturating_add(matched);
        self.dropped = self.dropped.saturating_add(dropped);
        if self.full.is_none() {
            self.full = full;
        }
        if !self.reason.is_error() && (reason.is_error() || reason == ReasonCode::SUCCESS) {
            self.reason = reason;
        }
    }
    fn outcome(self) -> LocalOutcome {
        let Self { reason, matched, dropped, full, .. } = self;
        LocalOutcome::Published { reason, matched, dropped, full }
    }
}

impl Shard {
    pub(crate) fn local(&mut self, now: Now, input: LocalInput) {
        match input {
            LocalInput::Open { local, sink, queue_messages_max } => {
                self.local_open(local, sink, queue_messages_max);
            }
            LocalInput::Room { local } => {
                self.local_acknowledged(local);
                self.dirty_locals.push(local);
            }
            LocalInput::Close { local } => self.local_close(now, local),
            LocalInput::Subscribe { local, ticket, filters, subscription_id } => {
                self.local_subscribe(now, local, ticket, &filters, subscription_id.unwrap_or(0));
            }
            LocalInput::Unsubscribe { local, ticket, filters } => {
                let outcome = match self.local_session(local) {
                    Some(session) => LocalOutcome::Unsubscribed(
                        filters.iter().map(|f| self.unsubscribe_one(session, f)).collect(),
                    ),
                    None => LocalOutcome::Refused(ReasonCode::SERVER_SHUTTING_DOWN),
                };
                self.effects.push(Effect::LocalDone { ticket, outcome });
            }
            LocalInput::Administer { local, ticket, question } => {
                let outcome = match self.local_session(local) {
                    Some(_) => LocalOutcome::Administered(self.administer(now, &question)),
                    None => LocalOutcome::Refused(ReasonCode::SERVER_SHUTTING_DOWN),
                };
                self.effects.push(Effect::LocalDone { ticket, outcome });
            }
            LocalInput::Publish { local, ticket, topic, payload, qos, retain, properties, hold } => {
                let how = How { qos, retain, properties: &properties, hold };
                let is_topic = self.is_topic(&topic);
                self.local_publish(now, local, ticket, (&topic, is_topic), payload, &how);
            }
            LocalInput::PublishMany { local, ticket, messages, qos, retain, properties, hold } => {
                let how = How { qos, retain, properties: &properties, hold };
                self.local_publish_many(now, local, ticket, messages, &how);
            }
        }
    }

    fn local_session(&self, local: LocalId) -> Option<SessionId> {
        self.locals.get(&local).map(|l| l.session).filter(|_| self.stopping == Stopping::No)
    }

    fn local_open(&mut self, local: LocalId, mut sink: Box<dyn LocalSink>, queue_messages_max: u32) {
        if self.stopping != Stopping::No {
            return sink.end();
        }
        let session = self.session_open(&local.client_id(self.id));
        let window = sink.unacknowledged_max();
        if let Some(home) = self.sessions.at_mut(session) {
            home.attached = Attached::Local(local);
            home.queue_messages_max = queue_messages_max.max(1);
            home.session.attach(window.map_or(u16::MAX, u16::from));
        }
        self.locals.insert(local, Local { session, sink, acknowledges: window.is_some() });
    }

    /// What the reader of a handle has acknowledged is over, as by a PUBACK or PUBCOMP.
    fn local_acknowledged(&mut self, local: LocalId) {
        let Some(open) = self.locals.get_mut(&local).filter(|open| open.acknowledges) else { return };
        let session = open.session;
        let mut over = Vec::new();
        open.sink.acknowledged(&mut over);
        for packet_id in over {
            let Some(home) = self.sessions.at_mut(session) else { return };
            let Some(sent) = home.session.inflight.get(packet_id) else { continue };
            let shared = sent.shared;
            home.session.window_give();
            self.change(session, Change::Completed { packet_id });
            if let Some(origin) = shared {
                self.shared_done(session, origin);
            }
        }
    }

    pub(crate) fn local_close(&mut self, now: Now, local: LocalId) {
        let Some(mut open) = self.locals.remove(&local) else { return };
        self.detach_session(now, open.session);
        open.sink.end();
    }

    /// A request of a handle is complete; one of a batch when the whole batch is.
    pub(crate) fn local_done(&mut self, ticket: LocalTicket, outcome: LocalOutcome) {
        if self.batches.is_empty() {
            return self.effects.push(Effect::LocalDone { ticket, outcome });
        }
        let Some(batch) = self.batches.get_mut(&ticket) else {
            return self.effects.push(Effect::LocalDone { ticket, outcome });
        };
        batch.add(outcome);
        if batch.left == 0 {
            let outcome = self.batches.remove(&ticket).map(LocalBatch::outcome);
            self.effects.extend(outcome.map(|outcome| Effect::LocalDone { ticket, outcome }));
        }
    }

    fn local_publish_many(
        &mut self,
        now: Now,
        local: LocalId,
        ticket: LocalTicket,
        messages: Vec<LocalMessage>,
        how: &How<'_>,
    ) {
        if messages.is_empty() || messages.len() > LOCAL_BATCH_MAX {
            let outcome = LocalOutcome::Refused(ReasonCode::QUOTA_EXCEEDED);
            return self.effects.push(Effect::LocalDone { ticket, outcome });
        }
        self.batches.insert(ticket, LocalBatch::new(messages.len()));
        let mut last: Option<(Arc<str>, bool)> = None;
        for LocalMessage { topic, payload } in messages {
            let is_topic = match &last {
                Some((known, is_topic)) if Arc::ptr_eq(known, &topic) => *is_topic,
                _ => self.is_topic(&topic),
            };
            self.local_publish(now, local, ticket, (&topic, is_topic), payload, how);
            last = Some((topic, is_topic));
        }
    }

    fn is_topic(&self, topic: &str) -> bool {
        TopicName::new(topic).is_ok() && topic.split('/').count() <= self.settings.topic_levels_max
    }

    fn local_publish(
        &mut self,
        now: Now,
        local: LocalId,
        ticket: LocalTicket,
        (topic, is_topic): (&str, bool),
        payload: Bytes,
        how: &How<'_>,
    ) {
        let How { qos, retain, properties, hold } = *how;
        let refused = |reason| LocalOutcome::Published { reason, matched: 0, dropped: 0, full: None };
        let outcome = match self.local_session(local) {
            None => LocalOutcome::Refused(ReasonCode::SERVER_SHUTTING_DOWN),
            Some(_) if !is_topic => refused(ReasonCode::TOPIC_NAME_INVALID),
            Some(_) if properties.check(Place::Publish).is_err() => refused(ReasonCode::MALFORMED_PACKET),
            Some(_) if self.deferred.len() + self.matching.len() >= DEFERRED_MAX => {
                refused(ReasonCode::QUOTA_EXCEEDED)
            }
            Some(session) => {
                let properties = properties.as_properties();
                let expiry = properties.u32(Property::MessageExpiryInterval);
                let message = Message::new(MessageParts {
                    topic,
                    qos,
                    retain,
                    properties,
                    payload: Payload::Owned(payload),
                    expires_at: expires_at(now.wall, expiry),
                    publisher: self.uid_of(session),
                    stamp: if retain { self.common.stamps.next() } else { 0 },
                });
                return self.publish_or_defer(
                    now,
                    self.messages.entered(message),
                    Origin::Local(ticket),
                    hold,
                );
            }
        };
        self.local_done(ticket, outcome);
    }

    fn local_subscribe(
        &mut self,
        now: Now,
        local: LocalId,
        ticket: LocalTicket,
        filters: &[(String, SubscriptionOptions)],
        identifier: u32,
    ) {
        let Some(session) = self.local_session(local) else {
            let outcome = LocalOutcome::Refused(ReasonCode::SERVER_SHUTTING_DOWN);
            return self.effects.push(Effect::LocalDone { ticket, outcome });
        };
        let aggregate = self.aggregate_open(Origin::Nobody);
        let mut made = Vec::new();
        let codes: Vec<ReasonCode> = filters
            .iter()
            .map(|(filter, options)| match TopicFilter::new(filter) {
                Ok(filter) => self.subscribe_one(session, filter, *options, identifier, aggregate, &mut made),
                Err(_) => ReasonCode::TOPIC_FILTER_INVALID,
            })
            .collect();
        self.read_retained(session, &made);
        if let Some(open) = self.aggregates.at_mut(aggregate) {
            open.origin = Origin::LocalSubscriber(ticket, codes);
        }
        self.aggregate_answer(now, aggregate, Tally::default());
    }

    /// Gives handles what their sessions have, as far as their sinks take it.
    pub(crate) fn fill_locals(&mut self, now: Now) {
        for local in std::mem::take(&mut self.dirty_locals) {
            self.fill_one_local(now, local);
        }
    }

    /// Gives one handle what its session has.
    pub(crate) fn fill_one_local(&mut self, now: Now, local: LocalId) {
        let Some(mut open) = self.locals.remove(&local) else { return };
        self.fill_local(now, &mut open);
        open.sink.flush();
        self.locals.insert(local, open);
    }

    fn fill_local(&mut self, now: Now, open: &mut Local) {
        let id = open.session;
        loop {
            let may_send = !open.acknowledges || self.may_send_with_ack(id);
            let Some(home) = self.sessions.at_mut(id) else { return };
            let Some(entry) = home.session.queue.front(may_send).cloned() else {
                self.release_held(now, id);
                self.read_next(now, id);
                let may_send = !open.acknowledges || self.may_send_with_ack(id);
                if self.sessions.at(id).is_some_and(|h| h.session.queue.front(may_send).is_some()) {
                    continue;
                }
                return;
            };
            let limit = self.settings.inflight_messages_max;
            let awaits = open.acknowledges && entry.qos > Qos::AtMostOnce;
            let packet_id = home.session.inflight.vacant(limit).filter(|_| awaits);
            if awaits && packet_id.is_none() {
                return;
            }
            let expires_at = entry.message.expires_at();
            let expired = expires_at.is_some_and(|at| at <= now.wall.0);
            let delivery = LocalDelivery {
                message: &entry.message,
                qos: entry.qos,
                packet_id,
                retain: entry.retain,
                subscription_ids: entry.ids.as_slice(),
                expiry_left_seconds: expires_at.map(|at| seconds_left(at, now.wall.0)),
            };
            if !expired && !open.sink.push(&delivery) {
                return;
            }
            if let Some(packet_id) = packet_id.filter(|_| !expired) {
                home.session.window_take();
                self.change(id, Change::Sent { packet_id });
            } else {
                self.taken(id, may_send, &entry);
            }
            if expired {
                self.counters().dropped_expired.add(1);
            }
            self.release_held(now, id);
        }
    }

    /// The front of a handle's queue is over.
    fn taken(&mut self, id: SessionId, may_send: bool, entry: &Entry) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        home.session.queue.pop(may_send);
        self.count_queue((1, entry.bytes()), (0, 0));
        self.made_progress(id);
        if let Some(origin) = entry.shared.filter(|_| entry.qos > Qos::AtMostOnce) {
            self.shared_done(id, origin);
        }
    }
}
