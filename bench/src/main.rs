//! `ringmq-load`: one run of the load generator, from the command line to one line of JSON.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use ringmq_bench::{Plan, STAMP_BYTES, Scenario, WINDOW_MESSAGES_MAX, run};
use ringmq_wire::{Qos, Version};

/// Drives an MQTT broker as hard as a window allows and prints what came of it as one line of JSON.
///
/// Exit codes: 0 every message arrived once and in order, 1 some did not, 2 wrong arguments, 3 the run ended
/// early.
#[derive(Parser, Debug)]
#[command(name = "ringmq-load", version)]
struct Arguments {
    /// Who publishes to whom: pairs, many publishers to one `#` reader, one publisher to many readers.
    #[arg(value_parser = ["p2p", "fan-in", "fan-out"])]
    scenario: String,
    /// Address of the broker.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port of the broker.
    #[arg(short, long, default_value_t = 1883)]
    port: u16,
    /// Number of pairs, publishers or readers, whichever the scenario has many of.
    #[arg(short, long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    count: u32,
    /// Messages each publisher may have under way.
    #[arg(short, long, default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=WINDOW_MESSAGES_MAX as i64))]
    window: u32,
    /// Quality of publishes and subscriptions.
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Size of every payload in bytes, at least 16.
    #[arg(short = 'b', long, default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(STAMP_BYTES as i64..=200_000_000))]
    payload_bytes: u32,
    /// Protocol version.
    #[arg(long, default_value = "3.1.1", value_parser = ["3.1", "3.1.1", "5.0"])]
    mqtt: String,
    /// Seconds that are measured.
    #[arg(short, long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// Seconds of load before that.
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    warmup_seconds: f64,
    /// Seconds without any movement after which a publisher's messages count as lost.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    stall_seconds: f64,
    /// Process of the broker, to read its CPU time and memory over the measured seconds.
    #[arg(long)]
    broker_pid: Option<u32>,
    /// The other side is a ringmq-relay, the physical limit, and no broker: QoS 0 only.
    #[arg(long)]
    relay: bool,
}

/// A length of time between nothing and a day.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err(String::from("a number of seconds from 0 to 86400")),
    }
}

impl Arguments {
    /// The plan; nothing for a name that the parser would have refused.
    fn plan(&self) -> Option<Plan> {
        let version = [Version::V31, Version::V311, Version::V5];
        Some(Plan {
            broker: SocketAddr::new(self.host, self.port),
            scenario: Scenario::from_name(&self.scenario)?,
            count: self.count as usize,
            window_messages: self.window as usize,
            qos: Qos::from_u8(self.qos)?,
            payload_bytes: self.payload_bytes as usize,
            version: version.into_iter().find(|version| version.name() == self.mqtt)?,
            warmup: Duration::from_secs_f64(self.warmup_seconds),
            measured: Duration::from_secs_f64(self.seconds),
            stall: Duration::from_secs_f64(self.stall_seconds),
            broker_pid: self.broker_pid,
            relay: self.relay,
            run_id: run_id(),
        })
    }
}

/// A number that two runs on one machine hardly share.
fn run_id() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    std::process::id().rotate_left(16) ^ since.subsec_nanos() ^ since.as_secs() as u32
}

fn main() -> ExitCode {
    let Some(plan) = Arguments::parse().plan() else { return ExitCode::from(2) };
    if plan.relay && plan.qos != Qos::AtMostOnce {
        eprintln!("ringmq-load: a relay acknowledges nothing: --relay goes with --qos 0 only");
        return ExitCode::from(2);
    }
    match run(&plan) {
        Ok(report) => {
            println!("{}", report.to_json());
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(failure) => {
            eprintln!("ringmq-load: {failure}");
            ExitCode::from(3)
        }
    }
}
