//! A whole broker with real sockets takes no memory for a QoS 0 publish once it has warmed up. Alone in its file,
//! because the allocator counts for the whole process.

mod harness;

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use ringmq::{DriverChoice, Qos};
use ringmq_wire::{
    Connect, Packet, PacketId, Properties, Publish, Subscribe, SubscribeFilters, SubscriptionOptions,
    TopicName, Version,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PAIRS: usize = 8;
const PUBLISHES_PER_WRITE: usize = 8;
const ROUNDS: usize = 500;
/// What goes on beside the publishes: timers of the connects come due, some seconds into the run.
const BESIDE_MAX: usize = 40;

/// A connection whose reads and writes take no memory.
struct Client {
    stream: TcpStream,
    /// What is written, or expected, in one round.
    round: Vec<u8>,
    read: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr, version: Version, client_id: &str, round: Vec<u8>) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(harness::SOON)).unwrap();
        let read = vec![0; round.len()];
        let mut client = Self { stream, round, read };
        client.write(
            version,
            &Packet::Connect(Connect {
                version,
                bridge: false,
                clean_start: true,
                keep_alive: 0,
                client_id,
                will: None,
                user_name: None,
                password: None,
                properties: Properties::EMPTY,
            }),
        );
        client.skip_packet();
        client
    }

    fn write(&mut self, version: Version, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    /// CONNACK or SUBACK.
    fn skip_packet(&mut self) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).unwrap();
        let mut body = vec![0; usize::from(head[1])];
        self.stream.read_exact(&mut body).unwrap();
    }

    fn subscribe(&mut self, version: Version, filter: &str) {
        let mut raw = Vec::new();
        SubscribeFilters::encode_one(filter, SubscriptionOptions::default(), &mut raw).unwrap();
        let filters = SubscribeFilters::from_encoded(version, &raw).unwrap();
        let packet_id = PacketId::new(1).unwrap();
        self.write(
            version,
            &Packet::Subscribe(Subscribe { packet_id, properties: Properties::EMPTY, filters }),
        );
        self.skip_packet();
    }

    fn publish_round(&mut self) {
        self.stream.write_all(&self.round).unwrap();
    }

    fn receive_round(&mut self) {
        self.stream.read_exact(&mut self.read).unwrap();
        assert_eq!(self.read, self.round, "each subscriber gets what its publisher sent, as it was sent");
    }
}

fn publishes(version: Version, topic: &str) -> Vec<u8> {
    let publish = Packet::Publish(Publish {
        dup: false,
        qos: Qos::AtMostOnce,
        retain: false,
        topic: TopicName::new(topic).unwrap(),
        packet_id: None,
        properties: Properties::EMPTY,
        payload: b"sixteen bytes it",
    });
    let mut bytes = Vec::new();
    (0..PUBLISHES_PER_WRITE).for_each(|_| publish.encode(version, &mut bytes));
    bytes
}

fn run(rounds: usize, publishers: &mut [Client], subscribers: &mut [Client]) {
    for _ in 0..rounds {
        publishers.iter_mut().for_each(Client::publish_round);
        subscribers.iter_mut().for_each(Client::receive_round);
    }
}

/// Blocks taken from the allocator, grown and given back while the rounds ran.
fn taken(shards: u16, version: Version) -> usize {
    let broker = harness::options(DriverChoice::Epoll, shards).sys_interval(0).start().unwrap();
    let address = broker.addresses()[0];
    let topic = |pair: usize| format!("site/{pair}/temperature");
    let client = |name: &str, pair: usize| {
        Client::new(address, version, &format!("{name}{pair}"), publishes(version, &topic(pair)))
    };
    let mut subscribers: Vec<Client> = (0..PAIRS).map(|pair| client("subscriber", pair)).collect();
    subscribers.iter_mut().enumerate().for_each(|(pair, client)| client.subscribe(version, &topic(pair)));
    let mut publishers: Vec<Client> = (0..PAIRS).map(|pair| client("publisher", pair)).collect();
    run(ROUNDS, &mut publishers, &mut subscribers);
    let region = Region::new(ALLOCATOR);
    run(ROUNDS, &mut publishers, &mut subscribers);
    let change = region.change();
    broker.stop();
    change.allocations + change.reallocations + change.deallocations
}

#[test]
fn a_publish_takes_no_memory() {
    for shards in [1, 2] {
        for version in [Version::V311, Version::V5] {
            let taken = taken(shards, version);
            let publishes = ROUNDS * PAIRS * PUBLISHES_PER_WRITE;
            assert!(
                taken <= BESIDE_MAX,
                "{taken} calls of the allocator for {publishes} publishes, {} at {shards} shards",
                version.name()
            );
        }
    }
}
