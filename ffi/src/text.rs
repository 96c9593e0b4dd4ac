//! Texts and bytes that are lent across the border: a pointer and a length, never a zero at the end that counts.

use std::ffi::c_char;

use crate::error::{Failure, ringmq_status};

/// UTF-8 text that somebody else owns; `data` may be NULL when `length` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ringmq_str {
    /// The first byte.
    pub data: *const c_char,
    /// Bytes, without a zero at the end.
    pub length: usize,
}

/// Bytes that somebody else owns; `data` may be NULL when `length` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ringmq_bytes {
    /// The first byte.
    pub data: *const u8,
    /// How many.
    pub length: usize,
}

impl ringmq_str {
    pub(crate) const fn new(text: &str) -> Self {
        Self { data: text.as_ptr().cast(), length: text.len() }
    }

    /// # Safety
    /// The bytes are there as long as the text is used.
    pub(crate) unsafe fn get<'a>(self, name: &str) -> Result<&'a str, Failure> {
        let bytes = ringmq_bytes { data: self.data.cast(), length: self.length };
        // SAFETY: the caller's.
        let bytes = unsafe { bytes.get(name) }?;
        std::str::from_utf8(bytes).map_err(|_| Failure::invalid(format!("{name} is not UTF-8")))
    }
}

impl ringmq_bytes {
    pub(crate) const fn new(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), length: bytes.len() }
    }

    /// # Safety
    /// The bytes are there as long as they are used.
    pub(crate) unsafe fn get<'a>(self, name: &str) -> Result<&'a [u8], Failure> {
        match (self.data.is_null(), self.length) {
            (_, 0) => Ok(&[]),
            (true, _) => Err(Failure::new(ringmq_status::RINGMQ_NULL, format!("{name} is NULL"))),
            (_, length) if length > isize::MAX as usize => {
                Err(Failure::invalid(format!("{name} is longer than any memory")))
            }
            // SAFETY: not NULL, not longer than an object may be, and there by the caller's word.
            (false, length) => Ok(unsafe { std::slice::from_raw_parts(self.data, length) }),
        }
    }
}
