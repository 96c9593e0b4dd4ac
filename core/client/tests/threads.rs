//! Alone in its process: what a client leaves behind when it is gone.

mod scripted;

use ringmq_client::{Client, Context, Publish, Qos, Version};
use scripted::Server;
use std::time::{Duration, Instant};

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Threads and descriptors are given back once the last client of a context is dropped.
#[test]
fn nothing_is_left_behind() {
    let (threads, descriptors) = (count("/proc/self/task"), count("/proc/self/fd"));
    for round in 0..5 {
        let (one, two) = (Server::new(), Server::new());
        let own = Context::new().unwrap();
        let (first, second) = (one.options(Version::V5), two.options(Version::V311).context(&own));
        drop(own);
        let (one, two) = (one.echo(), two.echo());
        let first = Client::connect(first).unwrap();
        let second = Client::connect(second).unwrap();
        let receipt = first.publish(Publish::new("t", "x").qos(Qos::AtLeastOnce)).unwrap();
        receipt.wait().unwrap();
        if round % 2 == 0 {
            second.disconnect().unwrap();
        }
        drop((first, second));
        one.join().unwrap();
        two.join().unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while (count("/proc/self/task"), count("/proc/self/fd")) != (threads, descriptors) {
            assert!(Instant::now() < until, "threads or descriptors are left");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
