//! Properties being put together, to go out with a packet.
//!
//! The buffer writes the form; whether a property may stand in a packet is told by [`PropertiesBuffer::check`].

use alloc::vec::Vec;

use crate::{
    FIELD_BYTES_MAX, Place, Properties, Property, PropertyValue, REMAINING_LENGTH_MAX, Violation, writer,
};

/// Properties in the order in which they were pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertiesBuffer {
    raw: Vec<u8>,
    refused: bool,
}

impl PropertiesBuffer {
    /// No properties, and no memory.
    pub const fn new() -> Self {
        PropertiesBuffer { raw: Vec::new(), refused: false }
    }

    /// Appends a property of one byte.
    pub fn push_u8(&mut self, property: Property, value: u8) {
        self.push(property, PropertyValue::U8(value));
    }

    /// Appends a property of two bytes.
    pub fn push_u16(&mut self, property: Property, value: u16) {
        self.push(property, PropertyValue::U16(value));
    }

    /// Appends a property of four bytes.
    pub fn push_u32(&mut self, property: Property, value: u32) {
        self.push(property, PropertyValue::U32(value));
    }

    /// Appends a property that is a variable byte integer, 0 to 268,435,455.
    pub fn push_variable(&mut self, property: Property, value: u32) {
        self.push(property, PropertyValue::Variable(value));
    }

    /// Appends a property that is text of at most 65,535 bytes.
    pub fn push_str(&mut self, property: Property, value: &str) {
        self.push(property, PropertyValue::Str(value));
    }

    /// Appends a property that is bytes, at most 65,535.
    pub fn push_bytes(&mut self, property: Property, value: &[u8]) {
        self.push(property, PropertyValue::Bytes(value));
    }

    /// Appends a user property; name and value have at most 65,535 bytes each.
    pub fn push_user(&mut self, name: &str, value: &str) {
        self.push(Property::UserProperty, PropertyValue::Pair(name, value));
    }

    /// Appends a property.
    ///
    /// A value of the wrong kind for the property, or too long or too great to be written, is not appended,
    /// and [`PropertiesBuffer::check`] fails from then on.
    pub fn push(&mut self, property: Property, value: PropertyValue<'_>) {
        if property.kind() != value.kind() || !can_be_written(&value) {
            self.refused = true;
            return;
        }
        self.raw.push(property.id());
        match value {
            PropertyValue::U8(value) => self.raw.push(value),
            PropertyValue::U16(value) => writer::put_u16(value, &mut self.raw),
            PropertyValue::U32(value) => writer::put_u32(value, &mut self.raw),
            PropertyValue::Variable(value) => writer::put_variable(value, &mut self.raw),
            PropertyValue::Str(value) => writer::put_binary(value.as_bytes(), &mut self.raw),
            PropertyValue::Bytes(value) => writer::put_binary(value, &mut self.raw),
            PropertyValue::Pair(name, value) => {
                writer::put_binary(name.as_bytes(), &mut self.raw);
                writer::put_binary(value.as_bytes(), &mut self.raw);
            }
        }
    }

    /// Appends all of these as they are.
    pub fn push_raw(&mut self, properties: Properties<'_>) {
        self.raw.extend_from_slice(properties.raw());
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.raw.clear();
        self.refused = false;
    }

    /// The bytes that were written, which a packet precedes with their length.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// What was written, for a packet whose maker knows that it is allowed there.
    pub fn as_properties(&self) -> Properties<'_> {
        Properties::judged(&self.raw)
    }

    /// What was written, judged for a place. Errors as for [`Properties::parse`], and
    /// [`Violation::FieldTooLong`] when a value was refused.
    pub fn check(&self, place: Place) -> Result<Properties<'_>, Violation> {
        if self.refused {
            return Err(Violation::FieldTooLong);
        }
        Properties::parse(place, &self.raw)
    }
}

fn can_be_written(value: &PropertyValue<'_>) -> bool {
    match value {
        PropertyValue::Variable(value) => *value <= REMAINING_LENGTH_MAX,
        PropertyValue::Str(value) => value.len() <= FIELD_BYTES_MAX,
        PropertyValue::Bytes(value) => value.len() <= FIELD_BYTES_MAX,
        PropertyValue::Pair(name, value) => name.len() <= FIELD_BYTES_MAX && value.len() <= FIELD_BYTES_MAX,
        _ => true,
    }
}
