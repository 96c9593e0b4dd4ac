//! `ringmq-storm`: one storm against a running broker, from the command line to a report.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use ringmq_bench::storm::{
    Logins, RetainedFlood, SlowReader, Soak, StormError, StormReport, logins, retained_flood, slow_reader,
    soak,
};
use ringmq_wire::Qos;

/// Puts an MQTT broker under fire and accounts for every message.
///
/// The report goes to standard error while it grows, its end to standard output, the last line of which is JSON.
/// Exit codes: 0 every promise was kept, 1 one was not, 2 wrong arguments, 3 the storm ended early.
#[derive(Parser, Debug)]
#[command(name = "ringmq-storm", version)]
struct Arguments {
    #[command(subcommand)]
    storm: Storm,
}

/// The broker under fire.
#[derive(clap::Args, Debug)]
struct Target {
    /// Address of the broker.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port of the broker.
    #[arg(short, long, default_value_t = 1883)]
    port: u16,
    /// Process of the broker, to read its memory.
    #[arg(long)]
    broker_pid: u32,
    /// Everything random follows from it; the same seed makes the same plan.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Target {
    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

#[derive(Subcommand, Debug)]
enum Storm {
    /// Publishers and subscribers at QoS 0, 1 and 2, killed, stalled, taken over and resumed at random.
    Soak {
        #[command(flatten)]
        target: Target,
        /// Connections; half publish, half subscribe.
        #[arg(short, long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(8..=60_000))]
        connections: u32,
        /// Seconds of storm.
        #[arg(short, long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
        seconds: u32,
        /// Seconds at the beginning in which the broker's memory may still grow; as long as the storm: not judged.
        #[arg(long, default_value_t = 60)]
        settling_seconds: u32,
        /// Publishes per second, over all publishers.
        #[arg(short, long, default_value_t = 4000.0)]
        rate: f64,
        /// Clients per second that something happens to.
        #[arg(short, long, default_value_t = 50.0)]
        blows: f64,
    },
    /// One reader of `#` that does not read, beside fast pairs; start the broker with --sys-interval 1.
    SlowReader {
        #[command(flatten)]
        target: Target,
        /// Fast pairs.
        #[arg(short = 'c', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=30_000))]
        pairs: u32,
        /// QoS of the pairs and of the slow reader.
        #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
        qos: u8,
        /// Publishes per second, over all pairs.
        #[arg(short, long, default_value_t = 5000.0)]
        rate: f64,
        /// Size of each payload in bytes.
        #[arg(short = 'b', long, default_value_t = 1024)]
        payload_bytes: u32,
        /// Seconds of each round.
        #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
        /// Rounds of each kind.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
        /// MiB that the slow reader may cost the broker: by default three times the queue's bound, for what is
        /// queued, in flight and held.
        #[arg(long, default_value_t = 48)]
        memory_mib_max: u64,
    },
    /// Very many retained messages for subscribers of `#` that take few at a time, at rest and while they change.
    Retained {
        #[command(flatten)]
        target: Target,
        /// Retained messages.
        #[arg(short = 'c', long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(8..))]
        topics: u32,
        /// Receive maximum of the first subscriber.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
        receive_maximum: u16,
        /// Size of each payload in bytes.
        #[arg(short = 'b', long, default_value_t = 64)]
        payload_bytes: u32,
        /// Changes per second, over all publishers.
        #[arg(short, long, default_value_t = 3000.0)]
        rate: f64,
        /// Seconds of changes.
        #[arg(short, long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
        seconds: u32,
        /// MiB that each reader may cost the broker: by default the queue's bound.
        #[arg(long, default_value_t = 16)]
        memory_mib_max: u64,
    },
    /// A fleet that logs in with passwords all at once beside pairs that publish; then it is gone and comes back.
    #[command(after_help = LOGINS_SETUP)]
    Logins {
        #[command(flatten)]
        target: Target,
        /// Clients that log in, as users storm-0, storm-1 and so on.
        #[arg(short, long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
        clients: u32,
        /// The password of all of them.
        #[arg(long, default_value = "secret")]
        password: String,
        /// Loopback addresses they come from in turn (IPv4 only); 1 is one network behind one address.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        addresses: u16,
        /// Pairs that publish meanwhile, at QoS 1, without user names.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=5000))]
        pairs: u32,
        /// Publishes per second, over all pairs.
        #[arg(short, long, default_value_t = 2000.0)]
        rate: f64,
        /// Seconds in which the pairs publish alone, before each storm.
        #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
        /// Seconds a storm may take until everybody is in.
        #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=86_400))]
        storm_seconds_max: u32,
    },
}

const LOGINS_SETUP: &str = "\
The users need passwords before the broker starts. One hash serves all: a broker that remembers right passwords does so
for each user, so everybody's is hashed all the same.

  ringmq passwd -c -b one storm secret
  awk -F: '{ for (n = 0; n < 5000; n++) print $1 \"-\" n \":\" $2 }' one > users
  ringmq serve --shards 1 --password-file users --allow-anonymous";

/// Runs the storm and returns what it says, and whether every promise was kept.
fn run(storm: Storm) -> Result<StormReport, StormError> {
    match storm {
        Storm::Soak { target, connections, seconds, settling_seconds, rate, blows } => soak(&Soak {
            broker: target.address(),
            broker_pid: target.broker_pid,
            connections: connections as usize,
            length: Duration::from_secs(seconds.into()),
            publishes_per_second: rate,
            blows_per_second: blows,
            settling: Duration::from_secs(settling_seconds.into()),
            seed: target.seed,
        }),
        Storm::SlowReader { target, pairs, qos, rate, payload_bytes, seconds, rounds, memory_mib_max } => {
            slow_reader(&SlowReader {
                broker: target.address(),
                broker_pid: target.broker_pid,
                pairs: pairs as usize,
                qos: Qos::from_u8(qos).unwrap_or_default(),
                publishes_per_second: rate,
                payload_bytes,
                round: Duration::from_secs(seconds.into()),
                rounds: rounds as usize,
                memory_bytes_max: memory_mib_max << 20,
            })
        }
        Storm::Retained { target, topics, receive_maximum, payload_bytes, rate, seconds, memory_mib_max } => {
            retained_flood(&RetainedFlood {
                broker: target.address(),
                broker_pid: target.broker_pid,
                topics: topics as usize,
                receive_maximum,
                payload_bytes,
                changes_per_second: rate,
                changing: Duration::from_secs(seconds.into()),
                memory_bytes_max: memory_mib_max << 20,
                seed: target.seed,
            })
        }
        Storm::Logins { target, clients, password, addresses, pairs, rate, seconds, storm_seconds_max } => {
            logins(&Logins {
                broker: target.address(),
                broker_pid: target.broker_pid,
                clients: clients as usize,
                password,
                addresses,
                pairs: pairs as usize,
                publishes_per_second: rate,
                calm: Duration::from_secs(seconds.into()),
                storm_max: Duration::from_secs(storm_seconds_max.into()),
                seed: target.seed,
            })
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ringmq_bench::raise_descriptor_limit();
    match run(arguments.storm) {
        Ok(StormReport { text, json, kept }) => {
            print!("{text}");
            println!("{json}");
            if kept { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("ringmq-storm: {error}");
            ExitCode::from(3)
        }
    }
}
