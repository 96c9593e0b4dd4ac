//! A broker of N shards and its outside world: connections, lanes, deciders and the time. What can happen next
//! is in [`super::steps`]; here is what a test reads and writes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ringmq_proto::time::{Mono, Now, Wall};
use ringmq_route::Interest;
use ringmq_shard::counters::{Counter, ShardCounters};
use ringmq_shard::{
    Common, ConnId, Counters, Hooks, Input, LocalOutcome, LocalTicket, LogLevel, Parcel, Parts, PeerAddress,
    Settings, Shard, ShardId,
};
use ringmq_sync::Stamps;
use ringmq_wire::Version;

use super::deciders::{Book, Clerk, Mood};
use super::lanes::{Lanes, Port};
use super::net::{Net, NetId, Place};
use super::packets::{Hello, Seen, take_seen};
use super::random::{Random, Trace};

/// What a broker is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    pub shards: usize,
    pub settings: Settings,
    pub lane_capacity: usize,
    pub mood: Mood,
    pub seed: u64,
}

impl Setup {
    /// Nothing unusual: default bounds, deciders that answer at once, lanes as deep as the real ones.
    pub fn new(shards: usize, seed: u64) -> Self {
        let settings = Settings { sys_interval_seconds: 0, ..Settings::default() };
        Self { shards, settings, lane_capacity: ringmq_shard::limits::MESH_LANE_SLOTS, mood: Mood::Now, seed }
    }

    pub fn moving(mut self, moving: bool) -> Self {
        self.settings.moving = moving;
        self
    }
}

/// A connection between two shards.
pub(super) struct Transit {
    pub net: NetId,
    pub to: usize,
    pub parcel: Parcel,
}

/// The whole of it.
pub struct World {
    pub(super) shards: Vec<Shard>,
    /// Shards that were handed something and have not been flushed since.
    pub(super) dirty: Vec<bool>,
    /// Lanes that the current drain of each shard has still to empty; `None` between drains.
    pub(super) draining: Vec<Option<Vec<usize>>>,
    pub(super) transit: Vec<Transit>,
    pub(super) owners: BTreeMap<(usize, ConnId), NetId>,
    pub common: Common,
    pub lanes: Rc<RefCell<Lanes>>,
    pub book: Rc<RefCell<Book>>,
    pub nets: Vec<Net>,
    pub now: Now,
    pub random: Random,
    pub trace: Trace,
    pub logs: Vec<(LogLevel, String)>,
    pub local_done: Vec<(LocalTicket, LocalOutcome)>,
    pub work_stopped: Vec<bool>,
    pub stopped: Vec<bool>,
    /// Steps taken so far.
    pub steps: u64,
    /// Whether bytes are split and writes cut short at random; otherwise all there is goes at once.
    pub ragged: bool,
    /// Bytes that one read brings at most; a driver's buffer has a size.
    pub read_bytes_max: usize,
    /// How many percent of the drains that are due are thought over once more: slow shards see more at once.
    pub lazy_percent: usize,
    /// Whether each step is printed: `RINGMQ_LOUD` in the environment, to read a seed that failed.
    pub loud: bool,
}

impl World {
    pub fn new(setup: &Setup) -> Self {
        let shards = setup.shards;
        let now = Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) };
        let common = Common {
            shards,
            settings: Arc::new(setup.settings.clone()),
            interest: interest(shards, setup.seed),
            stamps: Arc::new(Stamps::new(0)),
            counters: Arc::new(Counters::new(shards)),
            partition_key: *b"ringmq test key!",
        };
        let lanes = Lanes::new(shards, setup.lane_capacity);
        let book = Book::new(setup.mood, setup.seed ^ 0x00de_c1de);
        let make = |id: usize| {
            let parts = Parts {
                id: ShardId(id as u16),
                common: common.clone(),
                mesh: Box::new(Port { id, lanes: Rc::clone(&lanes) }),
                decider: Box::new(Clerk { shard: id, book: Rc::clone(&book) }),
                seed: setup.seed.wrapping_mul(31).wrapping_add(id as u64),
            };
            Shard::new(parts, now)
        };
        Self {
            shards: (0..shards).map(make).collect(),
            dirty: vec![true; shards],
            draining: vec![None; shards],
            transit: Vec::new(),
            owners: BTreeMap::new(),
            common: common.clone(),
            lanes: Rc::clone(&lanes),
            book: Rc::clone(&book),
            nets: Vec::new(),
            now,
            random: Random::new(setup.seed),
            trace: Trace::new(),
            logs: Vec::new(),
            local_done: Vec::new(),
            work_stopped: vec![false; shards],
            stopped: vec![false; shards],
            steps: 0,
            ragged: false,
            read_bytes_max: usize::MAX,
            lazy_percent: 0,
            loud: std::env::var_os("RINGMQ_LOUD").is_some(),
        }
    }

    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Has these see what goes on, one for each shard.
    pub fn set_hooks(&mut self, make: impl Fn(usize) -> Box<dyn Hooks>) {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.set_hooks(make(index));
        }
    }

    /// A client connects to `shard`; it has sent nothing yet.
    pub fn dial(&mut self, shard: usize, version: Version) -> NetId {
        self.dial_as(shard, version, None)
    }

    /// As [`World::dial`], with a user name that the transport has proved.
    pub fn dial_as(&mut self, shard: usize, version: Version, user_name: Option<&str>) -> NetId {
        let mut peer = PeerAddress::new(Some("192.0.2.1:5555".parse().expect("an address")), 0);
        peer.user_name = user_name.map(Into::into);
        self.dial_from(shard, version, peer)
    }

    /// As [`World::dial`], from this address.
    pub fn dial_from(&mut self, shard: usize, version: Version, peer: PeerAddress) -> NetId {
        let conn = self.shards[shard].accept(self.now, peer);
        self.dirty[shard] = true;
        let net = NetId(self.nets.len());
        self.trace.event("dial", &[net.0 as u64, shard as u64]);
        if self.loud {
            eprintln!("       {net:?} dials shard {shard}");
        }
        self.nets.push(Net::new(version, Place::Shard(shard, conn)));
        let before = self.owners.insert((shard, conn), net);
        assert!(before.is_none(), "a connection id was given twice");
        net
    }

    /// A client writes; the broker reads it when the scheduler says so.
    pub fn send(&mut self, net: NetId, bytes: &[u8]) {
        if self.loud {
            eprintln!("       {net:?} <- {bytes:02x?}");
        }
        self.nets[net.0].to_broker.extend(bytes);
    }

    /// The next whole packet that arrived at a client.
    pub fn next_seen(&mut self, net: NetId) -> Option<Seen> {
        let end = &mut self.nets[net.0];
        let seen = take_seen(end.version, &mut end.received);
        if let Some(seen) = seen.as_ref().filter(|_| self.loud) {
            eprintln!("       {net:?} -> {seen:?}");
        }
        seen
    }

    /// All whole packets that arrived at a client.
    pub fn seen(&mut self, net: NetId) -> Vec<Seen> {
        std::iter::from_fn(|| self.next_seen(net)).collect()
    }

    /// The client closes its end. What it wrote before still arrives, unless `lost` bytes of it are cut off.
    pub fn hang_up(&mut self, net: NetId, lost: usize) {
        self.trace.event("hang up", &[net.0 as u64, lost as u64]);
        if self.loud {
            eprintln!("       {net:?} hangs up, {lost} bytes lost");
        }
        let net = &mut self.nets[net.0];
        let kept = net.to_broker.len().saturating_sub(lost);
        net.to_broker.truncate(kept);
        net.client_gone = true;
    }

    /// Connects, runs until nothing more happens, and takes the CONNACK.
    pub fn join(&mut self, shard: usize, hello: &Hello) -> NetId {
        let net = self.dial(shard, hello.version);
        self.send(net, &hello.encode());
        self.run();
        let first = self.next_seen(net);
        match first {
            Some(Seen::Connack(connack)) if connack.reason == 0 => net,
            other => panic!("{} was not let in: {other:?}", hello.id),
        }
    }

    /// Writes, runs until nothing more happens, and takes what the client has received.
    pub fn ask(&mut self, net: NetId, bytes: &[u8]) -> Vec<Seen> {
        self.send(net, bytes);
        self.run();
        self.seen(net)
    }

    /// Lets time pass, in steps small enough that no deadline is missed by more than `step`.
    pub fn pass(&mut self, milliseconds: u64, step: u64) {
        let mut left = milliseconds;
        while left > 0 {
            let part = left.min(step.max(1));
            self.advance(part);
            self.run();
            left -= part;
        }
    }

    /// Moves both clocks; nothing happens yet.
    pub fn advance(&mut self, milliseconds: u64) {
        self.trace.event("advance", &[milliseconds]);
        self.now.mono = self.now.mono.plus(milliseconds);
        self.now.wall = Wall(self.now.wall.0 + milliseconds);
    }

    /// The sum of a counter over all shards.
    pub fn counter(&self, pick: impl Fn(&ShardCounters) -> &Counter) -> u64 {
        self.common.counters.sum(pick)
    }

    /// Timers armed, over all shards.
    pub fn timers(&self) -> usize {
        self.shards.iter().map(Shard::timers).sum()
    }

    /// At which shard a connection lives now.
    pub fn shard_of(&self, net: NetId) -> Option<usize> {
        match self.nets[net.0].place {
            Place::Shard(shard, _) => Some(shard),
            Place::Moving | Place::Closed => None,
        }
    }

    /// Whether a shard wants to be flushed before it gets more.
    pub fn wants_flush(&self, shard: usize) -> bool {
        self.shards[shard].wants_flush()
    }

    /// Hands something to a shard that no connection brought.
    pub fn give(&mut self, shard: usize, input: Input<'_>) {
        self.shards[shard].handle(self.now, input);
        self.dirty[shard] = true;
    }

    /// Answers the `index`-th open question.
    pub fn answer(&mut self, index: usize) {
        let (open, verdict) = {
            let mut book = self.book.borrow_mut();
            let open = book.open.remove(index);
            let verdict = book.verdict(&open.text);
            (open, verdict)
        };
        self.trace.event("answer", &[open.ticket.0]);
        self.give(open.shard, Input::Decided { ticket: open.ticket, verdict });
    }

    /// The first half of a stop, at all shards, until all have said that it is done.
    pub fn stop_work(&mut self) {
        for shard in 0..self.shard_count() {
            self.give(shard, Input::StopWork);
        }
        self.run();
        assert!(
            self.work_stopped.iter().all(|done| *done),
            "a shard did not stop its work: {:?}",
            self.work_stopped
        );
    }

    /// The second half of a stop.
    pub fn stop_connections(&mut self) {
        for shard in 0..self.shard_count() {
            self.give(shard, Input::StopConnections);
        }
        self.run();
    }
}

fn interest(shards: usize, seed: u64) -> Arc<Interest> {
    Arc::new(Interest::new(shards, [seed, !seed]))
}
