//! What time does: keep alive, the wait for CONNECT, will delay, and the expiry of sessions and messages.

use ringmq_wire::{Qos, ReasonCode, Version};

use super::{VERSIONS, payloads, publishes, subscribe};
use crate::harness::packets;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Post, Seen};

fn broker(seed: u64) -> World {
    World::new(&Setup::new(2, seed))
}

#[test]
fn keep_alive_ends_at_one_and_a_half_times() {
    for version in VERSIONS {
        for moving in [true, false] {
            let mut world = World::new(&Setup::new(2, 1).moving(moving));
            let nets = [0, 1].map(|shard| {
                world.join(shard, &Hello::new(version, &format!("quiet-{shard}")).keep_alive(10))
            });
            world.pass(14_500, 100);
            assert!(nets.iter().all(|net| !world.nets[net.0].closed()), "too early [MQTT-3.1.2-22]");
            assert_eq!(world.ask(nets[0], &packets::pingreq(version)), vec![Seen::Pingresp]);
            world.pass(3_000, 100);
            assert!(!world.nets[nets[0].0].closed(), "a ping keeps it alive");
            assert!(world.nets[nets[1].0].closed(), "[MQTT-3.1.2-22]");
            let last = if version == Version::V5 { vec![Seen::Disconnect(0x8d)] } else { vec![] };
            assert_eq!(world.seen(nets[1]), last);
        }
    }
}

#[test]
fn no_keep_alive_means_for_ever() {
    let mut world = broker(2);
    let net = world.join(0, &Hello::new(Version::V311, "patient"));
    world.pass(1_000_000, 100_000);
    assert!(!world.nets[net.0].closed());
}

#[test]
fn the_servers_keep_alive_wins() {
    let mut setup = Setup::new(2, 3);
    setup.settings.offer.server_keep_alive_seconds = Some(4);
    let mut world = World::new(&setup);
    let net = world.dial(0, Version::V5);
    let seen = world.ask(net, &Hello::new(Version::V5, "c").keep_alive(1_000).encode());
    assert!(
        matches!(&seen[..], [Seen::Connack(connack)] if connack.keep_alive_seconds == Some(4)),
        "{seen:?}"
    );
    world.pass(7_000, 100);
    assert!(world.nets[net.0].closed(), "[MQTT-3.2.2-21]");
}

#[test]
fn a_connection_that_does_not_connect_is_closed() {
    for part in [0, 5] {
        let mut world = broker(4);
        let net = world.dial(1, Version::V5);
        world.send(net, &Hello::new(Version::V5, "slow").encode()[..part]);
        world.run();
        world.pass(world.common.settings.connect_timeout - 500, 100);
        assert!(!world.nets[net.0].closed());
        world.pass(1_000, 100);
        assert!(world.nets[net.0].closed());
        assert_eq!(world.counter(|c| &c.connections), 0);
    }
}

fn watched(world: &mut World) -> NetId {
    let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
    subscribe(world, watcher, "w", 0);
    watcher
}

#[test]
fn a_will_waits_for_its_delay_or_the_sessions_end() {
    for (delay, expiry, seconds) in [(5, 100, 5), (100, 5, 5), (0, 100, 0), (5, 0, 0)] {
        let mut world = broker(5);
        let watcher = watched(&mut world);
        let hello = Hello::new(Version::V5, "dying").clean(false).expiry(expiry).will(
            "w",
            b"will",
            Qos::AtMostOnce,
            false,
        );
        let net = world.join(1, &hello.will_delay(delay));
        world.hang_up(net, 0);
        world.run();
        if seconds > 0 {
            world.pass(seconds * 1_000 - 500, 100);
            assert_eq!(
                world.seen(watcher),
                vec![],
                "delay {delay}, expiry {expiry}: too early [MQTT-3.1.3-9]"
            );
            world.pass(1_000, 100);
        }
        let got = payloads(&publishes(world.seen(watcher)));
        assert_eq!(got, ["will"], "delay {delay}, expiry {expiry} [MQTT-3.1.2-8]");
        world.pass(200_000, 10_000);
        assert_eq!(world.seen(watcher), vec![], "once");
    }
}

#[test]
fn a_will_is_not_for_those_who_say_goodbye() {
    for version in VERSIONS {
        let mut world = broker(6);
        let watcher = watched(&mut world);
        let hello = Hello::new(version, "polite").will("w", b"will", Qos::AtMostOnce, false);
        let net = world.join(1, &hello);
        world.send(net, &packets::disconnect(version, ReasonCode::NORMAL_DISCONNECTION));
        world.hang_up(net, 0);
        world.run();
        assert_eq!(world.seen(watcher), vec![], "[MQTT-3.14.4-3]");
        assert!(world.nets[net.0].closed());
    }
    let mut world = broker(7);
    let watcher = watched(&mut world);
    let net = world.join(1, &Hello::new(Version::V5, "c").will("w", b"will", Qos::AtMostOnce, false));
    world.send(net, &packets::disconnect(Version::V5, ReasonCode::DISCONNECT_WITH_WILL));
    world.run();
    assert_eq!(payloads(&publishes(world.seen(watcher))), ["will"], "0x04 asks for the will");
}

#[test]
fn a_session_lives_for_its_expiry_and_no_longer() {
    for (away, present) in [(9_000, true), (11_000, false)] {
        let mut world = broker(8);
        let hello = Hello::new(Version::V5, "leaver").clean(false).expiry(10);
        let net = world.join(0, &hello);
        subscribe(&mut world, net, "t", 1);
        world.hang_up(net, 0);
        world.run();
        world.pass(away, 500);
        assert_eq!(world.counter(|c| &c.subscriptions), u64::from(present));
        assert_eq!(world.counter(|c| &c.sessions), u64::from(present));
        let again = world.dial(1, Version::V5);
        let seen = world.ask(again, &hello.encode());
        let [Seen::Connack(connack)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(connack.session_present, present, "away for {away} ms [MQTT-3.1.2-23]");
        assert_eq!(world.counter(|c| &c.sessions_expired), u64::from(!present));
    }
}

#[test]
fn a_message_expires_in_the_queue_and_counts_down() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 9));
        let hello = Hello::new(Version::V5, "sleeper").persistent();
        let net = world.join(0, &hello);
        subscribe(&mut world, net, "t", 1);
        world.hang_up(net, 0);
        let writer = world.join(shards - 1, &Hello::new(Version::V5, "writer"));
        world.send(writer, &Post::new("t", "short", 1, 1).expiry(5).encode(Version::V5));
        world.send(writer, &Post::new("t", "long", 1, 2).expiry(60).encode(Version::V5));
        world.send(writer, &Post::new("t", "ever", 1, 3).encode(Version::V5));
        world.run();
        world.pass(20_000, 1_000);
        let again = world.join(0, &hello);
        let got = publishes(world.seen(again));
        assert_eq!(payloads(&got), ["long", "ever"], "[MQTT-3.3.2-5]");
        assert!(matches!(got[0].expiry_seconds, Some(39..=40)), "{got:?} [MQTT-3.3.2-6]");
        assert_eq!(got[1].expiry_seconds, None);
        assert_eq!(world.counter(|c| &c.dropped_expired), 1);
    }
}
