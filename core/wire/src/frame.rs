//! Finding the next whole packet in what has arrived.
//!
//! It keeps no state between calls and buffers nothing: any split of a stream gives the same frames. The limit
//! is checked as soon as the length is known, so that a peer cannot make anybody wait for, or keep, a packet
//! that will be refused.

use crate::{Violation, reader};

/// The bytes of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Packet type and flags.
    pub first: u8,
    /// What follows the fixed header, in the length it announced.
    pub body: &'a [u8],
    /// The length of the whole packet in bytes, fixed header included.
    pub bytes: usize,
}

/// The first packet of `buffer`, or nothing while it is incomplete.
///
/// `packet_max` bounds the whole packet in bytes, fixed header included. Errors: [`Violation::PacketTooLarge`]
/// past the bound, [`Violation::LengthOverlong`] and [`Violation::LengthTooLong`] for a length that is not one.
#[inline]
pub fn split(buffer: &[u8], packet_max: u32) -> Result<Option<Frame<'_>>, Violation> {
    let Some((bytes, header_bytes)) = lengths(buffer)? else {
        return Ok(None);
    };
    if bytes > packet_max as usize {
        return Err(Violation::PacketTooLarge);
    }
    let Some(body) = buffer.get(header_bytes..bytes) else {
        return Ok(None);
    };
    Ok(Some(Frame { first: buffer[0], body, bytes }))
}

/// How many bytes the packet at the front of `buffer` takes in all; nothing while its length is incomplete.
///
/// Errors as for [`split`], without the bound.
#[inline]
pub fn announced(buffer: &[u8]) -> Result<Option<usize>, Violation> {
    Ok(lengths(buffer)?.map(|(bytes, _)| bytes))
}

/// Bytes of the whole packet and of its fixed header.
#[inline]
fn lengths(buffer: &[u8]) -> Result<Option<(usize, usize)>, Violation> {
    let Some((_, rest)) = buffer.split_first() else {
        return Ok(None);
    };
    let Some((body_bytes, length_bytes)) = reader::variable(rest)? else {
        return Ok(None);
    };
    let header_bytes = 1 + length_bytes;
    Ok(Some((header_bytes + body_bytes as usize, header_bytes)))
}
