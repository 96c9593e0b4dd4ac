//! The packets of a script: each is one that its version may write.

use ringmq_wire::{PropertiesBuffer, Property, Qos, ReasonCode, SubscriptionOptions, Version};

use crate::harness::packets::{self, AckKind, Hello, Post};
use crate::script::{Greeting, Letter};

const TOPICS: [&str; 6] = ["a", "a/b", "a/b/c", "$x/a", "b", "ab/水"];
const FILTERS: [&str; 8] = ["a", "a/+", "#", "+/b/#", "$share/g/a/#", "$share/h/#", "$x/#", "b"];
const CLIENT_IDS: [&str; 5] = ["one", "two", "three", "水", ""];

/// A CONNECT.
pub fn greeting(greeting: &Greeting) -> Vec<u8> {
    let version = [Version::V31, Version::V311, Version::V5][usize::from(greeting.version) % 3];
    let id = CLIENT_IDS[usize::from(greeting.client_id) % CLIENT_IDS.len()];
    let mut hello =
        Hello::new(version, id).clean(greeting.clean).keep_alive(greeting.keep_alive_seconds.into());
    if let Some(will) = &greeting.will {
        let payload = vec![b'w'; usize::from(will.payload_bytes) % 1_000];
        hello = hello.will(topic(will), &payload, qos(will.qos), will.retain);
    }
    if version == Version::V5 {
        add_properties(greeting, &mut hello);
    }
    hello.encode()
}

/// Zero leaves a property out.
fn add_properties(greeting: &Greeting, hello: &mut Hello) {
    let properties = &mut hello.properties;
    if greeting.expiry_seconds > 0 {
        properties.push_u32(Property::SessionExpiryInterval, greeting.expiry_seconds.into());
    }
    if greeting.window > 0 {
        properties.push_u16(Property::ReceiveMaximum, greeting.window.into());
    }
    if greeting.packet_bytes_max > 0 {
        properties.push_u32(Property::MaximumPacketSize, greeting.packet_bytes_max.into());
    }
    if greeting.aliases > 0 {
        properties.push_u16(Property::TopicAliasMaximum, greeting.aliases.into());
    }
    if greeting.will.is_some() && greeting.will_delay_seconds > 0 {
        hello.will_properties.push_u32(Property::WillDelayInterval, greeting.will_delay_seconds.into());
    }
}

/// A PUBLISH.
pub fn publish(version: Version, letter: &Letter) -> Vec<u8> {
    let payload = vec![b'p'; usize::from(letter.payload_bytes) % 2_500];
    let mut post = Post::new(topic(letter), payload, qos(letter.qos).value(), packet_id(letter.id));
    (post.retain, post.dup) = (letter.retain, letter.again && qos(letter.qos) != Qos::AtMostOnce);
    if version == Version::V5 {
        post.properties = publish_properties(letter);
    }
    post.encode(version)
}

/// Zero leaves a property out.
pub fn publish_properties(letter: &Letter) -> PropertiesBuffer {
    let mut properties = PropertiesBuffer::new();
    if letter.expiry_seconds > 0 {
        properties.push_u32(Property::MessageExpiryInterval, letter.expiry_seconds.into());
    }
    if letter.alias > 0 {
        properties.push_u16(Property::TopicAlias, letter.alias.into());
    }
    properties
}

/// Options that may be written: only a QoS before 5.0, and no-local never for a shared subscription.
pub fn subscription_options(version: Version, filter: &str, byte: u8) -> SubscriptionOptions {
    let mask = if version == Version::V5 { 0x3F } else { 0x03 };
    let mut options = SubscriptionOptions::from_u8(byte & mask).unwrap_or_default();
    options.no_local &= !filter.starts_with("$share/");
    options
}

/// One of the topics.
pub fn topic(letter: &Letter) -> &'static str {
    TOPICS[usize::from(letter.topic) % TOPICS.len()]
}

/// Any of the three.
pub fn qos(number: u8) -> Qos {
    Qos::from_u8(number % 3).unwrap_or_default()
}

/// Never zero.
pub fn packet_id(id: u8) -> u16 {
    u16::from(id % 8) + 1
}

/// One of the filters.
pub fn filter(number: u8) -> &'static str {
    FILTERS[usize::from(number) % FILTERS.len()]
}

/// A SUBSCRIBE with one filter.
pub fn subscribe(version: Version, id: u8, number: u8, options: u8, identifier: u8) -> Vec<u8> {
    let filter = filter(number);
    let filters = [(filter, subscription_options(version, filter, options))];
    let identifier = (version == Version::V5 && identifier > 0).then_some(u32::from(identifier));
    packets::subscribe(version, packet_id(id), &filters, identifier)
}

/// An acknowledgement, right or wrong.
pub fn acknowledgement(version: Version, kind: u8, id: u8, reason: u8) -> Vec<u8> {
    let kinds = [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp];
    let kind = kinds[usize::from(kind) % kinds.len()];
    let refusal = match kind {
        AckKind::Puback | AckKind::Pubrec => ReasonCode::UNSPECIFIED_ERROR,
        AckKind::Pubrel | AckKind::Pubcomp => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
    };
    let reason = if reason < 200 || version < Version::V5 { ReasonCode::SUCCESS } else { refusal };
    packets::ack(version, kind, packet_id(id), reason)
}
