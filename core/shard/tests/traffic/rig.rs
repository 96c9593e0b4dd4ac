//! One load on its shards: who connects where, and what a round of it is.

use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;

use ringmq_proto::time::{Mono, Now, Wall};
use ringmq_route::Interest;
use ringmq_shard::{
    AllowAll, Common, ConnId, Counters, Effect, Input, Parts, PeerAddress, Settings, Shard, ShardId,
};
use ringmq_sync::Stamps;
use ringmq_wire::{
    Ack, Packet, Properties, PropertiesBuffer, Property, Publish, Qos, ReasonCode, Sender, TopicName, decode,
    frame,
};

use super::lanes::{Lanes, Port};
use super::loads::Load;
use super::packets::{Hello, encode, packet_id, subscribe, with_qos};

/// More than a connection may take for its CONNECT.
const REST_SECONDS: u64 = 20;
/// ClientIDs tried until one has its home where it is wanted.
const NAMES_MAX: usize = 1000;
/// Passes after which a round that has not come to rest is taken to be running in circles.
const PASSES_MAX: usize = 1000;

struct Client {
    shard: usize,
    conn: ConnId,
    /// What the broker wrote and the client has not decoded.
    received: Vec<u8>,
    /// What the client says to it.
    answers: Vec<u8>,
    /// One round's publishes, for a publisher.
    publishes: Vec<u8>,
}

/// Shards with the clients of a load.
pub struct Rig {
    load: Load,
    shards: Vec<Shard>,
    lanes: Rc<RefCell<Lanes>>,
    counters: Arc<Counters>,
    now: Now,
    clients: Vec<Client>,
    /// Which client a connection of a shard belongs to, by shard and slot.
    owners: Vec<Vec<usize>>,
    effects: Vec<Effect>,
    publishers: Vec<usize>,
    delivered: u64,
    let_in: bool,
}

impl Rig {
    /// Everybody connected and subscribed.
    pub fn new(load: Load) -> Self {
        let now = Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) };
        let settings = Settings { sys_interval_seconds: 0, ..Settings::default() };
        let common = Common {
            shards: load.shards,
            settings: Arc::new(settings),
            interest: Arc::new(Interest::new(load.shards, [1, 2])),
            stamps: Arc::new(Stamps::new(0)),
            counters: Arc::new(Counters::new(load.shards)),
            partition_key: *b"ringmq test key!",
        };
        let lanes = Lanes::new(load.shards, ringmq_shard::limits::MESH_LANE_SLOTS);
        let make = |id: usize| {
            let parts = Parts {
                id: ShardId(id as u16),
                common: common.clone(),
                mesh: Box::new(Port { id, lanes: Rc::clone(&lanes) }),
                decider: Box::new(AllowAll),
                seed: id as u64,
            };
            Shard::new(parts, now)
        };
        let mut rig = Self {
            load,
            shards: (0..load.shards).map(make).collect(),
            lanes: Rc::clone(&lanes),
            counters: Arc::clone(&common.counters),
            now,
            clients: Vec::new(),
            owners: vec![Vec::new(); load.shards],
            effects: Vec::new(),
            publishers: Vec::new(),
            delivered: 0,
            let_in: false,
        };
        rig.connect_all();
        rig.rest();
        rig
    }

    /// Publishes of one round.
    pub fn publishes_per_round(&self) -> usize {
        self.load.publishers * self.load.per_read
    }

    /// Every publisher's publishes arrive, and everything that follows from that happens. Returns how many
    /// deliveries came out.
    pub fn round(&mut self) -> u64 {
        self.now.mono = self.now.mono.plus(1);
        self.now.wall = Wall(self.now.wall.0 + 1);
        let before = self.delivered;
        for index in 0..self.publishers.len() {
            let client = &self.clients[self.publishers[index]];
            let input = Input::Bytes { conn: client.conn, bytes: &client.publishes };
            shard_work(&mut self.shards[client.shard], self.now, Some(input));
        }
        self.settle();
        self.delivered - before
    }

    /// Deliveries that were dropped, whatever the reason.
    pub fn dropped(&self) -> u64 {
        self.counters.sum(|c| &c.dropped_queue_qos0)
            + self.counters.sum(|c| &c.dropped_queue)
            + self.counters.sum(|c| &c.dropped_mesh)
    }

    /// Time passes until nothing is left of the connecting: it has timers.
    fn rest(&mut self) {
        for _ in 0..REST_SECONDS * 10 {
            self.now.mono = self.now.mono.plus(100);
            self.now.wall = Wall(self.now.wall.0 + 100);
            self.settle();
        }
    }

    fn connect_all(&mut self) {
        let load = self.load;
        for subscriber in 0..load.subscribers {
            let client = self.connect(load.shards - 1, "s");
            let filter = load.filter(subscriber);
            let bytes = subscribe(load.version, 1, &[(&filter, with_qos(load.qos.value()))], None);
            self.say(client, &bytes);
        }
        for publisher in 0..load.publishers {
            let client = self.connect(0, "p");
            self.publishers.push(client);
            let topic = load.topic(publisher);
            if load.aliases {
                let binding = self.publish(&topic, 1);
                self.say(client, &binding);
            }
            let topic = if load.aliases { "" } else { &topic };
            let publishes = (1..=load.per_read as u16).flat_map(|id| self.publish(topic, id)).collect();
            self.clients[client].publishes = publishes;
        }
    }

    /// A client whose home is this shard.
    fn connect(&mut self, shard: usize, kind: &str) -> usize {
        for name in 0..NAMES_MAX {
            let peer = PeerAddress::new(None, 0);
            let conn = self.shards[shard].accept(self.now, peer);
            let index = self.clients.len();
            self.own(shard, conn, index);
            let client =
                Client { shard, conn, received: Vec::new(), answers: Vec::new(), publishes: Vec::new() };
            self.clients.push(client);
            let mut hello = Hello::new(self.load.version, &format!("{kind}-{index}-{name}"));
            if self.load.aliases {
                hello.properties.push_u16(Property::TopicAliasMaximum, 32);
            }
            self.let_in = false;
            self.say(index, &hello.encode());
            assert!(self.let_in, "a client was not let in");
            if self.clients[index].shard == shard {
                return index;
            }
            let Client { shard, conn, .. } = self.clients[index];
            shard_work(&mut self.shards[shard], self.now, Some(Input::Ended { conn }));
            self.settle();
            self.clients.pop();
        }
        panic!("no ClientID of {NAMES_MAX} has its home at shard {shard}");
    }

    fn publish(&self, topic: &str, id: u16) -> Vec<u8> {
        let mut properties = PropertiesBuffer::default();
        if self.load.properties {
            properties.push_str(Property::ContentType, "text/plain");
            properties.push_u32(Property::MessageExpiryInterval, 60);
            properties.push_user("unit", "kelvin");
        }
        if self.load.aliases {
            properties.push_u16(Property::TopicAlias, 1);
        }
        let payload = vec![b'x'; self.load.payload_bytes];
        let publish = Publish {
            dup: false,
            qos: self.load.qos,
            retain: false,
            topic: if topic.is_empty() { TopicName::EMPTY } else { TopicName::new(topic).expect("a topic") },
            packet_id: (self.load.qos > Qos::AtMostOnce).then(|| packet_id(id)),
            properties: properties.as_properties(),
            payload: &payload,
        };
        encode(self.load.version, &Packet::Publish(publish))
    }

    fn say(&mut self, client: usize, bytes: &[u8]) {
        let Client { shard, conn, .. } = self.clients[client];
        shard_work(&mut self.shards[shard], self.now, Some(Input::Bytes { conn, bytes }));
        self.settle();
    }

    fn own(&mut self, shard: usize, conn: ConnId, client: usize) {
        let owners = &mut self.owners[shard];
        if owners.len() <= conn.slot as usize {
            owners.resize(conn.slot as usize + 1, usize::MAX);
        }
        owners[conn.slot as usize] = client;
    }

    /// Goes on until nothing more happens.
    fn settle(&mut self) {
        for _ in 0..PASSES_MAX {
            let mut moved = false;
            for shard in 0..self.shards.len() {
                moved |= self.turn(shard);
            }
            moved |= self.answer();
            if !moved {
                return;
            }
        }
        panic!("a round does not come to rest");
    }

    /// A turn of one shard; whether anything came of it.
    fn turn(&mut self, shard: usize) -> bool {
        for from in (0..self.shards.len()).filter(|from| *from != shard) {
            while let Some(mut batch) = { self.lanes.borrow_mut().pop(from, shard) } {
                let input = Input::Mesh { from: ShardId(from as u16), batch: &mut batch };
                shard_work(&mut self.shards[shard], self.now, Some(input));
                self.lanes.borrow_mut().give_home(from, shard, batch);
            }
        }
        if self.shards[shard].wants_drain() {
            shard_work(&mut self.shards[shard], self.now, Some(Input::MeshDrained));
        }
        if self.shards[shard].deadline().is_some_and(|at| at <= self.now.mono) {
            shard_work(&mut self.shards[shard], self.now, Some(Input::Tick));
        }
        shard_work(&mut self.shards[shard], self.now, None);
        let mut effects = std::mem::take(&mut self.effects);
        effects.extend(self.shards[shard].effects());
        let moved = !effects.is_empty() || self.any_under_way();
        for effect in effects.drain(..) {
            self.carry_out(shard, effect);
        }
        self.effects = effects;
        moved
    }

    fn any_under_way(&self) -> bool {
        (0..self.shards.len()).any(|to| self.lanes.borrow().any_towards(to))
    }

    fn carry_out(&mut self, shard: usize, effect: Effect) {
        match effect {
            Effect::Write(conn) => self.write(shard, conn),
            Effect::Move { conn, to, parcel } => {
                let client = self.owners[shard][conn.slot as usize];
                let conn = self.shards[to.index()].adopt(self.now, *parcel);
                (self.clients[client].shard, self.clients[client].conn) = (to.index(), conn);
                self.own(to.index(), conn, client);
            }
            Effect::Close(_) | Effect::Log(..) => {}
            other => panic!("no load leads to {other:?}"),
        }
    }

    fn write(&mut self, shard: usize, conn: ConnId) {
        let client = &mut self.clients[self.owners[shard][conn.slot as usize]];
        loop {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = self.shards[shard].output(conn, &mut slices);
            let before = client.received.len();
            slices[..filled].iter().for_each(|slice| client.received.extend_from_slice(slice));
            let bytes = client.received.len() - before;
            if bytes == 0 {
                return;
            }
            shard_work(&mut self.shards[shard], self.now, Some(Input::Wrote { conn, bytes }));
        }
    }

    /// Clients read what they got and say what the protocol wants; whether one said anything.
    fn answer(&mut self) -> bool {
        let mut said = false;
        for client in &mut self.clients {
            let (version, mut used) = (self.load.version, 0);
            while let Ok(Some(frame)) = frame::split(&client.received[used..], u32::MAX) {
                used += frame.bytes;
                let packet = decode(version, Sender::Server, &frame).expect("the broker sends what is right");
                match &packet {
                    Packet::Publish(publish) => {
                        assert_eq!(publish.payload.len(), self.load.payload_bytes);
                        self.delivered += 1;
                    }
                    Packet::Connack(connack) => self.let_in = !connack.reason.is_error(),
                    _ => {}
                }
                if let Some(answer) = answer_to(&packet) {
                    answer.encode(version, &mut client.answers);
                }
            }
            client.received.drain(..used);
            if !client.answers.is_empty() {
                said = true;
                let input = Input::Bytes { conn: client.conn, bytes: &client.answers };
                shard_work(&mut self.shards[client.shard], self.now, Some(input));
                client.answers.clear();
            }
        }
        said
    }
}

/// What a client says to a packet, if anything.
fn answer_to(packet: &Packet<'_>) -> Option<Packet<'static>> {
    let ack = |packet_id| Ack { packet_id, reason: ReasonCode::SUCCESS, properties: Properties::EMPTY };
    Some(match packet {
        Packet::Publish(publish) if publish.qos == Qos::AtLeastOnce => {
            Packet::Puback(ack(publish.packet_id?))
        }
        Packet::Publish(publish) => Packet::Pubrec(ack(publish.packet_id?)),
        Packet::Pubrec(rec) => Packet::Pubrel(ack(rec.packet_id)),
        Packet::Pubrel(rel) => Packet::Pubcomp(ack(rel.packet_id)),
        _ => return None,
    })
}

/// Everything a shard does, under one name, so that an instruction counter can be told to count here and
/// nowhere else. Without an input it is the end of a turn.
#[inline(never)]
pub fn shard_work(shard: &mut Shard, now: Now, input: Option<Input<'_>>) {
    match input {
        Some(input) => shard.handle(now, input),
        None => shard.flush(now),
    }
}
