//! MQTT over real sockets, on every driver: bytes reach the shards and come back, whole, in order, and
//! without one client waiting for another.

mod harness;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use harness::{Client, PATIENCE, address, drivers, options, packet, text, unmoved, with_log};
use ringmq_rt::{Decisions, Options, start};
use ringmq_shard::{
    Answer, Decider, LocalDelivery, LocalId, LocalInput, LocalOutcome, LocalSink, LocalTicket, LogLevel,
    Question, ShardId, Ticket, Verdict,
};
use ringmq_wire::{PropertiesBuffer, Qos, ReasonCode, SubscriptionOptions};

/// Every driver, with connections moved to their shard and not.
fn everywhere(shards: usize, test: impl Fn(Options)) {
    for driver in drivers() {
        test(options(driver, shards));
        test(unmoved(options(driver, shards)));
    }
}

#[test]
fn a_publish_reaches_subscribers_on_all_shards_over_both_families() {
    everywhere(4, |options| {
        let running = start(options).unwrap();
        let at = |index: usize| running.addresses()[index % 2];
        let mut subscribers: Vec<_> = (0..16).map(|i| Client::connect(at(i), &format!("sub-{i}"))).collect();
        subscribers.iter_mut().for_each(|client| client.subscribe("home/+/temperature", 0));
        for i in 0..8 {
            let mut publisher = Client::connect(at(i), &format!("pub-{i}"));
            let payload = format!("21.{i}");
            publisher.publish_acknowledged("home/kitchen/temperature", payload.as_bytes());
            for subscriber in &mut subscribers {
                assert_eq!(subscriber.message("home/kitchen/temperature"), payload.as_bytes());
            }
        }
        assert_eq!(running.stop(PATIENCE).left, 0);
    });
}

#[test]
fn connect_subscribe_and_publish_in_one_write_at_any_split() {
    everywhere(3, |options| {
        let running = start(options).unwrap();
        for i in 0..6 {
            let bytes = [
                Client::connect_packet(&format!("all-at-once-{i}")),
                packet(0x82, &[&[0, 1], &text(&format!("own/{i}")), &[0]]),
                packet(0x30, &[&text(&format!("own/{i}")), b"payload"]),
            ]
            .concat();
            for split in [0, 1, 2, 9, bytes.len() / 2, bytes.len() - 1] {
                let mut client = Client::socket(address(&running));
                client.send(&bytes[..split]);
                thread::sleep(Duration::from_millis(2));
                client.send(&bytes[split..]);
                assert_eq!(client.receive(), (0x20, vec![0, 0]));
                assert_eq!(client.receive(), (0x90, vec![0, 1, 0]));
                assert_eq!(client.message(&format!("own/{i}")), b"payload");
                client.send(&[0xE0, 0]);
                assert!(client.is_closed());
            }
        }
    });
}

#[test]
fn large_payloads_arrive_whole() {
    everywhere(2, |options| {
        let running = start(options).unwrap();
        let payload: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut subscribers: Vec<_> =
            (0..4).map(|i| Client::connect(address(&running), &format!("large-{i}"))).collect();
        subscribers.iter_mut().for_each(|client| client.subscribe("large", 0));
        let mut publisher = Client::connect(address(&running), "large-publisher");
        publisher.publish_acknowledged("large", &payload);
        for subscriber in &mut subscribers {
            assert!(subscriber.message("large") == payload);
        }
    });
}

#[test]
fn a_subscriber_that_does_not_read_delays_nobody() {
    for driver in drivers() {
        let running = start(options(driver, 2)).unwrap();
        let mut stuck: Vec<_> =
            (0..4).map(|i| Client::connect(address(&running), &format!("stuck-{i}"))).collect();
        stuck.iter_mut().for_each(|client| client.subscribe("flood", 0));
        let mut publisher = Client::connect(address(&running), "flooder");
        let mut bystander = Client::connect(address(&running), "bystander");
        let payload = vec![b'x'; 64 << 10];
        for _ in 0..400 {
            publisher.publish("flood", &payload);
        }
        publisher.ping();
        let begun = Instant::now();
        (0..20).for_each(|_| bystander.ping());
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        // What the stuck ones were sent before is still whole.
        stuck.iter_mut().for_each(|client| assert!(client.message("flood") == payload));
    }
}

/// Answers from another thread, or never.
struct Late(mpsc::Sender<(Ticket, bool)>);

impl Decider for Late {
    fn decide(&mut self, ticket: Ticket, question: &Question<'_>) -> Answer {
        match question {
            Question::Connect { client_id, .. } => {
                self.0.send((ticket, client_id.starts_with("good"))).unwrap();
                Answer::Later
            }
            _ => Answer::Now(Verdict::Allow),
        }
    }
}

fn late(_: ShardId, decisions: Decisions) -> Box<dyn Decider> {
    let (sender, questions) = mpsc::channel();
    thread::spawn(move || {
        for (ticket, good) in questions {
            thread::sleep(Duration::from_millis(5));
            decisions.answer(ticket, if good { Verdict::Allow } else { Verdict::Deny });
        }
    });
    Box::new(Late(sender))
}

#[test]
fn a_decision_may_come_late_and_from_another_thread() {
    for driver in drivers() {
        let running = start(Options { decider: Arc::new(late), ..options(driver, 2) }).unwrap();
        for i in 0..4 {
            Client::connect(address(&running), &format!("good-{i}")).ping();
            let mut bad = Client::socket(address(&running));
            bad.send(&Client::connect_packet(&format!("bad-{i}")));
            let (head, body) = bad.receive();
            assert!(head == 0x20 && body[1] != 0, "{body:?}");
            assert!(bad.is_closed());
        }
    }
}

/// Hands payloads on, from the shard's thread.
struct Payloads(mpsc::Sender<Bytes>);

impl LocalSink for Payloads {
    fn push(&mut self, delivery: &LocalDelivery<'_>) -> bool {
        self.0.send(Bytes::copy_from_slice(delivery.payload)).is_ok()
    }
    fn flush(&mut self) {}
    fn end(&mut self) {}
}

#[test]
fn handles_in_the_process_publish_and_subscribe_from_any_thread() {
    for driver in drivers() {
        let (done, outcomes) = mpsc::channel();
        let done = Mutex::new(done);
        let local_done = move |ticket: LocalTicket, outcome: LocalOutcome| {
            done.lock().unwrap().send((ticket, outcome)).unwrap();
        };
        let running = start(Options { local_done: Arc::new(local_done), ..options(driver, 3) }).unwrap();
        let (sender, payloads) = mpsc::channel();
        let (reader, writer) = (LocalId(1), LocalId(2));
        let home = running.inlet(ShardId(0));
        let sink = Box::new(Payloads(sender));
        home.push(LocalInput::Open { local: reader, sink, queue_messages_max: 1000 }).unwrap();
        home.push(LocalInput::Subscribe {
            local: reader,
            ticket: LocalTicket(1),
            filters: vec![(String::from("in/process"), SubscriptionOptions::default())],
            subscription_id: None,
        })
        .unwrap();
        let (ticket, outcome) = outcomes.recv_timeout(PATIENCE).unwrap();
        assert_eq!(ticket, LocalTicket(1));
        assert!(matches!(outcome, LocalOutcome::Subscribed(_)), "{outcome:?}");

        let away = running.inlet(ShardId(2));
        let sink = Box::new(Payloads(mpsc::channel().0));
        away.push(LocalInput::Open { local: writer, sink, queue_messages_max: 1 }).unwrap();
        thread::spawn(move || {
            for i in 0..100_u64 {
                let publish = LocalInput::Publish {
                    local: writer,
                    ticket: LocalTicket(100 + i),
                    topic: String::from("in/process"),
                    payload: Bytes::from(i.to_string()),
                    qos: Qos::AtLeastOnce,
                    retain: false,
                    properties: PropertiesBuffer::default(),
                    hold: 1000,
                };
                away.push(publish).unwrap();
            }
        });
        for i in 0..100_u64 {
            let (ticket, outcome) = outcomes.recv_timeout(PATIENCE).unwrap();
            assert_eq!(ticket, LocalTicket(100 + i));
            let LocalOutcome::Published { reason, matched, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!((reason, matched), (ReasonCode::SUCCESS, 1));
            assert_eq!(payloads.recv_timeout(PATIENCE).unwrap(), i.to_string());
        }
    }
}

#[test]
fn a_stop_publishes_wills_says_goodbye_and_leaves_nobody() {
    everywhere(3, |options| {
        let running = start(options).unwrap();
        let willing: Vec<_> = (0..6)
            .map(|i| Client::connect_with_will(address(&running), &format!("will-{i}"), &format!("will/{i}")))
            .collect();
        let mut witness = Client::connect_v5(address(&running), "witness");
        witness.send(&packet(0x82, &[&[0, 1, 0], &text("will/#"), &[0]]));
        assert_eq!(witness.receive().0, 0x90);
        let report = running.stop(PATIENCE);
        assert_eq!(report.left, 0);
        for _ in 0..6 {
            assert_eq!(witness.receive().0 & 0xF0, 0x30, "a will");
        }
        let (head, body) = witness.receive();
        assert_eq!((head, body[0]), (0xE0, 0x8B), "DISCONNECT, Server shutting down");
        assert!(witness.is_closed());
        drop(willing);
    });
}

#[test]
fn a_stop_cuts_off_at_its_deadline_whoever_does_not_read() {
    for driver in drivers() {
        let running = start(options(driver, 2)).unwrap();
        let mut stuck = Client::connect(address(&running), "stuck");
        stuck.subscribe("flood", 0);
        let mut publisher = Client::connect(address(&running), "flooder");
        let payload = vec![b'x'; 256 << 10];
        (0..100).for_each(|_| publisher.publish("flood", &payload));
        publisher.ping();
        let counters = Arc::clone(running.counters());
        let begun = Instant::now();
        let report = running.stop(Duration::from_millis(300));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert_eq!(report.left, 1);
        assert_eq!(counters.sum(|shard| &shard.stop_left), 1);
    }
}

/// Panics when asked whether "fatal" may connect.
struct Fragile;

impl Decider for Fragile {
    fn decide(&mut self, _: Ticket, question: &Question<'_>) -> Answer {
        assert!(!matches!(question, Question::Connect { client_id: "fatal", .. }), "a fatal client");
        Answer::Now(Verdict::Allow)
    }
}

#[test]
fn a_panic_in_one_shard_stops_the_whole_broker_and_says_so() {
    for driver in drivers() {
        let (options, log) = with_log(options(driver, 3));
        let running = start(Options { decider: Arc::new(|_, _| Box::new(Fragile)), ..options }).unwrap();
        let mut others: Vec<_> =
            (0..6).map(|i| Client::connect(address(&running), &format!("other-{i}"))).collect();
        assert_eq!(running.failed(), None);
        Client::socket(address(&running)).send(&Client::connect_packet("fatal"));
        let failure = running.wait_failed(PATIENCE).unwrap();
        assert!(failure.starts_with("shard ") && failure.contains("a fatal client"), "{failure}");
        assert_eq!(*log.lock().unwrap(), [failure]);
        others.iter_mut().for_each(|client| assert!(client.is_closed()));
        let begun = Instant::now();
        drop(running);
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

/// Panics when its session ends, which a stop does in its last step.
struct NoEnd;

impl LocalSink for NoEnd {
    fn push(&mut self, _: &LocalDelivery<'_>) -> bool {
        true
    }
    fn flush(&mut self) {}
    fn end(&mut self) {
        panic!("it must not end");
    }
}

#[test]
fn a_panic_during_a_stop_ends_it_at_once_and_is_told() {
    for driver in drivers() {
        for shards in [1, 2, 4] {
            let (options, log) = with_log(options(driver, shards));
            let running = start(options).unwrap();
            let mut clients: Vec<_> =
                (0..6).map(|i| Client::connect(address(&running), &format!("client-{i}"))).collect();
            let open = LocalInput::Open { local: LocalId(1), sink: Box::new(NoEnd), queue_messages_max: 1 };
            running.inlet(ShardId(0)).push(open).unwrap();
            let begun = Instant::now();
            assert!(running.stop(PATIENCE).failed);
            assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
            assert_eq!(*log.lock().unwrap(), ["shard 0 panicked, the broker stops: it must not end"]);
            clients.iter_mut().for_each(|client| assert!(client.is_closed()));
        }
    }
}

#[test]
fn a_log_that_panics_does_not_keep_a_failed_broker_half_alive() {
    for driver in drivers() {
        let options = Options {
            decider: Arc::new(|_, _| Box::new(Fragile)),
            log: Arc::new(|level, line| assert_ne!(level, LogLevel::Error, "no room for {line}")),
            ..options(driver, 3)
        };
        let running = start(options).unwrap();
        let mut others: Vec<_> =
            (0..6).map(|i| Client::connect(address(&running), &format!("other-{i}"))).collect();
        Client::socket(address(&running)).send(&Client::connect_packet("fatal"));
        let failure = running.wait_failed(PATIENCE).unwrap();
        assert!(failure.contains("a fatal client"), "{failure}");
        others.iter_mut().for_each(|client| assert!(client.is_closed()));
        assert!(running.stop(PATIENCE).failed);
    }
}
