//! What a layer wants written to the socket.

use std::io::IoSlice;

/// What is to be written to the socket.
#[derive(Clone, Copy, Debug)]
pub enum Sealed<'a> {
    /// The plaintext as it is.
    Same(&'a [IoSlice<'a>]),
    /// Bytes of the layer.
    Other(&'a [u8]),
    /// Bytes of the layer, and behind them plaintext as it is.
    Framed(Framed<'a>),
}

/// Bytes of a layer before plaintext from its place.
#[derive(Clone, Copy, Debug)]
pub struct Framed<'a> {
    /// What goes first; may be empty.
    pub head: &'a [u8],
    /// The plaintext, of which only the first [`Framed::body_bytes`] bytes go behind the head.
    pub body: &'a [IoSlice<'a>],
    /// At most as many as `body` has.
    pub body_bytes: usize,
}

impl<'a> Sealed<'a> {
    /// How many bytes are to be written.
    pub fn len(&self) -> usize {
        match self {
            Self::Same(slices) => total(slices),
            Self::Other(bytes) => bytes.len(),
            Self::Framed(framed) => framed.head.len() + framed.body_bytes,
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is to be written, piece by piece; no piece is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (head, body, mut left): (&'a [u8], &'a [IoSlice<'a>], usize) = match *self {
            Self::Same(slices) => (&[], slices, usize::MAX),
            Self::Other(bytes) => (bytes, &[], 0),
            Self::Framed(framed) => (framed.head, framed.body, framed.body_bytes),
        };
        let body = body.iter().map(move |slice| {
            let piece: &'a [u8] = &slice[..slice.len().min(left)];
            left -= piece.len();
            piece
        });
        std::iter::once(head).chain(body).filter(|piece| !piece.is_empty())
    }
}

/// How many bytes the slices have together.
pub(crate) fn total(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().map(|slice| slice.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sealed: &Sealed<'_>, expected: &[&str]) {
        let pieces: Vec<_> = sealed.pieces().map(|piece| std::str::from_utf8(piece).unwrap()).collect();
        assert_eq!(pieces, expected);
        assert_eq!(sealed.len(), expected.concat().len());
        assert_eq!(sealed.is_empty(), expected.is_empty());
    }

    #[test]
    fn pieces_are_the_head_and_as_much_of_the_body_as_was_said() {
        let body = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        check(&Sealed::Same(&body), &["ab", "cde"]);
        check(&Sealed::Same(&[]), &[]);
        check(&Sealed::Other(b"x"), &["x"]);
        check(&Sealed::Other(b""), &[]);
        for (body_bytes, expected) in
            [(0, vec!["h"]), (1, vec!["h", "a"]), (2, vec!["h", "ab"]), (4, vec!["h", "ab", "cd"])]
        {
            check(&Sealed::Framed(Framed { head: b"h", body: &body, body_bytes }), &expected);
        }
        check(&Sealed::Framed(Framed { head: b"", body: &body, body_bytes: 5 }), &["ab", "cde"]);
    }
}
