//! A start that has too few descriptors, by one or by many, fails in words and leaves nothing behind; with
//! enough of them the same program starts. Alone in its file, because it lowers the limit of the process.

mod harness;

use harness::{Client, broker_threads, descriptors, drivers, eventually, options};
use ringmq::trim;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than a broker with two shards needs on any driver.
const DESCRIPTORS_MAX: u64 = 100;

#[test]
fn a_start_that_has_too_few_descriptors_leaves_nothing() {
    let limit = getrlimit(Resource::Nofile);
    for driver in drivers() {
        trim();
        assert!(eventually(|| broker_threads() == 0));
        let before = descriptors();
        let mut refusals = 0;
        let broker = (0..DESCRIPTORS_MAX).find_map(|more| {
            let lowered = Rlimit { current: Some(before as u64 + more), ..limit };
            setrlimit(Resource::Nofile, lowered).unwrap();
            let started = options(driver, 2).start();
            setrlimit(Resource::Nofile, limit).unwrap();
            let error = match started {
                Ok(broker) => return Some(broker),
                Err(error) => error.to_string(),
            };
            assert!(error.contains("ulimit -n"), "{driver:?}, {more} more: {error}");
            trim();
            let now = || (descriptors(), broker_threads());
            assert!(
                eventually(|| now() == (before, 0)),
                "{driver:?}, {more} more: {before}, then {:?}",
                now()
            );
            refusals += 1;
            None
        });
        let broker = broker.expect("so many descriptors suffice");
        assert!(refusals > 5, "{driver:?}: only {refusals} limits were too low");
        Client::connect(broker.addresses()[0], "somebody");
        assert!(!broker.stop().failed);
    }
}
