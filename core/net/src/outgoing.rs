//! Converted bytes on their way to the socket, and the plaintext that stands in them.

/// Bytes of a layer that wait to be sent; no memory while there are none.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// Plaintext in `bytes`; done with when all of them are sent.
    plain: usize,
}

impl Outgoing {
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether plaintext stands in it: no more may be added before that is done with.
    pub(crate) fn has_plain(&self) -> bool {
        self.plain > 0
    }

    /// Says that so much plaintext stands in it.
    pub(crate) fn note_plain(&mut self, bytes: usize) {
        debug_assert!(!self.has_plain(), "plaintext that was taken already comes again");
        self.plain = bytes;
    }

    /// Where more can be added behind.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The socket took so many bytes; returns how much plaintext is done with.
    pub(crate) fn take_sent(&mut self, bytes: usize) -> usize {
        self.sent += bytes;
        debug_assert!(self.sent <= self.bytes.len(), "more was sent than there was");
        if self.sent < self.bytes.len() {
            return 0;
        }
        std::mem::take(self).plain
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_is_done_with_when_all_is_sent_and_then_nothing_is_held() {
        let mut out = Outgoing::default();
        out.bytes().extend(b"abcdef");
        out.note_plain(3);
        assert_eq!((out.take_sent(0), out.take_sent(4), out.waiting()), (0, 0, &b"ef"[..]));
        assert!(out.has_plain() && !out.is_empty());
        assert_eq!(out.take_sent(2), 3);
        assert!(out.is_empty() && !out.has_plain());
        assert_eq!(out.held_bytes(), 0);
    }
}
