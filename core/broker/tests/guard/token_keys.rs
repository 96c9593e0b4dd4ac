//! Keys of tokens that are fetched: a broker that starts without them, keys that change, an issuer that is down.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringmq::{Broker, Options};
use ringmq_wire::Version;
use serde_json::json;

use crate::client::{Client, SOON, options};
use crate::tokens::SIGNED;

/// The public key of [`SIGNED`], whose token names it `k`.
const X: &str = "2vPcnN9TuUMo2ZbEzhIjjVUZddfBEp2aALK54NSuqCM";

type Said = Arc<Mutex<(u16, String)>>;

/// An issuer that answers each request with what is said at that time.
struct Issuer {
    address: SocketAddr,
    said: Said,
}

impl Issuer {
    fn start(status: u16, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = Self {
            address: listener.local_addr().unwrap(),
            said: Arc::new(Mutex::new((status, body.to_owned()))),
        };
        let said = Arc::clone(&issuer.said);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let said = Arc::clone(&said);
                std::thread::spawn(move || serve(&stream.unwrap(), &said));
            }
        });
        issuer
    }

    fn say(&self, status: u16, body: &str) {
        *self.said.lock().unwrap() = (status, body.to_owned());
    }

    fn options(&self) -> Options {
        options().jwt_keys_url(format!("http://{}/keys", self.address).parse().ok())
    }
}

fn serve(mut stream: &TcpStream, said: &Said) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        while matches!(reader.read_line(&mut line), Ok(1..)) && line.trim() != "" {
            line.clear();
        }
        if line.is_empty() {
            return;
        }
        let (status, body) = said.lock().unwrap().clone();
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn set(key_id: &str) -> String {
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": key_id, "x": X}]}).to_string()
}

fn code(broker: &Broker) -> u8 {
    Client::dial(broker, Version::V5).log_in("c", None, Some(SIGNED), None)
}

/// Waits until the token is taken, and is told to come again until then.
fn comes_in(broker: &Broker) {
    let deadline = Instant::now() + SOON;
    loop {
        match code(broker) {
            0 => return,
            0x89 => assert!(Instant::now() < deadline, "no key came"),
            other => panic!("{other:#x}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_broker_starts_without_keys_and_keeps_what_it_has_fetched() {
    let issuer = Issuer::start(500, "");
    let mut broker = issuer.options().start().unwrap();
    assert_eq!(code(&broker), 0x89, "nobody can say yet whether the token is good");
    let counters = broker.guard().unwrap().counters();
    assert_eq!((counters.logins_without_key(), counters.logins_failed()), (1, 0));
    for bad in ["", "{", "{\"keys\":[]}"] {
        issuer.say(200, bad);
        broker.reload(issuer.options()).unwrap();
        assert_eq!(code(&broker), 0x89, "{bad:?}");
    }
    issuer.say(200, &set("k"));
    broker.reload(issuer.options()).unwrap();
    comes_in(&broker);
    issuer.say(500, "");
    broker.reload(issuer.options()).unwrap();
    assert_eq!(code(&broker), 0, "what was fetched holds while the issuer is down");
    broker.reload(issuer.options().jwt_leeway(7)).unwrap();
    assert_eq!(code(&broker), 0, "also when other rules hold for tokens");
    let started = Instant::now();
    broker.stop();
    assert!(started.elapsed() < Duration::from_secs(5), "the thread that fetches sleeps for minutes");
}

#[test]
fn an_unknown_key_is_fetched_though_not_more_often_than_may_be() {
    let issuer = Issuer::start(200, &set("other"));
    let broker = issuer.options().start().unwrap();
    let deadline = Instant::now() + SOON;
    while code(&broker) == 0x89 {
        assert!(Instant::now() < deadline, "no key came");
    }
    issuer.say(200, &set("k"));
    assert_eq!(code(&broker), 0x86, "they have just been fetched");
    std::thread::sleep(Duration::from_millis(5_100));
    assert_eq!(code(&broker), 0x89);
    comes_in(&broker);
}
