//! CONNACK: the answer to CONNECT.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{PacketKind, Place, Properties, ReasonCode, Sender, Version, Violation, writer};

/// The answer to CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether the server has a session for the client; never with an error [MQTT-3.2.2-6], and not told
    /// in 3.1.
    pub session_present: bool,
    /// How it went. A return code of 3.x stands as the code of 5.0 that means the same, and goes out as the
    /// return code that comes nearest.
    pub reason: ReasonCode,
    /// What the server grants and limits.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    pub(crate) fn decode(version: Version, body: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(body);
        let flags = reader.u8()?;
        let code = reader.u8()?;
        let reason = match version {
            Version::V5 => ReasonCode::read(code, PacketKind::Connack, Sender::Server),
            Version::V31 | Version::V311 => ReasonCode::from_connect_return_code_v3(code),
        };
        let reason = reason.ok_or(Violation::ConnackReasonUnknown)?;
        // 3.1 does not use the byte.
        if flags > 1 && version != Version::V31 {
            return Err(Violation::ConnackFlagsReserved);
        }
        let session_present = flags == 1 && version != Version::V31;
        if session_present && reason != ReasonCode::SUCCESS {
            return Err(Violation::SessionPresentWithError);
        }
        let properties = match version {
            Version::V5 => Properties::read(Place::Connack, &mut reader)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        reader.end()?;
        Ok(Connack { session_present, reason, properties })
    }

    pub(crate) fn body_bytes(&self, version: Version) -> usize {
        2 + writer::properties_bytes(version, self.properties)
    }

    pub(crate) fn put_body(&self, version: Version, out: &mut Vec<u8>) {
        let session_present = self.session_present && version != Version::V31;
        out.push(u8::from(session_present));
        out.push(match version {
            Version::V5 => self.reason.value(),
            Version::V31 | Version::V311 => self.reason.connect_return_code_v3(),
        });
        writer::put_properties(version, self.properties, out);
    }
}
