//! Very many retained messages and subscribers that take few at a time: all arrive, memory stays bounded, and when
//! publishers change the values meanwhile nobody ends on an older one or sees a value go back.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use ringmq_wire::{Qos, Version};

use super::field::{ClientId, Field, Leave};
use super::memory::{Memory, mib};
use super::parcel::{PARCEL_BYTES, Parcel};
use super::session::{Heard, Identity, Outgoing, Session};
use super::{StormError, StormReport};
use crate::report::Object;

/// How long nothing may move before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Topics below one branch.
const BRANCH: usize = 1000;
/// Publishes one publisher has unfinished.
const UNFINISHED_MAX: usize = 200;
/// Who subscribes while the values change: version, QoS and receive maximum.
const SUBSCRIBERS: [(Version, Qos, u16); 4] = [
    (Version::V5, Qos::AtLeastOnce, 20),
    (Version::V5, Qos::ExactlyOnce, 20),
    (Version::V311, Qos::AtLeastOnce, u16::MAX),
    (Version::V5, Qos::AtLeastOnce, 1),
];

/// What a run does.
#[derive(Clone, Debug)]
pub struct RetainedFlood {
    /// Where the broker listens; it must hold no other retained messages but its own.
    pub broker: SocketAddr,
    /// The broker's process, for its memory.
    pub broker_pid: u32,
    /// Retained messages.
    pub topics: usize,
    /// Receive maximum of the first subscriber.
    pub receive_maximum: u16,
    /// Size of each payload in bytes.
    pub payload_bytes: u32,
    /// Changes per second while the second subscribers read, over all publishers.
    pub changes_per_second: f64,
    /// How long values change.
    pub changing: Duration,
    /// What reading may cost the broker in memory: the bound of a queue for each reader.
    pub memory_bytes_max: u64,
    /// Which topics change when.
    pub seed: u64,
}

/// What a reader has seen: the last number of each topic, plus one.
struct Reader {
    client: ClientId,
    seen: Vec<u32>,
    arrived: u64,
    retained: u64,
    went_back: u64,
}

struct Running<'a> {
    plan: &'a RetainedFlood,
    rng: Rng,
    run_id: u32,
    started: Instant,
    field: Field,
    publishers: Vec<ClientId>,
    topics: Vec<Rc<str>>,
    /// How often each topic was published.
    published: Vec<u32>,
    readers: Vec<Reader>,
    subscribed: usize,
    moved: Instant,
    words: Vec<String>,
    memory: Memory,
}

/// Runs it against a broker that listens.
///
/// # Errors
/// [`StormError`]: the machine refused something, the broker is gone, or something never came.
pub fn retained_flood(plan: &RetainedFlood) -> Result<StormReport, StormError> {
    let mut running = Running::new(plan)?;
    let stored = running.store()?;
    let filled = running.memory.last_mib();
    let read = running.read_all()?;
    let reading = running.memory.max_bytes();
    let changed = running.change()?;
    Ok(running.report([stored, read, changed], filled, reading))
}

impl<'a> Running<'a> {
    fn new(plan: &'a RetainedFlood) -> Result<Self, StormError> {
        let run_id = fastrand::u32(..);
        let mut field = Field::new(plan.broker)?;
        let publishers =
            (0..8).map(|n| field.add(client(run_id, format!("p{n}"), SUBSCRIBERS[0], None))).collect();
        Ok(Self {
            plan,
            rng: Rng::with_seed(plan.seed),
            run_id,
            started: Instant::now(),
            field,
            publishers,
            topics: (0..plan.topics)
                .map(|n| format!("kept/{run_id:08x}/{}/{n}", n / BRANCH).into())
                .collect(),
            published: vec![0; plan.topics],
            readers: Vec::new(),
            subscribed: 0,
            moved: Instant::now(),
            words: Vec::new(),
            memory: Memory::new(plan.broker_pid, Duration::from_millis(50))?,
        })
    }

    /// Publishes every topic once.
    fn store(&mut self) -> Result<Duration, StormError> {
        let started = Instant::now();
        for publisher in self.publishers.clone() {
            self.field.connect(publisher)?;
        }
        self.wait("a publisher is not connected", |r| {
            r.publishers.iter().all(|&p| r.field.session(p).is_up())
        })?;
        let mut next = 0;
        while next < self.plan.topics {
            while next < self.plan.topics && self.publish(next) {
                next += 1;
            }
            self.turn(Duration::from_millis(1))?;
        }
        self.wait("publishes are not acknowledged", |r| r.unfinished() == 0)?;
        Ok(started.elapsed())
    }

    /// One client subscribes to `#` and takes everything.
    fn read_all(&mut self) -> Result<Duration, StormError> {
        self.memory = Memory::new(self.plan.broker_pid, Duration::from_millis(50))?;
        let started = Instant::now();
        self.subscribe((Version::V5, Qos::AtLeastOnce, self.plan.receive_maximum))?;
        self.wait("retained messages do not come", |r| r.readers[0].retained >= r.plan.topics as u64)?;
        let took = started.elapsed();
        self.pause(Duration::from_millis(300))?;
        let reader = &self.readers[0];
        let (missing, client) = (reader.seen.iter().filter(|&&seen| seen == 0).count(), reader.client);
        if missing > 0 || reader.arrived != self.plan.topics as u64 {
            let word = format!("{missing} topics are missing of {} arrivals", reader.arrived);
            self.words.push(word);
        }
        self.field.leave(client, Leave::Goodbye)?;
        Ok(took)
    }

    /// Several clients subscribe to `#` while the values change.
    fn change(&mut self) -> Result<Duration, StormError> {
        self.readers.clear();
        let started = Instant::now();
        let (mut changes, mut told) = (0.0, 0);
        while started.elapsed() < self.plan.changing {
            let elapsed = started.elapsed().as_secs_f64();
            // A new reader with each quarter of the first half, so that its pages meet changes.
            let due = (elapsed / self.plan.changing.as_secs_f64() * 8.0) as usize;
            if self.readers.len() < SUBSCRIBERS.len().min(due + 1) {
                self.subscribe(SUBSCRIBERS[self.readers.len()])?;
            }
            while changes < elapsed * self.plan.changes_per_second {
                changes += 1.0;
                let topic = self.rng.usize(..self.plan.topics);
                self.publish(topic);
            }
            self.turn(Duration::from_millis(1))?;
            if elapsed as u64 / 5 > told {
                told = elapsed as u64 / 5;
                let arrived: Vec<u64> = self.readers.iter().map(|reader| reader.arrived).collect();
                eprintln!("{elapsed:>4.0} s  arrived {arrived:?}  broker {:.1} MiB", self.memory.last_mib());
            }
        }
        self.wait("not everything arrives", |r| r.unfinished() == 0 && r.behind() == 0)?;
        self.pause(Duration::from_millis(500))?;
        Ok(started.elapsed())
    }

    fn subscribe(&mut self, who: (Version, Qos, u16)) -> Result<(), StormError> {
        let name = format!("s{}-{}", self.readers.len(), self.subscribed);
        let client = self.field.add(client(self.run_id, name, who, Some(who.1)));
        let seen = vec![0; self.plan.topics];
        self.readers.push(Reader { client, seen, arrived: 0, retained: 0, went_back: 0 });
        Ok(self.field.connect(client)?)
    }

    /// Publishes a topic's next value; false when its publisher has no room now.
    fn publish(&mut self, topic: usize) -> bool {
        let client = self.publishers[topic % self.publishers.len()];
        if !self.field.can_publish(client) || self.field.session(client).unfinished() >= UNFINISHED_MAX {
            return false;
        }
        let parcel = Parcel {
            run_id: self.run_id,
            stream: topic as u32,
            sequence: self.published[topic].into(),
            due_nanos: self.started.elapsed().as_nanos() as u64,
            bytes: self.plan.payload_bytes.max(PARCEL_BYTES as u32),
        };
        self.published[topic] += 1;
        let topic = Rc::clone(&self.topics[topic]);
        self.field.publish(client, Outgoing { topic, qos: Qos::AtLeastOnce, retain: true, parcel });
        true
    }

    fn turn(&mut self, wait: Duration) -> Result<(), StormError> {
        let mut heard = Vec::new();
        self.field.turn(wait, &mut |client, what| heard.push((client, what)))?;
        for (client, what) in heard {
            self.hear(client, what);
        }
        self.memory.sample()?;
        Ok(())
    }

    fn hear(&mut self, client: ClientId, what: Heard) {
        match what {
            Heard::Arrived { parcel, retain, .. } if parcel.run_id == self.run_id => {
                self.moved = Instant::now();
                let Some(reader) = self.readers.iter_mut().find(|reader| reader.client == client) else {
                    return;
                };
                reader.arrived += 1;
                reader.retained += u64::from(retain);
                let seen = &mut reader.seen[parcel.stream as usize];
                let value = parcel.sequence as u32 + 1;
                reader.went_back += u64::from(value < *seen);
                *seen = value;
            }
            Heard::Acknowledged { .. } => self.moved = Instant::now(),
            Heard::Subscribed => self.subscribed += 1,
            Heard::Connected { .. } => {}
            other => self.words.push(format!("client {client} heard {other:?}")),
        }
    }

    fn unfinished(&self) -> usize {
        self.publishers.iter().map(|&client| self.field.session(client).unfinished()).sum()
    }

    /// Topics whose last value a reader has not seen last, over all readers.
    fn behind(&self) -> usize {
        let behind =
            |reader: &Reader| reader.seen.iter().zip(&self.published).filter(|(a, b)| a != b).count();
        self.readers.iter().map(behind).sum()
    }

    /// Waits until `done`, as long as something moves.
    fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), StormError> {
        self.moved = Instant::now();
        let mut looked = Instant::now();
        while looked.elapsed() < Duration::from_millis(20) || !done(self) {
            if looked.elapsed() >= Duration::from_millis(20) {
                looked = Instant::now();
            }
            if self.moved.elapsed() > PATIENCE {
                self.words.push(what.to_owned());
                return Ok(());
            }
            self.turn(Duration::from_millis(2))?;
        }
        Ok(())
    }

    /// What should not come any more comes now.
    fn pause(&mut self, length: Duration) -> Result<(), StormError> {
        let until = Instant::now() + length;
        while Instant::now() < until {
            self.turn(Duration::from_millis(2))?;
        }
        Ok(())
    }

    fn report(self, [stored, read, changed]: [Duration; 3], filled: f64, reading: u64) -> StormReport {
        let (topics, behind) = (self.plan.topics, self.behind());
        let went_back: u64 = self.readers.iter().map(|reader| reader.went_back).sum();
        let changes = self.published.iter().map(|&count| u64::from(count) - 1).sum::<u64>();
        let bound = filled + mib(self.plan.memory_bytes_max);
        let all = mib(self.memory.max_bytes());
        let bounded = mib(reading) <= bound && all <= bound + mib(self.plan.memory_bytes_max) * 3.0;
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{topics} retained messages stored in {:.1} s, broker {filled:.1} MiB",
            stored.as_secs_f64()
        );
        let _ = writeln!(
            text,
            "one subscriber of # with receive maximum {}: all in {:.1} s, broker at most {:.1} MiB",
            self.plan.receive_maximum,
            read.as_secs_f64(),
            mib(reading)
        );
        let _ = writeln!(
            text,
            "{} subscribers of # during {changes} changes, {:.1} s: {behind} last values older than published, \
             {went_back} steps back, broker at most {all:.1} MiB",
            self.readers.len(),
            changed.as_secs_f64()
        );
        for reader in &self.readers {
            let identity = &self.field.session(reader.client).identity;
            let _ = writeln!(
                text,
                "  {} {:?} receive maximum {}: {} arrived, {} of them retained copies",
                identity.version.name(),
                identity.filters[0].1,
                identity.receive_maximum,
                reader.arrived,
                reader.retained
            );
        }
        let _ = writeln!(text, "memory, second:MiB: {}", self.memory.series(40));
        self.words.iter().take(20).for_each(|word| text.push_str(&format!("  {word}\n")));
        let kept = bounded && behind == 0 && went_back == 0 && self.words.is_empty();
        let mut json = Object::new();
        json.text("scenario", "retained");
        json.number("topics", topics as f64);
        json.number("read_seconds", read.as_secs_f64());
        json.number("changes", changes as f64);
        json.number("behind", behind as f64);
        json.number("went_back", went_back as f64);
        json.number("faults", self.words.len() as f64);
        json.number("broker_resident_bytes_max", self.memory.max_bytes().max(reading) as f64);
        json.number("kept", f64::from(u8::from(kept)));
        StormReport { text, json: json.end(), kept }
    }
}

fn client(run_id: u32, name: String, who: (Version, Qos, u16), subscribes: Option<Qos>) -> Session {
    Session::new(Identity {
        client_id: format!("re-{run_id:08x}-{name}"),
        version: who.0,
        kept: false,
        receive_maximum: who.2,
        acknowledges_late: false,
        filters: subscribes.map(|qos| ("#".to_owned(), qos)).into_iter().collect(),
        credentials: None,
    })
}
