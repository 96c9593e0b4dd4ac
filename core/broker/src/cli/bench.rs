//! `ringmq bench`: drives an MQTT broker, ours or another, and says what came of it. The load itself is
//! `ringmq-bench`; here are its arguments, its progress and its output.

use std::collections::HashSet;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use ringmq_bench::{
    Plan, Report, STAMP_BYTES, Scenario, TlsPlan, TlsVersion, Transport, WINDOW_MESSAGES_MAX,
};
use ringmq_wire::{Qos, Version};

use super::ExitCode;
use super::client_options::parse_qos;

const EXAMPLES: &str = "\
Examples:
  ringmq bench p2p                             how much goes through, 100 pairs at QoS 0
  ringmq bench fan-out -c 1000 -q 1            one publisher to 1,000 readers at QoS 1
  ringmq bench p2p -r 50000 -s 30              latency at 50,000 publishes per second
  ringmq bench depth-1 --histogram one.hgrm    one message at a time, with the whole distribution
  ringmq bench connects --persistent           clients that come and go, with lasting sessions
  ringmq bench idle -c 10000 --broker-pid PID  memory for each idle connection

Loops: without --rate the loop is closed: each publisher keeps --window messages under way, which shows how much goes
through. With it the loop is open: every publish has its time, and latency counts from that time on even when the
publish was made late, so a broker that stands still does not hide it.

Exit codes: 0 all arrived once and in order   1 some did not   2 wrong arguments   3 the run ended early";

/// Its arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to run
    #[arg(value_enum)]
    scenario: Name,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Pairs of one publisher and one reader
    P2p,
    /// Many publishers to one reader with a wildcard
    FanIn,
    /// One publisher to many readers
    FanOut,
    /// One pair with one message at a time: latency where nothing waits for anything
    #[value(name = "depth-1")]
    Depth1,
    /// Pairs beside a reader of everything that does not read: latency of the others
    SlowReader,
    /// Many filters, nine in ten exact, 8 % with + and 2 % with #; see --subscriptions and --churn
    Subscriptions,
    /// Clients that connect, go and come back at once
    Connects,
    /// Connections on which nothing happens
    Idle,
    /// Retained messages, then readers that subscribe to all of them with a wildcard
    Retained,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Broker")]
struct Target {
    /// Name or address of the broker
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port of the broker
    #[arg(short, long, default_value_t = 1883)]
    port: u16,
    /// Process of the broker on this machine, to read its CPU time and memory
    #[arg(long, value_name = "PID")]
    broker_pid: Option<u32>,
    /// Speaks TLS 1.3 and trusts the authorities in this file (PEM); the certificate must be for `localhost`
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Speaks MQTT in WebSocket messages on this path, often /mqtt
    #[arg(long, value_name = "PATH")]
    websocket: Option<String>,
    /// The other side is a ringmq-relay and no broker (QoS 0 only)
    #[arg(long, hide = true)]
    relay: bool,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Load")]
struct Load {
    /// Pairs, publishers, readers or clients, whichever the scenario has many of [default: 100; depth-1 and
    /// retained: 1; idle: 10000]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    count: Option<u32>,
    /// Messages each publisher may have under way [default: 8; with --rate: 1024; depth-1: 1]
    #[arg(short, long, value_name = "MESSAGES",
          value_parser = clap::value_parser!(u32).range(1..=WINDOW_MESSAGES_MAX as i64))]
    window: Option<u32>,
    /// Each publisher waits until all of its window has arrived and been acknowledged, and then fills it at once: so as
    /// many messages go together with a slow broker as with a fast one
    #[arg(long, conflicts_with = "rate")]
    bursts: bool,
    /// Publishes per second over all publishers: an open loop, which measures latency [slow-reader: 5000]
    #[arg(short, long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// QoS of publishes and subscriptions: 0, 1 or 2
    #[arg(short, long, value_parser = parse_qos, default_value = "0")]
    qos: Qos,
    /// Size of every payload in bytes, at least 16
    #[arg(short = 'b', long, value_name = "BYTES", default_value_t = STAMP_BYTES as u32,
          value_parser = clap::value_parser!(u32).range(STAMP_BYTES as i64..=200_000_000))]
    payload_bytes: u32,
    /// Protocol version
    #[arg(long, default_value = "3.1.1", value_parser = ["3.1", "3.1.1", "5.0"])]
    mqtt: String,
    /// User properties on every publish (5.0)
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    user_properties: u32,
    /// Filters of all readers of the scenario subscriptions
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    subscriptions: u32,
    /// Connections that subscribe and unsubscribe while the scenario subscriptions publishes
    #[arg(long, value_name = "CONNECTIONS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    churn: u32,
    /// Retained messages of the scenario retained
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    retained: u32,
    /// Readers of everything that do not read [slow-reader: 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=1000))]
    slow_readers: Option<u32>,
    /// Sessions that outlive their connections (scenario connects)
    #[arg(long)]
    persistent: bool,
    /// File with the ClientIDs of publishers and then readers, one in each line, for p2p, fan-in, fan-out and
    /// depth-1; together with `ringmq shard-of` it says which messages cross between shards
    #[arg(long, value_name = "FILE")]
    client_ids: Option<PathBuf>,
    /// Never sleeps, so that the load's own waking up is no part of a latency; takes a whole core
    #[arg(long)]
    spin: bool,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Time")]
struct Time {
    /// Seconds that are measured
    #[arg(short, long, default_value = "3", value_parser = seconds)]
    seconds: Duration,
    /// Seconds of load before that
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    warmup_seconds: Duration,
    /// Seconds without any movement after which a publisher's messages count as lost
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    stall_seconds: Duration,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Output")]
struct Output {
    /// Prints one line of JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Writes all latencies to this file, in HdrHistogram's text form (.hgrm)
    #[arg(long, value_name = "FILE")]
    histogram: Option<PathBuf>,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
}

/// A length of time between nothing and a day.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(String::from("a number of seconds from 0 to 86400")),
    }
}

/// A number of publishes per second.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e8).contains(&rate) => Ok(rate),
        _ => Err(String::from("a number of publishes per second from 0.001 to 100000000")),
    }
}

/// The ClientIDs in a file: as many, and all different, as the plan has publishers and readers.
fn client_ids(file: &Path, plan: &Plan) -> Result<Vec<String>, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let names: Vec<String> = text.lines().map(String::from).collect();
    if !matches!(plan.scenario, Scenario::Pairs | Scenario::FanIn | Scenario::FanOut) {
        return Err(String::from("--client-ids goes with p2p, fan-in, fan-out and depth-1"));
    }
    let wanted = plan.publishers() + plan.readers();
    let different: HashSet<&str> = names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    if names.len() != wanted || different.len() != wanted {
        return Err(format!(
            "{} has {} different ClientIDs in {} lines; this run needs {wanted} in as many: one for each \
             publisher, then one for each reader",
            file.display(),
            different.len(),
            names.len()
        ));
    }
    Ok(names)
}

impl Target {
    /// What lies between the sockets and MQTT.
    fn transport(&self) -> Result<Transport, String> {
        let Some(file) = &self.tls_ca else { return Transport::new(None, self.websocket.as_deref()) };
        let authorities =
            fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let (version, certificate) = (TlsVersion::V1_3, None);
        let tls = TlsPlan { authorities, version, certificate, resumes: false };
        Transport::new(Some(&tls), self.websocket.as_deref())
            .map_err(|wrong| format!("{}: {wrong}", file.display()))
    }
}

impl Name {
    /// The scenario, how many of what it has many of, and the window in a closed loop.
    fn scenario(self) -> (Scenario, u32, u32) {
        match self {
            Name::P2p | Name::SlowReader => (Scenario::Pairs, 100, 8),
            Name::FanIn => (Scenario::FanIn, 100, 8),
            Name::FanOut => (Scenario::FanOut, 100, 8),
            Name::Depth1 => (Scenario::Pairs, 1, 1),
            Name::Subscriptions => (Scenario::Subscriptions, 100, 64),
            Name::Connects => (Scenario::Connects, 100, 1),
            Name::Idle => (Scenario::Idle, 10_000, 1),
            Name::Retained => (Scenario::Retained, 1, 1),
        }
    }
}

/// Messages under way in an open loop: far more than a broker that keeps up ever has.
const OPEN_WINDOW: u32 = 1024;
/// Publishes per second beside a slow reader.
const SLOW_READER_RATE: f64 = 5000.0;

impl Args {
    /// What to do; else what is wrong with the arguments.
    fn plan(&self) -> Result<Plan, String> {
        let (load, target) = (&self.load, &self.target);
        if target.relay && load.qos != Qos::AtMostOnce {
            return Err(String::from("a relay acknowledges nothing: --relay goes with --qos 0 only"));
        }
        let transport = target.transport()?;
        if !transport.is_plain() && (target.relay || self.scenario == Name::Connects) {
            return Err(String::from(
                "connects and relays know plain TCP only: leave out --tls-ca and --websocket",
            ));
        }
        let versions = [Version::V31, Version::V311, Version::V5];
        let version =
            versions.into_iter().find(|version| version.name() == load.mqtt).unwrap_or(Version::V311);
        if load.bursts && self.scenario == Name::SlowReader {
            return Err(String::from("slow-reader is an open loop: --bursts goes with a closed one"));
        }
        if load.user_properties > 0 && version != Version::V5 {
            return Err(String::from("only 5.0 has properties: add --mqtt 5.0"));
        }
        let slow = self.scenario == Name::SlowReader;
        let rate = load.rate.or(slow.then_some(SLOW_READER_RATE));
        let (scenario, count, window) = self.scenario.scenario();
        let window = if rate.is_some() { OPEN_WINDOW } else { window };
        let plan = Plan {
            window_messages: load.window.unwrap_or(window) as usize,
            bursts: load.bursts,
            rate,
            latency: rate.is_some() || self.scenario == Name::Depth1,
            qos: load.qos,
            payload_bytes: load.payload_bytes as usize,
            version,
            user_properties: load.user_properties as usize,
            subscriptions: load.subscriptions as usize,
            churners: if self.scenario == Name::Subscriptions { load.churn as usize } else { 0 },
            retained: load.retained as usize,
            slow_readers: load.slow_readers.unwrap_or(u32::from(slow)) as usize,
            persistent: load.persistent,
            warmup: self.time.warmup_seconds,
            measured: self.time.seconds,
            stall: self.time.stall_seconds,
            broker_pid: target.broker_pid,
            relay: target.relay,
            transport,
            spin: load.spin,
            run_id: run_id(),
            ..Plan::new(self.broker()?, scenario, load.count.unwrap_or(count) as usize)
        };
        match &load.client_ids {
            Some(file) => Ok(Plan { client_ids: client_ids(file, &plan)?, ..plan }),
            None => Ok(plan),
        }
    }

    fn broker(&self) -> Result<SocketAddr, String> {
        let Target { host, port, .. } = &self.target;
        let found = (host.as_str(), *port).to_socket_addrs();
        let found = found.map_err(|error| format!("cannot find the host {host}: {error}"))?.next();
        found.ok_or_else(|| format!("the host {host} has no address"))
    }

    /// Runs it and prints what was found.
    pub fn run(self) -> ExitCode {
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(wrong) => return ended(2, &wrong),
        };
        let progress = Progress { quiet: self.output.quiet, terminal: io::stderr().is_terminal() };
        let outcome = ringmq_bench::run(&plan, &mut |line| progress.tell(line));
        progress.end();
        match outcome {
            Err(failure) => ended(3, &failure.to_string()),
            Ok(report) => match self.output.write(&report) {
                Err(error) => ended(3, &error),
                Ok(()) => ExitCode::from(u8::from(!report.is_clean())),
            },
        }
    }
}

impl Output {
    fn write(&self, report: &Report) -> Result<(), String> {
        if let Some(file) = &self.histogram {
            let latency = report.latency.as_ref();
            let latency = latency.ok_or("this run measured no latency: add --rate, or take depth-1")?;
            fs::write(file, latency.to_hgrm())
                .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
        let text = if self.json { format!("{}\n", report.to_json()) } else { report.to_table() };
        match io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(format!("cannot write to standard output: {error}"))
            }
            _ => Ok(()),
        }
    }
}

/// The line of progress: on a terminal always the same one.
struct Progress {
    quiet: bool,
    terminal: bool,
}

impl Progress {
    fn tell(&self, line: &str) {
        let text = match self.terminal {
            true => format!("\r\x1b[Kringmq bench: {line}"),
            false => format!("ringmq bench: {line}\n"),
        };
        if !self.quiet {
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }

    fn end(&self) {
        if self.terminal && !self.quiet {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

/// Says why there is no report.
fn ended(code: u8, why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "ringmq bench: {why}");
    ExitCode::from(code)
}

/// A number that two runs on one machine hardly share.
fn run_id() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    std::process::id().rotate_left(16) ^ since.subsec_nanos() ^ since.as_secs() as u32
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Command;
    use super::*;

    fn plan(arguments: &str) -> Result<Plan, String> {
        match Command::try_parse_from(format!("ringmq bench {arguments}").split_whitespace()) {
            Ok(Command::Bench(arguments)) => arguments.plan(),
            other => panic!("{arguments}: {other:?}"),
        }
    }

    #[test]
    fn defaults_follow_the_scenario_and_the_loop() {
        let rows = [
            ("p2p", (Scenario::Pairs, 100, 8, None, false, 0)),
            ("fan-out -c 3 -w 9", (Scenario::FanOut, 3, 9, None, false, 0)),
            ("p2p -r 100", (Scenario::Pairs, 100, 1024, Some(100.0), true, 0)),
            ("depth-1", (Scenario::Pairs, 1, 1, None, true, 0)),
            ("slow-reader", (Scenario::Pairs, 100, 1024, Some(5000.0), true, 1)),
            ("idle", (Scenario::Idle, 10_000, 1, None, false, 0)),
        ];
        for (arguments, expected) in rows {
            let plan = plan(arguments).unwrap();
            let found =
                (plan.scenario, plan.count, plan.window_messages, plan.rate, plan.latency, plan.slow_readers);
            assert_eq!(found, expected, "{arguments}");
        }
    }

    #[test]
    fn client_ids_are_as_many_as_connections_and_all_different() {
        let file = std::env::temp_dir().join(format!("ringmq-client-ids-{}", std::process::id()));
        let rows = [
            ("p2p -c 2", "a\nb\nc\nd\n", None),
            ("fan-in -c 2", "a\nb\nc\n", None),
            ("p2p -c 2", "a\nb\nc\n", Some("3 different ClientIDs in 3 lines; this run needs 4")),
            ("fan-out -c 1", "a\na\n", Some("1 different ClientIDs in 2 lines; this run needs 2")),
            ("idle -c 1", "a\n", Some("goes with p2p")),
        ];
        for (arguments, text, wrong) in rows {
            fs::write(&file, text).unwrap();
            let found = plan(&format!("{arguments} --client-ids {}", file.display()));
            match wrong {
                None => assert_eq!(found.unwrap().client_ids, text.lines().collect::<Vec<_>>()),
                Some(says) => assert!(found.unwrap_err().contains(says), "{arguments}"),
            }
        }
        fs::remove_file(&file).unwrap();
        assert!(plan("p2p --client-ids /nowhere/at-all").unwrap_err().contains("cannot read"));
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_what_to_do() {
        assert!(plan("p2p --relay -q 1").unwrap_err().contains("--qos 0"));
        assert!(plan("p2p --user-properties 3").unwrap_err().contains("--mqtt 5.0"));
        assert!(plan("connects --websocket /mqtt").unwrap_err().contains("plain TCP"));
        assert!(plan("p2p --tls-ca /nowhere/at-all").unwrap_err().contains("cannot read"));
        assert_eq!(plan("p2p --websocket /mqtt").unwrap().transport.name(), "ws");
        assert!(plan("slow-reader --bursts").unwrap_err().contains("closed"));
        assert!(plan("p2p --bursts").unwrap().bursts && !plan("p2p").unwrap().bursts);
        assert_eq!(plan("p2p --user-properties 3 --mqtt 5.0").unwrap().user_properties, 3);
    }
}
