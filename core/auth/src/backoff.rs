//! Addresses from which wrong passwords came: after a few the address waits, twice as long with each further one, so
//! that guessing is slow and a storm of it costs no hashing. Whose password was right before is not asked to wait:
//! many clients may share an address with one that is set up wrongly.

use std::net::IpAddr;

/// Addresses that are remembered: 512 KiB. Of two that fall on the same place the one with fewer failures is forgotten.
const ADDRESSES: usize = 16_384;
/// Wrong passwords before the first wait: people mistype.
const FREE: u32 = 8;
/// The first wait, in milliseconds.
const FIRST_MS: u64 = 250;
/// The longest wait, in milliseconds.
const LONGEST_MS: u64 = 60_000;
/// An address without wrong passwords for so long begins anew, in milliseconds.
const FORGET_MS: u64 = 600_000;

#[derive(Clone, Copy, Default)]
struct Entry {
    address: u64,
    failures: u32,
    /// When the last wrong password came.
    last: u64,
}

impl Entry {
    fn wait_until(&self) -> u64 {
        match self.failures.checked_sub(FREE) {
            None => 0,
            Some(over) => self.last + FIRST_MS.saturating_mul(1 << over.min(20)).min(LONGEST_MS),
        }
    }
}

/// How long which address waits. Times are milliseconds of any clock that does not go back.
pub struct Backoff {
    entries: Box<[Entry]>,
    key: u64,
}

impl std::fmt::Debug for Backoff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backoff(…)")
    }
}

impl Backoff {
    /// Nobody waits. The key is random, so that nobody chooses addresses that fall on the same place.
    #[must_use]
    pub fn new(key: u64) -> Self {
        Self { entries: vec![Entry::default(); ADDRESSES].into(), key }
    }

    /// Milliseconds that this address still waits; nothing when it need not.
    #[must_use]
    pub fn wait(&self, address: IpAddr, now_ms: u64) -> Option<u64> {
        let id = network(address);
        let entry = self.entries[self.place(id)];
        (entry.address == id && entry.failures > 0)
            .then(|| entry.wait_until().saturating_sub(now_ms))
            .filter(|wait| *wait > 0)
    }

    /// A wrong password came from this address; how many there were lately.
    pub fn failed(&mut self, address: IpAddr, now_ms: u64) -> u32 {
        let id = network(address);
        let place = self.place(id);
        let entry = &mut self.entries[place];
        let is_old = now_ms.saturating_sub(entry.last) > FORGET_MS;
        if entry.address != id && entry.failures > 1 && !is_old {
            // The one that is there guesses more; this one comes to its place as soon as that gave up.
            entry.failures -= 1;
            return 1;
        }
        let failures = if entry.address == id && !is_old { entry.failures.saturating_add(1) } else { 1 };
        *entry = Entry { address: id, failures, last: now_ms };
        failures
    }

    fn place(&self, id: u64) -> usize {
        let product = u128::from(id ^ self.key) * 0x9e37_79b9_7f4a_7c15;
        ((product >> 64) as u64 ^ product as u64) as usize % ADDRESSES
    }
}

/// An IPv4 address, or the 64 bits of an IPv6 address that one customer has: the rest of it is free to choose.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()) | 1 << 32,
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn waits_double_up_to_a_minute_and_are_forgotten() {
        let mut backoff = Backoff::new(1);
        let mut now = 1_000;
        for failure in 1..=FREE - 1 {
            assert_eq!(backoff.failed(HERE, now), failure);
            assert_eq!(backoff.wait(HERE, now), None);
        }
        for wait in [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            backoff.failed(HERE, now);
            assert_eq!(backoff.wait(HERE, now), Some(wait));
            assert_eq!(backoff.wait(HERE, now + wait - 1), Some(1));
            now += wait;
            assert_eq!(backoff.wait(HERE, now), None);
        }
        assert_eq!(backoff.failed(HERE, now + FORGET_MS + 1), 1);
    }

    #[test]
    fn others_do_not_wait_and_a_customer_of_ipv6_is_one() {
        let mut backoff = Backoff::new(2);
        let addresses = |text: &str| text.parse::<IpAddr>().unwrap();
        (0..20).for_each(|_| _ = backoff.failed(addresses("2001:db8::1"), 5));
        (0..20).for_each(|_| _ = backoff.failed(addresses("::ffff:192.0.2.1"), 5));
        for (address, waits) in [
            ("2001:db8::2", true),
            ("2001:db8:0:1::1", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("::1", false),
        ] {
            assert_eq!(backoff.wait(addresses(address), 6).is_some(), waits, "{address}");
        }
    }

    #[test]
    fn more_addresses_than_places_neither_grow_it_nor_free_the_worst() {
        let mut backoff = Backoff::new(3);
        (0..FREE + 10).for_each(|_| _ = backoff.failed(HERE, 0));
        for other in 0..ADDRESSES as u32 {
            backoff.failed(IpAddr::V4((0x0a00_0000 + other).into()), 1);
        }
        assert_eq!(backoff.entries.len(), ADDRESSES);
        assert!(backoff.wait(HERE, 2).is_some());
    }
}
