//! What brokers cost a program that starts and stops them: time from `start` to a client's first CONNACK, and
//! threads, descriptors and memory before, between and after.
//!
//! ```sh
//! cargo run --release -p ringmq --example lifecycle                 # 1,000 cycles, 20 brokers at once
//! cargo run --release -p ringmq --example lifecycle -- --cycles 50 --brokers 5
//! ```
//!
//! Each row of the table is a process of its own, because a process pays for its first broker apart, and more
//! when it has other threads already. The program judges what it finds and ends with exit code 1 if anything
//! adds up: after the warm-up, cycles must leave as many descriptors and threads as before and memory within
//! the bound; at the end all must be as before the first start, but for one descriptor per executor that
//! glommio never closes.

use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use ringmq::{Broker, Driver, DriverChoice, PublishOptions, Qos, Shards, SubscribeOptions, trim};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// An executor that nobody uses ends after ten seconds.
const IDLE: Duration = Duration::from_secs(15);
/// Cycles before anything is compared: allocators and the kernel's caches fill.
const WARM_UP: usize = 20;
/// How often that many brokers run at once, after two times to warm up (measured: an allocator has all it
/// will ever want for twenty brokers after the second, and keeps it flat over thirty more).
const CROWDS: usize = 3;
/// How much memory may grow from the first times to the last: what an allocator keeps in pieces. Measured over
/// 1,000 cycles: 0.3 MiB.
const GROWTH_KIB_MAX: i64 = 4096;
/// Threads of the program's own in the rows that have some, as a service would.
const OTHER_THREADS: usize = 8;

#[derive(Parser)]
#[command(about = "What brokers cost a program that starts and stops them")]
struct Args {
    /// Brokers started and stopped one after the other.
    #[arg(long, default_value_t = 1000)]
    cycles: usize,
    /// Brokers that run at the same time afterwards.
    #[arg(long, default_value_t = 20)]
    brokers: usize,
    /// Shards of each broker of the cycles; those that run at the same time have one.
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// Waits until executors end by themselves instead of ending them.
    #[arg(long)]
    idle: bool,
    /// One row, in this process: `uring` or `epoll`.
    #[arg(long)]
    driver: Option<String>,
    /// The row in which the program has other threads.
    #[arg(long, requires = "driver")]
    other_threads: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.driver {
        Some(driver) => row(&args, driver),
        None => table(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lifecycle: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table, one process per row.
fn table() -> Outcome<()> {
    println!("{HEAD}");
    let mut failed = Vec::new();
    for driver in drivers()? {
        for other_threads in [false, true] {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(std::env::args_os().skip(1)).args(["--driver", driver]).stdin(Stdio::null());
            if other_threads {
                command.arg("--other-threads");
            }
            if !command.status()?.success() {
                failed.push(format!("{driver}{}", if other_threads { " beside other threads" } else { "" }));
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

/// epoll always, io_uring unless it is forbidden here.
fn drivers() -> Outcome<Vec<&'static str>> {
    let broker = Broker::builder().port(0).start()?;
    Ok(if broker.driver() == Driver::Uring { vec!["epoll", "uring"] } else { vec!["epoll"] })
}

const HEAD: &str = "\
start to CONNACK in ms; threads, descriptors, RSS and locked KiB: before > after the warm-up > after the cycles
> while all brokers run > at the end
driver  other    first   median      max  at once: median      max  threads              descriptors               \
RSS KiB                              locked KiB";

/// What the process holds.
#[derive(Clone, Copy, Debug)]
struct Holding {
    threads: usize,
    descriptors: usize,
    rss_kib: i64,
    locked_kib: i64,
}

impl Holding {
    fn now() -> Outcome<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let kib = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse::<i64>().ok()).unwrap_or(0)
        };
        Ok(Self {
            threads: fs::read_dir("/proc/self/task")?.count(),
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            rss_kib: kib("VmRSS:"),
            locked_kib: kib("VmLck:") + kib("VmPin:"),
        })
    }

    /// Waits until the process has the threads and the locked memory of `wanted`: a thread is gone a moment
    /// after its work, and the kernel gives the memory of a closed ring back when it comes to it.
    fn like(wanted: Self, patience: Duration) -> Outcome<Self> {
        let until = Instant::now() + patience;
        loop {
            let holding = Self::now()?;
            let same = (holding.threads, holding.locked_kib) == (wanted.threads, wanted.locked_kib);
            if same || Instant::now() > until {
                return Ok(holding);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// One row: measures, prints, judges.
fn row(args: &Args, driver: &str) -> Outcome<()> {
    let choice = match driver {
        "uring" => DriverChoice::Uring,
        "epoll" => DriverChoice::Epoll,
        other => return Err(format!("there is no driver {other}").into()),
    };
    if args.other_threads {
        (0..OTHER_THREADS).for_each(|_| drop(thread::spawn(thread::park)));
    }
    let before = Holding::now()?;
    let first = cycle(choice, args.shards)?;
    for _ in 0..WARM_UP {
        cycle(choice, args.shards)?;
    }
    let warm = Holding::now()?;
    let mut times = Vec::with_capacity(args.cycles);
    for _ in 0..args.cycles {
        times.push(cycle(choice, args.shards)?);
    }
    let cycled = Holding::like(warm, PATIENCE)?;
    let (mut times_at_once, crowded) = at_once(choice, args.brokers)?;
    times_at_once.extend(at_once(choice, args.brokers)?.0);
    let crowd_gone = Holding::now()?;
    for _ in 0..CROWDS {
        times_at_once.extend(at_once(choice, args.brokers)?.0);
    }
    let parked = Holding::like(crowd_gone, PATIENCE)?;
    if !args.idle {
        trim();
    }
    let end = Holding::like(before, IDLE)?;
    let held = [before, warm, cycled, crowded, end];
    let (median, max) = median_and_max(&mut times);
    let (median_at_once, max_at_once) = median_and_max(&mut times_at_once);
    println!(
        "{driver:<6}  {:<5}  {:>6.2}   {median:>6.2}   {max:>6.2}  {median_at_once:>15.2}   {max_at_once:>6.2}  \
         {:<19}  {:<24}  {:<35}  {}",
        if args.other_threads { OTHER_THREADS } else { 0 },
        first.as_secs_f64() * 1000.0,
        joined(held.map(|holding| holding.threads.to_string())),
        joined(held.map(|holding| holding.descriptors.to_string())),
        joined(held.map(|holding| holding.rss_kib.to_string())),
        joined(held.map(|holding| holding.locked_kib.to_string())),
    );
    judge_growth("the cycles", warm, cycled)?;
    judge_growth("crowds of brokers", crowd_gone, parked)?;
    judge_end(before, end, parked.threads - before.threads)
}

fn joined(values: [String; 5]) -> String {
    values.join(" > ")
}

fn median_and_max(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |index: usize| times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    (at(times.len() / 2), at(times.len().saturating_sub(1)))
}

/// Whether anything adds up from the first time to the last.
fn judge_growth(over: &str, first: Holding, last: Holding) -> Outcome<()> {
    let flat = (first.threads, first.descriptors) == (last.threads, last.descriptors);
    let growth = last.rss_kib - first.rss_kib;
    if !flat || growth > GROWTH_KIB_MAX || last.locked_kib > first.locked_kib {
        return Err(format!("something adds up over {over}: {first:?}, then {last:?}").into());
    }
    Ok(())
}

/// Whether everything was given back. Executors have two threads each and leave one descriptor each.
fn judge_end(before: Holding, end: Holding, parked_threads: usize) -> Outcome<()> {
    let leaked = end.descriptors - before.descriptors;
    if end.threads != before.threads || leaked != parked_threads / 2 || end.locked_kib != before.locked_kib {
        return Err(format!(
            "not everything was given back: {before:?}, then {end:?}, {parked_threads} parked"
        )
        .into());
    }
    Ok(())
}

/// One broker's life. Returns the time from its start to the CONNACK.
fn cycle(driver: DriverChoice, shards: u16) -> Outcome<Duration> {
    let (broker, mut client, took) = start(driver, shards)?;
    use_it(&broker, &mut client)?;
    stop(broker)?;
    Ok(took)
}

/// So many brokers at the same time, each started while the earlier ones run.
fn at_once(driver: DriverChoice, brokers: usize) -> Outcome<(Vec<Duration>, Holding)> {
    let mut running = Vec::new();
    let mut times = Vec::new();
    for _ in 0..brokers {
        let (broker, client, took) = start(driver, 1)?;
        times.push(took);
        running.push((broker, client));
    }
    for (broker, client) in &mut running {
        use_it(broker, client)?;
    }
    let holding = Holding::now()?;
    for (broker, _) in running {
        stop(broker)?;
    }
    Ok((times, holding))
}

fn start(driver: DriverChoice, shards: u16) -> Outcome<(Broker, TcpStream, Duration)> {
    let begun = Instant::now();
    let broker = Broker::builder().port(0).shards(Shards::Count(shards)).driver(driver).start()?;
    let client = connect(broker.addresses()[0])?;
    Ok((broker, client, begun.elapsed()))
}

fn stop(broker: Broker) -> Outcome<()> {
    let report = broker.stop();
    if report.failed || report.left > 0 { Err(format!("{report:?}").into()) } else { Ok(()) }
}

/// A client of MQTT 3.1.1, accepted.
fn connect(address: SocketAddr) -> Outcome<TcpStream> {
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(b"\x10\x0F\x00\x04MQTT\x04\x02\x00\x00\x00\x03any")?;
    expect(&mut client, b"\x20\x02\x00\x00")?;
    Ok(client)
}

/// A message from inside to the client, and one from the client to the inside.
fn use_it(broker: &Broker, client: &mut TcpStream) -> Outcome<()> {
    client.write_all(b"\x82\x07\x00\x01\x00\x02in\x00")?;
    expect(client, b"\x90\x03\x00\x01\x00")?;
    let subscription = broker.subscribe(["out"], SubscribeOptions::default())?;
    broker.handle()?.publish("in", "x", PublishOptions::qos(Qos::AtLeastOnce))?;
    expect(client, b"\x30\x05\x00\x02inx")?;
    client.write_all(b"\x30\x06\x00\x03outy")?;
    let message = subscription.recv(PATIENCE)?;
    if message.payload() == b"y" { Ok(()) } else { Err("another message came".into()) }
}

fn expect(client: &mut TcpStream, bytes: &[u8]) -> Outcome<()> {
    let mut found = vec![0; bytes.len()];
    client.read_exact(&mut found)?;
    if found == bytes { Ok(()) } else { Err(format!("{found:?} came instead of {bytes:?}").into()) }
}
