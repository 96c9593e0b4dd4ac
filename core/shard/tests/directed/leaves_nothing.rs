//! Who comes and goes leaves nothing behind. Found by a million damaged packets: each connection left its timers
//! for as long as they had been armed ahead, up to ten minutes, and memory grew with the rate of connections.

use ringmq_wire::{Qos, ReasonCode, Version};

use super::{VERSIONS, subscribe};
use crate::harness::deciders::Mood;
use crate::harness::packets;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, Post};

const COMERS: usize = 50;

/// A broker, and the timers of its own.
fn broker(setup: &Setup) -> (World, usize) {
    let mut world = World::new(setup);
    world.run();
    let own = world.timers();
    (world, own)
}

#[test]
fn clients_that_go_leave_no_timer() {
    for version in VERSIONS {
        for moving in [true, false] {
            let (mut world, own) = broker(&Setup::new(2, 1).moving(moving));
            for comer in 0..COMERS {
                let hello = Hello::new(version, &format!("comer-{comer}")).keep_alive(u16::MAX);
                let net = world.join(comer % 2, &hello);
                if comer % 3 == 0 {
                    world.ask(net, &packets::disconnect(version, ReasonCode::NORMAL_DISCONNECTION));
                }
                world.hang_up(net, 0);
                world.run();
                assert_eq!(world.counter(|c| &c.connections), 0);
                assert_eq!(world.timers(), own, "after {comer} of {version:?}");
            }
        }
    }
}

#[test]
fn connections_without_a_word_leave_no_timer() {
    let (mut world, own) = broker(&Setup::new(2, 2));
    for comer in 0..COMERS {
        let net = world.dial(comer % 2, Version::V5);
        world.send(net, &Hello::new(Version::V5, "cut").encode()[..comer % 8]);
        world.run();
        world.hang_up(net, 0);
        world.run();
        assert_eq!(world.timers(), own);
    }
}

#[test]
fn a_session_that_comes_back_again_and_again_has_three_timers_at_most() {
    let (mut world, own) = broker(&Setup::new(1, 3));
    for _ in 0..COMERS {
        let hello =
            Hello::new(Version::V5, "back").clean(false).expiry(1_000).keep_alive(600).will_delay(500);
        let net = world.join(0, &hello.will("t", b"w", Qos::AtLeastOnce, false));
        assert!(world.timers() <= own + 4, "{} timers", world.timers());
        world.hang_up(net, 0);
        world.run();
        assert!(world.timers() <= own + 3, "{} timers", world.timers());
        world.advance(1_000);
    }
    let last = world.join(0, &Hello::new(Version::V5, "back"));
    assert_eq!(world.timers(), own, "its session began anew and needs none");
    world.hang_up(last, 0);
    world.run();
    assert_eq!(world.timers(), own);
}

#[test]
fn questions_of_those_who_go_are_forgotten() {
    let mut setup = Setup::new(1, 4);
    setup.mood = Mood::Later;
    let (mut world, own) = broker(&setup);
    for comer in 0..COMERS {
        let net = world.dial(0, Version::V5);
        world.send(net, &Hello::new(Version::V5, &format!("asks-{comer}")).encode());
        world.run();
        assert_eq!(world.timers(), own + 2, "for CONNECT and for its decision");
        world.hang_up(net, 0);
        world.run();
        assert_eq!(world.timers(), own);
    }
}

#[test]
fn a_message_that_was_held_and_taken_leaves_no_timer_with_its_session() {
    let mut setup = Setup::new(1, 5);
    setup.settings.queue_messages_max = 1;
    let (mut world, own) = broker(&setup);
    let writer = world.join(0, &Hello::new(Version::V5, "writer"));
    for comer in 0..COMERS {
        let reader = world.join(0, &Hello::new(Version::V5, &format!("reader-{comer}")).receive_maximum(1));
        subscribe(&mut world, reader, "t", 1);
        for id in 1..=3 {
            world.send(writer, &Post::new("t", "x", 1, id).encode(Version::V5));
        }
        world.run();
        assert_eq!(world.timers(), own + 1, "one for what is held");
        world.hang_up(reader, 0);
        world.run();
        world.seen(writer);
        assert_eq!(world.timers(), own);
    }
}
