//! The plain values a record is made of, written and read. What they mean is not known here, and nothing that
//! is read is believed: past the end, or with a value that is not one, reading gives
//! [`RecordError::Corrupt`], because a body with a right checksum has no business being short.

use crate::record::RecordError;

/// Writes plain values, little-endian.
pub(crate) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    /// Length in four bytes, then the bytes.
    fn put_bytes(&mut self, value: &[u8]);

    fn put_flag(&mut self, value: bool) {
        self.put_u8(u8::from(value));
    }

    fn put_text(&mut self, value: &str) {
        self.put_bytes(value.as_bytes());
    }

    /// 0 for nothing; 1 and the value.
    fn put_option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.put_flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_bytes(&mut self, value: &[u8]) {
        self.put_u32(u32::try_from(value.len()).expect("a field is shorter than 4 GiB"));
        self.extend_from_slice(value);
    }
}

/// Reads plain values from the front of some bytes.
pub(crate) struct Take<'a> {
    rest: &'a [u8],
}

impl<'a> Take<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (value, rest) = self.rest.split_first_chunk().ok_or(RecordError::Corrupt)?;
        self.rest = rest;
        Ok(*value)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, RecordError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, RecordError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, RecordError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::Corrupt),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let bytes = self.u32()? as usize;
        let (value, rest) = self.rest.split_at_checked(bytes).ok_or(RecordError::Corrupt)?;
        self.rest = rest;
        Ok(value)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, RecordError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| RecordError::Corrupt)
    }

    pub(crate) fn option<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<T, RecordError>,
    ) -> Result<Option<T>, RecordError> {
        if self.flag()? { take(self).map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), RecordError> {
        if self.rest.is_empty() { Ok(()) } else { Err(RecordError::Corrupt) }
    }
}
