//! What the tests of the guard share: a folder that goes away, and a client that says what it saw.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ringmq::{Broker, DriverChoice, Options, Shards};
use ringmq_wire::{
    Connect, Packet, PacketId, Properties, Publish, Qos, Sender, Subscribe, SubscribeFilters,
    SubscriptionOptions, TopicName, Version, Will, decode, frame,
};

pub const SOON: Duration = Duration::from_secs(20);

/// A folder that goes away with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ringmq-guard-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn options() -> Options {
    Options::default().port(0).shards(Shards::Count(2)).driver(DriverChoice::Epoll).sys_interval(0)
}

/// A client of one version.
pub struct Client {
    stream: TcpStream,
    version: Version,
    received: Vec<u8>,
}

#[derive(Debug, PartialEq)]
pub enum Seen {
    Connack(u8),
    Puback(u8),
    Pubrec(u8),
    Suback(Vec<u8>),
    Publish(String),
    Pong,
    Disconnect(u8),
    Closed,
}

impl Client {
    pub fn dial(broker: &Broker, version: Version) -> Self {
        Self::dial_at(broker.addresses()[0], version)
    }

    pub fn dial_at(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self { stream, version, received: Vec::new() }
    }

    pub fn send(&mut self, packet: &Packet<'_>) {
        let mut out = Vec::new();
        packet.encode(self.version, &mut out);
        self.stream.write_all(&out).unwrap();
    }

    pub fn next(&mut self) -> Seen {
        loop {
            if let Some(frame) = frame::split(&self.received, u32::MAX).unwrap() {
                let bytes = frame.bytes;
                let seen = seen(&decode(self.version, Sender::Server, &frame).unwrap());
                self.received.drain(..bytes);
                return seen;
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Seen::Closed,
                Ok(count) => self.received.extend_from_slice(&piece[..count]),
                // A read with a timeout is not begun again by the kernel.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub fn ask(&mut self, packet: &Packet<'_>) -> Seen {
        self.send(packet);
        self.next()
    }

    /// Connects; the code that comes back. 3.x codes as those of 5.0 they stand for.
    pub fn log_in(
        &mut self,
        client_id: &str,
        user: Option<&str>,
        password: Option<&str>,
        will: Option<&str>,
    ) -> u8 {
        let connect = Connect {
            version: self.version,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id,
            will: will.map(|topic| Will {
                topic: TopicName::new(topic).unwrap(),
                payload: b"",
                qos: Qos::AtMostOnce,
                retain: false,
                properties: Properties::EMPTY,
            }),
            user_name: user,
            password: password.map(str::as_bytes),
            properties: Properties::EMPTY,
        };
        match self.ask(&Packet::Connect(connect)) {
            Seen::Connack(code) => code,
            other => panic!("{other:?}"),
        }
    }

    pub fn publish(&mut self, topic: &str, qos: Qos, retain: bool) {
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain,
            topic: TopicName::new(topic).unwrap(),
            packet_id: PacketId::new(1).filter(|_| qos > Qos::AtMostOnce),
            properties: Properties::EMPTY,
            payload: b"x",
        }));
    }

    pub fn subscribe(&mut self, filter: &str) -> Seen {
        let mut raw = Vec::new();
        SubscribeFilters::encode_one(filter, SubscriptionOptions::default(), &mut raw).unwrap();
        let filters = SubscribeFilters::from_encoded(self.version, &raw).unwrap();
        self.ask(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(9).unwrap(),
            properties: Properties::EMPTY,
            filters,
        }))
    }

    /// All publishes that came until now, by their topics: what a ping brings back behind them.
    pub fn topics(&mut self) -> Vec<String> {
        self.send(&Packet::Pingreq);
        let mut topics = Vec::new();
        loop {
            match self.next() {
                Seen::Publish(topic) => topics.push(topic),
                Seen::Pong => return topics,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn seen(packet: &Packet<'_>) -> Seen {
    match packet {
        Packet::Connack(connack) => Seen::Connack(connack.reason.value()),
        Packet::Puback(ack) => Seen::Puback(ack.reason.value()),
        Packet::Pubrec(ack) => Seen::Pubrec(ack.reason.value()),
        Packet::Suback(suback) => Seen::Suback(suback.codes.to_vec()),
        Packet::Publish(publish) => Seen::Publish(publish.topic.as_str().to_owned()),
        Packet::Pingresp => Seen::Pong,
        Packet::Disconnect(disconnect) => Seen::Disconnect(disconnect.reason.value()),
        other => panic!("{other:?}"),
    }
}
