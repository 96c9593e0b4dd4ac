//! One client's way to its server: from an address to an open socket. It reads and writes nothing.

use crate::readiness::Interest;
use ringmq_proto::time::Mono;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Where the transport stands.
///
/// ```text
///   Idle --> Resolving --> Connecting --> Greeting --> Open --> Lingering --> Ended
///     ^          |             |              |          |
///     +-- Waiting <------------+--------------+----------+   (failed, and to be tried again)
/// ```
pub(crate) enum Link {
    /// An attempt is to be made now.
    Idle,
    /// After a failure, until the next attempt.
    Waiting { until: Mono },
    /// The name is being resolved on a thread of its own.
    Resolving { attempt: u64, until: Mono },
    /// A socket waits for the server's system to answer.
    Connecting(Connecting),
    /// The transport stands, and TLS and WebSocket are being agreed on.
    Greeting { stream: Socket, until: Mono },
    /// Everything below MQTT stands; `close_until` once it is only to be emptied and closed.
    Open { stream: Socket, close_until: Option<Mono> },
    /// The goodbye is written; until the server closes, so that no reset overtakes it.
    Lingering { stream: Socket, until: Mono },
    /// For good.
    Ended,
}

/// One address being tried, with those left.
pub(crate) struct Connecting {
    pub(crate) stream: Socket,
    rest: VecDeque<SockAddr>,
    /// This address is given up then.
    pub(crate) until: Mono,
    /// All addresses are given up then.
    pub(crate) all_until: Mono,
    bind: Option<IpAddr>,
}

impl Connecting {
    /// Tries the addresses in turn; the error of the last one when none can even be started.
    pub(crate) fn start(
        addresses: Vec<SocketAddr>,
        bind: Option<IpAddr>,
        now: Mono,
        all_until: Mono,
    ) -> io::Result<Self> {
        let is_reachable = |address: &SocketAddr| bind.is_none_or(|bind| bind.is_ipv4() == address.is_ipv4());
        let rest = addresses.into_iter().filter(is_reachable).map(SockAddr::from).collect();
        let none = "no address of the host has the family of the local address";
        next(rest, bind, now, all_until, io::Error::new(io::ErrorKind::AddrNotAvailable, none))
    }

    /// Tries a Unix socket.
    pub(crate) fn local(path: &Path, now: Mono, until: Mono) -> io::Result<Self> {
        let rest = VecDeque::from([SockAddr::unix(path)?]);
        next(rest, None, now, until, io::ErrorKind::AddrNotAvailable.into())
    }

    /// Gives this address up for the next one.
    pub(crate) fn next(self, now: Mono, error: io::Error) -> io::Result<Self> {
        next(self.rest, self.bind, now, self.all_until, error)
    }

    /// Whether the socket, which has become writable, is connected.
    pub(crate) fn outcome(&self) -> io::Result<()> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => self.stream.peer_addr().map(|_| ()),
        }
    }
}

fn next(
    mut rest: VecDeque<SockAddr>,
    bind: Option<IpAddr>,
    now: Mono,
    all_until: Mono,
    mut error: io::Error,
) -> io::Result<Connecting> {
    while let Some(address) = rest.pop_front() {
        match open(&address, bind) {
            Ok(stream) => {
                // What is left of the time, in equal parts for the addresses that are left.
                let share = all_until.since(now) / (rest.len() as u64 + 1);
                return Ok(Connecting { stream, rest, until: now.plus(share), all_until, bind });
            }
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

fn open(address: &SockAddr, bind: Option<IpAddr>) -> io::Result<Socket> {
    let protocol = (!address.is_unix()).then_some(Protocol::TCP);
    let socket = Socket::new(Domain::from(i32::from(address.family())), Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    if !address.is_unix() {
        socket.set_tcp_nodelay(true)?;
    }
    if let Some(bind) = bind {
        socket.bind(&SocketAddr::new(bind, 0).into())?;
    }
    match socket.connect(address) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(socket)
}

impl Link {
    /// The socket, if there is one.
    pub(crate) fn stream(&self) -> Option<&Socket> {
        match self {
            Self::Connecting(connecting) => Some(&connecting.stream),
            Self::Greeting { stream, .. } | Self::Open { stream, .. } | Self::Lingering { stream, .. } => {
                Some(stream)
            }
            Self::Idle | Self::Waiting { .. } | Self::Resolving { .. } | Self::Ended => None,
        }
    }

    /// What to wait for; `reads` and `writes` are what an open connection wants.
    pub(crate) fn interest(&self, reads: bool, writes: bool) -> Interest {
        match self {
            Self::Connecting(_) => Interest { read: false, write: true },
            Self::Greeting { .. } => Interest { read: true, write: writes },
            Self::Open { .. } => Interest { read: reads, write: writes },
            Self::Lingering { .. } => Interest { read: true, write: false },
            Self::Idle | Self::Waiting { .. } | Self::Resolving { .. } | Self::Ended => Interest::default(),
        }
    }

    /// When it wants a turn even if nothing happens.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        match self {
            Self::Waiting { until }
            | Self::Resolving { until, .. }
            | Self::Greeting { until, .. }
            | Self::Lingering { until, .. } => Some(*until),
            Self::Connecting(connecting) => Some(connecting.until),
            Self::Open { close_until, .. } => *close_until,
            Self::Idle | Self::Ended => None,
        }
    }
}
