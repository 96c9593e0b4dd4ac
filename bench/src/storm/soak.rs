//! The soak: many clients publish and subscribe at all three QoS while some are killed, stalled, taken over and
//! resumed at random, all from one seed. In the end everybody comes back, everything drains, and the account says
//! what was lost, came twice or came out of order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use ringmq_wire::{Qos, Version};

use super::account::{Account, Promise};
use super::field::{ClientId, Field, Leave};
use super::memory::Memory;
use super::parcel::{PARCEL_BYTES, Parcel};
use super::session::{Heard, Identity, Outgoing, Session};
use super::{StormError, StormReport};

const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
const VERSIONS: [Version; 4] = [Version::V31, Version::V311, Version::V5, Version::V5];
/// Publishers that share a branch of the topic tree, and subscribers of that branch.
const GROUP: usize = 4;
/// QoS 1 and 2 publishes one publisher has unfinished: enough to have something to send again, little enough that
/// a forgotten publisher does not fill a queue when it resumes.
const UNFINISHED_MAX: usize = 20;
/// Messages that may wait for one subscriber: half of what a session's queue holds by default. Some subscribers take
/// one message at a time and acknowledge late, and then are only as fast as this program; without this bound the
/// policy for a full queue would lawfully lose what a slow machine's subscriber does not take in time.
const WAITING_MAX: u64 = 500;
/// How long everybody may take to be connected at the start, and to come to rest at the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the broker may take to close what was taken over.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);
/// Longest absence and longest stall. A queue must hold what comes meanwhile, or the policy for a full queue
/// would lawfully lose it.
const AWAY_MS_MAX: u64 = 3000;
const TURN: Duration = Duration::from_millis(5);

/// What a soak does.
#[derive(Clone, Debug)]
pub struct Soak {
    /// Where the broker listens.
    pub broker: SocketAddr,
    /// The broker's process, for its memory.
    pub broker_pid: u32,
    /// Connections; half publish, half subscribe. At least 8.
    pub connections: usize,
    /// Length of the storm.
    pub length: Duration,
    /// Publishes per second, over all publishers.
    pub publishes_per_second: f64,
    /// Clients that are killed, stalled or taken over per second.
    pub blows_per_second: f64,
    /// The beginning that memory may take to become flat.
    pub settling: Duration,
    /// Everything random follows from it.
    pub seed: u64,
}

struct Publisher {
    client: ClientId,
    topic: Rc<str>,
    streams: [u32; 3],
}

struct Running<'a> {
    plan: &'a Soak,
    rng: Rng,
    run_id: u32,
    started: Instant,
    field: Field,
    account: Account,
    publishers: Vec<Publisher>,
    /// Subscribers are the clients from here on.
    first_subscriber: ClientId,
    subscribed: Vec<bool>,
    /// Publishes that were not made because a subscriber had [`WAITING_MAX`] to take.
    held_back: u64,
    /// When who comes back, or reads again.
    returning: BinaryHeap<Reverse<(Instant, ClientId)>>,
    blows: BTreeMap<&'static str, u64>,
    refused: u64,
    memory: Memory,
}

/// Runs a soak against a broker that listens.
///
/// # Errors
/// [`StormError`]: the machine refused something, or the broker is gone.
pub fn soak(plan: &Soak) -> Result<StormReport, StormError> {
    let mut running = Running::new(plan)?;
    running.gather()?;
    running.storm()?;
    let rest = running.come_to_rest()?;
    Ok(running.report(rest))
}

impl<'a> Running<'a> {
    fn new(plan: &'a Soak) -> Result<Self, StormError> {
        let mut rng = Rng::with_seed(plan.seed);
        // Not from the seed: two runs against one broker must not meet each other's sessions.
        let run_id = fastrand::u32(..);
        let mut account = Account::new(run_id);
        let mut field = Field::new(plan.broker)?;
        let groups = (plan.connections / 2 / GROUP).max(1);
        let mut publishers = Vec::new();
        for number in 0..groups * GROUP {
            let topic = format!("storm/{run_id:08x}/{}/{number}", number / GROUP);
            let client = field.add(Session::new(identity(&mut rng, run_id, 'p', number, true)));
            let streams = [account.stream(), account.stream(), account.stream()];
            publishers.push(Publisher { client, topic: topic.into(), streams });
        }
        let first_subscriber = publishers.len();
        for number in 0..groups * GROUP {
            let group = &publishers[number / GROUP * GROUP..][..GROUP];
            let kept = rng.u8(..4) > 0;
            let mut identity = identity(&mut rng, run_id, 's', number, kept);
            let subscribed = QOS[usize::from(rng.u8(..3).max(rng.u8(..3)))];
            // One in two takes the branch, the others name two of its topics.
            let wanted: Vec<usize> =
                if rng.bool() { (0..GROUP).collect() } else { vec![0, rng.usize(1..GROUP)] };
            identity.filters = if wanted.len() == GROUP {
                vec![(format!("storm/{run_id:08x}/{}/+", number / GROUP), subscribed)]
            } else {
                wanted.iter().map(|&one| (group[one].topic.to_string(), subscribed)).collect()
            };
            let client = field.add(Session::new(identity));
            for &one in &wanted {
                for (qos, &stream) in QOS.iter().zip(&group[one].streams) {
                    account.lane(client, stream, Promise { published: *qos, subscribed, kept });
                }
            }
        }
        Ok(Self {
            plan,
            rng,
            run_id,
            started: Instant::now(),
            field,
            account,
            publishers,
            first_subscriber,
            subscribed: vec![false; first_subscriber * 2],
            held_back: 0,
            returning: BinaryHeap::new(),
            blows: BTreeMap::new(),
            refused: 0,
            memory: Memory::new(plan.broker_pid, Duration::from_secs(1))?,
        })
    }

    fn clients(&self) -> usize {
        self.first_subscriber * 2
    }

    /// Connects everybody and waits until all are subscribed.
    fn gather(&mut self) -> Result<(), StormError> {
        for client in 0..self.clients() {
            self.field.connect(client)?;
            self.turn(Duration::ZERO)?;
        }
        let until = Instant::now() + PATIENCE;
        while !self.all_are_there() {
            if Instant::now() > until {
                return Err(StormError::Stuck("not everybody is connected and subscribed".into()));
            }
            self.turn(TURN)?;
        }
        Ok(())
    }

    fn all_are_there(&self) -> bool {
        (0..self.clients()).all(|client| {
            self.field.session(client).is_up() && (client < self.first_subscriber || self.subscribed[client])
        })
    }

    fn storm(&mut self) -> Result<(), StormError> {
        self.started = Instant::now();
        self.memory = Memory::new(self.plan.broker_pid, Duration::from_secs(1))?;
        let (mut published, mut struck, mut told) = (0.0, 0.0, 0);
        loop {
            let elapsed = self.started.elapsed();
            if elapsed >= self.plan.length {
                return Ok(());
            }
            while published < elapsed.as_secs_f64() * self.plan.publishes_per_second {
                published += 1.0;
                let publisher = self.rng.usize(..self.publishers.len());
                let qos = self.rng.usize(..3);
                if self.subscribers_keep_up(publisher) {
                    self.publish(publisher, qos);
                } else {
                    self.held_back += 1;
                }
            }
            while struck < elapsed.as_secs_f64() * self.plan.blows_per_second {
                struck += 1.0;
                self.strike()?;
            }
            self.bring_back()?;
            self.turn(TURN)?;
            if self.memory.sample()? && elapsed.as_secs() / 10 > told {
                told = elapsed.as_secs() / 10;
                self.tell(elapsed);
            }
        }
    }

    /// Whether nobody that a publisher reaches has too much to take already.
    fn subscribers_keep_up(&self, publisher: usize) -> bool {
        let first = self.first_subscriber + publisher / GROUP * GROUP;
        (first..first + GROUP)
            .all(|client| self.account.waiting(client, self.streams_to(client)) < WAITING_MAX)
    }

    /// The streams of the publishers that share a subscriber's branch.
    fn streams_to(&self, subscriber: ClientId) -> impl Iterator<Item = u32> + use<> {
        let first = (subscriber - self.first_subscriber) / GROUP * GROUP;
        let streams: Vec<_> =
            self.publishers[first..first + GROUP].iter().map(|publisher| publisher.streams).collect();
        streams.into_iter().flatten()
    }

    fn publish(&mut self, publisher: usize, qos: usize) {
        let Publisher { client, topic, streams } = &self.publishers[publisher];
        let room = QOS[qos] == Qos::AtMostOnce || self.field.session(*client).unfinished() < UNFINISHED_MAX;
        if !room || !self.field.can_publish(*client) {
            return;
        }
        let bytes = match self.rng.u8(..100) {
            0 => self.rng.u32(16_384..65_536),
            1..10 => self.rng.u32(1024..4096),
            _ => self.rng.u32(PARCEL_BYTES as u32..256),
        };
        let parcel = Parcel {
            run_id: self.run_id,
            stream: streams[qos],
            sequence: self.account.publish(streams[qos], QOS[qos]),
            due_nanos: self.started.elapsed().as_nanos() as u64,
            bytes,
        };
        let message = Outgoing { topic: Rc::clone(topic), qos: QOS[qos], retain: false, parcel };
        self.field.publish(*client, message);
    }

    /// Something happens to a client that is connected.
    fn strike(&mut self) -> Result<(), StormError> {
        let client = self.rng.usize(..self.clients());
        if !self.field.session(client).is_up() || self.field.is_leaving(client) {
            return Ok(());
        }
        let blow = match self.rng.u8(..10) {
            0..4 => "killed",
            4 => "said goodbye",
            5 => "half closed",
            6 | 7 => "taken over",
            _ => "stalled",
        };
        *self.blows.entry(blow).or_default() += 1;
        match blow {
            "killed" => self.field.leave(client, Leave::Close)?,
            "said goodbye" => self.field.leave(client, Leave::Goodbye)?,
            "half closed" => self.field.leave(client, Leave::HalfClose)?,
            "taken over" => return Ok(self.field.connect(client)?),
            _ => self.field.stall(client, true)?,
        }
        let away = Duration::from_millis(self.rng.u64(50..AWAY_MS_MAX));
        self.returning.push(Reverse((Instant::now() + away, client)));
        Ok(())
    }

    /// Who was away long enough connects, and who stalled reads again.
    fn bring_back(&mut self) -> Result<(), StormError> {
        while let Some(&Reverse((at, client))) = self.returning.peek()
            && at <= Instant::now()
        {
            self.returning.pop();
            self.field.stall(client, false)?;
            if !self.field.has_link(client) {
                self.field.connect(client)?;
            } else if self.field.is_leaving(client) {
                // Its connection is not over yet: the broker closes it first.
                self.returning.push(Reverse((Instant::now() + Duration::from_millis(20), client)));
            }
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> Result<(), StormError> {
        let mut heard = Vec::new();
        self.field.turn(wait, &mut |client, what| heard.push((client, what)))?;
        for (client, what) in heard {
            self.hear(client, what);
        }
        Ok(())
    }

    fn hear(&mut self, client: ClientId, what: Heard) {
        match what {
            Heard::Arrived { parcel, qos, dup, retain, connection } => {
                self.account.arrived(client, connection, parcel, qos, dup);
                if retain {
                    self.account.protocol("a subscriber", "RETAIN on a live message");
                }
            }
            Heard::Acknowledged { .. } => self.account.acknowledged(),
            Heard::Subscribed => self.subscribed[client] = true,
            Heard::Connected { .. } => {
                if client >= self.first_subscriber && !self.field.session(client).identity.kept {
                    self.account.began(client, self.streams_to(client));
                }
            }
            Heard::Refused(_) => self.refused += 1,
            Heard::Fault(what) => {
                let who = self.field.session(client).identity.client_id.clone();
                self.account.protocol(&who, &what);
            }
            Heard::Text { topic, .. } => self.account.protocol("a subscriber", &format!("got {topic}")),
        }
    }

    /// Everybody comes back, a last message goes out on every stream, and all that is owed arrives.
    fn come_to_rest(&mut self) -> Result<Duration, StormError> {
        let started = Instant::now();
        let until = started + PATIENCE;
        self.subscribed.fill(true);
        let mut closing = false;
        while Instant::now() < until {
            for client in 0..self.clients() {
                if self.field.is_stalled(client) {
                    self.field.stall(client, false)?;
                }
                if !self.field.has_link(client) {
                    self.subscribed[client] = self.field.session(client).identity.kept;
                    self.field.connect(client)?;
                }
            }
            self.turn(TURN)?;
            self.memory.sample()?;
            let idle = (0..self.first_subscriber).all(|client| self.field.session(client).unfinished() == 0);
            if !closing && idle && self.all_are_there() {
                closing = true;
                for publisher in 0..self.publishers.len() {
                    (0..3).for_each(|qos| self.publish(publisher, qos));
                }
            } else if closing && idle && self.account.outstanding() == 0 && self.takeovers_late() == 0 {
                break;
            }
        }
        let took = started.elapsed();
        // What should not come any more comes now.
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            self.turn(TURN)?;
        }
        Ok(took)
    }

    /// Connections that were taken over and that the broker has not closed in time.
    fn takeovers_late(&self) -> usize {
        self.field.takeovers_open(TAKEOVER_MAX)
    }

    fn tell(&self, elapsed: Duration) {
        let counts = self.account.counts();
        eprintln!(
            "{:>4.0} s  published {}  delivered {}  faults {}  broker {:.1} MiB",
            elapsed.as_secs_f64(),
            counts.published.iter().sum::<u64>(),
            counts.delivered.iter().sum::<u64>(),
            self.account.faults(),
            self.memory.last_mib(),
        );
    }
}

fn identity(rng: &mut Rng, run_id: u32, role: char, number: usize, kept: bool) -> Identity {
    Identity {
        client_id: format!("st-{run_id:08x}-{role}{number}"),
        version: VERSIONS[rng.usize(..VERSIONS.len())],
        kept,
        receive_maximum: if rng.bool() { u16::MAX } else { rng.u16(1..50) },
        acknowledges_late: rng.u8(..4) == 0,
        filters: Vec::new(),
        credentials: None,
    }
}

mod report;
