//! Starting and stopping again and again: nothing adds up. Alone in its process, because it counts all that
//! the process has.

mod harness;

use std::thread;
use std::time::{Duration, Instant};

use harness::threads::thread_names;
use harness::{Client, PATIENCE, address, drivers, options};
use ringmq_rt::{DriverChoice, Options, start, trim};

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn descriptors_and_threads() -> (usize, usize) {
    (entries("/proc/self/fd"), thread_names().len())
}

/// One broker's life, with clients that come, talk and stay until the end; then another on its port.
fn live(driver: DriverChoice) {
    let running = start(options(driver, 2)).unwrap();
    let port = address(&running);
    let mut clients: Vec<_> = (0..20).map(|i| Client::connect(port, &format!("client-{i}"))).collect();
    clients.iter_mut().for_each(|client| client.subscribe("all", 0));
    clients[0].publish("all", b"payload");
    for client in &mut clients {
        assert_eq!(client.message("all"), b"payload");
    }
    assert_eq!(running.stop(PATIENCE).left, 0);
    let again = start(Options { listen: vec![port.into()], ..options(driver, 2) }).unwrap();
    Client::connect(port, "next").ping();
    drop(again);
}

#[test]
fn forty_brokers_one_after_the_other_leave_no_descriptor_and_no_thread() {
    for driver in drivers() {
        live(driver);
        let before = descriptors_and_threads();
        for cycle in 0..20 {
            live(driver);
            assert_eq!(descriptors_and_threads(), before, "{driver:?}, cycle {cycle}");
        }
    }
    trim();
    let until = Instant::now() + PATIENCE;
    // This thread and the harness's.
    while descriptors_and_threads().1 > 2 && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(descriptors_and_threads().1, 2);
}
