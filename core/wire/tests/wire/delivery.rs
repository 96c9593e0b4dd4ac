//! Owned messages, and the PUBLISH packets that go out with them.

use bytes::Bytes;
use ringmq_wire::{
    Delivery, INLINE_PAYLOAD_BYTES_MAX, Message, MessageParts, Packet, PacketId, Payload, Place, Properties,
    Property, Qos, Version, encode_publish, encoded_publish_bytes,
};

use crate::notation::{S, V5, V31, V311, bytes, decode_bytes};

fn parts<'a>(topic: &'a str, properties: Properties<'a>, payload: Payload<'a>) -> MessageParts<'a> {
    MessageParts {
        topic,
        qos: Qos::AtLeastOnce,
        retain: true,
        properties,
        payload,
        expires_at: Some(1_000),
        publisher: 7,
        stamp: 8,
    }
}

fn delivery(message: &Message) -> Delivery<'_> {
    Delivery {
        message,
        qos: Qos::AtMostOnce,
        dup: false,
        retain: false,
        packet_id: None,
        topic_alias: None,
        expiry_left_seconds: None,
        subscription_ids: &[],
    }
}

fn encoded(version: Version, delivery: &Delivery<'_>) -> Vec<u8> {
    let mut out = vec![0xAA];
    encode_publish(version, &mut out, delivery);
    assert_eq!(out.len() - 1, encoded_publish_bytes(version, delivery));
    out.split_off(1)
}

#[test]
fn a_message_keeps_what_is_forwarded() {
    let raw = bytes("26 =k =1 02 00000009 01 01 23 0001 03 =json 08 =r 0B 05 09 0001 FF 26 =k =2");
    let properties = Properties::parse(Place::Publish, &raw).expect("fine");
    let message = Message::new(parts("a/b", properties, Payload::Copy(b"hello")));
    assert_eq!((message.topic(), message.payload()), ("a/b", &b"hello"[..]));
    let kept = bytes("26 =k =1 01 01 03 =json 08 =r 09 0001 FF 26 =k =2");
    assert_eq!(message.properties().raw(), kept);
    assert_eq!((message.qos(), message.retain()), (Qos::AtLeastOnce, true));
    assert_eq!((message.expires_at(), message.publisher(), message.stamp()), (Some(1_000), 7, 8));
    assert!(message.bytes() > 3 + kept.len() + 5);
}

#[test]
fn only_large_payloads_are_shared() {
    for length in [0, 1, INLINE_PAYLOAD_BYTES_MAX, INLINE_PAYLOAD_BYTES_MAX + 1, 100_000] {
        let bytes = Bytes::from(vec![9; length]);
        for payload in [Payload::Copy(&bytes), Payload::Owned(bytes.clone())] {
            let owned = matches!(payload, Payload::Owned(_));
            let message = Message::new(parts("t", Properties::EMPTY, payload));
            assert_eq!(message.payload(), bytes);
            assert_eq!(message.payload_bytes(), bytes);
            assert_eq!(message.is_inline(), length <= INLINE_PAYLOAD_BYTES_MAX);
            let shared = length > 0 && message.payload().as_ptr() == bytes.as_ptr();
            assert_eq!(shared, owned && !message.is_inline());
            assert!(message.bytes() > length);
        }
    }
}

#[test]
fn a_plain_delivery() {
    let message = Message::new(parts("a", Properties::EMPTY, Payload::Copy(b"x")));
    let plain = delivery(&message);
    assert_eq!(encoded(V31, &plain), bytes("30 04 =a 'x"));
    assert_eq!(encoded(V311, &plain), bytes("30 04 =a 'x"));
    assert_eq!(encoded(V5, &plain), bytes("30 05 =a 00 'x"));
    let packet_id = PacketId::new(0x0102);
    let again = Delivery { qos: Qos::ExactlyOnce, dup: true, retain: true, packet_id, ..plain };
    assert_eq!(encoded(V311, &again), bytes("3D 06 =a 0102 'x"));
    assert_eq!(encoded(V5, &again), bytes("3D 07 =a 0102 00 'x"));
    let without_dup = Delivery { dup: true, ..plain };
    assert_eq!(encoded(V311, &without_dup), bytes("30 04 =a 'x"), "no DUP at QoS 0 [MQTT-3.3.1-2]");
}

#[test]
fn a_delivery_of_5_0_has_its_own_properties_first() {
    let raw = bytes("26 =k =v");
    let properties = Properties::parse(Place::Publish, &raw).expect("fine");
    let message = Message::new(parts("a", properties, Payload::Copy(b"x")));
    let ids = [1, 128];
    let full = Delivery {
        topic_alias: Some((5, true)),
        expiry_left_seconds: Some(60),
        subscription_ids: &ids,
        ..delivery(&message)
    };
    let expected = "[ =a [ 02 0000003C 23 0005 0B 01 0B 8001 26 =k =v ] 'x ]";
    assert_eq!(encoded(V5, &full), bytes(&format!("30 {expected}")));
    assert_eq!(encoded(V311, &full), bytes("30 04 =a 'x"), "3.x has none of it");
    let short = Delivery { topic_alias: Some((5, false)), ..full };
    let expected = expected.replace("=a [", "= [");
    assert_eq!(encoded(V5, &short), bytes(&format!("30 {expected}")));
    assert_eq!(encoded(V311, &short), bytes("30 04 =a 'x"), "3.x always has its topic");
}

/// What a delivery writes is what the packet of the same content would be.
#[test]
fn a_delivery_decodes() {
    let raw = bytes("01 01 26 =k =v");
    let properties = Properties::parse(Place::Publish, &raw).expect("fine");
    for length in [0, 1, 100, 127, 128, 2048, 2049, 20_000] {
        let payload = vec![3; length];
        let message = Message::new(parts("some/topic", properties, Payload::Copy(&payload)));
        for version in [V31, V311, V5] {
            let ids = [3];
            let sent = Delivery {
                qos: Qos::AtLeastOnce,
                packet_id: PacketId::new(9),
                subscription_ids: &ids,
                ..delivery(&message)
            };
            let out = encoded(version, &sent);
            let Ok(Packet::Publish(publish)) = decode_bytes(version, S, &out) else { panic!("PUBLISH") };
            assert_eq!((publish.topic.as_str(), publish.payload), ("some/topic", &payload[..]));
            let id = publish.properties.u32(Property::SubscriptionIdentifier);
            assert_eq!(id, (version == V5).then_some(3));
            assert_eq!(publish.properties.contains(Property::UserProperty), version == V5);
        }
    }
}
