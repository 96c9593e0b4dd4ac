//! SUBSCRIBE and UNSUBSCRIBE: into the tree and the shared index before the answer is encoded, so that
//! whoever has seen the answer is matched by every later publish on any shard.

use std::sync::atomic::{Ordering, fence};

use ringmq_proto::session::{Change, Subscription};
use ringmq_proto::time::Now;
use ringmq_wire::{
    Packet, PacketId, Properties, Property, Qos, ReasonCode, RetainHandling, Suback, Subscribe,
    SubscriptionOptions, TopicFilter, Unsuback, Unsubscribe, Version,
};

use crate::aggregate::{AggregateId, Origin, Tally};
use crate::authz::Question;
use crate::budget::Rung;
use crate::deliver::Subscriber;
use crate::fault::{self, Fault};
use crate::input::ConnId;
use crate::links::{Park, Said};
use crate::log::quoted;
use crate::receive::Step;
use crate::sessions::SessionId;
use crate::{LogLevel, Shard};

/// A subscription that was made, and what it still needs.
pub struct Made<'a> {
    /// The filter.
    pub filter: TopicFilter<'a>,
    /// What was granted.
    pub subscription: Subscription,
    /// Whether it existed before.
    pub existed: bool,
}

impl Shard {
    pub(crate) fn on_subscribe(
        &mut self,
        now: Now,
        id: ConnId,
        packet: &Subscribe<'_>,
    ) -> Result<Step, Fault> {
        let Some(link) = self.links.at(id) else { return Ok(Step::Done) };
        let Some(session) = link.session else { return Ok(Step::Done) };
        if packet.filters.iter().count() > self.settings.filters_per_packet_max {
            return Err(fault::FILTERS_TOO_MANY);
        }
        let (version, bridge) = (link.conn.version, link.conn.bridge);
        let identifier = packet.properties.u32(Property::SubscriptionIdentifier).unwrap_or(0);
        if identifier != 0 && !self.offer_to(id).subscription_identifiers_available {
            return Err(fault::IDENTIFIERS_NOT_SUPPORTED);
        }
        let said = self.judge_filters(now, id, session, packet);
        if said.contains(&Said::Open) {
            return Ok(Step::Wait(Park::Decision));
        }
        self.asked_enough(id);
        let origin = Origin::Subscriber { conn: id, packet_id: packet.packet_id, codes: Vec::new() };
        let aggregate = self.aggregate_open(origin);
        let (mut codes, mut made) = (Vec::new(), Vec::new());
        for (asked, said) in packet.filters.iter().zip(said) {
            let options = bridge_options(asked.options, bridge);
            let code = match refusal(said) {
                Some(code) => code,
                None => self.subscribe_one(session, asked.filter, options, identifier, aggregate, &mut made),
            };
            codes.push(suback_code(code, version));
        }
        let joins = self.aggregates.at(aggregate).is_some_and(|a| a.remaining > 1);
        if joins {
            return Ok(self.await_joins(now, id, session, aggregate, codes, &made));
        }
        self.aggregates.remove(aggregate);
        self.send_suback(id, packet.packet_id, &codes);
        self.read_retained(session, &made);
        Ok(Step::Done)
    }

    /// The owners of groups elsewhere answer first; later packets wait, so that a publish behind this
    /// SUBSCRIBE finds its groups.
    fn await_joins(
        &mut self,
        now: Now,
        id: ConnId,
        session: SessionId,
        aggregate: AggregateId,
        suback: Vec<u8>,
        made: &[Made<'_>],
    ) -> Step {
        if let Some(Origin::Subscriber { codes, .. }) =
            self.aggregates.at_mut(aggregate).map(|a| &mut a.origin)
        {
            *codes = suback;
        }
        if let Some(link) = self.links.at_mut(id) {
            link.park = Some(Park::Join);
        }
        self.read_retained(session, made);
        self.aggregate_answer(now, aggregate, Tally::default());
        Step::Done
    }

    /// All groups are joined.
    pub(crate) fn subscribe_joined(&mut self, now: Now, id: ConnId, packet_id: PacketId, codes: &[u8]) {
        if self.links.at(id).is_some_and(|l| l.conn.is_open()) {
            self.send_suback(id, packet_id, codes);
            if let Some(link) = self.links.at_mut(id).filter(|l| l.park == Some(Park::Join)) {
                link.park = None;
                self.resume_later(now, id);
            }
        }
    }

    fn send_suback(&mut self, id: ConnId, packet_id: PacketId, codes: &[u8]) {
        self.send(id, &Packet::Suback(Suback { packet_id, properties: Properties::EMPTY, codes }));
    }

    fn judge_filters(
        &mut self,
        now: Now,
        id: ConnId,
        session: SessionId,
        packet: &Subscribe<'_>,
    ) -> Vec<Said> {
        let filters = packet.filters.iter().enumerate();
        filters.map(|(nth, asked)| self.ask_subscribe(now, id, session, nth, asked.filter.whole())).collect()
    }

    fn ask_subscribe(&mut self, now: Now, id: ConnId, session: SessionId, nth: usize, filter: &str) -> Said {
        if let Some(said) = self.said_before(id, nth) {
            return said;
        }
        let (Some(link), Some(home)) = (self.links.at(id), self.sessions.at(session)) else {
            return Said::Nothing;
        };
        let ticket = Self::next_ticket(&mut self.tickets);
        let (client_id, user_name) = (&*home.session.client_id, home.user_name());
        let (identity, listener) = (home.identity(), link.peer.listener);
        let question = Question::Subscribe { client_id, user_name, identity, listener, filter };
        let answer = self.decider.decide(ticket, &question);
        self.note_answer(now, id, ticket, answer)
    }

    /// Makes or replaces one subscription; the code of its SUBACK.
    pub(crate) fn subscribe_one<'a>(
        &mut self,
        session: SessionId,
        filter: TopicFilter<'a>,
        options: SubscriptionOptions,
        identifier: u32,
        aggregate: AggregateId,
        made: &mut Vec<Made<'a>>,
    ) -> ReasonCode {
        let Some(home) = self.sessions.at(session) else { return ReasonCode::UNSPECIFIED_ERROR };
        let whole = filter.whole();
        let existed = home.session.subscriptions.contains_key(whole);
        let count = home.session.subscriptions.len();
        if let Some(code) = self.filter_refused(session, filter, existed, count) {
            if matches!(code, ReasonCode::QUOTA_EXCEEDED | ReasonCode::TOPIC_FILTER_INVALID) {
                self.tell_refusal(session, whole);
            }
            return code;
        }
        if filter.has_wildcard() && !existed {
            if self.has_quota_for(session, filter) {
                self.count_wildcards(session, |count| count + 1);
            } else {
                self.tell_refusal(session, whole);
                return ReasonCode::QUOTA_EXCEEDED;
            }
        }
        let qos =
            options.qos.min(Qos::from_u8(self.offer_for(session).maximum_qos).unwrap_or(Qos::ExactlyOnce));
        let options = SubscriptionOptions { qos, ..options };
        let subscription = Subscription { options, id: identifier };
        self.change(session, Change::Subscribed { filter: whole.into(), subscription });
        if filter.share_name().is_some() {
            if !existed {
                self.counters().subscriptions_shared.add(1);
            }
            self.join(session, whole, qos, aggregate);
        } else {
            self.tree.insert(filter.filter(), session.slot, Subscriber { options, id: identifier });
            if !existed {
                self.counters().subscriptions.add(1);
                self.interest.add(filter.filter());
                fence(Ordering::SeqCst);
            }
        }
        made.push(Made { filter, subscription, existed });
        granted(qos)
    }

    fn filter_refused(
        &self,
        session: SessionId,
        filter: TopicFilter<'_>,
        existed: bool,
        count: usize,
    ) -> Option<ReasonCode> {
        let (settings, offer) = (&self.settings, self.offer_for(session));
        if filter.share_name().is_some() && !offer.shared_available {
            return Some(ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
        }
        if filter.has_wildcard() && !offer.wildcard_available {
            return Some(ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED);
        }
        let whole = filter.whole();
        if whole.len() > settings.topic_bytes_max || whole.split('/').count() > settings.topic_levels_max {
            return Some(ReasonCode::TOPIC_FILTER_INVALID);
        }
        let full = self.rung >= Rung::Shed || count >= settings.subscriptions_per_session_max;
        (!existed && full).then_some(ReasonCode::QUOTA_EXCEEDED)
    }

    /// Whether a session may have one more filter with wildcards, and as deep a one.
    fn has_quota_for(&self, session: SessionId, filter: TopicFilter<'_>) -> bool {
        let levels = filter.filter().split('/').count();
        levels <= self.settings.wildcard_levels_max
            && self
                .sessions
                .at(session)
                .is_some_and(|h| (h.wildcards as usize) < self.settings.wildcards_per_session_max)
    }

    fn count_wildcards(&mut self, session: SessionId, change: impl FnOnce(u32) -> u32) {
        if let Some(home) = self.sessions.at_mut(session) {
            home.wildcards = change(home.wildcards);
        }
    }

    /// Each is counted, and one line made for each session: a client that tries again and again is not to fill the log.
    fn tell_refusal(&mut self, session: SessionId, filter: &str) {
        self.counters().subscriptions_refused.add(1);
        let Some(home) = self.sessions.at_mut(session) else { return };
        if std::mem::replace(&mut home.who().refusal_told, true) {
            return;
        }
        let (who, all) = (self.who_is(session), self.settings.subscriptions_per_session_max);
        let (count, levels) = (self.settings.wildcards_per_session_max, self.settings.wildcard_levels_max);
        let (bytes, deep) = (self.settings.topic_bytes_max, self.settings.topic_levels_max);
        let why = if self.rung >= Rung::Shed { "memory is short (memory_max), and " } else { "" };
        let filter = quoted(filter);
        self.log(LogLevel::Warning, || {
            format!(
                "A subscription to {filter} was refused to {who}: {why}a session may have {all} filters \
                 (subscriptions_per_session_max), {count} of them with wildcards (wildcards_per_session_max), of \
                 {levels} levels at most (wildcard_levels_max); a filter has at most {bytes} bytes \
                 (topic_bytes_max) and {deep} levels (topic_levels_max)."
            )
        });
    }

    /// Retained messages for what was just subscribed, as its retain handling says [MQTT-3.3.1-9,
    /// MQTT-3.3.1-10, MQTT-3.3.1-11]; none for shared subscriptions.
    pub(crate) fn read_retained(&mut self, session: SessionId, made: &[Made<'_>]) {
        for one in made.iter().filter(|m| m.filter.share_name().is_none()) {
            match one.subscription.options.retain_handling {
                RetainHandling::SendAtSubscribe => self.read_start(session, one.filter, one.subscription),
                RetainHandling::SendIfNew if !one.existed => {
                    self.read_start(session, one.filter, one.subscription);
                }
                RetainHandling::SendIfNew | RetainHandling::DoNotSend => {}
            }
        }
    }

    pub(crate) fn on_unsubscribe(&mut self, id: ConnId, packet: &Unsubscribe<'_>) -> Result<(), Fault> {
        let Some(session) = self.links.at(id).and_then(|l| l.session) else { return Ok(()) };
        if packet.filters.iter().count() > self.settings.filters_per_packet_max {
            return Err(fault::FILTERS_TOO_MANY);
        }
        let codes: Vec<u8> =
            packet.filters.iter().map(|f| self.unsubscribe_one(session, f.whole()).value()).collect();
        let v5 = self.links.at(id).is_some_and(|l| l.conn.version == Version::V5);
        let codes = if v5 { &codes[..] } else { &[] };
        let (packet_id, properties) = (packet.packet_id, Properties::EMPTY);
        self.send(id, &Packet::Unsuback(Unsuback { packet_id, properties, codes }));
        Ok(())
    }

    /// Removes one subscription; what is queued for it already is still delivered [MQTT-3.10.4-3].
    pub(crate) fn unsubscribe_one(&mut self, session: SessionId, whole: &str) -> ReasonCode {
        let known = self.sessions.at(session).is_some_and(|h| h.session.subscriptions.contains_key(whole));
        if !known {
            return ReasonCode::NO_SUBSCRIPTION_EXISTED;
        }
        self.change(session, Change::Unsubscribed { filter: whole.into() });
        let filter = TopicFilter::new(whole);
        if filter.is_ok_and(|f| f.has_wildcard()) {
            self.count_wildcards(session, |count| count - 1);
        }
        if filter.is_ok_and(|f| f.share_name().is_some()) {
            self.counters().subscriptions_shared.sub(1);
            self.leave(session, whole);
        } else {
            self.counters().subscriptions.sub(1);
            self.read_cancel(session, whole);
            self.tree.remove(whole, session.slot);
            self.interest.remove(whole);
        }
        ReasonCode::SUCCESS
    }
}

/// A bridge gets no message back that it sent, and keeps RETAIN.
fn bridge_options(options: SubscriptionOptions, bridge: bool) -> SubscriptionOptions {
    if bridge {
        SubscriptionOptions { no_local: true, retain_as_published: true, ..options }
    } else {
        options
    }
}

fn refusal(said: Said) -> Option<ReasonCode> {
    match said {
        Said::Allow => None,
        Said::Deny(_) | Said::Continue => Some(ReasonCode::NOT_AUTHORIZED),
        Said::Open | Said::Nothing => Some(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR),
    }
}

fn granted(qos: Qos) -> ReasonCode {
    match qos {
        Qos::AtMostOnce => ReasonCode::GRANTED_QOS_0,
        Qos::AtLeastOnce => ReasonCode::GRANTED_QOS_1,
        Qos::ExactlyOnce => ReasonCode::GRANTED_QOS_2,
    }
}

/// 3.1.1 knows one failure; 3.1 knows none and is granted the least.
fn suback_code(code: ReasonCode, version: Version) -> u8 {
    match version {
        Version::V5 => code.value(),
        Version::V311 if code.is_error() => 0x80,
        Version::V31 if code.is_error() => 0,
        _ => code.value(),
    }
}
