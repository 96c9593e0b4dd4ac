//! Alone in its process, because it counts threads: a guard's threads end with its broker.

use std::fs;

use ringmq::{Anonymous, DriverChoice, Options, Shards};

/// Threads of this process that compare passwords.
fn password_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "passwords").count()
}

#[test]
fn the_threads_of_a_guard_end_with_its_broker() {
    for stops in [true, false] {
        let options = Options::default().port(0).shards(Shards::Count(1)).driver(DriverChoice::Epoll);
        let broker = options.allow_anonymous(Anonymous::Nobody).start().unwrap();
        assert!(password_threads() > 0);
        if stops {
            broker.stop();
        } else {
            drop(broker);
        }
        assert_eq!(password_threads(), 0, "stopped: {stops}");
    }
}
