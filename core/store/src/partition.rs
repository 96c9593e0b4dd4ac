//! Where a thing lives: 256 fixed logical partitions, and a table from partition to shard. A change of the
//! number of cores moves partitions; it never places a client anew.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Number of partitions, fixed for the life of the data.
pub const PARTITIONS: usize = 256;

/// Name and version of the placing hash: SipHash-1-3 over the id's bytes under the broker's key, its lowest
/// byte. Kept with stored data; another value means the data must be placed anew.
pub const HASH_NAME: &str = "siphash-1-3/v1";

/// One of the 256 partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u8);

/// The partition of an id: a ClientID, a retained topic, or a whole shared filter.
#[must_use]
pub fn partition(key: &[u8; 16], id: &[u8]) -> Partition {
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(id);
    Partition((hasher.finish() & 0xff) as u8)
}

/// Which shard has which partition.
#[derive(Clone, Debug)]
pub struct PartitionTable {
    shards: [u16; PARTITIONS],
}

impl PartitionTable {
    /// Deals the partitions out to `shards` shards, 1 to 256, as evenly as they divide.
    ///
    /// # Panics
    /// When `shards` is outside 1 to 256; a broker checks that before it starts.
    #[must_use]
    pub fn even(shards: usize) -> Self {
        assert!((1..=PARTITIONS).contains(&shards), "1 to 256 shards, not {shards}");
        Self { shards: core::array::from_fn(|p| (p % shards) as u16) }
    }
    /// The shard that has this partition.
    #[must_use]
    pub const fn shard(&self, partition: Partition) -> u16 {
        self.shards[partition.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placing_is_the_same_for_ever() {
        let key: [u8; 16] = core::array::from_fn(|i| i as u8);
        // Lowest bytes of SipHash-1-3 under the key 00..0f, computed by a separate implementation written in
        // Python, which gives the published SipHash-2-4 vector when it is run with two and four rounds.
        let placed: Vec<u8> =
            ["", "a", "sensor-17"].iter().map(|id| partition(&key, id.as_bytes()).0).collect();
        assert_eq!(placed, [0xdc, 0x37, 0x33]);
    }

    #[test]
    fn every_shard_gets_its_share() {
        for shards in [1, 2, 3, 4, 7, 64, 256] {
            let table = PartitionTable::even(shards);
            let mut count = vec![0usize; shards];
            (0..=255).for_each(|p| count[table.shard(Partition(p)) as usize] += 1);
            let (least, most) = (count.iter().min().unwrap(), count.iter().max().unwrap());
            assert!(most - least <= 1, "{shards}: {count:?}");
        }
    }
}
