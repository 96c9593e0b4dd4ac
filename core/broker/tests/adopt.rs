//! Sockets that the program has connected by itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ringmq::{AdoptReason, Broker, DriverChoice, Options, PublishOptions, Qos, Shards};

/// CONNECT of MQTT 3.1.1 with a ClientID of one letter, and SUBSCRIBE to `t`, in one piece.
fn connect_and_subscribe(letter: u8) -> Vec<u8> {
    let mut bytes = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01".to_vec();
    bytes.push(letter);
    bytes.extend_from_slice(b"\x82\x06\x00\x01\x00\x01t\x00");
    bytes
}

const ANSWERS: &[u8] = b"\x20\x02\x00\x00\x90\x03\x00\x01\x00";
const MESSAGE: &[u8] = b"\x30\x04\x00\x01tx";

fn options(shards: u16, driver: DriverChoice) -> Options {
    Broker::builder().port(0).shards(Shards::Count(shards)).driver(driver)
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// A client at the other end of an adopted socket is served, and told when the broker stops.
fn check(broker: Broker, mut near: impl Read + Write, far: impl Into<OwnedFd>, letter: u8) {
    // What came before the socket was handed over counts.
    near.write_all(&connect_and_subscribe(letter)).unwrap();
    broker.adopt(far.into(), 0).unwrap();
    let mut answers = vec![0; ANSWERS.len()];
    near.read_exact(&mut answers).unwrap();
    assert_eq!(answers, ANSWERS);
    let published = broker.handle().unwrap().publish("t", "x", PublishOptions::qos(Qos::AtLeastOnce));
    assert_eq!(published.unwrap().matched, 1);
    let mut message = vec![0; MESSAGE.len()];
    near.read_exact(&mut message).unwrap();
    assert_eq!(message, MESSAGE);
    assert_eq!(broker.stop().left, 0);
    assert_eq!(near.read(&mut [0; 10]).unwrap(), 0, "the broker has closed it");
}

#[test]
fn clients_at_adopted_sockets_are_served() {
    for driver in [DriverChoice::Auto, DriverChoice::Epoll] {
        for shards in [1, 2] {
            // On two shards some of these sessions live on another shard than the one that took the socket.
            for letter in b'a'..=b'd' {
                let (near, far) = tcp_pair();
                near.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                check(options(shards, driver).start().unwrap(), near, far, letter);
                let (near, far) = UnixStream::pair().unwrap();
                near.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                check(options(shards, driver).start().unwrap(), near, far, letter);
            }
        }
    }
}

#[test]
fn what_is_no_connected_stream_is_given_back() {
    let broker = options(1, DriverChoice::Auto).start().unwrap();
    let refused: [OwnedFd; 3] = [
        TcpListener::bind("127.0.0.1:0").unwrap().into(),
        UdpSocket::bind("127.0.0.1:0").unwrap().into(),
        std::fs::File::open("/dev/null").unwrap().into(),
    ];
    for socket in refused {
        let error = broker.adopt(socket, 0).unwrap_err();
        assert!(matches!(error.reason, AdoptReason::NotConnected(_)), "{error}");
    }
    let error = broker.adopt(UnixStream::pair().unwrap().0.into(), 9).unwrap_err();
    assert!(matches!(error.reason, AdoptReason::NoListener(9)), "{error}");
    assert_eq!(error.to_string(), "there is no listener 9");
}

/// The bounds of the listener's shard hold for adopted sockets too.
#[test]
fn adopted_sockets_count_as_connections() {
    let broker = options(1, DriverChoice::Auto).connections_max(1).start().unwrap();
    let (mut first, far) = UnixStream::pair().unwrap();
    broker.adopt(far.into(), 0).unwrap();
    first.write_all(&connect_and_subscribe(b'a')).unwrap();
    first.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    first.read_exact(&mut vec![0; ANSWERS.len()]).unwrap();
    let (mut second, far) = UnixStream::pair().unwrap();
    broker.adopt(far.into(), 0).unwrap();
    second.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(second.read(&mut [0; 10]).unwrap(), 0, "it is closed at once");
    assert_eq!(broker.counters().sum(|counters| &counters.connections_refused), 1);
}
