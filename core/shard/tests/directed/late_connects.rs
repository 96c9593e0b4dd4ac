//! A CONNECT that was complete before another of the same ClientID, and is dealt with after it: it was delayed
//! between shards or at a decider, and its client may be gone. The later one keeps what it has.

use ringmq_wire::{Qos, Version};

use super::{VERSIONS, id_on, payloads, publishes, run_without, subscribe};
use crate::harness::packets::{self, with_qos};
use crate::harness::steps::Step;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, Mood, NetId, Post, Seen};

/// Whether a connection of `same` on its way to shard 1 stands still: moved ones, and those in a tunnel.
fn on_its_way(moving: bool) -> impl Fn(&Step) -> bool {
    move |step| if moving { matches!(step, Step::Adopt(_)) } else { *step == Step::Drain(1) }
}

fn hello(version: Version, id: &str) -> Hello {
    Hello::new(version, id).persistent()
}

fn check(world: &mut World, late: NetId, newer: NetId, id: &str, label: &str) {
    assert!(world.nets[late.0].closed(), "{label}: the older connection closes");
    assert!(!world.nets[newer.0].closed(), "{label}: the newer one stays");
    let told: &[Seen] = &world.seen(late);
    match told {
        [] => assert!(world.nets[late.0].client_gone, "{label}: the older one is told"),
        [Seen::Connack(connack), rest @ ..] => {
            assert_eq!(connack.reason, 0, "{label}");
            let v5 = world.nets[late.0].version == Version::V5;
            assert_eq!(rest, if v5 { &[Seen::Disconnect(0x8E)][..] } else { &[] }, "{label}: [MQTT-3.1.4-3]");
        }
        other => panic!("{label}: the older one saw {other:?}"),
    }
    assert_eq!(world.counter(|c| &c.sessions_connected), 1, "{label}");
    assert_eq!(world.counter(|c| &c.takeovers), 1, "{label}");
    let version = world.nets[newer.0].version;
    world.ask(newer, &packets::subscribe(version, 9, &[("alive", with_qos(0))], None));
    world.ask(newer, &Post::new("alive", id, 0, 0).encode(version));
    let shards = world.shard_count();
    let watcher = world.join(0, &Hello::new(Version::V5, &id_on("watcher", 0, shards)));
    subscribe(world, watcher, "alive", 0);
    world.ask(newer, &Post::new("alive", "again", 0, 0).encode(version));
    assert_eq!(payloads(&publishes(world.seen(watcher))), ["again"], "{label}: the newer one is served");
}

#[test]
fn one_that_was_delayed_between_shards_takes_nothing_over() {
    for version in VERSIONS {
        for moving in [true, false] {
            for gone in [true, false] {
                let label = format!("{version:?}, moving {moving}, gone {gone}");
                let mut world = World::new(&Setup::new(2, 1).moving(moving));
                let mourner = world.join(0, &Hello::new(version, &id_on("mourner", 0, 2)));
                subscribe(&mut world, mourner, "w", 0);
                let id = id_on("same", 1, 2);
                let late = world.dial(0, version);
                let clean = hello(version, &id).clean(true).will("w", b"will", Qos::AtMostOnce, false);
                world.send(late, &clean.encode());
                run_without(&mut world, on_its_way(moving));
                if gone {
                    world.hang_up(late, 0);
                }
                let newer = world.dial(1, version);
                world.send(newer, &hello(version, &id).encode());
                run_without(&mut world, on_its_way(moving));
                assert!(matches!(world.next_seen(newer), Some(Seen::Connack(c)) if c.reason == 0), "{label}");
                world.run();
                assert_eq!(payloads(&publishes(world.seen(mourner))), ["will"], "{label}: as if taken over");
                world.hang_up(mourner, 0);
                world.run();
                check(&mut world, late, newer, &id, &label);
            }
        }
    }
}

#[test]
fn one_whose_decision_came_late_takes_nothing_over() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 2));
        let id = id_on("same", shards - 1, shards);
        world.book.borrow_mut().mood = Mood::Later;
        let late = world.dial(0, Version::V5);
        world.ask(late, &hello(Version::V5, &id).encode());
        let newer = world.dial(shards - 1, Version::V5);
        world.ask(newer, &hello(Version::V5, &id).encode());
        world.book.borrow_mut().mood = Mood::Now;
        world.answer(1);
        world.run();
        assert!(matches!(world.next_seen(newer), Some(Seen::Connack(c)) if c.reason == 0));
        world.answer(0);
        world.run();
        check(&mut world, late, newer, &id, &format!("{shards} shards"));
    }
}

#[test]
fn one_that_was_delayed_does_not_end_the_session_that_a_newer_one_left() {
    for moving in [true, false] {
        let mut world = World::new(&Setup::new(2, 3).moving(moving));
        let id = id_on("same", 1, 2);
        let late = world.dial(0, Version::V5);
        world.send(late, &Hello::new(Version::V5, &id).encode());
        run_without(&mut world, on_its_way(moving));
        let newer = world.dial(1, Version::V5);
        world.send(newer, &hello(Version::V5, &id).encode());
        world.send(newer, &packets::subscribe(Version::V5, 1, &[("t", with_qos(1))], None));
        run_without(&mut world, on_its_way(moving));
        world.hang_up(newer, 0);
        world.hang_up(late, 0);
        world.run();
        assert_eq!(world.counter(|c| &c.sessions), 1, "moving {moving}");
        assert_eq!(world.counter(|c| &c.subscriptions), 1, "moving {moving}");
    }
}

#[test]
fn the_order_is_that_of_the_connects_and_not_that_of_the_connections() {
    let mut world = World::new(&Setup::new(1, 4));
    let first = world.dial(0, Version::V5);
    let second = world.join(0, &hello(Version::V5, "same"));
    let seen = world.ask(first, &hello(Version::V5, "same").encode());
    assert!(matches!(&seen[..], [Seen::Connack(c)] if c.session_present), "[MQTT-3.1.4-3]: {seen:?}");
    assert!(world.nets[second.0].closed() && !world.nets[first.0].closed());
}
