//! The codec: a buffer full of packets of one kind is taken apart, or written.

use std::hint::black_box;

use ringmq_wire::{
    Ack, Delivery, Message, MessageParts, Packet, PacketId, Payload, Properties, PropertiesBuffer, Property,
    Publish, Qos, Sender, Subscribe, SubscribeFilters, SubscriptionOptions, TopicName, Version, decode,
    encode_publish, frame,
};

use crate::{Prepared, Workload, topics};

/// Packets in one run; together they fit into the first cache.
const PACKETS: usize = 128;

pub(crate) const WORKLOADS: &[Workload] = &[
    decoding("wire-decode-publish-qos-0", |_| decode_all(Version::V311, publish_bytes(Qos::AtMostOnce))),
    decoding("wire-decode-publish-qos-1", |_| decode_all(Version::V311, publish_bytes(Qos::AtLeastOnce))),
    decoding("wire-decode-publish-v5-3-properties", |_| decode_all(Version::V5, publish_v5_bytes())),
    decoding("wire-decode-puback", |_| decode_all(Version::V311, puback_bytes())),
    decoding("wire-decode-subscribe", |_| decode_all(Version::V311, subscribe_bytes())),
    encoding("wire-encode-publish-qos-0", |_| encode_publishes(Version::V311, Qos::AtMostOnce)),
    encoding("wire-encode-publish-qos-1", |_| encode_publishes(Version::V311, Qos::AtLeastOnce)),
    encoding("wire-encode-publish-v5-3-properties", |_| encode_publishes(Version::V5, Qos::AtLeastOnce)),
    encoding("wire-encode-delivery-qos-0", |_| encode_deliveries(Version::V311, Qos::AtMostOnce)),
    encoding("wire-encode-delivery-qos-1", |_| encode_deliveries(Version::V311, Qos::AtLeastOnce)),
    encoding("wire-encode-delivery-v5-3-properties", |_| encode_deliveries(Version::V5, Qos::AtLeastOnce)),
    encoding("wire-encode-puback", |_| encode_pubacks()),
];

const fn decoding(name: &'static str, prepare: fn(&crate::Scale) -> Prepared) -> Workload {
    Workload { name, operation: "one packet found and decoded", is_counted: true, prepare }
}

const fn encoding(name: &'static str, prepare: fn(&crate::Scale) -> Prepared) -> Workload {
    Workload { name, operation: "one packet written", is_counted: true, prepare }
}

fn decode_all(version: Version, bytes: Vec<u8>) -> Prepared {
    Prepared::steady(PACKETS, move || {
        let mut rest = black_box(bytes.as_slice());
        while let Ok(Some(frame)) = frame::split(rest, 1 << 20) {
            let packet = decode(version, Sender::Client, &frame).expect("a packet of our own is right");
            black_box(packet);
            rest = &rest[frame.bytes..];
        }
        assert!(rest.is_empty(), "every packet is whole");
    })
}

fn packet_id(number: usize) -> PacketId {
    PacketId::new(number as u16 + 1).expect("not zero")
}

/// Payload format indicator, message expiry interval and content type.
fn three_properties() -> PropertiesBuffer {
    let mut properties = PropertiesBuffer::new();
    properties.push_u8(Property::PayloadFormatIndicator, 1);
    properties.push_u32(Property::MessageExpiryInterval, 3_600);
    properties.push_str(Property::ContentType, "text/plain");
    properties
}

fn publish<'a>(topic: &'a str, number: usize, qos: Qos, properties: Properties<'a>) -> Packet<'a> {
    let packet_id = (qos != Qos::AtMostOnce).then(|| packet_id(number));
    let topic = TopicName::new(topic).expect("a topic");
    let payload = b"sixteen bytes...";
    Packet::Publish(Publish { dup: false, qos, retain: false, topic, packet_id, properties, payload })
}

fn publish_bytes(qos: Qos) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, topic) in topics::new_topics(PACKETS).iter().enumerate() {
        publish(topic, number, qos, Properties::EMPTY).encode(Version::V311, &mut out);
    }
    out
}

fn publish_v5_bytes() -> Vec<u8> {
    let (properties, mut out) = (three_properties(), Vec::new());
    for (number, topic) in topics::new_topics(PACKETS).iter().enumerate() {
        let packet = publish(topic, number, Qos::AtLeastOnce, properties.as_properties());
        packet.encode(Version::V5, &mut out);
    }
    out
}

fn puback_bytes() -> Vec<u8> {
    let mut out = Vec::new();
    (0..PACKETS).for_each(|number| {
        Packet::Puback(Ack::success(packet_id(number))).encode(Version::V311, &mut out);
    });
    out
}

/// Three filters each.
fn subscribe_bytes() -> Vec<u8> {
    let mut out = Vec::new();
    for (number, topic) in topics::new_topics(PACKETS).iter().enumerate() {
        let mut raw = Vec::new();
        for filter in [topic.as_str(), "region01/+/device00001/#", "region01/plant001/+/item1"] {
            let options = SubscriptionOptions::qos(Qos::AtLeastOnce);
            SubscribeFilters::encode_one(filter, options, &mut raw).expect("a filter");
        }
        let filters = SubscribeFilters::from_encoded(Version::V311, &raw).expect("filters");
        let subscribe = Subscribe { packet_id: packet_id(number), properties: Properties::EMPTY, filters };
        Packet::Subscribe(subscribe).encode(Version::V311, &mut out);
    }
    out
}

fn encode_publishes(version: Version, qos: Qos) -> Prepared {
    let (properties, topics, mut out) = (three_properties(), topics::new_topics(PACKETS), Vec::new());
    Prepared::steady(PACKETS, move || {
        out.clear();
        for (number, topic) in topics.iter().enumerate() {
            black_box(publish(topic, number, qos, properties.as_properties())).encode(version, &mut out);
        }
        black_box(&mut out);
    })
}

fn encode_deliveries(version: Version, qos: Qos) -> Prepared {
    let properties = three_properties();
    let message = |topic: &String| {
        Message::new(MessageParts {
            topic,
            qos,
            retain: false,
            properties: properties.as_properties(),
            payload: Payload::Copy(b"sixteen bytes..."),
            expires_at: None,
            publisher: 1,
            stamp: 0,
        })
    };
    let messages: Vec<Message> = topics::new_topics(PACKETS).iter().map(message).collect();
    let mut out = Vec::new();
    Prepared::steady(PACKETS, move || {
        out.clear();
        for (number, message) in messages.iter().enumerate() {
            let delivery = Delivery {
                message,
                qos,
                dup: false,
                retain: false,
                packet_id: (qos != Qos::AtMostOnce).then(|| packet_id(number)),
                topic_alias: None,
                expiry_left_seconds: None,
                subscription_ids: &[],
            };
            encode_publish(version, &mut out, black_box(&delivery));
        }
        black_box(&mut out);
    })
}

fn encode_pubacks() -> Prepared {
    let mut out = Vec::new();
    Prepared::steady(PACKETS, move || {
        out.clear();
        for number in 0..PACKETS {
            let ack = Packet::Puback(Ack::success(packet_id(black_box(number))));
            ack.encode(Version::V311, &mut out);
        }
        black_box(&mut out);
    })
}
