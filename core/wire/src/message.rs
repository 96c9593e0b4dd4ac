//! The owned message that a broker queues, keeps and shares.
//!
//! Made once from a PUBLISH and never changed. Topic, properties and a small payload lie in one block of
//! memory; a large payload is shared with whoever else holds it. It keeps only what is forwarded: what belongs
//! to one hop (alias, identifiers, the expiry as it was sent) is left out and added again for each delivery.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

pub use crate::delivery::{Delivery, encode_publish, encoded_publish_bytes};
use crate::{FIELD_BYTES_MAX, Properties, Property, Qos, text};

/// The largest payload, in bytes, that lies in the message's own block. Up to here copying beats sharing even
/// when many connections send the same message.
pub const INLINE_PAYLOAD_BYTES_MAX: usize = 2048;

/// What a message costs beyond topic, properties and payload: itself, two counters for sharing it, and what an
/// allocator adds to two blocks.
pub const MESSAGE_OVERHEAD_BYTES: usize = size_of::<Message>() + 2 * size_of::<usize>() + 32;

/// A payload on its way into a message.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// Bytes to be copied.
    Copy(&'a [u8]),
    /// Bytes that are kept as they are when they are large, and copied when they are small.
    Owned(Bytes),
}

/// What a message is made of.
#[derive(Clone, Debug)]
pub struct MessageParts<'a> {
    /// The topic name, at most 65,535 bytes, already judged.
    pub topic: &'a str,
    /// The quality it was published with.
    pub qos: Qos,
    /// The retain flag it was published with.
    pub retain: bool,
    /// The properties it was published with; only the forwarded ones are kept.
    pub properties: Properties<'a>,
    /// What it says.
    pub payload: Payload<'a>,
    /// When it is no longer to be delivered: wall clock, in milliseconds.
    pub expires_at: Option<u64>,
    /// Identity of the publishing session, by which its own messages are told; 0 for none.
    pub publisher: u64,
    /// Which of two messages of a topic is later.
    pub stamp: u64,
}

/// A published message.
#[derive(Clone)]
pub struct Message {
    /// Topic, then properties, then the payload when it is inline.
    block: Box<[u8]>,
    /// The payload when it is not inline, else empty.
    large: Bytes,
    expires_at: Option<u64>,
    publisher: u64,
    stamp: u64,
    properties_bytes: u32,
    topic_bytes: u16,
    qos: Qos,
    retain: bool,
}

impl Message {
    /// Makes a message.
    ///
    /// # Panics
    /// When the topic is longer than 65,535 bytes or the properties longer than 268,435,455, which no decoded
    /// packet can have.
    pub fn new(parts: MessageParts<'_>) -> Message {
        assert!(parts.topic.len() <= FIELD_BYTES_MAX, "a topic is at most 65,535 bytes");
        let (inline, large) = match parts.payload {
            Payload::Copy(payload) if payload.len() <= INLINE_PAYLOAD_BYTES_MAX => (payload, Bytes::new()),
            Payload::Copy(payload) => (&[][..], Bytes::copy_from_slice(payload)),
            Payload::Owned(payload) if payload.len() <= INLINE_PAYLOAD_BYTES_MAX => {
                return Message::new(MessageParts { payload: Payload::Copy(&payload), ..parts });
            }
            Payload::Owned(payload) => (&[][..], payload),
        };
        let topic = parts.topic.as_bytes();
        let mut block = Vec::with_capacity(topic.len() + forwarded_bytes(parts.properties) + inline.len());
        block.extend_from_slice(topic);
        put_forwarded(parts.properties, &mut block);
        let properties_bytes = block.len() - topic.len();
        block.extend_from_slice(inline);
        Message {
            block: block.into_boxed_slice(),
            large,
            expires_at: parts.expires_at,
            publisher: parts.publisher,
            stamp: parts.stamp,
            properties_bytes: u32::try_from(properties_bytes)
                .expect("properties are at most 268,435,455 bytes"),
            topic_bytes: topic.len() as u16,
            qos: parts.qos,
            retain: parts.retain,
        }
    }

    /// The topic name.
    pub fn topic(&self) -> &str {
        text::judged(self.topic_raw())
    }

    /// The bytes of the topic name.
    pub fn topic_raw(&self) -> &[u8] {
        &self.block[..usize::from(self.topic_bytes)]
    }

    /// The forwarded properties: payload format, content type, response topic, correlation data and user
    /// properties, in the publisher's order.
    pub fn properties(&self) -> Properties<'_> {
        Properties::judged(&self.block[usize::from(self.topic_bytes)..self.head_bytes()])
    }

    /// What it says.
    pub fn payload(&self) -> &[u8] {
        if self.large.is_empty() { &self.block[self.head_bytes()..] } else { &self.large }
    }

    /// What it says, to be kept. It is copied only when it is inline.
    pub fn payload_bytes(&self) -> Bytes {
        if self.large.is_empty() { Bytes::copy_from_slice(self.payload()) } else { self.large.clone() }
    }

    /// Whether the payload lies in the message's own block.
    pub fn is_inline(&self) -> bool {
        self.large.is_empty()
    }

    /// The quality it was published with.
    pub const fn qos(&self) -> Qos {
        self.qos
    }

    /// The retain flag it was published with.
    pub const fn retain(&self) -> bool {
        self.retain
    }

    /// When it is no longer to be delivered: wall clock, in milliseconds.
    pub const fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    /// Identity of the publishing session; 0 for none.
    pub const fn publisher(&self) -> u64 {
        self.publisher
    }

    /// Which of two messages of a topic is later.
    pub const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// What it takes of a memory budget, in bytes.
    pub fn bytes(&self) -> usize {
        self.block.len() + self.large.len() + MESSAGE_OVERHEAD_BYTES
    }

    fn head_bytes(&self) -> usize {
        usize::from(self.topic_bytes) + self.properties_bytes as usize
    }
}

impl core::fmt::Debug for Message {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Message")
            .field("topic", &self.topic())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties())
            .field("payload_bytes", &self.payload().len())
            .field("expires_at", &self.expires_at)
            .field("publisher", &self.publisher)
            .field("stamp", &self.stamp)
            .finish()
    }
}

/// What goes on to subscribers unaltered [MQTT-3.3.2-4] [MQTT-3.3.2-15 to -17] [MQTT-3.3.2-20].
const fn is_forwarded(property: Property) -> bool {
    matches!(
        property,
        Property::PayloadFormatIndicator
            | Property::ContentType
            | Property::ResponseTopic
            | Property::CorrelationData
            | Property::UserProperty
    )
}

fn forwarded_bytes(properties: Properties<'_>) -> usize {
    properties.entries().filter(|entry| is_forwarded(entry.0)).map(|entry| entry.1.len()).sum()
}

fn put_forwarded(properties: Properties<'_>, out: &mut Vec<u8>) {
    for (property, entry) in properties.entries() {
        if is_forwarded(property) {
            out.extend_from_slice(entry);
        }
    }
}
