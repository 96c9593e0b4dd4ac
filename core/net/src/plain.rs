//! The layer of a connection without layers: everything passes through untouched and uncopied.

use std::io::IoSlice;

use crate::{Broken, Layer, Sealed};

/// Passes bytes through, both ways, without a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Layer for Plain {
    #[inline]
    fn open(&mut self, received: &mut [u8], plain: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        if !received.is_empty() {
            plain(received);
        }
        Ok(())
    }

    #[inline]
    fn seal<'a>(&'a mut self, plain: &'a [IoSlice<'a>]) -> Sealed<'a> {
        Sealed::Same(plain)
    }

    #[inline]
    fn sent(&mut self, bytes: usize) -> usize {
        bytes
    }

    #[inline]
    fn has_own_output(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_bytes_are_handed_on_at_their_place() {
        let received = &mut b"\x10\x0c\x00\x04MQTT".to_owned();
        let place = received.as_ptr();
        let mut seen = Vec::new();
        Plain.open(received, &mut |piece| seen.push((piece.as_ptr(), piece.len()))).unwrap();
        assert_eq!(seen, [(place, 8)]);
        Plain.open(&mut [], &mut |_| panic!("nothing was received")).unwrap();
    }

    #[test]
    fn plaintext_is_sent_from_its_place_and_counted_as_sent() {
        let (head, body) = (b"head".as_slice(), b"body".as_slice());
        let slices = [IoSlice::new(head), IoSlice::new(body)];
        let mut layer = Plain;
        assert!(!layer.has_own_output());
        match layer.seal(&slices) {
            Sealed::Same(out) => {
                let places: Vec<_> = out.iter().map(|slice| (slice.as_ptr(), slice.len())).collect();
                assert_eq!(places, [(head.as_ptr(), 4), (body.as_ptr(), 4)]);
            }
            _ => panic!("plain bytes were copied"),
        }
        assert_eq!((layer.sent(0), layer.sent(5)), (0, 5));
    }
}
