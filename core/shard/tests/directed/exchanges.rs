//! Extended authentication: challenges before CONNACK and after, what may stand between them, who waits for what, and
//! what each end of it leaves behind.

use std::sync::Arc;

use ringmq_proto::time::Wall;
use ringmq_wire::{Qos, ReasonCode, Version};

use super::{id_on, payloads, publishes, subscribe};
use crate::harness::deciders::{Mood, identity};
use crate::harness::packets::{self, SeenAuth};
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Post, Seen};

const CONTINUE: ReasonCode = ReasonCode::CONTINUE_AUTHENTICATION;
const ANEW: ReasonCode = ReasonCode::REAUTHENTICATE;

/// Two shards whose decider challenges `first` with `salt`, and takes `second` behind it for a proof of being anna.
fn broker(setup: &Setup) -> World {
    let world = World::new(setup);
    let mut book = world.book.borrow_mut();
    book.restricts_reading = true;
    book.challenges.push(("known first".to_owned(), "salt"));
    book.identities.push(("known second after salt".to_owned(), identity(Some("anna"), None, "grant")));
    book.denied.push("known wrong".to_owned());
    drop(book);
    world
}

fn hello(id: &str) -> Hello {
    Hello::new(Version::V5, id).method("known", b"first")
}

fn challenge() -> Seen {
    said(0x18, b"salt")
}

fn said(reason: u8, data: &[u8]) -> Seen {
    let data = (!data.is_empty()).then(|| data.to_vec());
    Seen::Auth(SeenAuth { reason, method: Some("known".to_owned()), data })
}

fn second() -> Vec<u8> {
    packets::auth(CONTINUE, "known", b"second")
}

/// A client that was challenged and has not answered yet.
fn challenged(world: &mut World, id: &str) -> NetId {
    let net = world.dial(0, Version::V5);
    world.send(net, &hello(id).encode());
    world.run_answering();
    assert_eq!(world.seen(net), vec![challenge()]);
    net
}

/// A client that has proved to be anna.
fn proved(world: &mut World, id: &str) -> NetId {
    let net = challenged(world, id);
    world.send(net, &second());
    world.run_answering();
    assert_eq!(connack(world, net), 0);
    net
}

fn connack(world: &mut World, net: NetId) -> u8 {
    match &world.seen(net)[..] {
        [Seen::Connack(connack)] => connack.reason,
        other => panic!("{other:?}"),
    }
}

fn nothing_is_left(world: &mut World, timers: usize) {
    world.run();
    assert_eq!(world.timers(), timers);
    assert_eq!(world.counter(|c| &c.connections), 0);
    assert_eq!(world.counter(|c| &c.unread_bytes), 0);
    let book = world.book.borrow();
    assert_eq!(Arc::strong_count(&book.identities[0].1), 1);
}

/// Every AUTH of the server names the method [MQTT-4.12.0-5] and says 0x18 within the exchange [MQTT-4.12.0-2], and so
/// does CONNACK.
#[test]
fn a_client_is_challenged_and_comes_in() {
    for moving in [true, false] {
        for mood in [Mood::Now, Mood::Later] {
            for home in [0, 1] {
                let mut world = broker(&Setup::new(2, 1).moving(moving));
                let timers = world.timers();
                world.book.borrow_mut().mood = mood;
                let id = id_on("c", home, 2);
                let net = world.dial(0, Version::V5);
                world.send(net, &hello(&id).will("w", b"", Qos::AtMostOnce, false).encode());
                world.run_answering();
                assert_eq!(world.seen(net), vec![challenge()], "[MQTT-3.2.0-1]");
                assert_eq!(world.counter(|c| &c.sessions), 0);
                let mut bytes = second();
                bytes.extend(packets::subscribe(Version::V5, 1, &[("t", packets::with_qos(0))], None));
                bytes.extend(Post::new("t", "x", 0, 0).encode(Version::V5));
                world.send(net, &bytes);
                world.run_answering();
                let seen = world.seen(net);
                let [Seen::Connack(connack), Seen::Suback(1, _), Seen::Publish(_)] = &seen[..] else {
                    panic!("{seen:?}")
                };
                assert_eq!(connack.method.as_deref(), Some("known"), "[MQTT-4.12.0-5]");
                assert_eq!((connack.reason, connack.data.as_deref()), (0, Some(&b"proof"[..])));
                let asked = world.book.borrow().asked.clone();
                let expected = [
                    format!("auth {id} known first"),
                    format!("auth {id} known second after salt"),
                    format!("publish {id} w as anna with grant"),
                    format!("subscribe {id} t as anna with grant"),
                    format!("publish {id} t as anna with grant"),
                    format!("read {id} t as anna with grant"),
                ];
                assert_eq!(asked, expected, "moving {moving}, {mood:?}, home {home}");
                world.send(net, &packets::disconnect(Version::V5, ReasonCode::NORMAL_DISCONNECTION));
                world.run();
                world.hang_up(net, 0);
                nothing_is_left(&mut world, timers);
            }
        }
    }
}

#[test]
fn one_step_may_be_enough_and_many_are_possible() {
    let mut world = broker(&Setup::new(2, 2));
    let net = world.dial(0, Version::V5);
    let seen = world.ask(net, &Hello::new(Version::V5, "c").method("known", b"token").encode());
    let [Seen::Connack(said)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((said.reason, said.method.as_deref(), &said.data), (0, Some("known"), &None));
    let net = challenged(&mut world, "d");
    for _ in 0..5 {
        assert_eq!(world.ask(net, &packets::auth(CONTINUE, "known", b"first")), vec![challenge()]);
    }
    world.send(net, &second());
    world.run();
    assert_eq!(connack(&mut world, net), 0);
}

/// What a client may not say within the exchange, and what it is told; and what it may.
#[test]
fn what_ends_an_exchange_before_connack() {
    let rows = [
        (packets::auth(CONTINUE, "known", b"wrong"), vec![0x87], "[MQTT-4.12.0-4]"),
        (packets::auth(CONTINUE, "other", b"second"), vec![0x8c], "[MQTT-4.12.0-5]"),
        (packets::auth(ANEW, "known", b"first"), vec![0x82], "[MQTT-4.12.0-3]"),
        (packets::pingreq(Version::V5), vec![0x82], "[MQTT-3.1.2-30]"),
        (Post::new("t", "x", 0, 0).encode(Version::V5), vec![0x82], "[MQTT-3.1.2-30]"),
        (hello("c").encode(), vec![0x82], "[MQTT-3.1.0-2]"),
        (packets::disconnect(Version::V5, ReasonCode::NORMAL_DISCONNECTION), vec![], "[MQTT-3.1.2-30]"),
    ];
    for mood in [Mood::Now, Mood::Later] {
        for (bytes, expected, clause) in &rows {
            let mut world = broker(&Setup::new(2, 3));
            let timers = world.timers();
            world.book.borrow_mut().mood = mood;
            let net = challenged(&mut world, "c");
            world.send(net, bytes);
            world.run_answering();
            let codes: Vec<_> = world.seen(net).iter().map(code).collect();
            assert_eq!(codes, *expected, "{clause}");
            assert!(world.nets[net.0].closed(), "{clause}");
            assert_eq!(world.counter(|c| &c.sessions), 0);
            nothing_is_left(&mut world, timers);
        }
    }
}

fn code(seen: &Seen) -> u8 {
    match seen {
        Seen::Connack(connack) => connack.reason,
        Seen::Disconnect(code) => *code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_method_that_is_not_known_is_refused() {
    for mood in [Mood::Now, Mood::Later] {
        let mut world = broker(&Setup::new(2, 4));
        world.book.borrow_mut().mood = mood;
        let net = world.dial(0, Version::V5);
        world.send(net, &Hello::new(Version::V5, "c").method("unknown", b"first").encode());
        world.run_answering();
        assert_eq!(connack(&mut world, net), 0x8c, "[MQTT-4.12.0-1]");
        assert!(world.nets[net.0].closed());
    }
}

/// The time that CONNECT has counts for all responses, whether the client is silent or answers without an end.
#[test]
fn an_exchange_has_its_time() {
    for keeps_answering in [false, true] {
        for mood in [Mood::Now, Mood::Mixed(50)] {
            let mut world = broker(&Setup::new(2, 5));
            let timers = world.timers();
            world.book.borrow_mut().mood = mood;
            let net = challenged(&mut world, "c");
            let timeout = world.common.settings.connect_timeout;
            let mut passed = 0;
            while passed < timeout - 600 {
                if keeps_answering {
                    world.send(net, &packets::auth(CONTINUE, "known", b"first"));
                    world.run_answering();
                    assert_eq!(world.seen(net), vec![challenge()]);
                }
                world.pass(500, 500);
                passed += 500;
            }
            assert!(!world.nets[net.0].closed());
            world.pass(1_000, 500);
            let seen = world.seen(net);
            assert!(matches!(&seen[..], [Seen::Connack(connack)] if connack.reason == 0x87), "{seen:?}");
            nothing_is_left(&mut world, timers);
        }
    }
}

/// A decider that says nothing to a response does not keep it either.
#[test]
fn a_response_that_is_never_answered_ends_at_the_deadline() {
    let mut world = broker(&Setup::new(2, 6));
    let timers = world.timers();
    let net = challenged(&mut world, "c");
    world.book.borrow_mut().mood = Mood::Later;
    world.send(net, &second());
    world.run();
    let settings = &world.common.settings;
    world.pass(settings.decision_timeout.max(settings.connect_timeout) + 1_000, 500);
    assert!(world.nets[net.0].closed());
    assert!(connack(&mut world, net) >= 0x80);
    world.answer(0);
    nothing_is_left(&mut world, timers);
}

#[test]
fn who_is_challenged_counts_as_one_that_has_not_said_who_it_is() {
    let mut setup = Setup::new(1, 7);
    setup.settings.half_open_max = 3;
    let mut world = broker(&setup);
    let nets: Vec<_> = (0..5).map(|n| challenged(&mut world, &format!("c{n}"))).collect();
    let closed: Vec<_> = nets.iter().map(|net| world.nets[net.0].closed()).collect();
    assert_eq!(closed, [true, true, false, false, false]);
    for net in &nets[2..] {
        world.send(*net, &second());
        world.run();
        assert_eq!(connack(&mut world, *net), 0);
    }
    (5..8).for_each(|n| _ = challenged(&mut world, &format!("c{n}")));
    assert!(nets[2..].iter().all(|net| !world.nets[net.0].closed()), "who is through does not count");
}

/// A CONNECT that waits for a response is memory of a client that is not known yet.
#[test]
fn connects_that_wait_for_responses_are_bounded_together() {
    let mut setup = Setup::new(1, 8);
    setup.settings.unread_bytes_max = 64 << 10;
    let mut world = broker(&setup);
    let will = vec![7; 10 << 10];
    for n in 0..20 {
        let net = world.dial(0, Version::V5);
        world.send(net, &hello(&format!("c{n}")).will("w", &will, Qos::AtMostOnce, false).encode());
        world.run();
        assert!(world.counter(|c| &c.unread_bytes) <= 64 << 10);
    }
    assert!(world.counter(|c| &c.unread_closed) >= 13);
}

#[test]
fn a_takeover_comes_after_the_proof() {
    let mut world = broker(&Setup::new(2, 9));
    let old = world.join(0, &Hello::new(Version::V5, "c"));
    let new = challenged(&mut world, "c");
    assert_eq!(world.ask(old, &packets::pingreq(Version::V5)), vec![Seen::Pingresp]);
    world.send(new, &second());
    world.run();
    assert_eq!(connack(&mut world, new), 0);
    assert_eq!(world.seen(old), vec![Seen::Disconnect(0x8e)]);
}

/// The client begins anew; its traffic goes on but for the time that the decider thinks.
#[test]
fn a_client_authenticates_anew() {
    for moving in [true, false] {
        let mut world = broker(&Setup::new(2, 10).moving(moving));
        let id = id_on("c", 1, 2);
        let net = proved(&mut world, &id);
        subscribe(&mut world, net, "t", 0);
        world.book.borrow_mut().mood = Mood::Later;
        let mut bytes = packets::auth(ANEW, "known", b"first");
        bytes.extend(packets::pingreq(Version::V5));
        bytes.extend(packets::subscribe(Version::V5, 2, &[("u", packets::with_qos(0))], None));
        assert_eq!(world.ask(net, &bytes), vec![Seen::Pingresp], "the rest waits for the decider");
        world.book.borrow_mut().mood = Mood::Now;
        world.answer(0);
        world.run();
        assert_eq!(world.seen(net), vec![challenge(), Seen::Suback(2, vec![0])]);
        let got = world.ask(net, &Post::new("t", "between", 0, 0).encode(Version::V5));
        assert_eq!(payloads(&publishes(got)), ["between"]);
        world.book.borrow_mut().identities[0].1 = identity(Some("anna"), None, "new");
        assert_eq!(world.ask(net, &second()), vec![said(0, b"proof")]);
        world.ask(net, &Post::new("t", "x", 0, 0).encode(Version::V5));
        let asked = world.book.borrow().asked.clone();
        let again = format!("again {id} known second after salt as anna");
        let at = asked.iter().position(|text| *text == again).expect("it was asked");
        assert_eq!(asked[at + 1], format!("publish {id} t as anna with new"));
        assert_eq!(world.ask(net, &packets::auth(ANEW, "known", b"token")), vec![said(0, b"")]);
    }
}

/// When it fails the connection is closed, with a code that DISCONNECT may have [MQTT-4.12.1-2].
#[test]
fn what_ends_a_connection_that_authenticates_anew() {
    let begin = packets::auth(ANEW, "known", b"first");
    let rows = [
        (vec![packets::auth(ANEW, "known", b"wrong")], 0x87, "[MQTT-4.12.1-2]"),
        (vec![begin.clone(), packets::auth(CONTINUE, "known", b"wrong")], 0x87, "[MQTT-4.12.1-2]"),
        (vec![packets::auth(ANEW, "known", b"bert")], 0x87, "another user"),
        (vec![packets::auth(ANEW, "other", b"first")], 0x8c, "[MQTT-4.12.1-1]"),
        (vec![begin.clone(), packets::auth(CONTINUE, "other", b"second")], 0x8c, "[MQTT-4.12.0-5]"),
        (vec![packets::auth(CONTINUE, "known", b"second")], 0x82, "[MQTT-4.12.0-3]"),
        (vec![begin.clone(), begin], 0x82, "[MQTT-4.12.0-3]"),
    ];
    for mood in [Mood::Now, Mood::Later] {
        for (steps, expected, clause) in &rows {
            let mut world = broker(&Setup::new(2, 11));
            let bert = identity(Some("bert"), None, "grant");
            world.book.borrow_mut().identities.push(("known bert".to_owned(), bert));
            let timers = world.timers();
            world.book.borrow_mut().mood = mood;
            let net = proved(&mut world, "c");
            let mut seen = Vec::new();
            for step in steps {
                world.send(net, step);
                world.run_answering();
                seen.extend(world.seen(net));
            }
            assert_eq!(seen.last(), Some(&Seen::Disconnect(*expected)), "{clause}");
            assert!(world.nets[net.0].closed(), "{clause}");
            nothing_is_left(&mut world, timers);
        }
    }
}

#[test]
fn who_named_no_method_has_no_auth() {
    let mut world = broker(&Setup::new(2, 12));
    for reason in [CONTINUE, ANEW] {
        let net = world.join(0, &Hello::new(Version::V5, "c"));
        let seen = world.ask(net, &packets::auth(reason, "known", b"first"));
        assert_eq!(seen, vec![Seen::Disconnect(0x82)], "[MQTT-4.12.0-6]");
        let net = world.dial(0, Version::V5);
        world.send(net, &packets::auth(reason, "known", b"first"));
        world.run();
        assert!(world.nets[net.0].closed(), "[MQTT-3.1.0-1]");
    }
}

#[test]
fn authenticating_anew_moves_the_end_of_a_login() {
    let mut world = broker(&Setup::new(1, 13));
    let until = |seconds: u64| Some(Wall(1_700_000_000_000 + seconds * 1000));
    let tokens = [("known t1", 10), ("known t2", 30), ("known t3", 20)];
    for (token, seconds) in tokens {
        let known = identity(Some("anna"), until(seconds), "grant");
        world.book.borrow_mut().identities.push((token.to_owned(), known));
    }
    let net = world.dial(0, Version::V5);
    world.send(net, &Hello::new(Version::V5, "c").method("known", b"t1").encode());
    world.run();
    assert_eq!(connack(&mut world, net), 0);
    for token in [b"t2", b"t3"] {
        assert_eq!(world.ask(net, &packets::auth(ANEW, "known", token)), vec![said(0, b"proof")]);
        world.pass(9_000, 500);
        assert!(!world.nets[net.0].closed());
    }
    world.pass(3_000, 500);
    assert_eq!(world.seen(net), vec![Seen::Disconnect(0xa0)]);
}

/// A challenge that is longer than what the client takes ends it [MQTT-3.15.2-2]: nothing is left out of AUTH.
#[test]
fn a_challenge_that_its_client_does_not_take_is_not_sent() {
    let mut world = broker(&Setup::new(2, 14));
    let mut hello = hello("c");
    hello.properties.push_u32(ringmq_wire::Property::MaximumPacketSize, 12);
    let net = world.dial(0, Version::V5);
    let seen = world.ask(net, &hello.encode());
    assert!(seen.iter().all(|seen| !matches!(seen, Seen::Auth(_))), "{seen:?}");
    assert!(world.nets[net.0].closed());
}
