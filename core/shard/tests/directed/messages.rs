//! What a subscriber sees of one message: one copy with all identifiers, not its own when it says so, at the
//! right QoS, and nothing larger than it takes.

use ringmq_wire::{Property, SubscriptionOptions, Version};

use super::{payloads, publishes, read_all, subscribe};
use crate::harness::packets::{self, AckKind, with_qos};
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, Post, Seen};

#[test]
fn overlapping_subscriptions_give_one_copy_with_all_identifiers() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 1));
        let reader = world.join(0, &Hello::new(Version::V5, "reader"));
        for (number, filter, qos) in [(1, "a/#", 0), (2, "a/+", 2), (3, "+/b", 1), (4, "c", 2)] {
            world.ask(
                reader,
                &packets::subscribe(Version::V5, number, &[(filter, with_qos(qos))], Some(number.into())),
            );
        }
        let writer = world.join(shards - 1, &Hello::new(Version::V5, "writer"));
        world.send(writer, &Post::new("a/b", "x", 2, 1).encode(Version::V5));
        let got = read_all(&mut world, reader);
        assert_eq!(got.len(), 1, "{got:?}");
        let mut identifiers = got[0].subscription_ids.clone();
        identifiers.sort_unstable();
        assert_eq!(
            (identifiers.as_slice(), got[0].qos),
            (&[1, 2, 3][..], 2),
            "[MQTT-3.3.4-2] [MQTT-3.3.4-4]"
        );
    }
}

#[test]
fn no_local_keeps_a_clients_own_messages_away() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 2));
        let net = world.join(0, &Hello::new(Version::V5, "loner"));
        let deaf = SubscriptionOptions { no_local: true, ..with_qos(1) };
        world.ask(net, &packets::subscribe(Version::V5, 1, &[("t", deaf)], None));
        assert_eq!(
            publishes(world.ask(net, &Post::new("t", "own", 0, 0).encode(Version::V5))),
            vec![],
            "[MQTT-3.8.3-3]"
        );
        let other = world.join(0, &Hello::new(Version::V5, "other"));
        world.ask(other, &Post::new("t", "other", 0, 0).encode(Version::V5));
        assert_eq!(payloads(&publishes(world.seen(net))), ["other"]);
    }
}

#[test]
fn dollar_topics_are_not_matched_by_wildcards_in_front() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 3));
        let net = world.join(0, &Hello::new(Version::V311, "c"));
        for filter in ["#", "+/a"] {
            subscribe(&mut world, net, filter, 0);
        }
        assert_eq!(
            publishes(world.ask(net, &Post::new("$x/a", "1", 0, 0).encode(Version::V311))),
            vec![],
            "[MQTT-4.7.2-1]"
        );
        subscribe(&mut world, net, "$x/#", 0);
        assert_eq!(publishes(world.ask(net, &Post::new("$x/a", "2", 0, 0).encode(Version::V311))).len(), 1);
    }
}

#[test]
fn nobody_subscribes_is_said_to_5() {
    for shards in [1, 2, 4] {
        let mut world = World::new(&Setup::new(shards, 4));
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        let seen = world.ask(writer, &Post::new("nobody", "x", 1, 1).encode(Version::V5));
        assert_eq!(seen, vec![Seen::Ack(AckKind::Puback, 1, 0x10)]);
        let reader = world.join(shards - 1, &Hello::new(Version::V5, "reader"));
        subscribe(&mut world, reader, "nobody", 0);
        let seen = world.ask(writer, &Post::new("nobody", "x", 1, 2).encode(Version::V5));
        assert_eq!(seen, vec![Seen::Ack(AckKind::Puback, 2, 0x00)]);
    }
}

#[test]
fn what_is_too_large_for_a_client_is_not_sent_and_counted() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 5));
        let mut hello = Hello::new(Version::V5, "small");
        hello.properties.push_u32(Property::MaximumPacketSize, 100);
        let reader = world.join(0, &hello);
        subscribe(&mut world, reader, "t", 1);
        let writer = world.join(shards - 1, &Hello::new(Version::V5, "writer"));
        for (id, bytes) in [(1, 10), (2, 200), (3, 20)] {
            world.send(writer, &Post::new("t", vec![b'x'; bytes], 1, id).encode(Version::V5));
        }
        let got = read_all(&mut world, reader);
        assert_eq!(got.iter().map(|p| p.payload.len()).collect::<Vec<_>>(), [10, 20], "[MQTT-3.1.2-24]");
        assert_eq!(world.counter(|c| &c.dropped_too_large), 1);
        assert_eq!(world.counter(|c| &c.queued), 0);
    }
}

#[test]
fn large_payloads_cross_shards_whole() {
    for bytes in [0, 1, 2_047, 2_048, 2_049, 70_000, 3_000_000] {
        let mut setup = Setup::new(2, 6);
        setup.settings.connect_packet_bytes_max = 1 << 16;
        let mut world = World::new(&setup);
        let reader = world.join(0, &Hello::new(Version::V5, &super::id_on("reader", 0, 2)));
        subscribe(&mut world, reader, "t", 1);
        let writer = world.join(1, &Hello::new(Version::V311, &super::id_on("writer", 1, 2)));
        let payload: Vec<u8> = (0..bytes).map(|n: u32| (n % 251) as u8).collect();
        world.send(writer, &Post::new("t", &payload, 1, 1).encode(Version::V311));
        let got = read_all(&mut world, reader);
        assert!(got.len() == 1 && got[0].payload == payload, "{bytes} bytes");
        assert_eq!(world.seen(writer), vec![Seen::Ack(AckKind::Puback, 1, 0)]);
    }
}

#[test]
fn large_and_small_payloads_close_behind_each_other_arrive_whole_and_in_order() {
    let sizes = [100_000, 5, 70_000, 65_500, 0, 300_000, 300_001, 2_000, 90_000];
    let payload = |(number, bytes): (usize, &usize)| vec![number as u8; *bytes];
    let posted: Vec<Vec<u8>> = sizes.iter().enumerate().map(payload).collect();
    for (shards, seed) in [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)] {
        let mut world = World::new(&Setup::new(shards, seed));
        (world.read_bytes_max, world.ragged) = (64 << 10, true);
        let reader = world.join(0, &Hello::new(Version::V5, &super::id_on("reader", 0, shards)));
        subscribe(&mut world, reader, "t", 1);
        let writer = world.join(0, &Hello::new(Version::V311, &super::id_on("writer", shards - 1, shards)));
        for (number, payload) in posted.iter().enumerate() {
            world.send(writer, &Post::new("t", payload, 1, number as u16 + 1).encode(Version::V311));
        }
        let got = read_all(&mut world, reader);
        let same = got.iter().map(|publish| &publish.payload).eq(&posted);
        assert!(same, "{:?}", got.iter().map(|publish| publish.payload.len()).collect::<Vec<_>>());
    }
}

#[test]
fn more_than_the_receive_maximum_is_a_fault() {
    let mut setup = Setup::new(1, 7);
    setup.settings.offer.receive_maximum = 3;
    let mut world = World::new(&setup);
    let writer = world.join(0, &Hello::new(Version::V5, "writer"));
    for id in 1..=3 {
        world.send(writer, &Post::new("t", "x", 2, id).encode(Version::V5));
    }
    world.run();
    let received = |seen: &Seen| matches!(seen, Seen::Ack(AckKind::Pubrec, _, 0x10));
    assert_eq!(world.seen(writer).iter().filter(|seen| received(seen)).count(), 3);
    let seen = world.ask(writer, &Post::new("t", "x", 2, 4).encode(Version::V5));
    assert_eq!(seen, vec![Seen::Disconnect(0x93)], "[MQTT-3.3.4-7]");
    assert!(world.nets[writer.0].closed());
}
