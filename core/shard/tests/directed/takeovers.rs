//! A second connection of a ClientID: the old one is told and closed, the session goes on or not as promised.

use ringmq_wire::{Qos, Version};

use super::{VERSIONS, payloads, publishes, read_all, subscribe};
use crate::harness::packets;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Post, Seen};

fn connack(world: &mut World, net: NetId, hello: &Hello) -> bool {
    let seen = world.ask(net, &hello.encode());
    let Some(Seen::Connack(connack)) = seen.first() else { panic!("{seen:?}") };
    assert_eq!(connack.reason, 0);
    connack.session_present
}

#[test]
fn the_old_connection_is_told_and_closed() {
    for version in VERSIONS {
        for (old_shard, new_shard) in [(0, 0), (0, 1), (1, 0), (1, 2)] {
            for moving in [true, false] {
                let mut world = World::new(&Setup::new(3, 1).moving(moving));
                let hello = Hello::new(version, "twice");
                let old = world.join(old_shard, &hello);
                let new = world.dial(new_shard, version);
                assert!(!connack(&mut world, new, &hello), "a clean session is not resumed");
                let last = world.seen(old);
                let expected = if version == Version::V5 { vec![Seen::Disconnect(0x8e)] } else { vec![] };
                assert_eq!(last, expected, "[MQTT-3.1.4-3]");
                assert!(world.nets[old.0].closed());
                assert!(!world.nets[new.0].closed());
                assert_eq!(world.counter(|c| &c.sessions), 1);
                assert_eq!(world.counter(|c| &c.takeovers), 1);
            }
        }
    }
}

#[test]
fn a_persistent_session_goes_on_where_it_was() {
    for version in VERSIONS {
        for moving in [true, false] {
            let mut world = World::new(&Setup::new(3, 2).moving(moving));
            let hello = Hello::new(version, "keeper").persistent();
            let old = world.join(0, &hello);
            subscribe(&mut world, old, "t", 2);
            let writer = world.join(1, &Hello::new(version, "writer"));
            for (id, qos) in [(1, 1), (2, 2), (3, 1)] {
                world.send(writer, &Post::new("t", id.to_string(), qos, id).encode(version));
            }
            world.run();
            let first = publishes(world.seen(old));
            assert_eq!(payloads(&first), ["1", "2", "3"]);
            let new = world.dial(2, version);
            world.send(new, &hello.encode());
            world.run();
            let Some(Seen::Connack(connack)) = world.next_seen(new) else { panic!("no CONNACK") };
            assert_eq!(connack.session_present, version != Version::V31, "[MQTT-3.2.2-3]");
            let again = read_all(&mut world, new);
            assert_eq!(payloads(&again), ["1", "2", "3"], "[MQTT-4.4.0-1]");
            assert!(again.iter().all(|publish| publish.dup), "[MQTT-3.3.1-1]");
            let ids = |list: &[crate::harness::SeenPublish]| list.iter().map(|p| p.id).collect::<Vec<_>>();
            assert_eq!(ids(&first), ids(&again), "repetitions keep their packet ids");
        }
    }
}

#[test]
fn a_clean_start_leaves_nothing_of_the_old_session() {
    for shards in [1, 3] {
        let mut world = World::new(&Setup::new(shards, 3));
        let hello = Hello::new(Version::V5, "keeper").persistent();
        let old = world.join(0, &hello);
        subscribe(&mut world, old, "t", 1);
        world.hang_up(old, 0);
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        world.ask(writer, &Post::new("t", "x", 1, 1).encode(Version::V5));
        let new = world.dial(shards - 1, Version::V5);
        assert!(!connack(&mut world, new, &hello.clone().clean(true)), "[MQTT-3.2.2-2]");
        assert_eq!(world.seen(new), vec![]);
        assert_eq!(world.counter(|c| &c.subscriptions), 0);
        assert_eq!(world.counter(|c| &c.queued), 0);
        assert_eq!(world.counter(|c| &c.dropped_session_ended), 1, "what was queued is counted");
    }
}

#[test]
fn the_will_of_a_connection_that_is_taken_over() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 4));
        let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
        subscribe(&mut world, watcher, "w", 0);
        let hello = Hello::new(Version::V5, "twice").persistent().will("w", b"now", Qos::AtMostOnce, false);
        world.join(0, &hello);
        world.join(shards - 1, &Hello::new(Version::V5, "twice").persistent());
        assert_eq!(payloads(&publishes(world.seen(watcher))), ["now"], "[MQTT-3.1.2-8]");
        let delayed =
            Hello::new(Version::V5, "later").persistent().will("w", b"later", Qos::AtMostOnce, false);
        world.join(0, &delayed.will_delay(30));
        world.join(shards - 1, &Hello::new(Version::V5, "later").persistent());
        world.pass(60_000, 1_000);
        assert_eq!(world.seen(watcher), vec![], "resumed before the delay was over [MQTT-3.1.3-9]");
    }
}

#[test]
fn many_connections_of_one_client_id_end_in_one() {
    for seed in 0..40 {
        let mut setup = Setup::new(4, seed).moving(seed % 2 == 0);
        setup.lane_capacity = 1;
        setup.mood = crate::harness::Mood::Mixed(30);
        let mut world = World::new(&setup);
        let nets: Vec<NetId> = (0..12).map(|n| world.dial(n % 4, Version::V5)).collect();
        for net in &nets {
            world.send(*net, &Hello::new(Version::V5, "same").persistent().encode());
            world.send(*net, &packets::pingreq(Version::V5));
            for _ in 0..4 {
                world.step();
            }
        }
        world.run_answering();
        let open = nets.iter().filter(|net| !world.nets[net.0].closed()).count();
        assert_eq!(open, 1, "seed {seed}");
        assert_eq!(world.counter(|c| &c.sessions), 1, "seed {seed}");
        assert_eq!(world.counter(|c| &c.sessions_connected), 1, "seed {seed}");
        for net in nets {
            let closed = world.nets[net.0].closed();
            let seen = world.seen(net);
            assert!(
                !closed || seen.is_empty() || seen.contains(&Seen::Disconnect(0x8e)),
                "seed {seed}: {seen:?}"
            );
        }
    }
}
