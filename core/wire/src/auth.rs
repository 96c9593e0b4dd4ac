//! AUTH: a step of an authentication, only in 5.0.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{PacketKind, Place, Properties, Property, ReasonCode, Sender, Version, Violation, writer};

/// A step of an authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate; a server never says the last and a client never the first.
    pub reason: ReasonCode,
    /// Method, data, reason string, user properties. The method is there unless success is said with an empty
    /// packet.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub(crate) fn decode(sender: Sender, body: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(body);
        let value = if reader.is_empty() { 0 } else { reader.u8()? };
        let reason = ReasonCode::read(value, PacketKind::Auth, sender).ok_or(Violation::AuthReasonUnknown)?;
        if body.is_empty() {
            return Ok(Auth { reason, properties: Properties::EMPTY });
        }
        let properties = Properties::read(Place::Auth, &mut reader)?;
        reader.end()?;
        if !properties.contains(Property::AuthenticationMethod) {
            return Err(Violation::AuthenticationMethodMissing);
        }
        Ok(Auth { reason, properties })
    }

    fn is_short(&self) -> bool {
        self.reason == ReasonCode::SUCCESS && self.properties.is_empty()
    }

    pub(crate) fn body_bytes(&self) -> usize {
        if self.is_short() { 0 } else { 1 + writer::properties_bytes(Version::V5, self.properties) }
    }

    pub(crate) fn put_body(&self, out: &mut Vec<u8>) {
        if !self.is_short() {
            out.push(self.reason.value());
            writer::put_properties(Version::V5, self.properties, out);
        }
    }
}
