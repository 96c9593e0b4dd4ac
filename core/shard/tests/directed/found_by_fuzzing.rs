//! What the fuzz targets found: a test for each fault, named by the rule that was broken.

use ringmq_shard::{Batch, Input, LogLevel, QueuePolicy, ShardId};
use ringmq_wire::{Property, Qos, ReasonCode, Version};

use super::{id_on, payloads, publishes, subscribe};
use crate::harness::packets::{self, with_qos};
use crate::harness::world::{Setup, World};
use crate::harness::{AckKind, Hello, NetId, Post, Seen};

/// 0x95 Packet too large.
const TOO_LARGE: u8 = 0x95;

/// A CONNECT that names the largest packet its client takes.
fn small(id: &str, bytes_max: u32) -> Hello {
    let mut hello = Hello::new(Version::V5, id);
    hello.properties.push_u32(Property::MaximumPacketSize, bytes_max);
    hello
}

fn dial(world: &mut World, hello: &Hello) -> (NetId, Vec<Seen>) {
    let net = world.dial(0, Version::V5);
    let seen = world.ask(net, &hello.encode());
    (net, seen)
}

fn refused(seen: &[Seen]) -> bool {
    matches!(seen, [Seen::Connack(connack)] if connack.reason == TOO_LARGE)
}

/// A CONNACK of success says how many messages the client may send, so it cannot go without its properties: a
/// client that does not take it is not let in [MQTT-3.1.2-24].
#[test]
fn a_client_that_cannot_take_its_connack_is_refused() {
    for bytes_max in [5, 6, 10] {
        let mut world = World::new(&Setup::new(1, 1));
        let (net, seen) = dial(&mut world, &small("c", bytes_max));
        assert!(refused(&seen), "{bytes_max}: {seen:?}");
        assert!(world.nets[net.0].closed(), "{bytes_max}");
        assert_eq!(world.counter(|c| &c.sessions), 0, "{bytes_max}");
    }
}

/// Not even the shortest refusal may be longer than what the client takes [MQTT-3.1.2-24].
#[test]
fn a_client_that_takes_nothing_is_closed_without_a_word() {
    for bytes_max in 1..5 {
        let mut world = World::new(&Setup::new(1, 1));
        let (net, seen) = dial(&mut world, &small("c", bytes_max));
        assert_eq!((seen, world.nets[net.0].closed()), (Vec::new(), true), "{bytes_max}");
    }
}

/// Who is not let in takes nothing over [MQTT-3.1.4-3].
#[test]
fn a_client_that_cannot_take_its_connack_takes_nothing_over() {
    let mut world = World::new(&Setup::new(1, 1));
    let first = world.join(0, &Hello::new(Version::V5, "c").persistent());
    subscribe(&mut world, first, "t", 1);
    let (_, seen) = dial(&mut world, &small("c", 6));
    assert!(refused(&seen), "{seen:?}");
    assert_eq!(world.ask(first, &packets::pingreq(Version::V5)), [Seen::Pingresp]);
}

/// A SUBACK that the client does not take is never sent, and what it asked cannot be left open: the connection
/// ends with the reason [MQTT-3.1.2-24] [MQTT-4.13.1-1].
#[test]
fn an_answer_that_its_client_cannot_take_ends_the_connection() {
    let names: Vec<String> = (0..100).map(|number| format!("t/{number}")).collect();
    let filters: Vec<_> = names.iter().map(|name| (name.as_str(), with_qos(0))).collect();
    let whole: Vec<&str> = names.iter().map(String::as_str).collect();
    let asks =
        [packets::subscribe(Version::V5, 1, &filters, None), packets::unsubscribe(Version::V5, 1, &whole)];
    for ask in asks {
        let mut world = World::new(&Setup::new(1, 1));
        let net = world.join(0, &small("c", 80));
        assert_eq!(world.ask(net, &ask), [Seen::Disconnect(TOO_LARGE)]);
        assert!(world.nets[net.0].closed());
    }
}

/// What fits exactly is sent.
#[test]
fn an_answer_that_just_fits_is_sent() {
    let mut world = World::new(&Setup::new(1, 1));
    let net = world.join(0, &small("c", 80));
    // 2 bytes of header, 2 of packet id, 1 of properties.
    let names: Vec<String> = (0..75).map(|number| format!("t/{number}")).collect();
    let filters: Vec<_> = names.iter().map(|name| (name.as_str(), with_qos(0))).collect();
    let seen = world.ask(net, &packets::subscribe(Version::V5, 1, &filters, None));
    assert_eq!(seen, [Seen::Suback(1, vec![0; 75])]);
    let acks = world.ask(net, &Post::new("t/1", "", 1, 7).encode(Version::V5));
    assert!(acks.contains(&Seen::Ack(AckKind::Puback, 7, ReasonCode::SUCCESS.value())), "{acks:?}");
}

/// A second CONNECT is a protocol error, whatever else is wrong with it; 0x84 or 0x85 may not stand in DISCONNECT
/// [MQTT-3.1.0-2] [MQTT-3.14.2-1].
#[test]
fn a_second_connect_that_is_wrong_itself_is_a_protocol_error() {
    let bad_name = vec![0x10, 2, 0, 0];
    let level_9 = vec![0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 9, 0, 0, 0, 0, 0];
    let cut = vec![0x10, 0];
    for second in [bad_name, level_9, cut, Hello::new(Version::V5, "c").encode()] {
        let mut world = World::new(&Setup::new(1, 1));
        let net = world.join(0, &Hello::new(Version::V5, "c"));
        let error = ReasonCode::PROTOCOL_ERROR.value();
        assert_eq!(world.ask(net, &second), [Seen::Disconnect(error)], "{second:02x?}");
        assert!(world.nets[net.0].closed());
    }
}

/// A batch that opens a tunnel at a shard where the session does not live is a fault of its sender: a tunnel has no
/// socket that could move on, and is not led through a second one.
#[test]
fn a_tunnel_to_a_shard_that_is_not_the_home_is_closed() {
    let hello = Hello::new(Version::V5, &id_on("c", 1, 2));
    let mut world = World::new(&Setup::new(2, 1).moving(false));
    world.lanes.borrow_mut().kept = Some(Vec::new());
    world.join(0, &hello);
    let opening = world.lanes.borrow_mut().kept.take().expect("they were kept").remove(0);
    for moving in [true, false] {
        let mut world = World::new(&Setup::new(2, 1).moving(moving));
        let mut batch = Batch { bytes: opening.clone(), payloads: Vec::new() };
        world.give(0, Input::Mesh { from: ShardId(1), batch: &mut batch });
        world.run();
        let faults = world.logs.iter().filter(|(level, _)| *level == LogLevel::Error).count();
        assert_eq!((faults, world.counter(|c| &c.sessions)), (1, 0), "moving {moving}: {:?}", world.logs);
        let client = world.join(0, &hello);
        assert_eq!(world.counter(|c| &c.connections), 1, "moving {moving}");
        assert_eq!(world.ask(client, &packets::pingreq(Version::V5)), [Seen::Pingresp], "moving {moving}");
    }
}

/// The model's judge took a DISCONNECT that stands behind a refused publish for one that was read. In 3.x a refused
/// publish closes the connection, and a connection that ends without DISCONNECT has its will published
/// [MQTT-3.1.2-8].
#[test]
fn a_goodbye_behind_a_refused_publish_of_3_x_is_not_read() {
    for version in [Version::V31, Version::V311] {
        let mut setup = Setup::new(2, 9);
        setup.settings.queue_messages_max = 1;
        setup.settings.queue_policy = QueuePolicy::Refuse;
        let mut world = World::new(&setup);
        let full = world.join(0, &Hello::new(Version::V5, "full").persistent());
        subscribe(&mut world, full, "t", 1);
        world.hang_up(full, 0);
        world.run();
        let watcher = world.join(0, &Hello::new(Version::V5, "watcher"));
        subscribe(&mut world, watcher, "will", 0);
        let writer =
            world.join(0, &Hello::new(version, "writer").will("will", b"will", Qos::AtMostOnce, false));
        world.ask(writer, &Post::new("t", "fills", 1, 1).encode(version));
        let mut last = Post::new("t", "refused", 1, 2).encode(version);
        last.extend_from_slice(&packets::disconnect(version, ReasonCode::SUCCESS));
        world.ask(writer, &last);
        assert!(world.nets[writer.0].closed(), "{version:?}");
        assert_eq!(payloads(&publishes(world.seen(watcher))), ["will"], "{version:?}");
    }
}

/// A member of a shared group that is no session anywhere: its shard gave each message back, and the group, which had
/// nobody else, sent it there again, for ever. Who is counted on in vain is now told to the group.
#[test]
fn a_member_that_nobody_is_does_not_make_a_message_go_to_and_fro() {
    for window in [0, 7_u16] {
        let mut world = World::new(&Setup::new(2, 1));
        let filter = "$share/g/x";
        let mut join = vec![6]; // kind, ticket, session, quality, window, filter
        [1, 1, 9, 9].iter().for_each(|n: &u32| join.extend_from_slice(&n.to_le_bytes()));
        join.push(1);
        join.extend_from_slice(&window.to_le_bytes());
        join.extend_from_slice(&(filter.len() as u32).to_le_bytes());
        join.extend_from_slice(filter.as_bytes());
        let mut batch = Batch { bytes: join, payloads: Vec::new() };
        world.give(0, Input::Mesh { from: ShardId(1), batch: &mut batch });
        let publisher = world.join(0, &Hello::new(Version::V5, "p"));
        let answers = world.ask(publisher, &Post::new("x", "m", 1, 1).encode(Version::V5));
        assert!(matches!(answers[..], [Seen::Ack(AckKind::Puback, 1, _)]), "{window}: {answers:?}");
        assert_eq!(world.counter(|c| &c.dropped_shared), 1, "{window}");
        let answers = world.ask(publisher, &Post::new("x", "m", 1, 2).encode(Version::V5));
        assert!(matches!(answers[..], [Seen::Ack(AckKind::Puback, 2, _)]), "{window}: {answers:?}");
        assert_eq!(world.counter(|c| &c.dropped_shared), 1, "{window}: the group is gone");
    }
}
