//! In-process handles: sessions without a connection, with the same promises.

use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ringmq_shard::limits::LOCAL_BATCH_MAX;
use ringmq_shard::{Input, LocalId, LocalInput, LocalMessage, LocalOutcome, LocalTicket};
use ringmq_wire::{PropertiesBuffer, Qos, ReasonCode, Version};

use super::{payloads, read_all, subscribe};
use crate::harness::local::{Basket, Sink};
use crate::harness::packets::with_qos;
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, Seen};

fn open(world: &mut World, shard: usize, local: u64, room: usize, queue: u32) -> Arc<Mutex<Basket>> {
    open_as(world, shard, local, Basket { room, ..Basket::default() }, queue)
}

/// A handle that acknowledges what it takes by [`acknowledge`].
fn open_acknowledging(world: &mut World, shard: usize, local: u64, max: u16) -> Arc<Mutex<Basket>> {
    let basket = Basket { room: 100, unacknowledged_max: NonZeroU16::new(max), ..Basket::default() };
    open_as(world, shard, local, basket, 3)
}

fn acknowledge(world: &mut World, shard: usize, local: u64, basket: &Mutex<Basket>, index: usize) {
    let mut basket = basket.lock().unwrap();
    let packet_id = basket.packet_ids[index].expect("it is to be acknowledged");
    basket.acknowledged.push(packet_id);
    drop(basket);
    world.give(shard, Input::Local(LocalInput::Room { local: LocalId(local) }));
    world.run();
}

fn open_as(world: &mut World, shard: usize, local: u64, basket: Basket, queue: u32) -> Arc<Mutex<Basket>> {
    let basket = Arc::new(Mutex::new(basket));
    let sink = Box::new(Sink(Arc::clone(&basket)));
    let input = LocalInput::Open { local: LocalId(local), sink, queue_messages_max: queue };
    world.give(shard, Input::Local(input));
    world.run();
    basket
}

fn outcome(world: &mut World, ticket: u64) -> LocalOutcome {
    let position = world.local_done.iter().position(|(done, _)| done.0 == ticket);
    world.local_done.remove(position.expect("the request is answered")).1
}

fn listen(world: &mut World, shard: usize, local: u64, filter: &str) {
    let input = LocalInput::Subscribe {
        local: LocalId(local),
        ticket: LocalTicket(9_000 + local),
        filters: vec![(filter.to_owned(), with_qos(1))],
        subscription_id: None,
    };
    world.give(shard, Input::Local(input));
    world.run();
    assert_eq!(outcome(world, 9_000 + local), LocalOutcome::Subscribed(vec![ReasonCode::GRANTED_QOS_1]));
}

fn say(world: &mut World, shard: usize, local: u64, ticket: u64, topic: &str, text: &str, hold: u64) {
    let input = LocalInput::Publish {
        local: LocalId(local),
        ticket: LocalTicket(ticket),
        topic: topic.to_owned(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: PropertiesBuffer::default(),
        hold,
    };
    world.give(shard, Input::Local(input));
    world.run();
}

fn texts(basket: &Arc<Mutex<Basket>>) -> Vec<String> {
    basket.lock().unwrap().messages.iter().map(|row| String::from_utf8_lossy(&row.1).into_owned()).collect()
}

#[test]
fn handles_and_clients_hear_each_other_on_any_shard() {
    for shards in [1, 2, 3] {
        let mut world = World::new(&Setup::new(shards, 1));
        let left = open(&mut world, 0, 1, 100, 100);
        let right = open(&mut world, shards - 1, 2, 100, 100);
        listen(&mut world, 0, 1, "t/#");
        listen(&mut world, shards - 1, 2, "t/+");
        let client = world.join(0, &Hello::new(Version::V5, "client"));
        subscribe(&mut world, client, "t/1", 1);
        say(&mut world, 0, 1, 5, "t/1", "from a handle", 1_000);
        let LocalOutcome::Published { reason, matched, dropped, full } = outcome(&mut world, 5) else {
            panic!("published")
        };
        assert_eq!((reason, matched, dropped, full), (ReasonCode::SUCCESS, 3, 0, None), "{shards} shards");
        assert_eq!(payloads(&read_all(&mut world, client)), ["from a handle"]);
        assert_eq!(
            (texts(&left), texts(&right)),
            (vec!["from a handle".to_owned()], vec!["from a handle".to_owned()])
        );
        assert!(left.lock().unwrap().flushes > 0 && right.lock().unwrap().flushes > 0, "who waits is woken");
    }
}

#[test]
fn nobody_matched_is_said() {
    for shards in [1, 3] {
        let mut world = World::new(&Setup::new(shards, 2));
        open(&mut world, 0, 1, 100, 100);
        say(&mut world, 0, 1, 5, "nobody", "x", 1_000);
        let LocalOutcome::Published { reason, matched, .. } = outcome(&mut world, 5) else {
            panic!("published")
        };
        assert_eq!((reason, matched), (ReasonCode::NO_MATCHING_SUBSCRIBERS, 0));
    }
}

#[test]
fn a_full_subscription_is_named_at_once_or_after_the_hold() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 3));
        open(&mut world, 0, 1, 100, 100);
        let slow = open(&mut world, shards - 1, 2, 2, 3);
        listen(&mut world, shards - 1, 2, "t");
        for number in 0..5 {
            say(&mut world, 0, 1, number, "t", &number.to_string(), 0);
            let LocalOutcome::Published { dropped, .. } = outcome(&mut world, number) else {
                panic!("published")
            };
            assert_eq!(dropped, 0, "two in the sink and three in the queue");
        }
        say(&mut world, 0, 1, 10, "t", "too much", 0);
        let LocalOutcome::Published { dropped, full, .. } = outcome(&mut world, 10) else {
            panic!("published")
        };
        assert!(dropped == 1 && full.is_some(), "dropped {dropped}, full {full:?}");
        say(&mut world, 0, 1, 11, "t", "held", 1_000);
        assert!(world.local_done.is_empty(), "it waits for room");
        slow.lock().unwrap().room = 100;
        world.give(shards - 1, Input::Local(LocalInput::Room { local: LocalId(2) }));
        world.run();
        let LocalOutcome::Published { dropped, .. } = outcome(&mut world, 11) else { panic!("published") };
        assert_eq!(dropped, 0);
        assert_eq!(texts(&slow), ["0", "1", "2", "3", "4", "held"]);
    }
}

#[test]
fn a_hold_ends_at_its_own_deadline() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 4));
        open(&mut world, 0, 1, 100, 100);
        open(&mut world, shards - 1, 2, 0, 1);
        listen(&mut world, shards - 1, 2, "t");
        say(&mut world, 0, 1, 1, "t", "queued", 0);
        assert!(matches!(outcome(&mut world, 1), LocalOutcome::Published { dropped: 0, .. }));
        say(&mut world, 0, 1, 2, "t", "held", 300);
        world.pass(200, 50);
        assert!(world.local_done.is_empty());
        world.pass(300, 50);
        assert!(matches!(outcome(&mut world, 2), LocalOutcome::Published { dropped: 1, full: Some(_), .. }));
    }
}

#[test]
fn a_closed_handle_is_gone() {
    let mut world = World::new(&Setup::new(2, 5));
    let basket = open(&mut world, 0, 1, 100, 100);
    listen(&mut world, 0, 1, "t");
    world.give(0, Input::Local(LocalInput::Close { local: LocalId(1) }));
    world.run();
    assert!(basket.lock().unwrap().ended);
    assert_eq!(world.counter(|c| &c.subscriptions), 0);
    assert_eq!(world.counter(|c| &c.sessions), 0);
    say(&mut world, 0, 1, 7, "t", "x", 0);
    assert!(matches!(outcome(&mut world, 7), LocalOutcome::Refused(_)));
}

#[test]
fn what_is_not_a_topic_is_refused_and_nothing_breaks() {
    let mut world = World::new(&Setup::new(1, 6));
    open(&mut world, 0, 1, 100, 100);
    for (ticket, topic) in [(1, ""), (2, "a/#"), (3, "nul\0")] {
        say(&mut world, 0, 1, ticket, topic, "x", 0);
        let outcome = outcome(&mut world, ticket);
        let refused = matches!(&outcome, LocalOutcome::Refused(reason) | LocalOutcome::Published { reason, .. } if reason.is_error());
        assert!(refused, "{topic:?}: {outcome:?}");
    }
}

#[test]
fn several_messages_at_one_go_have_one_answer_with_the_sums() {
    for shards in [1, 3] {
        let mut world = World::new(&Setup::new(shards, 11));
        open(&mut world, 0, 1, 100, 100);
        let reader = open(&mut world, shards - 1, 2, 4, 3);
        listen(&mut world, shards - 1, 2, "t/#");
        let many = |world: &mut World, ticket, topics: &[&str], hold| {
            let message = |(number, topic): (usize, &&str)| LocalMessage {
                topic: (*topic).into(),
                payload: Bytes::from(number.to_string()),
            };
            let input = LocalInput::PublishMany {
                local: LocalId(1),
                ticket: LocalTicket(ticket),
                messages: topics.iter().enumerate().map(message).collect(),
                qos: Qos::AtLeastOnce,
                retain: false,
                properties: PropertiesBuffer::default(),
                hold,
            };
            world.give(0, Input::Local(input));
            world.run();
        };
        let published =
            |reason, matched, dropped| LocalOutcome::Published { reason, matched, dropped, full: None };
        many(&mut world, 1, &["t/1", "nobody", "t/2"], 1000);
        assert_eq!(outcome(&mut world, 1), published(ReasonCode::SUCCESS, 2, 0), "{shards} shards");
        many(&mut world, 2, &["nobody", "no/body"], 1000);
        assert_eq!(outcome(&mut world, 2), published(ReasonCode::NO_MATCHING_SUBSCRIBERS, 0, 0));
        many(&mut world, 3, &["t/3", "wrong/#", "t/4"], 1000);
        assert_eq!(outcome(&mut world, 3), published(ReasonCode::TOPIC_NAME_INVALID, 2, 0));
        assert_eq!(texts(&reader), ["0", "2", "0", "2"]);
        // Its sink is full now, and three more find room in its queue.
        many(&mut world, 4, &["t/5", "t/6", "t/7", "t/8", "t/9"], 500);
        assert!(world.local_done.is_empty(), "two are held");
        world.pass(600, 50);
        let LocalOutcome::Published { matched, dropped, full, .. } = outcome(&mut world, 4) else {
            panic!("published")
        };
        assert_eq!((matched, dropped, full.is_some()), (5, 2, true));
        for messages in [0, LOCAL_BATCH_MAX + 1] {
            many(&mut world, 5, &vec!["t/1"; messages], 0);
            assert_eq!(outcome(&mut world, 5), LocalOutcome::Refused(ReasonCode::QUOTA_EXCEEDED));
        }
    }
}

/// Several threads publish at one go to a handle that is full: with time, nothing of it is lost.
#[test]
fn the_batches_of_several_threads_wait_for_a_full_handle() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 19));
        open(&mut world, 0, 1, 0, 1);
        let reader = open(&mut world, shards - 1, 2, 2, 3);
        listen(&mut world, shards - 1, 2, "t");
        let batch = |ticket: u64| LocalInput::PublishMany {
            local: LocalId(1),
            ticket: LocalTicket(ticket),
            messages: (0..LOCAL_BATCH_MAX as u64)
                .map(|number| LocalMessage {
                    topic: "t".into(),
                    payload: (ticket * LOCAL_BATCH_MAX as u64 + number).to_string().into(),
                })
                .collect(),
            qos: Qos::AtLeastOnce,
            retain: false,
            properties: PropertiesBuffer::default(),
            hold: 60_000,
        };
        for ticket in 0..8 {
            world.give(0, Input::Local(batch(ticket)));
        }
        world.run();
        reader.lock().unwrap().room = usize::MAX;
        world.give(shards - 1, Input::Local(LocalInput::Room { local: LocalId(2) }));
        world.run();
        let expected: Vec<String> = (0..8 * LOCAL_BATCH_MAX).map(|number| number.to_string()).collect();
        assert_eq!(texts(&reader), expected, "{shards} shards");
        for ticket in 0..8 {
            let matched = LOCAL_BATCH_MAX as u32;
            let published =
                LocalOutcome::Published { reason: ReasonCode::SUCCESS, matched, dropped: 0, full: None };
            assert_eq!(outcome(&mut world, ticket), published, "{shards} shards");
        }
    }
}

/// Of messages at one go those that wait do not take the others along, and each is counted once.
#[test]
fn held_messages_between_others_of_a_batch_are_counted_once() {
    let mut world = World::new(&Setup::new(1, 17));
    open(&mut world, 0, 1, 100, 100);
    let (slow, quick) = (open(&mut world, 0, 2, 0, 1), open(&mut world, 0, 3, 100, 100));
    listen(&mut world, 0, 2, "slow");
    listen(&mut world, 0, 3, "quick");
    say(&mut world, 0, 1, 1, "slow", "fills the queue", 0);
    assert!(matches!(outcome(&mut world, 1), LocalOutcome::Published { matched: 1, dropped: 0, .. }));
    let topics = ["quick", "slow", "quick", "nobody", "slow", "quick"];
    let message = |(number, topic): (usize, &&str)| LocalMessage {
        topic: (*topic).into(),
        payload: Bytes::from(number.to_string()),
    };
    let input = LocalInput::PublishMany {
        local: LocalId(1),
        ticket: LocalTicket(2),
        messages: topics.iter().enumerate().map(message).collect(),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: PropertiesBuffer::default(),
        hold: 500,
    };
    world.give(0, Input::Local(input));
    world.run();
    assert_eq!(texts(&quick), ["0", "2", "5"]);
    assert!(world.local_done.is_empty(), "two are held");
    slow.lock().unwrap().room = 2;
    world.give(0, Input::Local(LocalInput::Room { local: LocalId(2) }));
    world.run();
    assert_eq!(texts(&slow), ["fills the queue", "1"]);
    // The other has gone into the queue, which is as good.
    assert!(matches!(outcome(&mut world, 2), LocalOutcome::Published { matched: 5, dropped: 0, .. }));
}

/// What goes past the queue must not overtake what stands in it: the sink gets room while a turn goes on, before the shard
/// hears of it.
#[test]
fn what_comes_behind_a_full_sink_waits_for_what_is_queued() {
    let mut world = World::new(&Setup::new(1, 13));
    open(&mut world, 0, 1, 100, 100);
    let reader = open(&mut world, 0, 2, 2, 100);
    listen(&mut world, 0, 2, "t");
    for number in 1..=4 {
        say(&mut world, 0, 1, number, "t", &number.to_string(), 1000);
    }
    assert_eq!(texts(&reader), ["1", "2"]);
    reader.lock().unwrap().room = 100;
    for number in 5..=6 {
        say(&mut world, 0, 1, number, "t", &number.to_string(), 1000);
    }
    world.give(0, Input::Local(LocalInput::Room { local: LocalId(2) }));
    world.run();
    say(&mut world, 0, 1, 7, "t", "7", 1000);
    assert_eq!(texts(&reader), ["1", "2", "3", "4", "5", "6", "7"]);
    for number in 1..=7 {
        let published =
            LocalOutcome::Published { reason: ReasonCode::SUCCESS, matched: 1, dropped: 0, full: None };
        assert_eq!(outcome(&mut world, number), published);
    }
}

#[test]
fn handles_are_no_clients_where_clients_are_counted() {
    let mut setup = Setup::new(1, 9);
    setup.settings.sessions_max = 1;
    let mut world = World::new(&setup);
    for local in 1..4 {
        open(&mut world, 0, local, 100, 100);
    }
    let counts = |world: &World| {
        [
            world.counter(|counters| &counters.sessions),
            world.counter(|counters| &counters.sessions_connected),
            world.counter(|counters| &counters.handles),
        ]
    };
    assert_eq!(counts(&world), [0, 0, 3]);
    let client = world.join(0, &Hello::new(Version::V5, "client"));
    assert_eq!(counts(&world), [1, 1, 3]);
    let other = world.dial(0, Version::V5);
    let seen = world.ask(other, &Hello::new(Version::V5, "other").encode());
    assert!(matches!(&seen[..], [Seen::Connack(connack)] if connack.reason == 0x97), "{seen:?}");
    world.hang_up(client, 0);
    world.give(0, Input::Local(LocalInput::Close { local: LocalId(1) }));
    world.run();
    assert_eq!(counts(&world), [0, 0, 2]);
}

#[test]
fn what_is_not_acknowledged_holds_back_what_follows() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 6));
        open(&mut world, 0, 1, 100, 100);
        let reader = open_acknowledging(&mut world, shards - 1, 2, 2);
        listen(&mut world, shards - 1, 2, "t");
        for number in 0..5 {
            say(&mut world, 0, 1, number, "t", &number.to_string(), 0);
            assert!(matches!(outcome(&mut world, number), LocalOutcome::Published { dropped: 0, .. }));
        }
        assert_eq!(texts(&reader), ["0", "1"], "two unacknowledged, and three in the queue");
        say(&mut world, 0, 1, 9, "t", "too much", 0);
        assert!(matches!(outcome(&mut world, 9), LocalOutcome::Published { dropped: 1, full: Some(_), .. }));
        acknowledge(&mut world, shards - 1, 2, &reader, 1);
        assert_eq!(texts(&reader), ["0", "1", "2"], "in any order");
        acknowledge(&mut world, shards - 1, 2, &reader, 1);
        assert_eq!(texts(&reader), ["0", "1", "2"], "and once");
        acknowledge(&mut world, shards - 1, 2, &reader, 0);
        acknowledge(&mut world, shards - 1, 2, &reader, 2);
        assert_eq!(texts(&reader), ["0", "1", "2", "3", "4"]);
        assert_eq!(world.counter(|c| &c.inflight), 2);
        world.give(shards - 1, Input::Local(LocalInput::Close { local: LocalId(2) }));
        world.run();
        assert_eq!(world.counter(|c| &c.inflight), 0, "the session's end ends them");
    }
}

/// A member of a group that ends gives back what it has not acknowledged, as a client does (MQTT 5.0, 4.8.2.1).
#[test]
fn what_a_group_member_has_not_acknowledged_goes_to_another() {
    for shards in [1, 2] {
        let mut world = World::new(&Setup::new(shards, 7));
        open(&mut world, 0, 1, 100, 100);
        let first = open_acknowledging(&mut world, shards - 1, 2, 10);
        listen(&mut world, shards - 1, 2, "$share/g/t");
        for number in 0..3 {
            say(&mut world, 0, 1, number, "t", &number.to_string(), 0);
        }
        assert_eq!(texts(&first), ["0", "1", "2"]);
        acknowledge(&mut world, shards - 1, 2, &first, 0);
        let second = open(&mut world, 0, 3, 100, 100);
        listen(&mut world, 0, 3, "$share/g/t");
        world.give(shards - 1, Input::Local(LocalInput::Close { local: LocalId(2) }));
        world.run();
        assert_eq!(texts(&second), ["1", "2"], "{shards} shards");
    }
}
