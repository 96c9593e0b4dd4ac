//! A program that starts and stops brokers over and over holds no more descriptors and threads than after the
//! first times. Alone in its file, because it counts what the whole process has.

#[path = "../../rt/tests/harness/threads.rs"]
mod threads;

use std::fs;
use std::time::Duration;

use ringmq::{Broker, Driver, DriverChoice, PublishOptions, Qos, Shards, SubscribeOptions};

fn count(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn descriptors_and_threads() -> (usize, usize) {
    (count("/proc/self/fd"), threads::thread_names().len())
}

fn cycle(driver: DriverChoice) -> Driver {
    let broker = Broker::builder().port(0).shards(Shards::Count(2)).driver(driver).start().unwrap();
    let subscription = broker.subscribe(["a"], SubscribeOptions::default()).unwrap();
    broker.handle().unwrap().publish("a", "x", PublishOptions::qos(Qos::AtLeastOnce)).unwrap();
    assert_eq!(subscription.recv(Duration::from_secs(5)).unwrap().payload(), b"x");
    let driver = broker.driver();
    assert_eq!(broker.stop().left, 0);
    driver
}

#[test]
fn cycles_hold_descriptors_and_threads_flat() {
    // The driver that this machine has, and the one that every machine has.
    for driver in [DriverChoice::Auto, DriverChoice::Epoll] {
        cycle(driver);
        cycle(driver);
        let before = descriptors_and_threads();
        for _ in 0..10 {
            cycle(driver);
        }
        let after = descriptors_and_threads();
        assert!(after.0 <= before.0 && after.1 <= before.1, "{driver:?}: {before:?}, then {after:?}");
    }
}
