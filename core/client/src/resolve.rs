//! From a host name to addresses. The system's resolver blocks, so a name is resolved on a thread of its own
//! that ends with the answer; an address needs none.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// Addresses tried in one attempt.
const ADDRESSES_MAX: usize = 16;

/// The address, if the host is one already.
pub(crate) fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, port))
}

/// Asks the system's resolver and hands its answer to `done`, on another thread.
pub(crate) fn start(
    host: String,
    port: u16,
    done: impl FnOnce(io::Result<Vec<SocketAddr>>) + Send + 'static,
) -> io::Result<()> {
    let work = move || done(resolve(&host, port));
    std::thread::Builder::new().name("ringmq-resolve".into()).spawn(work).map(|_| ())
}

fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (host, port).to_socket_addrs()? {
        if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_no_resolver() {
        let rows = [
            ("127.0.0.1", Some("127.0.0.1:1883")),
            ("::1", Some("[::1]:1883")),
            ("[::1]", Some("[::1]:1883")),
            ("localhost", None),
            ("", None),
        ];
        for (host, expected) in rows {
            assert_eq!(literal(host, 1883).map(|address| address.to_string()).as_deref(), expected);
        }
    }
}
