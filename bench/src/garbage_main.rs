//! `ringmq-garbage`: one run of garbage against a broker, from the command line to one line of JSON.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ringmq_bench::garbage::{Ended, Plan, run};

/// Sends a running broker random bytes and damaged packets, while an honest client has to be served.
///
/// What garbage may leave behind lawfully, the broker must bound: a damaged PUBLISH with RETAIN is a right one on
/// another topic, a damaged CONNECT a session of another name. For a run that is to show flat memory give it
/// small bounds, such as --set retained_messages_max=200 --set sessions_max=200 --set publish_hold=100. Of a
/// broker with huge pages memory is measured in steps of 2 MiB, and the run finds only leaks of three times the size.
///
/// Exit codes: 0 the broker served and its memory stayed flat, 1 it did not, 2 wrong arguments, 3 the run ended
/// early for another reason.
#[derive(Parser, Debug)]
#[command(name = "ringmq-garbage", version)]
struct Arguments {
    /// Address of the broker.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port of the broker.
    #[arg(short, long, default_value_t = 1883)]
    port: u16,
    /// Packets to send.
    #[arg(short = 'n', long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    packets: u64,
    /// Hostile connections open at once.
    #[arg(short, long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Packets between two round trips of the honest client, and two looks at the broker's memory.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    honest_every: u64,
    /// Seconds that one round trip of the honest client may take.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    honest_seconds: u64,
    /// What decides every byte that is sent.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Process of the broker, to watch its memory.
    #[arg(long)]
    broker_pid: Option<u32>,
    /// No line of progress.
    #[arg(short, long)]
    quiet: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan {
        broker: SocketAddr::new(arguments.host, arguments.port),
        broker_pid: arguments.broker_pid,
        packets: arguments.packets,
        connections: arguments.connections as usize,
        honest_every: arguments.honest_every,
        honest_max: Duration::from_secs(arguments.honest_seconds),
        seed: arguments.seed,
    };
    let tell = |line: &str| {
        if !arguments.quiet {
            eprintln!("ringmq-garbage: {line}");
        }
    };
    match run(&plan, tell) {
        Ok(report) => {
            println!("{}", report.to_json());
            if report.is_flat() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(ended) => {
            eprintln!("ringmq-garbage: {ended}");
            ExitCode::from(if matches!(ended, Ended::NotServed(..)) { 1 } else { 3 })
        }
    }
}
