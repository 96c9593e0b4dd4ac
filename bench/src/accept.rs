//! What a connection costs at least: a server that accepts, answers the first bytes with a CONNACK of 3.1.1,
//! closes at the next, and does nothing else: no parser, no session, no timer, no log.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net;

use crate::poller::Poller;

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
/// The listener, among the numbers of connections.
const LISTENER: usize = usize::MAX;
const BACKLOG: i32 = 1024;
const SLEEP: Duration = Duration::from_secs(3_600);

/// Serves on a port of loopback until something fails, with so many threads that share nothing.
///
/// # Errors
/// What failed: listening, accepting or waiting.
pub fn serve(port: u16, threads: usize) -> io::Result<()> {
    let mut servers = (0..threads.max(1)).map(|_| Server::new(port)).collect::<io::Result<Vec<_>>>()?;
    let (first, others) = servers.split_at_mut(1);
    std::thread::scope(|scope| {
        for server in others {
            scope.spawn(|| server.serve());
        }
        first[0].serve()
    })
}

/// One of several listeners on a port.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None)?;
    net::sockopt::set_socket_reuseport(&socket, true)?;
    net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

struct Server {
    listener: TcpListener,
    poller: Poller,
    /// Each with whether it was answered.
    connections: Vec<Option<(TcpStream, bool)>>,
    free: Vec<usize>,
}

impl Server {
    fn new(port: u16) -> io::Result<Self> {
        let listener = listen(port)?;
        listener.set_nonblocking(true)?;
        let poller = Poller::new()?;
        poller.add(listener.as_fd(), LISTENER)?;
        Ok(Self { listener, poller, connections: Vec::new(), free: Vec::new() })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.poller.wait(&mut ready, SLEEP)?;
            for one in &ready {
                match one.index {
                    LISTENER => self.accept()?,
                    index => self.talk(index),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            // A broker does these two as well.
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.poller.add(&stream, index)?;
            self.connections[index] = Some((stream, false));
        }
    }

    fn talk(&mut self, index: usize) {
        let Some((stream, answered)) = &mut self.connections[index] else { return };
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(1..) if !*answered => {
                *answered = true;
                // Who does not take four bytes is closed at its next ones.
                let _ = stream.write(&CONNACK);
            }
            _ => {
                self.connections[index] = None;
                self.free.push(index);
            }
        }
    }
}
