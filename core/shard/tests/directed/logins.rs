//! Who a client turns out to be: the decider's word goes before CONNECT's, comes back with each question, ends with
//! its time, and is kept no longer than its session.

use std::sync::Arc;

use ringmq_proto::time::Wall;
use ringmq_wire::{Qos, Version};

use super::{VERSIONS, id_on, payloads, publishes, subscribe};
use crate::harness::deciders::{Mood, identity};
use crate::harness::packets;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Post, Seen};

/// Two shards that ask about reading, and what the decider says of clients whose ClientID begins with `c`.
fn broker(moving: bool, expires_at: Option<Wall>) -> World {
    let world = World::new(&Setup::new(2, 1).moving(moving));
    let mut book = world.book.borrow_mut();
    book.restricts_reading = true;
    book.identities.push(("connect c".to_owned(), identity(Some("claimed"), expires_at, "grant")));
    drop(book);
    world
}

fn after(seconds: u64) -> Option<Wall> {
    Some(Wall(1_700_000_000_000 + seconds * 1000))
}

fn answer_all(world: &mut World) {
    world.run_answering();
}

#[test]
fn the_deciders_word_counts_and_comes_back_with_each_question() {
    for moving in [true, false] {
        for mood in [Mood::Now, Mood::Later] {
            for home in [0, 1] {
                let mut world = broker(moving, None);
                world.book.borrow_mut().mood = mood;
                let id = id_on("c", home, 2);
                let net = world.dial_as(0, Version::V5, Some("proved"));
                let hello = Hello::new(Version::V5, &id).will("w", b"", Qos::AtMostOnce, false);
                world.send(net, &hello.encode());
                world.send(net, &packets::subscribe(Version::V5, 1, &[("t", packets::with_qos(0))], None));
                world.send(net, &Post::new("t", "x", 0, 0).encode(Version::V5));
                answer_all(&mut world);
                assert_eq!(payloads(&publishes(world.seen(net))), ["x"]);
                let asked = world.book.borrow().asked.clone();
                let expected = [
                    format!("connect {id} as proved"),
                    format!("publish {id} w as claimed with grant"),
                    format!("subscribe {id} t as claimed with grant"),
                    format!("publish {id} t as claimed with grant"),
                    format!("read {id} t as claimed with grant"),
                ];
                assert_eq!(asked, expected, "moving {moving}, {mood:?}, home {home}");
            }
        }
    }
}

#[test]
fn a_login_ends_with_its_time() {
    for version in VERSIONS {
        for moving in [true, false] {
            for seconds in [3, 1_500] {
                let mut world = broker(moving, after(seconds));
                let timers = world.timers();
                let nets =
                    [0, 1].map(|shard| world.join(shard, &Hello::new(version, &id_on("c", 1 - shard, 2))));
                let other = world.join(0, &Hello::new(version, "other"));
                let all = [nets[0], nets[1], other];
                world.pass(seconds * 1000 - 500, 500);
                assert!(all.iter().all(|net| !world.nets[net.0].closed()), "too early");
                world.pass(1_000, 500);
                let closed = all.map(|net| world.nets[net.0].closed());
                assert_eq!(closed, [true, true, false], "{version:?} {seconds}");
                let last = if version == Version::V5 { vec![Seen::Disconnect(0xa0)] } else { vec![] };
                assert!(nets.iter().all(|net| world.seen(*net) == last));
                assert_eq!(world.ask(other, &packets::pingreq(version)), vec![Seen::Pingresp]);
                world.hang_up(other, 0);
                world.run();
                assert_eq!(world.timers(), timers);
            }
        }
    }
}

#[test]
fn a_login_that_is_over_already_is_closed_behind_its_connack() {
    let mut world = broker(true, after(0));
    let net = world.join(0, &Hello::new(Version::V5, "c"));
    world.pass(100, 10);
    assert_eq!(world.seen(net), vec![Seen::Disconnect(0xa0)]);
}

#[test]
fn who_goes_before_its_time_leaves_no_timer() {
    let mut world = broker(true, after(100));
    let before = world.timers();
    let nets: Vec<NetId> =
        (0..10).map(|n| world.join(n % 2, &Hello::new(Version::V5, &format!("c{n}")))).collect();
    assert_eq!(world.timers(), before + nets.len());
    nets.iter().for_each(|net| world.hang_up(*net, 0));
    world.run();
    assert_eq!(world.timers(), before);
}

#[test]
fn what_is_known_of_a_client_is_kept_as_long_as_its_session_and_no_longer() {
    let mut world = broker(true, after(2));
    let held = |world: &World| Arc::strong_count(&world.book.borrow().identities[0].1) - 1;
    let hello = Hello::new(Version::V5, "c1").clean(false).expiry(5);
    let net = world.join(0, &hello);
    subscribe(&mut world, net, "t", 1);
    assert!(held(&world) > 0);
    world.pass(3_000, 100);
    assert!(world.nets[net.0].closed());
    let publisher = world.join(0, &Hello::new(Version::V5, "publisher"));
    world.ask(publisher, &Post::new("t", "kept", 1, 1).encode(Version::V5));
    assert!(world.book.borrow().asked.contains(&"read c1 t as claimed with grant".to_owned()));
    assert!(held(&world) > 0, "what comes while it is away is judged by it");
    world.pass(6_000, 100);
    assert_eq!(held(&world), 0, "its session is over");

    world.join(0, &hello);
    world.book.borrow_mut().identities[0].0 = "connect nobody".to_owned();
    world.join(0, &hello);
    assert_eq!(held(&world), 0, "its client came back as somebody else");
}

#[test]
fn one_who_is_refused_or_takes_over_leaves_nothing() {
    let mut world = broker(true, after(100));
    let held = |world: &World| Arc::strong_count(&world.book.borrow().identities[0].1) - 1;
    world.book.borrow_mut().denied.push("publish c".to_owned());
    let net = world.dial(0, Version::V5);
    let seen = world.ask(net, &Hello::new(Version::V5, "c").will("w", b"", Qos::AtMostOnce, false).encode());
    assert!(matches!(&seen[..], [Seen::Connack(connack)] if connack.reason == 0x87), "{seen:?}");
    assert_eq!(held(&world), 0);
    for _ in 0..5 {
        world.join(0, &Hello::new(Version::V5, "c"));
    }
    assert_eq!(held(&world), 2, "its session and its connection, of the last alone");
}
