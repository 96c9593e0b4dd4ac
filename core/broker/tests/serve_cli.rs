//! `ringmq serve` and its small sisters as a script sees them: lines on stderr, exit codes, ports.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The broker's own deadline for a stop is 5 s.
const STOP_MAX: Duration = Duration::from_secs(10);

fn ringmq() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq"));
    command.stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    ringmq().args(arguments).output().unwrap()
}

fn error_text(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A broker under test; killed when a test fails.
struct Serving {
    child: Child,
    stderr: Option<BufReader<ChildStderr>>,
    lines: Vec<String>,
    addresses: Vec<SocketAddr>,
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let mut child = ringmq()
            .arg("serve")
            .args(arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut serving = Self { child, stderr: Some(stderr), lines: Vec::new(), addresses: Vec::new() };
        serving.read_until_ready();
        serving
    }

    fn read_until_ready(&mut self) {
        while !self.lines.last().is_some_and(|line| line.contains("ready")) {
            let mut line = String::new();
            self.stderr.as_mut().unwrap().read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "it ended: {:?}", self.lines);
            if let Some((_, address)) = line.trim().split_once("listening on mqtt://") {
                self.addresses.push(address.parse().unwrap());
            }
            self.lines.push(line);
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end that a signal asked for; a broker that does not end fails the test.
    fn finish(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + STOP_MAX;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "still running {STOP_MAX:?} after the signal");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut rest = String::new();
        if let Some(stderr) = self.stderr.as_mut() {
            stderr.read_to_string(&mut rest).unwrap();
        }
        (status.code(), rest)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_says_where_it_listens_and_stops_on_both_signals_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let serving = Serving::start(&["-p", "0"]);
        let port = serving.addresses[0].port();
        assert_ne!(port, 0);
        assert!(serving.addresses.iter().all(|address| address.ip().is_loopback() && address.port() == port));
        assert!(serving.lines.iter().any(|line| line.contains("driver")), "{:?}", serving.lines);
        for address in &serving.addresses {
            TcpStream::connect(address).unwrap();
        }
        serving.signal(signal);
        let (code, rest) = serving.finish();
        assert_eq!(code, Some(0), "{rest}");
        assert!(rest.contains("stopped"), "{rest}");
    }
}

#[test]
fn other_machines_are_let_in_only_by_a_word() {
    let refused = output(&["serve", "-p", "0", "--bind", "0.0.0.0"]);
    assert_eq!(refused.status.code(), Some(2));
    let text = error_text(&refused);
    assert!(text.contains("0.0.0.0:0") && text.contains("--allow-anonymous"), "{text}");
    assert!(!text.contains("listening"), "{text}");
    let serving = Serving::start(&["-p", "0", "--bind", "0.0.0.0", "--allow-anonymous"]);
    assert!(serving.addresses[0].ip().is_unspecified());
    serving.signal(Signal::TERM);
    assert_eq!(serving.finish().0, Some(0));
}

#[test]
fn a_second_broker_on_the_port_is_refused_and_the_first_goes_on() {
    let first = Serving::start(&["-p", "0"]);
    let port = first.addresses[0].port().to_string();
    let second = output(&["serve", "-p", &port]);
    let text = error_text(&second);
    assert_eq!(second.status.code(), Some(1), "{text}");
    assert!(text.contains(&port) && text.contains("already in use"), "{text}");
    TcpStream::connect(first.addresses[0]).unwrap();
    first.signal(Signal::TERM);
    assert_eq!(first.finish().0, Some(0));
}

#[test]
fn a_port_of_another_program_is_refused() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let refused = output(&["serve", "-p", &port]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(error_text(&refused).contains("already in use"));
}

#[test]
fn wrong_configuration_is_named_and_ends_with_2() {
    let rows: &[(&[&str], &[&str])] = &[
        (&["--set", "queue_mesages_max=3"], &["queue_mesages_max", "queue_messages_max"]),
        (&["--set", "queue_messages_max=0"], &["queue_messages_max", "`0`", "1 to 4294967295 messages"]),
        (&["--set", "queue_messages_max"], &["--set queue_messages_max=VALUE"]),
        (&["--queue-policy", "dorp"], &["queue_policy", "dorp", "drop, end, refuse", "--queue-policy"]),
        (&["--port", "65536"], &["port", "65536", "0 to 65535"]),
        (&["--shards", "257"], &["257", "1 to 256"]),
        (&["--cores", "4000-4001"], &["CPU 4000"]),
        (&["--bind", "not an address"], &["not an address"]),
        (&["--set", "partition_key=12"], &["partition_key", "32 hexadecimal digits"]),
        (&["--no-such-flag"], &["--no-such-flag"]),
    ];
    for (arguments, parts) in rows {
        let refused = output(&[&["serve", "-p", "0"], *arguments].concat());
        let text = error_text(&refused);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {text}");
        for part in *parts {
            assert!(text.contains(part), "{arguments:?}: {part} is missing in {text}");
        }
    }
}

#[test]
fn the_last_word_counts_and_flags_and_set_are_one() {
    let serving = Serving::start(&[
        "--set",
        "port=1",
        "-p",
        "0",
        "--shards",
        "2",
        "--set",
        "shards=3",
        "--no-move",
        "--moving=true",
        "--driver",
        "epoll",
        "--queue-policy=end",
        "--strict-client-ids",
        "--sys-interval",
        "2min",
    ]);
    assert!(
        serving.lines.iter().any(|line| line.contains("3 shards, driver epoll (")),
        "{:?}",
        serving.lines
    );
    serving.signal(Signal::TERM);
    assert_eq!(serving.finish().0, Some(0));
}

#[test]
fn a_closed_stderr_does_not_stop_the_broker() {
    let mut serving = Serving::start(&["-p", "0", "-v"]);
    drop(serving.stderr.take());
    let address = serving.addresses[0];
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        std::io::Write::write_all(&mut stream, b"\x00\x00 no MQTT at all").unwrap();
        // The broker closes what is no MQTT.
        let _ = stream.read(&mut [0; 16]).unwrap_or(0);
    }
    serving.signal(Signal::TERM);
    assert_eq!(serving.finish().0, Some(0));
}

#[test]
fn help_version_keys_and_completions_go_to_stdout() {
    let rows: &[(&[&str], &[&str])] = &[
        (&["--help"], &["serve", "Examples:"]),
        (&["--version"], &["ringmq "]),
        (
            &["serve", "--help"],
            &["--queue-messages-max", "messages", "default 1000", "--no-move", "Exit codes"],
        ),
        (&["serve", "--list-keys"], &["queue_bytes_max", "mesh_spill_bytes_max", "takes effect: restart"]),
        (&["completions", "bash"], &["queue-messages-max"]),
        (&["completions", "zsh"], &["ringmq"]),
        (&["completions", "fish"], &["ringmq"]),
    ];
    for (arguments, parts) in rows {
        let output = output(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        for part in *parts {
            assert!(text.contains(part), "{arguments:?}: {part} is missing in {text}");
        }
    }
}

#[test]
fn shard_of_places_client_ids_by_the_key() {
    let key = "000102030405060708090a0b0c0d0e0f";
    let output = output(&["shard-of", "--shards", "4", "--partition-key", key, "a", "sensor-17"]);
    assert_eq!(output.status.code(), Some(0));
    // Partitions 0x37 and 0x33 under this key, dealt out to four shards in turn.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "a 3\nsensor-17 3\n");
}
