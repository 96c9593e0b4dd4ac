//! The relay on readiness: epoll, `recv` and one `send` for each reader and turn.

use std::io::{self, Read as _};
use std::mem::MaybeUninit;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::{End, READ_BYTES_MAX, pass_on};

const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
/// Connections served in one turn.
const EVENTS_MAX: usize = 1024;

/// With so many bytes in one read a reader is sent them at once: a copy would cost more than the send that is saved.
const AT_ONCE_BYTES_MIN: usize = 16 << 10;

/// Relays until one connection ends.
pub(crate) fn relay(mut ends: Vec<End>) -> io::Result<()> {
    let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (place, end) in ends.iter().enumerate() {
        end.stream.set_nonblocking(true)?;
        epoll::add(&set, &end.stream, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)?;
    }
    let mut events = vec![MaybeUninit::uninit(); EVENTS_MAX];
    let (mut buffer, mut dirty) = (vec![0; READ_BYTES_MAX], Vec::new());
    loop {
        let (ready, _) = match epoll::wait(&set, &mut events[..], None) {
            Err(Errno::INTR) => continue,
            ready => ready?,
        };
        for event in ready.iter() {
            let (flags, data) = (event.flags, event.data);
            let place = data.u64() as usize;
            if flags.contains(epoll::EventFlags::OUT) && !ends[place].dirty {
                ends[place].dirty = true;
                dirty.push(place);
            }
            if flags == epoll::EventFlags::OUT {
                continue;
            }
            match ends[place].stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(bytes) if bytes >= AT_ONCE_BYTES_MIN && ends[place].grain_bytes == 1 => {
                    send_at_once(&mut ends, place, &buffer[..bytes], &mut dirty)?;
                }
                Ok(bytes) => pass_on(&mut ends, place, &buffer[..bytes], &mut dirty)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        for place in dirty.drain(..) {
            if !flush(&set, place, &mut ends[place])? {
                return Ok(());
            }
        }
    }
}

/// Sends what came from one connection to its readers, as far as there is room and nothing before it waits.
fn send_at_once(ends: &mut [End], from: usize, bytes: &[u8], dirty: &mut Vec<usize>) -> io::Result<()> {
    for place in 0..ends[from].readers.len() {
        let reader = ends[from].readers[place];
        let end = &mut ends[reader];
        // An error shows again with the send at the end of the turn.
        let sent = match end.out.is_empty() {
            true => send(&end.stream, bytes, SEND_FLAGS).unwrap_or(0),
            false => 0,
        };
        end.wait_for(&bytes[sent..])?;
        if sent < bytes.len() && !std::mem::replace(&mut end.dirty, true) {
            dirty.push(reader);
        }
    }
    Ok(())
}

/// Sends once. What finds no room waits until there is some. Whether the connection is still there.
fn flush(set: impl std::os::fd::AsFd, place: usize, end: &mut End) -> io::Result<bool> {
    end.dirty = false;
    match send(&end.stream, &end.out[end.sent..], SEND_FLAGS) {
        Ok(bytes) => end.sent += bytes,
        Err(Errno::AGAIN) => {}
        Err(Errno::PIPE | Errno::CONNRESET) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    if end.sent == end.out.len() {
        end.out.clear();
        end.sent = 0;
    }
    if end.watched == end.out.is_empty() {
        end.watched = !end.watched;
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, end.watched);
        epoll::modify(set, &end.stream, epoll::EventData::new_u64(place as u64), flags)?;
    }
    Ok(true)
}
