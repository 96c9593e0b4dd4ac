//! The will inside CONNECT: what the server publishes for a client that is gone.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{Place, Properties, Qos, TopicName, Version, Violation, writer};

/// The message a server publishes when the connection ends without a word [MQTT-3.1.2-8].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it goes.
    pub topic: TopicName<'a>,
    /// What it says, at most 65,535 bytes.
    pub payload: &'a [u8],
    /// At which quality.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
    /// The delay, and what a PUBLISH may have.
    pub properties: Properties<'a>,
}

impl<'a> Will<'a> {
    pub(crate) fn read(
        version: Version,
        qos: Qos,
        retain: bool,
        reader: &mut Reader<'a>,
    ) -> Result<Self, Violation> {
        let properties = match version {
            Version::V5 => Properties::read(Place::Will, reader)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        let topic = TopicName::parse(reader.binary()?)?;
        if topic.is_empty() {
            return Err(Violation::TopicEmpty);
        }
        let payload = reader.binary()?;
        Ok(Will { topic, payload, qos, retain, properties })
    }

    pub(crate) fn bytes(&self, version: Version) -> usize {
        writer::properties_bytes(version, self.properties)
            + writer::binary_bytes(self.topic.as_str().as_bytes())
            + writer::binary_bytes(self.payload)
    }

    pub(crate) fn put(&self, version: Version, out: &mut Vec<u8>) {
        writer::put_properties(version, self.properties, out);
        writer::put_binary(self.topic.as_str().as_bytes(), out);
        writer::put_binary(self.payload, out);
    }
}
