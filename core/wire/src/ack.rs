//! PUBACK, PUBREC, PUBREL and PUBCOMP: a packet identifier and, in 5.0, a reason.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{PacketId, PacketKind, Place, Properties, ReasonCode, Sender, Version, Violation, writer};

/// One of the four packets that acknowledge a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The identifier of the PUBLISH [MQTT-2.2.1-5].
    pub packet_id: PacketId,
    /// How it went; always success before 5.0.
    pub reason: ReasonCode,
    /// Reason string and user properties.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// An acknowledgement that says success.
    pub const fn success(packet_id: PacketId) -> Ack<'static> {
        Ack { packet_id, reason: ReasonCode::SUCCESS, properties: Properties::EMPTY }
    }

    pub(crate) fn decode(
        version: Version,
        sender: Sender,
        kind: PacketKind,
        body: &'a [u8],
    ) -> Result<Self, Violation> {
        let mut reader = Reader::new(body);
        let packet_id = PacketId::new(reader.u16()?).ok_or(Violation::PacketIdZero)?;
        let mut ack = Ack::success(packet_id);
        if reader.is_empty() {
            return Ok(ack);
        }
        if version < Version::V5 {
            return Err(Violation::TrailingBytes);
        }
        let (place, unknown) = rules(kind);
        ack.reason = ReasonCode::read(reader.u8()?, kind, sender).ok_or(unknown)?;
        if !reader.is_empty() {
            ack.properties = Properties::read(place, &mut reader)?;
        }
        reader.end()?;
        Ok(ack)
    }

    pub(crate) fn body_bytes(&self, version: Version) -> usize {
        match self.length(version) {
            Length::Identifier => 2,
            Length::Reason => 3,
            Length::Properties => 3 + writer::properties_bytes(version, self.properties),
        }
    }

    pub(crate) fn put_body(&self, version: Version, out: &mut Vec<u8>) {
        let length = self.length(version);
        writer::put_u16(self.packet_id.value(), out);
        if length != Length::Identifier {
            out.push(self.reason.value());
        }
        if length == Length::Properties {
            writer::put_properties(version, self.properties, out);
        }
    }

    fn length(&self, version: Version) -> Length {
        if version < Version::V5 {
            Length::Identifier
        } else if !self.properties.is_empty() {
            Length::Properties
        } else if self.reason != ReasonCode::SUCCESS {
            Length::Reason
        } else {
            Length::Identifier
        }
    }
}

/// How far the body goes: reason and properties are left out when they say nothing.
#[derive(PartialEq, Eq)]
enum Length {
    Identifier,
    Reason,
    Properties,
}

const fn rules(kind: PacketKind) -> (Place, Violation) {
    match kind {
        PacketKind::Pubrec => (Place::Pubrec, Violation::PubrecReasonUnknown),
        PacketKind::Pubrel => (Place::Pubrel, Violation::PubrelReasonUnknown),
        PacketKind::Pubcomp => (Place::Pubcomp, Violation::PubcompReasonUnknown),
        _ => (Place::Puback, Violation::PubackReasonUnknown),
    }
}
