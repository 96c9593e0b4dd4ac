//! Shared subscriptions: who of a group gets a message, and what becomes of it when that member leaves.

use ringmq_wire::{ReasonCode, Version};

use super::{payloads, publishes, read_all, subscribe};
use crate::harness::packets::{self, AckKind};
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Post, Seen};

const FILTER: &str = "$share/group/t/#";

fn broker(shards: usize, seed: u64) -> World {
    let mut setup = Setup::new(shards, seed);
    setup.settings.inflight_messages_max = 50;
    World::new(&setup)
}

fn publish(world: &mut World, net: NetId, count: u16, qos: u8) {
    let version = world.nets[net.0].version;
    for number in 1..=count {
        world.send(net, &Post::new("t/1", number.to_string(), qos, number).encode(version));
        if number % 20 == 0 {
            world.run();
        }
    }
    world.run();
}

fn sorted(mut texts: Vec<String>) -> Vec<u32> {
    texts.sort();
    let mut numbers: Vec<u32> = texts.iter().map(|text| text.parse().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn online_members_share_the_load() {
    for shards in [1, 2, 3] {
        for qos in [0, 1, 2] {
            let mut world = broker(shards, u64::from(qos));
            let members: Vec<NetId> = (0..3)
                .map(|n| {
                    let net =
                        world.join(0, &Hello::new(Version::V5, &super::id_on("member", n % shards, shards)));
                    subscribe(&mut world, net, FILTER, qos);
                    net
                })
                .take(if shards == 1 { 1 } else { shards })
                .collect();
            let writer = world.join(0, &Hello::new(Version::V5, "writer"));
            let mut all = Vec::new();
            for _ in 0..3 {
                publish(&mut world, writer, 20, qos);
                let _ = read_all(&mut world, writer);
                for member in &members {
                    let got = read_all(&mut world, *member);
                    assert!(members.len() == 1 || got.len() < 20, "one member got everything");
                    all.extend(payloads(&got));
                }
            }
            assert_eq!(all.len(), 60, "{shards} shards, QoS {qos}: each message goes to one member");
        }
    }
}

#[test]
fn two_members_on_one_shard_share_the_load() {
    let mut world = broker(1, 9);
    let members = ["left", "right"].map(|id| {
        let net = world.join(0, &Hello::new(Version::V311, id));
        subscribe(&mut world, net, FILTER, 1);
        net
    });
    let writer = world.join(0, &Hello::new(Version::V311, "writer"));
    publish(&mut world, writer, 60, 1);
    let counts = members.map(|member| read_all(&mut world, member).len());
    assert_eq!(counts[0] + counts[1], 60);
    assert!(counts.iter().all(|count| *count >= 15), "{counts:?}");
}

#[test]
fn what_a_lost_member_had_not_acknowledged_goes_to_another() {
    for shards in [1, 2] {
        let mut world = broker(shards, 10);
        let lost = world.join(0, &Hello::new(Version::V5, &super::id_on("lost", 0, shards)));
        subscribe(&mut world, lost, FILTER, 1);
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        publish(&mut world, writer, 10, 1);
        assert_eq!(publishes(world.seen(lost)).len(), 10);
        let other = world.join(0, &Hello::new(Version::V5, &super::id_on("other", shards - 1, shards)));
        subscribe(&mut world, other, FILTER, 1);
        world.hang_up(lost, 0);
        world.run();
        let got = sorted(payloads(&read_all(&mut world, other)));
        assert_eq!(got, (1..=10).collect::<Vec<u32>>(), "{shards} shards");
        assert_eq!(world.counter(|c| &c.queued), 0);
    }
}

#[test]
fn qos_2_once_sent_stays_with_its_members_session() {
    for shards in [1, 2] {
        let mut world = broker(shards, 11);
        let id = super::id_on("first", 0, shards);
        let first = world.join(0, &Hello::new(Version::V5, &id).persistent());
        subscribe(&mut world, first, FILTER, 2);
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        publish(&mut world, writer, 5, 2);
        assert_eq!(publishes(world.seen(first)).len(), 5);
        let other = world.join(0, &Hello::new(Version::V5, &super::id_on("other", shards - 1, shards)));
        subscribe(&mut world, other, FILTER, 2);
        world.hang_up(first, 0);
        world.run();
        assert_eq!(read_all(&mut world, other), vec![], "[MQTT-4.8.2-4]");
        let again = world.join(0, &Hello::new(Version::V5, &id).persistent());
        let got = read_all(&mut world, again);
        assert!(got.iter().all(|publish| publish.dup), "{got:?}");
        assert_eq!(sorted(payloads(&got)), [1, 2, 3, 4, 5]);
        world.send(again, &packets::disconnect(Version::V5, ReasonCode::NORMAL_DISCONNECTION));
        world.run();
        assert_eq!(read_all(&mut world, other), vec![], "[MQTT-4.8.2-5]");
    }
}

#[test]
fn an_error_acknowledgement_discards_the_message() {
    for shards in [1, 2] {
        let mut world = broker(shards, 12);
        let members = [0, shards - 1].map(|shard| {
            let name = if shard == 0 { "a" } else { "b" };
            let net = world.join(0, &Hello::new(Version::V5, &super::id_on(name, shard, shards)));
            subscribe(&mut world, net, FILTER, 1);
            net
        });
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        publish(&mut world, writer, 1, 1);
        let holder = members.into_iter().find_map(|net| {
            let got = publishes(world.seen(net));
            got.first().map(|publish| (net, publish.id))
        });
        let (net, id) = holder.expect("one member has it");
        world.send(net, &packets::ack(Version::V5, AckKind::Puback, id, ReasonCode::UNSPECIFIED_ERROR));
        world.run();
        for member in members {
            assert_eq!(world.seen(member), vec![], "[MQTT-4.8.2-6]");
        }
        assert_eq!(world.counter(|c| &c.queued), 0);
    }
}

#[test]
fn with_nobody_online_a_member_whose_session_lives_keeps_it() {
    for shards in [1, 2] {
        let mut world = broker(shards, 13);
        let id = super::id_on("sleeper", 0, shards);
        let sleeper = world.join(0, &Hello::new(Version::V5, &id).persistent());
        subscribe(&mut world, sleeper, FILTER, 1);
        world.hang_up(sleeper, 0);
        world.run();
        let writer = world.join(0, &Hello::new(Version::V5, &super::id_on("writer", shards - 1, shards)));
        publish(&mut world, writer, 7, 1);
        let seen = world.seen(writer);
        assert_eq!(seen.len(), 7, "{seen:?}");
        assert!(seen.iter().all(|seen| matches!(seen, Seen::Ack(AckKind::Puback, _, 0))), "{seen:?}");
        let again = world.join(0, &Hello::new(Version::V5, &id).persistent());
        let got = sorted(payloads(&read_all(&mut world, again)));
        assert_eq!(got, (1..=7).collect::<Vec<u32>>());
    }
}

#[test]
fn an_online_member_is_preferred_to_an_absent_one() {
    for shards in [1, 2] {
        let mut world = broker(shards, 14);
        let sleeper =
            world.join(0, &Hello::new(Version::V5, &super::id_on("sleeper", 0, shards)).persistent());
        subscribe(&mut world, sleeper, FILTER, 1);
        world.hang_up(sleeper, 0);
        let awake = world.join(0, &Hello::new(Version::V5, &super::id_on("awake", shards - 1, shards)));
        subscribe(&mut world, awake, FILTER, 1);
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        publish(&mut world, writer, 8, 1);
        assert_eq!(read_all(&mut world, awake).len(), 8, "{shards} shards");
    }
}

#[test]
fn retained_messages_are_not_sent_to_shared_subscriptions() {
    let mut world = broker(2, 15);
    let writer = world.join(0, &Hello::new(Version::V5, "writer"));
    world.ask(writer, &Post::new("t/1", "kept", 1, 1).retained().encode(Version::V5));
    let member = world.join(1, &Hello::new(Version::V5, "member"));
    subscribe(&mut world, member, FILTER, 1);
    assert_eq!(read_all(&mut world, member), vec![]);
}
