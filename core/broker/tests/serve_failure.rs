//! `ringmq serve` with a decider that panics, as a process: it ends with exit code 1 and says which shard and
//! why, whatever the panic says and whenever it comes, and it never stays half alive.

mod harness;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use harness::{Client, SOON, drivers, eventually};
use ringmq::DriverChoice;
use rustix::process::{Pid, Signal, kill_process};

/// The program under test; killed when a test fails.
struct Serving {
    child: Child,
    lines: Receiver<String>,
    address: SocketAddr,
}

impl Serving {
    fn start(driver: &str, shards: u16) -> Self {
        let mut child = Command::new(harness::example("fragile_serve"))
            .args([
                "serve",
                "-p",
                "0",
                "--bind",
                "127.0.0.1",
                "--driver",
                driver,
                "--shards",
                &shards.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let mut serving = Self { child, lines, address: ([127, 0, 0, 1], 0).into() };
        loop {
            let line = serving.lines.recv_timeout(SOON).expect("a line about being ready");
            if let Some((_, address)) = line.split_once("listening on mqtt://") {
                serving.address = address.parse().unwrap();
            }
            if line.contains("ready") {
                return serving;
            }
        }
    }

    /// Waits for its end; gives the exit code and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let child = std::cell::RefCell::new(&mut self.child);
        assert!(eventually(|| child.borrow_mut().try_wait().unwrap().is_some()), "it hangs");
        let code = self.child.wait().unwrap().code();
        (code, self.lines.iter().collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn everywhere(test: impl Fn(Serving)) {
    for driver in drivers() {
        let name = if driver == DriverChoice::Epoll { "epoll" } else { "uring" };
        for shards in [1, 2, 4] {
            test(Serving::start(name, shards));
        }
    }
}

#[test]
fn a_panic_while_it_serves_ends_it_with_a_clear_message() {
    everywhere(|serving| {
        let mut others: Vec<_> =
            (0..6).map(|number| Client::connect(serving.address, &format!("other-{number}"))).collect();
        Client::socket(serving.address).send_connect("fatal");
        for client in &mut others {
            // A shard that is told of the failure and of the stop at once may still say goodbye: shutting down.
            let goodbye = (0xE0, vec![0x8B]);
            let said: Vec<_> = std::iter::from_fn(|| client.receive()).collect();
            assert!(said.is_empty() || said == [goodbye], "{said:?}");
        }
        let (code, said) = serving.end();
        assert_eq!(code, Some(1), "{said}");
        let last = said.lines().last().unwrap();
        assert!(last.starts_with("ringmq: the broker has failed: shard "), "{said}");
        assert!(last.ends_with(" panicked, the broker stops: a fatal client"), "{said}");
        assert!(said.lines().any(|line| line.contains("Error: shard ")), "the log says it too: {said}");
    });
}

#[test]
fn a_panic_without_words_ends_it_too() {
    everywhere(|serving| {
        Client::socket(serving.address).send_connect("speechless");
        let (code, said) = serving.end();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.ends_with(" panicked, the broker stops: no message"), "{said}");
    });
}

#[test]
fn a_panic_while_it_stops_is_no_success() {
    everywhere(|serving| {
        let mut client = Client::connect(serving.address, "delayed");
        let pid = Pid::from_raw(serving.child.id() as i32).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let (code, said) = serving.end();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.ends_with("ringmq: the broker has failed while it stopped, its log says why"), "{said}");
        assert!(said.contains("panicked while it left, the broker stops: a delayed panic"), "{said}");
        while client.receive().is_some() {}
    });
}
