//! The client over real sockets against a scripted server.

mod scripted;

use ringmq_client::{
    Acknowledgement, AsyncClient, Backoff, Client, ConnectError, ConnectionState, Error, Event, Goodbye,
    Options, Publish, Qos, ReasonCode, RecvError, RequestError, Stopped, Version,
};
use ringmq_wire::{Ack, Connack, Disconnect, Packet, PacketId, PacketKind, Properties};
use scripted::{PATIENCE, Server, connack, message};
use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn quick() -> Option<Backoff> {
    Some(Backoff { min: Duration::from_millis(10), max: Duration::from_millis(50) })
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

/// Clauses: [MQTT-7.1.2-1 of 3.1.1].
#[test]
fn talks_to_a_server_in_every_version() {
    for version in VERSIONS {
        let server = Server::new();
        let options = server.options(version);
        let server = server.echo();
        let client = Client::connect(options).unwrap();
        assert_eq!(client.state(), ConnectionState::Connected);
        assert_eq!(client.subscribe([("a/#", Qos::ExactlyOnce), ("b", Qos::AtMostOnce)]).unwrap().len(), 2);
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let text = format!("at {qos:?}");
            let receipt = client.publish(Publish::new("t", text.clone()).qos(qos)).unwrap();
            assert_eq!(receipt.wait().unwrap(), ReasonCode::SUCCESS);
            let message = client.recv_timeout(PATIENCE).unwrap();
            assert_eq!((message.topic(), &message.payload()[..], message.qos()), ("t", text.as_bytes(), qos));
        }
        assert_eq!(client.unsubscribe(["a/#", "b"]).unwrap().len(), 2);
        assert_eq!(client.unfinished(), 0);
        client.disconnect().unwrap();
        assert!(matches!(client.stopped(), Some(Stopped::Requested)));
        assert!(matches!(client.publish(("t", "late")), Err(Error::Stopped)));
        assert_eq!(client.recv_timeout(PATIENCE).unwrap_err(), RecvError::Stopped);
        assert!(client.recv().is_none());
        server.join().unwrap();
    }
}

#[test]
fn large_messages_both_ways() {
    let server = Server::new();
    let options = server.options(Version::V5);
    let server = server.echo();
    let client = Client::connect(options).unwrap();
    let payload: Vec<u8> = (0..3_000_000_u32).map(|at| at as u8).collect();
    let receipt = client.publish(Publish::new("t", payload.clone()).qos(Qos::AtLeastOnce)).unwrap();
    receipt.wait().unwrap();
    assert!(client.recv_timeout(PATIENCE).unwrap().payload() == &payload);
    client.disconnect().unwrap();
    server.join().unwrap();
}

/// What was not acknowledged when the connection broke is sent again with DUP, and the receipt still gets
/// its answer.
#[test]
fn resumes_after_a_broken_connection() {
    let server = Server::new();
    let options = server.options(Version::V5).session_expiry_seconds(60).reconnect(quick());
    let script = server.run(|server| {
        let mut first = server.connected(false);
        assert_eq!(first.expect(PacketKind::Publish).payload, b"one");
        drop(first);
        let mut second = server.accept();
        assert!(!second.expect(PacketKind::Connect).clean_start, "the second connection resumes");
        second.send(&connack(true));
        let again = second.expect(PacketKind::Publish);
        assert!(again.dup && again.payload == b"one");
        second.send(&Packet::Puback(Ack::success(id(again.packet_id))));
        let next = second.expect(PacketKind::Publish);
        assert!(!next.dup && next.payload == b"two");
        second.send(&Packet::Puback(Ack::success(id(next.packet_id))));
        second.expect(PacketKind::Disconnect);
    });
    let client = Client::connect(options).unwrap();
    let one = client.publish(Publish::new("t", "one").qos(Qos::AtLeastOnce)).unwrap();
    while !matches!(client.recv_event(PATIENCE), Some(Event::Disconnected { was_connected: true, .. })) {}
    let two = client.publish(Publish::new("t", "two").qos(Qos::AtLeastOnce)).unwrap();
    assert_eq!(one.wait().unwrap(), ReasonCode::SUCCESS);
    assert_eq!(two.wait().unwrap(), ReasonCode::SUCCESS);
    client.disconnect().unwrap();
    script.join().unwrap();
}

#[test]
fn subscriptions_come_back_with_a_new_session() {
    let server = Server::new();
    let options = server.options(Version::V311).reconnect(quick());
    let script = server.run(|server| {
        for _ in 0..2 {
            let mut connection = server.connected(false);
            let subscribe = connection.expect(PacketKind::Subscribe);
            let (packet_id, properties) = (id(subscribe.packet_id), Properties::EMPTY);
            connection.send(&Packet::Suback(ringmq_wire::Suback { packet_id, properties, codes: &[0] }));
        }
        let mut connection = server.connected(false);
        connection.expect(PacketKind::Subscribe);
    });
    let client = Client::connect(options).unwrap();
    client.subscribe(("f", Qos::AtMostOnce)).unwrap();
    script.join().unwrap();
}

#[test]
fn refusals_are_told_and_not_repeated() {
    let rows = [
        (Version::V31, ReasonCode::BAD_USER_NAME_OR_PASSWORD),
        (Version::V311, ReasonCode::NOT_AUTHORIZED),
        (Version::V5, ReasonCode::BANNED),
    ];
    for (version, reason) in rows {
        let server = Server::new();
        let options = server.options(version).reconnect(quick());
        let script = server.run(move |server| {
            let mut connection = server.accept();
            connection.expect(PacketKind::Connect);
            let (session_present, properties) = (false, Properties::EMPTY);
            connection.send(&Packet::Connack(Connack { session_present, reason, properties }));
            assert!(connection.next().is_none());
        });
        let client = Client::start(options).unwrap();
        let error = client.wait_connected(PATIENCE).unwrap_err();
        assert!(matches!(error, ConnectError::Refused { reason: told, .. } if told == reason), "{error:?}");
        assert!(matches!(client.stopped(), Some(Stopped::Failed(_))));
        script.join().unwrap();
    }
}

#[test]
fn a_session_taken_over_is_not_taken_back() {
    let server = Server::new();
    let options = server.options(Version::V5).reconnect(quick());
    let script = server.run(|server| {
        let mut connection = server.connected(false);
        let reason = ReasonCode::SESSION_TAKEN_OVER;
        connection.send(&Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }));
        assert!(connection.next().is_none());
    });
    let client = Client::connect(options).unwrap();
    assert!(client.recv().is_none(), "ends when the client has stopped");
    let Some(Stopped::Failed(error)) = client.stopped() else { panic!("not stopped") };
    assert_eq!(error.reason(), Some(ReasonCode::SESSION_TAKEN_OVER));
    script.join().unwrap();
}

#[test]
fn no_server_no_answer_no_name() {
    let server = Server::new();
    let port = server.port();
    drop(server);
    let refused = Client::connect(Options::new("127.0.0.1", port)).unwrap_err();
    assert!(matches!(refused, ConnectError::Transport(_)), "{refused:?}");
    let unknown = Client::connect(Options::new("nowhere.invalid", 1883)).unwrap_err();
    assert!(matches!(unknown, ConnectError::Resolve(_) | ConnectError::Timeout), "{unknown:?}");
    let silent = Server::new();
    let options = silent.options(Version::V5).response_timeout(Duration::from_millis(100));
    let started = Instant::now();
    let timeout = Client::connect(options).unwrap_err();
    assert!(matches!(timeout, ConnectError::Timeout), "{timeout:?}");
    assert!(started.elapsed() < PATIENCE);
    let no_id = Client::connect(Options::new("127.0.0.1", port).version(Version::V31)).unwrap_err();
    assert!(matches!(no_id, ConnectError::Options(RequestError::ClientIdNeeded)), "{no_id:?}");
}

/// The name has more addresses than the server listens on; the right one is found.
#[test]
fn tries_every_address_of_a_name() {
    let server = Server::new();
    let options = Options::new("localhost", server.port()).version(Version::V5);
    let server = server.echo();
    let client = Client::connect(options).unwrap();
    client.disconnect().unwrap();
    server.join().unwrap();
}

/// An application that takes nothing: the socket is not read, the server's writes stop, nothing is lost.
#[test]
fn stops_reading_when_the_application_is_behind() {
    const MESSAGES: u32 = 200_000;
    let server = Server::new();
    let options = server.options(Version::V311).receive_queue_messages_max(10).keep_alive_seconds(0);
    let (stuck, is_stuck) = mpsc::channel();
    let script = server.run(move |server| {
        let mut connection = server.connected(false);
        connection.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut bytes = Vec::new();
        for number in 0..MESSAGES {
            let mut payload = [0; 100];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            message(&payload, Qos::AtMostOnce, 0).encode(Version::V311, &mut bytes);
        }
        let mut at = 0;
        while at < bytes.len() {
            match connection.stream.write(&bytes[at..]) {
                Ok(written) => at += written,
                Err(_) => {
                    let _ = stuck.send(at);
                }
            }
        }
        assert_eq!(connection.expect(PacketKind::Disconnect).reason, 0);
    });
    let client = Client::connect(options).unwrap();
    let accepted = is_stuck.recv_timeout(PATIENCE).expect("the server's writes must stop");
    assert!(accepted < 20 << 20, "socket buffers only: {accepted}");
    for number in 0..MESSAGES {
        let message = client.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message.payload()[..4], number.to_be_bytes());
    }
    client.disconnect().unwrap();
    script.join().unwrap();
}

/// The connection ends while the socket is not read: what had arrived is still handed out.
#[test]
fn what_arrived_before_the_end_is_not_lost() {
    let server = Server::new();
    let options = server.options(Version::V5).receive_queue_messages_max(10).reconnect(None);
    let script = server.run(|server| {
        let mut connection = server.connected(false);
        for number in 0..500_u16 {
            connection.send(&message(&number.to_be_bytes(), Qos::AtMostOnce, 0));
        }
    });
    let client = Client::connect(options).unwrap();
    script.join().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    for number in 0..500_u16 {
        assert_eq!(client.recv_timeout(PATIENCE).unwrap().payload()[..], number.to_be_bytes());
    }
    assert!(client.recv().is_none());
    assert!(matches!(client.stopped(), Some(Stopped::Failed(ConnectError::Closed))));
}

/// A server that acknowledges nothing: the window and the queue fill, and publishing waits, then says so.
#[test]
fn publishing_has_bounds() {
    let server = Server::new();
    let options = server.options(Version::V5).in_flight_max(2).queue_messages_max(3);
    let options = options.publish_timeout(Duration::from_millis(50));
    let (release, released) = mpsc::channel::<()>();
    let script = server.run(move |server| {
        let mut connection = server.connected(false);
        let first = connection.expect(PacketKind::Publish);
        connection.expect(PacketKind::Publish);
        released.recv().unwrap();
        connection.send(&Packet::Puback(Ack::success(id(first.packet_id))));
        connection.expect(PacketKind::Publish);
        assert_eq!(connection.expect(PacketKind::Disconnect).reason, 0);
    });
    let client = Client::connect(options).unwrap();
    let send = || Publish::new("t", "x").qos(Qos::AtLeastOnce);
    let receipts: Vec<_> = (0..5).map(|_| client.publish(send()).unwrap()).collect();
    let full = |result| matches!(result, Err(Error::Request(RequestError::QueueFull)));
    assert!(full(client.try_publish(send()).map(|_| ())));
    assert!(full(client.publish(send()).map(|_| ())));
    assert!(receipts[0].answer().is_none());
    release.send(()).unwrap();
    client.publish_timeout(send(), PATIENCE).unwrap();
    receipts[0].wait().unwrap();
    assert!(matches!(receipts[4].wait_timeout(Duration::from_millis(10)), Err(Error::Timeout)));
    client.stop(&Goodbye::default()).unwrap();
    assert!(matches!(receipts[4].wait(), Err(Error::Stopped)), "everyone who waits is told");
    script.join().unwrap();
}

#[test]
fn callbacks() {
    let server = Server::new();
    let (told, tells) = mpsc::channel();
    let waits = told.clone();
    let options = server
        .options(Version::V5)
        .on_event(move |_, event| {
            if matches!(event, Event::Connected(_)) {
                told.send("connected".to_owned()).unwrap();
            }
        })
        .on_message(move |client, message| {
            let waiting = client.subscribe(("f", Qos::AtMostOnce));
            assert!(matches!(waiting, Err(Error::InCallback)), "{waiting:?}");
            client.try_publish(Publish::new("t", "answer")).unwrap();
            waits.send(String::from_utf8_lossy(message.payload()).into_owned()).unwrap();
        });
    let script = server.run(|server| {
        let mut connection = server.connected(false);
        connection.send(&message(b"one", Qos::AtLeastOnce, 1));
        let mut kinds = [connection.next().unwrap().kind, connection.next().unwrap().kind];
        kinds.sort_by_key(|kind| kind.number());
        assert_eq!(kinds, [PacketKind::Publish, PacketKind::Puback]);
        connection.expect(PacketKind::Disconnect);
    });
    let client = Client::connect(options).unwrap();
    assert_eq!(tells.recv_timeout(PATIENCE).unwrap(), "connected");
    assert_eq!(tells.recv_timeout(PATIENCE).unwrap(), "one");
    client.disconnect().unwrap();
    script.join().unwrap();
}

#[test]
fn a_panic_in_a_callback_ends_only_its_client() {
    let (sick, well) = (Server::new(), Server::new());
    let options = sick.options(Version::V5).on_message(|_, _| panic!("as the test asks"));
    let well_options = well.options(Version::V5);
    let well = well.echo();
    let script = sick.run(|server| {
        let mut connection = server.connected(false);
        connection.send(&message(b"x", Qos::AtMostOnce, 0));
        while connection.next().is_some() {}
    });
    let healthy = Client::connect(well_options).unwrap();
    let client = Client::connect(options).unwrap();
    script.join().unwrap();
    assert!(matches!(client.stopped(), Some(Stopped::CallbackPanicked)));
    healthy.publish(Publish::new("t", "y").qos(Qos::AtLeastOnce)).unwrap().wait().unwrap();
    healthy.disconnect().unwrap();
    well.join().unwrap();
}

/// The application acknowledges: in the order of arrival, and not before it said so.
#[test]
fn manual_acknowledgement() {
    let server = Server::new();
    let options = server.options(Version::V5).acknowledgement(Acknowledgement::Manual);
    let script = server.run(|server| {
        let mut connection = server.connected(false);
        connection.send(&message(b"1", Qos::AtLeastOnce, 1));
        connection.send(&message(b"2", Qos::AtLeastOnce, 2));
        let first = connection.expect(PacketKind::Puback);
        let second = connection.expect(PacketKind::Puback);
        assert_eq!([(first.packet_id, first.reason), (second.packet_id, second.reason)], [(1, 0), (2, 0x97)]);
        connection.expect(PacketKind::Disconnect);
    });
    let client = Client::connect(options).unwrap();
    let one = client.recv_timeout(PATIENCE).unwrap();
    let two = client.recv_timeout(PATIENCE).unwrap();
    assert!(client.acknowledge_with(&two, ReasonCode::QUOTA_EXCEEDED));
    assert!(client.acknowledge(&one));
    assert!(!client.acknowledge(&one), "once");
    client.disconnect().unwrap();
    script.join().unwrap();
}

/// A message that the application has not taken is not acknowledged, so it is not lost with the program.
#[test]
fn acknowledges_when_the_application_takes_it() {
    let server = Server::new();
    let options = server.options(Version::V311);
    let (taken, is_taken) = mpsc::channel::<()>();
    let script = server.run(move |server| {
        let mut connection = server.connected(false);
        connection.send(&message(b"1", Qos::AtLeastOnce, 1));
        connection.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let early = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| connection.next()));
        assert!(early.is_err(), "nothing may come before the message is taken");
        connection.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        is_taken.recv().unwrap();
        assert_eq!(connection.expect(PacketKind::Puback).packet_id, 1);
    });
    let client = Client::connect(options).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    taken.send(()).unwrap();
    assert_eq!(&client.recv_timeout(PATIENCE).unwrap().payload()[..], b"1");
    script.join().unwrap();
}

#[test]
fn the_last_handle_says_goodbye() {
    let server = Server::new();
    let options = server.options(Version::V5);
    let script = server.run(|server| {
        let mut connection = server.connected(false);
        assert_eq!(connection.expect(PacketKind::Publish).payload, b"last words");
        assert_eq!(connection.expect(PacketKind::Disconnect).reason, 0);
        assert!(connection.next().is_none());
    });
    let client = Client::connect(options).unwrap();
    let other = client.clone();
    drop(client);
    other.try_publish(("t", "last words")).unwrap();
    drop(other);
    script.join().unwrap();
}

/// A server that is alive but silent gets PINGREQ, and one that does not answer is given up.
/// Clauses: [MQTT-3.1.2-20].
#[test]
fn keeps_alive_and_notices_a_dead_server() {
    let server = Server::new();
    let options = server.options(Version::V311).keep_alive_seconds(1).reconnect(None);
    let options = options.response_timeout(Duration::from_millis(500));
    let script = server.run(|server| {
        let mut connection = server.connected(false);
        connection.expect(PacketKind::Pingreq);
        connection.send(&Packet::Pingresp);
        connection.expect(PacketKind::Pingreq);
        while connection.next().is_some() {}
    });
    let client = Client::connect(options).unwrap();
    assert!(client.recv().is_none());
    let stopped = client.stopped();
    assert!(matches!(stopped, Some(Stopped::Failed(ConnectError::Timeout))), "{stopped:?}");
    script.join().unwrap();
}

/// A server that breaks the protocol is told why.
#[test]
fn violations_are_answered() {
    let server = Server::new();
    let options = server.options(Version::V5).reconnect(None);
    let script = server.run(|server| {
        let mut connection = server.connected(false);
        connection.stream.write_all(&[0x36, 0x05, 0, 1, b't', 0, 1]).unwrap();
        assert_eq!(connection.expect(PacketKind::Disconnect).reason, 0x81);
        assert!(connection.next().is_none());
    });
    let client = Client::connect(options).unwrap();
    assert!(client.recv().is_none());
    assert!(matches!(client.stopped(), Some(Stopped::Failed(ConnectError::Protocol(_)))));
    script.join().unwrap();
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor: one future, one thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            return output;
        }
        std::thread::park_timeout(PATIENCE);
    }
}

#[test]
fn the_async_face() {
    let server = Server::new();
    let options = server.options(Version::V5).queue_messages_max(1).in_flight_max(1);
    let server = server.echo();
    block_on(async {
        let client = AsyncClient::connect(options).await.unwrap();
        assert_eq!(client.subscribe(("t", Qos::AtLeastOnce)).await.unwrap().len(), 1);
        // More than the queue holds: publishing waits for room, without blocking the thread.
        for number in 0..50_u8 {
            let receipt =
                client.publish(Publish::new("t", vec![number]).qos(Qos::AtLeastOnce)).await.unwrap();
            if number % 10 == 0 {
                assert_eq!(receipt.await.unwrap(), ReasonCode::SUCCESS);
            }
        }
        for number in 0..50_u8 {
            assert_eq!(&client.recv().await.unwrap().payload()[..], [number]);
        }
        client.flush().await.unwrap();
        assert!(matches!(client.recv_event().await, Some(Event::Connected(_))));
        client.unsubscribe("t").await.unwrap();
        client.disconnect(&Goodbye::default()).await.unwrap();
        assert!(client.recv().await.is_none());
        assert!(matches!(client.recv_event().await, Some(Event::Stopped(_))));
        assert!(client.recv_event().await.is_none());
    });
    server.join().unwrap();
}
