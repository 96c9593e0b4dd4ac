//! Garbage for a broker that runs: random bytes and packets of every type and version, right, damaged, cut short,
//! glued together and split anywhere, before and after a right CONNECT, and acknowledgements of what never was.
//! Beside them an honest client that must be served all the time, and a look at the broker's memory.
//!
//! It is one thread that takes one hostile connection after the other, a few at a time; a broker may close any of
//! them and never the honest one. It never starts a broker and never retries an honest round trip that failed.

mod damage;
mod honest;
mod hostile;
mod memory;
mod packets;
mod random;
mod report;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use honest::Honest;
use hostile::{Crowd, Tally};
use memory::Series;
use random::Random;

pub use report::Report;

/// Progress is told this often.
const PROGRESS: Duration = Duration::from_secs(5);

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Address of the broker.
    pub broker: SocketAddr,
    /// Process of the broker, to watch its memory.
    pub broker_pid: Option<u32>,
    /// Packets to send.
    pub packets: u64,
    /// Hostile connections open at once.
    pub connections: usize,
    /// Packets between two round trips of the honest client.
    pub honest_every: u64,
    /// How long one of them may take.
    pub honest_max: Duration,
    /// Decides everything that is sent.
    pub seed: u64,
}

/// Why a run ended before all packets were sent.
#[derive(Debug)]
pub enum Ended {
    /// The machine refused something: a connection, a process that is gone.
    Io(&'static str, std::io::Error),
    /// The honest client was not served: the number of packets sent before, and what went wrong.
    NotServed(u64, String),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(doing, error) => write!(out, "{doing}: {error}"),
            Self::NotServed(packets, text) => {
                write!(out, "after {packets} packets an honest client was not served: {text}")
            }
        }
    }
}

impl std::error::Error for Ended {}

/// Sends it all; `progress` is given a line now and then.
///
/// # Errors
/// The run could not go on: see [`Ended`].
pub fn run(plan: &Plan, mut progress: impl FnMut(&str)) -> Result<Report, Ended> {
    let started = Instant::now();
    let mut crowd = Crowd::new(plan.broker, plan.connections, Random::new(plan.seed));
    let mut honest =
        Honest::connect(plan.broker, plan.honest_max, plan.seed).map_err(|text| Ended::NotServed(0, text))?;
    let mut memory = Series::new(plan.broker_pid);
    let mut told = started;
    let mut next_honest = 0;
    while crowd.tally().packets < plan.packets {
        if crowd.tally().packets >= next_honest {
            next_honest += plan.honest_every;
            look(&mut honest, &mut memory, crowd.tally())?;
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            progress(&line(plan, crowd.tally(), &honest, &memory));
        }
        crowd.attack().map_err(|error| Ended::Io("connecting to the broker", error))?;
    }
    look(&mut honest, &mut memory, crowd.tally())?;
    Ok(Report::new(plan, started.elapsed(), crowd.tally().clone(), &honest, memory))
}

fn look(honest: &mut Honest, memory: &mut Series, tally: &Tally) -> Result<(), Ended> {
    honest.round_trip().map_err(|text| Ended::NotServed(tally.packets, text))?;
    memory.sample(tally.packets).map_err(|error| Ended::Io("reading the broker's memory", error))
}

fn line(plan: &Plan, tally: &Tally, honest: &Honest, memory: &Series) -> String {
    let mebibytes = memory.last_bytes().map_or_else(String::new, |bytes| format!(", {} MiB", bytes >> 20));
    format!(
        "{} of {} packets, {} connections, {} round trips, the slowest {} ms{mebibytes}",
        tally.packets,
        plan.packets,
        tally.connections,
        honest.rounds(),
        honest.slowest().as_millis(),
    )
}
