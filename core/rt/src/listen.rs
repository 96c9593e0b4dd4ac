//! Listening sockets: for TCP one per address and shard on one port number, refused when anyone else listens there;
//! for Unix sockets, and for those that were opened by somebody else, one at one of the shards, from where
//! connections go to the shard of their session like all others.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use ringmq_net::Door;
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::StartError;
use crate::limits::{BACKLOG, PORT_ATTEMPTS_MAX};
use crate::listener::Behind;
use crate::unix_listen::{SocketFile, unix_listener};

/// Where a broker listens, and what stands between the sockets accepted there and MQTT.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where.
    pub place: Place,
    /// What stands between.
    pub door: Arc<Door>,
    /// How long the handshakes of what stands between may take together, in milliseconds; not looked at where
    /// nothing does.
    pub handshake_timeout: u64,
}

impl From<SocketAddr> for Listen {
    /// MQTT over TCP and nothing else.
    fn from(address: SocketAddr) -> Self {
        Self { place: Place::Tcp(address), door: Arc::default(), handshake_timeout: 0 }
    }
}

/// Where a listener is.
#[derive(Clone, Debug)]
pub enum Place {
    /// At a TCP port, on every shard. All addresses with port 0 get one number, as far as their hosts differ.
    Tcp(SocketAddr),
    /// At a Unix socket, which is made, and removed when the listener closes.
    Unix(UnixPlace),
    /// At a listening, non-blocking socket that somebody else has opened.
    Open(Arc<OwnedFd>),
}

/// A Unix socket in the file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixPlace {
    /// Its path, at most 107 bytes.
    pub path: PathBuf,
    /// Permission bits; as the umask leaves them if not given.
    pub mode: Option<u32>,
    /// The number of the user it is to belong to.
    pub owner: Option<u32>,
    /// The number of the group it is to belong to.
    pub group: Option<u32>,
}

/// Where a broker listens in truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listening {
    /// At this TCP port.
    Tcp(SocketAddr),
    /// At this Unix socket.
    Unix(PathBuf),
}

impl Listening {
    /// The address, of a TCP port.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

/// The listeners of a broker.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Where they are, in the order in which they were asked for.
    pub(crate) places: Vec<Listening>,
    /// For each shard the listening sockets, in the same order; none where a listener is at another shard.
    pub(crate) listeners: Vec<Vec<Option<OwnedFd>>>,
    /// What is to be removed when they close.
    pub(crate) files: Vec<SocketFile>,
}

/// Listens everywhere for all shards; on error, nowhere.
pub(crate) fn bind(listen: &[Listen], shards: usize) -> Result<Bound, StartError> {
    if listen.is_empty() {
        return Err(StartError::NoAddress);
    }
    let addresses: Vec<SocketAddr> = listen.iter().filter_map(Listen::address).collect();
    let mut claims = claim(&addresses)?.into_iter();
    let mut bound = Bound::of_none(shards);
    for (index, listen) in listen.iter().enumerate() {
        match &listen.place {
            Place::Tcp(_) => bound.add_tcp(claims.next().expect("one claim for each address"))?,
            Place::Unix(place) => {
                let (socket, file) = unix_listener(place)?;
                bound.add_one(index % shards, socket, Listening::Unix(place.path.clone()));
                bound.files.push(file);
            }
            Place::Open(open) => {
                let system = |error| StartError::System { doing: "taking over a listening socket", error };
                let socket = Socket::from(open.try_clone().map_err(system)?);
                let place = place_of(&socket).map_err(system)?;
                socket.set_nonblocking(true).map_err(system)?;
                bound.add_one(index % shards, socket, place);
            }
        }
    }
    Ok(bound)
}

impl From<Listen> for Behind {
    fn from(listen: Listen) -> Self {
        Self { door: listen.door, handshake_timeout: listen.handshake_timeout }
    }
}

impl Listen {
    const fn address(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Tcp(address) => Some(address),
            _ => None,
        }
    }
}

impl Bound {
    /// Of no listeners.
    pub(crate) fn of_none(shards: usize) -> Self {
        let listeners = (0..shards).map(|_| Vec::new()).collect();
        Self { places: Vec::new(), listeners, files: Vec::new() }
    }

    fn add_tcp(&mut self, claim: Socket) -> Result<(), StartError> {
        let address = address_of(&claim)?;
        let listen = |error| StartError::Listen { address, error };
        // From here on our own further sockets may share the port; a stranger's first one may still not.
        claim.set_reuse_port(true).map_err(listen)?;
        for listeners in &mut self.listeners[1..] {
            listeners.push(Some(shared_listener(address).map_err(listen)?.into()));
        }
        self.listeners[0].push(Some(claim.into()));
        self.places.push(Listening::Tcp(address));
        Ok(())
    }

    fn add_one(&mut self, shard: usize, socket: Socket, place: Listening) {
        let mut socket = Some(socket.into());
        for (index, listeners) in self.listeners.iter_mut().enumerate() {
            listeners.push(socket.take_if(|_| index == shard));
        }
        self.places.push(place);
    }
}

/// Where a socket listens that somebody else has opened.
fn place_of(socket: &Socket) -> io::Result<Listening> {
    let address = socket.local_addr()?;
    if let Some(address) = address.as_socket() {
        return Ok(Listening::Tcp(address));
    }
    Ok(Listening::Unix(address.as_pathname().map(Into::into).unwrap_or_default()))
}

/// A listening socket for each address which nobody else listens on. All with port 0 get one number, but for those
/// that have it several times for one host.
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
    // By how many addresses with port 0 and the same host stand before: those cannot share a number.
    let mut chosen: Vec<u16> = Vec::new();
    let mut claims = Vec::with_capacity(addresses.len());
    for (index, &asked) in addresses.iter().enumerate() {
        let mut address = asked;
        let times_before = addresses[..index].iter().filter(|before| **before == asked).count();
        if asked.port() == 0 {
            address.set_port(chosen.get(times_before).copied().unwrap_or(0));
        }
        let claim = exclusive_listener(address).map_err(|error| StartError::Listen { address, error })?;
        if asked.port() == 0 && address.port() == 0 {
            chosen.resize(times_before + 1, 0);
            chosen[times_before] = address_of(&claim)?.port();
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

    fn address(bound: &Bound, index: usize) -> SocketAddr {
        bound.places[index].address().expect("a TCP port")
    }

    #[test]
    fn port_0_gives_one_number_for_both_families_and_all_shards() {
        let bound = bind(&[local("127.0.0.1:0").into(), local("[::1]:0").into()], 3).unwrap();
        let port = address(&bound, 0).port();
        assert_ne!(port, 0);
        assert_eq!(address(&bound, 1).port(), port);
        for listeners in &bound.listeners {
            assert_eq!(listeners.len(), 2);
        }
    }

    #[test]
    fn port_0_twice_for_one_host_gives_two_numbers_for_both_families() {
        let asked = ["127.0.0.1:0", "127.0.0.1:0", "[::1]:0", "[::1]:0"].map(|text| local(text).into());
        let bound = bind(&asked, 2).unwrap();
        let ports: Vec<u16> = (0..4).map(|index| address(&bound, index).port()).collect();
        assert_ne!(ports[0], ports[1]);
        assert_eq!(ports[..2], ports[2..]);
    }

    #[test]
    fn a_second_broker_is_refused_and_a_first_one_gone_is_not() {
        let first = bind(&[local("127.0.0.1:0").into()], 2).unwrap();
        let address = address(&first, 0);
        let error = bind(&[address.into()], 2).unwrap_err().to_string();
        assert_eq!(error, format!("cannot listen on {address}: address already in use (another broker?)"));
        drop(first);
        bind(&[address.into()], 2).unwrap();
    }

    #[test]
    fn connections_spread_over_the_shards_and_have_no_delay() {
        let bound = bind(&[local("127.0.0.1:0").into()], 2).unwrap();
        let to = address(&bound, 0);
        let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(to).unwrap()).collect();
        let mut accepted = [0, 0];
        let until = Instant::now() + Duration::from_secs(5);
        while accepted.iter().sum::<usize>() < clients.len() && Instant::now() < until {
            for (shard, listeners) in bound.listeners.iter().enumerate() {
                if let Ok(socket) = rustix::net::accept(listeners[0].as_ref().unwrap()) {
                    assert!(rustix::net::sockopt::tcp_nodelay(&socket).unwrap());
                    accepted[shard] += 1;
                }
            }
        }
        assert_eq!(accepted.iter().sum::<usize>(), 64);
        assert!(accepted[0] > 8 && accepted[1] > 8, "{accepted:?}");
    }
}
