//! CONNECT, SUBSCRIBE and PUBLISH in one write, split anywhere, to every shard, moving and not.

use ringmq_wire::Version;

use super::VERSIONS;
use crate::harness::packets::{self, with_qos};
use crate::harness::world::{Setup, World};
use crate::harness::{AckKind, Hello, NetId, Post, Seen};

const SHARDS: usize = 3;

fn everything(version: Version, id: &str) -> Vec<u8> {
    let mut bytes = Hello::new(version, id).encode();
    bytes.extend(packets::subscribe(version, 1, &[("t/+", with_qos(1))], None));
    bytes.extend(Post::new("t/1", "hello", 1, 2).encode(version));
    bytes.extend(packets::pingreq(version));
    bytes
}

fn check(world: &mut World, net: NetId, what: &str) {
    world.run();
    let seen = world.seen(net);
    assert!(matches!(&seen[..], [Seen::Connack(first), ..] if first.reason == 0), "{what}: {seen:?}");
    assert_eq!(seen.get(1), Some(&Seen::Suback(1, vec![1])), "{what}: {seen:?}");
    assert_eq!(seen.len(), 5, "{what}: CONNACK, SUBACK, PUBLISH, PUBACK, PINGRESP: {seen:?}");
    assert!(seen.contains(&Seen::Ack(AckKind::Puback, 2, 0)), "{what}: {seen:?}");
    assert!(seen.contains(&Seen::Pingresp), "{what}: {seen:?}");
    let publish = super::publishes(seen).remove(0);
    assert_eq!(
        (publish.topic.as_str(), publish.payload.as_slice(), publish.qos),
        ("t/1", &b"hello"[..], 1),
        "{what}"
    );
}

fn at_every_split(moving: bool) {
    for version in VERSIONS {
        let bytes = everything(version, "one-write");
        for shard in 0..SHARDS {
            for split in 0..=bytes.len() {
                let mut world = World::new(&Setup::new(SHARDS, split as u64).moving(moving));
                let net = world.dial(shard, version);
                world.send(net, &bytes[..split]);
                world.run();
                world.send(net, &bytes[split..]);
                check(&mut world, net, &format!("{} at shard {shard}, split at {split}", version.name()));
            }
        }
    }
}

#[test]
fn at_every_split_with_moving() {
    at_every_split(true);
}

#[test]
fn at_every_split_without_moving() {
    at_every_split(false);
}

#[test]
fn byte_by_byte_in_a_ragged_world() {
    for seed in 0..200 {
        let moving = seed % 2 == 0;
        let mut setup = Setup::new(SHARDS, seed).moving(moving);
        setup.lane_capacity = 1;
        setup.settings.tunnel_window_bytes = 64;
        setup.settings.park_bytes_max = 64;
        let mut world = World::new(&setup);
        world.ragged = true;
        let net = world.dial(seed as usize % SHARDS, Version::V5);
        for byte in everything(Version::V5, "byte-by-byte") {
            world.send(net, &[byte]);
            world.step();
        }
        check(&mut world, net, &format!("seed {seed}"));
    }
}

#[test]
fn a_moved_connection_moves_once_and_others_never() {
    let mut moved = 0;
    for shard in 0..SHARDS {
        let mut world = World::new(&Setup::new(SHARDS, 7));
        let net = world.join(shard, &Hello::new(Version::V311, "mover"));
        assert_eq!(world.nets[net.0].moves, u32::from(world.shard_of(net) != Some(shard)));
        moved += world.nets[net.0].moves;
    }
    assert_eq!(moved, SHARDS as u32 - 1, "all connections of one ClientID meet at one shard");
    for shard in 0..SHARDS {
        let mut world = World::new(&Setup::new(SHARDS, 7).moving(false));
        let net = world.join(shard, &Hello::new(Version::V311, "stayer"));
        assert_eq!(world.shard_of(net), Some(shard));
    }
}

#[test]
fn an_assigned_client_id_stays_where_it_was_accepted() {
    for shard in 0..SHARDS {
        let mut world = World::new(&Setup::new(SHARDS, 11));
        let net = world.dial(shard, Version::V5);
        let seen = world.ask(net, &Hello::new(Version::V5, "").encode());
        let [Seen::Connack(connack)] = &seen[..] else { panic!("{seen:?}") };
        assert!(
            connack.assigned_id.as_ref().is_some_and(|id| !id.is_empty()),
            "[MQTT-3.2.2-16]: {connack:?}"
        );
        assert_eq!(world.nets[net.0].moves, 0);
        let other = world.dial(shard, Version::V311);
        let seen = world.ask(other, &Hello::new(Version::V311, "").clean(false).encode());
        let [Seen::Connack(connack)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(connack.reason, 0x85, "no ClientID and no clean session [MQTT-3.1.3-8]");
    }
}
