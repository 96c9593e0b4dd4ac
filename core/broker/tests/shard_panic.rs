//! A shard that panics takes the whole broker with it and nothing else: clients are disconnected, whoever
//! waits inside this program is told, the log says which shard and why, nothing is kept, and the process goes
//! on to start the next broker. The panics come from deciders, which are this program's own code in a shard.

mod harness;

use std::any::Any;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::task::{Context, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use harness::{Client, SOON, block_on, broker_threads, descriptors, drivers, eventually, options};
use ringmq::{
    Answer, Broker, Decider, Decisions, DriverChoice, OpenError, Options, PublishError, PublishOptions, Qos,
    Question, RecvError, ShardId, SubscribeError, SubscribeOptions, Ticket, Verdict, trim,
};

/// Longer than any test: what waits so long is woken by the failure or not at all.
const LONG: Duration = Duration::from_secs(600);
/// The same for what is held in the broker, in milliseconds.
const HOLD: u64 = 600_000;
const NOWHERE: usize = usize::MAX;

/// One test at a time, for each counts what the whole process holds.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was logged at the level of errors since the last look.
fn errors_logged() -> String {
    static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    static INSTALLED: Once = Once::new();
    struct Sink;
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            LOG.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    INSTALLED.call_once(|| {
        let errors = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_ansi(false);
        errors.with_writer(|| Sink).init();
    });
    String::from_utf8(std::mem::take(&mut *LOG.lock().unwrap())).unwrap()
}

/// What a decider panics with.
type Payload = fn() -> Box<dyn Any + Send>;

/// Panics when a client `fatal` connects or somebody publishes to `fatal`, and notes on which shard.
struct Fragile {
    shard: ShardId,
    payload: Payload,
    panicked_on: Arc<AtomicUsize>,
}

impl Decider for Fragile {
    fn decide(&mut self, _: Ticket, question: &Question<'_>) -> Answer {
        let fatal = match question {
            Question::Connect { client_id, .. } | Question::Authenticate { client_id, .. } => {
                *client_id == "fatal"
            }
            Question::Publish { topic, .. } => *topic == "fatal",
            Question::Subscribe { .. } => false,
        };
        if fatal {
            self.panicked_on.store(self.shard.index(), Ordering::SeqCst);
            resume_unwind((self.payload)());
        }
        Answer::Now(Verdict::Allow)
    }
}

fn text() -> Box<dyn Any + Send> {
    Box::new("a planted panic")
}

/// A broker whose decider panics, and where it did.
fn fragile(options: Options, payload: Payload) -> (Broker, Arc<AtomicUsize>) {
    let panicked_on = Arc::new(AtomicUsize::new(NOWHERE));
    let noted = Arc::clone(&panicked_on);
    let factory = move |shard, _: Decisions| -> Box<dyn Decider> {
        Box::new(Fragile { shard, payload, panicked_on: Arc::clone(&noted) })
    };
    (options.publish_hold(HOLD).decider(Arc::new(factory)).start().unwrap(), panicked_on)
}

fn everywhere(test: impl Fn(DriverChoice, u16)) {
    for driver in drivers() {
        for shards in [1, 2, 4] {
            test(driver, shards);
        }
    }
}

/// Threads that wait at the broker in every way there is, on every shard; each ends with what it was told.
fn waiting(broker: &Broker) -> Vec<(&'static str, JoinHandle<String>)> {
    let mut waiting: Vec<(&'static str, JoinHandle<String>)> = Vec::new();
    let patient = || PublishOptions::qos(Qos::AtLeastOnce).timeout(LONG);
    for shard in 0..broker.shards() {
        let here = || SubscribeOptions::default().shard(shard);
        let silent = broker.subscribe(["silent"], here()).unwrap();
        waiting.push(("recv", thread::spawn(move || silent.recv(LONG).unwrap_err().to_string())));
        let silent = broker.subscribe(["silent"], here()).unwrap();
        let next = move || {
            assert!(block_on(silent.next()).is_none());
            silent.try_recv().unwrap_err().to_string()
        };
        waiting.push(("next", thread::spawn(next)));
        let handle = broker.handle_on(shard).unwrap();
        let publish = move || handle.publish("full", "x", patient()).unwrap_err().to_string();
        waiting.push(("publish", thread::spawn(publish)));
        let handle = broker.handle_on(shard).unwrap();
        let pending = handle.start_publish("full", "x", patient()).unwrap();
        waiting.push((
            "a handle kept",
            thread::spawn(move || {
                let said = block_on(pending).unwrap_err().to_string();
                drop(handle);
                said
            }),
        ));
        let pending = broker.handle_on(shard).unwrap().start_publish("full", "x", patient()).unwrap();
        waiting.push(("a handle dropped", thread::spawn(move || block_on(pending).unwrap_err().to_string())));
    }
    waiting
}

/// Fills a subscription that nobody reads, so that every further publish to it waits.
fn fill(broker: &Broker) -> ringmq::Subscription {
    let full = broker.subscribe(["full"], SubscribeOptions::default().maxlen(1).shard(0)).unwrap();
    let handle = broker.handle().unwrap();
    let refused = |_| handle.try_publish("full", "x", PublishOptions::qos(Qos::AtLeastOnce)).is_err();
    assert!((0..10).any(refused));
    full
}

fn panics_with_everybody_waiting(driver: DriverChoice, shards: u16) {
    let (broker, panicked_on) = fragile(options(driver, shards), text);
    let address = broker.addresses()[0];
    let full = fill(&broker);
    let mut clients: Vec<_> =
        (0..8).map(|number| Client::connect(address, &format!("other-{number}"))).collect();
    clients.iter_mut().for_each(|client| client.send_publish("full", 1));
    let waiting = waiting(&broker);
    let late = broker.handle().unwrap();
    assert_eq!(broker.failed(), None);

    Client::socket(address).send_connect("fatal");
    let failure = broker.wait_failed(SOON).expect("a shard has panicked");
    let shard = panicked_on.load(Ordering::SeqCst);
    assert_eq!(failure, format!("shard {shard} panicked, the broker stops: a planted panic"));
    for (way, thread) in waiting {
        assert!(eventually(|| thread.is_finished()), "{driver:?}, {shards} shards: {way} was told nothing");
        assert_eq!(thread.join().unwrap(), "the broker has failed, its log says why", "{way}");
    }
    for client in &mut clients {
        assert_eq!(client.receive(), None, "no acknowledgement, only the end");
    }
    assert_eq!(late.publish("a", "x", PublishOptions::default()).unwrap_err(), PublishError::Failed);
    assert_eq!(broker.handle().err(), Some(OpenError::Failed));
    assert_eq!(broker.subscribe(["a"], SubscribeOptions::default()).err(), Some(SubscribeError::Failed));
    while full.try_recv().is_ok() {}
    assert_eq!(full.try_recv().unwrap_err(), RecvError::Failed);
    let begun = Instant::now();
    assert!(broker.stop().failed);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let logged = errors_logged();
    assert!(logged.contains("ERROR") && logged.contains(&failure), "{logged}");

    let next = options(driver, shards).port(address.port()).start().unwrap();
    Client::connect(address, "fatal");
    assert!(!next.stop().failed);
}

#[test]
fn a_panic_ends_the_broker_for_everybody_who_waits_and_leaves_nothing() {
    let _alone = alone();
    errors_logged();
    everywhere(|driver, shards| {
        let before = rested(driver);
        panics_with_everybody_waiting(driver, shards);
        let now = || (descriptors(), broker_threads());
        assert!(eventually(|| now() == before), "{driver:?}, {shards} shards: {before:?}, then {:?}", now());
    });
    trim();
    assert!(eventually(|| broker_threads() == 0));
}

/// Descriptors and threads when nothing runs and as many executors as any test here needs wait for their next
/// use, made just now, so that none of them ends meanwhile.
fn rested(driver: DriverChoice) -> (usize, usize) {
    trim();
    assert!(eventually(|| broker_threads() == 0));
    options(driver, 4).start().unwrap().stop();
    // glommio has a second thread for each executor, for what would block.
    let parked = if driver == DriverChoice::Epoll { 0 } else { 2 * 4 };
    assert!(eventually(|| broker_threads() == parked));
    (descriptors(), parked)
}

/// Comes with a panic and brings another.
struct Spiteful;

impl Drop for Spiteful {
    fn drop(&mut self) {
        panic!("once more");
    }
}

#[test]
fn a_panic_that_says_nothing_is_reported_with_its_shard() {
    let _alone = alone();
    let payloads: [Payload; 2] = [|| Box::new(7_u32), || Box::new(Spiteful)];
    for payload in payloads {
        everywhere(|driver, shards| {
            let (broker, panicked_on) = fragile(options(driver, shards), payload);
            Client::connect(broker.addresses()[0], "publisher").send_publish("fatal", 1);
            let failure = broker.wait_failed(SOON).expect("a shard has panicked");
            let shard = panicked_on.load(Ordering::SeqCst);
            assert_eq!(failure, format!("shard {shard} panicked, the broker stops: no message"));
            assert!(broker.stop().failed);
        });
    }
}

/// Panics when it is dropped, which is when its shard leaves.
struct Stubborn;

impl Decider for Stubborn {
    fn decide(&mut self, _: Ticket, _: &Question<'_>) -> Answer {
        Answer::Now(Verdict::Allow)
    }
}

impl Drop for Stubborn {
    fn drop(&mut self) {
        panic!("it does not go quietly");
    }
}

#[test]
fn a_panic_while_a_shard_leaves_is_told_and_leaves_nothing() {
    let _alone = alone();
    errors_logged();
    for driver in drivers() {
        let stop = || {
            let factory = |_: ShardId, _: Decisions| -> Box<dyn Decider> { Box::new(Stubborn) };
            let broker = options(driver, 2).decider(Arc::new(factory)).start().unwrap();
            Client::connect(broker.addresses()[0], "somebody");
            broker.stop()
        };
        let before = rested(driver);
        assert!(stop().failed);
        let now = || (descriptors(), broker_threads());
        assert!(eventually(|| now() == before), "{driver:?}: {before:?}, then {:?}", now());
        assert!(errors_logged().contains("panicked while it left, the broker stops: it does not go quietly"));
    }
}

#[test]
fn a_decider_that_cannot_be_made_refuses_the_start() {
    let _alone = alone();
    everywhere(|driver, shards| {
        // Only the last shard fails, so others may stand already.
        let factory = move |shard: ShardId, _: Decisions| -> Box<dyn Decider> {
            assert_ne!(shard.index() + 1, usize::from(shards), "no decider here");
            Box::new(ringmq_shard::AllowAll)
        };
        let error = options(driver, shards).decider(Arc::new(factory)).start().unwrap_err().to_string();
        assert!(error.starts_with("a shard panicked while starting: "), "{error}");
        assert!(error.contains("no decider here"), "{error}");
    });
    trim();
    assert!(eventually(|| broker_threads() == 0));
}

/// A task's waker is called on a shard's thread, and it is this program's own code.
#[test]
fn a_waker_that_panics_costs_only_its_own_task() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("the executor is gone");
        }
    }
    let _alone = alone();
    errors_logged();
    everywhere(|driver, shards| {
        let broker = options(driver, shards).start().unwrap();
        let subscription = broker.subscribe(["a"], SubscribeOptions::default().shard(0)).unwrap();
        let bad = Waker::from(Arc::new(Bad));
        let mut context = Context::from_waker(&bad);
        assert!(subscription.poll_next(&mut context).is_pending());
        let full = fill(&broker);
        let handle = broker.handle().unwrap();
        let patient = PublishOptions::qos(Qos::AtLeastOnce).timeout(LONG);
        let mut held = pin!(handle.start_publish("full", "x", patient).unwrap());
        assert!(held.as_mut().poll(&mut context).is_pending());
        handle.publish("a", "x", PublishOptions::qos(Qos::AtLeastOnce)).unwrap();
        assert_eq!(subscription.recv(SOON).unwrap().payload(), b"x");
        while full.recv(Duration::from_millis(100)).is_ok() {}
        assert_eq!(block_on(held).unwrap().matched, 1);
        assert_eq!(broker.failed(), None);
        assert!(!broker.stop().failed);
    });
    assert!(errors_logged().contains("a waker of this program's own executor panicked"));
}

/// What outlives a broker holds no socket of it.
#[test]
fn handles_and_subscriptions_that_outlive_the_broker_hold_no_descriptor() {
    let _alone = alone();
    for driver in drivers() {
        let (before, _) = rested(driver);
        let broker = options(driver, 2).start().unwrap();
        let handles: Vec<_> = (0..2).map(|shard| broker.handle_on(shard).unwrap()).collect();
        let subscription = broker.subscribe(["a"], SubscribeOptions::default()).unwrap();
        broker.stop();
        assert!(eventually(|| descriptors() == before), "{driver:?}: {before}, then {}", descriptors());
        drop((handles, subscription));
    }
}
