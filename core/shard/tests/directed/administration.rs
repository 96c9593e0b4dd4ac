//! What the one who holds the broker sees of its clients and messages, and does to them.

use std::sync::{Arc, Mutex};

use ringmq_proto::time::Wall;
use ringmq_shard::limits::ADMIN_PAGE_MAX;
use ringmq_shard::{
    AdminAnswer, AdminQuestion, Input, LocalId, LocalInput, LocalOutcome, LocalTicket, SessionReport,
};
use ringmq_wire::{Qos, Version};

use super::subscribe;
use crate::harness::local::{Basket, Sink};
use crate::harness::packets::Post;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, Seen};

/// Asks one shard, through a handle that is opened for it.
fn ask(world: &mut World, shard: usize, question: AdminQuestion) -> AdminAnswer {
    let local = LocalId(77 + shard as u64);
    let sink = Box::new(Sink(Arc::new(Mutex::new(Basket::default()))));
    world.give(shard, Input::Local(LocalInput::Open { local, sink, queue_messages_max: 1 }));
    world.give(shard, Input::Local(LocalInput::Administer { local, ticket: LocalTicket(5), question }));
    world.give(shard, Input::Local(LocalInput::Close { local }));
    world.run();
    let position = world.local_done.iter().position(|(done, _)| done.0 == 5).expect("it is answered");
    match world.local_done.remove(position).1 {
        LocalOutcome::Administered(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// All sessions of all shards by ClientID, page by page.
fn sessions(world: &mut World) -> Vec<SessionReport> {
    let mut all = Vec::new();
    for shard in 0..world.shard_count() {
        let mut next = Some(0);
        while let Some(from) = next {
            let AdminAnswer::Sessions { sessions, next: more } =
                ask(world, shard, AdminQuestion::Sessions { from })
            else {
                panic!("sessions")
            };
            all.extend(sessions);
            next = more;
        }
    }
    all.sort_by(|one, other| one.client_id.cmp(&other.client_id));
    all
}

fn retained(world: &mut World, filter: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for shard in 0..world.shard_count() {
        let mut next = Some(None);
        while let Some(after) = next {
            let question = AdminQuestion::Retained { filter: filter.to_owned(), after };
            let AdminAnswer::Retained { messages, next: more } = ask(world, shard, question) else {
                panic!("retained")
            };
            all.extend(messages.into_iter().map(|message| (message.topic, message.payload.to_vec())));
            next = more.map(Some);
        }
    }
    all.sort();
    all
}

fn kick(world: &mut World, client_id: &str, end_session: bool) -> bool {
    let question = AdminQuestion::Kick { client_id: client_id.to_owned(), end_session };
    let kicked = |shard| ask(world, shard, question.clone()) == AdminAnswer::Kicked(true);
    (0..3).map(kicked).filter(|kicked| *kicked).count() == 1
}

#[test]
fn sessions_are_reported_with_what_they_have_wherever_they_live() {
    for moving in [true, false] {
        let mut world = World::new(&Setup::new(3, 1).moving(moving));
        for number in 0..6 {
            let net = world.join(
                number % 3,
                &Hello::new(Version::V5, &format!("c{number}")).persistent().keep_alive(30),
            );
            subscribe(&mut world, net, &format!("t/{number}"), 1);
            if number == 5 {
                world.hang_up(net, 0);
                world.run();
            }
        }
        let writer = world.join(0, &Hello::new(Version::V311, "writer"));
        world.ask(writer, &Post::new("t/5", "kept", 1, 1).encode(Version::V311));
        let found = sessions(&mut world);
        let names: Vec<_> = found.iter().map(|report| report.client_id.as_str()).collect();
        assert_eq!(names, ["c0", "c1", "c2", "c3", "c4", "c5", "writer"], "moving {moving}");
        for report in &found[..5] {
            assert!(
                report.connected && report.version == Some(Version::V5) && report.keep_alive_seconds == 30
            );
            assert_eq!((report.queued, report.expiry_seconds), (0, u32::MAX));
        }
        assert_eq!(found[3].subscriptions, [("t/3".to_owned(), Qos::AtLeastOnce)]);
        assert!(!found[5].connected && found[5].version.is_none());
        assert_eq!((found[5].queued, found[5].queued_bytes > 0), (1, true));
        assert_eq!((found[6].version, found[6].expiry_seconds), (Some(Version::V311), 0));
    }
}

#[test]
fn a_client_is_disconnected_and_told_and_its_session_stays_or_ends() {
    for moving in [true, false] {
        for end_session in [true, false] {
            let mut world = World::new(&Setup::new(3, 2).moving(moving));
            let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
            subscribe(&mut world, watcher, "wills", 0);
            let hello =
                Hello::new(Version::V5, "victim").persistent().will("wills", b"gone", Qos::AtMostOnce, false);
            let victim = world.join(1, &hello);
            assert!(kick(&mut world, "victim", end_session));
            assert_eq!(world.seen(victim), [Seen::Disconnect(0x98)]);
            let told = world.seen(watcher);
            assert!(matches!(&told[..], [Seen::Publish(will)] if will.payload == b"gone"), "{told:?}");
            let left: Vec<_> = sessions(&mut world).into_iter().map(|report| report.client_id).collect();
            let expected: &[&str] = if end_session { &["watcher"] } else { &["victim", "watcher"] };
            assert_eq!(left, expected, "moving {moving}");
            assert_eq!(
                kick(&mut world, "victim", true),
                !end_session,
                "who is not connected has a session to end"
            );
            assert!(!kick(&mut world, "nobody", true));
            assert_eq!(sessions(&mut world).len(), 1);
        }
    }
}

#[test]
fn retained_messages_are_reported_page_by_page() {
    let mut world = World::new(&Setup::new(3, 3));
    let writer = world.join(0, &Hello::new(Version::V311, "writer"));
    let count = 3 * ADMIN_PAGE_MAX + 7;
    for number in 0..count {
        let message = Post::new(&format!("r/{number:04}"), number.to_string(), 0, 0).retained();
        world.ask(writer, &message.encode(Version::V311));
    }
    let found = retained(&mut world, "r/#");
    let expected = (0..count).map(|number| (format!("r/{number:04}"), number.to_string().into_bytes()));
    assert!(found.into_iter().eq(expected));
    assert_eq!(retained(&mut world, "r/0003"), [("r/0003".to_owned(), b"3".to_vec())]);
    assert_eq!(retained(&mut world, "other/#"), []);
}

#[test]
fn a_reset_leaves_no_client_no_session_and_no_retained_message() {
    let mut world = World::new(&Setup::new(2, 4));
    let nets: Vec<_> = (0..2 * ADMIN_PAGE_MAX)
        .map(|number| {
            let net = world.join(0, &Hello::new(Version::V5, &format!("c{number}")).persistent());
            let message = Post::new(&format!("r/{number}"), "x", 0, 0).retained();
            world.ask(net, &message.encode(Version::V5));
            net
        })
        .collect();
    for shard in 0..2 {
        let mut next = Some(0);
        let mut pages = 0;
        while let Some(from) = next {
            let AdminAnswer::Reset { next: more } = ask(&mut world, shard, AdminQuestion::Reset { from })
            else {
                panic!("reset")
            };
            next = more;
            pages += 1;
            assert!(pages < 20, "it comes to an end");
        }
    }
    assert_eq!((sessions(&mut world), retained(&mut world, "#")), (Vec::new(), Vec::new()));
    assert_eq!(world.counter(|counters| &counters.sessions), 0);
    assert_eq!(world.counter(|counters| &counters.retained), 0);
    assert!(nets.into_iter().all(|net| world.seen(net).ends_with(&[Seen::Disconnect(0x98)])));
    let back = world.join(0, &Hello::new(Version::V5, "c0").persistent());
    assert!(world.ask(back, &[0xC0, 0]).contains(&Seen::Pingresp), "it serves on");
}

fn time_passed(world: &mut World, keep_alive: u64) {
    for shard in 0..world.shard_count() {
        let mut next = Some(0);
        while let Some(from) = next {
            let question = AdminQuestion::TimePassed { from, keep_alive };
            let AdminAnswer::TimePassed { next: more } = ask(world, shard, question) else { panic!("time") };
            next = more;
        }
    }
}

#[test]
fn a_clock_that_was_set_ahead_ends_what_is_due_and_nothing_else() {
    for moving in [true, false] {
        let mut world = World::new(&Setup::new(2, 5).moving(moving));
        let watcher = world.join(0, &Hello::new(Version::V5, "watcher").keep_alive(60));
        subscribe(&mut world, watcher, "wills", 0);
        for (id, expiry, delay) in [("short", 100, 50), ("long", 10_000, 5000)] {
            let hello = Hello::new(Version::V5, id).clean(false).expiry(expiry);
            let hello = hello.will("wills", id.as_bytes(), Qos::AtMostOnce, false).will_delay(delay);
            let net = world.join(1, &hello);
            world.hang_up(net, 0);
            world.run();
        }
        world.now.wall = Wall(world.now.wall.0 + 60_000);
        time_passed(&mut world, 0);
        let told = world.seen(watcher);
        assert!(matches!(&told[..], [Seen::Publish(will)] if will.payload == b"short"), "{told:?}");
        assert_eq!(sessions(&mut world).len(), 3);
        world.now.wall = Wall(world.now.wall.0 + 60_000);
        time_passed(&mut world, 0);
        let names: Vec<_> = sessions(&mut world).into_iter().map(|report| report.client_id).collect();
        assert_eq!(names, ["long", "watcher"], "moving {moving}");
        time_passed(&mut world, 89_000);
        assert_eq!(world.seen(watcher), []);
        time_passed(&mut world, 91_000);
        assert_eq!(world.seen(watcher), [Seen::Disconnect(0x8D)]);
    }
}
