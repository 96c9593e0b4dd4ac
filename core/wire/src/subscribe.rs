//! SUBSCRIBE: topic filters with the options of each.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{PacketId, Place, Properties, Qos, TopicFilter, Version, Violation, writer};

/// A request to receive what matches some filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// What SUBACK will answer with.
    pub packet_id: PacketId,
    /// Subscription identifier and user properties.
    pub properties: Properties<'a>,
    /// At least one filter [MQTT-3.8.3-2].
    pub filters: SubscribeFilters<'a>,
}

/// When a subscription gets retained messages at its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// With every SUBSCRIBE [MQTT-3.3.1-9].
    #[default]
    SendAtSubscribe = 0,
    /// Only if the subscription is new [MQTT-3.3.1-10].
    SendIfNew = 1,
    /// Never [MQTT-3.3.1-11].
    DoNotSend = 2,
}

/// The options of one subscription. Before 5.0 there is only the QoS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionOptions {
    /// The best quality the client wants.
    pub qos: Qos,
    /// Whether the client's own messages are left out [MQTT-3.8.3-3].
    pub no_local: bool,
    /// Whether messages keep the retain flag they were published with [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

const QOS: u8 = 0b11;
const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED: u8 = 0b1100_0000;

impl SubscriptionOptions {
    /// Only a quality, all else as it is before 5.0.
    pub const fn qos(qos: Qos) -> SubscriptionOptions {
        SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        }
    }

    /// The byte on the wire.
    pub const fn to_u8(self) -> u8 {
        self.qos.value()
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT
    }

    /// Judges a byte from the wire, as 5.0 writes it. Errors: [`Violation::SubscriptionOptionsReserved`]
    /// [MQTT-3.8.3-5], [`Violation::SubscriptionQosInvalid`], [`Violation::RetainHandlingInvalid`].
    pub const fn from_u8(byte: u8) -> Result<SubscriptionOptions, Violation> {
        if byte & RESERVED != 0 {
            return Err(Violation::SubscriptionOptionsReserved);
        }
        let Some(qos) = Qos::from_u8(byte & QOS) else {
            return Err(Violation::SubscriptionQosInvalid);
        };
        let retain_handling = match byte >> RETAIN_HANDLING_SHIFT {
            0 => RetainHandling::SendAtSubscribe,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Violation::RetainHandlingInvalid),
        };
        Ok(SubscriptionOptions {
            qos,
            no_local: byte & NO_LOCAL != 0,
            retain_as_published: byte & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }

    fn read(version: Version, byte: u8) -> Result<SubscriptionOptions, Violation> {
        // Every bit but the QoS is reserved in 3.1.1 [MQTT-3.8.3-4 there]; 3.1 does not use them.
        match version {
            Version::V31 => SubscriptionOptions::from_u8(byte & QOS),
            Version::V311 if byte & !QOS != 0 => Err(Violation::SubscriptionOptionsReserved),
            Version::V311 | Version::V5 => SubscriptionOptions::from_u8(byte),
        }
    }
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilter<'a> {
    /// What to receive.
    pub filter: TopicFilter<'a>,
    /// How.
    pub options: SubscriptionOptions,
}

/// The filters of a SUBSCRIBE, as the bytes they came in; judged once, so that reading them cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilters<'a> {
    raw: &'a [u8],
    count: usize,
    options_mask: u8,
}

impl<'a> SubscribeFilters<'a> {
    /// Appends one filter to the bytes that [`SubscribeFilters::from_encoded`] reads. Errors as for
    /// [`TopicFilter::new`], with nothing appended.
    pub fn encode_one(
        filter: &str,
        options: SubscriptionOptions,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let filter = TopicFilter::new(filter)?;
        writer::put_binary(filter.whole().as_bytes(), out);
        out.push(options.to_u8());
        Ok(())
    }

    /// Judges the payload of a SUBSCRIBE. Errors: no filter [MQTT-3.8.3-2], an incomplete or invalid one,
    /// invalid options, no local on a shared subscription [MQTT-3.8.3-4].
    pub fn from_encoded(version: Version, raw: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(raw);
        let mut count = 0;
        while !reader.is_empty() {
            let filter = TopicFilter::parse(reader.binary()?)?;
            let options = SubscriptionOptions::read(version, reader.u8()?)?;
            if options.no_local && filter.share_name().is_some() {
                return Err(Violation::NoLocalOnShared);
            }
            count += 1;
        }
        if count == 0 {
            return Err(Violation::SubscribeEmpty);
        }
        let options_mask = if version == Version::V31 { QOS } else { 0xFF };
        Ok(SubscribeFilters { raw, count, options_mask })
    }

    /// The filters in the order of the packet.
    pub fn iter(self) -> impl Iterator<Item = SubscribeFilter<'a>> {
        let mut reader = Reader::new(self.raw);
        core::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            let filter = TopicFilter::judged(reader.binary().ok()?);
            let options = SubscriptionOptions::from_u8(reader.u8().ok()? & self.options_mask).ok()?;
            Some(SubscribeFilter { filter, options })
        })
    }

    /// How many there are, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(self) -> usize {
        self.count
    }
}

impl<'a> Subscribe<'a> {
    pub(crate) fn decode(version: Version, body: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(body);
        let packet_id = PacketId::new(reader.u16()?).ok_or(Violation::PacketIdZero)?;
        let properties = match version {
            Version::V5 => Properties::read(Place::Subscribe, &mut reader)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        let filters = SubscribeFilters::from_encoded(version, reader.take_rest())?;
        Ok(Subscribe { packet_id, properties, filters })
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
