//! One message to one subscriber, straight into the bytes of a PUBLISH.

use alloc::vec::Vec;

use crate::publish::{first, put_packet_id};
use crate::{Message, PacketId, Property, Qos, REMAINING_LENGTH_MAX, Version, writer};

/// A message with what is different for this subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The message.
    pub message: &'a Message,
    /// The quality of this delivery.
    pub qos: Qos,
    /// Whether it may have been sent before [MQTT-3.3.1-1].
    pub dup: bool,
    /// The retain flag of this delivery.
    pub retain: bool,
    /// The identifier; there exactly when the QoS is not 0.
    pub packet_id: Option<PacketId>,
    /// A topic alias (not 0), and whether the topic goes with it to define the alias. Only 5.0.
    pub topic_alias: Option<(u16, bool)>,
    /// What is left of the message's time, in seconds [MQTT-3.3.2-6]. Only 5.0.
    pub expiry_left_seconds: Option<u32>,
    /// The identifiers of the matching subscriptions [MQTT-3.3.4-4]. Only 5.0.
    pub subscription_ids: &'a [u32],
}

impl Delivery<'_> {
    fn topic(&self, version: Version) -> &[u8] {
        match self.topic_alias {
            Some((_, false)) if version == Version::V5 => &[],
            _ => self.message.topic_raw(),
        }
    }

    fn properties_bytes(&self) -> usize {
        let expiry_bytes = if self.expiry_left_seconds.is_some() { 5 } else { 0 };
        let alias_bytes = if self.topic_alias.is_some() { 3 } else { 0 };
        let ids_bytes: usize = self.subscription_ids.iter().map(|&id| 1 + writer::variable_bytes(id)).sum();
        expiry_bytes + alias_bytes + ids_bytes + self.message.properties().raw().len()
    }

    fn body_bytes(&self, version: Version) -> usize {
        let packet_id_bytes = if self.qos == Qos::AtMostOnce { 0 } else { 2 };
        let without = 2 + self.topic(version).len() + packet_id_bytes + self.message.payload().len();
        if version < Version::V5 {
            return without;
        }
        let properties_bytes = self.properties_bytes();
        let length = properties_bytes.min(REMAINING_LENGTH_MAX as usize) as u32;
        without + writer::variable_bytes(length) + properties_bytes
    }

    fn put_properties(&self, out: &mut Vec<u8>) {
        writer::put_variable(self.properties_bytes() as u32, out);
        if let Some(seconds) = self.expiry_left_seconds {
            out.push(Property::MessageExpiryInterval.id());
            writer::put_u32(seconds, out);
        }
        if let Some((alias, _)) = self.topic_alias {
            out.push(Property::TopicAlias.id());
            writer::put_u16(alias, out);
        }
        for &id in self.subscription_ids {
            out.push(Property::SubscriptionIdentifier.id());
            writer::put_variable(id, out);
        }
        out.extend_from_slice(self.message.properties().raw());
    }
}

/// The exact length in bytes of the PUBLISH that [`encode_publish`] would append.
pub fn encoded_publish_bytes(version: Version, delivery: &Delivery<'_>) -> usize {
    writer::packet_bytes(delivery.body_bytes(version))
}

/// Appends the PUBLISH of a delivery: in 5.0 with expiry, alias and identifiers before the forwarded
/// properties.
///
/// # Panics
/// When the packet would be larger than the protocol's maximum, which a message that came in as a packet can
/// be only by what is added here; [`encoded_publish_bytes`] tells beforehand.
pub fn encode_publish(version: Version, out: &mut Vec<u8>, delivery: &Delivery<'_>) {
    encode_publish_head(version, out, delivery);
    out.extend_from_slice(delivery.message.payload());
}

/// Appends the PUBLISH of a delivery without its payload, which the caller sends right behind it.
///
/// # Panics
/// As [`encode_publish`].
pub fn encode_publish_head(version: Version, out: &mut Vec<u8>, delivery: &Delivery<'_>) {
    let dup = delivery.dup && delivery.qos != Qos::AtMostOnce;
    let body_bytes = delivery.body_bytes(version);
    writer::put_header(first(dup, delivery.qos, delivery.retain), body_bytes, out);
    writer::put_binary(delivery.topic(version), out);
    put_packet_id(delivery.qos, delivery.packet_id, out);
    if version == Version::V5 {
        delivery.put_properties(out);
    }
}
