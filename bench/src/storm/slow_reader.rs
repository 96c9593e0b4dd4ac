//! One reader of `#` that does not read beside many fast pairs: what it costs the pairs in latency, what it costs
//! the broker in memory, and whether the broker's own count of what it dropped is true.
//!
//! Rounds without and with the slow reader alternate, at a fixed rate of publishes. Latency counts from the moment
//! a publish was due, so that a broker that stops the load does not hide it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ringmq_wire::{Qos, Version};

use super::account::{Account, Promise};
use super::field::{ClientId, Field, Leave};
use super::memory::{Memory, mib};
use super::parcel::{PARCEL_BYTES, Parcel};
use super::session::{Heard, Identity, Outgoing, Session};
use super::{StormError, StormReport};
use crate::report::Object;

/// Where the broker says what it dropped for a full queue, at any QoS and wherever on the way.
const DROPPED: &str = "$SYS/broker/publish/messages/dropped";
/// How long all may take to come to rest after a round.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing moves for so long: all that is under way has arrived.
const QUIET: Duration = Duration::from_millis(500);

/// What a run does.
#[derive(Clone, Debug)]
pub struct SlowReader {
    /// Where the broker listens. Its `sys_interval` must be a second.
    pub broker: SocketAddr,
    /// The broker's process, for its memory.
    pub broker_pid: u32,
    /// Fast pairs.
    pub pairs: usize,
    /// QoS of the pairs and of the slow reader.
    pub qos: Qos,
    /// Publishes per second, over all pairs.
    pub publishes_per_second: f64,
    /// Size of each payload in bytes.
    pub payload_bytes: u32,
    /// Length of each round.
    pub round: Duration,
    /// Rounds of each kind.
    pub rounds: usize,
    /// What the slow reader may cost the broker in memory: its queue's bytes, as many in flight and held, and the
    /// output that its socket has not taken.
    pub memory_bytes_max: u64,
}

struct Running<'a> {
    plan: &'a SlowReader,
    run_id: u32,
    started: Instant,
    field: Field,
    account: Account,
    /// Publisher, topic and stream of each pair.
    pairs: Vec<(ClientId, Rc<str>, u32)>,
    slow: ClientId,
    subscribed: usize,
    latencies: Histogram<u64>,
    /// What the slow reader got, and the last number of each stream.
    slow_got: u64,
    slow_last: HashMap<u32, u64>,
    dropped: u64,
    dropped_told: Instant,
    moved: Instant,
    memory: Memory,
}

/// What one round found.
#[derive(Default)]
struct Round {
    published: u64,
    latencies: [f64; 4],
    memory_max: u64,
    /// What the slow reader got and what the broker says it dropped.
    got: u64,
    dropped: u64,
}

/// Runs it against a broker that listens.
///
/// # Errors
/// [`StormError`]: the machine refused something, the broker is gone, or something never came.
pub fn slow_reader(plan: &SlowReader) -> Result<StormReport, StormError> {
    let mut running = Running::new(plan)?;
    running.gather()?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for number in 0..plan.rounds {
        without.push(running.round(false)?);
        with.push(running.round(true)?);
        eprintln!(
            "round {}: p99 {:.3} ms without, {:.3} ms with; the slow reader got {} of {}, the broker says it \
             dropped {}",
            number + 1,
            without[number].latencies[1],
            with[number].latencies[1],
            with[number].got,
            with[number].published,
            with[number].dropped,
        );
    }
    Ok(running.report(&without, &with))
}

impl<'a> Running<'a> {
    fn new(plan: &'a SlowReader) -> Result<Self, StormError> {
        let run_id = fastrand::u32(..);
        let mut field = Field::new(plan.broker)?;
        let mut account = Account::new(run_id);
        let client = |name: String, filters| {
            Session::new(Identity {
                client_id: format!("sl-{run_id:08x}-{name}"),
                version: Version::V311,
                kept: false,
                receive_maximum: u16::MAX,
                acknowledges_late: false,
                filters,
                credentials: None,
            })
        };
        let mut pairs = Vec::new();
        for number in 0..plan.pairs {
            let topic: Rc<str> = format!("pairs/{run_id:08x}/{number}").into();
            let filters = vec![(topic.to_string(), plan.qos)];
            let reader = field.add(client(format!("r{number}"), filters));
            let publisher = field.add(client(format!("p{number}"), Vec::new()));
            let stream = account.stream();
            account.lane(reader, stream, Promise { published: plan.qos, subscribed: plan.qos, kept: true });
            pairs.push((publisher, topic, stream));
        }
        let watched = vec![(DROPPED.to_owned(), Qos::AtMostOnce)];
        field.add(client("watcher".into(), watched));
        let slow = field.add(client("slow".into(), vec![("#".to_owned(), plan.qos)]));
        Ok(Self {
            plan,
            run_id,
            started: Instant::now(),
            field,
            account,
            pairs,
            slow,
            subscribed: 0,
            latencies: histogram(),
            slow_got: 0,
            slow_last: HashMap::new(),
            dropped: 0,
            dropped_told: Instant::now(),
            moved: Instant::now(),
            memory: Memory::new(plan.broker_pid, Duration::from_millis(100))?,
        })
    }

    /// Connects everybody but the slow reader.
    fn gather(&mut self) -> Result<(), StormError> {
        for client in 0..self.slow {
            self.field.connect(client)?;
        }
        let readers = self.plan.pairs + 1;
        self.until("not everybody is subscribed", |running| running.subscribed == readers)
    }

    fn round(&mut self, with_slow: bool) -> Result<Round, StormError> {
        let dropped = self.dropped_now()?;
        let before = self.account.counts();
        (self.latencies, self.slow_got) = (histogram(), 0);
        self.slow_last.clear();
        self.memory = Memory::new(self.plan.broker_pid, Duration::from_millis(100))?;
        if with_slow {
            let readers = self.subscribed + 1;
            self.field.connect(self.slow)?;
            self.until("the slow reader is not subscribed", |running| running.subscribed == readers)?;
            self.field.stall(self.slow, true)?;
        }
        self.load()?;
        let latencies = [50.0, 99.0, 99.9, 100.0].map(|p| self.latencies.value_at_percentile(p) as f64 / 1e6);
        let mut round = Round { latencies, memory_max: self.memory.max_bytes(), ..Round::default() };
        round.published = published(&self.account.counts()) - published(&before);
        if with_slow {
            self.field.stall(self.slow, false)?;
            self.rest()?;
            (round.got, round.dropped) = (self.slow_got, self.dropped_now()? - dropped);
            self.field.leave(self.slow, Leave::Goodbye)?;
        }
        Ok(round)
    }

    /// Publishes at the plan's rate for one round, then waits until the pairs have everything.
    fn load(&mut self) -> Result<(), StormError> {
        let started = Instant::now();
        let gap = Duration::from_secs_f64(1.0 / self.plan.publishes_per_second);
        let mut due = started;
        let mut pair = 0;
        while started.elapsed() < self.plan.round {
            while due <= Instant::now() {
                self.publish(pair, due);
                pair = (pair + 1) % self.pairs.len();
                due += gap;
            }
            self.turn(due.saturating_duration_since(Instant::now()).min(Duration::from_millis(1)))?;
            self.memory.sample()?;
        }
        self.rest()
    }

    fn publish(&mut self, pair: usize, due: Instant) {
        let (client, topic, stream) = &self.pairs[pair];
        // What finds no room is not published: the broker's window is shut, and the round's count says so.
        if !self.field.can_publish(*client) {
            return;
        }
        let parcel = Parcel {
            run_id: self.run_id,
            stream: *stream,
            sequence: self.account.publish(*stream, self.plan.qos),
            due_nanos: (due - self.started).as_nanos() as u64,
            bytes: self.plan.payload_bytes.max(PARCEL_BYTES as u32),
        };
        let message = Outgoing { topic: Rc::clone(topic), qos: self.plan.qos, retain: false, parcel };
        self.field.publish(*client, message);
    }

    fn turn(&mut self, wait: Duration) -> Result<(), StormError> {
        let mut heard = Vec::new();
        self.field.turn(wait, &mut |client, what| heard.push((client, what)))?;
        let now = self.started.elapsed().as_nanos() as u64;
        for (client, what) in heard {
            self.hear(now, client, what);
        }
        Ok(())
    }

    fn hear(&mut self, now: u64, client: ClientId, what: Heard) {
        match what {
            Heard::Arrived { parcel, .. } if client == self.slow => self.hear_slow(parcel),
            Heard::Arrived { parcel, qos, dup, .. } => {
                self.moved = Instant::now();
                self.latencies.saturating_record(now.saturating_sub(parcel.due_nanos));
                self.account.arrived(client, 1, parcel, qos, dup);
            }
            Heard::Subscribed => self.subscribed += 1,
            Heard::Text { payload, .. } => {
                self.dropped_told = Instant::now();
                let text = String::from_utf8_lossy(&payload).parse();
                self.dropped = text.unwrap_or(self.dropped);
            }
            Heard::Refused(reason) => self.account.protocol("a client", reason.name()),
            Heard::Fault(what) => self.account.protocol("a client", &what),
            Heard::Acknowledged { .. } => self.moved = Instant::now(),
            Heard::Connected { .. } => {}
        }
    }

    fn hear_slow(&mut self, parcel: Parcel) {
        self.moved = Instant::now();
        self.slow_got += 1;
        if self.slow_last.insert(parcel.stream, parcel.sequence).is_some_and(|last| last >= parcel.sequence) {
            self.account.protocol("the slow reader", "got a stream out of order");
        }
    }

    /// Waits until nothing moves any more.
    fn rest(&mut self) -> Result<(), StormError> {
        self.moved = Instant::now();
        self.until("messages keep coming", |running| running.moved.elapsed() > QUIET)
    }

    /// What the broker says it has dropped, once it had two intervals to say so.
    fn dropped_now(&mut self) -> Result<u64, StormError> {
        let asked = Instant::now();
        self.until("the broker's count does not come", |running| {
            asked.elapsed() > Duration::from_millis(2500)
                && running.dropped_told.elapsed() > Duration::from_millis(1200)
        })?;
        Ok(self.dropped)
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), StormError> {
        let until = Instant::now() + PATIENCE;
        while !done(self) {
            if Instant::now() > until {
                return Err(StormError::Stuck(what.to_owned()));
            }
            self.turn(Duration::from_millis(2))?;
            self.memory.sample()?;
        }
        Ok(())
    }

    fn report(mut self, without: &[Round], with: &[Round]) -> StormReport {
        let lost: u64 = self.account.lost().iter().sum::<u64>() + self.account.counts().missed;
        let faults = self.account.faults();
        let honest = with.iter().all(|round| round.got + round.dropped == round.published);
        let median =
            |rounds: &[Round], index: usize| median(rounds.iter().map(|round| round.latencies[index]));
        let memory = |rounds: &[Round]| rounds.iter().map(|round| round.memory_max).max().unwrap_or(0);
        let (bare, beside) = (memory(without), memory(with));
        let bounded = beside <= bare + self.plan.memory_bytes_max;
        let mut text = String::from("latency of the pairs, ms        p50       p99     p99.9       max\n");
        for (name, rounds) in [("without the slow reader", without), ("with it", with)] {
            let [a, b, c, d] = [0, 1, 2, 3].map(|index| median(rounds, index));
            let _ = writeln!(text, "{name:<25} {a:>9.3} {b:>9.3} {c:>9.3} {d:>9.3}");
        }
        let sum = |pick: fn(&Round) -> u64| with.iter().map(pick).sum::<u64>();
        let (published, got, dropped) = (sum(|r| r.published), sum(|r| r.got), sum(|r| r.dropped));
        let verdict = if honest { "true" } else { "WRONG" };
        let _ = writeln!(
            text,
            "slow reader: {published} published while it was there, {got} received, {dropped} counted as dropped \
             by the broker: {verdict}"
        );
        let _ = writeln!(
            text,
            "broker memory: at most {:.1} MiB without, {:.1} with; allowed {:.1} more",
            mib(bare),
            mib(beside),
            mib(self.plan.memory_bytes_max)
        );
        let _ = writeln!(text, "pairs: {lost} lost, {faults} faults");
        for word in self.account.words() {
            let _ = writeln!(text, "  {word}");
        }
        let mut json = Object::new();
        json.text("scenario", "slow-reader");
        json.number("qos", f64::from(self.plan.qos.value()));
        json.number("p99_ms_without", median(without, 1));
        json.number("p99_ms_with", median(with, 1));
        json.number("published", published as f64);
        json.number("received", got as f64);
        json.number("dropped", dropped as f64);
        json.number("lost", lost as f64);
        json.number("faults", faults as f64);
        json.number("broker_resident_bytes_without", bare as f64);
        json.number("broker_resident_bytes_with", beside as f64);
        let kept = honest && bounded && lost == 0 && faults == 0;
        json.number("kept", f64::from(u8::from(kept)));
        StormReport { text, json: json.end(), kept }
    }
}

fn published(counts: &super::account::Counts) -> u64 {
    counts.published.iter().sum()
}

/// From a microsecond to a minute in nanoseconds, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are in order")
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
