//! Stopping: no new work, wills once to those that stay, a goodbye to everybody, and then nothing is left.

use ringmq_wire::{Qos, Version};

use super::{payloads, publishes, subscribe};
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, Post, Seen};

fn last_disconnect(seen: &[Seen]) -> Option<u8> {
    match seen.last() {
        Some(Seen::Disconnect(reason)) => Some(*reason),
        _ => None,
    }
}

#[test]
fn wills_go_out_once_and_everybody_is_told() {
    for shards in [1, 2, 4] {
        for moving in [true, false] {
            let mut world = World::new(&Setup::new(shards, 1).moving(moving));
            let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
            subscribe(&mut world, watcher, "will/#", 0);
            let old = world.join(
                shards - 1,
                &Hello::new(Version::V311, "old").will("will/old", b"o", Qos::AtMostOnce, false),
            );
            let new =
                world.join(0, &Hello::new(Version::V5, "new").will("will/new", b"n", Qos::AtMostOnce, false));
            let slow =
                Hello::new(Version::V5, "slow").persistent().will("will/slow", b"s", Qos::AtMostOnce, false);
            let slow = world.join(0, &slow.will_delay(100));
            world.stop_work();
            world.stop_connections();
            let seen = world.seen(watcher);
            assert_eq!(last_disconnect(&seen), Some(0x8b), "{seen:?}");
            let mut wills = payloads(&publishes(seen));
            wills.sort();
            assert_eq!(wills, ["n", "o"], "{shards} shards: without a delay, and once");
            assert_eq!(world.seen(old), vec![], "3.x has no DISCONNECT from a broker");
            assert_eq!(last_disconnect(&world.seen(new)), Some(0x8b));
            assert_eq!(last_disconnect(&world.seen(slow)), Some(0x8b));
            assert!(world.nets.iter().all(crate::harness::net::Net::closed));
            assert!(world.stopped.iter().all(|stopped| *stopped));
            assert_eq!(world.counter(|c| &c.connections), 0);
            assert_eq!(world.counter(|c| &c.stop_left), 0);
        }
    }
}

#[test]
fn a_stopping_broker_takes_no_new_work() {
    let mut world = World::new(&Setup::new(2, 2));
    let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
    subscribe(&mut world, watcher, "#", 1);
    let writer = world.join(1, &Hello::new(Version::V5, "writer"));
    world.stop_work();
    world.send(writer, &Post::new("t", "late", 1, 1).encode(Version::V5));
    let newcomer = world.dial(0, Version::V5);
    world.send(newcomer, &Hello::new(Version::V5, "newcomer").encode());
    world.run();
    world.stop_connections();
    let late = publishes(world.seen(watcher));
    assert_eq!(late, vec![]);
    for seen in world.seen(newcomer) {
        assert!(
            matches!(&seen, Seen::Connack(connack) if connack.reason >= 0x80)
                || matches!(seen, Seen::Disconnect(_))
        );
    }
    assert!(world.nets.iter().all(crate::harness::net::Net::closed));
    assert!(world.stopped.iter().all(|stopped| *stopped));
}

#[test]
fn a_client_that_does_not_read_is_left_at_the_deadline_and_counted() {
    let mut world = World::new(&Setup::new(2, 3));
    let stuck = world.join(0, &Hello::new(Version::V5, "stuck"));
    subscribe(&mut world, stuck, "t", 1);
    world.nets[stuck.0].stalled = true;
    let writer = world.join(1, &Hello::new(Version::V5, "writer"));
    world.ask(writer, &Post::new("t", "x", 1, 1).encode(Version::V5));
    world.stop_work();
    world.stop_connections();
    assert!(!world.stopped.iter().all(|stopped| *stopped), "it still flushes");
    world.pass(world.common.settings.stop_deadline + 500, 100);
    assert!(world.stopped.iter().all(|stopped| *stopped));
    assert!(world.nets.iter().all(crate::harness::net::Net::closed));
    assert_eq!(world.counter(|c| &c.stop_left), 1);
}
