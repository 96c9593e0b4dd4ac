//! What a client does with what it receives, and the rules that it can check on the spot: packet ids, receive
//! maximum, the order of acknowledgements, repetitions, session present, and the broker's last word.

use ringmq_wire::Version;

use super::actor::{Actor, Phase, Request, number_of};
use super::history::{Delivered, Fate, History, NEVER};
use crate::harness::{AckKind, Seen, SeenConnack, SeenPublish, World};

/// 0x8E Session taken over.
const TAKEN_OVER: u8 = 0x8e;

impl Actor {
    /// Handles all packets that have arrived; true when there was one.
    pub fn pump(&mut self, world: &mut World, history: &mut History) -> bool {
        let mut any = false;
        for index in 0..self.links.len() {
            while let Some(seen) = world.next_seen(self.links[index].net) {
                any = true;
                history.tick();
                self.handle(world, history, index, seen);
            }
            if world.nets[self.links[index].net.0].closed() {
                self.notice_close(world, history, index);
            }
        }
        any
    }

    fn handle(&mut self, world: &mut World, history: &mut History, index: usize, seen: Seen) {
        if let Seen::Disconnect(reason) = seen {
            assert_eq!(self.version, Version::V5, "DISCONNECT from a broker exists in 5.0 only");
            assert!(self.links[index].dismissed.is_none(), "two DISCONNECTs");
            self.links[index].dismissed = Some(reason);
            return;
        }
        assert!(self.links[index].dismissed.is_none(), "{}: {seen:?} after DISCONNECT", self.id);
        if self.links[index].phase == Phase::Left {
            return;
        }
        if let Seen::Connack(connack) = seen {
            self.admitted(world, history, index, &connack);
            return;
        }
        assert_eq!(self.links[index].phase, Phase::Up, "{seen:?} before CONNACK [MQTT-3.2.0-1]");
        match seen {
            Seen::Publish(publish) => self.received(history, index, &publish),
            Seen::Ack(AckKind::Pubrel, id, _) => {
                self.holding.remove(&id);
                self.links[index].replies.push_back((AckKind::Pubcomp, id));
            }
            Seen::Ack(kind, id, reason) => self.acknowledged(world, history, index, (kind, id, reason)),
            Seen::Suback(id, codes) => self.subscribed(history, index, id, &codes),
            Seen::Unsuback(id, codes) => self.unsubscribed(history, index, id, &codes),
            Seen::Pingresp => {}
            other => panic!("{}: unexpected {other:?}", self.id),
        }
    }

    /// A connection that the broker closed: only for a reason that the client gave.
    fn notice_close(&mut self, world: &World, history: &mut History, index: usize) {
        let link = &self.links[index];
        if link.phase == Phase::Left {
            return;
        }
        let refused = world.common.settings.queue_policy == ringmq_shard::QueuePolicy::Refuse;
        let allowed = refused && self.version != Version::V5;
        assert!(
            allowed,
            "{}: the broker closed a connection that did nothing wrong: phase {:?}, DISCONNECT {:?}; log {:?}",
            self.id,
            link.phase,
            link.dismissed,
            world.logs.iter().rev().take(3).collect::<Vec<_>>()
        );
        self.cut_off(history, index);
    }

    /// The broker closed a connection, some time ago.
    fn cut_off(&mut self, history: &mut History, index: usize) {
        self.leave(history, index);
        let link = &self.links[index];
        if let Some(will) = link.will {
            history.published[will].sent = link.connect_sent;
        }
    }

    fn admitted(&mut self, world: &mut World, history: &mut History, index: usize, connack: &SeenConnack) {
        let now = history.tick();
        assert_eq!(connack.reason, 0, "{} was refused", self.id);
        assert_eq!(self.links[index].phase, Phase::Waiting, "two CONNACKs");
        let present = self.session_goes_on(history, index, connack.session_present);
        let session = match (self.links[index].session, present) {
            (Some(session), _) => session,
            (None, true) => self.newest_session(history),
            (None, false) => self.open_session(history, self.links[index].persists, true),
        };
        for older in 0..history.sessions.len() {
            let mine = history.sessions[older].actor == self.index;
            if mine && older != session && (!present || history.sessions[older].over) {
                history.session_ended(older, now);
            }
        }
        history.sessions[session].confirmed = true;
        history.sessions[session].persists = self.links[index].persists;
        let link = &mut self.links[index];
        link.session = Some(session);
        link.phase = Phase::Up;
        link.up_since = now;
        link.resumed = present;
        if let Some(takeover) = link.takeover {
            history.takeovers[takeover].acked = now;
            self.links[index - 1].taken = true;
        }
        if present {
            self.resend(world, history, index);
        } else if !self.links[index].clean {
            self.forget();
        }
    }

    fn newest_session(&self, history: &History) -> usize {
        let mine = |session: &usize| {
            let record = &history.sessions[*session];
            record.actor == self.index && record.ended == NEVER && !record.over
        };
        (0..history.sessions.len()).rev().find(mine).expect("session present was checked")
    }

    /// Whether the session goes on, checked against what the client can know [MQTT-3.2.2-2] [MQTT-3.2.2-3]
    /// [MQTT-3.1.2-4] to [-6]. When it cannot know which session it has, it forgets what it holds; a
    /// 3.1 client is never told.
    fn session_goes_on(&mut self, history: &mut History, index: usize, told: bool) -> bool {
        let clean = self.links[index].clean;
        let live =
            || history.sessions.iter().filter(|s| s.actor == self.index && s.ended == NEVER && !s.over);
        let may = !clean && live().next().is_some();
        let must = !clean && live().any(|s| s.confirmed && s.persists && s.may_end == NEVER);
        if self.version == Version::V31 {
            assert!(!told, "3.1 has no session present");
        } else {
            assert!(!told || !clean, "{}: session present after a clean start [MQTT-3.2.2-2]", self.id);
            assert!(!told || may, "{}: session present, but no session can have lived", self.id);
            assert!(told || !must, "{}: the session is gone [MQTT-3.1.2-5]", self.id);
        }
        if may && !must {
            self.forget();
        }
        if self.version == Version::V31 { may } else { told }
    }

    fn received(&mut self, history: &mut History, index: usize, publish: &SeenPublish) {
        let now = history.tick();
        let fresh = match publish.qos {
            0 => true,
            1 => self.hold_one(index, publish),
            _ => self.hold_two(index, publish),
        };
        let held = self.links[index].held.len();
        let maximum = self.links[index].receive_maximum;
        assert!(
            held <= maximum,
            "{}: {held} unacknowledged, receive maximum {maximum} [MQTT-3.3.4-9]",
            self.id
        );
        if publish.dup {
            assert!(self.links[index].resumed, "{}: DUP on a new session's first connection", self.id);
            assert!(publish.qos > 0, "DUP at QoS 0 [MQTT-3.3.1-2]");
        }
        if !fresh || publish.payload.is_empty() {
            return;
        }
        let number = number_of(&publish.payload).expect("a payload of this test");
        let record = history.published.get(number).expect("a message that was published");
        let topic = if publish.topic.is_empty() { record.topic } else { publish.topic.as_str() };
        assert_eq!(topic, record.topic, "the topic of message {number} changed on the way");
        let order = (record.actor, record.topic, record.qos, publish.qos);
        // Shared subscriptions hand on what a lost member had, and so out of order.
        let plain = record.sends == 1 && !record.will && !publish.retain && !topic.starts_with("s/");
        if plain && let Some(last) = self.links[index].taken_order.insert(order, record.seq) {
            let seq = record.seq;
            assert!(
                last < seq,
                "{}: message {number} came after a later one of its publisher [MQTT-4.6.0-5]",
                self.id
            );
        }
        history.delivered.push(Delivered {
            actor: self.index,
            epoch: self.epoch,
            session: self.links[index].session.expect("an open connection has a session"),
            at: now,
            publish: number,
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            identifiers: publish.subscription_ids.clone(),
        });
    }

    fn hold_one(&mut self, index: usize, publish: &SeenPublish) -> bool {
        let new = self.links[index].held.insert(publish.id);
        assert!(new, "{}: packet id {} is in use [MQTT-2.2.1-4]", self.id, publish.id);
        self.links[index].replies.push_back((AckKind::Puback, publish.id));
        true
    }

    fn hold_two(&mut self, index: usize, publish: &SeenPublish) -> bool {
        self.links[index].replies.push_back((AckKind::Pubrec, publish.id));
        let number = number_of(&publish.payload).unwrap_or(usize::MAX);
        if let Some(held) = self.holding.get(&publish.id) {
            assert!(publish.dup, "{}: packet id {} is in use [MQTT-2.2.1-4]", self.id, publish.id);
            assert_eq!(*held, number, "{}: another message under a held packet id", self.id);
            self.links[index].held.insert(publish.id);
            return false;
        }
        let new = self.links[index].held.insert(publish.id);
        assert!(new, "{}: packet id {} is in use [MQTT-2.2.1-4]", self.id, publish.id);
        self.holding.insert(publish.id, number);
        true
    }

    fn acknowledged(
        &mut self,
        world: &mut World,
        history: &mut History,
        index: usize,
        ack: (AckKind, u16, u8),
    ) {
        let (kind, id, reason) = ack;
        let owed = self.links[index].owed.entry(kind).or_default().pop_front();
        assert_eq!(owed, Some(id), "{}: {kind:?} out of order [MQTT-4.6.0-2] [MQTT-4.6.0-3]", self.id);
        let position =
            self.out.iter().position(|out| out.id == id).expect("an acknowledgement of what is out");
        let publish = self.out[position].publish;
        if kind == AckKind::Pubcomp {
            assert!(reason == 0 || reason == 0x92, "PUBCOMP with {reason:#x}");
            self.out.remove(position);
            return;
        }
        let now = history.tick();
        let record = &mut history.published[publish];
        record.acked = record.acked.min(now);
        record.reason = reason;
        record.fate = match (reason < 0x80, record.retain && record.sends > 1) {
            (true, _) => Fate::Accepted,
            // An earlier sending may have been accepted, and be retained.
            (false, true) => Fate::Maybe,
            (false, false) => Fate::Never,
        };
        if kind == AckKind::Pubrec && reason < 0x80 {
            self.out[position].released = true;
            self.send_release(world, index, id);
        } else {
            self.out.remove(position);
        }
    }

    fn subscribed(&mut self, history: &mut History, index: usize, id: u16, codes: &[u8]) {
        let now = history.tick();
        let Some(Request::Subscribe(numbers)) = self.links[index].requests.remove(&id) else {
            panic!("{}: SUBACK {id} answers nothing", self.id);
        };
        assert_eq!(codes.len(), numbers.len(), "one code for each filter [MQTT-3.8.4-6]");
        for (&number, &code) in numbers.iter().zip(codes) {
            assert_eq!(code, history.subscribed[number].qos, "the QoS that was asked for");
            history.subscribed[number].acked = now;
            for sub in &mut history.subscribed {
                if sub.replaced_by == Some(number) {
                    sub.ended = sub.ended.min(now);
                }
            }
        }
    }

    fn unsubscribed(&mut self, history: &mut History, index: usize, id: u16, codes: &[u8]) {
        let now = history.tick();
        let Some(Request::Unsubscribe(touched, number)) = self.links[index].requests.remove(&id) else {
            panic!("{}: UNSUBACK {id} answers nothing", self.id);
        };
        if self.version == Version::V5 {
            assert_eq!(codes.len(), 1, "one code for each filter [MQTT-3.11.3-1]");
            let sure = touched.iter().any(|&sub| history.subscribed[sub].ended == NEVER);
            assert!(codes[0] == 0x00 || !sure || codes[0] == 0x11, "UNSUBACK with {:#x}", codes[0]);
        }
        history.unsubscribed[number].acked = now;
        for sub in touched {
            history.subscribed[sub].ended = history.subscribed[sub].ended.min(now);
        }
    }

    /// The broker's last word to connections that were taken over [MQTT-3.1.4-3].
    pub fn check_last_words(&self, world: &World) {
        for link in &self.links {
            if link.taken && !link.hung_up {
                assert!(
                    world.nets[link.net.0].closed(),
                    "{}: taken over, but not closed [MQTT-3.1.4-3]",
                    self.id
                );
                if self.version == Version::V5 {
                    assert_eq!(link.dismissed, Some(TAKEN_OVER), "{}: the last word at a takeover", self.id);
                }
            }
        }
    }
}
