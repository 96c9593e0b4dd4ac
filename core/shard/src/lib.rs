//! One core's whole broker as a value. Bytes, batches, answers and the time go in; bytes, batches and
//! requests come out. It never does I/O, never reads a clock or a dice, and never starts a thread, so N of
//! them run under a simulator exactly as they run on N cores.
#![forbid(unsafe_code)]

mod ack;
pub mod admin;
mod aggregate;
pub mod authz;
mod backlog;
pub mod budget;
mod buffer_pool;
mod byte_rates;
mod connect;
pub mod counters;
mod deliver;
mod disconnect;
pub mod effect;
mod exchange;
mod fault;
mod fill;
mod graves;
mod half_open;
mod hear_out;
mod hooks;
mod inbox;
pub mod input;
pub mod limits;
mod links;
pub mod local;
mod local_session;
mod log;
mod login;
pub mod mesh;
mod message_pool;
pub mod offer;
mod output;
mod pending;
mod publication;
mod publish;
mod reading;
mod receive;
mod retained;
mod retained_open;
mod sessions;
mod shared;
mod slots;
mod staying;
mod stop;
mod straight;
mod subscribe;
mod suspended;
mod sys;
mod timer;
mod tunnel;
mod unread;
mod wheel;
mod window;

use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use ringmq_proto::time::{Mono, Now};
use ringmq_route::{Interest, InterestScratch, InterestWriter, SubscriptionTree};
use ringmq_store::{Memory, PartitionTable, Store, StoreTicket};
use ringmq_sync::Stamps;

pub use admin::{AdminAnswer, AdminQuestion, RetainedReport, SessionReport};
pub use authz::{
    AllowAll, Answer, Challenge, Decider, Identity, PeerAddress, Proof, Question, Reader, Ticket, Verdict,
};
pub use counters::Counters;
pub use effect::{Effect, LogLevel, Parcel};
pub use hooks::{Hooks, Offered, Rewritten};
pub use input::{ConnId, Input, Introduced, ShardId};
pub use limits::{DenyPublish, QueuePolicy, Settings};
pub use local::{LocalDelivery, LocalId, LocalInput, LocalMessage, LocalOutcome, LocalSink, LocalTicket};
pub use log::quoted;
pub use mesh::{Batch, MeshPort};
pub use offer::{Offer, Versions};

use aggregate::{Aggregate, AggregateId};
use budget::Rung;
use buffer_pool::BufferPool;
use counters::ShardCounters;
use deliver::{Deferred, Scratch, Subscriber};
use links::{Link, Way};
use local_session::{Local, LocalBatches};
use mesh::peers::Peers;
use message_pool::MessagePool;
use reading::Reading;
use retained::Retained;
use sessions::{Home, SessionId};
use shared::{Group, GroupId};
use slots::Slots;
use staying::Judging;
use stop::Stopping;
use suspended::Matching;
use timer::{LANES_INTERVAL, SWEEP_INTERVAL, Timer};
use tunnel::TunnelEnd;
use wheel::{TimerKey, Wheel};

/// What the shards of one broker share.
#[derive(Clone)]
pub struct Common {
    /// How many shards there are, 1 to 256.
    pub shards: usize,
    /// Bounds and choices.
    pub settings: Arc<Settings>,
    /// Which shards have subscriptions for what.
    pub interest: Arc<Interest>,
    /// The one order of retained publishes, and of CONNECTs.
    pub stamps: Arc<Stamps>,
    /// All counters.
    pub counters: Arc<Counters>,
    /// Key of the hash that places ClientIDs; made once and kept with the data.
    pub partition_key: [u8; 16],
}

/// What one shard is made of.
pub struct Parts {
    /// Its number.
    pub id: ShardId,
    /// What it shares with the others.
    pub common: Common,
    /// Its way to its peers.
    pub mesh: Box<dyn MeshPort>,
    /// Who answers its questions.
    pub decider: Box<dyn Decider>,
    /// Seed for names it makes up, such as assigned ClientIDs.
    pub seed: u64,
}

/// Passes of one flush over connections that filling others has marked; the rest is the next turn's.
const FLUSH_PASSES_MAX: usize = 4;

/// One core's whole broker. It lives on one thread and nobody else touches it.
pub struct Shard {
    id: ShardId,
    common: Common,
    settings: Arc<Settings>,
    table: PartitionTable,
    decider: Box<dyn Decider>,
    /// Whether the decider is not asked about publishes.
    allows_all: bool,
    reading: Reading,
    store: Box<dyn Store>,
    stored: StoreTicket,
    seed: u64,
    started: Mono,
    now: Now,
    links: Slots<ConnId, Link>,
    half_open: half_open::HalfOpen,
    byte_rates: byte_rates::ByteRates,
    sessions: Slots<SessionId, Home>,
    /// The sessions by ClientID, which stands in the session alone.
    by_client: HashTable<SessionId>,
    /// Numbers of this process's own: nobody chooses them, and a fast hash does.
    locals: HashMap<LocalId, Local, FixedState>,
    batches: LocalBatches,
    tunnels: HashMap<(ShardId, ConnId), TunnelEnd>,
    tree: SubscriptionTree<Subscriber>,
    interest: InterestWriter,
    interest_scratch: InterestScratch,
    groups: Slots<GroupId, Group>,
    group_by_filter: HashMap<Box<str>, GroupId>,
    retained: Retained,
    aggregates: Slots<AggregateId, Aggregate>,
    deferred: VecDeque<Deferred>,
    peers: Peers,
    timers: Wheel<Timer>,
    due: Vec<Timer>,
    lanes_armed: bool,
    asked: HashMap<Ticket, (ConnId, TimerKey)>,
    /// Who sees what goes on.
    seeing: hooks::Seeing,
    tickets: u64,
    epochs: u64,
    serials: u64,
    publishes: u64,
    matching: Matching,
    /// `None` while a publish uses it.
    scratch: Option<Box<Scratch>>,
    /// The topic of a publish with an alias, while it is processed.
    resolved: String,
    /// What holds the packet at hand, where a message may keep it.
    whole: Option<inbox::Whole>,
    messages: MessagePool,
    buffers: BufferPool,
    dirty: Vec<ConnId>,
    dirty_locals: Vec<LocalId>,
    lane_waiters: VecDeque<ConnId>,
    resuming: VecDeque<ConnId>,
    /// Connections that are heard out, each with one that waits for that.
    hearing: Vec<(ConnId, ConnId)>,
    ending: Vec<SessionId>,
    oversized: Vec<ConnId>,
    stopping: Stopping,
    judging: Judging,
    pressed: bool,
    /// What is given up for memory now.
    rung: Rung,
    /// Bytes of memory that the other shards were told of.
    bytes_told: u64,
    sys_last: HashMap<String, String>,
    effects: Vec<Effect>,
}

impl Shard {
    /// A shard without connections or sessions.
    ///
    /// # Panics
    /// When the number of shards is outside 1 to 256; a broker checks that before it starts.
    #[must_use]
    pub fn new(parts: Parts, now: Now) -> Self {
        let Parts { id, common, mesh, decider, seed } = parts;
        let settings = Arc::clone(&common.settings);
        let peers = Peers::new(mesh, common.shards, settings.mesh_batch_bytes, settings.mesh_spill_bytes_max);
        let mut shard = Self {
            id,
            table: PartitionTable::even(common.shards),
            allows_all: decider.allows_all(),
            reading: Reading::of(&*decider),
            decider,
            store: Box::new(Memory::default()),
            stored: StoreTicket::default(),
            seed,
            started: now.mono,
            now,
            links: Slots::new(),
            half_open: half_open::HalfOpen::default(),
            byte_rates: byte_rates::ByteRates::default(),
            sessions: Slots::new(),
            by_client: HashTable::new(),
            locals: HashMap::default(),
            batches: LocalBatches::default(),
            tunnels: HashMap::new(),
            tree: SubscriptionTree::new(seed),
            interest: InterestWriter::new(Arc::clone(&common.interest), id.index()),
            interest_scratch: InterestScratch::new(),
            groups: Slots::new(),
            group_by_filter: HashMap::new(),
            retained: Retained::new(common.partition_key),
            aggregates: Slots::new(),
            deferred: VecDeque::new(),
            peers,
            timers: Wheel::new(now.mono),
            due: Vec::new(),
            lanes_armed: false,
            asked: HashMap::new(),
            seeing: hooks::Seeing::default(),
            tickets: 0,
            epochs: 0,
            serials: 0,
            publishes: 0,
            matching: Matching::default(),
            scratch: None,
            resolved: String::new(),
            whole: None,
            messages: MessagePool::new(),
            buffers: BufferPool::default(),
            dirty: Vec::new(),
            dirty_locals: Vec::new(),
            lane_waiters: VecDeque::new(),
            resuming: VecDeque::new(),
            hearing: Vec::new(),
            ending: Vec::new(),
            oversized: Vec::new(),
            stopping: Stopping::No,
            judging: Judging::default(),
            pressed: false,
            rung: Rung::default(),
            bytes_told: 0,
            sys_last: HashMap::new(),
            effects: Vec::new(),
            settings,
            common,
        };
        shard.timers.arm(now.mono.plus(SWEEP_INTERVAL), Timer::Sweep);
        if id.0 == 0 && shard.settings.sys_interval_seconds > 0 {
            shard.timers.arm(now.mono, Timer::Sys);
        }
        shard
    }

    /// Whether a queue was full since the last [`Shard::flush`]: then flush and write before handing in more,
    /// so that a client that keeps up loses nothing.
    #[must_use]
    pub const fn wants_flush(&self) -> bool {
        self.pressed
    }

    /// The shard's number.
    #[must_use]
    pub const fn id(&self) -> ShardId {
        self.id
    }

    /// Goes on with other bounds and choices. What was made by the former ones stays.
    pub fn set_settings(&mut self, settings: Arc<Settings>) {
        if settings.judged_anew != self.settings.judged_anew {
            self.judging = Judging::BEGUN;
        }
        self.common.settings = Arc::clone(&settings);
        self.settings = settings;
    }

    /// A connection was accepted. Bytes follow as [`Input::Bytes`].
    pub fn accept(&mut self, now: Now, peer: PeerAddress) -> ConnId {
        self.now = now;
        self.counters().connections_total.add(1);
        let id = self.link_open(now, peer, Way::Socket);
        if self.links.len() > self.settings.connections_max || self.stopping != Stopping::No {
            let (address, most) = (self.address_of(id), self.settings.connections_max);
            self.counters().connections_refused.add(1);
            self.log(LogLevel::Warning, || {
                format!("A connection from {address} was refused: {most} are open (connections_max), or the broker stops.")
            });
            self.link_drop(now, id);
        } else {
            self.half_open_join(now, id);
        }
        id
    }

    /// A connection came over from another shard, with what its client has sent so far.
    pub fn adopt(&mut self, now: Now, parcel: Parcel) -> ConnId {
        self.now = now;
        let id = self.link_open(now, parcel.peer, Way::Socket);
        if let Some(link) = self.links.at_mut(id) {
            link.connect_stamp = parcel.connect_stamp;
        }
        if self.stopping != Stopping::No {
            self.link_drop(now, id);
        } else {
            self.feed(now, id, &parcel.bytes);
        }
        id
    }

    /// Begins a turn: what the decider allows and restricts may have changed while the shard slept, and what comes now
    /// is judged by what holds now.
    pub fn begin_turn(&mut self) {
        self.look_at_decider();
        self.take_rung();
    }

    /// Something happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        match input {
            Input::Bytes { conn, bytes } => self.receive(now, conn, bytes),
            Input::Introduced { conn, introduced } => self.introduced(conn, introduced),
            Input::Broken { conn, reason } => self.broken(now, conn, reason),
            Input::Ended { conn } => self.ended(now, conn),
            Input::HeardOut { conn } => self.heard_out(now, conn),
            Input::Wrote { conn, bytes } => self.wrote(now, conn, bytes),
            Input::Mesh { from, batch } => self.mesh(now, from, batch),
            Input::MeshDrained => self.mesh_drained(now),
            Input::Decided { ticket, verdict } => self.decided(now, ticket, &verdict),
            Input::Local(input) => self.local(now, input),
            Input::Tick => self.tick(now),
            Input::StopWork => self.stop_work(now),
            Input::StopConnections => self.stop_connections(now),
        }
    }

    /// Ends a turn: goes on with what waited, fills the output of all connections that have something to
    /// say, and pushes the batches to the peers. Call it after the inputs of a turn, then
    /// [`Shard::effects`].
    pub fn flush(&mut self, now: Now) {
        self.now = now;
        self.pressed = false;
        self.relieve_unread(now);
        self.look_at_decider();
        self.resume_waiters(now);
        for _ in 0..FLUSH_PASSES_MAX {
            self.end_oversized(now);
            self.end_full_sessions(now);
            for id in std::mem::take(&mut self.resuming) {
                self.resume(now, id);
            }
            self.fill_dirty(now);
            self.fill_locals(now);
            if self.is_settled() {
                break;
            }
        }
        self.peers.flush();
        self.look_at_budget();
        self.arm_lanes(now);
        self.report_stop();
    }

    /// Publishes that found a lane full are tried again, in their order.
    fn resume_waiters(&mut self, now: Now) {
        if self.lane_waiters.is_empty() && self.deferred.is_empty() {
            return;
        }
        self.peers.flush();
        self.resume_deferred(now);
        for id in std::mem::take(&mut self.lane_waiters) {
            self.resume(now, id);
        }
    }

    /// Whether nothing is left for another pass of this turn.
    fn is_settled(&self) -> bool {
        self.dirty.is_empty()
            && self.resuming.is_empty()
            && self.dirty_locals.is_empty()
            && self.oversized.is_empty()
    }

    /// What waits for room in a lane, or for the next turn, wakes the shard again soon.
    fn arm_lanes(&mut self, now: Now) {
        let waits = self.peers.is_waiting() || !self.lane_waiters.is_empty() || !self.deferred.is_empty();
        if (waits || !self.is_settled()) && !self.lanes_armed {
            self.lanes_armed = true;
            self.timers.arm(now.mono.plus(LANES_INTERVAL), Timer::Lanes);
        }
    }

    /// Takes what is to be done, in order.
    pub fn effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// What is to be written to this connection now: fills `slices` from the front and returns how many it
    /// filled; 0 when there is nothing. Report what was taken with [`Input::Wrote`], which may add more.
    pub fn output<'a>(&'a self, conn: ConnId, slices: &mut [IoSlice<'a>]) -> usize {
        self.links.at(conn).map_or(0, |link| link.out.slices(slices))
    }

    /// When [`Input::Tick`] is needed at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let goes_on = !self.matching.is_empty() || self.judging.is_under_way();
        if goes_on { Some(self.now.mono) } else { self.timers.deadline() }
    }

    /// How many timers are armed: a few of the shard's own, at most two of each connection, one of each question,
    /// and three of each session.
    #[must_use]
    pub const fn timers(&self) -> usize {
        self.timers.len()
    }

    /// Whether questions of peers wait for the lanes to be drained once more: then drain all lanes and send
    /// [`Input::MeshDrained`] before sleeping.
    #[must_use]
    pub fn wants_drain(&self) -> bool {
        self.retained.wants_drain()
    }

    fn counters(&self) -> &ShardCounters {
        self.common.counters.shard(self.id.index())
    }
}
