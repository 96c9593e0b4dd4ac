//! `ringmq-relay`: the physical limit a broker is measured against. It passes bytes from publishers to readers and
//! does nothing that MQTT asks for: it parses nothing, matches nothing and remembers nothing.
//!
//! A turn reads each ready connection once, appends what came to the out-buffers of the readers and sends once to
//! each of them; with epoll what is large goes out at once, without the copy. So it costs what the kernel costs with the best batching a single thread can have, and no broker
//! on the same load can cost less. `--driver` says how it talks to the kernel; each driver is one page.

mod buffers;
mod epoll;
mod uring;

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use ringmq_bench::{HELLO_ANSWER, HELLO_BYTES, HELLO_TIMES, Hello, Role};

/// What one read may bring, in bytes: with large messages few calls, and still no more than the caches hold.
const READ_BYTES_MAX: usize = 256 << 10;
/// What may wait for one reader, in bytes. The load's window ends long before; past it the run ends.
const WAITING_BYTES_MAX: usize = 1 << 30;
/// How long a new connection may take for its hello.
const HELLO_MAX: Duration = Duration::from_secs(5);

/// Passes bytes from publishers to readers: what `ringmq-load --relay` drives to learn what the kernel costs.
///
/// Serves one run after the other until it is killed.
#[derive(Parser, Debug)]
#[command(name = "ringmq-relay", version)]
struct Arguments {
    /// Port to listen on, on 127.0.0.1; 0 takes a free one. The first line on standard output says which.
    #[arg(short, long, default_value_t = 1884)]
    port: u16,
    /// How it talks to the kernel.
    #[arg(long, default_value = "epoll")]
    driver: DriverName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DriverName {
    Epoll,
    Uring,
}

/// One connection and what a turn needs to know of it.
struct End {
    stream: TcpStream,
    /// The readers of what it sends, by their place.
    readers: Vec<usize>,
    /// What it sends is passed on in multiples of this.
    grain_bytes: usize,
    /// The message whose end has not come yet.
    held: Vec<u8>,
    /// What is to be sent to it.
    out: Vec<u8>,
    /// How much of that has left. With io_uring nothing, as a send is whole.
    sent: usize,
    /// What is being sent to it; with epoll nothing, as a send is over at once.
    sending: Vec<u8>,
    /// Whether it stands in the list of those to be sent to.
    dirty: bool,
    /// Whether epoll watches for room to send.
    watched: bool,
}

impl End {
    /// Appends bytes to what is to be sent.
    fn wait_for(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.out.len() > WAITING_BYTES_MAX {
            return Err(io::Error::other("a reader does not keep up"));
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}

/// Appends what came from one connection to the out-buffers of its readers.
fn pass_on(ends: &mut [End], from: usize, bytes: &[u8], dirty: &mut Vec<usize>) -> io::Result<()> {
    let readers = std::mem::take(&mut ends[from].readers);
    let mut held = std::mem::take(&mut ends[from].held);
    let whole = (held.len() + bytes.len()) / ends[from].grain_bytes * ends[from].grain_bytes;
    let (now, later) = bytes.split_at(whole.saturating_sub(held.len()));
    for &reader in readers.iter().filter(|_| whole > 0) {
        let end = &mut ends[reader];
        end.wait_for(&held)?;
        end.wait_for(now)?;
        if !std::mem::replace(&mut end.dirty, true) {
            dirty.push(reader);
        }
    }
    if whole > 0 {
        held.clear();
    }
    held.extend_from_slice(later);
    ends[from].held = held;
    ends[from].readers = readers;
    Ok(())
}

/// Waits for the connections of one run; whoever says no hello is sent away.
fn gather(listener: &TcpListener) -> io::Result<Vec<End>> {
    let mut arrived: Vec<(Hello, TcpStream)> = Vec::new();
    while arrived.first().is_none_or(|(hello, _)| arrived.len() < hello.connections as usize) {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(HELLO_MAX))?;
        stream.set_nodelay(true)?;
        let mut hello = None;
        for _ in 0..HELLO_TIMES {
            hello = hear(&mut stream)?;
        }
        arrived.extend(hello.map(|hello| (hello, stream)));
    }
    Ok(pair(arrived))
}

/// Hears one hello and answers it; nothing, and no answer, where something else is said.
fn hear(stream: &mut TcpStream) -> io::Result<Option<Hello>> {
    let mut bytes = [0; HELLO_BYTES];
    let hello = stream.read_exact(&mut bytes).ok().and_then(|()| Hello::from_bytes(&bytes));
    if hello.is_some() {
        stream.write_all(&[HELLO_ANSWER])?;
    }
    Ok(hello)
}

/// Gives every publisher the readers of its channel.
fn pair(arrived: Vec<(Hello, TcpStream)>) -> Vec<End> {
    let (mut readers, mut publishers) = (HashMap::<u32, Vec<usize>>::new(), HashMap::<u32, usize>::new());
    for (place, (hello, _)) in arrived.iter().enumerate() {
        match hello.role {
            Role::Reader => readers.entry(hello.channel).or_default().push(place),
            Role::Publisher => *publishers.entry(hello.channel).or_default() += 1,
        }
    }
    let end = |(hello, stream): (Hello, TcpStream)| End {
        stream,
        readers: match hello.role {
            Role::Publisher => readers.get(&hello.channel).cloned().unwrap_or_default(),
            Role::Reader => Vec::new(),
        },
        grain_bytes: match publishers.get(&hello.channel) {
            Some(2..) => hello.message_bytes as usize,
            _ => 1,
        },
        held: Vec::new(),
        out: Vec::new(),
        sent: 0,
        sending: Vec::new(),
        dirty: false,
        watched: false,
    };
    arrived.into_iter().map(end).collect()
}

fn serve(arguments: &Arguments) -> io::Result<()> {
    ringmq_bench::raise_descriptor_limit();
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], arguments.port)))?;
    println!("ringmq-relay listens on {}", listener.local_addr()?);
    loop {
        let ends = gather(&listener)?;
        match arguments.driver {
            DriverName::Epoll => epoll::relay(ends)?,
            DriverName::Uring => uring::relay(ends)?,
        }
    }
}

fn main() -> ExitCode {
    match serve(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringmq-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(hellos: &[(Role, u32, u32)]) -> Vec<End> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let hello = |&(role, channel, message_bytes): &(Role, u32, u32)| {
            (Hello { role, channel, connections: 9, message_bytes }, stream())
        };
        pair(hellos.iter().map(hello).collect())
    }

    fn outs(ends: &[End]) -> Vec<&[u8]> {
        ends.iter().map(|end| &end.out[..]).collect()
    }

    #[test]
    fn what_comes_goes_to_the_readers_of_its_channel() {
        let (publisher, reader) = (Role::Publisher, Role::Reader);
        let mut ends =
            ends(&[(reader, 1, 1), (publisher, 1, 4), (reader, 1, 1), (publisher, 2, 4), (reader, 2, 1)]);
        let mut dirty = Vec::new();
        pass_on(&mut ends, 1, b"abc", &mut dirty).unwrap();
        pass_on(&mut ends, 3, b"xyz", &mut dirty).unwrap();
        pass_on(&mut ends, 1, b"d", &mut dirty).unwrap();
        assert_eq!(outs(&ends), [&b"abcd"[..], b"", b"abcd", b"", b"xyz"]);
        assert_eq!(dirty, [0, 2, 4]);
    }

    #[test]
    fn publishers_that_share_a_reader_do_not_break_into_each_others_messages() {
        let mut ends = ends(&[(Role::Reader, 0, 1), (Role::Publisher, 0, 3), (Role::Publisher, 0, 2)]);
        let mut dirty = Vec::new();
        for (from, bytes) in [(1, "a"), (2, "1"), (1, "bcABC_"), (2, "2"), (1, "_"), (2, "34"), (1, "_def")] {
            pass_on(&mut ends, from, bytes.as_bytes(), &mut dirty).unwrap();
        }
        assert_eq!(outs(&ends), [&b"abcABC1234___def"[..], b"", b""]);
        assert_eq!(dirty, [0]);
    }
}
