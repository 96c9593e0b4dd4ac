//! A broker that is changed while it runs: listeners come and go, settings change, and nobody who is connected
//! notices; a change that cannot be made whole is not made.

mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use harness::{Client, PATIENCE, address, drivers, options};
use ringmq_rt::{Change, Listen, Listening, Place, UnixPlace, start};
use ringmq_shard::{Offer, Settings};

fn unix(name: &str) -> (PathBuf, Listen) {
    let path = std::env::temp_dir().join(format!("ringmq-change-{}-{name}", std::process::id()));
    let place = UnixPlace { path: path.clone(), mode: Some(0o600), ..UnixPlace::default() };
    (path, Listen { place: Place::Unix(place), door: Arc::default(), handshake_timeout: 0 })
}

fn any_port() -> Listen {
    "127.0.0.1:0".parse::<SocketAddr>().unwrap().into()
}

/// CONNECT over a Unix socket, accepted.
fn connect_unix(path: &PathBuf, client_id: &str) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&Client::connect_packet(client_id)).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    stream
}

#[test]
fn unix_sockets_and_sockets_opened_by_others_serve_clients_of_every_shard() {
    for driver in drivers() {
        let (path, listen) = unix(&format!("serve-{driver:?}"));
        let opened = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = opened.local_addr().unwrap();
        let open = Listen {
            place: Place::Open(Arc::new(opened.into())),
            door: Arc::default(),
            handshake_timeout: 0,
        };
        let running = start(ringmq_rt::Options { listen: vec![listen, open], ..options(driver, 3) }).unwrap();
        assert_eq!(running.addresses(), [there]);
        let mut subscribers: Vec<_> = (0..6).map(|i| Client::connect(there, &format!("sub-{i}"))).collect();
        subscribers.iter_mut().for_each(|client| client.subscribe("t", 0));
        for i in 0..6 {
            let mut publisher = connect_unix(&path, &format!("unix-{i}"));
            publisher.write_all(b"\x30\x04\x00\x01tx").unwrap();
            for subscriber in &mut subscribers {
                assert_eq!(subscriber.message("t"), b"x");
            }
        }
        assert_eq!(running.stop(PATIENCE).left, 0);
        assert!(!path.exists(), "it goes with the broker");
    }
}

#[test]
fn listeners_come_and_go_and_connections_stay() {
    for driver in drivers() {
        let mut running = start(options(driver, 2)).unwrap();
        let first = address(&running);
        let mut staying = Client::connect(first, "staying");
        staying.subscribe("t", 0);
        let (path, listen) = unix(&format!("come-{driver:?}"));
        running.change(Change { open: vec![any_port(), listen], ..Change::default() }).unwrap();
        let Some(Listening::Tcp(second)) = running.places()[2] else { panic!("the third listener") };
        for (number, to) in [second, second, second].into_iter().enumerate() {
            Client::connect(to, &format!("new-{number}")).publish_acknowledged("t", b"new");
            assert_eq!(staying.message("t"), b"new");
        }
        drop(connect_unix(&path, "unix"));
        running.change(Change { close: vec![0, 3], ..Change::default() }).unwrap();
        assert!(!path.exists());
        assert!(TcpStream::connect(first).is_err(), "it is closed");
        Client::connect(second, "later").publish_acknowledged("t", b"later");
        assert_eq!(staying.message("t"), b"later", "who came by a closed listener stays");
        assert_eq!(running.places().iter().flatten().count(), 2);
        running.stop(PATIENCE);
    }
}

#[test]
fn a_change_that_cannot_be_made_whole_changes_nothing() {
    for driver in drivers() {
        let mut running = start(options(driver, 2)).unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let before = running.places().to_vec();
        let change = Change {
            close: vec![0],
            open: vec![any_port(), taken.local_addr().unwrap().into()],
            ..Change::default()
        };
        let error = running.change(change).unwrap_err().to_string();
        assert!(error.contains("address already in use"), "{error}");
        assert_eq!(running.places(), before);
        Client::connect(address(&running), "as before").ping();
        running.stop(PATIENCE);
    }
}

#[test]
fn settings_hold_from_the_change_on() {
    for driver in drivers() {
        let options = options(driver, 2);
        let settings = Arc::clone(&options.settings);
        let mut running = start(options).unwrap();
        let mut before = Client::connect(address(&running), "before");
        let offer = Offer { packet_bytes_max: 2_000, ..settings.offer.clone() };
        let narrow = Settings { offer, ..(*settings).clone() };
        running.change(Change { settings: Some(Arc::new(narrow)), ..Change::default() }).unwrap();
        before.ping();
        before.send(&harness::packet(0x30, &[&harness::text("t"), &[0; 3_000]]));
        assert!(before.is_closed());
        Client::connect(address(&running), "after").ping();
        running.stop(PATIENCE);
    }
}
