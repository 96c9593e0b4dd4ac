//! One fixed record of every kind, byte by byte. When one of these differs, stored data can no longer be read:
//! a new layout needs a new version.

use std::rc::Rc;

use ringmq_proto::session::{Change, Entry, RetainedRead, SharedOrigin, Subscription, SubscriptionIds, Will};
use ringmq_proto::time::Wall;
use ringmq_store::record::decode;
use ringmq_store::{OwnedBody, OwnedCommand, Partition};
use ringmq_wire::message::{Message, MessageParts, Payload};
use ringmq_wire::{PacketId, PropertiesBuffer, Property, Qos, RetainHandling, SubscriptionOptions};

use crate::record;

/// Name, command and record.
type Row = (&'static str, OwnedCommand, &'static str);

/// The fixed records with their names.
pub fn records() -> Vec<(&'static str, Vec<u8>)> {
    rows().into_iter().map(|(name, _, hex)| (name, bytes(hex))).collect()
}

#[test]
fn the_format_is_as_it_was() {
    for (name, command, hex) in rows() {
        assert_eq!(record(&command), bytes(hex), "{name} is written as {}", to_hex(&record(&command)));
    }
}

#[test]
fn old_records_can_be_read() {
    for (name, command, hex) in rows() {
        let bytes = bytes(hex);
        let (read, taken) = decode(&bytes).expect(name);
        assert_eq!((format!("{read:?}"), taken), (format!("{command:?}"), bytes.len()), "{name}");
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte =
        |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).expect("digits"), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn session(name: &'static str, change: Change, hex: &'static str) -> Row {
    let body = OwnedBody::Session { client_id: "sensor-17".into(), epoch: 7, change };
    (name, OwnedCommand { partition: Partition(0x33), body }, hex)
}

fn other(name: &'static str, body: OwnedBody, hex: &'static str) -> Row {
    (name, OwnedCommand { partition: Partition(0xA5), body }, hex)
}

/// A message with everything that a message can have.
fn message() -> Rc<Message> {
    let mut properties = PropertiesBuffer::new();
    properties.push_u8(Property::PayloadFormatIndicator, 1);
    properties.push_str(Property::ContentType, "text");
    properties.push_str(Property::ResponseTopic, "r");
    properties.push_bytes(Property::CorrelationData, &[0, 0xFF]);
    properties.push_user("k", "v");
    Rc::new(Message::new(MessageParts {
        topic: "home/水",
        qos: Qos::ExactlyOnce,
        retain: true,
        properties: properties.as_properties(),
        payload: Payload::Copy(b"21.5"),
        expires_at: Some(1_700_000_060_000),
        publisher: 0x0102_0304_0506_0708,
        stamp: 99,
    }))
}

/// A message with nothing but a topic.
fn bare_message() -> Rc<Message> {
    Rc::new(Message::new(MessageParts {
        topic: "t",
        qos: Qos::AtMostOnce,
        retain: false,
        properties: PropertiesBuffer::new().as_properties(),
        payload: Payload::Copy(&[]),
        expires_at: None,
        publisher: 0,
        stamp: 0,
    }))
}

fn read() -> RetainedRead {
    RetainedRead {
        filter: "home/+".into(),
        qos: Qos::AtLeastOnce,
        id: 268_435_455,
        shard: 2,
        shard_last: 3,
        after: Some("home/a".into()),
    }
}

fn packet_id() -> PacketId {
    PacketId::new(0xABCD).expect("not zero")
}

fn rows() -> Vec<Row> {
    [connection_rows(), subscription_rows(), delivery_rows(), retained_rows()].into_iter().flatten().collect()
}

fn connection_rows() -> Vec<Row> {
    let will = Will { message: message(), delay_seconds: 30, expiry_seconds: Some(60) };
    vec![
        session(
            "attached with a will",
            Change::Attached { epoch: 8, expiry_seconds: u32::MAX, will: Some(will) },
            "017a00000098f96a0a9266c47133010900000073656e736f722d313707000000000000000108000000000000\
             00ffffffff010201016052e6cf8b0100000807060504030201630000000000000008000000686f6d652fe6b0\
             b4190000000101030004746578740800017209000200ff2600016b0001760400000032312e351e000000013c\
             000000",
        ),
        session(
            "attached",
            Change::Attached { epoch: 8, expiry_seconds: 3600, will: None },
            "0125000000d6048f3be64fc24933010900000073656e736f722d313707000000000000000108000000000000\
             00100e000000",
        ),
        session(
            "expiry set",
            Change::ExpirySet { expiry_seconds: 0x0102_0304 },
            "011c000000ff066e691fc1fecf33010900000073656e736f722d313707000000000000000204030201",
        ),
        session(
            "detached",
            Change::Detached { expires_at: Some(Wall(1_700_000_000_000)), will_due: None },
            "0122000000e1d36370aa81f8b533010900000073656e736f722d3137070000000000000003010068e5cf8b01\
             000000",
        ),
        session(
            "will cleared",
            Change::WillCleared,
            "011800000041ff85632a7d535133010900000073656e736f722d3137070000000000000004",
        ),
        other(
            "session ended",
            OwnedBody::SessionEnded { client_id: "ß".into(), epoch: u64::MAX },
            "0110000000ce4d0a562baafe1ba50202000000c39fffffffffffffffff",
        ),
    ]
}

fn subscription_rows() -> Vec<Row> {
    let options = SubscriptionOptions {
        qos: Qos::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let filter = || "$share/group/home/#".into();
    vec![
        session(
            "subscribed",
            Change::Subscribed { filter: filter(), subscription: Subscription { options, id: 5 } },
            "0134000000853e5f4f63cec7df33010900000073656e736f722d313707000000000000000513000000247368\
             6172652f67726f75702f686f6d652f232e05000000",
        ),
        session(
            "unsubscribed",
            Change::Unsubscribed { filter: filter() },
            "012f00000030eebae44f153e3b33010900000073656e736f722d313707000000000000000613000000247368\
             6172652f67726f75702f686f6d652f23",
        ),
        session(
            "read started",
            Change::ReadStarted { read: RetainedRead { after: None, ..read() } },
            "012c0000009bcbd6f1e3c8c8b533010900000073656e736f722d313707000000000000000e06000000686f6d\
             652f2b01ffffff0f0200030000",
        ),
        session(
            "read moved",
            Change::ReadMoved { read: Some(read()) },
            "013700000013d4ff2ea9cfa4f933010900000073656e736f722d313707000000000000000f0106000000686f\
             6d652f2b01ffffff0f020003000106000000686f6d652f61",
        ),
        session(
            "read done",
            Change::ReadMoved { read: None },
            "0119000000bfc24e3028649f0d33010900000073656e736f722d313707000000000000000f00",
        ),
        session(
            "reads cancelled",
            Change::ReadsCancelled { filter: "home/#".into() },
            "0122000000ca10e7a1813e19ff33010900000073656e736f722d313707000000000000001006000000686f6d\
             652f23",
        ),
    ]
}

fn delivery_rows() -> Vec<Row> {
    let entry = Entry {
        message: message(),
        qos: Qos::AtLeastOnce,
        retain: true,
        ids: SubscriptionIds::from_unsorted(&[7, 5]),
        shared: Some(SharedOrigin { shard: 1, group: 2, generation: 3 }),
    };
    let bare = Entry {
        message: bare_message(),
        qos: Qos::AtMostOnce,
        retain: false,
        ids: SubscriptionIds::None,
        shared: None,
    };
    let packet_id = packet_id();
    vec![
        session(
            "queued",
            Change::Queued { entry },
            "017d000000921625e36411351833010900000073656e736f722d31370700000000000000070201016052e6cf\
             8b0100000807060504030201630000000000000008000000686f6d652fe6b0b4190000000101030004746578\
             740800017209000200ff2600016b0001760400000032312e3501010200000005000000070000000101000200\
             000003000000",
        ),
        session(
            "queued bare",
            Change::Queued { entry: bare },
            "013f0000002af87df13fe9ec8933010900000073656e736f722d313707000000000000000700000000000000\
             0000000000000000000000000100000074000000000000000000000000000000",
        ),
        session(
            "sent",
            Change::Sent { packet_id },
            "011a000000b4caf3b31db7d87f33010900000073656e736f722d3137070000000000000008cdab",
        ),
        session(
            "given up",
            Change::GivenUp,
            "0118000000fc83341d9bb9c3a933010900000073656e736f722d3137070000000000000009",
        ),
        session(
            "received",
            Change::Received { packet_id },
            "011a000000da1e77b034a647e833010900000073656e736f722d313707000000000000000acdab",
        ),
        session(
            "completed",
            Change::Completed { packet_id },
            "011a000000ed74b5b180ad304e33010900000073656e736f722d313707000000000000000bcdab",
        ),
        session(
            "incoming received",
            Change::IncomingReceived { packet_id },
            "011a0000006862fab40e93978b33010900000073656e736f722d313707000000000000000ccdab",
        ),
        session(
            "incoming released",
            Change::IncomingReleased { packet_id },
            "011a0000005f0838b5ba98e02d33010900000073656e736f722d313707000000000000000dcdab",
        ),
    ]
}

fn retained_rows() -> Vec<Row> {
    vec![
        other(
            "retained",
            OwnedBody::Retained { message: message() },
            "014e00000086e433bc3edb009da5030201016052e6cf8b010000080706050403020163000000000000000800\
             0000686f6d652fe6b0b4190000000101030004746578740800017209000200ff2600016b0001760400000032\
             312e35",
        ),
        other(
            "retained cleared",
            OwnedBody::RetainedCleared { topic: "home/水".into(), stamp: 100 },
            "011600000028dc15b5d3d20d26a50408000000686f6d652fe6b0b46400000000000000",
        ),
    ]
}
