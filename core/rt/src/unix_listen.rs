//! Listening Unix sockets: made with their permissions before anybody can connect, left behind by nobody, and taken
//! over from a process that was killed.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::error::StartError;
use crate::limits::BACKLOG;
use crate::listen::UnixPlace;

/// A socket in the file system; dropping this removes it, unless something else has come to its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// What tells a file from another that has come to its place. A number of a removed file is given out again, so its
/// last change belongs to it.
type Identity = (u64, u64, i64, i64);

fn identity(path: &Path) -> io::Result<Identity> {
    let now = fs::symlink_metadata(path)?;
    Ok((now.dev(), now.ino(), now.ctime(), now.ctime_nsec()))
}

impl SocketFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket, sets its owner and permissions, and listens.
pub(crate) fn unix_listener(place: &UnixPlace) -> Result<(Socket, SocketFile), StartError> {
    let failed = |error| StartError::ListenUnix { path: place.path.clone(), error };
    make(place).map_err(failed)
}

fn make(place: &UnixPlace) -> io::Result<(Socket, SocketFile)> {
    let path = &place.path;
    remove_left_behind(path)?;
    let socket = socket()?;
    socket.bind(&SockAddr::unix(path)?)?;
    let mut file = SocketFile { path: path.clone(), identity: identity(path)? };
    // Nobody connects before it listens, so nobody finds other permissions than these.
    if place.owner.is_some() || place.group.is_some() {
        chown(path, place.owner, place.group)?;
    }
    if let Some(mode) = place.mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    file.identity = identity(path)?;
    socket.listen(BACKLOG)?;
    Ok((socket, file))
}

fn socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
}

/// Removes a socket that nobody listens at any more: whoever made it was killed. Anything else there stays, and the
/// bind will say that the place is taken.
fn remove_left_behind(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        return Ok(());
    }
    match socket()?.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn place(name: &str) -> UnixPlace {
        let path = std::env::temp_dir().join(format!("ringmq-{}-{name}", std::process::id()));
        UnixPlace { path, mode: Some(0o600), ..UnixPlace::default() }
    }

    #[test]
    fn it_has_its_permissions_and_goes_with_its_listener() {
        let place = place("goes");
        let (socket, file) = unix_listener(&place).unwrap();
        assert_eq!(fs::symlink_metadata(&place.path).unwrap().mode() & 0o777, 0o600);
        UnixStream::connect(&place.path).unwrap();
        drop((socket, file));
        assert!(!place.path.exists());
    }

    #[test]
    fn one_left_behind_is_taken_over_and_one_in_use_is_not() {
        let place = place("left");
        let (socket, file) = unix_listener(&place).unwrap();
        let error = unix_listener(&place).unwrap_err().to_string();
        assert!(error.contains("address already in use (another broker?)"), "{error}");
        UnixStream::connect(&place.path).unwrap();
        drop(socket);
        let (_socket, newer) = unix_listener(&place).unwrap();
        drop(file);
        UnixStream::connect(&place.path).expect("who is gone does not remove what another made");
        drop(newer);
        assert!(!place.path.exists());
    }

    #[test]
    fn what_is_no_socket_stays() {
        let place = place("file");
        fs::write(&place.path, "precious").unwrap();
        assert!(unix_listener(&place).is_err());
        assert_eq!(fs::read(&place.path).unwrap(), b"precious");
        fs::remove_file(&place.path).unwrap();
        let long = UnixPlace { path: PathBuf::from(format!("/tmp/{}", "x".repeat(200))), ..place };
        assert!(unix_listener(&long).unwrap_err().to_string().contains("cannot listen on /tmp/xxx"));
    }
}
