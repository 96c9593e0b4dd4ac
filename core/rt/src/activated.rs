//! Sockets that a service manager has opened and handed over (sd_listen_fds(3)): their numbers begin at 3, and the
//! environment says how many there are, for which process, and what they are called.

use std::env;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::OnceLock;

/// The number of the first one.
const FIRST: RawFd = 3;
/// More than a service has; a wrong number in the environment is not believed.
const SOCKETS_MAX: RawFd = 1024;
/// What one is called when nobody has named it.
const NAMELESS: &str = "unknown";

/// A listening socket that was handed over to this process under this name, or, as a number from 0, at this place.
/// It may be asked for again: what is returned is a copy.
///
/// # Errors
/// When there is none of that name; the text says which there are.
pub fn activated(name: &str) -> io::Result<OwnedFd> {
    static SOCKETS: OnceLock<Vec<(String, OwnedFd)>> = OnceLock::new();
    let sockets = SOCKETS.get_or_init(take_over);
    let by_number = || name.parse().ok().and_then(|place: usize| sockets.get(place));
    match sockets.iter().find(|(known, _)| known == name).or_else(by_number) {
        Some((_, socket)) => rustix::io::fcntl_dupfd_cloexec(socket, 0).map_err(Into::into),
        None => Err(io::Error::new(io::ErrorKind::NotFound, missing(name, sockets))),
    }
}

fn missing(name: &str, sockets: &[(String, OwnedFd)]) -> String {
    if sockets.is_empty() {
        return format!("no socket `{name}` was handed over, nor any other (LISTEN_FDS, LISTEN_PID)");
    }
    let known: Vec<_> = sockets.iter().map(|(known, _)| known.as_str()).collect();
    format!("no socket `{name}` was handed over; there are {} (FileDescriptorName=)", known.join(", "))
}

fn take_over() -> Vec<(String, OwnedFd)> {
    let number = |name: &str| env::var(name).ok()?.parse::<RawFd>().ok();
    if number("LISTEN_PID") != Some(std::process::id() as RawFd) {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, SOCKETS_MAX);
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty());
    (FIRST..FIRST + count)
        .map(|fd| {
            // SAFETY: whoever started this process says by LISTEN_PID and LISTEN_FDS that these numbers are open and
            // ours to own; they are taken once, here, and given out as copies only.
            let socket = unsafe { OwnedFd::from_raw_fd(fd) };
            (names.next().unwrap_or(NAMELESS).to_owned(), socket)
        })
        .collect()
}
