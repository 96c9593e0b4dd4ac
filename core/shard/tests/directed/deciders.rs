//! Deciders that answer late, never and out of order: what waits keeps its order, nothing is done before its
//! answer, and a deadline ends every wait.

use ringmq_wire::Version;

use super::{VERSIONS, payloads, publishes, subscribe};
use crate::harness::packets::{self, with_qos};
use crate::harness::world::{Setup, World};
use crate::harness::{AckKind, Hello, Mood, NetId, Post, Seen};

fn broker(moving: bool, seed: u64) -> World {
    World::new(&Setup::new(2, seed).moving(moving))
}

fn set_mood(world: &mut World, mood: Mood) {
    world.book.borrow_mut().mood = mood;
}

fn open(world: &World) -> Vec<String> {
    world.book.borrow().open.iter().map(|open| open.text.clone()).collect()
}

#[test]
fn nothing_behind_connect_is_done_before_the_answer() {
    for (seed, version) in VERSIONS.into_iter().enumerate() {
        for moving in [true, false] {
            let mut world = broker(moving, seed as u64);
            set_mood(&mut world, Mood::Later);
            let net = world.dial(0, version);
            let mut bytes = Hello::new(version, "late").encode();
            bytes.extend(packets::subscribe(version, 1, &[("t", with_qos(1))], None));
            bytes.extend(Post::new("t", "x", 1, 2).encode(version));
            assert_eq!(
                world.ask(net, &bytes),
                vec![],
                "nothing is answered before the decision [MQTT-3.1.4-6]"
            );
            assert_eq!(open(&world), ["connect late"]);
            set_mood(&mut world, Mood::Now);
            world.answer(0);
            world.run();
            let seen = world.seen(net);
            assert!(matches!(&seen[0], Seen::Connack(connack) if connack.reason == 0), "{seen:?}");
            assert_eq!(seen.len(), 4, "{seen:?}");
        }
    }
}

#[test]
fn a_denied_connect_does_nothing_of_what_follows() {
    for (version, code) in [(Version::V311, 0x87), (Version::V5, 0x87)] {
        for mood in [Mood::Now, Mood::Later] {
            let mut world = broker(true, 3);
            set_mood(&mut world, mood);
            world.book.borrow_mut().denied.push("connect bad".to_owned());
            let watcher = {
                set_mood(&mut world, Mood::Now);
                let watcher = world.join(1, &Hello::new(Version::V5, "watcher"));
                subscribe(&mut world, watcher, "#", 0);
                set_mood(&mut world, mood);
                watcher
            };
            let net = world.dial(0, version);
            let mut bytes =
                Hello::new(version, "bad").will("w", b"will", ringmq_wire::Qos::AtMostOnce, false).encode();
            bytes.extend(Post::new("t", "x", 0, 0).encode(version));
            world.send(net, &bytes);
            world.run_answering();
            let seen = world.seen(net);
            let [Seen::Connack(connack)] = &seen[..] else { panic!("{seen:?}") };
            assert!(connack.reason == code || connack.reason == 0x86, "{connack:?}");
            assert!(!connack.session_present, "[MQTT-3.2.2-6]");
            assert!(world.nets[net.0].closed(), "[MQTT-3.2.2-7]");
            assert_eq!(world.seen(watcher), vec![], "neither what followed nor the will is published");
        }
    }
}

#[test]
fn a_connect_that_is_never_answered_ends_at_the_deadline() {
    for version in VERSIONS {
        let mut world = broker(true, 4);
        set_mood(&mut world, Mood::Later);
        let net = world.dial(0, version);
        world.send(net, &Hello::new(version, "waiting").encode());
        world.run();
        world.pass(world.common.settings.decision_timeout - 100, 100);
        assert_eq!(world.seen(net), vec![]);
        world.pass(300, 50);
        let seen = world.seen(net);
        let [Seen::Connack(connack)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(connack.reason, 0x88, "Server unavailable");
        assert!(world.nets[net.0].closed());
        assert_eq!(world.counter(|c| &c.sessions), 0);
        // The answer that comes after all changes nothing.
        world.answer(0);
        world.run();
        assert_eq!(world.counter(|c| &c.sessions), 0);
    }
}

#[test]
fn a_subscribe_that_is_never_answered_is_refused_at_the_deadline() {
    for version in VERSIONS {
        let mut world = broker(true, 5);
        let net = world.join(0, &Hello::new(version, "subscriber"));
        set_mood(&mut world, Mood::Later);
        world.send(net, &packets::subscribe(version, 9, &[("t", with_qos(1))], None));
        world.run();
        assert_eq!(world.seen(net), vec![]);
        world.pass(world.common.settings.decision_timeout + 200, 100);
        let seen = world.seen(net);
        if version == Version::V31 {
            assert!(seen.is_empty() || matches!(&seen[..], [Seen::Suback(9, _)]), "{seen:?}");
        } else {
            let [Seen::Suback(9, codes)] = &seen[..] else { panic!("{seen:?}") };
            assert!(codes.len() == 1 && codes[0] >= 0x80, "{codes:?}");
        }
        assert_eq!(world.counter(|c| &c.subscriptions), 0);
    }
}

#[test]
fn a_publish_that_is_never_answered_is_not_published() {
    let mut world = broker(true, 6);
    let watcher = world.join(1, &Hello::new(Version::V5, "watcher"));
    subscribe(&mut world, watcher, "#", 0);
    let net = world.join(0, &Hello::new(Version::V5, "publisher"));
    set_mood(&mut world, Mood::Later);
    world.send(net, &Post::new("t", "x", 1, 5).encode(Version::V5));
    world.run();
    assert_eq!(world.seen(net), vec![]);
    world.pass(world.common.settings.decision_timeout + 200, 100);
    let seen = world.seen(net);
    let [Seen::Ack(AckKind::Puback, 5, code)] = &seen[..] else { panic!("{seen:?}") };
    assert!(*code >= 0x80, "{code:#x}");
    assert_eq!(world.seen(watcher), vec![]);
}

fn post(world: &mut World, net: NetId, payload: &str, id: u16) {
    let version = world.nets[net.0].version;
    world.send(net, &Post::new("t", payload, 1, id).encode(version));
}

#[test]
fn answers_out_of_order_keep_each_publishers_order() {
    for seed in 0..20 {
        let mut world = broker(seed % 2 == 0, seed);
        let watcher = world.join(1, &Hello::new(Version::V5, "watcher"));
        subscribe(&mut world, watcher, "#", 0);
        let publishers: Vec<NetId> =
            (0..3).map(|n| world.join(n % 2, &Hello::new(Version::V5, &format!("publisher-{n}")))).collect();
        set_mood(&mut world, Mood::Later);
        for number in 0..4u16 {
            for (index, net) in publishers.iter().enumerate() {
                post(&mut world, *net, &format!("{index}:{number}"), number + 1);
            }
        }
        for net in &publishers {
            world.send(*net, &packets::pingreq(Version::V5));
        }
        world.run();
        while !world.book.borrow().open.is_empty() {
            let last = world.book.borrow().open.len() - 1;
            world.answer(last);
            world.run();
        }
        let got = payloads(&publishes(world.seen(watcher)));
        for (index, net) in publishers.into_iter().enumerate() {
            let mine: Vec<_> = got.iter().filter(|p| p.starts_with(&format!("{index}:"))).cloned().collect();
            let expected: Vec<_> = (0..4).map(|number| format!("{index}:{number}")).collect();
            assert_eq!(mine, expected, "seed {seed}");
            let acks: Vec<_> = world.seen(net).into_iter().filter(|seen| *seen != Seen::Pingresp).collect();
            let expected: Vec<_> = (1..5).map(|id| Seen::Ack(AckKind::Puback, id, 0)).collect();
            assert_eq!(
                acks, expected,
                "seed {seed}: acknowledgements in the order of the publishes [MQTT-4.6.0-2]"
            );
        }
    }
}

#[test]
fn a_takeover_waits_for_the_answer_and_a_denied_one_changes_nothing() {
    for moving in [true, false] {
        let mut world = broker(moving, 8);
        let old = world.join(0, &Hello::new(Version::V5, "twice"));
        set_mood(&mut world, Mood::Later);
        let new = world.dial(1, Version::V5);
        world.send(new, &Hello::new(Version::V5, "twice").encode());
        world.run();
        assert_eq!(world.seen(old), vec![], "authentication comes before takeover");
        world.book.borrow_mut().denied.push("connect twice".to_owned());
        world.answer(0);
        world.run();
        assert!(world.nets[new.0].closed());
        assert!(!world.nets[old.0].closed(), "a refused CONNECT takes nothing over");
        set_mood(&mut world, Mood::Now);
        assert_eq!(world.ask(old, &packets::pingreq(Version::V5)), vec![Seen::Pingresp]);
    }
}

#[test]
fn what_is_denied_is_said_and_not_done() {
    let mut world = broker(true, 9);
    world.book.borrow_mut().denied = vec!["subscribe c secret".to_owned(), "publish c locked".to_owned()];
    let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
    subscribe(&mut world, watcher, "#", 0);
    let net = world.join(0, &Hello::new(Version::V5, "c"));
    let filters = [("secret/#", with_qos(1)), ("open", with_qos(1))];
    let seen = world.ask(net, &packets::subscribe(Version::V5, 3, &filters, None));
    assert_eq!(seen, vec![Seen::Suback(3, vec![0x87, 1])]);
    let seen = world.ask(net, &Post::new("locked", "x", 1, 4).retained().encode(Version::V5));
    assert_eq!(seen, vec![Seen::Ack(AckKind::Puback, 4, 0x87)]);
    let seen = world.ask(net, &Post::new("locked", "x", 2, 5).encode(Version::V5));
    assert_eq!(seen, vec![Seen::Ack(AckKind::Pubrec, 5, 0x87)]);
    assert_eq!(world.ask(net, &Post::new("locked", "x", 0, 0).encode(Version::V5)), vec![]);
    assert_eq!(world.seen(watcher), vec![]);
    assert_eq!(world.counter(|c| &c.retained), 0);
}
