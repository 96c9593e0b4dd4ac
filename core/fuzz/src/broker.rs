//! A broker of a few shards as values, with bounds so small that a short script reaches them, and clients that
//! do what a script says: what a client should do, what it may do, and any bytes whatever.

use arbitrary::Arbitrary;
use ringmq_shard::{Batch, Input, QueuePolicy, Settings, ShardId};
use ringmq_wire::{
    Packet, PropertiesBuffer, Property, Qos, ReasonCode, Sender, SubscriptionOptions, Version, decode, frame,
};

use crate::harness::deciders::Mood;
use crate::harness::net::NetId;
use crate::harness::packets::{self, AckKind, Hello, Post, Seen};
use crate::harness::world::{Setup, World};

/// Connections that one script may open; more is more of the same.
const NETS_MAX: usize = 8;
/// Steps of one script that are carried out.
const STEPS_MAX: usize = 60;
/// Time between two looks at the clock while time passes, in milliseconds.
const TICK: u64 = 100;

const TOPICS: [&str; 6] = ["a", "a/b", "a/b/c", "$x/a", "b", "ab/水"];
const FILTERS: [&str; 8] = ["a", "a/+", "#", "+/b/#", "$share/g/a/#", "$share/h/#", "$x/#", "b"];
const CLIENT_IDS: [&str; 5] = ["one", "two", "three", "水", ""];

/// A broker and what happens to it.
#[derive(Arbitrary, Clone, Debug)]
pub struct Script {
    setup: Shape,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Clone, Debug)]
struct Shape {
    shards: u8,
    seed: u16,
    moving: bool,
    ragged: bool,
    statistics: bool,
    late_percent: u8,
    lane_capacity: u8,
    policy: u8,
}

/// One thing that a client, or the time, does. Numbers are taken modulo what there is.
#[derive(Arbitrary, Clone, Debug)]
enum Step {
    Dial { shard: u8 },
    Raw { net: u8, bytes: Vec<u8> },
    Connect { net: u8, hello: Greeting },
    Publish { net: u8, post: Letter },
    Subscribe { net: u8, id: u8, filter: u8, options: u8, identifier: u8 },
    Unsubscribe { net: u8, id: u8, filter: u8 },
    Ack { net: u8, kind: u8, id: u8, reason: u8 },
    Obey { net: u8 },
    Ping { net: u8 },
    Disconnect { net: u8, reason: u8 },
    HangUp { net: u8, lost: u8 },
    Stall { net: u8, stalled: bool },
    Steps { count: u8 },
    Settle { answering: bool },
    Pass { milliseconds: u16 },
}

#[derive(Arbitrary, Clone, Debug)]
struct Greeting {
    version: u8,
    client_id: u8,
    clean: bool,
    keep_alive_seconds: u8,
    expiry_seconds: u8,
    window: u8,
    packet_bytes_max: u8,
    aliases: u8,
    will: Option<Letter>,
    will_delay_seconds: u8,
}

#[derive(Arbitrary, Clone, Debug)]
struct Letter {
    topic: u8,
    qos: u8,
    id: u8,
    retain: bool,
    again: bool,
    payload_bytes: u16,
    expiry_seconds: u8,
    alias: u8,
}

/// Carries a script out: every packet of the broker is a right one, the broker comes to rest after each stretch
/// of work, and in the end it stops.
pub fn connection(script: &Script) {
    let mut broker = Broker::new(&script.setup);
    for step in script.steps.iter().take(STEPS_MAX) {
        broker.take(step);
    }
    broker.stop();
}

/// Hands any bytes to a shard as a batch of its peer, then has a client do its work there.
pub fn mesh(bytes: &[u8]) {
    let mut setup = Setup::new(2, 7);
    setup.settings = small_settings(true, QueuePolicy::Drop);
    let mut world = World::new(&setup);
    let subscriber = world.join(0, &Hello::new(Version::V5, "one").persistent());
    let filters = [("#", packets::with_qos(2)), ("$share/g/#", packets::with_qos(1))];
    world.ask(subscriber, &packets::subscribe(Version::V5, 1, &filters, Some(3)));
    world.ask(subscriber, &Post::new("a", "kept", 1, 2).retained().encode(Version::V5));
    let mut batch = Batch { bytes: bytes.to_vec(), payloads: Vec::new() };
    let shard = world.shard_of(subscriber).expect("it is connected");
    let peer = ShardId(1 - shard as u16);
    world.give(shard, Input::Mesh { from: peer, batch: &mut batch });
    assert!(batch.bytes.is_empty() && batch.payloads.is_empty(), "a batch comes back empty");
    world.run();
    world.pass(2_000, TICK);
    let late = world.join(0, &Hello::new(Version::V311, "late"));
    let answers = world.ask(late, &packets::pingreq(Version::V311));
    assert!(answers.contains(&Seen::Pingresp), "the shard serves: {answers:?}");
}

struct Broker {
    world: World,
    clients: Vec<Client>,
}

/// What a client knows.
struct Client {
    net: NetId,
    /// What it has written so far, until that tells the version.
    sent: Vec<u8>,
    /// The version its CONNECT named, once there was one.
    version: Option<Version>,
}

impl Broker {
    fn new(shape: &Shape) -> Self {
        let policies = [QueuePolicy::Drop, QueuePolicy::End, QueuePolicy::Refuse];
        let policy = policies[usize::from(shape.policy) % policies.len()];
        let mut setup = Setup::new(usize::from(shape.shards) % 3 + 1, u64::from(shape.seed));
        setup.settings = small_settings(shape.moving, policy);
        setup.settings.sys_interval_seconds = u32::from(shape.statistics);
        setup.lane_capacity = usize::from(shape.lane_capacity) % 4 + 1;
        setup.mood = match shape.late_percent {
            0..100 => Mood::Now,
            percent => Mood::Mixed(usize::from(percent) - 100),
        };
        let mut world = World::new(&setup);
        world.ragged = shape.ragged;
        let mut broker = Self { world, clients: Vec::new() };
        broker.dial(0);
        broker
    }

    fn dial(&mut self, shard: u8) {
        if self.clients.len() < NETS_MAX {
            let shard = usize::from(shard) % self.world.shard_count();
            let net = self.world.dial(shard, Version::V5);
            self.clients.push(Client { net, sent: Vec::new(), version: None });
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Dial { shard } => self.dial(*shard),
            Step::Raw { net, bytes } => self.send(*net, bytes),
            Step::Connect { net, hello } => self.send(*net, &greeting(hello)),
            Step::Publish { net, post } => self.send(*net, &publish(self.version(*net), post)),
            Step::Subscribe { net, id, filter, options, identifier } => {
                let version = self.version(*net);
                let filter = FILTERS[usize::from(*filter) % FILTERS.len()];
                let filters = [(filter, subscription_options(version, filter, *options))];
                let identifier =
                    (version == Version::V5 && *identifier > 0).then_some(u32::from(*identifier));
                self.send(*net, &packets::subscribe(version, packet_id(*id), &filters, identifier));
            }
            Step::Unsubscribe { net, id, filter } => {
                let filters = [FILTERS[usize::from(*filter) % FILTERS.len()]];
                self.send(*net, &packets::unsubscribe(self.version(*net), packet_id(*id), &filters));
            }
            Step::Ack { net, kind, id, reason } => self.acknowledge(*net, *kind, *id, *reason),
            Step::Obey { net } => self.obey(*net),
            Step::Ping { net } => self.send(*net, &packets::pingreq(self.version(*net))),
            Step::Disconnect { net, reason } => {
                let reason =
                    if reason % 2 == 0 { ReasonCode::SUCCESS } else { ReasonCode::DISCONNECT_WITH_WILL };
                self.send(*net, &packets::disconnect(self.version(*net), reason));
            }
            Step::HangUp { net, lost } => {
                let net = self.client(*net).net;
                self.world.hang_up(net, usize::from(*lost));
            }
            Step::Stall { net, stalled } => {
                let net = self.client(*net).net;
                self.world.nets[net.0].stalled = *stalled;
            }
            Step::Steps { count } => (0..*count).for_each(|_| _ = self.world.step()),
            Step::Settle { answering: true } => self.world.run_answering(),
            Step::Settle { answering: false } => self.world.run(),
            Step::Pass { milliseconds } => self.world.pass(u64::from(*milliseconds) % 5_000, TICK),
        }
    }

    fn client(&self, net: u8) -> &Client {
        &self.clients[usize::from(net) % self.clients.len()]
    }

    /// The version in which a client writes.
    fn version(&self, net: u8) -> Version {
        self.client(net).version.unwrap_or(Version::V5)
    }

    fn send(&mut self, net: u8, bytes: &[u8]) {
        let index = usize::from(net) % self.clients.len();
        let client = &mut self.clients[index];
        if client.version.is_none() {
            client.sent.extend_from_slice(bytes);
            client.version = version_of(&client.sent);
        }
        let (net, version) = (client.net, client.version);
        if let Some(version) = version {
            self.world.nets[net.0].version = version;
        }
        if !self.world.nets[net.0].client_gone {
            self.world.send(net, bytes);
        }
    }

    fn acknowledge(&mut self, net: u8, kind: u8, id: u8, reason: u8) {
        let version = self.version(net);
        let kinds = [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp];
        let kind = kinds[usize::from(kind) % kinds.len()];
        let refusal = match kind {
            AckKind::Puback | AckKind::Pubrec => ReasonCode::UNSPECIFIED_ERROR,
            AckKind::Pubrel | AckKind::Pubcomp => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
        };
        let reason = if reason < 200 || version < Version::V5 { ReasonCode::SUCCESS } else { refusal };
        self.send(net, &packets::ack(version, kind, packet_id(id), reason));
    }

    /// The client reads what has arrived and answers as the protocol asks.
    fn obey(&mut self, net: u8) {
        let version = self.version(net);
        let answer = |kind, id| packets::ack(version, kind, id, ReasonCode::SUCCESS);
        for seen in self.seen(net) {
            match seen {
                Seen::Publish(publish) if publish.qos == 1 => {
                    self.send(net, &answer(AckKind::Puback, publish.id));
                }
                Seen::Publish(publish) if publish.qos == 2 => {
                    self.send(net, &answer(AckKind::Pubrec, publish.id));
                }
                Seen::Ack(AckKind::Pubrec, id, reason) if reason < 0x80 => {
                    self.send(net, &answer(AckKind::Pubrel, id));
                }
                Seen::Ack(AckKind::Pubrel, id, _) => self.send(net, &answer(AckKind::Pubcomp, id)),
                _ => {}
            }
        }
    }

    /// The packets that have arrived at a client. Before a CONNECT there is no version to read them in.
    fn seen(&mut self, net: u8) -> Vec<Seen> {
        let (net, known) = (self.client(net).net, self.client(net).version.is_some());
        if known { self.world.seen(net) } else { Vec::new() }
    }

    /// All that clients have received is right, and the broker stops within its deadlines, whoever reads no more.
    fn stop(&mut self) {
        self.world.run();
        self.world.stop_work();
        self.world.stop_connections();
        self.world.pass(3_000, TICK);
        for index in 0..self.clients.len() {
            self.seen(index as u8);
        }
        assert!(self.world.stopped.iter().all(|stopped| *stopped), "stopped: {:?}", self.world.stopped);
    }
}

/// Bounds that a short script can reach.
fn small_settings(moving: bool, queue_policy: QueuePolicy) -> Settings {
    Settings {
        packet_bytes_max: 2_000,
        connect_packet_bytes_max: 500,
        connect_timeout: 1_000,
        receive_maximum: 3,
        inflight_messages_max: 3,
        topic_alias_maximum: 2,
        topic_alias_outbound_max: 2,
        queue_messages_max: 4,
        queue_bytes_max: 3_000,
        publish_hold: 300,
        hold_messages_max: 3,
        hold_bytes_max: 2_000,
        queue_policy,
        park_bytes_max: 400,
        decision_timeout: 500,
        subscriptions_per_session_max: 4,
        topic_levels_max: 4,
        sessions_max: 6,
        connections_max: 5,
        retained_messages_max: 4,
        retained_bytes_max: 3_000,
        retained_page_messages: 2,
        retained_page_bytes: 500,
        output_high_water_bytes: 400,
        mesh_batch_bytes: 300,
        mesh_spill_bytes_max: 1_000,
        tunnel_window_bytes: 400,
        linger: 200,
        stop_deadline: 1_000,
        sys_interval_seconds: 0,
        moving,
        ..Settings::default()
    }
}

/// The version that the first packet names, when it is a CONNECT.
fn version_of(sent: &[u8]) -> Option<Version> {
    let first = frame::split(sent, u32::MAX).ok()??;
    match decode(Version::V5, Sender::Client, &first) {
        Ok(Packet::Connect(connect)) => Some(connect.version),
        _ => None,
    }
}

fn greeting(greeting: &Greeting) -> Vec<u8> {
    let version = [Version::V31, Version::V311, Version::V5][usize::from(greeting.version) % 3];
    let id = CLIENT_IDS[usize::from(greeting.client_id) % CLIENT_IDS.len()];
    let mut hello =
        Hello::new(version, id).clean(greeting.clean).keep_alive(greeting.keep_alive_seconds.into());
    if let Some(will) = &greeting.will {
        let payload = vec![b'w'; usize::from(will.payload_bytes) % 1_000];
        hello = hello.will(topic(will), &payload, qos(will.qos), will.retain);
    }
    if version == Version::V5 {
        add_properties(greeting, &mut hello);
    }
    hello.encode()
}

/// Zero leaves a property out.
fn add_properties(greeting: &Greeting, hello: &mut Hello) {
    let properties = &mut hello.properties;
    if greeting.expiry_seconds > 0 {
        properties.push_u32(Property::SessionExpiryInterval, greeting.expiry_seconds.into());
    }
    if greeting.window > 0 {
        properties.push_u16(Property::ReceiveMaximum, greeting.window.into());
    }
    if greeting.packet_bytes_max > 0 {
        properties.push_u32(Property::MaximumPacketSize, greeting.packet_bytes_max.into());
    }
    if greeting.aliases > 0 {
        properties.push_u16(Property::TopicAliasMaximum, greeting.aliases.into());
    }
    if greeting.will.is_some() && greeting.will_delay_seconds > 0 {
        hello.will_properties.push_u32(Property::WillDelayInterval, greeting.will_delay_seconds.into());
    }
}

fn publish(version: Version, letter: &Letter) -> Vec<u8> {
    let payload = vec![b'p'; usize::from(letter.payload_bytes) % 2_500];
    let mut post = Post::new(topic(letter), payload, qos(letter.qos).value(), packet_id(letter.id));
    (post.retain, post.dup) = (letter.retain, letter.again && qos(letter.qos) != Qos::AtMostOnce);
    if version == Version::V5 {
        post.properties = publish_properties(letter);
    }
    post.encode(version)
}

/// Zero leaves a property out.
fn publish_properties(letter: &Letter) -> PropertiesBuffer {
    let mut properties = PropertiesBuffer::new();
    if letter.expiry_seconds > 0 {
        properties.push_u32(Property::MessageExpiryInterval, letter.expiry_seconds.into());
    }
    if letter.alias > 0 {
        properties.push_u16(Property::TopicAlias, letter.alias.into());
    }
    properties
}

/// Options that may be written: only a QoS before 5.0, and no-local never for a shared subscription.
fn subscription_options(version: Version, filter: &str, byte: u8) -> SubscriptionOptions {
    let mask = if version == Version::V5 { 0x3F } else { 0x03 };
    let mut options = SubscriptionOptions::from_u8(byte & mask).unwrap_or_default();
    options.no_local &= !filter.starts_with("$share/");
    options
}

fn topic(letter: &Letter) -> &'static str {
    TOPICS[usize::from(letter.topic) % TOPICS.len()]
}

fn qos(number: u8) -> Qos {
    Qos::from_u8(number % 3).unwrap_or_default()
}

/// Never zero.
fn packet_id(id: u8) -> u16 {
    u16::from(id % 8) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape {
            shards: 1,
            seed: 5,
            moving: true,
            ragged: true,
            statistics: false,
            late_percent: 0,
            lane_capacity: 1,
            policy: 0,
        }
    }

    fn hello(client_id: u8) -> Greeting {
        Greeting {
            version: 2,
            client_id,
            clean: true,
            keep_alive_seconds: 0,
            expiry_seconds: 0,
            window: 0,
            packet_bytes_max: 0,
            aliases: 0,
            will: None,
            will_delay_seconds: 0,
        }
    }

    fn letter() -> Letter {
        Letter {
            topic: 0,
            qos: 2,
            id: 3,
            retain: false,
            again: false,
            payload_bytes: 9,
            expiry_seconds: 0,
            alias: 0,
        }
    }

    /// A script gets as far as a message at its subscriber, and a QoS 2 exchange to its end.
    #[test]
    fn scripts_reach_delivery() {
        let mut broker = Broker::new(&shape());
        let steps = [
            Step::Dial { shard: 1 },
            Step::Connect { net: 0, hello: hello(0) },
            Step::Connect { net: 1, hello: hello(1) },
            Step::Settle { answering: true },
            Step::Subscribe { net: 0, id: 1, filter: 2, options: 2, identifier: 0 },
            Step::Settle { answering: true },
        ];
        steps.iter().for_each(|step| broker.take(step));
        assert!(matches!(broker.seen(0)[..], [Seen::Connack(_), Seen::Suback(2, _)]));
        assert!(matches!(broker.seen(1)[..], [Seen::Connack(_)]));
        let exchange = [
            Step::Publish { net: 1, post: letter() },
            Step::Settle { answering: true },
            Step::Obey { net: 1 },
            Step::Settle { answering: true },
        ];
        exchange.iter().for_each(|step| broker.take(step));
        assert!(matches!(broker.seen(1)[..], [Seen::Ack(AckKind::Pubcomp, 4, 0)]));
        let delivered = broker.seen(0);
        let [Seen::Publish(publish)] = &delivered[..] else { panic!("one message: {delivered:?}") };
        assert_eq!((publish.topic.as_str(), publish.qos, publish.payload.len()), ("a", 2, 9));
        broker.stop();
    }

    /// What a client writes before its CONNECT is complete does not pass for a version.
    #[test]
    fn the_version_is_the_one_in_connect() {
        let bytes = greeting(&Greeting { version: 0, ..hello(0) });
        assert_eq!(version_of(&bytes), Some(Version::V31));
        assert_eq!(version_of(&bytes[..bytes.len() - 1]), None);
        assert_eq!(version_of(&packets::pingreq(Version::V5)), None);
    }
}
