//! The key of the hash that places ClientIDs. Whoever knows it can choose ClientIDs that all live on one
//! shard, so it is drawn for each process unless somebody gives one.

use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;

/// 16 bytes, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PartitionKey(pub [u8; 16]);

impl PartitionKey {
    /// A new one that nobody can guess.
    #[must_use]
    pub fn random() -> Self {
        Self(((u128::from(random_word()) << 64) | u128::from(random_word())).to_ne_bytes())
    }
}

/// One unpredictable word: the standard library keys each `RandomState` from the system's generator, and a
/// keyed hash under an unknown key is as good as a random word.
pub(crate) fn random_word() -> u64 {
    RandomState::new().hash_one(0x5249_4e47_u64)
}

impl FromStr for PartitionKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        let well_formed = digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit);
        let value = well_formed.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        value.map(|value| Self(value.to_be_bytes())).ok_or("a partition key is 32 hexadecimal digits")
    }
}

impl std::fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl std::fmt::Debug for PartitionKey {
    /// Never shows the key: it is a secret of the process.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PartitionKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_there_and_back() {
        let key: PartitionKey = "000102030405060708090A0b0c0d0e0f".parse().unwrap();
        assert_eq!(key.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(key.to_string(), "000102030405060708090a0b0c0d0e0f");
        for wrong in [
            "",
            "00",
            "+0102030405060708090a0b0c0d0e0f0",
            "000102030405060708090a0b0c0d0e0g",
            "000102030405060708090a0b0c0d0e0f00",
        ] {
            assert!(wrong.parse::<PartitionKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn random_keys_differ() {
        assert_ne!(PartitionKey::random(), PartitionKey::random());
    }
}
