//! Listening sockets: one per address and shard on one port number, refused when anyone else listens there.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::StartError;
use crate::limits::{BACKLOG, PORT_ATTEMPTS_MAX};

/// The listeners of a broker.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The addresses with their true port numbers, in the order in which they were asked for.
    pub(crate) addresses: Vec<SocketAddr>,
    /// For each shard one listening socket per address.
    pub(crate) listeners: Vec<Vec<OwnedFd>>,
}

/// Listens on all addresses for all shards; on error, on none.
pub(crate) fn bind(addresses: &[SocketAddr], shards: usize) -> Result<Bound, StartError> {
    if addresses.is_empty() {
        return Err(StartError::NoAddress);
    }
    let claims = claim(addresses)?;
    let mut bound = Bound { addresses: Vec::new(), listeners: (0..shards).map(|_| Vec::new()).collect() };
    for claim in claims {
        let address = address_of(&claim)?;
        let listen = |error| StartError::Listen { address, error };
        // From here on our own further sockets may share the port; a stranger's first one may still not.
        claim.set_reuse_port(true).map_err(listen)?;
        for listeners in &mut bound.listeners[1..] {
            listeners.push(shared_listener(address).map_err(listen)?.into());
        }
        bound.listeners[0].push(claim.into());
        bound.addresses.push(address);
    }
    Ok(bound)
}

/// A listening socket for each address which nobody else listens on. All with port 0 get one number.
fn claim(addresses: &[SocketAddr]) -> Result<Vec<Socket>, StartError> {
    let mut last = None;
    for _ in 0..PORT_ATTEMPTS_MAX {
        match claim_once(addresses) {
            Err(StartError::Listen { address, error })
                if error.kind() == io::ErrorKind::AddrInUse && was_chosen(addresses, address) =>
            {
                last = Some(StartError::Listen { address, error });
            }
            result => return result,
        }
    }
    Err(last.unwrap_or(StartError::NoAddress))
}

/// Whether the port was not asked for by number.
fn was_chosen(addresses: &[SocketAddr], address: SocketAddr) -> bool {
    addresses.iter().any(|asked| asked.port() == 0 && asked.ip() == address.ip())
}

fn claim_once(addresses: &[SocketAddr]) -> Result<Vec<Socket>, StartError> {
    let mut chosen = 0;
    let mut claims = Vec::with_capacity(addresses.len());
    for &asked in addresses {
        let mut address = asked;
        if address.port() == 0 {
            address.set_port(chosen);
        }
        let claim = exclusive_listener(address).map_err(|error| StartError::Listen { address, error })?;
        if address.port() == 0 {
            chosen = address_of(&claim)?.port();
        }
        claims.push(claim);
    }
    Ok(claims)
}

fn address_of(socket: &Socket) -> Result<SocketAddr, StartError> {
    let address = socket.local_addr().map(|address| address.as_socket());
    address
        .and_then(|address| address.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
        .map_err(|error| StartError::System { doing: "asking for a listener's address", error })
}

/// Without SO_REUSEPORT, so that it is refused where any other socket listens. SO_REUSEADDR only lets it
/// pass over connections of an earlier run that the kernel still remembers.
fn exclusive_listener(address: SocketAddr) -> io::Result<Socket> {
    listen(socket(address)?, address)
}

fn shared_listener(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    listen(socket, address)
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn listen(socket: Socket, address: SocketAddr) -> io::Result<Socket> {
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    fn local(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn port_0_gives_one_number_for_both_families_and_all_shards() {
        let bound = bind(&[local("127.0.0.1:0"), local("[::1]:0")], 3).unwrap();
        let port = bound.addresses[0].port();
        assert_ne!(port, 0);
        assert_eq!(bound.addresses[1].port(), port);
        for listeners in &bound.listeners {
            assert_eq!(listeners.len(), 2);
        }
    }

    #[test]
    fn a_second_broker_is_refused_and_a_first_one_gone_is_not() {
        let first = bind(&[local("127.0.0.1:0")], 2).unwrap();
        let address = first.addresses[0];
        let error = bind(&[address], 2).unwrap_err().to_string();
        assert_eq!(error, format!("cannot listen on {address}: address already in use (another broker?)"));
        drop(first);
        bind(&[address], 2).unwrap();
    }

    #[test]
    fn connections_spread_over_the_shards_and_have_no_delay() {
        let bound = bind(&[local("127.0.0.1:0")], 2).unwrap();
        let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(bound.addresses[0]).unwrap()).collect();
        let mut accepted = [0, 0];
        let until = Instant::now() + Duration::from_secs(5);
        while accepted.iter().sum::<usize>() < clients.len() && Instant::now() < until {
            for (shard, listeners) in bound.listeners.iter().enumerate() {
                if let Ok(socket) = rustix::net::accept(&listeners[0]) {
                    assert!(rustix::net::sockopt::tcp_nodelay(&socket).unwrap());
                    accepted[shard] += 1;
                }
            }
        }
        assert_eq!(accepted.iter().sum::<usize>(), 64);
        assert!(accepted[0] > 8 && accepted[1] > 8, "{accepted:?}");
    }
}
