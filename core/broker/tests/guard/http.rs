//! A service over HTTP that is asked who may come in: what its answers let through, and what holds without one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ringmq::{Anonymous, Broker, ClientIdFromUser, HttpFailure, Options};
use ringmq_wire::{Qos, Version};
use serde_json::{Value, json};

use crate::client::{Client, Folder, Seen, options};
use crate::passwords::passwords;

/// What a service answers to the body and the `Authorization` of a request; nothing leaves it without an answer.
type Judge = dyn Fn(&Value, &str) -> Option<(u16, String)> + Send + Sync;

/// A service on a thread of its own, which lives as long as the test's process.
struct Service {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Service {
    fn start(judge: impl Fn(&Value, &str) -> Option<(u16, String)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let judge: Arc<Judge> = Arc::new(judge);
        let (requests, connections) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let service = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::clone(&requests),
            connections: Arc::clone(&connections),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (judge, requests) = (Arc::clone(&judge), Arc::clone(&requests));
                std::thread::spawn(move || serve(&stream.unwrap(), &*judge, &requests));
            }
        });
        service
    }

    fn options(&self) -> Options {
        options().http_auth_url(format!("http://{}/auth", self.address).parse().ok()).http_auth_cache(0)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(stream: &TcpStream, judge: &Judge, requests: &AtomicUsize) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut authorization, mut line) = (0, String::new(), String::new());
        while matches!(reader.read_line(&mut line), Ok(1..)) && line.trim() != "" {
            if let Some((name, value)) = line.trim().split_once(": ") {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "authorization" => authorization = value.to_owned(),
                    _ => {}
                }
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if line.is_empty() || reader.read_exact(&mut body).is_err() {
            return;
        }
        requests.fetch_add(1, Ordering::SeqCst);
        let body = serde_json::from_slice(&body).unwrap();
        let Some((status, text)) = judge(&body, &authorization) else { continue };
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        let mut stream = stream;
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn result(word: &str) -> Option<(u16, String)> {
    Some((200, json!({ "result": word }).to_string()))
}

fn code(broker: &Broker, client_id: &str, user: Option<&str>, password: Option<&str>) -> u8 {
    Client::dial(broker, Version::V5).log_in(client_id, user, password, None)
}

#[test]
fn the_service_hears_what_connect_says_and_decides() {
    let folder = Folder::new();
    let service = Service::start(|body, authorization| {
        if authorization != "Bearer of-the-broker" || body["address"].as_str().is_none() {
            return Some((500, String::new()));
        }
        match (body["client_id"].as_str()?, body["user_name"].as_str(), body["password"].as_str()) {
            ("c", Some("anna"), Some("secret")) => result("allow"),
            ("empty", _, _) => Some((204, String::new())),
            ("unauthorized", _, _) => Some((401, String::new())),
            ("forbidden", _, _) => Some((403, String::new())),
            _ => result("deny"),
        }
    });
    let token = folder.write("token", "of-the-broker\n");
    let broker = service.options().http_auth_token_file(Some(token)).start().unwrap();
    let rows = [
        ("c", Some("anna"), Some("secret"), 0),
        ("empty", None, None, 0),
        ("unauthorized", Some("anna"), Some("secret"), 0x86),
        ("forbidden", None, None, 0x86),
    ];
    for (client_id, user, password, expected) in rows {
        assert_eq!(code(&broker, client_id, user, password), expected, "{client_id}");
    }
    let counters = broker.guard().unwrap().counters();
    assert_eq!((counters.logins_http_allowed(), counters.logins_http_denied()), (2, 2));
    assert_eq!((counters.logins_failed(), counters.http_failures()), (2, 0));
    assert_eq!(service.requests(), 4);
}

#[test]
fn what_the_service_leaves_open_the_files_decide() {
    let folder = Folder::new();
    let users = folder.write("passwords", &passwords(&[("anna", "secret")]));
    let service = Service::start(|_, _| result("ignore"));
    let broker = service.options().password_file(Some(users)).start().unwrap();
    assert_eq!(code(&broker, "c", Some("anna"), Some("secret")), 0);
    assert_eq!(code(&broker, "c", Some("anna"), Some("wrong")), 0x86);
    assert_eq!(code(&broker, "c", None, None), 0x87);
    assert_eq!(broker.guard().unwrap().counters().logins_http_ignored(), 3);
}

#[test]
fn an_answer_says_who_the_client_is_and_what_it_may_do() {
    let service = Service::start(|_, _| {
        let permissions = json!({"publish": ["out/%u"], "subscribe": ["in/#"]});
        let answer = json!({"result": "allow", "user_name": "zoe", "permissions": permissions});
        Some((200, answer.to_string()))
    });
    let broker = service.options().http_auth_cache(60).start().unwrap();
    for _ in 0..2 {
        let mut client = Client::dial(&broker, Version::V5);
        assert_eq!(client.log_in("c", Some("anna"), None, None), 0);
        client.publish("out/zoe", Qos::AtLeastOnce, false);
        assert_eq!(client.next(), Seen::Puback(0x10));
        client.publish("out/anna", Qos::AtLeastOnce, false);
        assert_eq!(client.next(), Seen::Puback(0x87));
        client.publish("in/x", Qos::AtLeastOnce, false);
        assert_eq!(client.next(), Seen::Puback(0x87));
        assert!(matches!(client.subscribe("#"), Seen::Suback(_)));
        client.publish("out/zoe", Qos::AtMostOnce, false);
        assert_eq!(client.topics(), [""; 0], "it may not read what it may write");
    }
    let counters = broker.guard().unwrap().counters();
    assert_eq!((service.requests(), counters.logins_http_remembered()), (1, 1), "the second one was known");
}

#[test]
fn without_a_good_answer_the_configuration_decides() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = Service::start(|_, _| None);
    let garbage = Service::start(|_, _| Some((200, "allow".to_owned())));
    let broken = Service::start(|_, _| Some((500, json!({"result": "allow"}).to_string())));
    let elsewhere = Service::start(|_, _| Some((302, String::new())));
    let huge = Service::start(|_, _| {
        let filler = "x".repeat(1 << 20);
        Some((200, json!({"result": "allow", "filler": filler}).to_string()))
    });
    let services = [closed, silent.address, garbage.address, broken.address, elsewhere.address, huge.address];
    for address in services {
        for (failure, expected) in
            [(HttpFailure::Deny, 0x89), (HttpFailure::Allow, 0), (HttpFailure::Ignore, 0x87)]
        {
            let broker = options()
                .http_auth_url(format!("http://{address}/").parse().ok())
                .http_auth_timeout(500)
                .http_auth_failure(failure)
                .start()
                .unwrap();
            assert_eq!(code(&broker, "c", None, None), expected, "{address} {failure:?}");
            assert_eq!(broker.guard().unwrap().counters().http_failures(), 1, "{address}");
        }
    }
}

#[test]
fn a_reload_asks_another_service_and_forgets_what_the_first_one_said() {
    let (kind, strict) = (Service::start(|_, _| result("allow")), Service::start(|_, _| result("deny")));
    let mut broker = kind.options().http_auth_cache(60).start().unwrap();
    assert_eq!(code(&broker, "c", None, None), 0);
    broker.reload(strict.options().http_auth_cache(60)).unwrap();
    assert_eq!(code(&broker, "c", None, None), 0x86);
    broker.reload(options().allow_anonymous(Anonymous::Everybody)).unwrap();
    assert_eq!(code(&broker, "c", None, None), 0);
    assert_eq!((kind.requests(), strict.requests()), (1, 1));
}

#[test]
fn five_hundred_at_once_come_in_by_a_few_connections() {
    let service = Service::start(|_, _| result("allow"));
    let broker = service.options().http_auth_parallel_max(8).start().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..50 {
            let broker = &broker;
            scope.spawn(move || {
                let mut clients: Vec<_> = (0..10).map(|_| Client::dial(broker, Version::V5)).collect();
                for (number, client) in clients.iter_mut().enumerate() {
                    assert_eq!(client.log_in(&format!("{thread}-{number}"), None, None, None), 0);
                }
            });
        }
    });
    assert_eq!(service.requests(), 500);
    let connections = service.connections.load(Ordering::SeqCst);
    assert!(connections <= 8, "{connections} connections");
}

#[test]
fn whom_the_service_lets_in_may_not_have_every_client_id() {
    let service = Service::start(|body, _| match body["user_name"].as_str() {
        Some("down") => Some((500, String::new())),
        Some("mapped") => Some((200, json!({ "result": "allow", "user_name": "anna" }).to_string())),
        _ => result("allow"),
    });
    let rules = |options: Options| options.client_id_from_user(ClientIdFromUser::Equal);
    // Both what is asked anew and what is remembered, and what holds when the service fails.
    for seconds in [0, 60] {
        let options = rules(service.options()).http_auth_cache(seconds).http_auth_failure(HttpFailure::Allow);
        let broker = options.start().unwrap();
        for (client_id, user, expected) in [
            ("anna", "anna", 0),
            ("bert", "anna", 0x85),
            ("bert", "anna", 0x85),
            ("anna", "mapped", 0),
            ("mapped", "mapped", 0x85),
            ("down", "down", 0),
            ("anna", "down", 0x85),
        ] {
            assert_eq!(code(&broker, client_id, Some(user), Some("x")), expected, "{client_id} of {user}");
        }
        assert_eq!(broker.guard().unwrap().counters().logins_by_client_id_refused(), 4);
    }
}

#[test]
fn whom_the_service_let_in_stays_as_long_as_there_is_one() {
    let service = Service::start(|_, _| result("allow"));
    let options = service.options().reload_kicks(true);
    let mut broker = options.clone().start().unwrap();
    let mut client = Client::dial(&broker, Version::V5);
    assert_eq!(client.log_in("c", Some("anna"), Some("x"), None), 0);
    broker.reload(options.clone()).unwrap();
    assert_eq!(client.topics(), [""; 0], "the same service is still asked");
    broker.reload(options.http_auth_url(None)).unwrap();
    assert_eq!(client.next(), Seen::Disconnect(0x98));
}

#[test]
fn whom_a_failing_service_lets_in_stays_and_comes_again_after_a_reload() {
    let service = Service::start(|_, _| Some((500, String::new())));
    let options = service.options().http_auth_failure(HttpFailure::Allow).reload_kicks(true);
    let options = options.allow_anonymous(Anonymous::Nobody);
    let mut broker = options.clone().start().unwrap();
    let mut client = Client::dial(&broker, Version::V5);
    assert_eq!(client.log_in("c", Some("anna"), Some("x"), None), 0);
    broker.reload(options).unwrap();
    assert_eq!(client.topics(), [""; 0]);
    assert_eq!(code(&broker, "d", Some("anna"), Some("x")), 0);
}
