//! Where to listen: addresses as they are typed, and the socket addresses that they mean.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

/// A list of `ADDRESS` or `ADDRESS:PORT`; an IPv6 address with a port stands in brackets. What holds at one of
/// them alone stands behind it: `ADDRESS?KEY=VALUE&KEY=VALUE`. The empty list means this machine only: 127.0.0.1,
/// and `[::1]` where the machine has IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<String>);

impl Addresses {
    /// Whether nobody named an address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The addresses as they were given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
    /// What they mean, with `port` where none is given, each with what stands behind its `?`.
    ///
    /// # Errors
    /// A text naming the address that means nothing, or two things.
    pub(super) fn resolve(&self, port: u16, ipv6: bool) -> Result<Vec<(SocketAddr, &str)>, String> {
        let mut all: Vec<(SocketAddr, &str)> = Vec::new();
        if self.is_empty() {
            all.push((SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port), ""));
            if ipv6 {
                all.push((SocketAddr::new(IpAddr::from(std::net::Ipv6Addr::LOCALHOST), port), ""));
            }
        }
        for text in self.iter() {
            let (name, own) = text.split_once('?').unwrap_or((text, ""));
            for mut address in resolve_one(name, port)? {
                // A socket for IPv6 alone refuses an IPv4 address written as IPv6.
                if let IpAddr::V4(ip) = address.ip().to_canonical() {
                    address = SocketAddr::new(IpAddr::V4(ip), address.port());
                }
                match all.iter().find(|(other, _)| *other == address) {
                    None => all.push((address, own)),
                    Some((_, other)) if *other == own => {}
                    Some(_) => return Err(format!("`{address}` is named twice, with different settings")),
                }
            }
        }
        Ok(all)
    }
}

fn resolve_one(text: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, digits)) => (name, digits.parse().map_err(|_| format!("`{text}` has no valid port"))?),
        None => (text, port),
    };
    let found = (name, port).to_socket_addrs().map_err(|error| format!("`{text}` is no address: {error}"))?;
    Ok(found.collect())
}

impl FromStr for Addresses {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(Self(parts.map(str::to_owned).collect()))
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Addresses {
    fn from(addresses: [S; N]) -> Self {
        Self(addresses.into_iter().map(Into::into).collect())
    }
}

impl std::fmt::Display for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("127.0.0.1,[::1]");
        }
        f.write_str(&self.0.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_mean_socket_addresses() {
        let rows: &[(&str, &[&str])] = &[
            ("", &["127.0.0.1:1883", "[::1]:1883"]),
            ("0.0.0.0", &["0.0.0.0:1883"]),
            ("127.0.0.1:99", &["127.0.0.1:99"]),
            ("::1", &["[::1]:1883"]),
            ("[::1]", &["[::1]:1883"]),
            ("[::]:0", &["[::]:0"]),
            ("[::1]?a=1&b=2,127.0.0.1:7?c=3", &["[::1]:1883a=1&b=2", "127.0.0.1:7c=3"]),
            ("127.0.0.1, 127.0.0.1:1883,127.0.0.2", &["127.0.0.1:1883", "127.0.0.2:1883"]),
        ];
        for (text, expected) in rows {
            let addresses = text.parse::<Addresses>().unwrap();
            let found = addresses.resolve(1883, true).unwrap();
            let found: Vec<_> = found.iter().map(|(address, own)| format!("{address}{own}")).collect();
            assert_eq!(found, *expected, "{text}");
        }
        assert_eq!(Addresses::default().resolve(1, false).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_address_is_named() {
        let error = Addresses::from(["127.0.0.1:99999"]).resolve(1883, true).unwrap_err();
        assert!(error.contains("127.0.0.1:99999"), "{error}");
        let twice = Addresses::from(["127.0.0.1?versions=5.0", "127.0.0.1:1883"]);
        assert!(twice.resolve(1883, true).unwrap_err().contains("named twice"));
    }
}
