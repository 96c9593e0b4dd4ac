//! Who may be given what: deliveries are asked about where subscribers are found, for every way a message takes, and
//! with the name that the transport proved, wherever the connection went.

use ringmq_wire::Version;

use super::{home_of, id_on, payloads, publishes, read_all, subscribe};
use crate::harness::packets;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Post};

/// Two shards, a publisher at each, and a subscriber that lives at shard 1 and may not read what begins with `denied`.
fn broker(setup: &Setup, denied: &str) -> (World, [NetId; 2], NetId) {
    let mut world = World::new(setup);
    world.book.borrow_mut().restricts_reading = true;
    let id = id_on("reader", 1, 2);
    world.book.borrow_mut().denied.push(format!("read {id} {denied}"));
    let publishers =
        [0, 1].map(|shard| world.join(shard, &Hello::new(Version::V5, &id_on("publisher", shard, 2))));
    let reader = world.join(0, &Hello::new(Version::V5, &id));
    (world, publishers, reader)
}

fn post(world: &mut World, net: NetId, topic: &str, payload: &str, qos: u8) {
    let version = world.nets[net.0].version;
    let answers = world.ask(net, &Post::new(topic, payload, qos, 1).encode(version));
    assert_eq!(answers.len(), usize::from(qos > 0), "{answers:?}");
}

#[test]
fn a_denied_delivery_is_not_made_and_is_counted() {
    for qos in [0, 1] {
        let (mut world, publishers, reader) = broker(&Setup::new(2, 1), "secret/");
        for filter in ["#", "+/+", "secret/a"] {
            subscribe(&mut world, reader, filter, qos);
        }
        for (number, net) in publishers.into_iter().enumerate() {
            post(&mut world, net, "secret/a", "no", qos);
            post(&mut world, net, "open/a", &number.to_string(), qos);
        }
        assert_eq!(payloads(&read_all(&mut world, reader)), ["0", "1"], "QoS {qos}");
        assert_eq!(world.counter(|c| &c.denied_delivery), 2, "once for each message and session");
        let asked = world.book.borrow().asked.iter().filter(|text| text.starts_with("read ")).count();
        assert_eq!(asked, 4, "once for each message, however many filters match");
    }
}

#[test]
fn what_is_made_in_parts_is_asked_about_too() {
    let mut setup = Setup::new(2, 2);
    setup.settings.match_nodes_per_turn = 1;
    let (mut world, publishers, reader) = broker(&setup, "a/b/secret");
    for filter in ["+/+/+", "a/+/+", "+/b/+", "a/b/+", "#"] {
        subscribe(&mut world, reader, filter, 0);
    }
    for net in publishers {
        post(&mut world, net, "a/b/secret", "no", 0);
        post(&mut world, net, "a/b/open", "yes", 0);
    }
    assert_eq!(payloads(&publishes(world.seen(reader))), ["yes", "yes"]);
    assert_eq!(world.counter(|c| &c.denied_delivery), 2);
}

#[test]
fn retained_messages_are_asked_about() {
    let (mut world, publishers, reader) = broker(&Setup::new(2, 3), "secret/");
    for topic in ["secret/a", "open/a", "secret/b", "open/b"] {
        let bytes = Post::new(topic, topic, 1, 1).retained().encode(Version::V5);
        world.ask(publishers[0], &bytes);
    }
    world.send(reader, &packets::subscribe(Version::V5, 1, &[("#", packets::with_qos(1))], None));
    let mut got = payloads(&read_all(&mut world, reader));
    got.sort();
    assert_eq!(got, ["open/a", "open/b"]);
    assert_eq!(world.counter(|c| &c.denied_delivery), 2);
}

#[test]
fn a_group_goes_on_behind_a_delivery_that_its_member_may_not_have() {
    for filter in ["$share/g/#", "$share/group/#", "$share/x/#"] {
        let (mut world, publishers, reader) = broker(&Setup::new(2, 4), "secret/");
        subscribe(&mut world, reader, filter, 1);
        for _ in 0..3 {
            post(&mut world, publishers[0], "secret/a", "no", 1);
            post(&mut world, publishers[1], "open/a", "yes", 1);
        }
        assert_eq!(payloads(&read_all(&mut world, reader)), ["yes"; 3]);
        assert_eq!(world.counter(|c| &c.denied_delivery), 3);
    }
}

#[test]
fn a_session_without_connection_is_judged_by_its_last_user_name() {
    let (mut world, publishers, _) = broker(&Setup::new(2, 5), "as bert");
    let id = id_on("sleeper", 1, 2);
    let hello = Hello::new(Version::V5, &id).persistent();
    for (user, expected) in [("anna", vec!["1"]), ("bert", vec![])] {
        world.book.borrow_mut().denied = vec!["read ".to_owned() + &id + " t as bert"];
        let net = world.dial_as(0, Version::V5, Some(user));
        world.ask(net, &hello.encode());
        subscribe(&mut world, net, "t", 1);
        world.hang_up(net, 0);
        world.run();
        post(&mut world, publishers[0], "t", "1", 1);
        let net = world.dial_as(0, Version::V5, Some(user));
        world.send(net, &hello.encode());
        assert_eq!(payloads(&read_all(&mut world, net)), expected, "{user}");
    }
}

#[test]
fn a_name_that_the_transport_proved_goes_along_wherever_the_connection_goes() {
    for moving in [true, false] {
        for home in [0, 1] {
            let mut world = World::new(&Setup::new(2, 6).moving(moving));
            world.book.borrow_mut().restricts_reading = true;
            let id = id_on("c", home, 2);
            assert_eq!(home_of(&id, 2), home);
            let net = world.dial_as(0, Version::V5, Some("anna"));
            world.ask(net, &Hello::new(Version::V5, &id).encode());
            subscribe(&mut world, net, "t", 0);
            let got = world.ask(net, &Post::new("t", "x", 0, 0).encode(Version::V5));
            assert_eq!(payloads(&publishes(got)), ["x"]);
            let asked = world.book.borrow().asked.clone();
            let expected = [
                format!("connect {id} as anna"),
                format!("subscribe {id} t as anna"),
                format!("publish {id} t as anna"),
                format!("read {id} t as anna"),
            ];
            assert_eq!(asked, expected, "moving {moving}, home {home}");
        }
    }
}

#[test]
fn nobody_is_asked_while_reading_is_not_restricted_and_it_may_become_so() {
    let (mut world, publishers, reader) = broker(&Setup::new(2, 7), "secret/");
    subscribe(&mut world, reader, "#", 0);
    for (restricts, expected) in [(false, vec!["x"]), (true, vec![]), (false, vec!["x"])] {
        world.book.borrow_mut().restricts_reading = restricts;
        // The turn that a packet begins asks at its end; what comes with the next is judged by that.
        (0..2).for_each(|shard| world.give(shard, ringmq_shard::Input::Tick));
        world.run();
        post(&mut world, publishers[0], "secret/a", "x", 0);
        assert_eq!(payloads(&publishes(world.seen(reader))), expected, "{restricts}");
    }
}
