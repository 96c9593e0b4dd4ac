//! What went wrong once: a test for each fault that a review found, named by the rule that was broken. None of
//! them looks inside a shard.

use ringmq_shard::Input;
use ringmq_wire::{Packet, Property, Publish, Qos, ReasonCode, TopicName, Version};

use super::{VERSIONS, id_on, payloads, publishes, read_all, subscribe};
use crate::harness::net::Place;
use crate::harness::packets;
use crate::harness::steps::Step;
use crate::harness::world::{Setup, World};
use crate::harness::{AckKind, Hello, Mood, NetId, Post, Seen};

const SHARED: &str = "$share/group/t";

/// A client writes one piece after the other until the broker leaves one unread; how many pieces it wrote.
fn pour(world: &mut World, net: NetId, piece: &[u8], pieces_max: usize) -> usize {
    for pieces in 1..=pieces_max {
        world.send(net, piece);
        world.run();
        if !world.nets[net.0].to_broker.is_empty() {
            return pieces;
        }
    }
    pieces_max
}

fn pings(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| **seen == Seen::Pingresp).count()
}

/// Packet ids of acknowledgements with success, in the order in which they came.
fn acks(seen: &[Seen]) -> Vec<u16> {
    let ack = |seen: &Seen| match seen {
        Seen::Ack(AckKind::Puback | AckKind::Pubrec, id, 0) => Some(*id),
        _ => None,
    };
    seen.iter().filter_map(ack).collect()
}

/// Publishes numbers from `first` to `last` to `t` with QoS 1; each number is also its packet id.
fn post_numbers(world: &mut World, net: NetId, first: u16, last: u16) {
    let version = world.nets[net.0].version;
    for id in first..=last {
        world.send(net, &Post::new("t", id.to_string(), 1, id).encode(version));
    }
    world.run();
}

fn numbers(first: u16, last: u16) -> Vec<String> {
    (first..=last).map(|number| number.to_string()).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_by_key(|text| text.parse::<u32>().expect("a number"));
    texts
}

fn all_closed(world: &World) -> bool {
    world.nets.iter().all(crate::harness::net::Net::closed)
}

// Who asks and does not read.

#[test]
fn a_client_that_asks_and_does_not_read_is_not_read_either() {
    for version in VERSIONS {
        let mut setup = Setup::new(1, 1);
        setup.settings.output_high_water_bytes = 4096;
        let mut world = World::new(&setup);
        let net = world.join(0, &Hello::new(version, "asker"));
        world.nets[net.0].stalled = true;
        // As many bytes of answers as of questions.
        let piece = packets::pingreq(version).repeat(512);
        let pieces = pour(&mut world, net, &piece, 100);
        assert!(world.nets[net.0].paused);
        assert!(pieces <= 4096 / piece.len() + 2, "{pieces} pieces were answered or wait");
        world.nets[net.0].stalled = false;
        world.run();
        assert!(!world.nets[net.0].paused, "it reads again, and so do we");
        assert_eq!(pings(&world.seen(net)), pieces * 512);
    }
}

#[test]
fn an_asker_that_does_not_read_is_bounded_through_a_tunnel_too() {
    let mut setup = Setup::new(2, 2).moving(false);
    setup.settings.output_high_water_bytes = 4096;
    setup.settings.tunnel_window_bytes = 8192;
    let mut world = World::new(&setup);
    let net = world.join(0, &Hello::new(Version::V5, &id_on("asker", 1, 2)));
    world.nets[net.0].stalled = true;
    let piece = packets::pingreq(Version::V5).repeat(512);
    let pieces = pour(&mut world, net, &piece, 200);
    assert!(world.nets[net.0].paused);
    let bound = (8192 + 4096 + 8192) / piece.len() + 3;
    assert!(pieces <= bound, "one window each way and the high-water mark: {pieces} pieces, {bound} at most");
    world.nets[net.0].stalled = false;
    world.run();
    assert_eq!(pings(&world.seen(net)), pieces * 512);
    assert_eq!(world.ask(net, &packets::pingreq(Version::V5)), vec![Seen::Pingresp], "and it goes on");
}

#[test]
fn a_subscriber_with_a_backlog_of_deliveries_is_still_read() {
    for (shards, moving) in [(1, true), (2, true), (2, false)] {
        let mut setup = Setup::new(shards, 3).moving(moving);
        setup.settings.output_high_water_bytes = 4096;
        let mut world = World::new(&setup);
        let reader = world.join(0, &Hello::new(Version::V5, &id_on("reader", shards - 1, shards)));
        subscribe(&mut world, reader, "t", 0);
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        world.nets[reader.0].stalled = true;
        for _ in 0..40 {
            world.send(writer, &Post::new("t", [0; 1000], 0, 0).encode(Version::V5));
        }
        world.run();
        for _ in 0..3 {
            world.send(reader, &packets::pingreq(Version::V5));
            world.run();
            assert!(world.nets[reader.0].to_broker.is_empty(), "{shards} shards, moving {moving}");
        }
        world.send(reader, &packets::unsubscribe(Version::V5, 2, &["t"]));
        world.run();
        assert_eq!(world.counter(|c| &c.subscriptions), 0, "what it sends is not left lying");
        assert!(!world.nets[reader.0].paused);
        world.nets[reader.0].stalled = false;
        world.run();
        let seen = world.seen(reader);
        assert_eq!(pings(&seen), 3);
        assert!(seen.contains(&Seen::Unsuback(2, vec![0])), "{seen:?}");
    }
}

// Timers far ahead.

/// How much a broker does around the moment an hour after clients came and went, one of them still there.
fn steps_an_hour_after(visits: u32) -> u64 {
    let mut world = World::new(&Setup::new(1, 4));
    let hello = Hello::new(Version::V5, "guest").clean(false).expiry(3600);
    let hello = hello.will("w", b"will", Qos::AtMostOnce, false).will_delay(3600);
    for _ in 0..visits {
        let net = world.join(0, &hello);
        world.hang_up(net, 0);
        world.pass(7, 7);
    }
    let stays = world.join(0, &hello);
    world.pass(3_599_000, 1_000);
    let before = world.steps;
    world.pass(3_000, 1);
    assert!(!world.nets[stays.0].closed());
    world.steps - before
}

#[test]
fn coming_and_going_leaves_no_timers_behind() {
    let (once, often) = (steps_an_hour_after(1), steps_an_hour_after(150));
    // Each timer that was left behind would wake the shard at a moment of its own.
    assert!(often < once + 20, "{often} steps after 150 visits, {once} after one");
}

#[test]
fn a_session_expires_on_time_however_far_and_however_often_it_was_put_off() {
    const LONG: u64 = 2_000;
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 5));
        let hello = |seconds| Hello::new(Version::V5, "leaver").clean(false).expiry(seconds);
        // The last absence counts from its own beginning, with its own interval, shorter or longer than before.
        for (before, away, last) in [(2_000, 300, 2_000), (2_000, 650, 30), (30, 20, 2_000), (700, 601, 660)]
        {
            let net = world.join(0, &hello(before));
            world.hang_up(net, 0);
            world.pass(away * 1_000, 5_000);
            let net = world.join(0, &hello(last));
            world.hang_up(net, 0);
            world.run();
            let ended = world.counter(|c| &c.sessions_expired);
            world.pass(u64::from(last) * 1_000 - 1_000, 500);
            assert_eq!(world.counter(|c| &c.sessions), 1, "{before} s, {away} s away, {last} s: too early");
            world.pass(1_500, 100);
            assert_eq!(world.counter(|c| &c.sessions), 0, "{before} s, {away} s away, {last} s: too late");
            assert_eq!(world.counter(|c| &c.sessions_expired), ended + 1);
            world.pass(LONG * 1_000, 10_000);
        }
    }
}

#[test]
fn a_will_delayed_by_more_than_ten_minutes_comes_on_time_and_once() {
    let mut world = World::new(&Setup::new(2, 6));
    let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
    subscribe(&mut world, watcher, "w", 0);
    let hello = Hello::new(Version::V5, "dying").clean(false).expiry(10_000);
    let hello = hello.will("w", b"will", Qos::AtMostOnce, false).will_delay(1_500);
    // The first absence ends before its will is due, so that will is never published [MQTT-3.1.3-9].
    let net = world.join(1, &hello);
    world.hang_up(net, 0);
    world.pass(1_000_000, 5_000);
    let net = world.join(1, &hello);
    world.hang_up(net, 0);
    world.run();
    world.pass(1_499_000, 1_000);
    assert_eq!(world.seen(watcher), vec![], "too early");
    world.pass(1_500, 100);
    assert_eq!(payloads(&publishes(world.seen(watcher))), ["will"]);
    world.pass(10_000_000, 10_000);
    assert_eq!(world.seen(watcher), vec![], "once");
    assert_eq!(world.counter(|c| &c.sessions_expired), 1);
}

#[test]
fn a_keep_alive_of_more_than_ten_minutes_ends_on_time() {
    let mut world = World::new(&Setup::new(1, 7));
    let net = world.join(0, &Hello::new(Version::V311, "quiet").keep_alive(1_000));
    world.pass(1_499_000, 1_000);
    assert!(!world.nets[net.0].closed(), "too early [MQTT-3.1.2-22]");
    world.pass(1_500, 100);
    assert!(world.nets[net.0].closed(), "[MQTT-3.1.2-22]");
}

#[test]
fn publishes_held_by_one_session_each_wait_their_own_time() {
    let mut setup = Setup::new(1, 24);
    (setup.settings.inflight_messages_max, setup.settings.queue_messages_max) = (1, 1);
    setup.settings.publish_hold = 5_000;
    let mut world = World::new(&setup);
    let reader = world.join(0, &Hello::new(Version::V5, "reader"));
    subscribe(&mut world, reader, "t", 1);
    let writers = ["first", "second"].map(|id| world.join(0, &Hello::new(Version::V5, id)));
    // One is sent, one is queued, the third is held, and three seconds later one of the other publisher.
    post_numbers(&mut world, writers[0], 1, 3);
    world.pass(3_000, 100);
    post_numbers(&mut world, writers[1], 4, 4);
    assert_eq!(acks(&world.seen(writers[0])), [1, 2]);
    for (milliseconds, first, second) in
        [(1_900, vec![], vec![]), (300, vec![3], vec![]), (2_600, vec![], vec![])]
    {
        world.pass(milliseconds, 100);
        assert_eq!([acks(&world.seen(writers[0])), acks(&world.seen(writers[1]))], [first, second]);
    }
    world.pass(400, 100);
    assert_eq!(acks(&world.seen(writers[1])), [4]);
    assert_eq!(world.counter(|c| &c.dropped_queue), 2);
}

// Groups and the members they lose.

fn tight(shards: usize, seed: u64) -> World {
    let mut setup = Setup::new(shards, seed);
    setup.settings.inflight_messages_max = 3;
    setup.settings.queue_messages_max = 4;
    World::new(&setup)
}

#[test]
fn what_is_held_for_a_lost_member_goes_to_another_and_is_acknowledged() {
    for shards in [1, 2, 3] {
        for persistent in [true, false] {
            let mut world = tight(shards, 8);
            let hello = Hello::new(Version::V5, &id_on("lost", 0, shards));
            let lost = world.join(0, &if persistent { hello.persistent() } else { hello });
            subscribe(&mut world, lost, SHARED, 1);
            let writer = world.join(0, &Hello::new(Version::V5, &id_on("writer", shards / 2, shards)));
            post_numbers(&mut world, writer, 1, 8);
            let first = acks(&world.seen(writer));
            assert_eq!(first, (1..=7).collect::<Vec<_>>(), "three sent, four queued, the eighth is held");
            let other = world.join(0, &Hello::new(Version::V5, &id_on("other", shards - 1, shards)));
            subscribe(&mut world, other, SHARED, 1);
            world.hang_up(lost, 0);
            let got = sorted(payloads(&read_all(&mut world, other)));
            assert_eq!(got, numbers(1, 8), "{shards} shards, persistent {persistent}");
            assert_eq!(acks(&world.seen(writer)), [8]);
            assert_eq!(world.counter(|c| &c.dropped_queue), 0);
        }
    }
}

#[test]
fn a_member_that_was_once_full_gets_its_share_again() {
    for shards in [1, 2] {
        let mut world = tight(shards, 9);
        let hello = Hello::new(Version::V5, &id_on("full", 0, shards)).persistent();
        let net = world.join(0, &hello);
        subscribe(&mut world, net, SHARED, 1);
        world.hang_up(net, 0);
        world.run();
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        post_numbers(&mut world, writer, 1, 40);
        assert_eq!(acks(&world.seen(writer)).len(), 40);
        assert!(world.counter(|c| &c.dropped_queue) >= 30);
        let again = world.join(0, &hello);
        read_all(&mut world, again);
        let other = world.join(0, &Hello::new(Version::V5, &id_on("other", shards - 1, shards)));
        subscribe(&mut world, other, SHARED, 1);
        let mut shares = [0, 0];
        for number in 41..=60 {
            post_numbers(&mut world, writer, number, number);
            for (share, net) in shares.iter_mut().zip([again, other]) {
                *share += read_all(&mut world, net).len();
            }
        }
        assert_eq!(shares, [10, 10], "{shards} shards: what was dropped is not outstanding");
    }
}

#[test]
fn a_sole_member_that_comes_back_finds_everything_that_was_acknowledged() {
    for shards in [1, 2, 3] {
        let mut world = tight(shards, 10);
        let hello = Hello::new(Version::V5, &id_on("sole", 0, shards)).persistent();
        let net = world.join(0, &hello);
        subscribe(&mut world, net, SHARED, 1);
        let writer = world.join(0, &Hello::new(Version::V5, &id_on("writer", shards - 1, shards)));
        post_numbers(&mut world, writer, 1, 7);
        assert_eq!(acks(&world.seen(writer)).len(), 7, "three sent, four queued");
        // Again and again: what came back once comes back once more.
        for _ in 0..3 {
            let lost = world.join(0, &hello);
            world.hang_up(lost, 0);
            world.run();
        }
        let again = world.join(0, &hello);
        assert_eq!(sorted(payloads(&read_all(&mut world, again))), numbers(1, 7), "{shards} shards");
        assert_eq!(world.counter(|c| &c.dropped_queue), 0);
    }
}

#[test]
fn a_sole_member_full_by_bytes_finds_everything_too() {
    let mut setup = Setup::new(1, 11);
    setup.settings.queue_bytes_max = 10_000;
    let mut world = World::new(&setup);
    let hello = Hello::new(Version::V5, "sole").persistent();
    let net = world.join(0, &hello);
    subscribe(&mut world, net, SHARED, 1);
    let writer = world.join(0, &Hello::new(Version::V5, "writer"));
    let mut acknowledged = 0;
    for id in 1..=20 {
        world.send(writer, &Post::new("t", [0; 2_500], 1, id).encode(Version::V5));
        world.run();
        acknowledged += acks(&world.seen(writer)).len();
    }
    assert!((4..20).contains(&acknowledged), "{acknowledged} of 20 found room");
    // The one that is held is given up with its publisher's acknowledgement, or kept; the others are kept.
    world.hang_up(writer, 0);
    world.hang_up(net, 0);
    world.run();
    let again = world.join(0, &hello);
    let got = read_all(&mut world, again).len();
    assert!(got >= acknowledged, "{acknowledged} acknowledged, {got} found");
}

// What is in flight.

#[test]
fn bytes_in_flight_are_bounded_like_bytes_queued() {
    for qos in [1, 2] {
        for shards in [1, 2] {
            let mut setup = Setup::new(shards, 12);
            setup.settings.queue_bytes_max = 10_000;
            let mut world = World::new(&setup);
            let reader = world.join(0, &Hello::new(Version::V5, &id_on("reader", 0, shards)));
            subscribe(&mut world, reader, "t", qos);
            let writer = world.join(0, &Hello::new(Version::V5, &id_on("writer", shards - 1, shards)));
            for id in 1..=50 {
                world.send(writer, &Post::new("t", [0; 1_000], qos, id).encode(Version::V5));
            }
            world.run();
            let sent = publishes(world.seen(reader));
            assert!((1..=10).contains(&sent.len()), "{} messages of 1000 bytes are in flight", sent.len());
            for publish in &sent {
                let kind = if qos == 1 { AckKind::Puback } else { AckKind::Pubrec };
                world.send(reader, &packets::ack(Version::V5, kind, publish.id, ReasonCode::SUCCESS));
            }
            let rest = read_all(&mut world, reader);
            assert_eq!(sent.len() + rest.len(), 50, "all of them come, QoS {qos}");
            assert_eq!(world.counter(|c| &c.dropped_queue), 0);
        }
    }
}

#[test]
fn a_message_larger_than_the_bound_is_sent_alone_and_qos_0_passes_what_waits() {
    let mut setup = Setup::new(1, 13);
    setup.settings.queue_bytes_max = 10_000;
    let mut world = World::new(&setup);
    let reader = world.join(0, &Hello::new(Version::V5, "reader"));
    subscribe(&mut world, reader, "t", 1);
    let writer = world.join(0, &Hello::new(Version::V5, "writer"));
    for (bytes, qos, id) in [(12_000, 1, 1), (6_000, 1, 2), (5, 0, 0)] {
        world.ask(writer, &Post::new("t", vec![0; bytes], qos, id).encode(Version::V5));
    }
    let sizes =
        |got: Vec<crate::harness::SeenPublish>| got.iter().map(|p| p.payload.len()).collect::<Vec<_>>();
    assert_eq!(sizes(publishes(world.seen(reader))), [12_000, 5]);
    world.send(reader, &packets::ack(Version::V5, AckKind::Puback, 1, ReasonCode::SUCCESS));
    assert_eq!(sizes(read_all(&mut world, reader)), [6_000]);
}

fn posted_with_alias(topic: TopicName<'_>, payload: &str, id: Option<u16>, dup: bool) -> Vec<u8> {
    let mut properties = ringmq_wire::PropertiesBuffer::default();
    properties.push_u16(Property::TopicAlias, 1);
    let packet = Packet::Publish(Publish {
        dup,
        qos: if id.is_some() { Qos::ExactlyOnce } else { Qos::AtMostOnce },
        retain: false,
        topic,
        packet_id: id.map(packets::packet_id),
        properties: properties.as_properties(),
        payload: payload.as_bytes(),
    });
    packets::encode(Version::V5, &packet)
}

#[test]
fn an_alias_on_a_publish_that_was_received_before_holds() {
    for moving in [true, false] {
        let mut world = World::new(&Setup::new(2, 14).moving(moving));
        let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
        subscribe(&mut world, watcher, "#", 0);
        let hello = Hello::new(Version::V5, "writer").persistent();
        let topic = TopicName::new("t").expect("a topic");
        let net = world.join(0, &hello);
        world.ask(net, &posted_with_alias(topic, "once", Some(1), false));
        world.hang_up(net, 0);
        world.run();
        let net = world.join(1, &hello);
        world.send(net, &posted_with_alias(topic, "once", Some(1), true));
        world.send(net, &posted_with_alias(TopicName::EMPTY, "by alias", None, false));
        world.run();
        assert_eq!(world.seen(net), vec![Seen::Ack(AckKind::Pubrec, 1, 0)]);
        let got = publishes(world.seen(watcher));
        assert_eq!(payloads(&got), ["once", "by alias"], "[MQTT-4.3.3-10]");
        assert!(got.iter().all(|publish| publish.topic == "t"), "{got:?}");
    }
}

#[test]
fn a_resend_larger_than_the_client_now_takes_is_dropped_and_counted() {
    for qos in [1, 2] {
        let mut world = World::new(&Setup::new(2, 15));
        let hello = Hello::new(Version::V5, "shrunk").persistent().receive_maximum(1);
        let net = world.join(0, &hello);
        subscribe(&mut world, net, "t", qos);
        let writer = world.join(1, &Hello::new(Version::V5, "writer"));
        world.ask(writer, &Post::new("t", [0; 500], qos, 1).encode(Version::V5));
        world.ask(writer, &Post::new("t", "small", qos, 2).encode(Version::V5));
        assert_eq!(publishes(world.seen(net)).len(), 1, "the window takes one");
        world.hang_up(net, 0);
        world.run();
        let mut small = hello.clone();
        small.properties.push_u32(Property::MaximumPacketSize, 200);
        let again = world.join(0, &small);
        let got = payloads(&read_all(&mut world, again));
        assert_eq!(got, ["small"], "QoS {qos} [MQTT-3.1.2-24]: its place in the window is free");
        assert_eq!(world.counter(|c| &c.dropped_too_large), 1);
    }
}

// Wills.

fn willing(version: Version, topic: &str) -> Hello {
    Hello::new(version, "dying").will(topic, b"will", Qos::AtMostOnce, true)
}

/// What a client that may not come in is told, as bytes up to the return code.
fn refusal(world: &World, net: NetId) -> (u8, u8) {
    let received = &world.nets[net.0].received;
    (received[0], received[3])
}

#[test]
fn a_will_on_sys_is_refused() {
    for (version, code) in [(Version::V31, 5), (Version::V311, 5), (Version::V5, 0x87)] {
        for topic in ["$SYS/broker/uptime", "$SYS/", &"a/".repeat(300)] {
            let mut world = World::new(&Setup::new(2, 16));
            let net = world.dial(0, version);
            world.send(net, &willing(version, topic).encode());
            world.run();
            assert_eq!(refusal(&world, net), (0x20, code), "{version:?} {topic} [MQTT-3.1.4-2]");
            assert!(world.nets[net.0].closed(), "[MQTT-3.2.2-7]");
            world.pass(10_000, 1_000);
            assert_eq!(world.counter(|c| &c.sessions), 0);
            assert_eq!(world.counter(|c| &c.retained), 0);
        }
    }
}

#[test]
fn the_decider_is_asked_about_the_wills_topic() {
    for (version, code) in [(Version::V31, 5), (Version::V311, 5), (Version::V5, 0x87)] {
        for (mood, moving) in
            [(Mood::Now, true), (Mood::Now, false), (Mood::Later, true), (Mood::Later, false)]
        {
            let mut world = World::new(&Setup::new(2, 17).moving(moving));
            world.book.borrow_mut().denied.push("publish dying locked".to_owned());
            world.book.borrow_mut().mood = mood;
            for shard in [0, 1] {
                let net = world.dial(shard, version);
                world.send(net, &willing(version, "locked").encode());
                world.run_answering();
                assert_eq!(refusal(&world, net), (0x20, code), "{version:?} {mood:?} moving {moving}");
                assert!(world.nets[net.0].closed());
            }
            assert_eq!(world.counter(|c| &c.sessions), 0);
            let net = world.dial(0, version);
            world.send(net, &willing(version, "open").encode());
            world.run_answering();
            assert_eq!(refusal(&world, net), (0x20, 0), "a will that may be lets its client in");
            world.hang_up(net, 0);
            world.run_answering();
            assert_eq!(world.counter(|c| &c.retained), 1, "and is published");
            let asked = ["connect dying", "publish dying locked"].map(str::to_owned);
            let expected =
                [&asked[..], &asked[..], &["connect dying", "publish dying open"].map(str::to_owned)]
                    .concat();
            assert_eq!(world.book.borrow().asked, expected, "each once");
        }
    }
}

#[test]
fn a_disconnect_behind_a_held_publish_withdraws_the_will_though_the_socket_is_gone() {
    for version in VERSIONS {
        for moving in [true, false] {
            let mut setup = Setup::new(2, 18).moving(moving);
            (setup.settings.inflight_messages_max, setup.settings.queue_messages_max) = (1, 1);
            setup.settings.publish_hold = 5_000;
            let mut world = World::new(&setup);
            let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
            subscribe(&mut world, watcher, "w", 0);
            let reader = world.join(0, &Hello::new(Version::V5, "reader"));
            subscribe(&mut world, reader, "t", 1);
            let polite = Hello::new(version, "polite").keep_alive(2).will("w", b"x", Qos::AtMostOnce, false);
            let writer = world.join(1, &polite);
            // One is sent, one is queued, one is held; what follows waits for it.
            post_numbers(&mut world, writer, 1, 3);
            world.send(writer, &packets::disconnect(version, ReasonCode::NORMAL_DISCONNECTION));
            world.hang_up(writer, 0);
            world.run();
            world.pass(4_500, 100);
            assert_eq!(world.seen(watcher), vec![], "{version:?}: its keep alive is over, its word counts");
            assert!(world.counter(|c| &c.publish_held) > 0);
            world.pass(15_000, 100);
            assert_eq!(world.seen(watcher), vec![], "[MQTT-3.14.4-3]");
            assert_eq!(world.counter(|c| &c.sessions), 2, "and then it is gone");
        }
    }
}

// Retained messages at their limit.

#[test]
fn at_the_limit_of_bytes_a_retained_message_is_replaced_and_a_new_one_is_refused() {
    for shards in [1, 2] {
        for qos in [1, 2] {
            let mut setup = Setup::new(shards, 19);
            setup.settings.retained_bytes_max = 1_500;
            let mut world = World::new(&setup);
            let writer = world.join(0, &Hello::new(Version::V5, "writer"));
            let topics: Vec<String> = (0..8).map(|n| format!("r/{n}")).collect();
            let kind = if qos == 1 { AckKind::Puback } else { AckKind::Pubrec };
            let mut put = |topic: &str, fill: u8, id: u16| {
                let seen = world
                    .ask(writer, &Post::new(topic, [fill; 1_000], qos, id).retained().encode(Version::V5));
                let [Seen::Ack(seen_kind, seen_id, reason)] = seen[..] else { panic!("{seen:?}") };
                assert_eq!((seen_kind, seen_id), (kind, id));
                if qos == 2 && reason < 0x80 {
                    world.ask(writer, &packets::ack(Version::V5, AckKind::Pubrel, id, ReasonCode::SUCCESS));
                }
                reason
            };
            assert_eq!(put(&topics[0], b'a', 1), 0x10);
            assert_eq!(put(&topics[0], b'b', 2), 0x10, "the old one makes room");
            let refused =
                topics[1..].iter().zip(3..).filter(|(topic, id)| put(topic, b'c', *id) == 0x97).count();
            assert_eq!(refused, 8 - shards, "one fits in each shard");
            assert_eq!(world.counter(|c| &c.retained_refused), refused as u64);
            let reader = world.join(0, &Hello::new(Version::V5, "reader"));
            world.send(reader, &packets::subscribe(Version::V5, 1, &[("r/#", packets::with_qos(0))], None));
            let got = read_all(&mut world, reader);
            assert_eq!(got.len(), shards);
            let first = got.iter().find(|publish| publish.topic == topics[0]).expect("it is kept");
            assert_eq!(first.payload, [b'b'; 1_000]);
        }
    }
}

#[test]
fn one_tree_of_retained_messages_leaves_room_for_others() {
    for shards in [1, 2] {
        let mut setup = Setup::new(shards, 19);
        setup.settings.retained_per_root_max = 3;
        let mut world = World::new(&setup);
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        let mut put = |topic: &str, payload: &[u8]| {
            let post = Post::new(topic, payload, 1, 1).retained();
            let seen = world.ask(writer, &post.encode(Version::V5));
            let [Seen::Ack(AckKind::Puback, 1, reason)] = seen[..] else { panic!("{seen:?}") };
            reason
        };
        let mut many = |root: &str| (0..20).filter(|n| put(&format!("{root}/{n}"), b"x") != 0x97).count();
        // With two shards each has some of the twenty.
        assert_eq!((many("a"), many("b"), many("")), (3 * shards, 3 * shards, 3 * shards));
        let kept: Vec<_> =
            (0..20).map(|n| format!("a/{n}")).filter(|topic| put(topic, b"y") != 0x97).collect();
        assert_eq!(kept.len(), 3 * shards, "what is kept is replaced");
        kept.iter().for_each(|topic| assert!(put(topic, b"") < 0x80));
        let again = (0..20).filter(|n| put(&format!("a/{n}"), b"z") != 0x97).count();
        assert_eq!(again, 3 * shards, "what was removed makes room");
    }
}

// A stop.

#[test]
fn once_work_has_stopped_written_output_lets_no_publish_in() {
    for moving in [true, false] {
        let mut world = World::new(&Setup::new(2, 20).moving(moving));
        let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
        subscribe(&mut world, watcher, "late", 1);
        let both = [0, 1].map(|shard| {
            let net = world.join(0, &Hello::new(Version::V5, &id_on("both", shard, 2)));
            subscribe(&mut world, net, "t", 0);
            world.nets[net.0].stalled = true;
            net
        });
        let writer = world.join(1, &Hello::new(Version::V5, "writer"));
        world.ask(writer, &Post::new("t", [0; 1_000], 0, 0).encode(Version::V5));
        world.stop_work();
        for net in both {
            world.send(net, &Post::new("late", "x", 1, 1).encode(Version::V5));
            world.nets[net.0].stalled = false;
        }
        world.run();
        for net in both {
            let seen = world.seen(net);
            assert_eq!(publishes(seen.clone()).len(), 1, "its output is written");
            assert_eq!(acks(&seen), []);
            assert!(world.nets[net.0].paused, "and it is not read, moving {moving}");
        }
        assert_eq!(world.seen(watcher), vec![]);
        world.stop_connections();
        assert_eq!(publishes(world.seen(watcher)), vec![]);
        assert!(all_closed(&world));
        assert!(world.stopped.iter().all(|stopped| *stopped));
    }
}

#[test]
fn once_work_has_stopped_room_in_a_tunnel_lets_no_publish_in() {
    let mut setup = Setup::new(2, 23).moving(false);
    setup.settings.tunnel_window_bytes = 1_000;
    let mut world = World::new(&setup);
    let watcher = world.join(1, &Hello::new(Version::V5, "watcher"));
    subscribe(&mut world, watcher, "t", 0);
    let writer = world.join(0, &Hello::new(Version::V5, &id_on("writer", 1, 2)));
    // More than the window is read and on its way; then the work stops, and then the window opens.
    world.send(writer, &Post::new("t", [b'1'; 1_500], 0, 0).encode(Version::V5));
    world.take(Step::Read(writer));
    world.take(Step::Flush(0));
    assert!(world.nets[writer.0].paused);
    world.send(writer, &Post::new("t", "2", 0, 0).encode(Version::V5));
    world.stop_work();
    assert!(world.nets[writer.0].paused && !world.nets[writer.0].to_broker.is_empty());
    let got = publishes(world.seen(watcher));
    assert_eq!(got.iter().map(|publish| publish.payload.len()).collect::<Vec<_>>(), [1_500]);
}

#[test]
fn a_tunnel_that_comes_during_a_stop_does_not_delay_it() {
    // The frame arrives after the first half of the stop, or after the second.
    for halves in [1, 2] {
        let mut world = World::new(&Setup::new(2, 21).moving(false));
        let net = world.dial(0, Version::V5);
        world.send(net, &Hello::new(Version::V5, &id_on("late", 1, 2)).encode());
        // Its shard has read it and sent it on; its session's shard has not heard of it.
        world.take(Step::Read(net));
        world.take(Step::Flush(0));
        assert_eq!(world.lanes.borrow().standing(0, 1), 1);
        for half in [Input::StopWork, Input::StopConnections].into_iter().take(halves) {
            world.give(1, half);
            world.take(Step::Flush(1));
        }
        world.run();
        assert!(world.nets[net.0].closed(), "after {halves} halves: it came too late");
        assert_eq!(world.counter(|c| &c.sessions), 0);
        if halves == 1 {
            world.stop_work();
            world.stop_connections();
        } else {
            world.give(0, Input::StopWork);
            world.run();
            world.give(0, Input::StopConnections);
            world.run();
        }
        assert!(world.stopped.iter().all(|stopped| *stopped), "and at once, not at the deadline");
        assert_eq!(world.counter(|c| &c.stop_left), 0);
    }
}

// Bursts.

#[test]
fn a_burst_in_one_read_reaches_a_subscriber_that_reads() {
    for (shards, moving) in [(1, true), (2, true), (2, false)] {
        for queue_messages_max in [10, 1_000] {
            let mut setup = Setup::new(shards, 22).moving(moving);
            setup.settings.queue_messages_max = queue_messages_max;
            let mut world = World::new(&setup);
            let reader = world.join(0, &Hello::new(Version::V5, &id_on("reader", shards - 1, shards)));
            subscribe(&mut world, reader, "t", 0);
            let writer = world.join(0, &Hello::new(Version::V5, &id_on("writer", 0, shards)));
            let one = Post::new("t", "0123456789", 0, 0).encode(Version::V5);
            // What the shared read buffer of a core holds.
            let count = (64 << 10) / one.len();
            assert!(count > 1_000);
            world.send(writer, &one.repeat(count));
            world.run();
            let got = publishes(world.seen(reader)).len();
            let dropped = world.counter(|c| &c.dropped_queue_qos0);
            assert_eq!((got, dropped), (count, 0), "{shards} shards, moving {moving}");
        }
    }
}

#[test]
fn what_comes_in_pieces_behind_a_connect_that_moves_goes_along() {
    for version in VERSIONS {
        let mut world = World::new(&Setup::new(2, 1));
        let net = world.dial(0, version);
        let Place::Shard(shard, conn) = world.nets[net.0].place else { panic!("it lives somewhere") };
        let pieces = [
            Hello::new(version, &id_on("mover", 1, 2)).encode(),
            packets::subscribe(version, 1, &[("t", packets::with_qos(1))], None),
            Post::new("t", "own", 1, 2).encode(version),
        ];
        // One read may come in several pieces, as from TLS with a record for each.
        for piece in &pieces {
            world.give(shard, Input::Bytes { conn, bytes: piece });
        }
        world.run();
        assert_eq!(world.shard_of(net), Some(1));
        let seen = world.seen(net);
        assert!(seen.contains(&Seen::Suback(1, vec![1])), "{version:?}: {seen:?}");
        assert!(seen.contains(&Seen::Ack(AckKind::Puback, 2, 0)), "{version:?}: {seen:?}");
        assert_eq!(publishes(seen).len(), 1);
    }
}
