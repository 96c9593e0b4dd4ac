//! What a client sent on its old connection is heard before its new connection takes the session over.

use ringmq_wire::{Property, Qos, ReasonCode, Version};

use super::{VERSIONS, id_on, payloads, read_all, run_without, subscribe};
use crate::harness::packets;
use crate::harness::steps::Step;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, Post};

/// A client publishes at QoS 0, takes its leave and comes back at once, over all places of both connections and
/// many orders of what happens: nothing it said is lost, and its will is not published [MQTT-3.14.4-3].
#[test]
fn last_words_are_heard_before_the_takeover() {
    for version in VERSIONS {
        last_words(version, 0);
    }
}

/// Before them it publishes more at QoS 1 than it may have unacknowledged, which 3.x is not told of.
#[test]
fn last_words_behind_a_full_window_are_heard_before_the_takeover() {
    for version in [Version::V31, Version::V311] {
        last_words(version, 6);
    }
}

fn last_words(version: Version, before: u16) {
    for (shards, moving) in [(1, true), (2, true), (2, false), (4, true), (4, false)] {
        for seed in 0..40 {
            let label =
                format!("{version:?}, {shards} shards, moving {moving}, seed {seed}, {before} before");
            let mut setup = Setup::new(shards, seed).moving(moving);
            setup.settings.offer.receive_maximum = 2;
            let mut world = World::new(&setup);
            let watcher = world.join(0, &Hello::new(version, "watcher"));
            subscribe(&mut world, watcher, "#", 0);
            let id = id_on("same", shards - 1, shards);
            let hello = Hello::new(version, &id).will("will", b"will", Qos::AtMostOnce, false);
            let mut expected = Vec::new();
            let mut last = world.join(seed as usize % shards, &hello);
            for number in 0..4 {
                for id in 1..=before {
                    let word = format!("{number}: {id}");
                    world.send(last, &Post::new("word", &word, 1, id).encode(version));
                    expected.push(word);
                }
                let word = number.to_string();
                world.send(last, &Post::new("word", &word, 0, 0).encode(version));
                world.send(last, &packets::disconnect(version, ReasonCode::SUCCESS));
                world.hang_up(last, 0);
                expected.push(word);
                last = world.dial((seed as usize + number) % shards, version);
                world.send(last, &hello.encode());
                // The client says the next words once it is accepted, as any client does.
                while world.nets[last.0].received.is_empty() {
                    assert!(world.step(), "{label}: never accepted");
                }
                world.seen(last);
            }
            world.run();
            assert_eq!(payloads(&read_all(&mut world, watcher)), expected, "{label}");
            assert!(!world.nets[last.0].closed(), "{label}");
        }
    }
}

/// A CONNECT that is refused after all leaves the connection that it was to take over within its window.
#[test]
fn a_takeover_that_is_refused_leaves_the_window() {
    let mut setup = Setup::new(2, 9);
    setup.settings.offer.receive_maximum = 2;
    setup.settings.queue_messages_max = 3;
    setup.settings.inflight_messages_max = 2;
    setup.settings.hold_messages_max = 2;
    let mut world = World::new(&setup);
    let reader = world.join(0, &Hello::new(Version::V5, &id_on("reader", 0, 2)));
    subscribe(&mut world, reader, "t", 1);
    let id = id_on("same", 1, 2);
    let old = world.join(1, &Hello::new(Version::V311, &id));
    let mut refused = Hello::new(Version::V5, &id);
    refused.properties.push_u32(Property::MaximumPacketSize, 4);
    let new = world.dial(1, Version::V5);
    world.ask(new, &refused.encode());
    assert!(world.nets[new.0].closed() && !world.nets[old.0].closed(), "its CONNACK would be too large");
    world.nets[reader.0].stalled = true;
    for number in 1..=50 {
        world.send(old, &Post::new("t", number.to_string(), 1, number).encode(Version::V311));
    }
    run_without(&mut world, |step| matches!(step, Step::Drain(_)));
    world.run();
    assert_eq!(world.counter(|c| &c.dropped_queue), 0);
    world.nets[reader.0].stalled = false;
    let expected: Vec<String> = (1..=50).map(|number| number.to_string()).collect();
    assert_eq!(payloads(&read_all(&mut world, reader)), expected);
}

/// A connection that is not read, because its publishes wait, is not waited for: the takeover comes at once.
#[test]
fn a_connection_that_is_not_read_does_not_hold_up_the_takeover() {
    for (shards, moving) in [(1, true), (2, true), (2, false)] {
        let mut setup = Setup::new(shards, 7).moving(moving);
        setup.settings.queue_messages_max = 1;
        setup.settings.inflight_messages_max = 1;
        setup.settings.park_bytes_max = 64;
        let mut world = World::new(&setup);
        let version = Version::V5;
        let reader = world.join(0, &Hello::new(version, "reader"));
        subscribe(&mut world, reader, "t", 1);
        world.nets[reader.0].stalled = true;
        let id = id_on("same", shards - 1, shards);
        let old = world.join(0, &Hello::new(version, &id).persistent());
        for numbers in [1..6, 6..40] {
            for number in numbers {
                world.send(old, &Post::new("t", "full", 1, number).encode(version));
            }
            world.run();
        }
        // A tunnel's socket is read as far as its window goes, its bytes wait at the session's shard.
        assert_eq!(world.nets[old.0].paused, moving, "{shards} shards: whether it is read");
        let new = world.join(0, &Hello::new(version, &id).persistent());
        assert!(world.nets[old.0].closed() && !world.nets[new.0].closed());
        assert_eq!(world.counter(|c| &c.takeovers), 1);
    }
}
