//! In-process handles: each is a session of this shard whose messages leave through its sink.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use ringmq_proto::session::{Change, Entry};
use ringmq_proto::time::Now;
use ringmq_wire::{
    INLINE_PAYLOAD_BYTES_MAX, Place, PropertiesBuffer, Property, Qos, ReasonCode, SubscriptionOptions,
    TopicFilter, TopicName,
};

use crate::aggregate::{AggregateId, Origin, Tally};
use crate::fill::seconds_left;
use crate::limits::{LOCAL_BATCH_MAX, LOCAL_BATCH_SHARED_BYTES_MIN};
use crate::local::{LocalDelivery, LocalId, LocalInput, LocalMessage, LocalOutcome, LocalSink, LocalTicket};
use crate::publication::Publication;
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
    /// Bytes of a payload from which handles that get it share its memory.
    shared_bytes_min: usize,
    properties: &'a PropertiesBuffer,
    hold: u64,
}

/// The topic of a message, and what is known of it.
struct Topic<'a> {
    name: &'a str,
    /// Whether it is a topic name with no more levels than may be.
    is_valid: bool,
    hash: u64,
}

/// A handle that is open.
pub struct Local {
    session: SessionId,
    sink: Box<dyn LocalSink>,
    /// Whether what is taken waits to be acknowledged.
    acknowledges: bool,
    /// Whether the end of the turn looks at it.
    dirty: bool,
}

/// Messages that were published at one go and are not complete.
#[derive(Default)]
pub struct LocalBatches {
    /// Those that are being published.
    under_way: Option<(LocalTicket, LocalBatch)>,
    /// Those of which some wait; as many as holds and long matches keep open.
    waiting: HashMap<LocalTicket, LocalBatch, FixedState>,
}

/// Messages that were published at one go.
struct LocalBatch {
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
        if let LocalOutcome::Published { reason, matched, dropped, full } = outcome {
            return self.count(reason, matched, dropped, full);
        }
        self.left -= 1;
        self.reason = ReasonCode::SERVER_SHUTTING_DOWN;
    }
    fn count(&mut self, reason: ReasonCode, matched: u32, dropped: u32, full: Option<String>) {
        self.left -= 1;
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
                self.mark_local_dirty(local);
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
                let shared_bytes_min = INLINE_PAYLOAD_BYTES_MAX + 1;
                let how = How { qos, retain, shared_bytes_min, properties: &properties, hold };
                self.local_publish(now, local, ticket, &topic, &payload, &how);
            }
            LocalInput::PublishMany { local, ticket, messages, qos, retain, properties, hold } => {
                let shared_bytes_min = LOCAL_BATCH_SHARED_BYTES_MIN;
                let how = How { qos, retain, shared_bytes_min, properties: &properties, hold };
                self.local_publish_many(now, local, ticket, &messages, &how);
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
        self.locals.insert(local, Local { session, sink, acknowledges: window.is_some(), dirty: false });
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
        if let Some((under_way, batch)) = &mut self.batches.under_way
            && *under_way == ticket
        {
            return batch.add(outcome);
        }
        let Some(batch) = self.batches.waiting.get_mut(&ticket) else {
            return self.effects.push(Effect::LocalDone { ticket, outcome });
        };
        batch.add(outcome);
        if batch.left == 0 {
            let outcome = self.batches.waiting.remove(&ticket).map(LocalBatch::outcome);
            self.effects.extend(outcome.map(|outcome| Effect::LocalDone { ticket, outcome }));
        }
    }

    fn local_publish_many(
        &mut self,
        now: Now,
        local: LocalId,
        ticket: LocalTicket,
        messages: &[LocalMessage],
        how: &How<'_>,
    ) {
        if messages.is_empty() || messages.len() > LOCAL_BATCH_MAX {
            let outcome = LocalOutcome::Refused(ReasonCode::QUOTA_EXCEEDED);
            return self.effects.push(Effect::LocalDone { ticket, outcome });
        }
        let publisher = self.local_publisher(local, how);
        self.batches.under_way = Some((ticket, LocalBatch::new(messages.len())));
        let mut last: Option<(&Arc<str>, Topic<'_>)> = None;
        // One that was answered at once serves the next.
        let mut aggregate = None;
        for LocalMessage { topic: name, payload } in messages {
            let topic = match last {
                Some((known, topic)) if Arc::ptr_eq(known, name) => topic,
                _ => self.topic(name),
            };
            match self.local_judge(&publisher, &topic) {
                Err(outcome) => self.local_done(ticket, outcome),
                Ok(publisher) => {
                    let open = aggregate.unwrap_or_else(|| self.aggregate_open(Origin::Local(ticket)));
                    aggregate = self.local_start(now, publisher, (&topic, payload), how, open);
                }
            }
            last = Some((name, topic));
        }
        if let Some(unused) = aggregate {
            self.aggregates.remove(unused);
        }
        if let Some((ticket, batch)) = self.batches.under_way.take() {
            match batch.left {
                0 => self.effects.push(Effect::LocalDone { ticket, outcome: batch.outcome() }),
                _ => drop(self.batches.waiting.insert(ticket, batch)),
            }
        }
    }

    fn topic<'a>(&self, name: &'a str) -> Topic<'a> {
        let is_valid =
            TopicName::new(name).is_ok() && name.split('/').count() <= self.settings.topic_levels_max;
        Topic { name, is_valid, hash: self.tree.topic_hash(name) }
    }

    /// The identity that messages of a handle are published with, or why there are none.
    fn local_publisher(&self, local: LocalId, how: &How<'_>) -> Result<u64, LocalOutcome> {
        match self.local_session(local) {
            None => Err(LocalOutcome::Refused(ReasonCode::SERVER_SHUTTING_DOWN)),
            Some(_) if how.properties.check(Place::Publish).is_err() => {
                Err(not_published(ReasonCode::MALFORMED_PACKET))
            }
            Some(session) => Ok(self.uid_of(session)),
        }
    }

    /// As whose a message is published, or why it is not.
    fn local_judge(
        &self,
        publisher: &Result<u64, LocalOutcome>,
        topic: &Topic<'_>,
    ) -> Result<u64, LocalOutcome> {
        match publisher {
            Err(outcome) => Err(outcome.clone()),
            Ok(_) if !topic.is_valid => Err(not_published(ReasonCode::TOPIC_NAME_INVALID)),
            Ok(_) if self.deferred.len() + self.matching.len() >= DEFERRED_MAX => {
                Err(not_published(ReasonCode::QUOTA_EXCEEDED))
            }
            Ok(publisher) => Ok(*publisher),
        }
    }

    /// Publishes one of several; what it was answered by, when that is complete and may serve the next.
    fn local_start(
        &mut self,
        now: Now,
        publisher: u64,
        (topic, payload): (&Topic<'_>, &Bytes),
        how: &How<'_>,
        aggregate: AggregateId,
    ) -> Option<AggregateId> {
        let publication = self.local_publication(now, publisher, (topic, payload), how);
        if !self.start_or_defer(now, publication, Some(aggregate), how.hold) {
            return None;
        }
        let Some(tally) = self.aggregate_again(aggregate) else {
            self.aggregate_answer(now, aggregate, Tally::default());
            return None;
        };
        if let Some((_, batch)) = &mut self.batches.under_way {
            batch.count(tally.reason(), tally.matched, tally.dropped + tally.refused, tally.full);
        }
        Some(aggregate)
    }

    fn local_publication<'a>(
        &self,
        now: Now,
        publisher: u64,
        (topic, payload): (&Topic<'a>, &'a Bytes),
        how: &How<'a>,
    ) -> Publication<'a> {
        let properties = how.properties.as_properties();
        let mut publication = Publication::of_handle(
            topic.name,
            (how.qos, how.retain),
            properties,
            payload,
            how.shared_bytes_min,
        );
        publication.publisher = publisher;
        publication.topic_hash = Some(topic.hash);
        publication.expires_at = expires_at(now.wall, properties.u32(Property::MessageExpiryInterval));
        publication.stamp = if how.retain { self.common.stamps.next() } else { 0 };
        publication
    }

    fn local_publish(
        &mut self,
        now: Now,
        local: LocalId,
        ticket: LocalTicket,
        topic: &str,
        payload: &Bytes,
        how: &How<'_>,
    ) {
        let topic = self.topic(topic);
        let publisher = self.local_publisher(local, how);
        match self.local_judge(&publisher, &topic) {
            Err(outcome) => self.local_done(ticket, outcome),
            Ok(publisher) => {
                let publication = self.local_publication(now, publisher, (&topic, payload), how);
                let aggregate = self.aggregate_open(Origin::Local(ticket));
                if self.start_or_defer(now, publication, Some(aggregate), how.hold) {
                    self.aggregate_answer(now, aggregate, Tally::default());
                }
            }
        }
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

    /// Gives a message to the handle of a session that has nothing queued, for a subscription with this identifier; false
    /// when it has to go into the queue.
    pub(crate) fn hand_over_straight(
        &mut self,
        now: Now,
        (session, qos, id): (SessionId, Qos, u32),
        publication: &mut Publication<'_>,
    ) -> bool {
        let Some(home) = self.sessions.at(session) else { return false };
        let Attached::Local(local) = home.attached else { return false };
        if !home.session.is_idle() || home.holds() {
            return false;
        }
        let Some(open) = self.locals.get_mut(&local).filter(|open| !open.acknowledges) else { return false };
        let expires_at = publication.expires_at;
        let ids = if id == 0 { &[][..] } else { &[id] };
        let delivery = LocalDelivery {
            qos,
            subscription_ids: ids,
            expiry_left_seconds: expires_at.map(|at| seconds_left(at, now.wall.0)),
            ..publication.local_delivery(&mut self.messages)
        };
        let taken = open.sink.push(&delivery);
        if taken && !std::mem::replace(&mut open.dirty, true) {
            self.dirty_locals.push(local);
        }
        taken
    }

    /// The end of the turn looks what a handle's session has.
    pub(crate) fn mark_local_dirty(&mut self, local: LocalId) {
        let is_marked = |open: &mut Local| std::mem::replace(&mut open.dirty, true);
        // One that is being filled stands in no table.
        if !self.locals.get_mut(&local).is_some_and(is_marked) {
            self.dirty_locals.push(local);
        }
    }

    /// Gives handles what their sessions have, as far as their sinks take it.
    pub(crate) fn fill_locals(&mut self, now: Now) {
        let mut dirty = std::mem::take(&mut self.dirty_locals);
        for local in dirty.drain(..) {
            self.fill_one_local(now, local);
        }
        // Filling one may mark another, whose turn is the next pass.
        std::mem::swap(&mut self.dirty_locals, &mut dirty);
        self.dirty_locals.append(&mut dirty);
    }

    /// Gives one handle what its session has.
    pub(crate) fn fill_one_local(&mut self, now: Now, local: LocalId) {
        let Some(mut open) = self.locals.remove(&local) else { return };
        open.dirty = false;
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
                qos: entry.qos,
                packet_id,
                retain: entry.retain,
                subscription_ids: entry.ids.as_slice(),
                expiry_left_seconds: expires_at.map(|at| seconds_left(at, now.wall.0)),
                ..LocalDelivery::of(&entry.message)
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

fn not_published(reason: ReasonCode) -> LocalOutcome {
    LocalOutcome::Published { reason, matched: 0, dropped: 0, full: None }
}
