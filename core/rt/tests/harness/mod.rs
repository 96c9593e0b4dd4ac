//! What the tests of this folder share: brokers on both drivers, and a client of raw MQTT 3.1.1 and 5 bytes
//! on a blocking socket.
#![allow(dead_code)]

pub mod threads;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringmq_rt::{Driver, DriverChoice, Options, Running, start};
use ringmq_shard::{AllowAll, LogLevel, Settings};

/// How long anything here may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The drivers this machine can run: epoll always, io_uring unless it is forbidden here.
pub fn drivers() -> Vec<DriverChoice> {
    let auto = start(options(DriverChoice::Auto, 1)).unwrap();
    match auto.driver() {
        Driver::Uring => vec![DriverChoice::Epoll, DriverChoice::Uring],
        Driver::Epoll => vec![DriverChoice::Epoll],
    }
}

/// A broker on a free port of both families that lets everyone in.
pub fn options(driver: DriverChoice, shards: usize) -> Options {
    Options {
        shards,
        cpus: None,
        driver,
        listen: ["127.0.0.1:0", "[::1]:0"]
            .map(|address| address.parse::<std::net::SocketAddr>().unwrap().into())
            .into(),
        settings: Arc::new(Settings { sys_interval_seconds: 0, ..Settings::default() }),
        decider: Arc::new(|_, _| Box::new(AllowAll)),
        hooks: None,
        partition_key: *b"sixteen bytes it",
        seed: 1,
        log: Arc::new(|level, line| {
            if level == LogLevel::Error {
                eprintln!("{line}");
            }
        }),
        local_done: Arc::new(|_, _| ()),
        failed: Arc::new(|_| ()),
    }
}

/// Without moving connections to the shard of their session.
pub fn unmoved(mut options: Options) -> Options {
    options.settings = Arc::new(Settings { moving: false, ..(*options.settings).clone() });
    options
}

/// Collects the log's errors and above.
pub fn with_log(mut options: Options) -> (Options, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let sink = Arc::clone(&lines);
    options.log = Arc::new(move |level, line| {
        if level == LogLevel::Error {
            sink.lock().unwrap().push(line.to_owned());
        }
    });
    (options, lines)
}

/// The address of the first listener.
pub fn address(running: &Running) -> SocketAddr {
    running.addresses()[0]
}

/// A packet: its type and flags, its fixed and variable length as MQTT writes it, its body.
pub fn packet(head: u8, body: &[&[u8]]) -> Vec<u8> {
    let mut left: usize = body.iter().map(|part| part.len()).sum();
    let mut bytes = vec![head];
    loop {
        let more = if left > 127 { 0x80 } else { 0 };
        bytes.push((left & 127) as u8 | more);
        left >>= 7;
        if left == 0 {
            break;
        }
    }
    body.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// A string with its length before it.
pub fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// One client.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    /// A socket without a CONNECT.
    pub fn socket(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// CONNECT of 3.1.1 with a clean session, accepted.
    pub fn connect(address: SocketAddr, client_id: &str) -> Self {
        let mut client = Self::socket(address);
        client.send(&Self::connect_packet(client_id));
        assert_eq!(client.receive(), (0x20, vec![0, 0]), "CONNACK");
        client
    }

    /// CONNECT of 5.0 with a clean start, accepted.
    pub fn connect_v5(address: SocketAddr, client_id: &str) -> Self {
        let mut client = Self::socket(address);
        client.send(&packet(0x10, &[b"\x00\x04MQTT\x05\x02\x00\x00\x00", &text(client_id)]));
        let (head, body) = client.receive();
        assert_eq!((head, &body[..2]), (0x20, &[0, 0][..]), "CONNACK");
        client
    }

    /// CONNECT of 3.1.1 with a will of QoS 0.
    pub fn connect_with_will(address: SocketAddr, client_id: &str, topic: &str) -> Self {
        let mut client = Self::socket(address);
        let will = [text(topic), text("gone")].concat();
        client.send(&packet(0x10, &[b"\x00\x04MQTT\x04\x06\x00\x00", &text(client_id), &will]));
        assert_eq!(client.receive(), (0x20, vec![0, 0]), "CONNACK");
        client
    }

    /// CONNECT of 3.1.1 as bytes.
    pub fn connect_packet(client_id: &str) -> Vec<u8> {
        packet(0x10, &[b"\x00\x04MQTT\x04\x02\x00\x00", &text(client_id)])
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next packet: its first byte and its body.
    pub fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0];
        self.stream.read_exact(&mut head).unwrap();
        let (mut length, mut shift) = (0, 0);
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 127) << shift;
            shift += 7;
            if byte[0] < 128 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (head[0], body)
    }

    /// Whether the other end closes now, without another byte.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        matches!(self.stream.read_to_end(&mut rest), Ok(0)) || rest.is_empty()
    }

    /// SUBSCRIBE of 3.1.1, granted.
    pub fn subscribe(&mut self, filter: &str, qos: u8) {
        self.send(&packet(0x82, &[&[0, 1], &text(filter), &[qos]]));
        assert_eq!(self.receive(), (0x90, vec![0, 1, qos]), "SUBACK");
    }

    /// PUBLISH with QoS 0 of 3.1.1.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) {
        self.send(&packet(0x30, &[&text(topic), payload]));
    }

    /// PUBLISH with QoS 1 of 3.1.1, acknowledged.
    pub fn publish_acknowledged(&mut self, topic: &str, payload: &[u8]) {
        self.send(&packet(0x32, &[&text(topic), &[0, 7], payload]));
        assert_eq!(self.receive(), (0x40, vec![0, 7]), "PUBACK");
    }

    /// The payload of the next packet, which must be a PUBLISH with QoS 0 of 3.1.1 to this topic.
    pub fn message(&mut self, topic: &str) -> Vec<u8> {
        let (head, mut body) = self.receive();
        assert_eq!(head & 0xF6, 0x30, "PUBLISH with QoS 0");
        let name = text(topic);
        assert!(body.starts_with(&name), "topic");
        body.split_off(name.len())
    }

    /// PINGREQ and its answer.
    pub fn ping(&mut self) {
        self.send(&[0xC0, 0]);
        assert_eq!(self.receive(), (0xD0, Vec::new()), "PINGRESP");
    }
}
