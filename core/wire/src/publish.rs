//! PUBLISH: a message on its way.

use alloc::vec::Vec;

use crate::properties::Seen;
use crate::reader::Reader;
use crate::{
    PacketId, PacketKind, Place, Properties, Property, Qos, Sender, TopicName, Version, Violation, writer,
};

/// A message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether it may have been sent before; never at QoS 0 [MQTT-3.3.1-2].
    pub dup: bool,
    /// How often it may arrive.
    pub qos: Qos,
    /// To a server: keep it for later subscribers. From a server: it was kept.
    pub retain: bool,
    /// Where it goes; empty only in 5.0 with a topic alias.
    pub topic: TopicName<'a>,
    /// The identifier; there exactly when the QoS is not 0 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// What goes with it.
    pub properties: Properties<'a>,
    /// What it says.
    pub payload: &'a [u8],
}

const DUP: u8 = 1 << 3;
const QOS_SHIFT: u8 = 1;
const RETAIN: u8 = 1;

/// The first byte of a PUBLISH.
#[inline]
pub(crate) const fn first(dup: bool, qos: Qos, retain: bool) -> u8 {
    let dup = if dup { DUP } else { 0 };
    PacketKind::Publish.first() | dup | (qos.value() << QOS_SHIFT) | retain as u8
}

impl<'a> Publish<'a> {
    #[inline]
    pub(crate) fn decode(
        version: Version,
        sender: Sender,
        first: u8,
        body: &'a [u8],
    ) -> Result<Self, Violation> {
        let (qos, dup) = read_flags(version, first)?;
        let mut reader = Reader::new(body);
        let topic = TopicName::parse(reader.binary()?)?;
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            _ => Some(PacketId::new(reader.u16()?).ok_or(Violation::PacketIdZero)?),
        };
        let mut properties = Properties::EMPTY;
        if version == Version::V5 {
            let (read, seen) = Properties::read_seen(Place::Publish, &mut reader)?;
            check_properties(sender, topic, seen)?;
            properties = read;
        } else if topic.is_empty() {
            return Err(Violation::TopicEmpty);
        }
        let payload = reader.take_rest();
        Ok(Publish { dup, qos, retain: first & RETAIN != 0, topic, packet_id, properties, payload })
    }

    pub(crate) fn first(&self) -> u8 {
        first(self.dup, self.qos, self.retain)
    }

    pub(crate) fn body_bytes(&self, version: Version) -> usize {
        writer::binary_bytes(self.topic.as_str().as_bytes())
            + if self.qos == Qos::AtMostOnce { 0 } else { 2 }
            + writer::properties_bytes(version, self.properties)
            + self.payload.len()
    }

    pub(crate) fn put_body(&self, version: Version, out: &mut Vec<u8>) {
        writer::put_binary(self.topic.as_str().as_bytes(), out);
        put_packet_id(self.qos, self.packet_id, out);
        writer::put_properties(version, self.properties, out);
        out.extend_from_slice(self.payload);
    }
}

/// Writes the identifier of a PUBLISH above QoS 0.
#[inline]
pub(crate) fn put_packet_id(qos: Qos, packet_id: Option<PacketId>, out: &mut Vec<u8>) {
    debug_assert_eq!(packet_id.is_some(), qos != Qos::AtMostOnce, "an identifier exactly above QoS 0");
    if qos != Qos::AtMostOnce {
        // Without an identifier the packet is wrong either way; zero keeps the stream readable.
        writer::put_u16(packet_id.map_or(0, PacketId::value), out);
    }
}

fn read_flags(version: Version, first: u8) -> Result<(Qos, bool), Violation> {
    let qos = Qos::from_u8((first >> QOS_SHIFT) & 0b11).ok_or(Violation::PublishQosInvalid)?;
    let dup = first & DUP != 0;
    if dup && qos == Qos::AtMostOnce {
        // 3.1 gives the flag no meaning at QoS 0 and does not forbid it.
        return if version == Version::V31 { Ok((qos, false)) } else { Err(Violation::PublishDupAtQos0) };
    }
    Ok((qos, dup))
}

fn check_properties(sender: Sender, topic: TopicName<'_>, seen: Seen) -> Result<(), Violation> {
    if topic.is_empty() && !seen.contains(Property::TopicAlias) {
        return Err(Violation::TopicEmptyWithoutAlias);
    }
    if sender == Sender::Client && seen.contains(Property::SubscriptionIdentifier) {
        return Err(Violation::SubscriptionIdentifierFromClient);
    }
    Ok(())
}
