//! Why a broker did not start. Each variant says what is wrong in a line that an operator can act on.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a broker did not start. Nothing of it is left running.
#[derive(Debug)]
pub enum StartError {
    /// The number of shards is not between 1 and the maximum. The caller asks for fewer.
    Shards {
        /// What was asked for.
        asked: usize,
        /// The most there can be.
        max: usize,
    },
    /// An empty list of CPUs to pin to. The caller gives one, or none at all.
    NoCpus,
    /// No address to listen on. The caller gives one.
    NoAddress,
    /// An address cannot be listened on. The operator frees it or chooses another.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A Unix socket cannot be made or listened at. The operator frees its path or chooses another.
    ListenUnix {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The limit on locked memory is too small for io_uring. The operator raises it or uses epoll.
    Memlock {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// io_uring cannot be used here. The operator allows it or uses epoll.
    Uring {
        /// Why.
        reason: String,
    },
    /// A shard's thread could not be pinned to its CPU. The operator chooses CPUs of the affinity mask.
    Pin {
        /// Which CPU.
        cpu: usize,
        /// What the system said.
        error: io::Error,
    },
    /// A thread, an executor or a descriptor could not be made. The operator raises the limit it names.
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A shard panicked while it was set up: a fault of the broker.
    Panicked {
        /// What it said.
        message: String,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shards { asked, max } => {
                write!(f, "{asked} shards were asked for; a broker has 1 to {max}")
            }
            Self::NoCpus => f.write_str("the list of CPUs to pin to is empty"),
            Self::NoAddress => f.write_str("there is no address to listen on"),
            Self::Listen { address, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {address}: address already in use (another broker?)")
            }
            Self::Listen { address, error } => {
                write!(f, "cannot listen on {address}: {error}{}", remedy(error))
            }
            Self::ListenUnix { path, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "cannot listen on {}: address already in use (another broker?)", path.display())
            }
            Self::ListenUnix { path, error } => {
                write!(f, "cannot listen on {}: {error}{}", path.display(), remedy(error))
            }
            Self::Memlock { needed, allowed } => write!(
                f,
                "io_uring needs {} KiB of lockable memory and this process may lock {} KiB: raise it with \
                 `ulimit -l` or LimitMEMLOCK= in the service file, or use --driver epoll",
                needed >> 10,
                allowed >> 10
            ),
            Self::Uring { reason } => {
                write!(f, "io_uring cannot be used here: {reason}; use --driver epoll")
            }
            Self::Pin { cpu, error } => write!(f, "cannot pin a shard to CPU {cpu}: {error}"),
            Self::System { doing, error } => write!(f, "{doing} failed: {error}{}", remedy(error)),
            Self::Panicked { message } => write!(f, "a shard panicked while starting: {message}"),
        }
    }
}

/// What an operator can do about an error of the system, to be put behind it; nothing where nothing is known.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => {
            "; this process has all the descriptors it may have: raise the limit with `ulimit -n` or \
             LimitNOFILE= in the service file, or let fewer clients in"
        }
        Some(libc::ENFILE) => {
            "; this machine has no descriptor left: raise the sysctl fs.file-max, or let fewer clients in"
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => "; the kernel has no memory left for it",
        _ => "",
    }
}

impl StartError {
    /// Why an executor did not start. glommio hands errors on as text, in which the system's number is looked
    /// for; no memory means locked memory that suffices for some shards and not for all.
    pub(crate) fn of_executor(error: io::Error) -> Self {
        let text = error.to_string();
        let number = text.split_once("(os error ").and_then(|(_, rest)| rest.split_once(')'));
        let number = number.and_then(|(number, _)| number.parse().ok());
        if number != Some(libc::ENOMEM) {
            let error = number.map_or(error, io::Error::from_raw_os_error);
            return Self::System { doing: "starting an executor", error };
        }
        let reason = "there is not enough lockable memory for an executor of every shard: raise it with \
                      `ulimit -l` or LimitMEMLOCK= in the service file, or start fewer shards";
        Self::Uring { reason: String::from(reason) }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { error, .. } | Self::Pin { error, .. } | Self::System { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_lockable_memory_for_all_shards_says_what_to_do() {
        let short =
            StartError::of_executor(io::Error::other("IO error: Cannot allocate memory (os error 12)"));
        let text = short.to_string();
        assert!(text.contains("ulimit -l") && text.contains("--driver epoll"), "{text}");
        let starved = io::Error::other("IO error occurred: Too many open files (os error 24)");
        let text = StartError::of_executor(starved).to_string();
        assert!(text.contains("ulimit -n") && text.contains("Too many open files"), "{text}");
        let other = StartError::of_executor(io::Error::other("no thread")).to_string();
        assert_eq!(other, "starting an executor failed: no thread");
    }
}
