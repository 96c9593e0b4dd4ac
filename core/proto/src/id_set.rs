//! A set of packet identifiers: those of QoS 2 messages that came in and are not released yet.
//! It holds numbers only and never knows what they stand for.
//!
//! A few identifiers stand inline, sorted; more go into a bitmap that is as long as the greatest identifier
//! needs (8 KiB at most). When the set runs empty a long bitmap is given back.

use alloc::boxed::Box;
use ringmq_wire::PacketId;

/// Identifiers held without an allocation.
const INLINE_MAX: usize = 6;

/// Words of a bitmap that is kept when the set runs empty: a client that has more under way than stand inline
/// will again, and counts from one.
const KEPT_WORDS_MAX: usize = 16;

/// A set of packet identifiers.
#[derive(Clone, Debug, Default)]
pub struct IdSet {
    len: u16,
    /// Sorted, `len` of them valid, while `bits` is empty.
    inline: [u16; INLINE_MAX],
    bits: Box<[u64]>,
}

impl IdSet {
    /// An empty set; allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an identifier; false when it was there already.
    pub fn insert(&mut self, packet_id: PacketId) -> bool {
        let value = packet_id.value();
        if self.bits.is_empty() {
            let Err(at) = self.few().binary_search(&value) else { return false };
            let len = usize::from(self.len);
            if len < INLINE_MAX {
                self.inline.copy_within(at..len, at + 1);
                self.inline[at] = value;
                self.len += 1;
                return true;
            }
            self.spread();
        }
        let newly = self.set_bit(value);
        self.len += u16::from(newly);
        newly
    }

    /// Takes an identifier out; false when it was not there.
    pub fn remove(&mut self, packet_id: PacketId) -> bool {
        let value = packet_id.value();
        if self.bits.is_empty() {
            let Ok(at) = self.few().binary_search(&value) else { return false };
            self.inline.copy_within(at + 1..usize::from(self.len), at);
            self.len -= 1;
            return true;
        }
        let (word, mask) = place(value);
        let Some(bits) = self.bits.get_mut(word).filter(|bits| **bits & mask != 0) else { return false };
        *bits &= !mask;
        self.len -= 1;
        if self.len == 0 && self.bits.len() > KEPT_WORDS_MAX {
            self.bits = Box::default();
        }
        true
    }

    /// Whether an identifier is in the set.
    #[must_use]
    pub fn contains(&self, packet_id: PacketId) -> bool {
        if self.bits.is_empty() {
            return self.few().binary_search(&packet_id.value()).is_ok();
        }
        let (word, mask) = place(packet_id.value());
        self.bits.get(word).is_some_and(|bits| bits & mask != 0)
    }

    /// How many identifiers there are, 0 to 65,535.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether none is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes every identifier out and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The identifiers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = PacketId> {
        let few = if self.bits.is_empty() { self.few() } else { &[] };
        let many = self.bits.iter().zip(0_u32..).flat_map(|(bits, word)| {
            let mut left = *bits;
            core::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                u16::try_from(word * 64 + bit).ok()
            })
        });
        few.iter().copied().chain(many).filter_map(PacketId::new)
    }

    fn few(&self) -> &[u16] {
        self.inline.get(..usize::from(self.len)).unwrap_or(&[])
    }

    fn spread(&mut self) {
        for value in self.inline {
            self.set_bit(value);
        }
    }

    fn set_bit(&mut self, value: u16) -> bool {
        let (word, mask) = place(value);
        if self.bits.len() <= word {
            let mut longer = core::mem::take(&mut self.bits).into_vec();
            longer.resize(word + 1, 0);
            self.bits = longer.into_boxed_slice();
        }
        let newly = self.bits[word] & mask == 0;
        self.bits[word] |= mask;
        newly
    }
}

fn place(value: u16) -> (usize, u64) {
    (usize::from(value / 64), 1 << (value % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u16) -> PacketId {
        PacketId::new(value).unwrap()
    }

    #[test]
    fn behaves_like_a_sorted_set() {
        let mut set = IdSet::new();
        let mut model = alloc::collections::BTreeSet::new();
        let mut seed = 99_u32;
        for step in 0..30_000_u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Phases of filling and emptying, so that both forms and the way back are met.
            let range = if (step / 5_000) % 2 == 0 { 12 } else { 65_535 };
            let value = ((seed >> 10) % range) as u16 + 1;
            if seed >> 31 == 0 {
                assert_eq!(set.insert(id(value)), model.insert(value));
            } else {
                assert_eq!(set.remove(id(value)), model.remove(&value));
            }
            assert_eq!(set.contains(id(value)), model.contains(&value));
            assert_eq!(set.len(), model.len());
            if step % 500 == 0 {
                assert!(set.iter().map(PacketId::value).eq(model.iter().copied()));
            }
        }
        for value in core::mem::take(&mut model) {
            assert!(set.remove(id(value)));
        }
        assert!(set.is_empty() && set.iter().next().is_none());
    }

    #[test]
    fn holds_every_identifier() {
        let mut set = IdSet::new();
        for value in (1..=u16::MAX).rev() {
            assert!(set.insert(id(value)));
        }
        assert_eq!(set.len(), 65_535);
        assert!(set.iter().map(PacketId::value).eq(1..=u16::MAX));
        set.clear();
        assert!(!set.contains(id(1)));
    }
}
