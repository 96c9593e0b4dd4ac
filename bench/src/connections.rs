//! Connections that come, are let in, say goodbye and go, and what each costs the server.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::process::cpu_time;
use ringmq_wire::{Connect, Disconnect, Packet, Properties, ReasonCode, Version};

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct Visits {
    /// Port of the server on loopback.
    pub port: u16,
    /// Process of the server.
    pub server_pid: u32,
    /// Connections that are counted; a tenth of them come before.
    pub connections: usize,
    /// Connections at a time.
    pub concurrency: usize,
}

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const PATIENCE: Duration = Duration::from_secs(10);

/// All steps of so many connections, step by step, so that a server finds several ready at a time.
fn volley(visits: &Visits, first: usize, count: usize) -> io::Result<()> {
    let goodbye = encode(&Packet::Disconnect(Disconnect {
        reason: ReasonCode::NORMAL_DISCONNECTION,
        properties: Properties::EMPTY,
    }));
    let mut streams = Vec::new();
    for number in first..first + count {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, visits.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&hello(number))?;
        streams.push(stream);
    }
    for stream in &mut streams {
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        if answer != CONNACK {
            return Err(io::Error::other(format!("{answer:02x?} instead of CONNACK")));
        }
    }
    for stream in &mut streams {
        stream.write_all(&goodbye)?;
    }
    for stream in &mut streams {
        if stream.read(&mut [0; 16])? > 0 {
            return Err(io::Error::other("bytes behind CONNACK"));
        }
    }
    Ok(())
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
    for first in (0..warm_up).step_by(concurrency) {
        volley(visits, first, concurrency)?;
    }
    let (before, began) = (cpu_time(visits.server_pid)?, Instant::now());
    let volleys = (0..all).step_by(concurrency);
    let connections = volleys.len() * concurrency;
    for first in volleys {
        volley(visits, warm_up + first, concurrency)?;
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_time(visits.server_pid)?.since(before));
    let each = |seconds: f64| seconds * 1e6 / connections as f64;
    Ok(format!(
        "{{\"connections\":{connections},\"seconds\":{seconds:.3},\"cpu_us\":{:.2},\"user_us\":{:.2},\"system_us\":{:.2}}}",
        each(cpu.total_seconds()),
        each(cpu.user_seconds),
        each(cpu.system_seconds),
    ))
}
