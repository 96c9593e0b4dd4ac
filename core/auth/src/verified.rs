//! Passwords that were right, so that a thousand clients whose network came back need not all wait for hashes made to be
//! slow. What is kept is a keyed digest of user, stored hash and password under a key that lives as long as the
//! process: it cannot be turned back or tried elsewhere, and a changed password, whose stored hash is another, does not
//! match it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::password_hash::PasswordHash;

/// Entries: 512 KiB, and the fleet that comes back at once without hashing.
const ENTRIES: usize = 16_384;
/// Places that a digest may have. With one alone 5,000 users would put 700 of each other out, each of whom would have to
/// be hashed again whenever the fleet comes back; with eight they put out two or three, and 10,000 some 220.
const WAYS: usize = 8;
/// Longest password that is kept, in bytes: the digest is computed on a core that has better to do.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// What stands for one right password.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// Makes digests. The key is random and never leaves the process.
#[derive(Clone)]
pub struct Digester(Hmac<Sha256>);

impl std::fmt::Debug for Digester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digester(…)")
    }
}

impl Digester {
    /// With the key of this process.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length"))
    }

    /// The digest of a user's password, or nothing for one too long to be kept.
    #[must_use]
    pub fn digest(&self, user_name: &str, stored: &PasswordHash, password: &[u8]) -> Option<Digest> {
        if password.len() > PASSWORD_BYTES_MAX {
            return None;
        }
        let [salt, hash] = stored.identity();
        Some(self.digest_of(&[user_name.as_bytes(), salt, hash, password]))
    }

    /// The digest of several parts, in this order.
    #[must_use]
    pub fn digest_of(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = self.0.clone();
        for part in parts {
            // With its length in front no part can pass for the end of the one before.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        Digest(mac.finalize().into_bytes().into())
    }

    /// A number that is the same for a name each time and cannot be guessed from it.
    #[must_use]
    pub fn pick(&self, user_name: &str) -> u64 {
        let digest: [u8; 32] = self.0.clone().chain_update(user_name).finalize().into_bytes().into();
        u64::from_le_bytes(*digest.first_chunk().expect("a digest has more than eight bytes"))
    }
}

/// Digests of right passwords, at most 16,384. A digest points to eight places; where all are taken a new one takes that
/// of another.
pub struct Verified(Box<[Digest]>);

impl Default for Verified {
    fn default() -> Self {
        Self(vec![Self::NOTHING; ENTRIES].into())
    }
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verified(…)")
    }
}

impl Verified {
    /// No digest is that, or one in 2^256.
    const NOTHING: Digest = Digest([0; 32]);

    /// Where the places of a digest begin.
    fn places(digest: &Digest) -> usize {
        usize::from(u16::from_le_bytes([digest.0[0], digest.0[1]])) % (ENTRIES / WAYS) * WAYS
    }

    /// Whether this password was right before.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        let places = &self.0[Self::places(digest)..][..WAYS];
        // All are compared whichever it is.
        places.iter().fold(false, |found, place| found | bool::from(place.0.ct_eq(&digest.0)))
    }

    /// This password was right.
    pub fn insert(&mut self, digest: Digest) {
        let places = &mut self.0[Self::places(&digest)..][..WAYS];
        let same = |place: &Digest| *place == digest || *place == Self::NOTHING;
        // As good as at random: digests are.
        let other = usize::from(digest.0[2]) % WAYS;
        let place = places.iter().position(same).unwrap_or(other);
        places[place] = digest;
    }

    /// Forgets all: the users may have changed.
    pub fn clear(&mut self) {
        self.0.fill(Self::NOTHING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password_hash::Scheme;

    #[test]
    fn only_the_same_user_password_and_hash_under_the_same_key_are_known_again() {
        let one = PasswordHash::new(Scheme::Sha512, b"secret", *b"0123456789ab");
        let other = PasswordHash::new(Scheme::Sha512, b"secret", *b"0123456789ac");
        let digester = Digester::new([1; 32]);
        let mut verified = Verified::default();
        let digest = |digester: &Digester, user, stored, password| {
            digester.digest(user, stored, password).expect("short enough")
        };
        verified.insert(digest(&digester, "anna", &one, b"secret"));
        let rows: [(&str, &PasswordHash, &[u8], bool); 5] = [
            ("anna", &one, b"secret", true),
            ("anna", &one, b"secret2", false),
            ("anna", &other, b"secret", false),
            ("ann", &one, b"asecret", false),
            ("bert", &one, b"secret", false),
        ];
        for (user, stored, password, known) in rows {
            assert_eq!(verified.contains(&digest(&digester, user, stored, password)), known, "{user}");
        }
        let stranger = Digester::new([2; 32]);
        assert!(!verified.contains(&digest(&stranger, "anna", &one, b"secret")));
        verified.clear();
        assert!(!verified.contains(&digest(&digester, "anna", &one, b"secret")));
        assert_eq!(digester.digest("anna", &one, &[b'x'; PASSWORD_BYTES_MAX + 1]), None);
    }

    #[test]
    fn a_full_table_forgets_some_and_never_finds_what_was_not_put_in() {
        let stored = PasswordHash::new(Scheme::Sha512, b"", *b"0123456789ab");
        let (digester, mut verified) = (Digester::new([3; 32]), Verified::default());
        let digest = |number: usize| digester.digest(&format!("u{number}"), &stored, b"p").unwrap();
        for number in 0..2 * ENTRIES {
            verified.insert(digest(number));
            assert!(verified.contains(&digest(number)), "the newest is there");
        }
        let known = (0..2 * ENTRIES).filter(|number| verified.contains(&digest(*number))).count();
        assert!((ENTRIES / 2..=ENTRIES).contains(&known), "{known}");
        assert!((2 * ENTRIES..3 * ENTRIES).all(|number| !verified.contains(&digest(number))));
    }

    #[test]
    fn a_fleet_of_5000_is_known_whole() {
        let stored = PasswordHash::new(Scheme::Sha512, b"", *b"0123456789ab");
        let (digester, mut verified) = (Digester::new([4; 32]), Verified::default());
        let digest = |number: usize| digester.digest(&format!("u{number}"), &stored, b"p").unwrap();
        (0..5000).for_each(|number| verified.insert(digest(number)));
        let forgotten = (0..5000).filter(|number| !verified.contains(&digest(*number))).count();
        assert!(forgotten <= 5, "{forgotten}");
    }
}
