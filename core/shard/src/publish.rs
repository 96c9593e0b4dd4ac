//! PUBLISH of a client: what it may, then its message on the way, then its acknowledgement in order.

use ringmq_proto::session::{Change, Will};
use ringmq_proto::time::{Now, Wall};
use ringmq_wire::message::{Message, MessageParts, Payload};
use ringmq_wire::{
    Ack, Packet, PacketId, PacketKind, Properties, PropertiesBuffer, Property, Publish, Qos, ReasonCode,
    Sender, Version,
};

use crate::aggregate::{Origin, Tally};
use crate::authz::Question;
use crate::fault::{self, Fault};
use crate::input::ConnId;
use crate::limits::DenyPublish;
use crate::links::{Denial, Park, Said};
use crate::log::quoted;
use crate::pending::PendingAck;
use crate::publication::Publication;
use crate::receive::Step;
use crate::sessions::SessionId;
use crate::window::Window;
use crate::{LogLevel, Shard};

/// One line about denied publishes of a session within so many milliseconds.
const DENIALS_TOLD_EVERY: u64 = 10_000;

impl Shard {
    /// `raw` is the packet with its fixed header.
    pub(crate) fn on_publish(
        &mut self,
        now: Now,
        id: ConnId,
        publish: &Publish<'_>,
        raw: &[u8],
    ) -> Result<Step, Fault> {
        let Some(session) = self.links.at(id).and_then(|l| l.session) else { return Ok(Step::Done) };
        if publish.properties.is_empty() {
            return self.on_resolved(now, id, session, publish.topic.as_str(), publish, Some(raw));
        }
        // An alias counts also on a packet that was received before.
        let mut resolved = std::mem::take(&mut self.resolved);
        let step = self.resolve_topic(id, publish, &mut resolved).and_then(|is_resolved| {
            let topic = if is_resolved { resolved.as_str() } else { publish.topic.as_str() };
            self.on_resolved(now, id, session, topic, publish, (!is_resolved).then_some(raw))
        });
        self.resolved = resolved;
        step
    }

    /// A publish whose topic is known; `raw` is its packet, where that has the topic and no alias.
    fn on_resolved(
        &mut self,
        now: Now,
        id: ConnId,
        session: SessionId,
        topic: &str,
        publish: &Publish<'_>,
        raw: Option<&[u8]>,
    ) -> Result<Step, Fault> {
        if let Some(packet_id) = publish.packet_id {
            if self.is_known(id, session, packet_id, publish.qos) {
                return Ok(Step::Done);
            }
            self.check_window(id, session)?;
        }
        let offer = self.offer_to(id);
        if publish.qos as u8 > offer.maximum_qos {
            return Err(fault::QOS_NOT_SUPPORTED);
        }
        if publish.retain && !offer.retain_available {
            return Err(fault::RETAIN_NOT_SUPPORTED);
        }
        let said = self.judge_publish(now, id, session, topic, publish.retain);
        if said == Said::Allow && self.seeing.sees_messages() {
            return self.on_seen(now, id, session, topic, publish, raw);
        }
        let started = match said {
            Said::Allow => {
                self.may_publish(publish.qos) && self.start_publish(now, id, session, topic, publish, raw)
            }
            Said::Open => return Ok(Step::Wait(Park::Decision)),
            said => {
                self.refuse_publish(now, id, topic, publish, said)?;
                true
            }
        };
        Ok(self.settle_publish(id, publish, started))
    }

    /// The rest of [`Shard::on_resolved`] of a publish that may be, where a program sees messages.
    #[cold]
    fn on_seen(
        &mut self,
        now: Now,
        id: ConnId,
        session: SessionId,
        topic: &str,
        publish: &Publish<'_>,
        raw: Option<&[u8]>,
    ) -> Result<Step, Fault> {
        let said = self.show_publish(now, id, session, topic, publish);
        let rewritten = self.rewritten_of(id);
        let is_spoilt =
            said == Said::Allow && rewritten.as_deref().is_some_and(|new| self.is_spoilt(id, new));
        let started = match said {
            Said::Open => return Ok(Step::Wait(Park::Decision)),
            Said::Allow if is_spoilt => {
                self.refuse_publish(now, id, topic, publish, Said::Nothing)?;
                true
            }
            Said::Allow => {
                self.may_publish(publish.qos)
                    && match &rewritten {
                        None => self.start_publish(now, id, session, topic, publish, raw),
                        Some(new) => {
                            // Its payload does not lie in the packet at hand.
                            let whole = self.whole.take();
                            let publish = new.publish(publish);
                            let started = self.start_publish(now, id, session, &new.topic, &publish, None);
                            self.whole = whole;
                            started
                        }
                    }
            }
            said => {
                self.refuse_publish(now, id, topic, publish, said)?;
                true
            }
        };
        if started {
            self.take_rewritten(id);
        }
        Ok(self.settle_publish(id, publish, started))
    }

    /// What was said about a publish is not yes.
    #[cold]
    fn refuse_publish(
        &mut self,
        now: Now,
        id: ConnId,
        topic: &str,
        publish: &Publish<'_>,
        said: Said,
    ) -> Result<(), Fault> {
        let (reason, is_decided) = match said {
            Said::Nothing => (ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR, false),
            Said::Deny(Denial::Busy) => (ReasonCode::QUOTA_EXCEEDED, false),
            Said::Deny(Denial::Refused(reason)) => (refusal(reason), true),
            _ => (ReasonCode::NOT_AUTHORIZED, true),
        };
        if !is_decided {
            self.must_be_told(id, publish)?;
        }
        self.deny_publish(now, id, topic, publish, reason)
    }

    /// It was published or refused, or waits for room.
    #[inline(always)]
    fn settle_publish(&mut self, id: ConnId, publish: &Publish<'_>, started: bool) -> Step {
        if !started {
            self.seen_before(id);
            return Step::Wait(Park::Lane);
        }
        // Another may follow at once: the memory stays.
        self.links.at_mut(id).into_iter().for_each(|link| link.questions.clear());
        let counters = self.counters();
        counters.publish_received.add(1);
        counters.publish_bytes_received.add(publish.payload.len() as u64);
        Step::Done
    }

    /// A QoS 2 publish that came before: it is acknowledged again and not published again [MQTT-4.3.3-10].
    fn is_known(&mut self, id: ConnId, session: SessionId, packet_id: PacketId, qos: Qos) -> bool {
        let Some(home) = self.sessions.at(session).filter(|_| qos == Qos::ExactlyOnce) else { return false };
        if !home.session.incoming.contains(packet_id) {
            return false;
        }
        let routing = home.routing.as_ref().is_some_and(|routing| routing.0.contains(&packet_id));
        let Some(link) = self.links.at_mut(id) else { return true };
        let waits = link.pending.open(packet_id).is_some();
        if !waits {
            let reason = (!routing).then_some(ReasonCode::SUCCESS);
            link.pending.push(PendingAck { packet_id, qos, reason });
            self.send_ready_acks(id);
            self.close_window(id);
        }
        true
    }

    /// The client's window [MQTT-3.3.4-7]: a 5.0 client was told of it and breaks it by one more.
    fn check_window(&self, id: ConnId, session: SessionId) -> Result<(), Fault> {
        let (Some(link), Some(home)) = (self.links.at(id), self.sessions.at(session)) else { return Ok(()) };
        // At QoS 2, what has no PUBREC yet: it may have been released already by who does not wait for that.
        let unanswered = link.pending.len() - link.pending.at_least_once();
        let open = link.pending.at_least_once() + home.session.incoming.len().max(unanswered);
        if link.conn.version == Version::V5 && open >= usize::from(self.offer_to(id).receive_maximum.max(1)) {
            return Err(fault::RECEIVE_MAXIMUM);
        }
        Ok(())
    }

    /// Whether the packet has an alias, and then the topic behind it.
    fn resolve_topic(
        &mut self,
        id: ConnId,
        publish: &Publish<'_>,
        resolved: &mut String,
    ) -> Result<bool, Fault> {
        let Some(alias) = publish.properties.u16(Property::TopicAlias) else { return Ok(false) };
        let Some(link) = self.links.at_mut(id) else { return Ok(false) };
        let topic = link.conn.aliases_in.resolve(Some(alias), publish.topic.as_str())?;
        resolved.clear();
        resolved.push_str(topic);
        Ok(true)
    }

    #[inline(always)]
    fn judge_publish(&mut self, now: Now, id: ConnId, session: SessionId, topic: &str, retain: bool) -> Said {
        let levels_max = self.settings.topic_levels_max;
        // A topic has at most one level more than bytes, so most need no counting.
        let is_deep = topic.len() >= levels_max && topic.split('/').count() > levels_max;
        if is_deep || topic.len() > self.settings.topic_bytes_max || topic.starts_with("$SYS/") {
            return Said::Deny(Denial::NotAuthorized);
        }
        if self.allows_all {
            return Said::Allow;
        }
        self.ask_publish(now, id, session, topic, retain)
    }

    fn ask_publish(&mut self, now: Now, id: ConnId, session: SessionId, topic: &str, retain: bool) -> Said {
        if let Some(said) = self.said_before(id, 0) {
            return said;
        }
        let (Some(link), Some(home)) = (self.links.at(id), self.sessions.at(session)) else {
            return Said::Nothing;
        };
        let ticket = Self::next_ticket(&mut self.tickets);
        let (client_id, user_name) = (&*home.session.client_id, home.user_name());
        let (identity, listener) = (home.identity(), link.peer.listener);
        let question = Question::Publish { client_id, user_name, identity, listener, topic, retain };
        let answer = self.decider.decide(ticket, &question);
        self.note_answer(now, id, ticket, answer)
    }

    /// A publish that nobody has decided about, or that a program has spoilt. 5.0 is told; 3.x has no words for it, and an
    /// acknowledgement would say that it was taken, so its client is disconnected and sends it again.
    fn must_be_told(&self, id: ConnId, publish: &Publish<'_>) -> Result<(), Fault> {
        let v5 = self.links.at(id).is_some_and(|link| link.conn.version == Version::V5);
        if v5 || publish.packet_id.is_none() {
            return Ok(());
        }
        self.counters().publish_denied.add(1);
        Err(fault::PUBLISH_UNDECIDED)
    }

    /// A publish that may not be: 5.0 is told in the acknowledgement, 3.x only acknowledges
    /// [MQTT-3.3.5-2 of 3.1.1], or is disconnected where the setting says so, like 5.0 at QoS 0.
    fn deny_publish(
        &mut self,
        now: Now,
        id: ConnId,
        topic: &str,
        publish: &Publish<'_>,
        reason: ReasonCode,
    ) -> Result<(), Fault> {
        self.counters().publish_denied.add(1);
        self.log_denied_publish(now, id, topic);
        let v5 = self.links.at(id).is_some_and(|link| link.conn.version == Version::V5);
        let is_told = v5 && publish.packet_id.is_some();
        if self.settings.deny_publish == DenyPublish::Disconnect && !is_told {
            return Err(fault::PUBLISH_DENIED);
        }
        let Some(packet_id) = publish.packet_id else { return Ok(()) };
        if let Some(link) = self.links.at_mut(id) {
            let reason = Some(if v5 { reason } else { ReasonCode::SUCCESS });
            link.pending.push(PendingAck { packet_id, qos: publish.qos, reason });
            if !v5 && publish.qos == Qos::ExactlyOnce {
                // It is released like any other.
                if let Some(session) = link.session {
                    self.change(session, Change::IncomingReceived { packet_id });
                }
            }
        }
        self.send_ready_acks(id);
        self.close_window(id);
        Ok(())
    }

    /// One line for the first publish of a session that is denied, then one for all that came within ten seconds.
    fn log_denied_publish(&mut self, now: Now, id: ConnId, topic: &str) {
        let Some(link) = self.links.at(id) else { return };
        let address = link.peer.text();
        let Some(home) = link.session.and_then(|session| self.sessions.at_mut(session)) else { return };
        let denials = &mut home.who().denials;
        denials.count += 1;
        if denials.told.is_some_and(|told| now.mono.since(told) < DENIALS_TOLD_EVERY) {
            return;
        }
        let count = std::mem::take(&mut denials.count);
        denials.told = Some(now.mono);
        let user = home.user_name().map_or_else(|| "anonymous".to_owned(), |u| format!("user {}", quoted(u)));
        let (client_id, topic) = (quoted(&home.session.client_id), quoted(topic));
        self.log(LogLevel::Warning, || {
            format!("Publish denied for {user} as {client_id} from {address}: {count} message(s), the last to {topic}")
        });
    }

    /// Gives the message to its subscribers. False, with nothing done, when a lane has no room.
    fn start_publish(
        &mut self,
        now: Now,
        id: ConnId,
        session: SessionId,
        topic: &str,
        publish: &Publish<'_>,
        raw: Option<&[u8]>,
    ) -> bool {
        let mut publication = Publication::new(topic, publish);
        publication.publisher = self.uid_of(session);
        if let Some(whole) = &self.whole {
            publication.keep(whole.payload(publish.payload));
        }
        if publish.retain {
            publication.stamp = self.common.stamps.next();
        }
        if !publish.properties.is_empty() {
            let expiry = publish.properties.u32(Property::MessageExpiryInterval);
            publication.expires_at = expires_at(now.wall, expiry);
        }
        let started = match publish.packet_id {
            None => {
                if let Some((raw, link)) = raw.zip(self.links.at(id)) {
                    publication.in_packet(link.conn.version, raw);
                }
                let started = self.publish(now, &mut publication, None, self.settings.publish_hold);
                self.wait_for_match(id, &publication);
                started
            }
            Some(packet_id) => {
                let origin = Origin::Publisher { conn: id, session, packet_id, qos: publish.qos };
                self.start_with_ack(now, &mut publication, origin)
            }
        };
        publication.end(&mut self.messages);
        started
    }

    /// As [`Shard::start_publish`], with an acknowledgement to come.
    fn start_with_ack(&mut self, now: Now, publication: &mut Publication<'_>, origin: Origin) -> bool {
        let Origin::Publisher { conn: id, session, packet_id, qos } = origin else { return false };
        let aggregate = self.aggregate_open(origin);
        if !self.publish(now, publication, Some(aggregate), self.settings.publish_hold) {
            self.aggregates.remove(aggregate);
            return false;
        }
        if let Some(link) = self.links.at_mut(id) {
            link.pending.push(PendingAck { packet_id, qos, reason: None });
        }
        if qos == Qos::ExactlyOnce {
            self.change(session, Change::IncomingReceived { packet_id });
            if let Some(home) = self.sessions.at_mut(session) {
                home.routing.get_or_insert_default().0.push(packet_id);
            }
        }
        self.aggregate_answer(now, aggregate, Tally::default());
        self.close_window(id);
        true
    }

    /// Every receiving session has taken the message, or its policy was applied and counted.
    pub(crate) fn publish_finished(
        &mut self,
        now: Now,
        conn: ConnId,
        session: SessionId,
        packet_id: PacketId,
        qos: Qos,
        tally: &Tally,
    ) {
        let reason = tally.reason();
        let refused = tally.is_refused();
        if refused {
            self.counters().publish_refused.add(1);
        }
        if tally.unretained > 0 {
            let who = self.who_is(session);
            self.log(LogLevel::Warning, || {
                format!("A message was not retained, published by {who}: as many are kept as may be.")
            });
        }
        if qos == Qos::ExactlyOnce {
            if let Some(home) = self.sessions.at_mut(session) {
                home.routing.iter_mut().for_each(|routing| routing.0.retain(|other| *other != packet_id));
            }
            if refused || (reason.is_error() && self.ends_exchange(conn, session)) {
                self.change(session, Change::IncomingReleased { packet_id });
            }
        }
        let conn = self.conn_to_answer(conn, session, qos);
        let Some(link) = self.links.at_mut(conn) else { return };
        if refused && link.conn.version != Version::V5 {
            return self.fault(now, conn, fault::PUBLISH_REFUSED);
        }
        if let Some(p) = link.pending.open(packet_id) {
            p.reason = Some(reason);
        }
        self.send_ready_acks(conn);
    }

    /// Whether a PUBREC with an error ends the exchange: 3.x has no such PUBREC, and goes on with PUBREL
    /// unless it is closed.
    fn ends_exchange(&self, conn: ConnId, session: SessionId) -> bool {
        let conn = self.conn_to_answer(conn, session, Qos::ExactlyOnce);
        self.links.at(conn).is_none_or(|link| link.conn.version == Version::V5)
    }

    /// A QoS 2 publish may have been sent again on a new connection of the session; it is answered there.
    fn conn_to_answer(&self, conn: ConnId, session: SessionId, qos: Qos) -> ConnId {
        if self.links.at(conn).is_some_and(|l| l.session == Some(session)) || qos != Qos::ExactlyOnce {
            return conn;
        }
        match self.sessions.at(session).map(|home| home.attached) {
            Some(crate::sessions::Attached::Link(now)) => now,
            _ => conn,
        }
    }

    /// Acknowledgements leave in the order of their publishes [MQTT-4.6.0-2, MQTT-4.6.0-3].
    pub(crate) fn send_ready_acks(&mut self, id: ConnId) {
        while let Some(link) = self.links.at_mut(id) {
            let Some(reason) = link.pending.front().and_then(|p| p.reason) else {
                if link.window == Window::Full {
                    self.open_window(id);
                }
                return;
            };
            let Some(pending) = link.pending.pop() else { return };
            if !link.conn.is_open() {
                continue;
            }
            let v5 = link.conn.version == Version::V5;
            let reason = if v5 { reason } else { ReasonCode::SUCCESS };
            let mut buffer = PropertiesBuffer::new();
            let properties = if reason.is_error() {
                self.explain(id, &mut buffer, reason.name())
            } else {
                Properties::EMPTY
            };
            let ack = Ack { packet_id: pending.packet_id, reason, properties };
            let packet =
                if pending.qos == Qos::AtLeastOnce { Packet::Puback(ack) } else { Packet::Pubrec(ack) };
            self.send(id, &packet);
        }
    }

    /// Publishes the will of a session, if it has one, and forgets it [MQTT-3.1.2-10].
    pub(crate) fn publish_will(&mut self, now: Now, id: SessionId) {
        let Some(will) = self.sessions.at(id).and_then(|home| home.session.will.clone()) else { return };
        self.change(id, Change::WillCleared);
        self.publish_will_now(now, &will);
    }

    /// Publishes a will's message, whose expiry begins now.
    pub(crate) fn publish_will_now(&mut self, now: Now, will: &Will) {
        let retain = will.message.retain();
        let message = Message::new(MessageParts {
            topic: will.message.topic(),
            qos: will.message.qos(),
            retain,
            properties: will.message.properties(),
            payload: Payload::Owned(will.message.payload_bytes()),
            expires_at: expires_at(now.wall, will.expiry_seconds),
            publisher: will.message.publisher(),
            stamp: if retain { self.common.stamps.next() } else { 0 },
        });
        let hold = self.settings.publish_hold;
        self.publish_or_defer(now, self.messages.entered(message), Origin::Nobody, hold);
    }
}

/// The reason of a refusal, as far as an answer to PUBLISH may have it.
fn refusal(reason: ReasonCode) -> ReasonCode {
    let may_have = reason.is_error() && reason.is_allowed(PacketKind::Puback, Sender::Server);
    if may_have { reason } else { ReasonCode::NOT_AUTHORIZED }
}

/// The moment a message expires [MQTT-3.3.2-5].
pub fn expires_at(now: Wall, seconds: Option<u32>) -> Option<u64> {
    seconds.map(|s| now.plus_seconds(u64::from(s)).0)
}
