//! Brokers inside this program: start and stop, and messages between its own handles.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use ringmq::{
    Addresses, Answer, Broker, Bytes, ConfigError, Decider, Decisions, DriverChoice, Options, Properties,
    PublishError, PublishOptions, Qos, Question, QueuePolicy, RecvError, Shards, StartError, SubscribeError,
    SubscribeOptions, Ticket, Verdict,
};
use ringmq_wire::{Connect, Packet, PacketId, Publish, TopicName, Version};

const SOON: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(50);

fn options(shards: u16) -> Options {
    Broker::builder().port(0).shards(Shards::Count(shards)).driver(DriverChoice::Epoll)
}

fn broker(shards: u16) -> Broker {
    options(shards).start().unwrap()
}

#[test]
fn a_started_broker_accepts_and_a_stopped_one_gives_its_port_back() {
    let broker = broker(2);
    let addresses = broker.addresses().to_vec();
    assert_eq!(broker.url(), format!("mqtt://127.0.0.1:{}", broker.port()));
    assert_eq!(broker.shards(), 2);
    for address in &addresses {
        TcpStream::connect(address).unwrap();
    }
    broker.stop();
    assert!(TcpStream::connect(addresses[0]).is_err());
    let again = options(1).port(addresses[0].port()).start().unwrap();
    assert_eq!(again.port(), addresses[0].port());
}

/// The longest wait there is means "as long as it takes", not a panic.
#[test]
fn waits_may_be_as_long_as_time_can_say() {
    let broker = broker(1);
    let here = broker.subscribe(["#"], SubscribeOptions::default().timeout(Duration::MAX)).unwrap();
    let handle = broker.handle().unwrap();
    handle.publish("a", "1", PublishOptions::qos(Qos::AtLeastOnce).timeout(Duration::MAX)).unwrap();
    assert_eq!(here.recv(Duration::MAX).unwrap().payload(), b"1");
}

/// An IPv4 address written as IPv6 is listened on as what it is.
#[test]
fn an_ipv4_address_may_be_written_as_ipv6() {
    let addresses: Addresses = "[::ffff:127.0.0.1]:0".parse().unwrap();
    let broker = options(1).bind(addresses).start().unwrap();
    TcpStream::connect(("127.0.0.1", broker.port())).unwrap();
}

#[test]
fn brokers_do_not_disturb_each_other() {
    let (first, second) = (broker(1), broker(1));
    assert_ne!(first.port(), second.port());
    let here = first.subscribe(["#"], SubscribeOptions::default()).unwrap();
    let there = second.subscribe(["#"], SubscribeOptions::default()).unwrap();
    first.handle().unwrap().publish("a", "1", PublishOptions::default()).unwrap();
    assert_eq!(here.recv(SOON).unwrap().payload(), b"1");
    assert_eq!(there.recv(SHORT).unwrap_err(), RecvError::Timeout);
    drop(first);
    second.handle().unwrap().publish("a", "2", PublishOptions::default()).unwrap();
    assert_eq!(there.recv(SOON).unwrap().payload(), b"2");
}

#[test]
fn a_port_in_use_and_wrong_options_are_refused() {
    let first = broker(1);
    let error = options(1).port(first.port()).start().unwrap_err();
    assert!(error.to_string().contains("already in use"), "{error}");
    let exposed = options(1).bind(Addresses::from(["0.0.0.0"])).start().unwrap_err();
    assert!(
        matches!(&exposed, StartError::Config(errors) if matches!(errors.all(), [ConfigError::Exposed { .. }])),
        "{exposed}"
    );
}

#[test]
fn messages_reach_every_shard_with_everything_they_carry() {
    let broker = broker(3);
    for shard in 0..3 {
        let subscription = broker
            .subscribe(["home/+/temperature"], SubscribeOptions::default().shard(shard).subscription_id(7))
            .unwrap();
        assert_eq!((subscription.shard(), subscription.granted()), (shard, &[Qos::ExactlyOnce][..]));
        for (publisher, qos) in [(0, Qos::AtMostOnce), (1, Qos::AtLeastOnce), (2, Qos::ExactlyOnce)] {
            let handle = broker.handle_on(publisher).unwrap();
            let options = PublishOptions::qos(qos)
                .content_type("text/plain")
                .user_property("b", "2")
                .user_property("a", "1")
                .expiry_seconds(100);
            let published = handle.publish("home/kitchen/temperature", "21.5", options).unwrap();
            assert_eq!((published.matched, published.dropped), (1, 0));
            let message = subscription.recv(SOON).unwrap();
            assert_eq!((message.topic(), message.payload()), ("home/kitchen/temperature", &b"21.5"[..]));
            assert_eq!((message.qos(), message.retain(), message.subscription_ids()), (qos, false, &[7][..]));
            let pairs: Vec<_> = message.properties().user_properties().collect();
            assert_eq!(pairs, [("b", "2"), ("a", "1")]);
            assert!(message.expiry_left_seconds().is_some_and(|seconds| (95..=100).contains(&seconds)));
        }
    }
}

#[test]
fn nobody_matches_and_nobody_is_told() {
    let broker = broker(2);
    let published =
        broker.handle().unwrap().publish("a", "1", PublishOptions::qos(Qos::AtLeastOnce)).unwrap();
    assert_eq!(published.matched, 0);
}

#[test]
fn retained_messages_wait_for_those_who_come_later() {
    let broker = broker(2);
    let handle = broker.handle().unwrap();
    handle.publish("state", "on", PublishOptions::qos(Qos::AtLeastOnce).retain(true)).unwrap();
    let subscription = broker.subscribe(["state"], SubscribeOptions::default()).unwrap();
    let message = subscription.recv(SOON).unwrap();
    assert_eq!((message.payload(), message.retain()), (&b"on"[..], true));
    handle.publish("state", "", PublishOptions::qos(Qos::AtLeastOnce).retain(true)).unwrap();
    let later = broker.subscribe(["state"], SubscribeOptions::default()).unwrap();
    assert_eq!(later.recv(SHORT).unwrap_err(), RecvError::Timeout);
}

#[test]
fn large_payloads_are_shared_not_copied() {
    let broker = broker(1);
    let subscription = broker.subscribe(["big"], SubscribeOptions::default()).unwrap();
    let payload = Bytes::from(vec![7_u8; 1 << 20]);
    let published =
        broker.handle().unwrap().publish("big", payload.clone(), PublishOptions::qos(Qos::AtLeastOnce));
    assert_eq!(published.unwrap().matched, 1);
    let message = subscription.recv(SOON).unwrap();
    assert_eq!(message.payload_bytes().as_ptr(), payload.as_ptr());
}

#[test]
fn a_full_subscription_is_named_and_the_others_get_the_message() {
    let broker = broker(2);
    let slow = broker.subscribe(["a"], SubscribeOptions::default().maxlen(2)).unwrap();
    let fast = broker.subscribe(["a"], SubscribeOptions::default()).unwrap();
    let handle = broker.handle().unwrap();
    let quick = || PublishOptions::qos(Qos::AtLeastOnce).timeout(Duration::from_millis(100));
    let full = (0..10).find_map(|_| handle.publish("a", "x", quick()).err());
    let Some(PublishError::Full { subscription, matched, dropped }) = full else { panic!("{full:?}") };
    assert!(!subscription.is_empty());
    assert_eq!((matched, dropped), (2, 1));
    let before = Instant::now();
    assert!(matches!(handle.try_publish("a", "y", quick()), Err(PublishError::Full { .. })));
    assert!(before.elapsed() < SOON);
    let got = std::iter::from_fn(|| fast.recv(SHORT).ok()).count();
    let slow_got = std::iter::from_fn(|| slow.recv(SHORT).ok()).count();
    assert!(slow_got >= 2 && got > slow_got, "{got} {slow_got}");
    assert_eq!(broker.counters().sum(|counters| &counters.dropped_queue), (got - slow_got) as u64);
}

#[test]
fn a_held_publish_goes_on_when_the_reader_makes_room() {
    let broker = broker(2);
    let subscription = broker.subscribe(["a"], SubscribeOptions::default().maxlen(4)).unwrap();
    let handle = broker.handle().unwrap();
    let publisher = thread::spawn(move || {
        for number in 0..200_u32 {
            let published = handle.publish("a", number.to_string(), PublishOptions::qos(Qos::AtLeastOnce));
            assert_eq!(published.map(|published| published.matched), Ok(1));
        }
    });
    for number in 0..200_u32 {
        assert_eq!(subscription.recv(SOON).unwrap().payload(), number.to_string().as_bytes());
    }
    publisher.join().unwrap();
}

#[test]
fn what_is_acknowledged_by_hand_bounds_what_is_taken() {
    let broker = broker(2);
    let max = NonZeroU16::new(2).unwrap();
    let options = SubscribeOptions::default().maxlen(3).unacknowledged_max(max);
    let by_hand = broker.subscribe(["a"], options).unwrap();
    let taking = broker.subscribe(["a"], SubscribeOptions::default()).unwrap();
    let handle = broker.handle().unwrap();
    let quick = || PublishOptions::qos(Qos::ExactlyOnce).timeout(Duration::ZERO);
    for number in 0..5_u32 {
        assert_eq!(handle.publish("a", number.to_string(), quick()).unwrap().dropped, 0);
    }
    assert!(matches!(handle.publish("a", "5", quick()), Err(PublishError::Full { .. })));
    let first = [by_hand.recv(SOON).unwrap(), by_hand.recv(SOON).unwrap()];
    assert_eq!(by_hand.recv(Duration::from_millis(50)).unwrap_err(), RecvError::Timeout);
    assert!(first[1].clone().acknowledge() && !first[1].acknowledge(), "once, whichever copy");
    assert_eq!(by_hand.recv(SOON).unwrap().payload(), b"2");
    assert!(first[0].acknowledge());
    let last = by_hand.recv(SOON).unwrap();
    assert_eq!(last.payload(), b"3");
    assert!(!taking.recv(SOON).unwrap().acknowledge(), "taking it was enough");
    assert!(!taking.acknowledge(&last), "it is another's");
    by_hand.close();
    assert!(!last.acknowledge() && !by_hand.acknowledge(&last), "its session has ended");
    drop(by_hand);
    assert_eq!(handle.publish("a", "6", quick()).unwrap().matched, 1, "the broker goes on");
}

#[test]
fn a_session_that_a_full_queue_ends_says_so_to_its_reader() {
    let broker = options(1).queue_policy(QueuePolicy::End).start().unwrap();
    let slow = broker.subscribe(["a"], SubscribeOptions::default().maxlen(1)).unwrap();
    let handle = broker.handle().unwrap();
    let quick = || PublishOptions::qos(Qos::AtLeastOnce).timeout(Duration::ZERO);
    assert!((0..10).any(|_| handle.publish("a", "x", quick()).is_err()));
    while slow.recv(SOON).is_ok() {}
    assert_eq!(slow.recv(SOON).unwrap_err(), RecvError::Ended);
}

#[test]
fn what_is_no_topic_or_filter_is_refused_by_its_clause() {
    let broker = broker(1);
    let error = broker.handle().unwrap().publish("a/+", "x", PublishOptions::default()).unwrap_err();
    assert!(matches!(error, PublishError::Invalid(_)), "{error}");
    let small = options(1).packet_bytes_max(2048).connect_packet_bytes_max(2048).start().unwrap();
    let error = small.handle().unwrap().publish("a", vec![0; 2048], PublishOptions::default()).unwrap_err();
    assert_eq!(error, PublishError::TooLarge);
    let error = broker.subscribe(["a/#/b"], SubscribeOptions::default()).err().unwrap();
    assert!(matches!(error, SubscribeError::Invalid { .. }), "{error}");
    let error = broker.subscribe(["a"], SubscribeOptions::default().shard(9)).err().unwrap();
    assert_eq!(error, SubscribeError::NoShard(9));
}

#[test]
fn handles_and_subscriptions_outlive_the_broker_and_say_so() {
    let broker = broker(2);
    let handle = broker.handle().unwrap();
    let subscription = broker.subscribe(["a"], SubscribeOptions::default()).unwrap();
    let reader = thread::spawn(move || subscription.iter().count());
    handle.publish("a", "1", PublishOptions::qos(Qos::AtLeastOnce)).unwrap();
    broker.stop();
    assert_eq!(reader.join().unwrap(), 1);
    assert_eq!(handle.publish("a", "2", PublishOptions::default()).unwrap_err(), PublishError::Stopped);
}

/// Wakes the thread that polls.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread; one that is never woken fails the test.
fn block_on<F: Future>(future: F) -> F::Output {
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

#[test]
fn futures_need_no_runtime() {
    let broker = broker(2);
    let subscription = broker.subscribe(["a"], SubscribeOptions::default()).unwrap();
    let pending = broker.handle().unwrap().start_publish("a", "1", PublishOptions::qos(Qos::AtLeastOnce));
    assert_eq!(block_on(pending.unwrap()).unwrap().matched, 1);
    assert_eq!(block_on(subscription.next()).unwrap().payload(), b"1");
}

/// Says no to topics and filters that begin with `secret`, from another thread and late.
struct LateGuard(Decisions);

impl Decider for LateGuard {
    fn decide(&mut self, ticket: Ticket, question: &Question<'_>) -> Answer {
        let name = match question {
            Question::Publish { topic, .. } => topic,
            Question::Subscribe { filter, .. } => filter,
            Question::Connect { .. } | Question::Authenticate { .. } => return Answer::Now(Verdict::Allow),
        };
        let verdict = if name.starts_with("secret") { Verdict::Deny } else { Verdict::Allow };
        let decisions = self.0.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            decisions.answer(ticket, verdict);
        });
        Answer::Later
    }
}

/// Sends a packet of MQTT 5 and returns the answer: its first byte, and what follows the length.
fn exchange(stream: &mut TcpStream, packet: &Packet<'_>) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    packet.encode(Version::V5, &mut out);
    stream.write_all(&out).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert!(head[1] < 0x80, "no answer of this test is longer than 127 bytes");
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).unwrap();
    (head[0], body)
}

fn connect(name: &str) -> Packet<'_> {
    Packet::Connect(Connect {
        version: Version::V5,
        bridge: false,
        clean_start: true,
        keep_alive: 0,
        client_id: name,
        will: None,
        user_name: None,
        password: None,
        properties: Properties::EMPTY,
    })
}

fn publish(topic: &str) -> Packet<'_> {
    Packet::Publish(Publish {
        dup: false,
        qos: Qos::AtLeastOnce,
        retain: false,
        topic: TopicName::new(topic).unwrap(),
        packet_id: PacketId::new(1),
        properties: Properties::EMPTY,
        payload: b"x",
    })
}

#[test]
fn a_decider_may_answer_late_from_any_thread() {
    let factory = |_, decisions| Box::new(LateGuard(decisions)) as Box<dyn Decider>;
    let broker = options(2).decider(Arc::new(factory)).start().unwrap();
    let mut stream = TcpStream::connect(broker.addresses()[0]).unwrap();
    let (kind, connack) = exchange(&mut stream, &connect("guarded"));
    assert_eq!((kind, connack[1]), (0x20, 0));
    let subscription = broker.subscribe(["#"], SubscribeOptions::default()).unwrap();
    let (kind, puback) = exchange(&mut stream, &publish("secret/a"));
    assert_eq!((kind, puback[2]), (0x40, 0x87));
    assert_eq!(exchange(&mut stream, &publish("public")), (0x40, vec![0, 1]));
    assert_eq!(subscription.recv(SOON).unwrap().topic(), "public");
    assert_eq!(subscription.recv(SHORT).unwrap_err(), RecvError::Timeout);
}

#[test]
fn a_burst_waits_in_the_session() {
    let broker = broker(2);
    let subscription = broker.subscribe(["a"], SubscribeOptions::default().maxlen(1000)).unwrap();
    let handle = broker.handle().unwrap();
    let start =
        |number: u32| handle.start_publish("a", number.to_string(), PublishOptions::default()).unwrap();
    // Room for one page of retained messages is set aside until the subscription has read them.
    let burst = 900;
    let pending: Vec<_> = (0..burst).map(start).collect();
    for pending in pending {
        let published = pending.wait(Instant::now() + SOON).unwrap();
        let dropped = || broker.counters().sum(|counters| &counters.dropped_queue_qos0);
        assert_eq!((published.matched, published.dropped), (1, 0), "{} in a queue", dropped());
    }
    for number in 0..burst {
        assert_eq!(subscription.recv(SOON).unwrap().payload(), number.to_string().as_bytes());
    }
}

#[test]
fn many_threads_publish_through_their_own_handles() {
    let broker = broker(3);
    let subscription = broker.subscribe(["t/+"], SubscribeOptions::default().maxlen(100)).unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let handle = broker.handle().unwrap();
            scope.spawn(move || {
                for number in 0..100 {
                    let topic = format!("t/{thread}");
                    let published =
                        handle.publish(&topic, number.to_string(), PublishOptions::qos(Qos::AtLeastOnce));
                    assert_eq!(published.map(|published| published.matched), Ok(1));
                }
            });
        }
        let mut next = [0; 4];
        for _ in 0..400 {
            let message = subscription.recv(SOON).unwrap();
            let thread: usize = message.topic()[2..].parse().unwrap();
            assert_eq!(message.payload(), next[thread].to_string().as_bytes());
            next[thread] += 1;
        }
        assert_eq!(next, [100; 4]);
    });
}
