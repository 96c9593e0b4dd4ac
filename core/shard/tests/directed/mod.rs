//! Directed tests: one promise each, with the order of things still left to a seeded scheduler. None of them
//! looks inside a shard.

mod administration;
mod budget;
mod circles;
mod deciders;
mod exchanges;
mod feeders;
mod forgotten;
mod found_by_fuzzing;
mod full_rings;
mod half_open;
mod hear_out;
mod hooks;
mod late_connects;
mod leaves_nothing;
mod local_handles;
mod logins;
mod long_matches;
mod mended;
mod mesh_full;
mod messages;
mod one_write;
mod queue_full;
mod reading;
mod refused_retained;
mod retained_pages;
mod shared_groups;
mod stop;
mod straight;
mod takeovers;
mod timeouts;
mod unread;

use ringmq_wire::{ReasonCode, Version};

use crate::harness::packets::{self, AckKind};
use crate::harness::steps::Step;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Seen, SeenPublish};

/// Versions that behave differently.
const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// The shard on which sessions of this ClientID live.
fn home_of(id: &str, shards: usize) -> usize {
    let mut world = World::new(&Setup::new(shards, 1));
    let net = world.join(0, &Hello::new(Version::V311, id));
    world.shard_of(net).expect("it lives somewhere")
}

/// A ClientID whose sessions live on this shard.
fn id_on(name: &str, shard: usize, shards: usize) -> String {
    (0..10_000)
        .map(|number| format!("{name}{number}"))
        .find(|id| home_of(id, shards) == shard)
        .expect("every shard has partitions")
}

/// The PUBLISH packets among what a client has received.
fn publishes(seen: Vec<Seen>) -> Vec<SeenPublish> {
    let publish = |seen| match seen {
        Seen::Publish(publish) => Some(publish),
        _ => None,
    };
    seen.into_iter().filter_map(publish).collect()
}

/// Payloads as text.
fn payloads(publishes: &[SeenPublish]) -> Vec<String> {
    publishes.iter().map(|publish| String::from_utf8_lossy(&publish.payload).into_owned()).collect()
}

/// Acknowledges what a client has received until nothing more comes; returns all publishes, in order.
fn read_all(world: &mut World, net: NetId) -> Vec<SeenPublish> {
    let mut all = Vec::new();
    loop {
        world.run();
        let seen = world.seen(net);
        if seen.is_empty() {
            return all;
        }
        let version = world.nets[net.0].version;
        for packet in seen {
            let answer = match &packet {
                Seen::Publish(publish) if publish.qos == 1 => Some((AckKind::Puback, publish.id)),
                Seen::Publish(publish) if publish.qos == 2 => Some((AckKind::Pubrec, publish.id)),
                Seen::Ack(AckKind::Pubrel, id, _) => Some((AckKind::Pubcomp, *id)),
                Seen::Ack(AckKind::Pubrec, id, 0) => Some((AckKind::Pubrel, *id)),
                _ => None,
            };
            if let Some((kind, id)) = answer {
                world.send(net, &packets::ack(version, kind, id, ReasonCode::SUCCESS));
            }
            if let Seen::Publish(publish) = packet {
                all.push(publish);
            }
        }
    }
}

/// Runs until only steps that are held back are possible.
fn run_without(world: &mut World, held_back: impl Fn(&Step) -> bool) {
    while let Some(step) = world.possible().into_iter().find(|step| !held_back(step)) {
        world.take(step);
    }
}

/// Subscribes and checks the SUBACK.
fn subscribe(world: &mut World, net: NetId, filter: &str, qos: u8) {
    let version = world.nets[net.0].version;
    let seen = world.ask(net, &packets::subscribe(version, 1, &[(filter, packets::with_qos(qos))], None));
    assert!(seen.contains(&Seen::Suback(1, vec![qos])), "no SUBACK for {filter}: {seen:?}");
}
