//! One ClientID and the program behind it: it connects, subscribes, publishes, answers, breaks off and comes
//! back, and writes down what it did. Rules that one client can check by itself are checked in
//! [`super::handle`]; what needs the whole history is the judge's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringmq_shard::QueuePolicy;
use ringmq_wire::{Property, Qos, ReasonCode, RetainHandling, SubscriptionOptions, Version};

use super::history::{Fate, History, NEVER, Published, Session, Subscribed, Takeover, Time, Unsubscribed};
use crate::harness::packets::{self, AckKind};
use crate::harness::{Hello, NetId, Post, World};

/// Topics of plain subscriptions.
pub const TOPICS: [&str; 6] = ["a", "a/b", "a/b/c", "b/x", "$x/a", "c"];
/// Topics of shared subscriptions: no plain filter matches them, so that copies can be told apart.
pub const SHARED_TOPICS: [&str; 2] = ["s/1/z", "s/2/z"];
/// Plain filters.
pub const FILTERS: [&str; 8] = ["a", "a/b", "a/#", "+/b", "b/+", "+/a", "$x/#", "+"];
/// Shared filters, whole and without their group.
pub const SHARED_FILTERS: [(&str, &str); 2] = [("$share/g/s/#", "s/#"), ("$share/h/s/1/+", "s/1/+")];
/// Messages a client has unacknowledged at most.
const OUT_MAX: usize = 5;

/// What a client knows of one of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// CONNECT is sent.
    Waiting,
    /// CONNACK is seen.
    Up,
    /// The client is done with it; it only looks for the broker's last word.
    Left,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub enum Request {
    Subscribe(Vec<usize>),
    Unsubscribe(Vec<usize>, usize),
}

/// One connection of a client.
#[derive(Debug)]
pub struct Link {
    pub net: NetId,
    pub phase: Phase,
    pub session: Option<usize>,
    pub clean: bool,
    pub persists: bool,
    pub resumed: bool,
    pub connect_sent: Time,
    pub up_since: Time,
    pub receive_maximum: usize,
    pub will: Option<usize>,
    /// Index of the takeover that this connection's CONNECT began.
    pub takeover: Option<usize>,
    /// It was up, and a CONNECT of the same ClientID that was accepted took its place.
    pub taken: bool,
    /// Its CONNECT, given up, has come to its end.
    pub laid: bool,
    /// The client closed it.
    pub hung_up: bool,
    /// The client said goodbye.
    pub goodbye: bool,
    pub requests: BTreeMap<u16, Request>,
    /// Acknowledgements owed to the broker, in order.
    pub replies: VecDeque<(AckKind, u16)>,
    /// Acknowledgements that the broker owes, in order.
    pub owed: BTreeMap<AckKind, VecDeque<u16>>,
    /// Ids of messages received on this connection and not yet acknowledged for good.
    pub held: BTreeSet<u16>,
    /// Reason of the broker's DISCONNECT.
    pub dismissed: Option<u8>,
    /// Messages taken so far, for the order of repetitions.
    pub taken_order: BTreeMap<(usize, &'static str, u8, u8), u64>,
}

/// A QoS 1 or 2 message on its way to the broker.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    pub id: u16,
    pub publish: usize,
    pub released: bool,
}

/// One ClientID.
#[derive(Debug)]
pub struct Actor {
    pub index: usize,
    pub id: String,
    pub version: Version,
    /// Oldest first; the last one is current.
    pub links: Vec<Link>,
    pub out: Vec<Outgoing>,
    /// QoS 2 messages that the client holds until PUBREL.
    pub holding: BTreeMap<u16, usize>,
    pub epoch: u32,
    pub inflight_max: usize,
    next_id: u16,
    next_seq: u64,
    next_identifier: u32,
}

impl Actor {
    pub fn new(index: usize, version: Version, inflight_max: usize) -> Self {
        Self {
            index,
            id: format!("client-{index}"),
            version,
            links: Vec::new(),
            out: Vec::new(),
            holding: BTreeMap::new(),
            epoch: 0,
            inflight_max,
            next_id: 0,
            next_seq: 0,
            next_identifier: 0,
        }
    }

    /// The connection in use.
    pub fn current(&self) -> Option<usize> {
        let last = self.links.len().checked_sub(1)?;
        (self.links[last].phase != Phase::Left).then_some(last)
    }

    fn fresh_id(&mut self) -> u16 {
        self.next_id = self.next_id % 60_000 + 1;
        self.next_id
    }

    /// Opens a connection; one that is in use is left to the broker to take over.
    pub fn connect(&mut self, world: &mut World, history: &mut History, clean: bool, persists: bool) {
        self.lay_ghosts(world);
        let now = history.tick();
        let old = self.current();
        let was_up = old.is_some_and(|old| self.links[old].phase == Phase::Up);
        if let Some(old) = old {
            self.leave(history, old);
        }
        self.doubt_goodbyes(world, history);
        // A 3.x session persists exactly when it is not clean.
        let persists = if self.version == Version::V5 { persists } else { !clean };
        let session = clean.then(|| self.start_clean(history, persists, now));
        let receive_maximum = self.inflight_max.min(world.random.between(1, 6));
        let mut hello = Hello::new(self.version, &self.id).clean(clean);
        if self.version == Version::V5 {
            hello = hello.receive_maximum(receive_maximum as u16);
            hello = if persists { hello.expiry(u32::MAX) } else { hello };
            if world.random.chance(30) {
                hello.properties.push_u16(Property::TopicAliasMaximum, 3);
            }
        }
        let will = world.random.chance(30).then(|| self.make_will(world, history, &mut hello));
        let shard = world.random.below(world.shard_count());
        let net = world.dial(shard, self.version);
        world.send(net, &hello.encode());
        let takeover = was_up.then(|| {
            history.takeovers.push(Takeover { actor: self.index, sent: now, acked: NEVER });
            history.takeovers.len() - 1
        });
        let receive_maximum = if self.version == Version::V5 { receive_maximum } else { self.inflight_max };
        self.links.push(Link {
            net,
            phase: Phase::Waiting,
            session,
            clean,
            persists,
            resumed: false,
            connect_sent: now,
            up_since: NEVER,
            receive_maximum,
            will,
            takeover,
            taken: false,
            laid: false,
            hung_up: false,
            goodbye: false,
            requests: BTreeMap::new(),
            replies: VecDeque::new(),
            owed: BTreeMap::new(),
            held: BTreeSet::new(),
            dismissed: None,
            taken_order: BTreeMap::new(),
        });
    }

    /// A CONNECT that was given up may still be on its way, and would take the new connection over: lawful, but
    /// then nobody could say which came first. It is let through before. The directed tests have that race.
    fn lay_ghosts(&mut self, world: &mut World) {
        let ghosts = self.links.iter_mut().filter(|link| link.up_since == NEVER && !link.laid);
        if ghosts.map(|link| link.laid = true).count() > 0 {
            world.run_answering();
        }
    }

    /// A goodbye that the broker has not read when the next CONNECT comes may be read, or never. Where sockets
    /// do not move, it may still be on its way when its socket is closed. A broker that refuses a publish closes a
    /// connection of 3.x without reading on.
    fn doubt_goodbyes(&self, world: &World, history: &mut History) {
        let settings = &world.common.settings;
        let reads_on = self.version == Version::V5 || settings.queue_policy != QueuePolicy::Refuse;
        let read = |link: &Link| world.nets[link.net.0].closed() && settings.moving && reads_on;
        for link in self.links.iter().filter(|link| link.goodbye && !read(link)) {
            if let Some(will) = link.will {
                history.published[will].fate = Fate::Maybe;
            }
        }
    }

    /// A client that asks for a clean start forgets what it has.
    fn start_clean(&mut self, history: &mut History, persists: bool, now: Time) -> usize {
        self.forget();
        for session in 0..history.sessions.len() {
            if history.sessions[session].actor == self.index {
                history.session_may_end(session, now);
            }
        }
        self.open_session(history, persists, false)
    }

    /// The client forgets what it has of a session.
    pub fn forget(&mut self) {
        self.out.clear();
        self.holding.clear();
        self.epoch += 1;
    }

    /// Writes down a session that begins.
    pub fn open_session(&mut self, history: &mut History, persists: bool, confirmed: bool) -> usize {
        history.sessions.push(Session {
            actor: self.index,
            confirmed,
            persists,
            may_end: NEVER,
            ended: NEVER,
            over: false,
        });
        history.sessions.len() - 1
    }

    fn make_will(&mut self, world: &mut World, history: &mut History, hello: &mut Hello) -> usize {
        let topic = world.random.pick(&TOPICS);
        let qos = world.random.below(3) as u8;
        let retain = world.random.chance(20);
        let index = history.published.len();
        let payload = payload_of(index, 0);
        let quality = Qos::from_u8(qos).expect("0 to 2");
        *hello = hello.clone().will(topic, &payload, quality, retain);
        self.next_seq += 1;
        history.published.push(Published {
            actor: self.index,
            seq: self.next_seq,
            topic,
            qos,
            retain,
            empty: false,
            will: true,
            // Not before its connection ends; set then.
            sent: NEVER,
            sends: 1,
            acked: NEVER,
            reason: 0,
            fate: Fate::Never,
        });
        index
    }

    /// The client is done with a connection; whether the broker knows is another matter.
    pub fn leave(&mut self, history: &mut History, index: usize) {
        let now = history.tick();
        history.links_lost += 1;
        let link = &mut self.links[index];
        let was_up = link.phase == Phase::Up;
        link.phase = Phase::Left;
        if let Some(will) = link.will {
            let will = &mut history.published[will];
            // A broker that refuses closes connections of 3.x, perhaps long before their clients look.
            will.sent = if self.version == Version::V5 { now } else { link.connect_sent };
            will.fate = match (was_up, link.goodbye) {
                (true, true) => Fate::Never,
                (true, false) => Fate::Accepted,
                (false, _) => Fate::Maybe,
            };
        }
        // Its CONNECT may have begun a session that nobody was told of.
        let (clean, persists) = (link.clean, link.persists);
        let mine = |s: &Session| s.actor == self.index && s.ended == NEVER && !s.over;
        if !was_up && !clean && persists && !history.sessions.iter().any(mine) {
            self.open_session(history, persists, false);
        }
        let link = &self.links[index];
        let mut touched: Vec<usize> = link.session.into_iter().collect();
        if !was_up && !link.clean && !link.persists {
            let mine = |session: &usize| history.sessions[*session].actor == self.index;
            touched = (0..history.sessions.len()).filter(mine).collect();
            for &session in &touched {
                history.session_may_end(session, link.connect_sent);
            }
        } else if !link.persists {
            for &session in &touched {
                history.session_may_end(session, now);
                history.sessions[session].over = true;
            }
            self.forget();
        }
    }

    /// Breaks the connection off; `lost` bytes of what was written last never arrive.
    pub fn hang_up(&mut self, world: &mut World, history: &mut History, lost: usize) {
        let Some(index) = self.current() else { return };
        self.leave(history, index);
        self.links[index].hung_up = true;
        world.hang_up(self.links[index].net, lost);
    }

    /// Says goodbye and closes.
    pub fn say_goodbye(&mut self, world: &mut World, history: &mut History) {
        let Some(index) = self.current() else { return };
        let net = self.links[index].net;
        world.send(net, &packets::disconnect(self.version, ReasonCode::NORMAL_DISCONNECTION));
        self.links[index].goodbye = true;
        self.leave(history, index);
        self.links[index].hung_up = true;
        world.hang_up(net, 0);
    }

    /// Publishes to one of the topics, when the window has room.
    pub fn publish(&mut self, world: &mut World, history: &mut History) {
        let Some(index) = self.current() else { return };
        let qos = world.random.below(3) as u8;
        if qos > 0 && self.out.len() >= OUT_MAX {
            return;
        }
        let shared = world.random.chance(25);
        let topic = if shared { world.random.pick(&SHARED_TOPICS) } else { world.random.pick(&TOPICS) };
        let retain = !shared && world.random.chance(35);
        let empty = retain && world.random.chance(20);
        let id = if qos > 0 { self.fresh_id() } else { 0 };
        let number = history.published.len();
        let padding =
            if world.random.chance(8) { world.random.between(2_000, 3_000) } else { world.random.below(40) };
        let payload = if empty { Vec::new() } else { payload_of(number, padding) };
        let now = history.tick();
        self.next_seq += 1;
        history.published.push(Published {
            actor: self.index,
            seq: self.next_seq,
            topic,
            qos,
            retain,
            empty,
            will: false,
            sent: now,
            sends: 1,
            acked: NEVER,
            reason: 0,
            fate: Fate::Maybe,
        });
        let post = Post { retain, ..Post::new(topic, &payload, qos, id) };
        self.send_publish(world, index, &post, number);
    }

    fn send_publish(&mut self, world: &mut World, link: usize, post: &Post, number: usize) {
        world.send(self.links[link].net, &post.encode(self.version));
        match post.qos.value() {
            1 => self.links[link].owed.entry(AckKind::Puback).or_default().push_back(post.id),
            2 => self.links[link].owed.entry(AckKind::Pubrec).or_default().push_back(post.id),
            _ => return,
        }
        self.out.push(Outgoing { id: post.id, publish: number, released: false });
    }

    /// Sends again what the broker has not acknowledged, in the old order [MQTT-4.4.0-1] [MQTT-4.6.0-1].
    pub fn resend(&mut self, world: &mut World, history: &mut History, link: usize) {
        for outgoing in std::mem::take(&mut self.out) {
            if outgoing.released {
                self.send_release(world, link, outgoing.id);
                self.out.push(outgoing);
                continue;
            }
            let publish = &mut history.published[outgoing.publish];
            publish.sends += 1;
            let payload = if publish.empty { Vec::new() } else { payload_of(outgoing.publish, 0) };
            let post = Post {
                retain: publish.retain,
                ..Post::new(publish.topic, payload, publish.qos, outgoing.id)
            };
            self.send_publish(world, link, &post.again(), outgoing.publish);
        }
    }

    /// Sends PUBREL.
    pub fn send_release(&mut self, world: &mut World, link: usize, id: u16) {
        let bytes = packets::ack(self.version, AckKind::Pubrel, id, ReasonCode::SUCCESS);
        world.send(self.links[link].net, &bytes);
        self.links[link].owed.entry(AckKind::Pubcomp).or_default().push_back(id);
    }

    /// Subscribes to one to three filters.
    pub fn subscribe(&mut self, world: &mut World, history: &mut History) {
        let Some(index) = self.current() else { return };
        let Some(session) = self.links[index].session else { return };
        let mut wanted: Vec<(&'static str, &'static str)> = Vec::new();
        for _ in 0..world.random.between(1, 3) {
            let plain = world.random.pick(&FILTERS);
            let pair =
                if world.random.chance(25) { world.random.pick(&SHARED_FILTERS) } else { (plain, plain) };
            if !wanted.contains(&pair) {
                wanted.push(pair);
            }
        }
        let shared = wanted.iter().any(|(whole, filter)| whole != filter);
        let no_local = self.version == Version::V5 && !shared && world.random.chance(20);
        let handling = match (self.version, world.random.below(4)) {
            (Version::V5, 0) => RetainHandling::DoNotSend,
            _ => RetainHandling::SendAtSubscribe,
        };
        let qos = world.random.below(3) as u8;
        let options = SubscriptionOptions {
            qos: Qos::from_u8(qos).expect("0 to 2"),
            no_local,
            retain_as_published: false,
            retain_handling: handling,
        };
        let identifier = (self.version == Version::V5 && world.random.chance(60)).then(|| {
            self.next_identifier += 1;
            self.next_identifier
        });
        let id = self.fresh_id();
        let sent = history.tick();
        let first = history.subscribed.len();
        for &(whole, filter) in &wanted {
            let number = history.subscribed.len();
            self.replace(history, session, whole, number, sent);
            let retained = handling == RetainHandling::SendAtSubscribe && whole == filter;
            history.subscribed.push(Subscribed {
                actor: self.index,
                session,
                whole,
                filter,
                qos,
                no_local,
                retained,
                identifier,
                sent,
                acked: NEVER,
                may_end: NEVER,
                ended: NEVER,
                replaced_by: None,
            });
        }
        let filters: Vec<(&str, SubscriptionOptions)> =
            wanted.iter().map(|(whole, _)| (*whole, options)).collect();
        world.send(self.links[index].net, &packets::subscribe(self.version, id, &filters, identifier));
        let numbers = (first..history.subscribed.len()).collect();
        self.links[index].requests.insert(id, Request::Subscribe(numbers));
    }

    /// A subscription to the same filter takes the old one's place [MQTT-3.8.4-3].
    fn replace(&self, history: &mut History, session: usize, whole: &str, by: usize, at: Time) {
        for sub in &mut history.subscribed {
            let standing = sub.session == session && sub.whole == whole && sub.may_end == NEVER;
            if standing && sub.replaced_by.is_none() {
                sub.may_end = at;
                sub.replaced_by = Some(by);
            }
        }
    }

    /// Unsubscribes from one filter, which it may not have.
    pub fn unsubscribe(&mut self, world: &mut World, history: &mut History) {
        let Some(index) = self.current() else { return };
        let Some(session) = self.links[index].session else { return };
        let plain = world.random.pick(&FILTERS);
        let shared = world.random.pick(&SHARED_FILTERS);
        let (whole, filter) = if world.random.chance(20) { shared } else { (plain, plain) };
        let id = self.fresh_id();
        let sent = history.tick();
        let mut touched = Vec::new();
        for (number, sub) in history.subscribed.iter_mut().enumerate() {
            if sub.session == session && sub.whole == whole && sub.ended == NEVER {
                sub.may_end = sub.may_end.min(sent);
                touched.push(number);
            }
        }
        let number = history.unsubscribed.len();
        history.unsubscribed.push(Unsubscribed { filter, sent, acked: NEVER });
        world.send(self.links[index].net, &packets::unsubscribe(self.version, id, &[whole]));
        self.links[index].requests.insert(id, Request::Unsubscribe(touched, number));
    }

    /// Sends the oldest acknowledgement that is owed.
    pub fn reply(&mut self, world: &mut World) -> bool {
        let Some(index) = self.current() else { return false };
        let Some((kind, id)) = self.links[index].replies.pop_front() else { return false };
        if matches!(kind, AckKind::Puback | AckKind::Pubcomp) {
            self.links[index].held.remove(&id);
        }
        let bytes = packets::ack(self.version, kind, id, ReasonCode::SUCCESS);
        world.send(self.links[index].net, &bytes);
        true
    }

    /// Asks whether anybody is there.
    pub fn ping(&mut self, world: &mut World) {
        let Some(index) = self.current() else { return };
        world.send(self.links[index].net, &packets::pingreq(self.version));
    }
}

/// What the message with this number carries: its number, and padding.
pub fn payload_of(number: usize, padding: usize) -> Vec<u8> {
    let mut payload = format!("{number};").into_bytes();
    payload.resize(payload.len() + padding, b'.');
    payload
}

/// Which message a payload names.
pub fn number_of(payload: &[u8]) -> Option<usize> {
    let end = payload.iter().position(|byte| *byte == b';')?;
    std::str::from_utf8(&payload[..end]).ok()?.parse().ok()
}
