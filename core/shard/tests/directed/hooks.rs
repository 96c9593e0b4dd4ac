//! Hooks: who comes and goes is told once and in order, and what a message has become is what everybody gets, whenever
//! the answer comes and whatever else the publish waits for.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ringmq_shard::{Answer, Hooks, Input, Offered, PeerAddress, Reader, Rewritten, Ticket, Verdict};
use ringmq_wire::{PropertiesBuffer, Property, Qos, ReasonCode, Version};

use super::{VERSIONS, id_on, payloads, publishes, subscribe};
use crate::harness::packets::{self, AckKind};
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, Mood, Post, Seen};

/// What all hooks of one broker share.
#[derive(Default)]
struct Notes {
    /// Clients that came and went, and messages, as text.
    lines: Vec<String>,
    later: bool,
    open: Vec<(usize, Ticket, Verdict)>,
}

struct Watch {
    shard: usize,
    notes: Rc<RefCell<Notes>>,
}

/// What becomes of a message, by what it says.
fn verdict(offered: &Offered<'_>) -> Verdict {
    let words: Vec<&str> = std::str::from_utf8(offered.payload).unwrap().split(' ').collect();
    let rewritten = |topic: &str, payload: &str| {
        let mut properties = PropertiesBuffer::new();
        properties.push_user("by", "hook");
        let payload = payload.to_owned().into();
        Verdict::Rewrite(Arc::new(Rewritten {
            topic: topic.into(),
            retain: offered.retain,
            properties,
            payload,
        }))
    };
    match words[..] {
        ["becomes", topic, payload] => rewritten(topic, payload),
        ["refused"] => Verdict::Refuse(ReasonCode::PAYLOAD_FORMAT_INVALID),
        ["refused", "wrongly"] => Verdict::Refuse(ReasonCode::SESSION_TAKEN_OVER),
        ["denied"] => Verdict::Deny,
        ["aliased"] => {
            let mut properties = PropertiesBuffer::new();
            properties.push_u16(Property::TopicAlias, 1);
            let topic = offered.topic.into();
            Verdict::Rewrite(Arc::new(Rewritten { topic, properties, ..Rewritten::default() }))
        }
        _ => Verdict::Allow,
    }
}

impl Hooks for Watch {
    fn connected(&mut self, _: &PeerAddress, reader: &Reader<'_>) {
        self.notes.borrow_mut().lines.push(format!("{} comes", reader.client_id));
    }
    fn disconnected(&mut self, reader: &Reader<'_>, reason: Option<ReasonCode>) {
        let reason = reason.map_or_else(|| "nothing".to_owned(), |reason| format!("{:02x}", reason.value()));
        self.notes.borrow_mut().lines.push(format!("{} goes with {reason}", reader.client_id));
    }
    fn sees_messages(&self) -> bool {
        true
    }
    fn publish(&mut self, ticket: Ticket, offered: &Offered<'_>) -> Answer {
        let mut notes = self.notes.borrow_mut();
        let payload = String::from_utf8_lossy(offered.payload);
        let will = if offered.is_will { "will " } else { "" };
        notes.lines.push(format!("{} {will}{} {payload}", offered.publisher.client_id, offered.topic));
        if !notes.later {
            return Answer::Now(verdict(offered));
        }
        notes.open.push((self.shard, ticket, verdict(offered)));
        Answer::Later
    }
}

fn broker(setup: &Setup) -> (World, Rc<RefCell<Notes>>) {
    let mut world = World::new(setup);
    let notes = Rc::<RefCell<Notes>>::default();
    world.set_hooks(|shard| Box::new(Watch { shard, notes: Rc::clone(&notes) }));
    (world, notes)
}

/// Gives all answers that are open, and those that are asked for because of them.
fn answer_all(world: &mut World, notes: &RefCell<Notes>) {
    world.run();
    loop {
        let open = std::mem::take(&mut notes.borrow_mut().open);
        if open.is_empty() {
            return;
        }
        for (shard, ticket, verdict) in open {
            world.give(shard, Input::Decided { ticket, verdict });
        }
        world.run_answering();
    }
}

/// How deciders and hooks answer: at once or later, and whether the decider is asked at all.
fn columns() -> impl Iterator<Item = (Version, Mood, bool, usize)> {
    VERSIONS.into_iter().flat_map(|version| {
        [Mood::Now, Mood::Later].into_iter().flat_map(move |mood| {
            [false, true].into_iter().flat_map(move |later| [0, 1].map(|home| (version, mood, later, home)))
        })
    })
}

#[test]
fn a_message_is_what_the_hook_has_made_of_it() {
    for (version, mood, later, reader_home) in columns() {
        let (mut world, notes) = broker(&Setup::new(2, 1));
        let reader = world.join(0, &Hello::new(Version::V5, &id_on("reader", reader_home, 2)));
        subscribe(&mut world, reader, "#", 2);
        let publisher = world.join(0, &Hello::new(version, &id_on("publisher", 0, 2)));
        world.book.borrow_mut().mood = mood;
        notes.borrow_mut().later = later;
        for (id, payload) in [(1, "same"), (2, "becomes other/topic new"), (3, "same again")] {
            world.send(publisher, &Post::new("topic", payload, 1, id).encode(version));
        }
        world.run_answering();
        answer_all(&mut world, &notes);
        let got = publishes(world.seen(reader));
        assert_eq!(payloads(&got), ["same", "new", "same again"], "{version:?} {mood:?} {later}");
        let topics: Vec<&str> = got.iter().map(|publish| publish.topic.as_str()).collect();
        assert_eq!(topics, ["topic", "other/topic", "topic"]);
        let acks: Vec<u16> = world.seen(publisher).iter().filter_map(acked).collect();
        assert_eq!(acks, [1, 2, 3], "in their order");
        let lines = &notes.borrow().lines;
        assert_eq!(lines.iter().filter(|line| line.contains(" topic ")).count(), 3, "each once: {lines:?}");
    }
}

fn acked(seen: &Seen) -> Option<u16> {
    match seen {
        Seen::Ack(AckKind::Puback, id, _) => Some(*id),
        _ => None,
    }
}

#[test]
fn a_refusal_has_its_reason_and_reaches_nobody() {
    for (payload, code) in [
        ("refused", 0x99),
        ("refused wrongly", 0x87),
        ("denied", 0x87),
        ("aliased", 0x83),
        ("becomes a/# x", 0x83),
    ] {
        for (version, qos) in [(Version::V5, 1), (Version::V5, 2), (Version::V311, 1), (Version::V5, 0)] {
            let (mut world, _) = broker(&Setup::new(2, 2));
            let reader = world.join(1, &Hello::new(Version::V5, "reader"));
            subscribe(&mut world, reader, "#", 0);
            let publisher = world.join(0, &Hello::new(version, "publisher"));
            let seen =
                world.ask(publisher, &Post::new("topic", payload, qos, u16::from(qos > 0)).encode(version));
            let kind = if qos == 2 { AckKind::Pubrec } else { AckKind::Puback };
            // 3.x has no words for what nobody has decided: an acknowledgement would say that it was taken.
            let is_left = version != Version::V5 && code == 0x83;
            let told = if version == Version::V5 { code } else { 0 };
            let is_silent = qos == 0 || is_left;
            let expected = if is_silent { vec![] } else { vec![Seen::Ack(kind, 1, told)] };
            assert_eq!(seen, expected, "{payload} {version:?} {qos}");
            assert_eq!(world.nets[publisher.0].closed(), is_left);
            world.run();
            assert_eq!(world.seen(reader), vec![]);
            assert_eq!(world.counter(|counters| &counters.publish_denied), 1);
        }
    }
}

#[test]
fn a_hook_that_never_answers_is_no_at_the_deadline() {
    let (mut world, notes) = broker(&Setup::new(1, 3));
    let publisher = world.join(0, &Hello::new(Version::V5, "publisher"));
    notes.borrow_mut().later = true;
    assert_eq!(world.ask(publisher, &Post::new("topic", "x", 1, 1).encode(Version::V5)), vec![]);
    world.pass(world.common.settings.decision_timeout + 200, 100);
    assert_eq!(world.seen(publisher), [Seen::Ack(AckKind::Puback, 1, 0x83)]);
    // What comes too late is for nobody.
    answer_all(&mut world, &notes);
    assert_eq!(world.seen(publisher), vec![]);
    let old = world.join(0, &Hello::new(Version::V311, "old"));
    world.send(old, &Post::new("topic", "x", 1, 1).encode(Version::V311));
    world.pass(world.common.settings.decision_timeout + 200, 100);
    assert_eq!((world.seen(old), world.nets[old.0].closed()), (vec![], true), "it sends it again");
}

#[test]
fn a_will_is_shown_when_its_client_connects() {
    for (version, _, later, _) in columns() {
        let (mut world, notes) = broker(&Setup::new(2, 4));
        let reader = world.join(1, &Hello::new(Version::V5, "reader"));
        subscribe(&mut world, reader, "#", 0);
        notes.borrow_mut().later = later;
        let hello =
            Hello::new(version, "mortal").will("w", b"becomes other/will new", Qos::AtMostOnce, false);
        let mortal = world.dial(0, version);
        world.send(mortal, &hello.encode());
        answer_all(&mut world, &notes);
        assert!(matches!(&world.seen(mortal)[..], [Seen::Connack(connack)] if connack.reason == 0));
        world.hang_up(mortal, 0);
        world.run();
        let got = publishes(world.seen(reader));
        assert_eq!((payloads(&got), got[0].topic.as_str()), (vec!["new".to_owned()], "other/will"));
        let lines = &notes.borrow().lines;
        assert_eq!(
            lines[1..],
            ["mortal will w becomes other/will new", "mortal comes", "mortal goes with nothing"]
        );
    }
}

#[test]
fn a_will_that_is_refused_refuses_its_client() {
    for payload in ["denied", "aliased"] {
        let (mut world, notes) = broker(&Setup::new(1, 5));
        let net = world.dial(0, Version::V5);
        let hello = Hello::new(Version::V5, "mortal").will("w", payload.as_bytes(), Qos::AtMostOnce, false);
        let seen = world.ask(net, &hello.encode());
        assert!(matches!(&seen[..], [Seen::Connack(connack)] if connack.reason >= 0x80), "{seen:?}");
        assert!(!notes.borrow().lines.iter().any(|line| line.contains("comes")), "it never was there");
    }
}

#[test]
fn who_comes_and_goes_is_told_in_order_with_the_reason() {
    for version in [Version::V311, Version::V5] {
        let (mut world, notes) = broker(&Setup::new(2, 6));
        let first = world.join(0, &Hello::new(version, "a"));
        let second = world.join(1, &Hello::new(version, "a"));
        world.ask(second, &packets::disconnect(version, ReasonCode::NORMAL_DISCONNECTION));
        let third = world.join(1, &Hello::new(version, "a"));
        world.hang_up(third, 0);
        world.run();
        let fourth = world.join(1, &Hello::new(version, "a"));
        world.send(fourth, &Hello::new(version, "a").encode());
        world.run();
        world.join(0, &Hello::new(version, "a"));
        world.stop_work();
        world.stop_connections();
        world.run();
        let reasons = ["8e", "00", "nothing", "82", "8b"];
        let expected: Vec<String> = reasons
            .iter()
            .flat_map(|reason| ["a comes".to_owned(), format!("a goes with {reason}")])
            .collect();
        assert_eq!(notes.borrow().lines, expected);
        assert!(world.nets[first.0].closed());
    }
}

#[test]
fn what_is_under_way_ends_with_its_connection() {
    let (mut world, notes) = broker(&Setup::new(1, 7));
    world.run();
    let own = world.timers();
    let reader = world.join(0, &Hello::new(Version::V5, "reader"));
    subscribe(&mut world, reader, "#", 0);
    notes.borrow_mut().later = true;
    let publisher = world.join(0, &Hello::new(Version::V5, "publisher"));
    world.ask(publisher, &Post::new("topic", "becomes other new", 0, 0).encode(Version::V5));
    world.hang_up(publisher, 0);
    world.pass(world.common.settings.decision_timeout + 200, 100);
    let open = std::mem::take(&mut notes.borrow_mut().open);
    for (shard, ticket, verdict) in open {
        world.give(shard, Input::Decided { ticket, verdict });
    }
    world.run();
    assert_eq!(world.seen(reader), vec![], "it was not decided in time");
    world.hang_up(reader, 0);
    world.run();
    assert_eq!(world.timers(), own);
    // A slot that is used again has nothing of its former user.
    notes.borrow_mut().later = false;
    let reader = world.join(0, &Hello::new(Version::V5, "reader"));
    subscribe(&mut world, reader, "#", 0);
    let other = world.join(0, &Hello::new(Version::V5, "other"));
    world.ask(other, &Post::new("topic", "own", 0, 0).encode(Version::V5));
    assert_eq!(payloads(&publishes(world.seen(reader))), ["own"]);
}
