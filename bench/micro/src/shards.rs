//! Shards with their clients and without sockets: bytes in, `flush`, the effects carried out, as a driver does it.
//! A client acknowledges whatever QoS 1 message it gets, and looks at nothing else.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;

use ringmq_proto::time::{Mono, Now, Wall};
use ringmq_route::Interest;
use ringmq_shard::{
    AllowAll, Batch, Common, ConnId, Counters, Effect, Input, MeshPort, Parts, PeerAddress, Settings, Shard,
    ShardId,
};
use ringmq_sync::Stamps;
use ringmq_wire::{
    Ack, Connect, Packet, PacketId, Properties, Publish, Qos, Subscribe, SubscribeFilters,
    SubscriptionOptions, TopicName, Version,
};

const NOW: Now = Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) };
/// A turn is over when nothing happens any more; more rounds than this are a fault of the workload.
const ROUNDS_MAX: usize = 1_000;
const SLICES: usize = 8;

/// Batches on their way to each shard with their senders, and emptied ones on their way home.
#[derive(Default)]
struct Lanes {
    towards: Vec<VecDeque<(ShardId, Batch)>>,
    home: Vec<Vec<Batch>>,
}

struct Port {
    from: ShardId,
    lanes: Rc<RefCell<Lanes>>,
}

impl MeshPort for Port {
    fn push(&mut self, to: ShardId, batch: Batch) -> Result<(), Batch> {
        self.lanes.borrow_mut().towards[to.index()].push_back((self.from, batch));
        Ok(())
    }

    fn empty(&mut self, _: ShardId) -> Batch {
        self.lanes.borrow_mut().home[self.from.index()].pop().unwrap_or_default()
    }
}

/// A client of the shards, by its number in the order of connecting.
pub type Client = usize;

/// The shards of one broker.
pub struct Shards {
    shards: Vec<Shard>,
    lanes: Rc<RefCell<Lanes>>,
    /// Where each client is.
    clients: Vec<(usize, ConnId)>,
    /// The client of each slot of each shard.
    by_slot: Vec<Vec<Client>>,
    effects: Vec<Effect>,
    /// Acknowledgements that clients owe.
    owed: Vec<(Client, [u8; 4])>,
    /// Bytes that clients have got.
    written: u64,
}

impl Shards {
    /// So many shards without clients.
    pub fn new(count: usize) -> Self {
        let settings = Settings { sys_interval_seconds: 0, ..Settings::default() };
        let common = Common {
            shards: count,
            settings: Arc::new(settings),
            interest: Arc::new(Interest::new(count, [1, 2])),
            stamps: Arc::new(Stamps::new(0)),
            counters: Arc::new(Counters::new(count)),
            partition_key: *b"the key of bench",
        };
        let lanes = Rc::new(RefCell::new(Lanes {
            towards: (0..count).map(|_| VecDeque::new()).collect(),
            home: (0..count).map(|_| Vec::new()).collect(),
        }));
        let make = |id: usize| {
            let id = ShardId(id as u16);
            let mesh = Box::new(Port { from: id, lanes: Rc::clone(&lanes) });
            Shard::new(Parts { id, common: common.clone(), mesh, decider: Box::new(AllowAll), seed: 5 }, NOW)
        };
        Self {
            shards: (0..count).map(make).collect(),
            lanes: Rc::clone(&lanes),
            clients: Vec::new(),
            by_slot: vec![Vec::new(); count],
            effects: Vec::new(),
            owed: Vec::new(),
            written: 0,
        }
    }

    /// A client of 3.1.1 connects; the shard of its session is the one that its identifier says.
    pub fn connect(&mut self, id: &str) -> Client {
        let peer = PeerAddress::new(Some("192.0.2.1:5555".parse().expect("an address")), 0);
        let conn = self.shards[0].accept(NOW, peer);
        let client = self.clients.len();
        self.clients.push((0, conn));
        self.place(client, 0, conn);
        let connect = Connect {
            version: Version::V311,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id: id,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        };
        self.say(client, &encoded(&Packet::Connect(connect)));
        client
    }

    /// Connects clients until one lands at that shard.
    pub fn connect_at(&mut self, shard: usize, id: &str) -> Client {
        for attempt in 0.. {
            let client = self.connect(&format!("{id}-{attempt}"));
            if self.clients[client].0 == shard {
                return client;
            }
        }
        unreachable!("some identifier leads to each shard")
    }

    /// A client subscribes.
    pub fn subscribe(&mut self, client: Client, filter: &str, qos: Qos) {
        let mut raw = Vec::new();
        SubscribeFilters::encode_one(filter, SubscriptionOptions::qos(qos), &mut raw).expect("a filter");
        let filters = SubscribeFilters::from_encoded(Version::V311, &raw).expect("a filter");
        let subscribe = Subscribe { packet_id: packet_id(), properties: Properties::EMPTY, filters };
        self.say(client, &encoded(&Packet::Subscribe(subscribe)));
    }

    /// Bytes that clients have got so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// A client sends and everything that follows from it happens.
    fn say(&mut self, client: Client, bytes: &[u8]) {
        let before = self.written;
        self.send(client, bytes);
        self.turns();
        assert!(self.written > before, "a client was not answered");
    }

    /// A client's bytes arrive; nothing is flushed.
    pub fn send(&mut self, client: Client, bytes: &[u8]) {
        let (shard, conn) = self.clients[client];
        self.shards[shard].handle(NOW, Input::Bytes { conn, bytes });
    }

    /// Turns of all shards until nothing is left to do, the acknowledgements of the clients included.
    pub fn turns(&mut self) {
        for _ in 0..ROUNDS_MAX {
            for shard in 0..self.shards.len() {
                self.turn(shard);
            }
            if !self.acknowledge() && !self.drain() {
                return;
            }
        }
        panic!("the shards do not come to rest");
    }

    fn turn(&mut self, shard: usize) {
        self.shards[shard].flush(NOW);
        let mut effects = std::mem::take(&mut self.effects);
        effects.extend(self.shards[shard].effects());
        for effect in effects.drain(..) {
            match effect {
                Effect::Write(conn) => self.write(shard, conn),
                Effect::Move { conn, to, parcel } => {
                    let client = self.by_slot[shard][conn.slot as usize];
                    let conn = self.shards[to.index()].adopt(NOW, *parcel);
                    self.clients[client] = (to.index(), conn);
                    self.place(client, to.index(), conn);
                }
                Effect::Log(..) => {}
                other => panic!("no workload makes a shard want {other:?}"),
            }
        }
        self.effects = effects;
    }

    fn place(&mut self, client: Client, shard: usize, conn: ConnId) {
        let slots = &mut self.by_slot[shard];
        slots.resize(slots.len().max(conn.slot as usize + 1), usize::MAX);
        slots[conn.slot as usize] = client;
    }

    fn write(&mut self, shard: usize, conn: ConnId) {
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.shards[shard].output(conn, &mut slices);
            let mut bytes = 0;
            for slice in &slices[..filled] {
                take_acks(slice, self.by_slot[shard][conn.slot as usize], &mut self.owed);
                bytes += slice.len();
            }
            if bytes == 0 {
                return;
            }
            self.written += bytes as u64;
            self.shards[shard].handle(NOW, Input::Wrote { conn, bytes });
        }
    }

    /// Sends what acknowledgements the clients owe; false when there is none.
    fn acknowledge(&mut self) -> bool {
        let mut owed = std::mem::take(&mut self.owed);
        let any = !owed.is_empty();
        for (client, puback) in owed.drain(..) {
            self.send(client, &puback);
        }
        self.owed = owed;
        any
    }

    /// Hands the batches over; false when there is none.
    fn drain(&mut self) -> bool {
        let mut any = false;
        for to in 0..self.shards.len() {
            let standing = self.lanes.borrow().towards[to].len();
            for _ in 0..standing {
                let Some((from, mut batch)) = self.lanes.borrow_mut().towards[to].pop_front() else { break };
                self.shards[to].handle(NOW, Input::Mesh { from, batch: &mut batch });
                self.lanes.borrow_mut().home[from.index()].push(batch);
                any = true;
            }
            if any || self.shards[to].wants_drain() {
                self.shards[to].handle(NOW, Input::MeshDrained);
            }
        }
        any
    }
}

/// Notes a PUBACK for each QoS 1 PUBLISH. All packets here are shorter than 128 bytes, and small ones are never
/// cut by a slice.
fn take_acks(mut bytes: &[u8], client: Client, owed: &mut Vec<(Client, [u8; 4])>) {
    while let [first, length, rest @ ..] = bytes {
        let (body, tail) = rest.split_at(usize::from(*length));
        if first & 0xF6 == 0x32 {
            let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
            owed.push((client, [0x40, 2, body[2 + topic], body[3 + topic]]));
        }
        bytes = tail;
    }
}

fn packet_id() -> PacketId {
    PacketId::new(1).expect("not zero")
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(Version::V311, &mut out);
    out
}

/// A PUBLISH of 16 bytes in 3.1.1.
pub fn publish(topic: &str, qos: Qos) -> Vec<u8> {
    encoded(&Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: TopicName::new(topic).expect("a topic"),
        packet_id: (qos != Qos::AtMostOnce).then(packet_id),
        properties: Properties::EMPTY,
        payload: b"sixteen bytes...",
    }))
}

/// An acknowledgement of what [`publish`] makes, as the shard sends it.
pub fn puback() -> Vec<u8> {
    encoded(&Packet::Puback(Ack::success(packet_id())))
}
