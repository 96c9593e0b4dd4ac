//! A cursor over the bytes of one packet.
//!
//! It never reads past the end: a field that is not all there is [`Violation::Truncated`].

use crate::{Violation, text};

/// What is left of a packet, from the front.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left, which is then consumed.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], Violation> {
        let (field, rest) = self.rest.split_at_checked(bytes).ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(field)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Violation> {
        let (&byte, rest) = self.rest.split_first().ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Violation> {
        let (bytes, rest) = self.rest.split_first_chunk::<2>().ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Violation> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    #[inline]
    pub(crate) fn variable(&mut self) -> Result<u32, Violation> {
        let (value, bytes) = variable(self.rest)?.ok_or(Violation::Truncated)?;
        self.rest = &self.rest[bytes..];
        Ok(value)
    }

    /// A field with a length of two bytes.
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Violation> {
        let bytes = self.u16()?;
        self.take(usize::from(bytes))
    }

    /// Text with a length of two bytes: UTF-8 without the null character [MQTT-1.5.4-1] [MQTT-1.5.4-2].
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Violation> {
        text::parse(self.binary()?)
    }

    /// The packet must end here.
    #[inline]
    pub(crate) fn end(&self) -> Result<(), Violation> {
        if self.rest.is_empty() { Ok(()) } else { Err(Violation::TrailingBytes) }
    }
}

/// The variable byte integer at the front and the bytes it takes; nothing when it is not complete yet.
///
/// Its bytes must be the fewest that can carry it [MQTT-1.5.5-1] and at most four.
#[inline]
pub(crate) fn variable(bytes: &[u8]) -> Result<Option<(u32, usize)>, Violation> {
    let mut value = 0_u32;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err(Violation::LengthOverlong);
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 { Err(Violation::LengthTooLong) } else { Ok(None) }
}
