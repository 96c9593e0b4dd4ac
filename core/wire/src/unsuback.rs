//! UNSUBACK: the answer to UNSUBSCRIBE.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{PacketId, PacketKind, Place, Properties, ReasonCode, Sender, Version, Violation, writer};

/// The answer to UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// The identifier of the UNSUBSCRIBE [MQTT-3.10.4-5].
    pub packet_id: PacketId,
    /// Reason string and user properties.
    pub properties: Properties<'a>,
    /// One code for each filter, in their order [MQTT-3.11.3-1]; none before 5.0.
    pub codes: &'a [u8],
}

impl<'a> Unsuback<'a> {
    pub(crate) fn decode(version: Version, body: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(body);
        let packet_id = PacketId::new(reader.u16()?).ok_or(Violation::PacketIdZero)?;
        if version < Version::V5 {
            reader.end()?;
            return Ok(Unsuback { packet_id, properties: Properties::EMPTY, codes: &[] });
        }
        let properties = Properties::read(Place::Unsuback, &mut reader)?;
        let codes = reader.take_rest();
        if codes.is_empty() {
            return Err(Violation::UnsubackEmpty);
        }
        let known = |&code| ReasonCode::read(code, PacketKind::Unsuback, Sender::Server).is_some();
        if !codes.iter().all(known) {
            return Err(Violation::UnsubackReasonUnknown);
        }
        Ok(Unsuback { packet_id, properties, codes })
    }

    pub(crate) fn body_bytes(&self, version: Version) -> usize {
        let codes_bytes = if version == Version::V5 { self.codes.len() } else { 0 };
        2 + writer::properties_bytes(version, self.properties) + codes_bytes
    }

    pub(crate) fn put_body(&self, version: Version, out: &mut Vec<u8>) {
        writer::put_u16(self.packet_id.value(), out);
        if version == Version::V5 {
            writer::put_properties(version, self.properties, out);
            out.extend_from_slice(self.codes);
        }
    }
}
