//! What goes past the queue is what would have come out of it: the same bytes for every version, nothing that
//! belongs to the publisher's hop alone, nothing too large or expired, and in its order.

use ringmq_wire::{PacketKind, Property, Qos, Version};

use super::{VERSIONS, payloads, publishes, subscribe};
use crate::harness::packets::{self, AckKind, with_qos};
use crate::harness::steps::Step;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, Post, Seen};

/// A post with everything that a publisher of 5.0 may say.
fn rich(alias: bool) -> Post {
    let mut post = Post::new("a/b", "payload", 0, 0).expiry(60);
    post.properties.push_user("name", "value");
    if alias {
        post.properties.push_u16(Property::TopicAlias, 1);
    }
    post
}

#[test]
fn every_version_gets_what_every_version_says() {
    for shards in [1, 2] {
        for from in VERSIONS {
            for to in VERSIONS {
                for alias in [false, true] {
                    let mut world = World::new(&Setup::new(shards, 3));
                    let reader = world.join(0, &Hello::new(to, "reader"));
                    subscribe(&mut world, reader, "a/#", 0);
                    let writer = world.join(shards - 1, &Hello::new(from, "writer"));
                    let post =
                        if from == Version::V5 { rich(alias) } else { Post::new("a/b", "payload", 0, 0) };
                    world.ask(writer, &post.encode(from));
                    let got = publishes(world.seen(reader));
                    let what = format!("{} to {}, alias {alias}", from.name(), to.name());
                    assert_eq!(got.len(), 1, "{what}");
                    let got = &got[0];
                    assert_eq!(
                        (got.topic.as_str(), got.payload.as_slice()),
                        ("a/b", &b"payload"[..]),
                        "{what}"
                    );
                    assert_eq!((got.qos, got.dup, got.retain, got.alias), (0, false, false, None), "{what}");
                    let rich = from == Version::V5 && to == Version::V5;
                    assert_eq!(got.expiry_seconds, rich.then_some(60), "{what}");
                    assert_eq!(got.user_properties.len(), usize::from(rich), "{what}");
                }
            }
        }
    }
}

#[test]
fn dup_does_not_go_on() {
    let mut world = World::new(&Setup::new(1, 3));
    let reader = world.join(0, &Hello::new(Version::V311, "reader"));
    subscribe(&mut world, reader, "t", 0);
    let writer = world.join(0, &Hello::new(Version::V31, "writer"));
    let mut bytes = Post::new("t", "x", 0, 0).encode(Version::V31);
    assert_eq!(bytes[0], PacketKind::Publish.number() << 4);
    bytes[0] |= 1 << 3;
    world.ask(writer, &bytes);
    // The codec of the test refuses a QoS 0 publish with DUP [MQTT-3.3.1-2].
    let got = publishes(world.seen(reader));
    assert_eq!((got.len(), got[0].dup), (1, false));
}

#[test]
fn an_identifier_and_an_alias_are_added() {
    let mut world = World::new(&Setup::new(1, 3));
    let mut hello = Hello::new(Version::V5, "reader");
    hello.properties.push_u16(Property::TopicAliasMaximum, 4);
    let reader = world.join(0, &hello);
    world.ask(reader, &packets::subscribe(Version::V5, 1, &[("long/topic", with_qos(0))], Some(7)));
    let plain = world.join(0, &Hello::new(Version::V5, "plain"));
    subscribe(&mut world, plain, "long/topic", 0);
    let writer = world.join(0, &Hello::new(Version::V5, "writer"));
    for number in 0..3 {
        world.ask(writer, &Post::new("long/topic", [number], 0, 0).encode(Version::V5));
    }
    let got = publishes(world.seen(reader));
    assert!(got.iter().all(|publish| publish.subscription_ids == [7]), "{got:?}");
    assert_eq!(got.iter().map(|publish| publish.alias).collect::<Vec<_>>(), [None, Some(1), Some(1)]);
    assert_eq!((got[1].topic.as_str(), got[2].topic.as_str()), ("long/topic", ""), "[MQTT-3.3.2-8]");
    let got = publishes(world.seen(plain));
    assert!(got.iter().all(|publish| publish.topic == "long/topic" && publish.alias.is_none()), "{got:?}");
}

#[test]
fn what_is_too_large_or_expired_is_dropped_and_counted() {
    for from in [Version::V311, Version::V5] {
        let mut world = World::new(&Setup::new(1, 3));
        let mut hello = Hello::new(Version::V5, "reader");
        hello.properties.push_u32(Property::MaximumPacketSize, 100);
        let reader = world.join(0, &hello);
        subscribe(&mut world, reader, "t", 0);
        let writer = world.join(0, &Hello::new(from, "writer"));
        world.ask(writer, &Post::new("t", vec![0; 100], 0, 0).encode(from));
        assert_eq!(publishes(world.seen(reader)), vec![], "[MQTT-3.1.2-24]");
        assert_eq!(world.counter(|c| &c.dropped_too_large), 1);
        if from == Version::V5 {
            world.ask(writer, &Post::new("t", "late", 0, 0).expiry(0).encode(from));
            assert_eq!(publishes(world.seen(reader)), vec![], "[MQTT-3.3.2-5]");
            assert_eq!(world.counter(|c| &c.dropped_expired), 1);
        }
        world.ask(writer, &Post::new("t", "fits", 0, 0).encode(from));
        assert_eq!(payloads(&publishes(world.seen(reader))), ["fits"]);
    }
}

#[test]
fn nothing_overtakes_what_waits_in_the_queue() {
    let mut setup = Setup::new(1, 3);
    setup.settings.output_high_water_bytes = 100;
    setup.settings.queue_messages_max = 10_000;
    let mut world = World::new(&setup);
    let reader = world.join(0, &Hello::new(Version::V311, "reader"));
    subscribe(&mut world, reader, "t", 0);
    let writer = world.join(0, &Hello::new(Version::V311, "writer"));
    world.nets[reader.0].stalled = true;
    let numbers: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    for part in numbers.chunks(100) {
        let bytes: Vec<u8> =
            part.iter().flat_map(|n| Post::new("t", n, 0, 0).encode(Version::V311)).collect();
        world.ask(writer, &bytes);
    }
    assert!(world.counter(|c| &c.queued) > 900, "most of it waits");
    world.nets[reader.0].stalled = false;
    world.run();
    assert_eq!(payloads(&publishes(world.seen(reader))), numbers);
}

#[test]
fn acknowledged_messages_keep_their_order_and_their_window() {
    let mut world = World::new(&Setup::new(1, 3));
    let reader = world.join(0, &Hello::new(Version::V5, "reader").receive_maximum(2));
    subscribe(&mut world, reader, "t", 1);
    let writer = world.join(0, &Hello::new(Version::V5, "writer"));
    let posts =
        (1..=5).flat_map(|id| Post::new("t", [id as u8], 1, id).encode(Version::V5)).collect::<Vec<_>>();
    world.ask(writer, &posts);
    let (mut got, mut next) = (Vec::new(), publishes(world.seen(reader)));
    while !next.is_empty() {
        assert!(next.len() <= 2, "[MQTT-3.3.4-9]: {next:?}");
        let acks: Vec<u8> = next
            .iter()
            .flat_map(|p| packets::ack(Version::V5, AckKind::Puback, p.id, ringmq_wire::ReasonCode::SUCCESS))
            .collect();
        assert!(next.iter().all(|p| Qos::from_u8(p.qos) == Some(Qos::AtLeastOnce) && !p.dup));
        got.extend(next.iter().map(|p| p.payload[0]));
        next = publishes(world.ask(reader, &acks));
    }
    assert_eq!(got, [1, 2, 3, 4, 5]);
    let acks = world.seen(writer).into_iter().filter(|s| matches!(s, Seen::Ack(AckKind::Puback, ..))).count();
    assert_eq!(acks, 0, "what was asked was taken with the answer");
}

/// What comes to the high-water mark is written before more is taken in, once: a client that keeps up loses nothing of a
/// burst, and one that does not read does not have everybody write.
#[test]
fn output_at_its_high_water_mark_is_to_be_written_at_once() {
    // A packet has 105 bytes, of 5.0 106: so many stand beyond the mark until the others are queued.
    for (versions, straight) in [((Version::V311, Version::V311), 39), ((Version::V311, Version::V5), 38)] {
        let mut setup = Setup::new(1, 3);
        setup.settings.output_high_water_bytes = 1_000;
        setup.settings.queue_messages_max = 10;
        let mut world = World::new(&setup);
        let reader = world.join(0, &Hello::new(versions.1, "reader"));
        subscribe(&mut world, reader, "t", 0);
        let writer = world.join(0, &Hello::new(versions.0, "writer"));
        let mut wanted = Vec::new();
        for stalled in [false, true] {
            world.nets[reader.0].stalled = stalled;
            for number in 0..60 {
                world.send(writer, &Post::new("t", [number; 100], 0, 0).encode(versions.0));
                world.take(Step::Read(writer));
                if world.wants_flush(0) {
                    wanted.push((stalled, number));
                    world.run();
                } else if stalled {
                    world.run();
                } else {
                    // Others go on in the same turn.
                    world.nets[writer.0].read_this_turn = false;
                }
            }
            world.run();
        }
        let expected: Vec<_> = (0..6).map(|n| (false, n * 10 + 9)).chain([(true, 9)]).collect();
        assert_eq!(wanted, expected, "{versions:?}");
        assert_eq!(world.counter(|c| &c.dropped_queue_qos0), 60 - straight - 10, "{versions:?}");
    }
}
