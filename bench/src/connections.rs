//! Connections that come, are let in, say goodbye and go, and what each costs the server.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::process::cpu_time;
use crate::{TlsPlan, server_name};
use ringmq_net::rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};
use ringmq_wire::{Connect, Disconnect, Packet, Properties, ReasonCode, Version};

/// What is done.
#[derive(Clone, Debug)]
pub struct Visits {
    /// Port of the server on loopback.
    pub port: u16,
    /// Process of the server.
    pub server_pid: u32,
    /// Connections that are counted; a tenth of them come before.
    pub connections: usize,
    /// Connections at a time.
    pub concurrency: usize,
    /// TLS, when the server speaks it.
    pub tls: Option<TlsPlan>,
}

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection as a client has it.
enum Link {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Link {
    /// Connects; with TLS the first message is on its way then, and no more.
    fn open(port: u16, tls: Option<&Arc<ClientConfig>>) -> io::Result<Link> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let Some(config) = tls else { return Ok(Link::Plain(stream)) };
        let connection = ClientConnection::new(Arc::clone(config), server_name());
        let mut connection = connection.map_err(io::Error::other)?;
        connection.write_tls(&mut stream)?;
        Ok(Link::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    fn is_resumed(&self) -> bool {
        match self {
            Link::Plain(_) => false,
            Link::Tls(tls) => tls.conn.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Link::Plain(stream) => stream.write_all(bytes),
            Link::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
        }
    }

    fn hear_exactly(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self {
            Link::Plain(stream) => stream.read_exact(bytes),
            Link::Tls(tls) => tls.read_exact(bytes),
        }
    }

    /// Waits for the end; whether nothing came before.
    fn hear_end(&mut self) -> io::Result<bool> {
        let end = match self {
            Link::Plain(stream) => stream.read(&mut [0; 16]),
            Link::Tls(tls) => tls.read(&mut [0; 16]),
        };
        match end {
            // Without the end that TLS has; nobody waits for more here.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
            end => Ok(end? == 0),
        }
    }
}

/// All steps of so many connections, step by step, so that a server finds several ready at a time; how many of them
/// resumed a TLS session. Each place of a volley has a memory for its sessions.
fn volley(visits: &Visits, configs: &[Arc<ClientConfig>], first: usize) -> io::Result<usize> {
    let goodbye = encode(&Packet::Disconnect(Disconnect {
        reason: ReasonCode::NORMAL_DISCONNECTION,
        properties: Properties::EMPTY,
    }));
    let open = |place| Link::open(visits.port, configs.get(place));
    let mut links = (0..visits.concurrency).map(open).collect::<io::Result<Vec<_>>>()?;
    for (place, link) in links.iter_mut().enumerate() {
        link.say(&hello(first + place))?;
    }
    for link in &mut links {
        let mut answer = [0; 4];
        link.hear_exactly(&mut answer)?;
        if answer != CONNACK {
            return Err(io::Error::other(format!("{answer:02x?} instead of CONNACK")));
        }
    }
    for link in &mut links {
        link.say(&goodbye)?;
    }
    for link in &mut links {
        if !link.hear_end()? {
            return Err(io::Error::other("bytes behind CONNACK"));
        }
    }
    Ok(links.iter().filter(|link| link.is_resumed()).count())
}

fn hello(number: usize) -> Vec<u8> {
    encode(&Packet::Connect(Connect {
        version: Version::V311,
        bridge: false,
        clean_start: true,
        keep_alive: 60,
        client_id: &format!("client-{number:08}"),
        will: None,
        user_name: None,
        password: None,
        properties: Properties::EMPTY,
    }))
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(Version::V311, &mut bytes);
    bytes
}

/// Makes the visits; one line of JSON with the processor time that each cost the server.
///
/// # Errors
/// A connection was not served as it should, or the server's time could not be read.
pub fn run(visits: &Visits) -> io::Result<String> {
    let concurrency = visits.concurrency;
    let (warm_up, all) = (visits.connections / 10, visits.connections);
    let config = |tls: &TlsPlan| (0..concurrency).map(|_| tls.config()).collect::<Result<Vec<_>, _>>();
    let configs = visits.tls.as_ref().map(config).transpose().map_err(io::Error::other)?.unwrap_or_default();
    for first in (0..warm_up).step_by(concurrency) {
        volley(visits, &configs, first)?;
    }
    let (before, began) = (cpu_time(visits.server_pid)?, Instant::now());
    let volleys = (0..all).step_by(concurrency);
    let connections = volleys.len() * concurrency;
    let mut resumed = 0;
    for first in volleys {
        resumed += volley(visits, &configs, warm_up + first)?;
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_time(visits.server_pid)?.since(before));
    let each = |seconds: f64| seconds * 1e6 / connections as f64;
    Ok(format!(
        "{{\"connections\":{connections},\"resumed\":{resumed},\"seconds\":{seconds:.3},\"cpu_us\":{:.2},\"user_us\":{:.2},\"system_us\":{:.2}}}",
        each(cpu.total_seconds()),
        each(cpu.user_seconds),
        each(cpu.system_seconds),
    ))
}
