//! A server that does what a test tells it, packet by packet, and one that echoes.
#![allow(dead_code, reason = "each test program uses a part of it")]

use ringmq_client::Options;
use ringmq_wire::{
    Ack, Connack, Packet, PacketId, PacketKind, Properties, Publish, Qos, ReasonCode, Sender, Suback,
    TopicName, Unsuback, Version, decode, frame,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a script waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Server {
    listener: TcpListener,
}

impl Server {
    pub fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub fn options(&self, version: Version) -> Options {
        Options::new("127.0.0.1", self.port()).version(version).client_id("c")
    }

    /// The next connection, before CONNECT.
    pub fn accept(&self) -> Connection {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream, input: Vec::new(), version: Version::V5 }
    }

    /// The next connection, accepted.
    pub fn connected(&self, session_present: bool) -> Connection {
        let mut connection = self.accept();
        connection.expect(PacketKind::Connect);
        connection.send(&connack(session_present));
        connection
    }

    /// Runs a script on a thread of its own.
    pub fn run<T: Send + 'static>(self, script: impl FnOnce(Self) -> T + Send + 'static) -> JoinHandle<T> {
        std::thread::spawn(move || script(self))
    }

    /// Serves one connection until it ends: grants what is asked, and sends every message back.
    pub fn echo(self) -> JoinHandle<()> {
        self.run(|server| {
            let mut connection = server.connected(false);
            while let Some(kind) = connection.answer() {
                if kind == PacketKind::Disconnect {
                    break;
                }
            }
        })
    }
}

pub fn connack(session_present: bool) -> Packet<'static> {
    Packet::Connack(Connack { session_present, reason: ReasonCode::SUCCESS, properties: Properties::EMPTY })
}

pub fn message<'a>(payload: &'a [u8], qos: Qos, packet_id: u16) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: TopicName::new("t").unwrap(),
        packet_id: PacketId::new(packet_id),
        properties: Properties::EMPTY,
        payload,
    })
}

pub struct Connection {
    pub stream: TcpStream,
    input: Vec<u8>,
    version: Version,
}

/// A packet of the client, with what tests ask about.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub kind: PacketKind,
    pub packet_id: u16,
    pub dup: bool,
    pub qos: u8,
    pub payload: Vec<u8>,
    pub codes: usize,
    pub reason: u8,
    pub clean_start: bool,
}

impl Connection {
    pub fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The client's next packet; nothing when it has closed.
    pub fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some(frame) = frame::split(&self.input, u32::MAX).unwrap() {
                let packet = decode(self.version, Sender::Client, &frame).unwrap();
                let seen = seen(&packet);
                if let Packet::Connect(connect) = packet {
                    self.version = connect.version;
                }
                let bytes = frame.bytes;
                self.input.drain(..bytes);
                return Some(seen);
            }
            let mut buffer = [0; 16 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(bytes) => self.input.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the client sent nothing: {error}"),
            }
        }
    }

    pub fn expect(&mut self, kind: PacketKind) -> Seen {
        let seen = self.next().unwrap_or_else(|| panic!("closed instead of {kind:?}"));
        assert_eq!(seen.kind, kind, "{seen:?}");
        seen
    }

    /// Takes a packet and does what a server would do; echoes messages at their QoS.
    fn answer(&mut self) -> Option<PacketKind> {
        let seen = self.next()?;
        let packet_id = PacketId::new(seen.packet_id).unwrap_or(PacketId::MIN);
        let properties = Properties::EMPTY;
        let codes = vec![0; seen.codes];
        match seen.kind {
            PacketKind::Subscribe => {
                self.send(&Packet::Suback(Suback { packet_id, properties, codes: &codes }))
            }
            PacketKind::Unsubscribe => {
                let codes = if self.version == Version::V5 { &codes[..] } else { &[] };
                self.send(&Packet::Unsuback(Unsuback { packet_id, properties, codes }));
            }
            PacketKind::Publish => {
                match seen.qos {
                    1 => self.send(&Packet::Puback(Ack::success(packet_id))),
                    2 => self.send(&Packet::Pubrec(Ack::success(packet_id))),
                    _ => {}
                }
                self.send(&message(&seen.payload, Qos::from_u8(seen.qos).unwrap(), seen.packet_id));
            }
            PacketKind::Pubrel => self.send(&Packet::Pubcomp(Ack::success(packet_id))),
            PacketKind::Pubrec => self.send(&Packet::Pubrel(Ack::success(packet_id))),
            PacketKind::Pingreq => self.send(&Packet::Pingresp),
            _ => {}
        }
        Some(seen.kind)
    }
}

fn seen(packet: &Packet<'_>) -> Seen {
    let mut seen = Seen {
        kind: packet.kind(),
        packet_id: 0,
        dup: false,
        qos: 0,
        payload: Vec::new(),
        codes: 0,
        reason: 0,
        clean_start: false,
    };
    match packet {
        Packet::Connect(connect) => seen.clean_start = connect.clean_start,
        Packet::Publish(publish) => {
            seen.packet_id = publish.packet_id.map_or(0, PacketId::value);
            seen.dup = publish.dup;
            seen.qos = publish.qos.value();
            seen.payload = publish.payload.to_vec();
        }
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            seen.packet_id = ack.packet_id.value();
            seen.reason = ack.reason.value();
        }
        Packet::Subscribe(subscribe) => {
            seen.packet_id = subscribe.packet_id.value();
            seen.codes = subscribe.filters.len();
        }
        Packet::Unsubscribe(unsubscribe) => {
            seen.packet_id = unsubscribe.packet_id.value();
            seen.codes = unsubscribe.filters.len();
        }
        Packet::Disconnect(disconnect) => seen.reason = disconnect.reason.value(),
        _ => {}
    }
    seen
}
