//! The run of messages: opens the connections, publishes as the plan says and books what comes back.
//!
//! A turn takes what is ready, answers it, publishes what may be published and then writes once to each
//! connection that has something to leave, so that the load costs little beside the broker it drives. That is
//! also why it is no client of `ringmq-client`: a publish here is a copy of a template with a number in it, and
//! nothing is kept for a connection that might have to be made again.

mod churn;
mod opening;
mod packets;

use std::mem;
use std::time::{Duration, Instant};

use ringmq_wire::{Disconnect, Packet, ReasonCode};

use crate::connection::Connection;
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::meter::Mark;
use crate::pace::Pace;
use crate::poller::{Poller, Ready};
use crate::population::Population;
use crate::template::Template;
use crate::{Failure, Plan, Report, Tell};
use churn::Churner;

/// What one read may bring, in bytes: many small packets, or a good part of a large one.
const READ_BYTES_MAX: usize = 256 << 10;
/// With so many bytes to leave a publisher waits, so that large payloads do not fill the memory.
const PENDING_BYTES_MAX: usize = 256 << 10;
/// The longest sleep while nothing is ready; deadlines are looked at in between.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// A publish that is due so soon is not slept for.
const SLEEP_MIN: Duration = Duration::from_micros(60);
/// How often publishers that stand still are looked for.
const STALL_SCAN: Duration = Duration::from_millis(100);
/// How long the end listens for what should not come any more, such as duplicates.
const AFTERMATH: Duration = Duration::from_millis(50);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Runs a plan of messages against a broker that listens.
pub(crate) fn run(plan: &Plan, tell: &mut Tell<'_>) -> Result<Report, Failure> {
    let mut load = Load::open(plan, tell)?;
    load.drive(plan.warmup, "warming up")?;
    let (published, delivered, changes) = load.so_far();
    let before = Mark::now(plan)?;
    load.longest_wait = Duration::ZERO;
    load.counted = Some((before.at, before.at + plan.measured));
    load.drive(plan.measured, "measuring")?;
    let after = Mark::now(plan)?;
    let (longest_wait, window) = (load.longest_wait, load.window);
    let (published_then, delivered_then, changes_then) = load.so_far();
    load.drain()?;
    let report = &mut load.report;
    report.figure("window_messages", window as f64);
    report.figures(after.figures_since(&before));
    let (published, delivered) = (published_then - published, delivered_then - delivered);
    report.figure("published", published as f64);
    report.figure("delivered", delivered as f64);
    report.figure("messages_per_second", delivered as f64 / after.seconds_since(&before));
    if let Some(seconds) = after.broker_seconds_since(&before) {
        report.figure("broker_us_per_message", seconds * 1e6 / delivered.max(1) as f64);
        report.figure("broker_us_per_publish", seconds * 1e6 / published.max(1) as f64);
    }
    report.figure("longest_wait_seconds", longest_wait.as_secs_f64());
    if plan.churners > 0 {
        report.figure("changes_per_second", (changes_then - changes) as f64 / after.seconds_since(&before));
    }
    Ok(load.finish())
}

struct Load<'a, 't> {
    plan: &'a Plan,
    tell: &'a mut Tell<'t>,
    window: usize,
    poller: Poller,
    /// Publishers first, readers behind them, churners last.
    connections: Vec<Connection>,
    churners: Vec<Churner>,
    /// Connections nobody reads from.
    slow: Vec<Connection>,
    /// One for each publisher; with many subscriptions one for each topic.
    templates: Vec<Template>,
    population: Option<Population>,
    filling: Vec<u8>,
    ledger: Ledger,
    pace: Option<Pace>,
    /// From when to when publishes have to be due for their latency to count.
    counted: Option<(Instant, Instant)>,
    latency: Option<Latency>,
    /// When the message in each place was published, for the latency of a closed loop.
    published_at: Vec<Instant>,
    /// When each publisher's messages last moved.
    moved: Vec<Instant>,
    /// The longest that any publisher saw nothing move before something did.
    longest_wait: Duration,
    /// Publishers that may have room; each stands here once, as `awake` says.
    wake: Vec<usize>,
    awake: Vec<bool>,
    /// Connections with something to leave.
    dirty: Vec<usize>,
    publishing: bool,
    now: Instant,
    stalls_scanned: Instant,
    told: Instant,
    read_buffer: Vec<u8>,
    ready: Vec<Ready>,
    report: Report,
}

impl<'a, 't> Load<'a, 't> {
    /// Publishes as planned for so long.
    fn drive(&mut self, duration: Duration, doing: &str) -> Result<(), Failure> {
        let end = Instant::now() + duration;
        loop {
            self.turn()?;
            if self.now >= end {
                return Ok(());
            }
            self.give_up_stalled();
            if self.now - self.told > TELL_EVERY {
                self.told = self.now;
                let left = (end - self.now).as_secs_f64();
                let (_, delivered, _) = self.so_far();
                (self.tell)(&format!("{doing}, {left:.0} s left, {delivered} messages delivered"));
            }
        }
    }

    /// Publishes no more and waits for what is under way, then a little for what should not come. An open loop
    /// first publishes what was due; what it cannot within the patience for a stall is told.
    fn drain(&mut self) -> Result<(), Failure> {
        let end = Instant::now() + self.plan.stall;
        self.pace_to_end();
        while self.overdue() > 0 && self.now < end {
            self.turn()?;
            self.give_up_stalled();
        }
        if self.plan.rate.is_some() {
            let overdue = self.overdue() as f64;
            self.report.figure("not_published_in_time", overdue);
        }
        self.publishing = false;
        while self.ledger.under_way() > 0 {
            self.turn()?;
            self.give_up_stalled();
        }
        let end = Instant::now() + AFTERMATH;
        while self.now < end {
            self.turn()?;
        }
        Ok(())
    }

    /// Says goodbye and completes the report.
    fn finish(mut self) -> Report {
        if !self.plan.relay {
            for connection in self.connections.iter_mut().chain(&mut self.slow) {
                Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))
                    .encode(self.plan.version, connection.out());
                // The run is over: a broker that closes first has done nothing wrong.
                let _ = connection.flush();
            }
        }
        let totals = self.ledger.counts();
        let mut report = self.report;
        report.figure("published_in_all", totals.published as f64);
        report.figure("delivered_in_all", totals.delivered as f64);
        if let Some(latency) = self.latency {
            report.latency(latency);
        }
        totals.faults().into_iter().for_each(|(name, count)| report.fault(name, count));
        report
    }

    /// Published, delivered and subscriptions changed so far.
    fn so_far(&self) -> (u64, u64, u64) {
        let counts = self.ledger.counts();
        (counts.published, counts.delivered, self.churners.iter().map(|churner| churner.changes).sum())
    }

    fn turn(&mut self) -> Result<(), Failure> {
        let mut ready = mem::take(&mut self.ready);
        self.poller.wait(&mut ready, self.sleep()).map_err(polling)?;
        self.now = Instant::now();
        for event in &ready {
            if event.readable {
                self.receive(event.index)?;
            }
            if event.writable {
                self.mark_dirty(event.index);
            }
        }
        self.ready = ready;
        self.wake_due();
        self.fill();
        self.flush()
    }

    /// How long nothing needs to be done.
    fn sleep(&self) -> Duration {
        if !self.wake.is_empty() || self.plan.spin {
            return Duration::ZERO;
        }
        let due = match &self.pace {
            Some(pace) if self.publishing => pace.wait(Instant::now()).saturating_sub(SLEEP_MIN),
            _ => SLEEP_MAX,
        };
        due.min(SLEEP_MAX)
    }

    /// Wakes the publishers whose next message is due.
    fn wake_due(&mut self) {
        let Some(mut pace) = self.pace.take() else { return };
        let until = self.counted.map_or(self.now, |(_, end)| self.now.min(end));
        while let Some(publisher) = pace.next(until) {
            self.wake(publisher);
        }
        self.pace = Some(pace);
    }

    /// Takes everything that was due in the measured time into the schedule.
    fn pace_to_end(&mut self) {
        self.now = Instant::now();
        self.wake_due();
    }

    /// Messages that were due and are not published.
    fn overdue(&self) -> u64 {
        self.pace.as_ref().map_or(0, |pace| pace.due() - self.ledger.counts().published)
    }

    #[inline]
    fn wake(&mut self, publisher: usize) {
        if !mem::replace(&mut self.awake[publisher], true) {
            self.wake.push(publisher);
        }
    }

    fn mark_dirty(&mut self, index: usize) {
        if !mem::replace(&mut self.connections[index].dirty, true) {
            self.dirty.push(index);
        }
    }

    /// Publishes into every window that has room.
    fn fill(&mut self) {
        let mut wake = mem::take(&mut self.wake);
        for publisher in wake.drain(..) {
            self.awake[publisher] = false;
            if self.publishing {
                self.fill_one(publisher);
            }
        }
        self.wake = wake;
    }

    fn fill_one(&mut self, publisher: usize) {
        if self.plan.bursts && !self.ledger.is_idle(publisher) {
            return;
        }
        let due = self.pace.as_ref().map_or(u64::MAX, |pace| pace.due_of(publisher));
        let pending_before = self.connections[publisher].pending_bytes();
        while self.ledger.next(publisher) < due {
            if self.connections[publisher].pending_bytes() > PENDING_BYTES_MAX {
                self.connections[publisher].starved = true;
                break;
            }
            let sequence = self.ledger.next(publisher);
            let (template, readers) = match &self.population {
                None => (publisher, self.plan.readers_per_message()),
                Some(population) => {
                    let topic = population.topic_of(sequence);
                    (topic, population.readers(topic))
                }
            };
            let Some(sequence) = self.ledger.publish(publisher, readers) else { break };
            if let Some(at) = self.published_at.get_mut(self.ledger.place(publisher, sequence)) {
                *at = Instant::now();
            }
            let id = self.ledger.packet_id(sequence);
            let out = self.connections[publisher].out();
            self.templates[template].put(sequence, id, &self.filling, out);
        }
        if self.connections[publisher].pending_bytes() > pending_before {
            self.moved[publisher] = self.now;
            self.mark_dirty(publisher);
        }
    }

    /// Writes once to every connection with something to leave.
    fn flush(&mut self) -> Result<(), Failure> {
        let mut dirty = mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            let connection = &mut self.connections[index];
            connection.dirty = false;
            let done = connection.flush().map_err(|error| Failure::Io("writing", error))?;
            if done == connection.watched_for_room {
                connection.watched_for_room = !done;
                self.poller.watch(&connection.stream, index, !done).map_err(polling)?;
            }
            if done && mem::take(&mut connection.starved) {
                self.wake(index);
            }
        }
        self.dirty = dirty;
        Ok(())
    }

    /// Frees the windows of publishers whose messages have not moved for too long.
    fn give_up_stalled(&mut self) {
        if self.now - self.stalls_scanned < STALL_SCAN {
            return;
        }
        self.stalls_scanned = self.now;
        for publisher in 0..self.plan.publishers() {
            let waits = self.ledger.is_full(publisher) || self.plan.bursts || !self.publishing;
            if waits && self.now - self.moved[publisher] > self.plan.stall {
                self.ledger.give_up(publisher);
                self.moved[publisher] = self.now;
                self.wake(publisher);
            }
        }
    }
}

pub(crate) fn polling(error: std::io::Error) -> Failure {
    Failure::Io("waiting for sockets", error)
}
