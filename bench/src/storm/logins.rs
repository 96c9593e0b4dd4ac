//! A fleet that logs in all at once beside pairs that publish: what that costs the pairs in latency and the broker in
//! processor time and memory, and how long it takes until everybody is in. First nobody's password is known to the
//! broker, and each has to be hashed; then all come back at once.
//!
//! A client that is refused or not answered comes back as fleets do: after a second, then two, four and at most eight,
//! each between half and one and a half times as long.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use hdrhistogram::Histogram;
use ringmq_wire::{Qos, Version};

use super::account::{Account, Promise};
use super::field::{ClientId, Field, Leave};
use super::memory::{Memory, mib};
use super::parcel::{PARCEL_BYTES, Parcel};
use super::session::{Heard, Identity, Outgoing, Session};
use super::{StormError, StormReport};
use crate::process::{cpu_time, threads_seconds};
use crate::report::Object;

/// How long the pairs may take to be subscribed, and to have everything in the end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing moves for so long: all that is under way has arrived.
const QUIET: Duration = Duration::from_millis(500);
/// Connections begun in one turn: more would make the pairs' next publishes late, which would count as the broker's.
const CONNECTS_PER_TURN: usize = 16;
/// Waits after failures, doubled up to the longest.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(8);
/// A client that has no answer for so long gives the attempt up.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// How often waiting clients are looked at for that.
const ANSWER_SCAN: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_secs(5);
/// A storm is measured for so long even when everybody is in sooner: fewer publishes have no 99th percentile.
const STORM_MIN: Duration = Duration::from_secs(1);
/// The broker's threads that hash.
const HASHING_THREAD: &str = "passwords";

/// What a run does.
#[derive(Clone, Debug)]
pub struct Logins {
    /// Where the broker listens. Anonymous clients come in, and users `storm-0`, `storm-1` and so on.
    pub broker: SocketAddr,
    /// The broker's process, for its memory and processor time.
    pub broker_pid: u32,
    /// Clients that log in.
    pub clients: usize,
    /// The password of all of them.
    pub password: String,
    /// Loopback addresses they come from in turn; the broker bounds what waits from one.
    pub addresses: u16,
    /// Pairs that publish meanwhile, at QoS 1.
    pub pairs: usize,
    /// Publishes per second, over all pairs.
    pub publishes_per_second: f64,
    /// How long the pairs publish alone, before each storm.
    pub calm: Duration,
    /// How long a storm may take until everybody is in.
    pub storm_max: Duration,
    /// Everything random follows from it.
    pub seed: u64,
}

/// One client that logs in.
struct Guest {
    client: ClientId,
    state: State,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Away,
    Asking { since: Instant },
    In,
}

struct Running<'a> {
    plan: &'a Logins,
    rng: Rng,
    run_id: u32,
    started: Instant,
    field: Field,
    account: Account,
    pairs: Vec<(ClientId, Rc<str>, u32)>,
    guests: Vec<Guest>,
    /// Guests are the clients from here on.
    first_guest: ClientId,
    returning: BinaryHeap<Reverse<(Instant, usize)>>,
    subscribed: usize,
    inside: usize,
    phase: Phase,
    next_pair: usize,
    due: Instant,
    moved: Instant,
    scanned: Instant,
    told: Instant,
    memory: Memory,
}

/// What a stretch of time found.
struct Phase {
    latencies: Histogram<u64>,
    /// CONNECTs that were sent, refused with a reason, closed without one, and not answered.
    attempts: u64,
    refused: u64,
    closed: u64,
    unanswered: u64,
    /// When half, nine in ten and all were in.
    seconds_in: [f64; 3],
    cpu_seconds: f64,
    hashing_seconds: f64,
    length: Duration,
    memory_max: u64,
}

impl Phase {
    fn new() -> Self {
        let latencies =
            Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are in order");
        Phase {
            latencies,
            attempts: 0,
            refused: 0,
            closed: 0,
            unanswered: 0,
            seconds_in: [0.0; 3],
            cpu_seconds: 0.0,
            hashing_seconds: 0.0,
            length: Duration::ZERO,
            memory_max: 0,
        }
    }

    fn milliseconds(&self, percentile: f64) -> f64 {
        self.latencies.value_at_percentile(percentile) as f64 / 1e6
    }
}

/// Runs it against a broker that listens.
///
/// # Errors
/// [`StormError`]: the machine refused something, the broker is gone, or not everybody came in.
pub fn logins(plan: &Logins) -> Result<StormReport, StormError> {
    let mut running = Running::new(plan)?;
    running.gather()?;
    let mut phases = Vec::new();
    for name in ["first", "again"] {
        phases.push(("calm", running.measure(|_, elapsed| elapsed >= plan.calm)?));
        phases.push((name, running.storm()?));
        running.everybody_leaves()?;
    }
    running.rest()?;
    Ok(running.report(&phases))
}

impl<'a> Running<'a> {
    fn new(plan: &'a Logins) -> Result<Self, StormError> {
        let run_id = fastrand::u32(..);
        let mut field = Field::new(plan.broker)?;
        let mut account = Account::new(run_id);
        let client = |name: String, filters, credentials| {
            Session::new(Identity {
                client_id: format!("lo-{run_id:08x}-{name}"),
                version: Version::V5,
                kept: false,
                receive_maximum: u16::MAX,
                acknowledges_late: false,
                filters,
                credentials,
            })
        };
        let mut pairs = Vec::new();
        for number in 0..plan.pairs {
            let topic: Rc<str> = format!("pairs/{run_id:08x}/{number}").into();
            let filters = vec![(topic.to_string(), Qos::AtLeastOnce)];
            let reader = field.add(client(format!("r{number}"), filters, None));
            let publisher = field.add(client(format!("p{number}"), Vec::new(), None));
            let stream = account.stream();
            let promise = Promise { published: Qos::AtLeastOnce, subscribed: Qos::AtLeastOnce, kept: true };
            account.lane(reader, stream, promise);
            pairs.push((publisher, topic, stream));
        }
        let first_guest = plan.pairs * 2;
        let guests = (0..plan.clients).map(|number| {
            let credentials = Some((format!("storm-{number}"), plan.password.clone()));
            let client = field.add(client(format!("u{number}"), Vec::new(), credentials));
            Guest { client, state: State::Away, failures: 0 }
        });
        let guests = guests.collect();
        let now = Instant::now();
        Ok(Self {
            plan,
            rng: Rng::with_seed(plan.seed),
            run_id,
            started: now,
            field,
            account,
            pairs,
            guests,
            first_guest,
            returning: BinaryHeap::new(),
            subscribed: 0,
            inside: 0,
            phase: Phase::new(),
            next_pair: 0,
            due: now,
            moved: now,
            scanned: now,
            told: now,
            memory: Memory::new(plan.broker_pid, Duration::from_millis(50))?,
        })
    }

    /// Connects the pairs.
    fn gather(&mut self) -> Result<(), StormError> {
        for client in 0..self.first_guest {
            self.field.connect(client)?;
        }
        let until = Instant::now() + PATIENCE;
        while self.subscribed < self.plan.pairs {
            if Instant::now() > until {
                return Err(StormError::Stuck(
                    "not all pairs are subscribed; the broker must let anonymous clients in".into(),
                ));
            }
            self.turn(Duration::from_millis(2))?;
        }
        Ok(())
    }

    /// Everybody logs in.
    fn storm(&mut self) -> Result<Phase, StormError> {
        let now = Instant::now();
        self.returning = (0..self.guests.len()).map(|guest| Reverse((now, guest))).collect();
        (self.inside, self.told) = (0, now);
        let all = self.guests.len();
        let phase = self.measure(|running, elapsed| {
            running.inside == all && elapsed >= STORM_MIN || elapsed >= running.plan.storm_max
        })?;
        if self.inside < all {
            let (inside, seconds) = (self.inside, self.plan.storm_max.as_secs());
            return Err(StormError::Stuck(format!("{inside} of {all} are in after {seconds} s")));
        }
        Ok(phase)
    }

    /// Lets the pairs publish, and guests in, until it is over; what that came to.
    fn measure(&mut self, over: impl Fn(&Self, Duration) -> bool) -> Result<Phase, StormError> {
        let pid = self.plan.broker_pid;
        self.phase = Phase::new();
        self.memory = Memory::new(pid, Duration::from_millis(50))?;
        let (cpu, hashing) = (cpu_time(pid)?, threads_seconds(pid, HASHING_THREAD)?);
        let began = Instant::now();
        let gap = Duration::from_secs_f64(1.0 / self.plan.publishes_per_second);
        self.due = began;
        while !over(self, began.elapsed()) {
            while self.due <= Instant::now() {
                self.publish();
                self.due += gap;
            }
            self.let_in()?;
            let wait = self.due.saturating_duration_since(Instant::now()).min(Duration::from_millis(1));
            self.turn(wait)?;
            self.note_inside(began);
            self.memory.sample()?;
        }
        let mut phase = std::mem::replace(&mut self.phase, Phase::new());
        phase.length = began.elapsed();
        phase.cpu_seconds = cpu_time(pid)?.since(cpu).total_seconds();
        phase.hashing_seconds = threads_seconds(pid, HASHING_THREAD)? - hashing;
        phase.memory_max = self.memory.max_bytes();
        Ok(phase)
    }

    fn publish(&mut self) {
        let (client, topic, stream) = &self.pairs[self.next_pair];
        self.next_pair = (self.next_pair + 1) % self.pairs.len();
        if !self.field.can_publish(*client) {
            return;
        }
        let parcel = Parcel {
            run_id: self.run_id,
            stream: *stream,
            sequence: self.account.publish(*stream, Qos::AtLeastOnce),
            due_nanos: (self.due - self.started).as_nanos() as u64,
            bytes: PARCEL_BYTES as u32,
        };
        let message = Outgoing { topic: Rc::clone(topic), qos: Qos::AtLeastOnce, retain: false, parcel };
        self.field.publish(*client, message);
    }

    /// Begins connections that are due, and gives up those that nobody answers.
    fn let_in(&mut self) -> Result<(), StormError> {
        for _ in 0..CONNECTS_PER_TURN {
            let Some(&Reverse((at, guest))) = self.returning.peek() else { break };
            if at > Instant::now() {
                break;
            }
            self.returning.pop();
            let source = source(guest, self.plan.addresses);
            self.field.begin(self.guests[guest].client, source)?;
            self.guests[guest].state = State::Asking { since: Instant::now() };
            self.phase.attempts += 1;
        }
        if self.scanned.elapsed() < ANSWER_SCAN {
            return Ok(());
        }
        self.scanned = Instant::now();
        for guest in 0..self.guests.len() {
            let State::Asking { since } = self.guests[guest].state else { continue };
            if since.elapsed() > ANSWER_MAX {
                self.phase.unanswered += 1;
                self.field.leave(self.guests[guest].client, Leave::Close)?;
                self.again_later(guest);
            }
        }
        Ok(())
    }

    fn again_later(&mut self, guest: usize) {
        let one = &mut self.guests[guest];
        let wait = WAIT_MIN.saturating_mul(1 << one.failures.min(8)).min(WAIT_MAX);
        (one.failures, one.state) = (one.failures + 1, State::Away);
        let wait = wait.mul_f64(0.5 + self.rng.f64());
        self.returning.push(Reverse((Instant::now() + wait, guest)));
    }

    fn note_inside(&mut self, began: Instant) {
        let all = self.guests.len();
        for (share, seconds) in [all.div_ceil(2), (all * 9).div_ceil(10), all].into_iter().zip(0..) {
            if self.inside >= share && self.phase.attempts > 0 && self.phase.seconds_in[seconds] == 0.0 {
                self.phase.seconds_in[seconds] = began.elapsed().as_secs_f64();
            }
        }
        if self.phase.attempts > 0 && self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            eprintln!(
                "{:>4.0} s  {} of {all} in, {} refused, p99 {:.2} ms, broker {:.1} MiB",
                began.elapsed().as_secs_f64(),
                self.inside,
                self.phase.refused,
                self.phase.milliseconds(99.0),
                self.memory.last_mib(),
            );
        }
    }

    fn turn(&mut self, wait: Duration) -> Result<(), StormError> {
        let mut heard = Vec::new();
        self.field.turn(wait, &mut |client, what| heard.push((client, what)))?;
        let now = self.started.elapsed().as_nanos() as u64;
        for (client, what) in heard {
            match client.checked_sub(self.first_guest) {
                Some(guest) => self.hear_guest(guest, &what),
                None => self.hear(now, client, what),
            }
        }
        Ok(())
    }

    fn hear_guest(&mut self, guest: usize, what: &Heard) {
        match (what, self.guests[guest].state) {
            (Heard::Connected { .. }, State::Asking { .. }) => {
                (self.guests[guest].state, self.guests[guest].failures) = (State::In, 0);
                self.inside += 1;
            }
            (Heard::Refused(_), State::Asking { .. }) => {
                self.phase.refused += 1;
                self.again_later(guest);
            }
            (Heard::Fault(_), State::Asking { .. }) => {
                self.phase.closed += 1;
                self.again_later(guest);
            }
            // The end of a connection that was refused.
            (Heard::Fault(_), State::Away) => {}
            (what, _) => self.account.protocol("a client that logs in", &format!("{what:?}")),
        }
    }

    fn hear(&mut self, now: u64, client: ClientId, what: Heard) {
        match what {
            Heard::Arrived { parcel, qos, dup, .. } => {
                self.moved = Instant::now();
                self.phase.latencies.saturating_record(now.saturating_sub(parcel.due_nanos));
                self.account.arrived(client, 1, parcel, qos, dup);
            }
            Heard::Subscribed => self.subscribed += 1,
            Heard::Refused(reason) => self.account.protocol("a pair", reason.name()),
            Heard::Fault(what) => self.account.protocol("a pair", &what),
            Heard::Text { topic, .. } => self.account.protocol("a pair", &format!("got {topic}")),
            Heard::Acknowledged { .. } => self.moved = Instant::now(),
            Heard::Connected { .. } => {}
        }
    }

    /// All connections of the guests end at once.
    fn everybody_leaves(&mut self) -> Result<(), StormError> {
        for guest in &mut self.guests {
            self.field.leave(guest.client, Leave::Close)?;
            guest.state = State::Away;
        }
        self.rest()
    }

    /// Waits until nothing moves any more.
    fn rest(&mut self) -> Result<(), StormError> {
        self.moved = Instant::now();
        let until = Instant::now() + PATIENCE;
        while self.moved.elapsed() < QUIET {
            if Instant::now() > until {
                return Err(StormError::Stuck("messages keep coming".into()));
            }
            self.turn(Duration::from_millis(2))?;
        }
        Ok(())
    }

    fn report(mut self, phases: &[(&str, Phase)]) -> StormReport {
        let lost: u64 = self.account.lost().iter().sum::<u64>() + self.account.counts().missed;
        let faults = self.account.faults();
        let mut text = String::from(HEAD);
        let mut json = Object::new();
        json.text("scenario", "logins");
        json.number("clients", self.plan.clients as f64);
        for (index, (name, phase)) in phases.iter().enumerate() {
            let seconds = phase.length.as_secs_f64();
            let [half, most, all] = phase.seconds_in;
            let _ = writeln!(
                text,
                "{name:<6} {:>8.3} {:>8.3} {:>8.3} {half:>7.2} {most:>7.2} {all:>7.2} {:>8} {:>8} {:>6} {:>6} {:>7.1} {:>7.1} {:>8.1}",
                phase.milliseconds(50.0),
                phase.milliseconds(99.0),
                phase.milliseconds(100.0),
                phase.attempts,
                phase.refused,
                phase.closed,
                phase.unanswered,
                100.0 * (phase.cpu_seconds - phase.hashing_seconds) / seconds,
                100.0 * phase.hashing_seconds / seconds,
                mib(phase.memory_max),
            );
            let key = |what: &str| {
                format!(
                    "{name}_{}{what}",
                    if *name == "calm" { format!("{}_", index / 2 + 1) } else { String::new() }
                )
            };
            json.number(&key("p99_ms"), phase.milliseconds(99.0));
            json.number(&key("seconds"), seconds);
            json.number(&key("seconds_until_all_in"), all);
            json.number(&key("attempts"), phase.attempts as f64);
            json.number(&key("refused"), phase.refused as f64);
            json.number(&key("cpu_seconds"), phase.cpu_seconds);
            json.number(&key("hashing_seconds"), phase.hashing_seconds);
            json.number(&key("resident_bytes_max"), phase.memory_max as f64);
        }
        let _ = writeln!(text, "pairs: {lost} lost, {faults} faults");
        for word in self.account.words() {
            let _ = writeln!(text, "  {word}");
        }
        json.number("lost", lost as f64);
        json.number("faults", faults as f64);
        let kept = lost == 0 && faults == 0;
        json.number("kept", f64::from(u8::from(kept)));
        StormReport { text, json: json.end(), kept }
    }
}

const HEAD: &str = "\
       latency of the pairs, ms  | seconds until in      | CONNECTs                        | broker
            p50      p99      max    half     90%     all     sent  refused closed unansw.  cpu %  hash %  MiB max
";

/// Where a guest comes from: one of so many addresses in turn.
fn source(guest: usize, addresses: u16) -> Option<Ipv4Addr> {
    let number = (guest % usize::from(addresses)) as u16;
    (addresses > 1).then(|| Ipv4Addr::from_bits(0x7f02_0001 + u32::from(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_come_from_as_many_addresses_as_asked() {
        assert_eq!(source(7, 1), None);
        assert_eq!(source(0, 200), Some(Ipv4Addr::new(127, 2, 0, 1)));
        assert_eq!(source(399, 200), Some(Ipv4Addr::new(127, 2, 0, 200)));
        assert_eq!(source(299, 300), Some(Ipv4Addr::new(127, 2, 1, 44)));
    }
}
