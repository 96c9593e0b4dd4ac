//! The relay passes on what a load publishes, whole and in order, whichever way it talks to the kernel.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ringmq_bench::{Plan, Scenario, run};

struct Relay(Child, SocketAddr);

impl Relay {
    fn start(driver: &str) -> Relay {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq-relay"));
        let mut relay =
            command.args(["--port", "0", "--driver", driver]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Relay(relay, line.trim().rsplit(' ').next().unwrap().parse().unwrap())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn every_scenario_and_size_goes_through_both_drivers_whole() {
    for driver in ["epoll", "uring"] {
        let relay = Relay::start(driver);
        for scenario in [Scenario::Pairs, Scenario::FanIn, Scenario::FanOut] {
            for (window_messages, payload_bytes) in [(8, 16), (3, 300_000), (500, 100)] {
                let plan = Plan {
                    window_messages,
                    payload_bytes,
                    measured: Duration::from_millis(100),
                    broker_pid: Some(relay.0.id()),
                    relay: true,
                    ..Plan::new(relay.1, scenario, 12)
                };
                let report = run(&plan, &mut |_| {}).unwrap();
                assert!(
                    report.is_clean() && report.get("delivered") > Some(0.0),
                    "{driver}: {}",
                    report.to_json()
                );
            }
        }
    }
}
