//! CONNECT from the options: what makes a valid one, and its bytes.

use super::connack::PACKET_BYTES_MAX;
use super::{Options, RequestError};
use alloc::vec::Vec;
use ringmq_wire::{Connect, Packet, Place, PropertiesBuffer, Property, TopicName, Version, Will};

impl Options {
    /// Whether these options make a valid CONNECT.
    ///
    /// # Errors
    /// The rule that is broken, or [`RequestError::NeedsVersion5`].
    pub fn check(&self) -> Result<(), RequestError> {
        let will_properties = self.will.as_ref().is_some_and(|will| !will.properties.is_empty());
        if self.version != Version::V5
            && (will_properties
                || self.authentication.is_some()
                || !self.user_properties.is_empty()
                || self.session_expiry_seconds != 0)
        {
            return Err(RequestError::NeedsVersion5);
        }
        if self.client_id.is_empty() && !self.clean_start && self.version == Version::V311
            || self.client_id.is_empty() && self.version == Version::V31
        {
            return Err(RequestError::ClientIdNeeded);
        }
        if let Some(will) = &self.will {
            TopicName::new(&will.topic).map_err(RequestError::Invalid)?;
            will.properties.check(Place::Will).map_err(RequestError::Invalid)?;
        }
        let properties = self.connect_properties();
        properties.check(Place::Connect).map_err(RequestError::Invalid)?;
        let connect = self.connect_packet(self.clean_start, &properties);
        Packet::Connect(connect).check(self.version).map_err(RequestError::Invalid)
    }

    pub(super) fn encode_connect(&self, clean_start: bool, out: &mut Vec<u8>) {
        let properties = self.connect_properties();
        Packet::Connect(self.connect_packet(clean_start, &properties)).encode(self.version, out);
    }

    fn connect_packet<'a>(&'a self, clean_start: bool, properties: &'a PropertiesBuffer) -> Connect<'a> {
        let will = self.will.as_ref().map(|will| Will {
            // Checked when the machine was made; an empty topic cannot get here.
            topic: TopicName::new(&will.topic).unwrap_or(TopicName::EMPTY),
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            properties: will.properties.as_properties(),
        });
        Connect {
            version: self.version,
            bridge: self.bridge && self.version != Version::V5,
            clean_start,
            keep_alive: self.keep_alive_seconds,
            client_id: &self.client_id,
            will,
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref(),
            properties: properties.as_properties(),
        }
    }

    fn connect_properties(&self) -> PropertiesBuffer {
        let mut buffer = PropertiesBuffer::new();
        if self.version != Version::V5 {
            return buffer;
        }
        if self.session_expiry_seconds != 0 {
            buffer.push_u32(Property::SessionExpiryInterval, self.session_expiry_seconds);
        }
        if self.receive_maximum != u16::MAX {
            buffer.push_u16(Property::ReceiveMaximum, self.receive_maximum);
        }
        if self.packet_bytes_max < PACKET_BYTES_MAX {
            buffer.push_u32(Property::MaximumPacketSize, self.packet_bytes_max);
        }
        if self.topic_alias_max != 0 {
            buffer.push_u16(Property::TopicAliasMaximum, self.topic_alias_max);
        }
        if self.request_response_information {
            buffer.push_u8(Property::RequestResponseInformation, 1);
        }
        if !self.request_problem_information {
            buffer.push_u8(Property::RequestProblemInformation, 0);
        }
        if let Some((method, data)) = &self.authentication {
            buffer.push_str(Property::AuthenticationMethod, method);
            if !data.is_empty() {
                buffer.push_bytes(Property::AuthenticationData, data);
            }
        }
        for (name, value) in &self.user_properties {
            buffer.push_user(name, value);
        }
        buffer
    }
}
