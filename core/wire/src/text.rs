//! The rules for text: well-formed UTF-8 and no null character. A byte order mark is a character like any other
//! and stays [MQTT-1.5.4-3].

use crate::Violation;

/// Judges the bytes of a text field.
#[inline]
pub(crate) fn parse(bytes: &[u8]) -> Result<&str, Violation> {
    let text = simdutf8::basic::from_utf8(bytes).map_err(|_| Violation::TextNotUtf8)?;
    if memchr::memchr(0, bytes).is_some() {
        return Err(Violation::TextHasNul);
    }
    Ok(text)
}

/// Text out of bytes that were judged before. It looks again, because safe code cannot take it on trust, and
/// gives the empty text for what cannot happen.
#[inline]
pub(crate) fn judged(bytes: &[u8]) -> &str {
    let text = simdutf8::basic::from_utf8(bytes);
    debug_assert!(text.is_ok(), "text that was judged is UTF-8");
    text.unwrap_or_default()
}
