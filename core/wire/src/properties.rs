//! The properties of one packet, as the bytes they came in.
//!
//! [`Properties::parse`] judges them once, in one pass; what is read afterwards cannot fail, and copying the
//! whole set on is copying bytes.

use crate::property::ID_MAX;
use crate::reader::Reader;
use crate::{Place, Property, PropertyValue, ValueKind, Violation, text};

/// The properties of a packet, without their length. Empty before 5.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    raw: &'a [u8],
}

// Every number fits the bits of a u64, which is how repetition is found.
const _: () = assert!(ID_MAX < 64);

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Properties<'static> = Properties { raw: &[] };

    /// Judges the properties of a place, given without their length.
    ///
    /// Errors: a property that is unknown, incomplete, not allowed in the place, repeated where it may not be,
    /// or has a value that it may not have; authentication data without a method.
    pub fn parse(place: Place, raw: &'a [u8]) -> Result<Self, Violation> {
        parse_seen(place, raw).map(|(properties, _)| properties)
    }

    /// Reads length and properties from a packet.
    #[inline]
    pub(crate) fn read(place: Place, reader: &mut Reader<'a>) -> Result<Self, Violation> {
        Properties::read_seen(place, reader).map(|(properties, _)| properties)
    }

    /// Reads length and properties from a packet, and says which there are.
    #[inline]
    pub(crate) fn read_seen(place: Place, reader: &mut Reader<'a>) -> Result<(Self, Seen), Violation> {
        let bytes = reader.variable()?;
        if bytes == 0 {
            return Ok((Properties::EMPTY, Seen(0)));
        }
        parse_seen(place, reader.take(bytes as usize)?)
    }

    /// A view of bytes that were judged, or made by a buffer, before.
    pub(crate) const fn judged(raw: &'a [u8]) -> Self {
        Properties { raw }
    }

    /// The bytes, without their length.
    pub const fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// All properties, in the order of the packet.
    pub fn iter(self) -> impl Iterator<Item = (Property, PropertyValue<'a>)> {
        let mut reader = Reader::new(self.raw);
        core::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            read_entry(&mut reader, |bytes| Ok(text::judged(bytes))).ok()
        })
    }

    /// All properties with the bytes each takes, number included.
    pub(crate) fn entries(self) -> impl Iterator<Item = (Property, &'a [u8])> {
        let mut reader = Reader::new(self.raw);
        core::iter::from_fn(move || {
            let before = reader.rest();
            if before.is_empty() {
                return None;
            }
            let property = skim_entry(&mut reader).ok()?;
            Some((property, &before[..before.len() - reader.rest().len()]))
        })
    }

    /// Whether the property is there.
    pub fn contains(self, property: Property) -> bool {
        self.entries().any(|(found, _)| found == property)
    }

    /// The value of a property of one byte.
    pub fn u8(self, property: Property) -> Option<u8> {
        match self.value(property)? {
            PropertyValue::U8(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a property of two bytes.
    pub fn u16(self, property: Property) -> Option<u16> {
        match self.value(property)? {
            PropertyValue::U16(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a property of four bytes, or of the first one that is a variable byte integer.
    pub fn u32(self, property: Property) -> Option<u32> {
        match self.value(property)? {
            PropertyValue::U32(value) | PropertyValue::Variable(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a property that is text.
    pub fn str(self, property: Property) -> Option<&'a str> {
        match self.value(property)? {
            PropertyValue::Str(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a property that is bytes.
    pub fn bytes(self, property: Property) -> Option<&'a [u8]> {
        match self.value(property)? {
            PropertyValue::Bytes(value) => Some(value),
            _ => None,
        }
    }

    /// Names and values of all user properties, in their order [MQTT-3.3.2-18].
    pub fn user_properties(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.iter().filter_map(|(_, value)| match value {
            PropertyValue::Pair(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// All subscription identifiers, in their order.
    pub fn subscription_identifiers(self) -> impl Iterator<Item = u32> {
        self.iter().filter_map(|(property, value)| match (property, value) {
            (Property::SubscriptionIdentifier, PropertyValue::Variable(value)) => Some(value),
            _ => None,
        })
    }

    fn value(self, property: Property) -> Option<PropertyValue<'a>> {
        let (_, entry) = self.entries().find(|&(found, _)| found == property)?;
        read_entry(&mut Reader::new(entry), |bytes| Ok(text::judged(bytes))).ok().map(|(_, value)| value)
    }
}

/// Which properties a packet has, one bit for each number.
#[derive(Clone, Copy)]
pub(crate) struct Seen(u64);

impl Seen {
    #[inline]
    pub(crate) const fn contains(self, property: Property) -> bool {
        self.0 >> property.id() & 1 != 0
    }
}

fn parse_seen(place: Place, raw: &[u8]) -> Result<(Properties<'_>, Seen), Violation> {
    let mut reader = Reader::new(raw);
    let mut seen = Seen(0);
    while !reader.is_empty() {
        let (property, value) = read_entry(&mut reader, text::parse)?;
        if !property.is_allowed(place) {
            return Err(Violation::PropertyNotAllowed);
        }
        if seen.contains(property) && !property.may_repeat(place) {
            return Err(Violation::PropertyRepeated);
        }
        seen.0 |= 1 << property.id();
        property.check(&value)?;
    }
    if seen.contains(Property::AuthenticationData) && !seen.contains(Property::AuthenticationMethod) {
        return Err(Violation::AuthenticationDataWithoutMethod);
    }
    Ok((Properties { raw }, seen))
}

fn read_property(reader: &mut Reader<'_>) -> Result<Property, Violation> {
    // The number is a variable byte integer, but all there are fit one byte.
    Property::from_id(reader.variable()?).ok_or(Violation::PropertyUnknown)
}

fn read_entry<'a>(
    reader: &mut Reader<'a>,
    text: impl Fn(&'a [u8]) -> Result<&'a str, Violation>,
) -> Result<(Property, PropertyValue<'a>), Violation> {
    let property = read_property(reader)?;
    let value = match property.kind() {
        ValueKind::U8 => PropertyValue::U8(reader.u8()?),
        ValueKind::U16 => PropertyValue::U16(reader.u16()?),
        ValueKind::U32 => PropertyValue::U32(reader.u32()?),
        ValueKind::Variable => PropertyValue::Variable(reader.variable()?),
        ValueKind::Text => PropertyValue::Str(text(reader.binary()?)?),
        ValueKind::Bytes => PropertyValue::Bytes(reader.binary()?),
        ValueKind::Pair => PropertyValue::Pair(text(reader.binary()?)?, text(reader.binary()?)?),
    };
    Ok((property, value))
}

/// Steps over one property without looking at its value.
fn skim_entry(reader: &mut Reader<'_>) -> Result<Property, Violation> {
    let property = read_property(reader)?;
    match property.kind() {
        ValueKind::U8 => reader.take(1).map(drop)?,
        ValueKind::U16 => reader.take(2).map(drop)?,
        ValueKind::U32 => reader.take(4).map(drop)?,
        ValueKind::Variable => reader.variable().map(drop)?,
        ValueKind::Text | ValueKind::Bytes => reader.binary().map(drop)?,
        ValueKind::Pair => {
            reader.binary()?;
            reader.binary()?;
        }
    }
    Ok(property)
}
