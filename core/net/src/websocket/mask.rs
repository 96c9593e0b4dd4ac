//! Masks of frames from clients (RFC 6455 section 5.3).

use std::hash::Hasher;

use data_encoding::BASE64;
use siphasher::sip::SipHasher13;

/// Masks or unmasks bytes in their place; returns the mask for the byte behind them.
pub(crate) fn apply(mask: [u8; 4], bytes: &mut [u8]) -> [u8; 4] {
    let word = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
    let mut next = mask;
    next.rotate_left(rest.len() % mask.len());
    next
}

/// Makes masks that nobody can foresee, from a secret.
#[derive(Clone)]
pub(crate) struct Masks {
    secret: [u8; 16],
    made: u64,
}

impl Masks {
    /// The key of a request, and masks, from bytes that nobody can guess.
    pub(crate) fn split(random: [u8; 32]) -> (String, Self) {
        let (key, secret) = random.split_at(16);
        let secret = secret.try_into().unwrap_or_default();
        (BASE64.encode(key), Self { secret, made: 0 })
    }

    pub(crate) fn next(&mut self) -> [u8; 4] {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write_u64(self.made);
        self.made += 1;
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        [a, b, c, d]
    }
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masks").finish_non_exhaustive()
    }
}
