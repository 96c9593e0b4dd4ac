//! DISCONNECT: the last packet of a connection, from a client in every version, from a server in 5.0.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{PacketKind, Place, Properties, Property, ReasonCode, Sender, Version, Violation, writer};

/// The last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; before 5.0 always a normal disconnection, and not written.
    pub reason: ReasonCode,
    /// Session expiry (from clients only [MQTT-3.14.2-2]), server reference, reason string, user properties.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A disconnection with a reason and nothing else.
    pub const fn new(reason: ReasonCode) -> Disconnect<'static> {
        Disconnect { reason, properties: Properties::EMPTY }
    }

    pub(crate) fn decode(version: Version, sender: Sender, body: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(body);
        let mut disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        if reader.is_empty() {
            return Ok(disconnect);
        }
        if version < Version::V5 {
            return Err(Violation::TrailingBytes);
        }
        disconnect.reason = ReasonCode::read(reader.u8()?, PacketKind::Disconnect, sender)
            .ok_or(Violation::DisconnectReasonUnknown)?;
        if !reader.is_empty() {
            disconnect.properties = Properties::read(Place::Disconnect, &mut reader)?;
        }
        reader.end()?;
        if sender == Sender::Server && disconnect.properties.contains(Property::SessionExpiryInterval) {
            return Err(Violation::SessionExpiryFromServer);
        }
        Ok(disconnect)
    }

    pub(crate) fn body_bytes(&self, version: Version) -> usize {
        match self.length(version) {
            Length::Nothing => 0,
            Length::Reason => 1,
            Length::Properties => 1 + writer::properties_bytes(version, self.properties),
        }
    }

    pub(crate) fn put_body(&self, version: Version, out: &mut Vec<u8>) {
        let length = self.length(version);
        if length != Length::Nothing {
            out.push(self.reason.value());
        }
        if length == Length::Properties {
            writer::put_properties(version, self.properties, out);
        }
    }

    fn length(&self, version: Version) -> Length {
        if version < Version::V5 {
            Length::Nothing
        } else if !self.properties.is_empty() {
            Length::Properties
        } else if self.reason != ReasonCode::NORMAL_DISCONNECTION {
            Length::Reason
        } else {
            Length::Nothing
        }
    }
}

/// How far the body goes: reason and properties are left out when they say nothing.
#[derive(PartialEq, Eq)]
enum Length {
    Nothing,
    Reason,
    Properties,
}
