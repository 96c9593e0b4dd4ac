//! A full queue: who waits, how long, who pays, and what is counted.

use ringmq_shard::QueuePolicy;
use ringmq_wire::Version;

use super::{payloads, publishes, read_all, subscribe};
use crate::harness::packets;
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
        assert!(scene.world.counter(|c| &c.publish_held) > 0);
        scene.world.nets[scene.reader.0].stalled = false;
        let reader = scene.reader;
        let got = payloads(&read_all(&mut scene.world, reader));
        let expected: Vec<String> = (1..=MESSAGES).map(|id| id.to_string()).collect();
        assert_eq!(got, expected);
        let mut all = first;
        all.extend(acks(&scene.world.seen(scene.writer)));
        assert_eq!(all, (1..=MESSAGES).collect::<Vec<_>>(), "[MQTT-4.6.0-2]");
        assert_eq!(scene.world.counter(|c| &c.dropped_queue), 0);
        assert_eq!(scene.world.counter(|c| &c.queued), 0);
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
