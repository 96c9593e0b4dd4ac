//! SUBACK: one answer for each filter of a SUBSCRIBE.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{PacketId, PacketKind, Place, Properties, ReasonCode, Sender, Version, Violation, writer};

/// The answer to SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suback<'a> {
    /// The identifier of the SUBSCRIBE [MQTT-3.8.4-2].
    pub packet_id: PacketId,
    /// Reason string and user properties.
    pub properties: Properties<'a>,
    /// One code for each filter, in their order [MQTT-3.9.3-1]: the granted QoS or an error, which before 5.0
    /// is always 0x80 [MQTT-3.9.3-2 of 3.1.1].
    pub codes: &'a [u8],
}

impl<'a> Suback<'a> {
    pub(crate) fn decode(version: Version, body: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(body);
        let packet_id = PacketId::new(reader.u16()?).ok_or(Violation::PacketIdZero)?;
        let properties = match version {
            Version::V5 => Properties::read(Place::Suback, &mut reader)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        let codes = reader.take_rest();
        if codes.is_empty() {
            return Err(Violation::SubackEmpty);
        }
        if !codes.iter().all(|&code| is_known(version, code)) {
            return Err(Violation::SubackReasonUnknown);
        }
        Ok(Suback { packet_id, properties, codes })
    }

    pub(crate) fn body_bytes(&self, version: Version) -> usize {
        2 + writer::properties_bytes(version, self.properties) + self.codes.len()
    }

    pub(crate) fn put_body(&self, version: Version, out: &mut Vec<u8>) {
        writer::put_u16(self.packet_id.value(), out);
        writer::put_properties(version, self.properties, out);
        if version == Version::V5 {
            out.extend_from_slice(self.codes);
        } else {
            out.extend(self.codes.iter().map(|&code| if code >= 0x80 { 0x80 } else { code }));
        }
    }
}

fn is_known(version: Version, code: u8) -> bool {
    match version {
        Version::V5 => ReasonCode::read(code, PacketKind::Suback, Sender::Server).is_some(),
        Version::V31 | Version::V311 => matches!(code, 0..=2 | 0x80),
    }
}
