//! A program floods its own subscription, which holds 10 messages, and does not read meanwhile: every refusal
//! is an error that names the subscription (at QoS 0 an answer that counts the drop), nothing hangs, and what
//! was published is what was received and what was refused. `RINGMQ_MESSAGES` says how many messages each row
//! publishes; without it only the rows that are quickest, or matter most, take 10,000.

mod harness;

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use harness::{block_on, drivers, options};
use ringmq::{
    Broker, Handle, PendingPublish, PublishError, PublishOptions, Published, Qos, QueuePolicy, RecvError,
    SubscribeOptions, Subscription,
};

/// What the subscription holds, and as many again that are handed over to its reader.
const HOLDS: usize = 10;
const MESSAGES: usize = 10_000;
const MESSAGES_OF_SLOW_ROWS: usize = 200;
const QUALITIES: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

/// In which way a message is published.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// `try_publish`.
    Try,
    /// `publish` with this timeout.
    Within(Duration),
    /// `start_publish` of all messages with this timeout, and only then the answers.
    Together(Duration),
}

const WAYS: [Way; 4] = [
    Way::Try,
    Way::Within(Duration::ZERO),
    Way::Within(Duration::from_millis(1)),
    Way::Together(Duration::from_millis(50)),
];

/// What became of the messages.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    taken: u64,
    /// QoS 0: the answer said that the subscription did not get it.
    dropped: u64,
    /// The error named the subscription.
    named: u64,
    /// The shard took no request: nothing of it has happened.
    busy: u64,
    /// The shard's word did not come within half a second, which a machine that is busy with other things can
    /// bring about: the error says that the message may have been delivered, so it is either.
    unanswered: u64,
}

impl Tally {
    fn add(&mut self, result: Result<Published, PublishError>, name: &str) {
        match result {
            Ok(Published { matched: 1, dropped: 0 }) => self.taken += 1,
            Ok(Published { matched: 1, dropped: 1 }) => self.dropped += 1,
            Err(PublishError::Full { subscription, matched: 1, dropped: 1 }) if subscription == name => {
                self.named += 1;
            }
            Err(PublishError::Busy) => self.busy += 1,
            Err(PublishError::Timeout) => self.unanswered += 1,
            other => panic!("neither taken nor refused by name: {other:?}"),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.taken += other.taken;
        self.dropped += other.dropped;
        self.named += other.named;
        self.busy += other.busy;
        self.unanswered += other.unanswered;
    }

    fn sum(&self) -> u64 {
        self.taken + self.dropped + self.named + self.busy + self.unanswered
    }
}

fn messages(broker: &Broker, way: Way, threads: usize) -> usize {
    let asked = std::env::var("RINGMQ_MESSAGES").ok();
    let asked = asked.map(|text| text.parse().unwrap_or_else(|_| panic!("not a number: {text}")));
    let slow = match way {
        Way::Try => threads > 1 || broker.shards() == 1,
        Way::Within(_) => true,
        Way::Together(_) => broker.shards() == 1,
    };
    asked.unwrap_or(if slow { MESSAGES_OF_SLOW_ROWS } else { MESSAGES })
}

/// Publishes so many messages in one thread; the payload is the thread and the number.
fn flood(handle: &Handle, thread: usize, count: usize, way: Way, qos: Qos, name: &str) -> Tally {
    let mut tally = Tally::default();
    let mut pending: Vec<PendingPublish> = Vec::new();
    for number in 0..count {
        let payload = format!("{thread} {number}");
        let options = PublishOptions::qos(qos);
        match way {
            Way::Try => tally.add(handle.try_publish("own", payload, options), name),
            Way::Within(timeout) => tally.add(handle.publish("own", payload, options.timeout(timeout)), name),
            Way::Together(timeout) => match handle.start_publish("own", payload, options.timeout(timeout)) {
                Ok(started) => pending.push(started),
                Err(error) => tally.add(Err(error), name),
            },
        }
    }
    for pending in pending {
        tally.add(block_on(pending), name);
    }
    tally
}

/// Reads what is there; numbers of one thread must come in their order.
fn read(subscription: &Subscription) -> u64 {
    let mut last = [None; 4];
    let mut count = 0;
    loop {
        match subscription.recv(Duration::from_millis(20)) {
            Ok(message) => {
                let text = std::str::from_utf8(message.payload()).unwrap();
                let (thread, number) = text.split_once(' ').unwrap();
                let (thread, number): (usize, usize) = (thread.parse().unwrap(), number.parse().unwrap());
                assert!(last[thread].is_none_or(|last| last < number), "{last:?}, then {text}");
                last[thread] = Some(number);
                count += 1;
            }
            Err(RecvError::Timeout) => return count,
            Err(error) => panic!("{error}"),
        }
    }
}

/// One row: publishes, then reads, then compares.
fn check(broker: &Broker, way: Way, qos: Qos, threads: usize) {
    let row = format!("{way:?}, {qos:?}, {threads} threads, {:?}", broker.driver());
    let drops = || broker.counters().sum(|shard| &shard.dropped_queue);
    let drops_qos0 = || broker.counters().sum(|shard| &shard.dropped_queue_qos0);
    let drops_before = drops() + drops_qos0();
    let subscription = broker.subscribe(["own"], SubscribeOptions::default().maxlen(HOLDS)).unwrap();
    let name = subscription.name();
    let each = messages(broker, way, threads) / threads;
    let begun = Instant::now();
    let mut all = Tally::default();
    if threads == 1 {
        all = flood(&broker.handle().unwrap(), 0, each, way, qos, &name);
    } else {
        let barrier = Barrier::new(threads);
        thread::scope(|scope| {
            let flood = |thread| {
                let handle = broker.handle().unwrap();
                barrier.wait();
                flood(&handle, thread, each, way, qos, &name)
            };
            let floods: Vec<_> = (0..threads).map(|thread| scope.spawn(move || flood(thread))).collect();
            floods.into_iter().for_each(|flood| all.merge(&flood.join().unwrap()));
        });
    }
    let took = begun.elapsed();
    let received = read(&subscription);
    let refused = drops() + drops_qos0() - drops_before;
    assert_eq!(received, 2 * HOLDS as u64, "{row}: what it holds and what was handed over");
    assert_eq!(all.sum(), (each * threads) as u64, "{row}: {all:?}");
    assert_eq!(received + refused, all.sum() - all.busy, "{row}: {all:?}");
    assert!(all.unanswered * 100 <= all.sum(), "{row}: {all:?}");
    assert!((all.taken..=all.taken + all.unanswered).contains(&received), "{row}: {all:?}");
    assert!(if qos == Qos::AtMostOnce { all.named == 0 } else { all.dropped == 0 }, "{row}: {all:?}");
    // Nobody waits longer for any message than its timeout and the moment for the answer.
    assert!(took < Duration::from_millis(600) * (each as u32), "{row}: {took:?}");
}

#[test]
fn a_flooded_subscription_refuses_by_name_and_loses_nothing_silently() {
    for driver in drivers() {
        for shards in [1, 2] {
            let broker = options(driver, shards).start().unwrap();
            for way in WAYS {
                for qos in QUALITIES {
                    check(&broker, way, qos, 1);
                    check(&broker, way, qos, 4);
                }
            }
            assert!(!broker.stop().failed);
        }
    }
}

/// The publisher is told of each refusal whatever the policy is, and the subscription is named.
#[test]
fn the_policy_refuse_names_the_subscription_too() {
    for driver in drivers() {
        let broker = options(driver, 2).queue_policy(QueuePolicy::Refuse).start().unwrap();
        for qos in QUALITIES {
            check(&broker, Way::Try, qos, 4);
            check(&broker, Way::Within(Duration::ZERO), qos, 1);
        }
    }
}

/// With a reader and time enough nothing is refused at QoS 1 and 2, and all is in order.
#[test]
fn a_reader_and_patience_get_every_message() {
    for driver in drivers() {
        let broker = options(driver, 2).start().unwrap();
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            for threads in [1, 4] {
                let patient = Way::Within(Duration::from_secs(60));
                let each = MESSAGES / 4 / threads;
                let subscription =
                    broker.subscribe(["own"], SubscribeOptions::default().maxlen(HOLDS)).unwrap();
                let name = subscription.name();
                let taken: u64 = thread::scope(|scope| {
                    let flood = |thread| {
                        let handle = broker.handle().unwrap();
                        let name = &name;
                        scope.spawn(move || flood(&handle, thread, each, patient, qos, name))
                    };
                    let floods: Vec<_> = (0..threads).map(flood).collect();
                    let mut next = [0; 4];
                    for _ in 0..each * threads {
                        let message = subscription.recv(harness::SOON).unwrap();
                        let text = std::str::from_utf8(message.payload()).unwrap();
                        let (thread, number) = text.split_once(' ').unwrap();
                        let thread: usize = thread.parse().unwrap();
                        assert_eq!(number, next[thread].to_string());
                        next[thread] += 1;
                    }
                    floods.into_iter().map(|flood| flood.join().unwrap().taken).sum()
                });
                assert_eq!(taken, (each * threads) as u64);
            }
        }
    }
}
