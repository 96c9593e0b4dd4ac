//! Retained messages by the thousand: read in pages at the client's pace, complete, and never older than what
//! the client already has.

use std::collections::BTreeMap;

use ringmq_wire::{Property, RetainHandling, SubscriptionOptions, Version};

use super::{payloads, publishes, read_all, subscribe};
use crate::harness::packets::{self, AckKind, with_qos};
use crate::harness::steps::Step;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Post, Seen};

const TOPICS: usize = 2_000;

fn fill(world: &mut World, count: usize) -> NetId {
    let writer = world.join(0, &Hello::new(Version::V311, "writer"));
    for number in 0..count {
        let post = Post::new(&format!("d/{}/{number}", number % 17), format!("{number}:0"), 0, 0).retained();
        world.send(writer, &post.encode(Version::V311));
        if number % 200 == 0 {
            world.run();
        }
    }
    world.run();
    assert_eq!(world.counter(|c| &c.retained), count as u64);
    writer
}

#[test]
fn thousands_come_complete_at_the_clients_pace() {
    for shards in [1, 3] {
        let mut world = World::new(&Setup::new(shards, 1));
        fill(&mut world, TOPICS);
        let reader = world.join(shards - 1, &Hello::new(Version::V5, "reader").receive_maximum(20));
        world.send(reader, &packets::subscribe(Version::V5, 1, &[("d/#", with_qos(1))], None));
        // Retained at QoS 0 and so delivered at QoS 0: the window does not pace it, the socket does.
        let got = read_all(&mut world, reader);
        assert!(got.iter().all(|publish| publish.retain));
        let mut topics: Vec<_> = got.iter().map(|publish| publish.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        assert_eq!((got.len(), topics.len()), (TOPICS, TOPICS), "{shards} shards: each once");
    }
}

#[test]
fn updates_while_pages_are_read_are_never_undone() {
    for (seed, shards) in [(1, 1), (2, 2), (3, 4)] {
        let mut setup = Setup::new(shards, seed);
        setup.settings.retained_page_messages = 7;
        setup.settings.queue_messages_max = 100_000;
        let mut world = World::new(&setup);
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        let count = 1_000;
        for number in 0..count {
            let post = Post::new(&format!("d/{number}"), format!("{number}:0"), 1, 1).retained();
            world.ask(writer, &post.encode(Version::V5));
        }
        let reader = world.join(shards - 1, &Hello::new(Version::V5, "reader").receive_maximum(20));
        world.send(reader, &packets::subscribe(Version::V5, 1, &[("d/#", with_qos(1))], None));
        let mut newest: BTreeMap<usize, u32> = BTreeMap::new();
        let mut version = vec![0u32; count];
        let mut quiet = 0;
        while quiet < 3 {
            let number = world.random.below(count);
            if version.iter().sum::<u32>() < 500 {
                version[number] += 1;
                let payload = format!("{number}:{}", version[number]);
                let post = Post::new(&format!("d/{number}"), payload, 1, 1).retained();
                world.send(writer, &post.encode(Version::V5));
            }
            for _ in 0..30 {
                world.step();
            }
            if world.possible().is_empty() {
                quiet += 1;
            }
            // The publisher waits for each acknowledgement before it goes on.
            world.run();
            world.seen(writer);
            let mut unacknowledged = 0;
            for packet in world.seen(reader) {
                let Seen::Publish(publish) = packet else { continue };
                quiet = 0;
                unacknowledged += 1;
                note(&mut newest, &publish.payload, publish.retain, seed);
                world.send(
                    reader,
                    &packets::ack(Version::V5, AckKind::Puback, publish.id, ringmq_wire::ReasonCode::SUCCESS),
                );
            }
            assert!(unacknowledged <= 20, "receive maximum [MQTT-3.3.4-9]");
        }
        assert_eq!(newest.len(), count, "seed {seed}: every topic came");
        for (number, version) in version.into_iter().enumerate() {
            assert_eq!(newest[&number], version, "seed {seed}: topic {number} ended on the last");
        }
    }
}

/// Remembers the newest version of a topic; a retained copy may repeat what the client has, but not undo it.
fn note(newest: &mut BTreeMap<usize, u32>, payload: &[u8], retain: bool, seed: u64) {
    let text = String::from_utf8_lossy(payload);
    let (number, version) = text.split_once(':').expect("a payload of this test");
    let (number, version): (usize, u32) =
        (number.parse().expect("a number"), version.parse().expect("a number"));
    let known = newest.entry(number).or_insert(version);
    assert!(
        *known <= version,
        "seed {seed}: topic {number} went from {known} back to {version}, retained {retain}"
    );
    *known = version;
}

#[test]
fn a_read_goes_on_after_the_connection_was_lost() {
    let mut setup = Setup::new(3, 5);
    setup.settings.retained_page_messages = 5;
    let mut world = World::new(&setup);
    let writer = world.join(0, &Hello::new(Version::V5, "writer"));
    for number in 0..300 {
        let post = Post::new(&format!("d/{number}"), number.to_string(), 1, 1).retained();
        world.ask(writer, &post.encode(Version::V5));
    }
    let hello = Hello::new(Version::V5, "reader").persistent().receive_maximum(20);
    let reader = world.join(1, &hello);
    world.send(reader, &packets::subscribe(Version::V5, 1, &[("d/#", with_qos(1))], None));
    world.run();
    let first = publishes(world.seen(reader));
    assert_eq!(first.len(), 20, "the window is full");
    world.hang_up(reader, 0);
    world.run();
    let again = world.join(2, &hello);
    let mut got = payloads(&read_all(&mut world, again));
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 300, "complete after all, what was not acknowledged again");
}

fn options(handling: RetainHandling, retain_as_published: bool) -> SubscriptionOptions {
    SubscriptionOptions { retain_handling: handling, retain_as_published, ..with_qos(0) }
}

#[test]
fn retain_handling_and_retain_as_published() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 6));
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        world.ask(writer, &Post::new("t", "old", 0, 0).retained().encode(Version::V5));
        let reader = world.join(0, &Hello::new(Version::V5, "reader"));
        let subscribe = |world: &mut World, options| {
            let seen = world.ask(reader, &packets::subscribe(Version::V5, 1, &[("t", options)], None));
            payloads(&publishes(seen))
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(subscribe(&mut world, options(RetainHandling::DoNotSend, false)), none, "[MQTT-3.3.1-11]");
        assert_eq!(subscribe(&mut world, options(RetainHandling::SendIfNew, false)), none, "[MQTT-3.3.1-10]");
        assert_eq!(
            subscribe(&mut world, options(RetainHandling::SendAtSubscribe, false)),
            ["old"],
            "[MQTT-3.3.1-9]"
        );
        world.send(writer, &Post::new("t", "new", 0, 0).retained().encode(Version::V5));
        world.run();
        let live = publishes(world.seen(reader));
        assert!(live.len() == 1 && !live[0].retain, "[MQTT-3.3.1-12]: {live:?}");
        assert_eq!(subscribe(&mut world, options(RetainHandling::DoNotSend, true)), none);
        world.send(writer, &Post::new("t", "newer", 0, 0).retained().encode(Version::V5));
        world.run();
        let live = publishes(world.seen(reader));
        assert!(live.len() == 1 && live[0].retain, "[MQTT-3.3.1-13]: {live:?}");
        let other = world.join(0, &Hello::new(Version::V5, "other"));
        let asked =
            packets::subscribe(Version::V5, 1, &[("t", options(RetainHandling::SendIfNew, false))], None);
        assert_eq!(payloads(&publishes(world.ask(other, &asked))), ["newer"], "[MQTT-3.3.1-10]");
    }
}

#[test]
fn an_empty_payload_deletes() {
    for shards in [1, 3] {
        let mut world = World::new(&Setup::new(shards, 7));
        let writer = world.join(0, &Hello::new(Version::V311, "writer"));
        let reader = world.join(0, &Hello::new(Version::V311, "reader"));
        subscribe(&mut world, reader, "#", 0);
        world.send(writer, &Post::new("t", "kept", 0, 0).retained().encode(Version::V311));
        world.run();
        assert_eq!(world.counter(|c| &c.retained), 1);
        world.send(writer, &Post::new("t", "", 0, 0).retained().encode(Version::V311));
        world.run();
        assert_eq!(world.counter(|c| &c.retained), 0, "[MQTT-3.3.1-6]");
        assert_eq!(world.counter(|c| &c.retained_bytes), 0);
        assert_eq!(payloads(&publishes(world.seen(reader))), ["kept", ""], "subscribers see the deletion");
        let late = world.join(0, &Hello::new(Version::V311, "late"));
        subscribe(&mut world, late, "#", 0);
        assert_eq!(publishes(world.seen(late)), vec![]);
    }
}

#[test]
fn a_retained_message_expires_and_counts_down() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 8));
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        world.send(writer, &Post::new("t", "short", 0, 0).retained().expiry(10).encode(Version::V5));
        world.run();
        world.pass(4_000, 1_000);
        let reader = world.join(0, &Hello::new(Version::V5, "reader"));
        let mut filters = packets::subscribe(Version::V5, 1, &[("t", with_qos(0))], None);
        let seen = publishes(world.ask(reader, &filters));
        assert_eq!(seen.len(), 1);
        let left = seen[0].expiry_seconds.expect("the interval goes along [MQTT-3.3.2-6]");
        assert!((5..=6).contains(&left), "{left} seconds left of 10 after 4");
        world.pass(7_000, 1_000);
        filters = packets::subscribe(Version::V5, 2, &[("t", with_qos(0))], None);
        assert_eq!(publishes(world.ask(reader, &filters)), vec![], "[MQTT-3.3.2-5]");
    }
}

#[test]
fn properties_are_kept() {
    let mut world = World::new(&Setup::new(2, 9));
    let writer = world.join(0, &Hello::new(Version::V5, "writer"));
    let mut post = Post::new("t", "x", 1, 1).retained();
    post.properties.push_user("b", "2");
    post.properties.push_user("a", "1");
    post.properties.push_str(Property::ContentType, "text/plain");
    world.ask(writer, &post.encode(Version::V5));
    let reader = world.join(1, &Hello::new(Version::V5, "reader"));
    let seen = world.ask(reader, &packets::subscribe(Version::V5, 1, &[("t", with_qos(0))], Some(77)));
    let seen = publishes(seen);
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(seen[0].user_properties, [own("b", "2"), own("a", "1")], "[MQTT-3.3.2-18]");
    assert_eq!(seen[0].subscription_ids, [77], "[MQTT-3.3.4-3]");
}

/// One publish and one subscribe at the same time, at different shards, with the topic owned by a third that is in
/// the middle of a drain: the update comes behind the drain of its lane, the question before the drain of its
/// own. Whatever the schedule, the subscriber gets the message live or as a retained copy.
#[test]
fn a_subscriber_never_misses_both_ways() {
    let (writer_id, reader_id) = (super::id_on("writer", 0, 3), super::id_on("reader", 1, 3));
    for seed in 0..1_000 {
        let mut world = World::new(&Setup::new(3, seed));
        let writer = world.join(0, &Hello::new(Version::V5, &writer_id));
        let reader = world.join(1, &Hello::new(Version::V5, &reader_id));
        let topic = format!("race/{seed}");
        world.send(writer, &Post::new(&topic, "x", 1, 1).retained().encode(Version::V5));
        world.send(reader, &packets::subscribe(Version::V5, 1, &[(&topic, with_qos(1))], None));
        let owner = seed as usize % 3;
        for step in
            [Step::Drain(owner), Step::Read(writer), Step::Read(reader), Step::Flush(1), Step::Drain(owner)]
        {
            world.take(step);
            if seed % 5 == 0 {
                world.step();
            }
        }
        while world.step() {}
        let got = read_all(&mut world, reader).len();
        assert!((1..=2).contains(&got), "seed {seed}: {got} copies");
        assert_eq!(world.seen(writer).len(), 1, "seed {seed}: no acknowledgement");
    }
}

/// What is published behind the SUBACK, while many pages are still to be read, comes live, and not as a retained copy
/// besides. (With a third shard as the owner a page can overtake the live message.)
#[test]
fn what_comes_live_is_not_repeated_by_a_later_page() {
    for (seed, shards) in [(1, 1), (2, 2), (3, 2), (4, 2)] {
        let mut setup = Setup::new(shards, seed);
        setup.settings.retained_page_messages = 3;
        let mut world = World::new(&setup);
        fill(&mut world, 100);
        let writer = world.join(0, &Hello::new(Version::V5, "writer 2"));
        let reader = world.join(shards - 1, &Hello::new(Version::V5, "reader"));
        world.send(reader, &packets::subscribe(Version::V5, 1, &[("d/#", with_qos(0))], None));
        let mut got = until_suback(&mut world, reader);
        for number in 0..50 {
            let post = Post::new(&format!("d/later/{number}"), format!("later {number}"), 0, 0).retained();
            world.send(writer, &post.encode(Version::V5));
            world.step();
        }
        got.extend(read_all(&mut world, reader));
        let mut texts = payloads(&got);
        texts.sort();
        let copies = texts.len();
        texts.dedup();
        assert_eq!((copies, texts.len()), (150, 150), "seed {seed}, {shards} shards: each once");
    }
}

/// What the client was sent already comes again for a subscription that asks for it [MQTT-3.8.4-4].
#[test]
fn a_second_subscription_gets_again_what_came_live_to_the_first() {
    let mut setup = Setup::new(2, 5);
    setup.settings.retained_page_messages = 3;
    let mut world = World::new(&setup);
    fill(&mut world, 100);
    let writer = world.join(0, &Hello::new(Version::V5, "writer 2"));
    let reader = world.join(1, &Hello::new(Version::V5, "reader"));
    world.send(reader, &packets::subscribe(Version::V5, 1, &[("d/#", with_qos(0))], None));
    let mut got = until_suback(&mut world, reader);
    world.send(writer, &Post::new("d/x/y", "live", 0, 0).retained().encode(Version::V5));
    while !payloads(&got).contains(&"live".to_owned()) {
        assert!(world.step(), "it comes");
        got.extend(publishes(world.seen(reader)));
    }
    assert!(got.len() < 100, "the first subscription still reads");
    world.send(reader, &packets::subscribe(Version::V5, 2, &[("d/x/+", with_qos(0))], None));
    got.extend(read_all(&mut world, reader));
    let copies: Vec<_> = got.iter().filter(|publish| publish.payload == b"live"[..]).collect();
    assert_eq!(copies.iter().map(|publish| publish.retain).collect::<Vec<_>>(), [false, true]);
}

/// Goes on until a SUBACK came; what came with it.
fn until_suback(world: &mut World, reader: NetId) -> Vec<crate::harness::SeenPublish> {
    let mut seen = Vec::new();
    while !seen.iter().any(|packet| matches!(packet, Seen::Suback { .. })) {
        assert!(world.step(), "a SUBACK comes");
        seen.extend(world.seen(reader));
    }
    publishes(seen)
}

/// More topics come live than are remembered while a session reads: some may come twice then, none is missing, and no
/// topic goes back to an older message.
#[test]
fn more_live_topics_than_are_remembered_cost_repetitions_only() {
    let mut setup = Setup::new(2, 9);
    setup.settings.retained_page_messages = 3;
    setup.settings.queue_messages_max = 100_000;
    let mut world = World::new(&setup);
    fill(&mut world, 300);
    let writer = world.join(0, &Hello::new(Version::V5, "writer 2"));
    let reader = world.join(1, &Hello::new(Version::V5, "reader"));
    world.send(reader, &packets::subscribe(Version::V5, 1, &[("d/#", with_qos(0))], None));
    let mut got = until_suback(&mut world, reader);
    let count = 6_000;
    for number in 0..count {
        let later = Post::new(&format!("d/later/{number}"), format!("later {number}"), 0, 0).retained();
        world.send(writer, &later.encode(Version::V5));
        if number % 100 == 0 {
            let again = Post::new("d/0/0", format!("0:{}", number / 100 + 1), 0, 0).retained();
            world.send(writer, &again.encode(Version::V5));
        }
        world.step();
    }
    got.extend(read_all(&mut world, reader));
    let mut newest = BTreeMap::new();
    for publish in got.iter().filter(|publish| publish.topic == "d/0/0") {
        note(&mut newest, &publish.payload, publish.retain, 9);
    }
    assert_eq!(newest[&0], 60, "the last is there");
    let topics: std::collections::BTreeSet<_> = got.iter().map(|publish| &publish.topic).collect();
    assert_eq!(topics.len(), 300 + count);
    let copies = got.iter().filter(|publish| publish.topic != "d/0/0").count();
    assert!(copies > 299 + count, "it was more than is remembered");
}
