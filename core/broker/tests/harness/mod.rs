//! What several tests of this folder share: brokers on both drivers, a client of MQTT 5 on a blocking socket,
//! an executor of one thread, and a look at what the process holds.
#![allow(dead_code)]

#[path = "../../../rt/tests/harness/threads.rs"]
pub mod threads;

use std::fs;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use ringmq::{Broker, Driver, DriverChoice, Options, Properties, Qos, Shards};
use ringmq_wire::{Connect, Packet, PacketId, Publish, TopicName, Version};

/// How long anything here may take before the test fails.
pub const SOON: Duration = Duration::from_secs(10);

/// The drivers this machine can run: epoll always, io_uring unless it is forbidden here.
pub fn drivers() -> Vec<DriverChoice> {
    let auto = Broker::builder().port(0).shards(Shards::Count(1)).start().unwrap();
    let drivers = match auto.driver() {
        Driver::Uring => vec![DriverChoice::Epoll, DriverChoice::Uring],
        Driver::Epoll => vec![DriverChoice::Epoll],
    };
    auto.stop();
    drivers
}

/// A broker on a free port of 127.0.0.1.
pub fn options(driver: DriverChoice, shards: u16) -> Options {
    Broker::builder().port(0).shards(Shards::Count(shards)).driver(driver)
}

/// A program of the examples folder, built with the tests.
pub fn example(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_ringmq")).with_file_name("examples").join(name);
    assert!(path.is_file(), "{} is missing: cargo build -p ringmq --examples", path.display());
    path
}

/// Waits until it holds; says whether it came to that in time.
pub fn eventually(holds: impl Fn() -> bool) -> bool {
    let until = Instant::now() + SOON;
    while !holds() && Instant::now() < until {
        thread::sleep(Duration::from_millis(2));
    }
    holds()
}

/// Descriptors this process has open.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Threads of this process that belong to a broker.
pub fn broker_threads() -> usize {
    threads::thread_names().iter().filter(|name| name.starts_with("ringmq-shard")).count()
}

/// Wakes the thread that polls.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread; one that is never woken fails the test.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    let deadline = Instant::now() + SOON;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        assert!(Instant::now() < deadline, "nobody woke the future");
        thread::park_timeout(SOON);
    }
}

/// One client of MQTT 5.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connected with a clean start, and accepted.
    pub fn connect(address: SocketAddr, client_id: &str) -> Self {
        let mut client = Self::socket(address);
        client.send_connect(client_id);
        let (kind, connack) = client.receive().expect("CONNACK");
        assert_eq!((kind, connack[1]), (0x20, 0), "CONNACK");
        client
    }

    /// A socket without a CONNECT.
    pub fn socket(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self { stream }
    }

    /// Sends CONNECT.
    pub fn send_connect(&mut self, client_id: &str) {
        self.send(&Packet::Connect(Connect {
            version: Version::V5,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        }));
    }

    /// Sends PUBLISH with QoS 1 and this packet identifier, without waiting for the answer.
    pub fn send_publish(&mut self, topic: &str, packet_id: u16) {
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos: Qos::AtLeastOnce,
            retain: false,
            topic: TopicName::new(topic).unwrap(),
            packet_id: PacketId::new(packet_id),
            properties: Properties::EMPTY,
            payload: b"x",
        }));
    }

    fn send(&mut self, packet: &Packet<'_>) {
        let mut out = Vec::new();
        packet.encode(Version::V5, &mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// The next packet: its first byte, and what follows the length; nothing when the broker closes.
    pub fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        match self.stream.read_exact(&mut head) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no packet and no end in time")
            }
            Err(_) => return None,
            Ok(()) => {}
        }
        assert!(head[1] < 0x80, "no packet here is longer than 127 bytes");
        let mut body = vec![0; usize::from(head[1])];
        self.stream.read_exact(&mut body).unwrap();
        Some((head[0], body))
    }
}
