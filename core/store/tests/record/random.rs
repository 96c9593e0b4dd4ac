//! Random commands of every kind. Numbers and names come from small sets where a session would meet them
//! again, so that a sequence of changes does something.

use std::rc::Rc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use ringmq_proto::session::{Change, Entry, RetainedRead, SharedOrigin, Subscription, SubscriptionIds, Will};
use ringmq_proto::time::Wall;
use ringmq_store::{OwnedBody, OwnedCommand, Partition};
use ringmq_wire::message::{INLINE_PAYLOAD_BYTES_MAX, Message, MessageParts, Payload};
use ringmq_wire::{PacketId, PropertiesBuffer, Property, Qos, REMAINING_LENGTH_MAX, SubscriptionOptions};

/// How many kinds of change there are.
pub const CHANGE_KINDS: usize = 16;

/// How many kinds of command there are besides those of a changed session.
pub const OTHER_KINDS: usize = 3;

/// A runner that does the same each time.
pub fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// A command of one kind: those of [`change`], then the others.
pub fn command(kind: usize) -> BoxedStrategy<OwnedCommand> {
    let body = match kind {
        _ if kind < CHANGE_KINDS => (client_id(), any::<u64>(), change(kind))
            .prop_map(|(client_id, epoch, change)| OwnedBody::Session { client_id, epoch, change })
            .boxed(),
        16 => (client_id(), any::<u64>())
            .prop_map(|(client_id, epoch)| OwnedBody::SessionEnded { client_id, epoch })
            .boxed(),
        17 => message().prop_map(|message| OwnedBody::Retained { message }).boxed(),
        18 => (topic(), any::<u64>())
            .prop_map(|(topic, stamp)| OwnedBody::RetainedCleared { topic: topic.into(), stamp })
            .boxed(),
        _ => unreachable!("there are {} kinds", CHANGE_KINDS + OTHER_KINDS),
    };
    (any::<u8>(), body).prop_map(|(at, body)| OwnedCommand { partition: Partition(at), body }).boxed()
}

/// A change of one kind.
pub fn change(kind: usize) -> BoxedStrategy<Change> {
    match kind {
        0 => (any::<u64>(), any::<u32>(), option::of(will()))
            .prop_map(|(epoch, expiry_seconds, will)| Change::Attached { epoch, expiry_seconds, will })
            .boxed(),
        1 => any::<u32>().prop_map(|expiry_seconds| Change::ExpirySet { expiry_seconds }).boxed(),
        2 => (moment(), moment())
            .prop_map(|(expires_at, will_due)| Change::Detached { expires_at, will_due })
            .boxed(),
        3 => Just(Change::WillCleared).boxed(),
        4 => (filter(), subscription())
            .prop_map(|(filter, subscription)| Change::Subscribed { filter, subscription })
            .boxed(),
        5 => filter().prop_map(|filter| Change::Unsubscribed { filter }).boxed(),
        6 => entry().prop_map(|entry| Change::Queued { entry }).boxed(),
        7 => packet_id().prop_map(|packet_id| Change::Sent { packet_id }).boxed(),
        8 => Just(Change::GivenUp).boxed(),
        9 => packet_id().prop_map(|packet_id| Change::Received { packet_id }).boxed(),
        10 => packet_id().prop_map(|packet_id| Change::Completed { packet_id }).boxed(),
        11 => packet_id().prop_map(|packet_id| Change::IncomingReceived { packet_id }).boxed(),
        12 => packet_id().prop_map(|packet_id| Change::IncomingReleased { packet_id }).boxed(),
        13 => read().prop_map(|read| Change::ReadStarted { read }).boxed(),
        14 => option::of(read()).prop_map(|read| Change::ReadMoved { read }).boxed(),
        15 => filter().prop_map(|filter| Change::ReadsCancelled { filter }).boxed(),
        _ => unreachable!("there are {CHANGE_KINDS} kinds of change"),
    }
}

pub fn message() -> impl Strategy<Value = Rc<Message>> {
    let payload = prop_oneof![
        8 => vec(any::<u8>(), 0..40),
        1 => vec(any::<u8>(), INLINE_PAYLOAD_BYTES_MAX - 1..INLINE_PAYLOAD_BYTES_MAX + 3),
    ];
    let numbers = (option::of(any::<u64>()), any::<u64>(), any::<u64>());
    (topic(), qos(), any::<bool>(), properties(), payload, numbers).prop_map(
        |(topic, qos, retain, properties, payload, (expires_at, publisher, stamp))| {
            Rc::new(Message::new(MessageParts {
                topic: &topic,
                qos,
                retain,
                properties: properties.as_properties(),
                payload: Payload::Copy(&payload),
                expires_at,
                publisher,
                stamp,
            }))
        },
    )
}

fn properties() -> impl Strategy<Value = PropertiesBuffer> {
    let one_each = (
        option::of(0..2_u8),
        option::of(text()),
        option::of(topic()),
        option::of(vec(any::<u8>(), 0..20)),
        vec((text(), text()), 0..3),
    );
    one_each.prop_map(|(format, content, response, correlation, users)| {
        let mut buffer = PropertiesBuffer::new();
        users.iter().for_each(|(name, value)| buffer.push_user(name, value));
        format.iter().for_each(|format| buffer.push_u8(Property::PayloadFormatIndicator, *format));
        content.iter().for_each(|content| buffer.push_str(Property::ContentType, content));
        response.iter().for_each(|topic| buffer.push_str(Property::ResponseTopic, topic));
        correlation.iter().for_each(|data| buffer.push_bytes(Property::CorrelationData, data));
        buffer
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let ids = vec(0..=REMAINING_LENGTH_MAX, 0..4).prop_map(|ids| SubscriptionIds::from_unsorted(&ids));
    (message(), qos(), any::<bool>(), ids, option::of(shared_origin()))
        .prop_map(|(message, qos, retain, ids, shared)| Entry { message, qos, retain, ids, shared })
}

fn shared_origin() -> impl Strategy<Value = SharedOrigin> {
    any::<(u16, u32, u32)>().prop_map(|(shard, group, generation)| SharedOrigin { shard, group, generation })
}

fn will() -> impl Strategy<Value = Will> {
    (message(), any::<u32>(), option::of(any::<u32>()))
        .prop_map(|(message, delay_seconds, expiry_seconds)| Will { message, delay_seconds, expiry_seconds })
}

fn read() -> impl Strategy<Value = RetainedRead> {
    let numbers = (0..=REMAINING_LENGTH_MAX, any::<u16>(), any::<u16>());
    (filter(), qos(), numbers, option::of(topic())).prop_map(
        |(filter, qos, (id, shard, shard_last), after)| RetainedRead {
            filter,
            qos,
            id,
            shard,
            shard_last,
            after,
        },
    )
}

fn subscription() -> impl Strategy<Value = Subscription> {
    let options = (0..0x30_u8).prop_filter_map("options", |byte| SubscriptionOptions::from_u8(byte).ok());
    (options, 0..=REMAINING_LENGTH_MAX).prop_map(|(options, id)| Subscription { options, id })
}

fn client_id() -> impl Strategy<Value = Box<str>> {
    text().prop_map(String::into)
}

fn text() -> impl Strategy<Value = String> {
    vec(prop_oneof![Just('a'), Just('ß'), Just('水'), Just('🦀'), Just('/'), Just('\u{7f}')], 0..8)
        .prop_map(String::from_iter)
}

fn topic() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => text().prop_map(|text| format!("t{text}")),
        1 => Just(String::from("$SYS/broker")),
        1 => Just("x".repeat(300)),
    ]
}

fn filter() -> impl Strategy<Value = Box<str>> {
    let some = ["a", "a/+", "#", "+/水/#", "$share/group/a/+", "$share/group/$share/x"];
    (0..some.len()).prop_map(move |at| some[at].into())
}

fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

fn moment() -> impl Strategy<Value = Option<Wall>> {
    option::of(any::<u64>().prop_map(Wall))
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    let number = prop_oneof![12 => 1..6_u16, 1 => Just(u16::MAX)];
    number.prop_map(|number| PacketId::new(number).expect("not zero"))
}
