//! UNSUBSCRIBE: filters a client no longer wants.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{PacketId, Place, Properties, TopicFilter, Version, Violation, writer};

/// A request to end subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// What UNSUBACK will answer with.
    pub packet_id: PacketId,
    /// User properties.
    pub properties: Properties<'a>,
    /// At least one filter [MQTT-3.10.3-2].
    pub filters: UnsubscribeFilters<'a>,
}

/// The filters of an UNSUBSCRIBE, as the bytes they came in; judged once, so that reading them cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubscribeFilters<'a> {
    raw: &'a [u8],
    count: usize,
}

impl<'a> UnsubscribeFilters<'a> {
    /// Appends one filter to the bytes that [`UnsubscribeFilters::from_encoded`] reads. Errors as for
    /// [`TopicFilter::new`], with nothing appended.
    pub fn encode_one(filter: &str, out: &mut Vec<u8>) -> Result<(), Violation> {
        let filter = TopicFilter::new(filter)?;
        writer::put_binary(filter.whole().as_bytes(), out);
        Ok(())
    }

    /// Judges the payload of an UNSUBSCRIBE, which is the same in every version. Errors: no filter
    /// [MQTT-3.10.3-2], an incomplete or invalid one.
    pub fn from_encoded(_version: Version, raw: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(raw);
        let mut count = 0;
        while !reader.is_empty() {
            TopicFilter::parse(reader.binary()?)?;
            count += 1;
        }
        if count == 0 {
            return Err(Violation::UnsubscribeEmpty);
        }
        Ok(UnsubscribeFilters { raw, count })
    }

    /// The filters in the order of the packet.
    pub fn iter(self) -> impl Iterator<Item = TopicFilter<'a>> {
        let mut reader = Reader::new(self.raw);
        core::iter::from_fn(move || reader.binary().ok().map(TopicFilter::judged))
    }

    /// How many there are, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(self) -> usize {
        self.count
    }
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn decode(version: Version, body: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(body);
        let packet_id = PacketId::new(reader.u16()?).ok_or(Violation::PacketIdZero)?;
        let properties = match version {
            Version::V5 => Properties::read(Place::Unsubscribe, &mut reader)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        let filters = UnsubscribeFilters::from_encoded(version, reader.take_rest())?;
        Ok(Unsubscribe { packet_id, properties, filters })
    }

    pub(crate) fn body_bytes(&self, version: Version) -> usize {
        2 + writer::properties_bytes(version, self.properties) + self.filters.raw.len()
    }

    pub(crate) fn put_body(&self, version: Version, out: &mut Vec<u8>) {
        writer::put_u16(self.packet_id.value(), out);
        writer::put_properties(version, self.properties, out);
        out.extend_from_slice(self.filters.raw);
    }
}
