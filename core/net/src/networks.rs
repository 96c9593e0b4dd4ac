//! Which addresses are meant: a list of addresses and networks, as text like `10.0.0.0/8, ::1`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::limits::NETWORKS_MAX;

/// A set of IP networks. Empty by default: no address belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// All addresses with the same first bits; IPv4 as IPv6-mapped, so that both kinds compare alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    bits: u128,
    mask: u128,
}

/// A text that is no list of networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork {
    /// The part of the text that is wrong.
    pub part: String,
    /// What was expected instead.
    pub expected: &'static str,
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}': expected {}", self.part, self.expected)
    }
}

impl std::error::Error for InvalidNetwork {}

impl Networks {
    /// Every address there is.
    pub fn all() -> Self {
        Self(vec![Network { bits: 0, mask: 0 }])
    }

    /// Whether no address belongs to it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the address belongs to one of the networks. IPv4 addresses mapped to IPv6 are IPv4 addresses.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = bits(address);
        self.0.iter().any(|network| bits & network.mask == network.bits)
    }
}

impl FromStr for Networks {
    type Err = InvalidNetwork;

    /// Reads addresses (`127.0.0.1`, `::1`) and networks (`10.0.0.0/8`, `fd00::/8`) between commas or spaces;
    /// `*` and `all` are every address. Bits behind a network's length must be zero.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let mut networks = Self::default();
        for part in text.split([',', ' ', '\t']).filter(|part| !part.is_empty()) {
            if networks.0.len() == NETWORKS_MAX {
                return Err(invalid(part, "no more than 1024 networks"));
            }
            match part {
                "*" | "all" => networks.0.extend(Self::all().0),
                _ => networks.0.push(network(part)?),
            }
        }
        Ok(networks)
    }
}

fn network(part: &str) -> Result<Network, InvalidNetwork> {
    let (address, length) = match part.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (part, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(invalid(part, "an IP address or a network like 10.0.0.0/8"));
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length.map(str::parse::<u32>) {
        None => longest,
        Some(Ok(length)) if length <= longest => length,
        Some(_) => return Err(invalid(part, "a length of at most 32 (IPv4) or 128 (IPv6) behind the slash")),
    };
    let mask = u128::MAX.checked_shl(longest - length).unwrap_or(0);
    let bits = bits(address);
    if bits & !mask != 0 {
        return Err(invalid(part, "zeros behind the network's length, or a longer length"));
    }
    Ok(Network { bits, mask })
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => Ipv6Addr::to_bits(v6),
    }
}

fn invalid(part: &str, expected: &'static str) -> InvalidNetwork {
    InvalidNetwork { part: part.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_networks_whose_first_bits_it_has() {
        for (networks, inside, outside) in [
            ("127.0.0.1", "127.0.0.1 ::ffff:127.0.0.1", "127.0.0.2 ::1"),
            ("10.0.0.0/8, ::1", "10.255.0.1 ::1", "11.0.0.0 ::2"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("::/0", "::1 1.2.3.4", ""),
            ("fd00::/8 192.168.4.0/22", "fdff::1 192.168.7.255", "fe00:: 192.168.8.0"),
            ("*", "1.1.1.1 ::1", ""),
            ("", "", "1.1.1.1 ::1"),
        ] {
            let set: Networks = networks.parse().unwrap();
            for address in inside.split_whitespace() {
                assert!(set.contains(address.parse().unwrap()), "{address} in {networks}");
            }
            for address in outside.split_whitespace() {
                assert!(!set.contains(address.parse().unwrap()), "{address} not in {networks}");
            }
            assert_eq!(set.is_empty(), networks.is_empty());
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in ["localhost", "10.0.0.0/33", "::/129", "10.0.0.1/8", "10.0.0.0/-1", "10.0.0.0/", "1.2.3"]
        {
            let wrong = format!("127.0.0.1, {text}").parse::<Networks>().unwrap_err();
            assert_eq!(wrong.part, text);
            assert!(wrong.to_string().contains("expected"));
        }
    }
}
