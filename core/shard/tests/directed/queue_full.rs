//! A full queue: who waits, how long, who pays, and what is counted.

use ringmq_shard::QueuePolicy;
use ringmq_wire::Version;

use super::{payloads, publishes, read_all, run_without, subscribe};
use crate::harness::packets;
use crate::harness::steps::Step;
use crate::harness::world::{Setup, World};
use crate::harness::{AckKind, Hello, NetId, Post, Seen};

const MESSAGES: u16 = 20;

struct Scene {
    world: World,
    reader: NetId,
    writer: NetId,
}

/// A subscriber that does not read, on one shard, and a publisher on another.
fn scene(policy: QueuePolicy, version: Version, shards: usize, seed: u64) -> Scene {
    let mut setup = Setup::new(shards, seed);
    setup.settings.queue_messages_max = 3;
    setup.settings.inflight_messages_max = 2;
    setup.settings.queue_policy = policy;
    setup.settings.publish_hold = 1_000;
    let mut world = World::new(&setup);
    let reader = world.join(0, &Hello::new(Version::V5, &super::id_on("reader", 0, shards)).persistent());
    subscribe(&mut world, reader, "t", 1);
    let writer = world.join(0, &Hello::new(version, &super::id_on("writer", shards - 1, shards)));
    world.nets[reader.0].stalled = true;
    Scene { world, reader, writer }
}

fn send_all(scene: &mut Scene) {
    let version = scene.world.nets[scene.writer.0].version;
    for id in 1..=MESSAGES {
        scene.world.send(scene.writer, &Post::new("t", id.to_string(), 1, id).encode(version));
    }
    scene.world.run();
}

fn acks(seen: &[Seen]) -> Vec<u16> {
    let ack = |seen: &Seen| match seen {
        Seen::Ack(AckKind::Puback, id, 0) => Some(*id),
        _ => None,
    };
    seen.iter().filter_map(ack).collect()
}

#[test]
fn the_ack_waits_for_a_connected_reader_and_nothing_is_lost() {
    for shards in [1, 2] {
        let mut scene = scene(QueuePolicy::Drop, Version::V5, shards, 1);
        send_all(&mut scene);
        let first = acks(&scene.world.seen(scene.writer));
        assert!(
            first.len() < usize::from(MESSAGES),
            "no acknowledgement before the session has taken the message"
        );
        assert!(scene.world.counter(|c| &c.publish_held) > 0 && scene.world.counter(|c| &c.held) > 0);
        scene.world.nets[scene.reader.0].stalled = false;
        let reader = scene.reader;
        let got = payloads(&read_all(&mut scene.world, reader));
        let expected: Vec<String> = (1..=MESSAGES).map(|id| id.to_string()).collect();
        assert_eq!(got, expected);
        let mut all = first;
        all.extend(acks(&scene.world.seen(scene.writer)));
        assert_eq!(all, (1..=MESSAGES).collect::<Vec<_>>(), "[MQTT-4.6.0-2]");
        assert_eq!(scene.world.counter(|c| &c.dropped_queue), 0);
        assert_eq!(scene.world.counter(|c| &c.queued) + scene.world.counter(|c| &c.held), 0);
    }
}

#[test]
fn a_held_publisher_is_still_heard() {
    for shards in [1, 2] {
        let mut scene = scene(QueuePolicy::Drop, Version::V5, shards, 2);
        send_all(&mut scene);
        let before = scene.world.seen(scene.writer);
        assert!(acks(&before).len() < usize::from(MESSAGES));
        let writer = scene.writer;
        let seen = scene.world.ask(writer, &packets::pingreq(Version::V5));
        assert_eq!(seen, vec![Seen::Pingresp], "a held publisher's pings are answered");
    }
}

#[test]
fn after_the_hold_only_the_full_session_pays() {
    for shards in [1, 2] {
        let mut scene = scene(QueuePolicy::Drop, Version::V5, shards, 3);
        let other = scene.world.join(0, &Hello::new(Version::V5, "other"));
        subscribe(&mut scene.world, other, "t", 1);
        send_all(&mut scene);
        let mut all = read_all(&mut scene.world, other);
        // The first is held, and nobody waits for the rest.
        scene.world.pass(1_100, 100);
        all.extend(read_all(&mut scene.world, other));
        assert_eq!(all.len(), usize::from(MESSAGES), "a full session does not keep a message from others");
        assert_eq!(acks(&scene.world.seen(scene.writer)), (1..=MESSAGES).collect::<Vec<_>>());
        scene.world.nets[scene.reader.0].stalled = false;
        let reader = scene.reader;
        let got = read_all(&mut scene.world, reader).len() as u64;
        let dropped = scene.world.counter(|c| &c.dropped_queue);
        assert!(dropped > 0);
        assert_eq!(got + dropped, u64::from(MESSAGES), "every message was delivered or counted as dropped");
    }
}

#[test]
fn an_offline_session_pays_at_once() {
    for shards in [1, 2] {
        let mut scene = scene(QueuePolicy::Drop, Version::V311, shards, 4);
        scene.world.hang_up(scene.reader, 0);
        scene.world.run();
        send_all(&mut scene);
        assert_eq!(
            acks(&scene.world.seen(scene.writer)).len(),
            usize::from(MESSAGES),
            "nobody waits for the absent"
        );
        assert_eq!(scene.world.counter(|c| &c.queued), 3);
        assert_eq!(scene.world.counter(|c| &c.dropped_queue), u64::from(MESSAGES) - 3);
        let reader = Hello::new(Version::V5, &super::id_on("reader", 0, shards)).persistent();
        let again = scene.world.join(0, &reader);
        assert_eq!(payloads(&read_all(&mut scene.world, again)), ["1", "2", "3"]);
        assert_eq!(scene.world.counter(|c| &c.queued), 0);
    }
}

#[test]
fn a_session_that_takes_nothing_is_waited_for_once_and_again_when_it_takes_something() {
    for shards in [1, 2] {
        let mut scene = scene(QueuePolicy::Drop, Version::V5, shards, 9);
        send_all(&mut scene);
        assert!(acks(&scene.world.seen(scene.writer)).len() < usize::from(MESSAGES));
        scene.world.pass(1_000, 100);
        assert!(!acks(&scene.world.seen(scene.writer)).is_empty(), "one hold for all of them");
        let post = |id: u16| Post::new("t", "more", 1, id).encode(Version::V5);
        assert_eq!(acks(&scene.world.ask(scene.writer, &post(101))), [101], "and none for what comes later");
        let before = scene.world.counter(|c| &c.dropped_queue);
        scene.world.nets[scene.reader.0].stalled = false;
        let reader = scene.reader;
        read_all(&mut scene.world, reader);
        for id in 102..=106 {
            assert_eq!(acks(&scene.world.ask(scene.writer, &post(id))), [id], "it has room again");
        }
        assert_eq!(acks(&scene.world.ask(scene.writer, &post(107))), [], "it is waited for again");
        assert_eq!(scene.world.counter(|c| &c.dropped_queue), before);
    }
}

#[test]
fn a_client_that_comes_back_to_a_full_queue_is_waited_for() {
    for shards in [1, 2] {
        let mut scene = scene(QueuePolicy::Drop, Version::V5, shards, 10);
        for id in 1..=2 {
            scene.world.ask(scene.writer, &Post::new("t", "in flight", 1, id).encode(Version::V5));
        }
        scene.world.hang_up(scene.reader, 0);
        scene.world.run();
        send_all(&mut scene);
        scene.world.pass(5_000, 500);
        scene.world.seen(scene.writer);
        let hello = Hello::new(Version::V5, &super::id_on("reader", 0, shards)).persistent();
        let back = scene.world.join(0, &hello);
        let answers = scene.world.ask(scene.writer, &Post::new("t", "new", 1, 100).encode(Version::V5));
        assert_eq!(acks(&answers), [], "it has had no time yet to take what it has");
        assert!(payloads(&read_all(&mut scene.world, back)).contains(&"new".to_owned()));
    }
}

#[test]
fn refuse_says_so_to_5_and_closes_3() {
    for shards in [1, 2] {
        let mut scene = scene(QueuePolicy::Refuse, Version::V5, shards, 5);
        scene.world.hang_up(scene.reader, 0);
        scene.world.run();
        send_all(&mut scene);
        let seen = scene.world.seen(scene.writer);
        let refused = seen.iter().filter(|seen| matches!(seen, Seen::Ack(AckKind::Puback, _, 0x97))).count();
        assert_eq!(refused, usize::from(MESSAGES) - 3, "{seen:?}");
        assert_eq!(scene.world.counter(|c| &c.publish_refused), refused as u64);

        let old = scene.world.join(0, &Hello::new(Version::V311, "old"));
        scene.world.send(old, &Post::new("t", "x", 1, 1).encode(Version::V311));
        scene.world.run();
        scene.world.pass(1_500, 100);
        assert_eq!(acks(&scene.world.seen(old)), []);
        assert!(scene.world.nets[old.0].closed(), "3.x has no word for a refusal");
    }
}

#[test]
fn refuse_only_while_no_session_has_taken_the_message() {
    let mut scene = scene(QueuePolicy::Refuse, Version::V5, 2, 6);
    scene.world.hang_up(scene.reader, 0);
    scene.world.run();
    let other = scene.world.join(0, &Hello::new(Version::V5, "other"));
    subscribe(&mut scene.world, other, "t", 0);
    send_all(&mut scene);
    let got = read_all(&mut scene.world, other).len();
    let refused = scene.world.counter(|c| &c.publish_refused) as usize;
    assert_eq!(
        got + refused,
        usize::from(MESSAGES),
        "a refused message reaches nobody, any other reaches who has room"
    );
    assert_eq!(scene.world.seen(scene.writer).len(), usize::from(MESSAGES));
}

#[test]
fn end_ends_the_session() {
    for shards in [1, 2] {
        let mut scene = scene(QueuePolicy::End, Version::V5, shards, 7);
        send_all(&mut scene);
        for _ in 0..MESSAGES {
            scene.world.pass(1_100, 100);
        }
        let answers = scene.world.seen(scene.writer);
        let done = |seen: &&Seen| matches!(seen, Seen::Ack(AckKind::Puback, _, 0x00 | 0x10));
        assert_eq!(answers.iter().filter(done).count(), usize::from(MESSAGES), "{answers:?}");
        scene.world.nets[scene.reader.0].stalled = false;
        scene.world.run();
        assert!(scene.world.nets[scene.reader.0].closed());
        let again = scene.world.dial(0, Version::V5);
        let hello = Hello::new(Version::V5, &super::id_on("reader", 0, shards)).persistent();
        let seen = scene.world.ask(again, &hello.encode());
        let [Seen::Connack(connack)] = &seen[..] else { panic!("{seen:?}") };
        assert!(!connack.session_present, "the session has ended");
        assert_eq!(scene.world.counter(|c| &c.subscriptions), 0);
    }
}

#[test]
fn qos_0_to_a_full_queue_is_dropped_and_counted() {
    for shards in [1, 2] {
        let mut scene = scene(QueuePolicy::Drop, Version::V5, shards, 8);
        let high_water = scene.world.common.settings.output_high_water_bytes;
        let count = 200;
        for number in 0..count {
            let payload = format!("{number:0>width$}", width = high_water / 20);
            scene.world.send(scene.writer, &Post::new("t", payload, 0, 0).encode(Version::V5));
        }
        scene.world.run();
        scene.world.nets[scene.reader.0].stalled = false;
        scene.world.run();
        let got = publishes(scene.world.seen(scene.reader)).len() as u64;
        let dropped =
            scene.world.counter(|c| &c.dropped_queue_qos0) + scene.world.counter(|c| &c.dropped_mesh);
        assert!(dropped > 0 && got > 0, "got {got}, dropped {dropped}");
        assert_eq!(got + dropped, count);
    }
}

/// Whether a shard takes something out of a lane: without it, the reader's is busy with something else.
fn is_drain(step: &Step) -> bool {
    matches!(step, Step::Drain(_))
}

/// Publishers of another shard go on until they hear that they are held; all that they have sent by then is held too.
#[test]
fn what_publishers_of_another_shard_send_before_they_hear_of_it_is_held() {
    const EACH: u16 = 1000;
    for version in [Version::V311, Version::V5] {
        let mut scene = scene(QueuePolicy::Drop, Version::V5, 2, 11);
        let world = &mut scene.world;
        let writers: Vec<NetId> = (0..4)
            .map(|number| {
                world.join(0, &Hello::new(version, &super::id_on(&format!("writer {number} "), 1, 2)))
            })
            .collect();
        for id in 1..=EACH {
            for (number, writer) in writers.iter().enumerate() {
                let post = Post::new("t", format!("{number} {id}"), 1, id);
                world.send(*writer, &post.encode(version));
            }
        }
        run_without(world, is_drain);
        world.run();
        assert_eq!(world.counter(|c| &c.dropped_queue), 0, "{version:?}: not one message was waited for");
        world.nets[scene.reader.0].stalled = false;
        let got = payloads(&read_all(world, scene.reader));
        for (number, writer) in writers.iter().enumerate() {
            let start = format!("{number} ");
            let of_it: Vec<&str> = got.iter().filter_map(|text| text.strip_prefix(&start)).collect();
            assert_eq!(of_it, (1..=EACH).map(|id| id.to_string()).collect::<Vec<_>>(), "{version:?}");
            assert_eq!(acks(&world.seen(*writer)), (1..=EACH).collect::<Vec<_>>(), "{version:?}");
        }
    }
}

/// A client of 5.0 must keep to its window; one of 3.x, which knows of none, is kept to it, also once it has gone.
#[test]
fn a_client_of_3_has_no_more_under_way_than_one_of_5_may() {
    let cases = [(Version::V31, 1, 4), (Version::V311, 1, 4), (Version::V311, 2, 4), (Version::V311, 1, 1)];
    for (version, qos, window) in cases {
        for leaves in [false, true] {
            let label = format!("{version:?}, QoS {qos}, window {window}, leaves {leaves}");
            let mut setup = Setup::new(2, 12);
            setup.settings.offer.receive_maximum = window;
            setup.settings.queue_messages_max = 3;
            setup.settings.inflight_messages_max = 2;
            setup.settings.hold_messages_max = u32::from(window);
            let mut world = World::new(&setup);
            let reader = world.join(0, &Hello::new(Version::V5, &super::id_on("reader", 0, 2)).persistent());
            subscribe(&mut world, reader, "t", qos);
            let writer = world.join(0, &Hello::new(version, &super::id_on("writer", 1, 2)));
            world.nets[reader.0].stalled = true;
            for id in 1..=100 {
                world.send(writer, &Post::new("t", id.to_string(), qos, id).encode(version));
            }
            if leaves {
                world.hang_up(writer, 0);
            }
            run_without(&mut world, is_drain);
            world.run();
            assert_eq!(world.counter(|c| &c.dropped_queue), 0, "{label}");
            world.nets[reader.0].stalled = false;
            let got = payloads(&read_all(&mut world, reader));
            assert_eq!(got, (1..=100).map(|id| id.to_string()).collect::<Vec<_>>(), "{label}");
            let is_ack = |seen: &Seen| matches!(seen, Seen::Ack(..));
            let acks = world.seen(writer).into_iter().filter(is_ack).count();
            assert!(leaves || acks == 100, "{label}: each is answered, and not {acks}");
        }
    }
}

/// PUBREL before PUBREC does not make room in the window [MQTT-3.3.4-7].
#[test]
fn a_client_of_5_that_releases_what_is_not_received_breaks_its_window() {
    let mut setup = Setup::new(2, 14);
    setup.settings.offer.receive_maximum = 4;
    let mut world = World::new(&setup);
    let reader = world.join(0, &Hello::new(Version::V5, &super::id_on("reader", 0, 2)));
    subscribe(&mut world, reader, "t", 2);
    let writer = world.join(0, &Hello::new(Version::V5, &super::id_on("writer", 1, 2)));
    for _ in 0..20 {
        world.send(writer, &Post::new("t", "x", 2, 1).encode(Version::V5));
        let success = ringmq_wire::ReasonCode::SUCCESS;
        world.send(writer, &packets::ack(Version::V5, AckKind::Pubrel, 1, success));
    }
    run_without(&mut world, is_drain);
    world.run();
    assert_eq!(world.seen(writer).last(), Some(&Seen::Disconnect(0x93)));
}

/// The deadline of very many held messages is not one long turn.
#[test]
fn giving_up_what_is_held_takes_several_turns() {
    let mut scene = scene(QueuePolicy::Drop, Version::V5, 2, 13);
    let world = &mut scene.world;
    for number in 0..4 {
        let writer = world.join(0, &Hello::new(Version::V311, &super::id_on(&format!("w{number} "), 1, 2)));
        for id in 1..=1000 {
            world.send(writer, &Post::new("t", "x", 1, id).encode(Version::V311));
        }
    }
    run_without(world, is_drain);
    world.run();
    world.advance(1_000);
    let (mut before, mut most) = (0, 0);
    for _ in 0..20 {
        while let Some(step) = world.possible().into_iter().next() {
            world.take(step);
            let dropped = world.counter(|c| &c.dropped_queue);
            most = most.max(dropped - before);
            before = dropped;
        }
        world.advance(1);
    }
    assert_eq!(world.counter(|c| &c.held), 0);
    // Two are in flight and three in the queue.
    assert_eq!(before, 4 * 1000 - 5, "each is told of");
    assert_eq!(most, 1024);
}
