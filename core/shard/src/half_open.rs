//! Connections that have not said who they are: from being accepted until their CONNECT is complete. Whoever holds
//! many of them open, or makes them faster than anybody needs, takes room from those who come in at once, so they are
//! bounded: all together, by address, and in their rate. The oldest goes first, because a client that means it is
//! through in milliseconds; refusing whoever comes would let a few idle sockets refuse everybody.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

use ringmq_proto::time::{Mono, Now};

use crate::fault;
use crate::input::ConnId;
use crate::{LogLevel, Shard};

/// Addresses whose rate is followed at once; an address that was silent for a second is forgotten when there are more.
const RATES_MAX: usize = 16_384;
/// How many entries of connections that are through may stand among the others.
const STALE_MAX: usize = 64;

/// Whom an address belongs to: itself, or its first 64 bits, which is what one customer is given of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(u64, bool);

impl Origin {
    /// That of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(u64::from(ip.to_bits()), true),
            IpAddr::V6(ip) => Self((Ipv6Addr::to_bits(ip) >> 64) as u64, false),
        }
    }
}

/// Connections in the order in which they came, with some that are through among them.
#[derive(Default)]
struct Line {
    ids: VecDeque<ConnId>,
    count: usize,
}

impl Line {
    fn join(&mut self, id: ConnId) {
        self.ids.push_back(id);
        self.count += 1;
    }

    /// One of them is through. `stands` says of each whether it is not.
    fn leave(&mut self, stands: impl Fn(ConnId) -> bool) {
        self.count -= 1;
        if self.ids.len() > 2 * self.count + STALE_MAX {
            self.ids.retain(|&id| stands(id));
        }
    }

    fn oldest(&mut self, stands: impl Fn(ConnId) -> bool) -> Option<ConnId> {
        while let Some(&id) = self.ids.front() {
            if stands(id) {
                return Some(id);
            }
            self.ids.pop_front();
        }
        None
    }
}

/// The connections of a shard that have not said who they are.
#[derive(Default)]
pub struct HalfOpen {
    all: Line,
    by_origin: HashMap<Origin, Line>,
    /// Connections an origin may still make, in thousandths, and when that was.
    rates: HashMap<Origin, (u64, Mono)>,
}

impl HalfOpen {
    /// How many there are.
    pub const fn count(&self) -> usize {
        self.all.count
    }

    /// Whether one more connection of this origin is within so many a second; a second's worth may come at once.
    fn is_within_rate(&mut self, now: Mono, origin: Origin, per_second_max: u32) -> bool {
        let full = u64::from(per_second_max) * 1000;
        if self.rates.len() >= RATES_MAX && !self.rates.contains_key(&origin) {
            self.rates.retain(|_, (_, last)| now.0 - last.0 < 1000);
            if self.rates.len() >= RATES_MAX {
                return false;
            }
        }
        let (left, last) = self.rates.entry(origin).or_insert((full, now));
        *left = full.min(*left + (now.0 - last.0) * u64::from(per_second_max));
        *last = now;
        let within = *left >= 1000;
        if within {
            *left -= 1000;
        }
        within
    }
}

impl Shard {
    /// Whether a connection from this address may be made now: to be asked before anything is spent on it. One that
    /// may not is to be closed at once; it is counted and logged.
    pub fn admits(&mut self, now: Now, address: Option<IpAddr>) -> bool {
        let per_second_max = self.settings.connections_per_address_per_second_max;
        let Some(address) = address.filter(|_| per_second_max > 0) else { return true };
        if self.half_open.is_within_rate(now.mono, Origin::of(address), per_second_max) {
            return true;
        }
        self.counters().connections_too_often.add(1);
        self.log(LogLevel::Warning, || {
            format!(
                "A connection from {address} was refused: more than {per_second_max} in a second \
                 (connections_per_address_per_second_max)."
            )
        });
        false
    }

    /// A connection was accepted. Where there are too many like it, the oldest of them goes.
    pub(crate) fn half_open_join(&mut self, now: Now, id: ConnId) {
        let Some(link) = self.links.at_mut(id) else { return };
        link.half_open = true;
        let origin = link.peer.socket.map(|address| Origin::of(address.ip()));
        let of_origin = origin.map(|origin| {
            let line = self.half_open.by_origin.entry(origin).or_default();
            line.join(id);
            line.count
        });
        self.half_open.all.join(id);
        if of_origin.is_some_and(|count| count > self.settings.half_open_per_address_max) {
            self.half_open_relieve(now, origin);
        }
        if self.half_open.count() > self.settings.half_open_max {
            self.half_open_relieve(now, None);
        }
    }

    /// A connection is through, or gone.
    pub(crate) fn half_open_leave(&mut self, id: ConnId) {
        let Some(link) = self.links.at_mut(id).filter(|link| link.half_open) else { return };
        link.half_open = false;
        let origin = link.peer.socket.map(|address| Origin::of(address.ip()));
        let links = &self.links;
        let stands = |id| links.at(id).is_some_and(|link| link.half_open);
        self.half_open.all.leave(stands);
        if let Some(origin) = origin
            && let Some(line) = self.half_open.by_origin.get_mut(&origin)
        {
            line.leave(stands);
            if line.count == 0 {
                self.half_open.by_origin.remove(&origin);
            }
        }
    }

    fn half_open_relieve(&mut self, now: Now, origin: Option<Origin>) {
        let links = &self.links;
        let stands = |id| links.at(id).is_some_and(|link| link.half_open);
        let line = match origin {
            Some(origin) => self.half_open.by_origin.get_mut(&origin),
            None => Some(&mut self.half_open.all),
        };
        let Some(oldest) = line.and_then(|line| line.oldest(stands)) else { return };
        self.counters().half_open_closed.add(1);
        self.fault(now, oldest, fault::HALF_OPEN);
        // Nothing was said to it that it would have to take first.
        self.link_drop(now, oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    #[test]
    fn an_address_of_ipv6_is_as_good_as_its_network_and_a_mapped_one_is_ipv4() {
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_ne!(origin("0.0.0.1"), origin("::1"));
    }

    #[test]
    fn a_rate_holds_over_time_and_a_seconds_worth_may_come_at_once() {
        let mut half_open = HalfOpen::default();
        let here = origin("192.0.2.1");
        let mut admitted =
            |ms, times: usize| (0..times).filter(|_| half_open.is_within_rate(Mono(ms), here, 10)).count();
        assert_eq!(admitted(1_000, 50), 10);
        assert_eq!(admitted(1_099, 50), 0);
        assert_eq!(admitted(1_100, 50), 1);
        assert_eq!(admitted(1_600, 50), 5);
        assert_eq!(admitted(100_000, 50), 10);
    }

    #[test]
    fn the_table_of_rates_is_bounded() {
        let mut half_open = HalfOpen::default();
        for n in 0..RATES_MAX as u64 {
            assert!(half_open.is_within_rate(Mono(5_000), Origin(n, true), 1));
        }
        let late = Origin(1 << 40, true);
        assert!(!half_open.is_within_rate(Mono(5_000), late, 1), "all are of this second");
        assert!(half_open.is_within_rate(Mono(6_000), late, 1));
        assert_eq!(half_open.rates.len(), 1);
    }
}
