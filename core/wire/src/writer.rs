//! Putting fields behind each other, in the form [`crate::reader`] takes them apart.
//!
//! Nothing here judges: what is written comes from values that could not be wrong. A field that is too long
//! for its length is a broken invariant of the caller and panics, because a wrong length would corrupt the
//! stream.

use alloc::vec::Vec;

use crate::{FIELD_BYTES_MAX, Properties, REMAINING_LENGTH_MAX, Version};

/// The bytes a variable byte integer takes.
#[inline]
pub(crate) const fn variable_bytes(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

#[inline]
pub(crate) fn put_variable(mut value: u32, out: &mut Vec<u8>) {
    debug_assert!(value <= REMAINING_LENGTH_MAX);
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(crate) fn put_u16(value: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[inline]
pub(crate) fn put_u32(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[inline]
pub(crate) fn put_binary(bytes: &[u8], out: &mut Vec<u8>) {
    assert!(
        bytes.len() <= FIELD_BYTES_MAX,
        "a field is at most 65,535 bytes; Packet::check tells beforehand"
    );
    put_u16(bytes.len() as u16, out);
    out.extend_from_slice(bytes);
}

/// The bytes a field with a length of two bytes takes.
#[inline]
pub(crate) const fn binary_bytes(bytes: &[u8]) -> usize {
    2 + bytes.len()
}

/// First byte and remaining length; makes room for the whole packet.
#[inline]
pub(crate) fn put_header(first: u8, body_bytes: usize, out: &mut Vec<u8>) {
    assert!(
        body_bytes <= REMAINING_LENGTH_MAX as usize,
        "a packet is at most 268,435,455 bytes; Packet::check tells beforehand"
    );
    out.reserve(packet_bytes(body_bytes));
    out.push(first);
    put_variable(body_bytes as u32, out);
}

/// The bytes of a whole packet with a body of so many.
#[inline]
pub(crate) const fn packet_bytes(body_bytes: usize) -> usize {
    let length =
        if body_bytes > REMAINING_LENGTH_MAX as usize { REMAINING_LENGTH_MAX } else { body_bytes as u32 };
    1 + variable_bytes(length) + body_bytes
}

/// The bytes properties take with their length; none before 5.0.
#[inline]
pub(crate) fn properties_bytes(version: Version, properties: Properties<'_>) -> usize {
    if version < Version::V5 {
        return 0;
    }
    let bytes = properties.raw().len();
    variable_bytes(bytes.min(REMAINING_LENGTH_MAX as usize) as u32) + bytes
}

#[inline]
pub(crate) fn put_properties(version: Version, properties: Properties<'_>, out: &mut Vec<u8>) {
    if version < Version::V5 {
        return;
    }
    put_variable(properties.raw().len() as u32, out);
    out.extend_from_slice(properties.raw());
}
