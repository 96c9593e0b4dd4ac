//! Alone in its process, because it counts threads: a guard has some where passwords are compared, and they end with its
//! broker.

#[path = "../../rt/tests/harness/threads.rs"]
mod threads;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ringmq::{Anonymous, DriverChoice, Options, Shards};

/// Threads of this process that compare passwords.
fn password_threads() -> usize {
    threads_called("passwords")
}

fn threads_called(wanted: &str) -> usize {
    threads::thread_names().iter().filter(|name| *name == wanted).count()
}

fn options() -> Options {
    let options = Options::default().port(0).shards(Shards::Count(1)).driver(DriverChoice::Epoll);
    options.allow_anonymous(Anonymous::Nobody)
}

/// A thread gives itself its name, some time after it was made.
fn await_password_threads() {
    await_threads("passwords", 1);
}

fn await_threads(wanted: &str, least: usize) {
    let until = Instant::now() + Duration::from_secs(10);
    while threads_called(wanted) < least {
        assert!(Instant::now() < until, "there are not {least} {wanted}");
        std::thread::yield_now();
    }
}

fn a_password_file() -> PathBuf {
    let path = std::env::temp_dir().join(format!("ringmq-guard-threads-{}", std::process::id()));
    fs::write(&path, "anna:$7$101$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==").unwrap();
    path
}

#[test]
fn the_threads_of_a_guard_end_with_its_broker() {
    let mut broker = options().start().unwrap();
    assert_eq!(password_threads(), 0, "there are no passwords");
    let password_file = a_password_file();
    broker.reload(options().password_file(Some(password_file.clone()))).unwrap();
    await_password_threads();
    broker.stop();
    assert_eq!(password_threads(), 0);
    for stops in [true, false] {
        let broker = options().password_file(Some(password_file.clone())).start().unwrap();
        await_password_threads();
        if stops {
            broker.stop();
        } else {
            drop(broker);
        }
        assert_eq!(password_threads(), 0, "stopped: {stops}");
    }
    fs::remove_file(password_file).unwrap();
    those_that_ask_a_service_too();
}

fn those_that_ask_a_service_too() {
    let mut broker = options().start().unwrap();
    assert_eq!(threads_called("http auth"), 0, "there is nobody to ask");
    let url = || "http://127.0.0.1:9/".parse().ok();
    broker.reload(options().http_auth_url(url())).unwrap();
    // The number holds from the start, which had the default.
    await_threads("http auth", 16);
    broker.stop();
    assert_eq!(threads_called("http auth"), 0);
    let broker = options().http_auth_url(url()).http_auth_parallel_max(3).start().unwrap();
    await_threads("http auth", 3);
    assert_eq!(threads_called("http auth"), 3);
    drop(broker);
    assert_eq!(threads_called("http auth"), 0);
}
