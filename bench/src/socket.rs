//! Sockets towards the broker, from more addresses than one where one has too few ports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

/// Connections from one address; Linux gives out about 28,000 ports.
const CONNECTIONS_PER_ADDRESS: usize = 20_000;

/// Begins to connect, without waiting until the connection is made, as the client of this number.
pub(crate) fn begin(broker: SocketAddr, number: usize) -> io::Result<TcpStream> {
    open(broker, source(broker, number), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
}

/// Begins to connect from this address, if one is given.
pub(crate) fn begin_from(broker: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let source = source.map(|address| SocketAddrV4::new(address, 0).into());
    open(broker, source, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
}

/// Connects as the client of this number.
pub(crate) fn connect_to(broker: SocketAddr, number: usize) -> io::Result<TcpStream> {
    open(broker, source(broker, number), SocketFlags::CLOEXEC)
}

fn open(broker: SocketAddr, source: Option<SocketAddr>, flags: SocketFlags) -> io::Result<TcpStream> {
    let family = if broker.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    if let Some(address) = source {
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
    }
    match connect(&socket, &broker) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The address to come from: on loopback each number of connections has one of its own, else the kernel chooses.
fn source(broker: SocketAddr, number: usize) -> Option<SocketAddr> {
    let beyond = (number / CONNECTIONS_PER_ADDRESS) as u8;
    let loopback = broker.ip() == Ipv4Addr::LOCALHOST;
    (loopback && beyond > 0).then(|| SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, beyond), 0).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_connections_on_loopback_come_from_other_addresses() {
        let local = SocketAddr::from(([127, 0, 0, 1], 1883));
        assert_eq!(source(local, 19_999), None);
        assert_eq!(source(local, 45_000), Some(([127, 0, 1, 2], 0).into()));
        assert_eq!(source(([192, 0, 2, 1], 1883).into(), 45_000), None);
    }
}
