//! Sockets that the program has connected by itself: taken in as if a listener had accepted them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ringmq_shard::ShardId;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};

use crate::Running;
use crate::limits::ADOPTED_WAITING_MAX;
use crate::listener::Behind;
use crate::mailbox::Mail;

/// A socket on its way to its shard.
pub(crate) struct Adopted {
    pub(crate) fd: OwnedFd,
    pub(crate) address: Option<SocketAddr>,
    /// Number of the listener, whose settings and layers hold for it.
    pub(crate) listener: u16,
    pub(crate) behind: Behind,
}

/// A socket that was not taken, and why.
#[derive(Debug)]
pub struct AdoptError {
    /// Why.
    pub reason: AdoptReason,
    /// The socket, as it was but for its flags.
    pub socket: OwnedFd,
}

/// Why a socket is not taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum AdoptReason {
    /// It is no stream socket that is connected; give one that is.
    NotConnected(io::Error),
    /// There is no listener of this number, or it has closed; give the number of one that is open.
    NoListener(usize),
    /// Too many wait for the shard; try later.
    Busy,
    /// The broker has stopped.
    Stopped,
}

impl fmt::Display for AdoptReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected(error) => write!(f, "this is no connected stream socket: {error}"),
            Self::NoListener(number) => write!(f, "there is no listener {number}"),
            Self::Busy => f.write_str("too many sockets wait for the broker"),
            Self::Stopped => f.write_str("the broker has stopped"),
        }
    }
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for AdoptError {}

impl Running {
    /// Hands a connected stream socket to a shard, which goes on with it as with one that the listener of this number has
    /// accepted: the same layers, bounds and settings. It becomes non-blocking, which others that have it see too.
    ///
    /// # Errors
    /// [`AdoptError`], with the socket.
    pub fn adopt(&self, socket: OwnedFd, listener: usize, shard: ShardId) -> Result<(), AdoptError> {
        let Some(behind) = self.behind(listener) else {
            return Err(AdoptError { reason: AdoptReason::NoListener(listener), socket });
        };
        let address = match prepare(socket.as_fd()) {
            Ok(address) => address,
            Err(error) => return Err(AdoptError { reason: AdoptReason::NotConnected(error.into()), socket }),
        };
        let adopted = Adopted { fd: socket, address, listener: listener as u16, behind: behind.clone() };
        self.shared.mailbox(shard).adopt(adopted)
    }
}

/// Checks a socket and makes it as those are that were accepted. The address of the other end, where it has one.
fn prepare(socket: BorrowedFd<'_>) -> rustix::io::Result<Option<SocketAddr>> {
    if sockopt::socket_type(socket)? != SocketType::STREAM || sockopt::socket_acceptconn(socket)? {
        return Err(Errno::PROTOTYPE);
    }
    let address = rustix::net::getpeername(socket)?;
    rustix::io::ioctl_fionbio(socket, true)?;
    rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC)?;
    if matches!(sockopt::socket_domain(socket)?, AddressFamily::INET | AddressFamily::INET6) {
        sockopt::set_tcp_nodelay(socket, true)?;
    }
    Ok(address.and_then(|address| address.try_into().ok()))
}

impl Mail {
    /// Takes a socket in, while there is room.
    pub(crate) fn adopt(&mut self, adopted: Adopted) -> Result<(), AdoptError> {
        let reason = match () {
            () if self.is_closed() => AdoptReason::Stopped,
            () if self.adopted.len() >= ADOPTED_WAITING_MAX => AdoptReason::Busy,
            () => {
                self.adopted.push(adopted);
                return Ok(());
            }
        };
        Err(AdoptError { reason, socket: adopted.fd })
    }
}
