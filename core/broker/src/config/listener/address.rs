//! The address of a listener: a URL that says how to listen there, or a plain host. Resolving a name asks the
//! system; nothing else here leaves the text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use super::Address;
use crate::config::key::nearest;

const PORT_TLS: u16 = 8883;
const PORT_HTTP: u16 = 80;
const PORT_HTTPS: u16 = 443;

const SCHEMES: [&str; 8] = ["tls", "tcp", "ws", "wss", "mqtt", "mqtts", "unix", "activated"];

/// How a listener listens, as its address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// What the address means; no DNS has been asked.
    pub target: Target,
    /// Whether TLS is spoken; nothing where the keys of the listener say it.
    pub tls: Option<bool>,
    /// Whether WebSocket is spoken; nothing where the keys of the listener say it.
    pub websocket: Option<bool>,
    /// The path behind the host, when there is one.
    pub path: Option<String>,
}

/// Where, before names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A host, with a port or without.
    Host(String, Option<u16>),
    /// A path.
    Unix(String),
    /// A name.
    Activated(String),
}

/// What the text of an address says.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(text: &str) -> Result<Location, String> {
    let (scheme, rest) = split_scheme(text);
    let (tls, websocket) = match scheme {
        "tcp" | "mqtt" => (false, false),
        "tls" | "mqtts" => (true, false),
        "ws" => (false, true),
        "wss" => (true, true),
        "unix" => return local(text, rest, Target::Unix),
        "activated" => return local(text, rest, Target::Activated),
        other => return Err(unknown(text, other)),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => (&rest[..at], Some(rest[at..].to_owned())),
        None => (rest, None),
    };
    let path = path.filter(|path| path != "/" || websocket);
    if path.is_some() && !websocket {
        return Err(format!("`{text}` has a path, which only ws:// and wss:// have"));
    }
    if authority.contains('@') || rest.contains('#') {
        return Err(format!("`{text}` is no address: a host and a port stand there, nothing else"));
    }
    let (host, port) = split_port(authority).ok_or_else(|| format!("`{text}` has no valid port"))?;
    let default = match (tls, websocket) {
        (false, false) => None,
        (true, false) => Some(PORT_TLS),
        (false, true) => Some(PORT_HTTP),
        (true, true) => Some(PORT_HTTPS),
    };
    let target = Target::Host(host.to_owned(), port.or(default));
    Ok(Location { target, tls: Some(tls), websocket: Some(websocket), path })
}

fn split_scheme(text: &str) -> (&str, &str) {
    for scheme in ["unix", "activated"] {
        if let Some(rest) = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':')) {
            return (scheme, rest.strip_prefix("//").unwrap_or(rest));
        }
    }
    text.split_once("://").unwrap_or(("tcp", text))
}

fn local(text: &str, rest: &str, target: fn(String) -> Target) -> Result<Location, String> {
    if rest.is_empty() || rest.contains('\0') {
        return Err(format!("`{text}` is no address: write unix:PATH or activated:NAME"));
    }
    Ok(Location { target: target(rest.to_owned()), tls: None, websocket: None, path: None })
}

fn unknown(text: &str, scheme: &str) -> String {
    let hint = nearest(scheme, SCHEMES.into_iter()).map(|near| format!("; did you mean `{near}`?"));
    format!(
        "`{text}` is no address: a listener is tcp://, tls://, ws://, wss://, unix:PATH or activated:NAME{}",
        hint.unwrap_or_default()
    )
}

/// Host and port; nothing when there is a port that is none. An IPv6 address may stand without brackets when
/// there is no port.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let bare = authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(bare) = bare {
        return Some((bare, None));
    }
    if authority.parse::<IpAddr>().is_ok() {
        return Some((authority, None));
    }
    match authority.rsplit_once(':') {
        Some((host, digits)) => {
            let port =
                digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()?;
            Some((host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host), Some(port)))
        }
        None => Some((authority, None)),
    }
}

/// The addresses that a target means: several for a name with several addresses, and for `*`, which is every
/// address of the machine.
///
/// # Errors
/// What could not be resolved, and why.
pub(super) fn resolve(
    target: &Target,
    port: u16,
    ipv6: bool,
    look_up: &LookUp<'_>,
) -> Result<Vec<Address>, String> {
    let (host, port) = match target {
        Target::Unix(path) => return Ok(vec![Address::Unix(path.into())]),
        Target::Activated(name) => return Ok(vec![Address::Activated(name.clone())]),
        Target::Host(host, own) => (host.as_str(), own.unwrap_or(port)),
    };
    let at = |ip: IpAddr| SocketAddr::new(ip, port);
    let found = match host {
        "*" if ipv6 => vec![at(Ipv4Addr::UNSPECIFIED.into()), at(Ipv6Addr::UNSPECIFIED.into())],
        "*" => vec![at(Ipv4Addr::UNSPECIFIED.into())],
        _ => match host.parse() {
            Ok(ip) => vec![at(ip)],
            Err(_) => look_up(host, port)?,
        },
    };
    Ok(found.into_iter().map(|address| Address::Tcp(unmapped(address))).collect())
}

/// A socket for IPv6 alone refuses an IPv4 address written as IPv6.
fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Gives the addresses of a name, with this port.
pub type LookUp<'a> = dyn Fn(&str, u16) -> Result<Vec<SocketAddr>, String> + 'a;

/// Asks the system.
pub(in crate::config) fn system(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = (host, port).to_socket_addrs();
    Ok(found.map_err(|error| format!("`{host}` is no address: {error}"))?.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        match host {
            "two.example" => Ok(vec![([192, 0, 2, 1], port).into(), ([192, 0, 2, 2], port).into()]),
            _ => Err(format!("`{host}` is no address: nobody knows it")),
        }
    }

    fn means(text: &str) -> Result<Vec<String>, String> {
        let location = parse(text)?;
        let addresses = resolve(&location.target, 1883, true, &nobody)?;
        let how = match (location.tls, location.websocket) {
            (Some(false), Some(false)) => "",
            (Some(true), Some(false)) => "tls ",
            (Some(false), Some(true)) => "ws ",
            (Some(true), Some(true)) => "wss ",
            _ => "? ",
        };
        let path = location.path.unwrap_or_default();
        Ok(addresses.iter().map(|address| format!("{how}{address}{path}")).collect())
    }

    #[test]
    fn texts_mean_addresses() {
        let rows: &[(&str, &[&str])] = &[
            ("0.0.0.0", &["0.0.0.0:1883"]),
            ("127.0.0.1:99", &["127.0.0.1:99"]),
            ("::1", &["[::1]:1883"]),
            ("[::1]", &["[::1]:1883"]),
            ("[::]:0", &["[::]:0"]),
            ("[::ffff:192.0.2.1]:1", &["192.0.2.1:1"]),
            ("*", &["0.0.0.0:1883", "[::]:1883"]),
            ("*:7", &["0.0.0.0:7", "[::]:7"]),
            ("two.example:7", &["192.0.2.1:7", "192.0.2.2:7"]),
            ("tls://two.example", &["tls 192.0.2.1:8883", "tls 192.0.2.2:8883"]),
            ("tcp://127.0.0.1", &["127.0.0.1:1883"]),
            ("mqtt://127.0.0.1:7/", &["127.0.0.1:7"]),
            ("tls://[::1]", &["tls [::1]:8883"]),
            ("mqtts://0.0.0.0:1", &["tls 0.0.0.0:1"]),
            ("ws://127.0.0.1", &["ws 127.0.0.1:80"]),
            ("ws://127.0.0.1:9001/mqtt", &["ws 127.0.0.1:9001/mqtt"]),
            ("wss://127.0.0.1/", &["wss 127.0.0.1:443/"]),
            ("unix:/run/ringmq.sock", &["? unix:/run/ringmq.sock"]),
            ("unix:///run/ringmq.sock", &["? unix:/run/ringmq.sock"]),
            ("unix:here", &["? unix:here"]),
            ("activated:mqtt", &["? activated:mqtt"]),
        ];
        for (text, expected) in rows {
            assert_eq!(means(text).unwrap(), *expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_named() {
        let rows = [
            ("127.0.0.1:99999", "`127.0.0.1:99999` has no valid port"),
            ("127.0.0.1:", "`127.0.0.1:` has no valid port"),
            ("127.0.0.1:+1", "has no valid port"),
            ("tsl://127.0.0.1", "did you mean `tls`?"),
            ("http://127.0.0.1", "a listener is tcp://, tls://"),
            ("tcp://127.0.0.1/mqtt", "only ws:// and wss:// have"),
            ("tcp://user@127.0.0.1", "a host and a port stand there"),
            ("unix:", "write unix:PATH"),
            ("not an address", "`not an address` is no address"),
        ];
        for (text, expected) in rows {
            let error = means(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
