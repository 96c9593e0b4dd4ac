//! A publish on its way to its subscribers: the packet it came in, and a message as soon as somebody keeps it.

use std::rc::Rc;

use bytes::Bytes;
use ringmq_wire::message::{INLINE_PAYLOAD_BYTES_MAX, Message, MessageParts, Payload};
use ringmq_wire::{Properties, Publish, Qos, Version};

use crate::local::LocalDelivery;
use crate::message_pool::MessagePool;
use crate::output::REFERENCE_BYTES_MIN;

/// The first byte of a PUBLISH at QoS 0 without DUP and RETAIN.
const PLAIN_PUBLISH: u8 = 0x30;

/// A publish on its way.
pub struct Publication<'a> {
    /// The topic name.
    pub topic: &'a str,
    /// The quality it was published with.
    pub qos: Qos,
    /// The retain flag it was published with.
    pub retain: bool,
    /// Identity of the publishing session; 0 for none.
    pub publisher: u64,
    /// Which of two messages of a topic is later.
    pub stamp: u64,
    /// When it is no longer to be delivered: wall clock, in milliseconds.
    pub expires_at: Option<u64>,
    /// The topic's hash in the shard's tree, once somebody has made it.
    pub topic_hash: Option<u64>,
    properties: Properties<'a>,
    payload: &'a [u8],
    /// The payload where a message may keep it without a copy.
    kept: Option<Bytes>,
    /// The payload where a handle may keep it without a copy.
    shared: Option<&'a Bytes>,
    message: Option<Rc<Message>>,
    /// The packet, where a subscriber may get the very same, and its version.
    packet: Option<(&'a [u8], Version)>,
}

impl<'a> Publication<'a> {
    /// What a client published to a topic; nothing but the packet is known of it.
    pub fn new(topic: &'a str, publish: &Publish<'a>) -> Self {
        Self {
            topic,
            qos: publish.qos,
            retain: publish.retain,
            publisher: 0,
            stamp: 0,
            expires_at: None,
            topic_hash: None,
            properties: publish.properties,
            payload: publish.payload,
            kept: None,
            shared: None,
            message: None,
            packet: None,
        }
    }

    /// What a handle of this process publishes. Its payload can be kept without a copy; from `shared_bytes_min` on handles
    /// that get it at once do so.
    pub fn of_handle(
        topic: &'a str,
        (qos, retain): (Qos, bool),
        properties: Properties<'a>,
        payload: &'a Bytes,
        shared_bytes_min: usize,
    ) -> Self {
        // A small one is copied into a message anyway.
        let kept = (payload.len() > INLINE_PAYLOAD_BYTES_MAX).then(|| payload.clone());
        Self {
            shared: Some(payload).filter(|payload| payload.len() >= shared_bytes_min),
            topic,
            qos,
            retain,
            publisher: 0,
            stamp: 0,
            expires_at: None,
            topic_hash: None,
            properties,
            payload,
            kept,
            message: None,
            packet: None,
        }
    }

    /// A message that there is already.
    pub fn of(message: &'a Rc<Message>) -> Self {
        Self {
            topic: message.topic(),
            qos: message.qos(),
            retain: message.retain(),
            publisher: message.publisher(),
            stamp: message.stamp(),
            expires_at: message.expires_at(),
            topic_hash: None,
            properties: message.properties(),
            payload: message.payload(),
            kept: None,
            shared: None,
            message: Some(Rc::clone(message)),
            packet: None,
        }
    }

    /// Its payload lies where a message may keep it.
    pub fn keep(&mut self, payload: Option<Bytes>) {
        self.kept = payload;
    }

    /// Came in this packet, whose topic is its own. At QoS 0 without RETAIN nothing in it belongs to one hop
    /// alone, and it may go on as it is: what is left of its time is all of it, as it goes on at once. DUP, which
    /// 3.1 lets pass at QoS 0, is of one hop.
    pub fn in_packet(&mut self, version: Version, packet: &'a [u8]) {
        if packet.first() == Some(&PLAIN_PUBLISH) && self.payload.len() < REFERENCE_BYTES_MIN {
            self.packet = Some((packet, version));
        }
    }

    /// The packet and whether it is of 5.0: the bytes for a subscriber of that version at QoS 0 without RETAIN,
    /// identifiers and alias.
    pub fn packet(&self) -> Option<(&'a [u8], bool)> {
        self.packet.map(|(packet, version)| (packet, version == Version::V5))
    }

    /// The packet and whether it is of 5.0, where it may also go on later: what is left of its time is not in it.
    pub fn lasting_packet(&self) -> Option<(&'a [u8], bool)> {
        self.packet().filter(|_| self.expires_at.is_none())
    }

    /// Bytes of its payload.
    pub const fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// The message, made now if nobody needed one before.
    pub fn message(&mut self, pool: &mut MessagePool) -> &Rc<Message> {
        self.message.get_or_insert_with(|| {
            pool.message(MessageParts {
                topic: self.topic,
                qos: self.qos,
                retain: self.retain,
                properties: self.properties,
                payload: self.kept.take().map_or(Payload::Copy(self.payload), Payload::Owned),
                expires_at: self.expires_at,
                publisher: self.publisher,
                stamp: self.stamp,
            })
        })
    }

    /// What a handle gets that subscribed to it. A message is made for it only where it carries properties or what is
    /// large and lies in a packet.
    pub fn local_delivery(&mut self, pool: &mut MessagePool) -> LocalDelivery<'_> {
        let is_small = self.payload.len() <= INLINE_PAYLOAD_BYTES_MAX;
        if self.message.is_none() && self.properties.raw().is_empty() && (is_small || self.shared.is_some()) {
            return LocalDelivery {
                topic: self.topic,
                properties: self.properties,
                payload: self.payload,
                shared_payload: self.shared,
                qos: Qos::AtMostOnce,
                packet_id: None,
                retain: false,
                subscription_ids: &[],
                expiry_left_seconds: None,
            };
        }
        LocalDelivery::of(self.message(pool))
    }

    /// The message, if somebody needed one.
    pub const fn made(&self) -> Option<&Rc<Message>> {
        self.message.as_ref()
    }

    /// It is on its way. The memory of its message goes back if nobody kept it.
    pub fn end(self, pool: &mut MessagePool) {
        if let Some(message) = self.message {
            pool.take_back(message);
        }
    }
}
