//! How fast an address sends. Where that is bounded, what it sends beyond the bound stays in the kernel until its time
//! has come: nothing is lost, and its own connections alone are slower.

use std::collections::HashMap;

use ringmq_proto::time::{Mono, Now};

use crate::half_open::Origin;
use crate::input::ConnId;
use crate::{LogLevel, Shard};

/// Addresses that are followed at once; beyond that an address is not followed until another may send a second's worth
/// again.
const ADDRESSES_MAX: usize = 16_384;
/// Looking for who can be forgotten takes a look at all of them.
const SWEEP_INTERVAL_MS: u64 = 1_000;
/// Bytes of the smallest read: less would cost more in calls than it bounds. So an address is at most that much ahead.
const READ_BYTES_MIN: usize = 4096;
/// Between two lines of the log about one address.
const LOG_INTERVAL_MS: u64 = 60_000;

/// What an address may still send.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Thousandths of bytes; negative where a read brought more than was left.
    left: i64,
    /// When that was.
    at: Mono,
    /// When the log was told that it has to wait.
    told: Option<Mono>,
}

/// What addresses send.
#[derive(Debug, Default)]
pub struct ByteRates {
    buckets: HashMap<Origin, Bucket>,
    /// When addresses were forgotten last, because there were too many.
    swept: Option<Mono>,
}

impl Bucket {
    /// What may be sent at a time.
    fn left_at(&self, now: Mono, per_second_max: u32) -> i64 {
        let (rate, full) = (i64::from(per_second_max), i64::from(per_second_max) * 1000);
        let passed = i64::try_from(now.0 - self.at.0).unwrap_or(i64::MAX);
        full.min(self.left.saturating_add(passed.saturating_mul(rate)))
    }
}

impl ByteRates {
    /// The bucket of an address, filled up to now: a second's worth may come at once. Nothing where too many others are
    /// followed.
    fn bucket(&mut self, now: Mono, origin: Origin, per_second_max: u32) -> Option<&mut Bucket> {
        let full = i64::from(per_second_max) * 1000;
        if self.buckets.len() >= ADDRESSES_MAX && !self.buckets.contains_key(&origin) {
            if self.swept.is_some_and(|swept| now.0 - swept.0 < SWEEP_INTERVAL_MS) {
                return None;
            }
            self.swept = Some(now);
            // A full bucket is the same as none.
            self.buckets.retain(|_, bucket| bucket.left_at(now, per_second_max) < full);
            if self.buckets.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        let bucket = self.buckets.entry(origin).or_insert(Bucket { left: full, at: now, told: None });
        bucket.left = bucket.left_at(now, per_second_max);
        bucket.at = now;
        Some(bucket)
    }
}

impl Shard {
    /// Whether what addresses send is bounded at all; to be asked before each of the following.
    #[must_use]
    pub fn bounds_bytes(&self) -> bool {
        self.settings.bytes_per_address_per_second_max > 0
    }

    /// How many bytes may be read off this connection now; 0 when it has to wait until its address has sent less, which
    /// is its keep alive's excuse until this says otherwise. That it has to wait is counted and logged when `asks_first`.
    pub fn may_be_read(&mut self, now: Now, conn: ConnId, asks_first: bool) -> usize {
        let left = self.bytes_left(now, conn);
        let is_delayed = left.is_some_and(|left| left <= 0);
        if let Some(link) = self.links.at_mut(conn) {
            link.delayed = is_delayed;
        }
        if is_delayed && asks_first {
            self.counters().reads_delayed.add(1);
            self.tell_delayed(now, conn);
        }
        match left {
            None => usize::MAX,
            Some(_) if is_delayed => 0,
            Some(left) => usize::try_from(left / 1000).unwrap_or(usize::MAX).max(READ_BYTES_MIN),
        }
    }

    /// What an address may still send, in thousandths of bytes; nothing where it is not bounded.
    fn bytes_left(&mut self, now: Now, conn: ConnId) -> Option<i64> {
        let per_second_max = self.settings.bytes_per_address_per_second_max;
        let origin = self.origin_of(conn).filter(|_| per_second_max > 0)?;
        self.byte_rates.bucket(now.mono, origin, per_second_max).map(|bucket| bucket.left)
    }

    fn tell_delayed(&mut self, now: Now, conn: ConnId) {
        let per_second_max = self.settings.bytes_per_address_per_second_max;
        let Some(origin) = self.origin_of(conn) else { return };
        let Some(bucket) = self.byte_rates.bucket(now.mono, origin, per_second_max) else { return };
        if bucket.told.is_some_and(|told| now.mono.0 - told.0 < LOG_INTERVAL_MS) {
            return;
        }
        bucket.told = Some(now.mono);
        let who = self.who_is_at(conn);
        self.log(LogLevel::Warning, || {
            format!(
                "Reading waits, {who}: its address sent more than {per_second_max} bytes in a second \
                 (bytes_per_address_per_second_max)."
            )
        });
    }

    /// So many bytes have come on a connection.
    pub fn bytes_came(&mut self, now: Now, conn: ConnId, bytes: usize) {
        let per_second_max = self.settings.bytes_per_address_per_second_max;
        let Some(origin) = self.origin_of(conn).filter(|_| per_second_max > 0) else { return };
        if let Some(bucket) = self.byte_rates.bucket(now.mono, origin, per_second_max) {
            bucket.left = bucket.left.saturating_sub((bytes as i64).saturating_mul(1000));
        }
    }

    fn origin_of(&self, conn: ConnId) -> Option<Origin> {
        self.links.at(conn)?.peer.socket.map(|address| Origin::of(address.ip()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(rates: &mut ByteRates, ms: u64, address: &str, bytes: i64) -> i64 {
        let bucket = rates.bucket(Mono(ms), Origin::of(address.parse().unwrap()), 1000).unwrap();
        bucket.left -= bytes * 1000;
        bucket.left / 1000
    }

    #[test]
    fn a_seconds_worth_may_come_at_once_and_what_came_beyond_is_waited_for() {
        let mut rates = ByteRates::default();
        let here = "192.0.2.1";
        assert_eq!(left(&mut rates, 5_000, here, 400), 600);
        assert_eq!(left(&mut rates, 5_000, here, 2_600), -2_000);
        assert_eq!(left(&mut rates, 5_000, "192.0.2.2", 0), 1_000, "others have their own");
        assert_eq!(left(&mut rates, 6_999, here, 0), -1);
        assert_eq!(left(&mut rates, 7_500, here, 0), 500);
        assert_eq!(left(&mut rates, u64::MAX / 2, here, 0), 1_000);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_no_debts_before_their_time() {
        let mut rates = ByteRates::default();
        let address = |n: u32| std::net::Ipv4Addr::from_bits(n).to_string();
        for n in 0..ADDRESSES_MAX as u32 {
            left(&mut rates, 5_000, &address(n), if n == 7 { 9_000 } else { 1 });
        }
        let origin = |n: u32| Origin::of(address(n).parse().unwrap());
        let (late, later) = (origin(1 << 20), origin(1 << 21));
        assert!(rates.bucket(Mono(5_000), late, 1000).is_none(), "all owe something");
        assert!(rates.bucket(Mono(5_999), late, 1000).is_none(), "and are not looked at again at once");
        assert!(rates.bucket(Mono(6_000), late, 1000).is_some());
        assert_eq!(rates.buckets.len(), 2);
        assert!(left(&mut rates, 6_000, &address(7), 0) < 0);
        for n in 100..100 + ADDRESSES_MAX as u32 - 2 {
            left(&mut rates, 6_000, &address(n), 1);
        }
        assert!(rates.bucket(Mono(20_000), later, 1000).is_some(), "the debt has run out by then");
        assert_eq!(rates.buckets.len(), 1);
    }
}
