//! The longest turn of a shard while somebody publishes on a topic that filters match by 2^levels ways: each level
//! of a filter is `a` or `+`. An ordinary publish shares every turn, so the longest turn is what it can be delayed.
//! Turns are measured in processor time of the thread, so that other programs on the machine do not count.
//!
//! `cargo run --release -p ringmq-bench --example longest_turn [LEVELS [NODES_PER_TURN [PUBLISHES]]]`

use std::io::IoSlice;
use std::sync::Arc;

use ringmq_proto::time::{Mono, Now, Wall};
use ringmq_route::Interest;
use ringmq_shard::{
    AllowAll, Batch, Common, ConnId, Counters, Effect, Input, MeshPort, Parts, PeerAddress, Settings, Shard,
    ShardId,
};
use ringmq_sync::Stamps;
use ringmq_wire::{
    Connect, Packet, PacketId, Properties, PropertiesBuffer, Property, Publish, Qos, Subscribe,
    SubscribeFilters, SubscriptionOptions, TopicName, Version,
};
use rustix::time::{ClockId, clock_gettime};

const VERSION: Version = Version::V5;

struct NoPeers;

impl MeshPort for NoPeers {
    fn push(&mut self, _to: ShardId, batch: Batch) -> Result<(), Batch> {
        Err(batch)
    }
    fn empty(&mut self, _to: ShardId) -> Batch {
        Batch::default()
    }
}

/// A shard, and how long its turns took.
struct Bench {
    shard: Shard,
    now: Now,
    turns_ns: Vec<u64>,
    /// Bytes written to each connection, by slot.
    written: Vec<u64>,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let common = Common {
            shards: 1,
            settings,
            interest: Arc::new(Interest::new(1, [1, 2])),
            stamps: Arc::new(Stamps::new(0)),
            counters: Arc::new(Counters::new(1)),
            partition_key: *b"a bench has none",
        };
        let now = Now { mono: Mono(1), wall: Wall(1_700_000_000_000) };
        let parts =
            Parts { id: ShardId(0), common, mesh: Box::new(NoPeers), decider: Box::new(AllowAll), seed: 1 };
        Self { shard: Shard::new(parts, now), now, turns_ns: Vec::new(), written: Vec::new() }
    }

    fn join(&mut self, client_id: &str) -> ConnId {
        let conn = self.shard.accept(self.now, PeerAddress::new(None, 0));
        let connect = Connect {
            version: VERSION,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        };
        self.turn(&[(conn, &encode(&Packet::Connect(connect)))]);
        conn
    }

    /// One turn as a driver has it: what was read, time, the end of the turn, what is written.
    fn turn(&mut self, reads: &[(ConnId, &[u8])]) {
        let began = thread_ns();
        for (conn, bytes) in reads {
            self.shard.handle(self.now, Input::Bytes { conn: *conn, bytes });
        }
        if self.shard.deadline().is_some_and(|deadline| deadline <= self.now.mono) {
            self.shard.handle(self.now, Input::Tick);
        }
        self.shard.flush(self.now);
        let writes: Vec<ConnId> = self
            .shard
            .effects()
            .filter_map(|effect| match effect {
                Effect::Write(conn) => Some(conn),
                _ => None,
            })
            .collect();
        for conn in writes {
            self.write(conn);
        }
        self.turns_ns.push(thread_ns() - began);
        self.now.mono = self.now.mono.plus(u64::from(self.turns_ns.len().is_multiple_of(16)));
    }

    fn write(&mut self, conn: ConnId) {
        loop {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = self.shard.output(conn, &mut slices);
            let bytes: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            if bytes == 0 {
                return;
            }
            self.written.resize(self.written.len().max(conn.slot as usize + 1), 0);
            self.written[conn.slot as usize] += bytes as u64;
            self.shard.handle(self.now, Input::Wrote { conn, bytes });
        }
    }

    fn written_to(&self, conn: ConnId) -> u64 {
        self.written.get(conn.slot as usize).copied().unwrap_or(0)
    }
}

fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(VERSION, &mut bytes);
    bytes
}

fn publish(topic: &str) -> Vec<u8> {
    let topic = TopicName::new(topic).expect("a right topic");
    let qos = Qos::AtMostOnce;
    let (dup, retain, packet_id, properties) = (false, false, None, Properties::EMPTY);
    encode(&Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload: b"payload" }))
}

/// Each with an identifier of its own, all of which the delivery has to carry.
fn subscribe(filter: &str, identifier: u32) -> Vec<u8> {
    let mut raw = Vec::new();
    let options = SubscriptionOptions::qos(Qos::AtMostOnce);
    SubscribeFilters::encode_one(filter, options, &mut raw).expect("a right filter");
    let filters = SubscribeFilters::from_encoded(VERSION, &raw).expect("right filters");
    let mut buffer = PropertiesBuffer::new();
    buffer.push_variable(Property::SubscriptionIdentifier, identifier);
    encode(&Packet::Subscribe(Subscribe {
        packet_id: PacketId::MIN,
        properties: buffer.as_properties(),
        filters,
    }))
}

fn filter(number: usize, levels: usize) -> String {
    let level = |nth: usize| if number >> nth & 1 == 1 { "a/" } else { "+/" };
    (0..levels).map(level).chain(["x"]).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let levels = arguments.next().unwrap_or(16);
    let mut settings = Settings { sys_interval_seconds: 0, ..Settings::default() };
    settings.match_nodes_per_turn = arguments.next().unwrap_or(settings.match_nodes_per_turn);
    let publishes = arguments.next().unwrap_or(30);
    let (nodes, quota) = (settings.match_nodes_per_turn, settings.wildcards_per_session_max);
    let mut bench = Bench::new(settings);
    let filters: Vec<String> = (0..1 << levels).map(|number| filter(number, levels)).collect();
    let mut readers = Vec::new();
    for (nth, share) in filters.chunks(quota).enumerate() {
        let reader = bench.join(&format!("reader-{nth}"));
        for (number, filter) in (1..).zip(share) {
            bench.turn(&[(reader, &subscribe(filter, number))]);
        }
        readers.push(reader);
    }
    let (slow, quick, watcher) = (bench.join("slow"), bench.join("quick"), bench.join("watcher"));
    bench.turn(&[(watcher, &subscribe("quick", 1))]);
    let (long, short) = (publish(&("a/".repeat(levels) + "x")), publish("quick"));
    let one_message = {
        let before = bench.written_to(watcher);
        bench.turn(&[(quick, &short)]);
        bench.written_to(watcher) - before
    };
    bench.turns_ns.clear();
    let mut turns_of_one = Vec::new();
    for _ in 0..publishes {
        let before: Vec<u64> = readers.iter().map(|reader| bench.written_to(*reader)).collect();
        let has_come = |bench: &Bench| readers.iter().zip(&before).all(|(r, b)| bench.written_to(*r) > *b);
        let began = bench.turns_ns.len();
        let mut first: &[u8] = &long;
        while !has_come(&bench) {
            let watched = bench.written_to(watcher);
            bench.turn(&[(slow, first), (quick, &short)]);
            assert_eq!(bench.written_to(watcher), watched + one_message, "the quick one waits for no turn");
            first = &[];
        }
        turns_of_one.push(bench.turns_ns.len() - began);
    }
    bench.turns_ns.sort_unstable();
    let at = |share: f64| bench.turns_ns[((bench.turns_ns.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    println!(
        "{} filters of {} sessions, {nodes} nodes a turn: {} publishes on the topic of all, {} turns for each; \
         turns of {:.1} us in the median, {:.1} at 99 %, {:.1} at 99.9 %, the longest {:.1}",
        filters.len(),
        readers.len(),
        publishes,
        turns_of_one.iter().sum::<usize>() / turns_of_one.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}
