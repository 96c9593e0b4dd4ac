//! What can happen next, and making it happen: each step is one thing that a driver might do. A seeded choice
//! among the possible steps is a schedule; taking them until none is left runs the broker dry.

use std::io::IoSlice;

use ringmq_shard::{Effect, Input, ShardId};

use super::net::{NetId, Place};
use super::world::{Transit, World};

/// Steps after which a broker that still has something to do is taken to be running in circles.
const STEPS_MAX: usize = 2_000_000;

/// One thing that a driver might do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Read from a connection.
    Read(NetId),
    /// Tell that a client has gone.
    End(NetId),
    /// Write to a connection.
    Write(NetId),
    /// End a turn of a shard and carry out its effects.
    Flush(usize),
    /// Empty one lane towards a shard, or end a drain in which all were.
    Drain(usize),
    /// Hand a moved connection to its shard.
    Adopt(usize),
    /// Answer an open question.
    Answer(usize),
    /// Tell a shard that time has passed.
    Tick(usize),
}

impl World {
    /// All that could happen now, in a fixed order. Time never passes by itself.
    pub fn possible(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (index, net) in self.nets.iter().enumerate() {
            let Place::Shard(..) = net.place else { continue };
            if net.writable && (!net.stalled || net.client_gone) {
                steps.push(Step::Write(NetId(index)));
            }
            // A driver reads once a turn: what the shard wants done with a connection comes first.
            if net.read_this_turn {
                continue;
            }
            if !net.paused && !net.to_broker.is_empty() {
                steps.push(Step::Read(NetId(index)));
            }
            if !net.paused && net.to_broker.is_empty() && net.client_gone && !net.ended_told {
                steps.push(Step::End(NetId(index)));
            }
        }
        for shard in 0..self.shards.len() {
            if self.dirty[shard] {
                steps.push(Step::Flush(shard));
            }
            if self.wants_drain(shard) {
                steps.push(Step::Drain(shard));
            }
            if self.shards[shard].deadline().is_some_and(|deadline| deadline <= self.now.mono) {
                steps.push(Step::Tick(shard));
            }
        }
        steps.extend((0..self.transit.len()).map(Step::Adopt));
        steps
    }

    fn wants_drain(&self, shard: usize) -> bool {
        self.draining[shard].is_some()
            || self.lanes.borrow().any_towards(shard)
            || self.shards[shard].wants_drain()
    }

    /// The same, with the answers that are still owed.
    pub fn possible_with_answers(&self) -> Vec<Step> {
        let mut steps = self.possible();
        steps.extend((0..self.book.borrow().open.len()).map(Step::Answer));
        steps
    }

    /// Takes one of the possible steps at random; false when there is none.
    pub fn step(&mut self) -> bool {
        let steps = self.possible_with_answers();
        if steps.is_empty() {
            return false;
        }
        let mut step = steps[self.random.below(steps.len())];
        if matches!(step, Step::Drain(_)) && self.random.chance(self.lazy_percent) {
            step = steps[self.random.below(steps.len())];
        }
        self.take(step);
        true
    }

    /// Runs until nothing more can happen without time, answers or clients.
    pub fn run(&mut self) {
        self.run_with(Self::possible);
    }

    /// The same, and every open question is answered.
    pub fn run_answering(&mut self) {
        self.run_with(Self::possible_with_answers);
    }

    fn run_with(&mut self, possible: impl Fn(&Self) -> Vec<Step>) {
        for _ in 0..STEPS_MAX {
            let steps = possible(self);
            if steps.is_empty() {
                return;
            }
            let step = steps[self.random.below(steps.len())];
            self.take(step);
        }
        panic!("the broker does not come to rest; possible now: {:?}", possible(self));
    }

    /// Makes one step happen.
    pub fn take(&mut self, step: Step) {
        self.steps += 1;
        if self.loud {
            eprintln!("{:>6} {:?}", self.steps, step);
        }
        match step {
            Step::Read(net) => self.read(net),
            Step::End(net) => self.end(net),
            Step::Write(net) => self.write(net),
            Step::Flush(shard) => self.flush(shard),
            Step::Drain(shard) => self.drain(shard),
            Step::Adopt(index) => self.adopt(index),
            Step::Answer(index) => self.answer(index),
            Step::Tick(shard) => {
                self.trace.event("tick", &[shard as u64]);
                self.give(shard, Input::Tick);
            }
        }
    }

    fn part(&mut self, all: usize) -> usize {
        if !self.ragged || all < 2 || self.random.chance(50) { all } else { self.random.between(1, all) }
    }

    fn read(&mut self, id: NetId) {
        let all = self.nets[id.0].to_broker.len().min(self.read_bytes_max);
        let bytes = self.part(all);
        let chunk: Vec<u8> = self.nets[id.0].to_broker.drain(..bytes).collect();
        self.nets[id.0].read_this_turn = true;
        self.trace.event("read", &[id.0 as u64]);
        self.trace.bytes(&chunk);
        let Place::Shard(shard, conn) = self.nets[id.0].place else { panic!("reads where it lives") };
        self.give(shard, Input::Bytes { conn, bytes: &chunk });
    }

    fn end(&mut self, id: NetId) {
        self.trace.event("end", &[id.0 as u64]);
        let Place::Shard(shard, conn) = self.nets[id.0].place else { panic!("ends where it lives") };
        self.nets[id.0].ended_told = true;
        self.nets[id.0].read_this_turn = true;
        self.give(shard, Input::Ended { conn });
    }

    fn write(&mut self, id: NetId) {
        let Place::Shard(shard, conn) = self.nets[id.0].place else { panic!("writes where it lives") };
        let mut out = Vec::new();
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = self.shards[shard].output(conn, &mut slices);
        for slice in &slices[..filled] {
            out.extend_from_slice(slice);
        }
        if out.is_empty() {
            self.nets[id.0].writable = false;
            return;
        }
        let bytes = self.part(out.len());
        self.trace.event("write", &[id.0 as u64]);
        self.trace.bytes(&out[..bytes]);
        // A kernel takes a while to notice that nobody reads any more.
        if !self.nets[id.0].client_gone {
            self.nets[id.0].received.extend_from_slice(&out[..bytes]);
        }
        self.give(shard, Input::Wrote { conn, bytes });
    }

    fn drain(&mut self, shard: usize) {
        let mut left = self.draining[shard].take().unwrap_or_else(|| {
            let me = shard;
            (0..self.shards.len()).filter(|from| *from != me).collect()
        });
        if left.is_empty() {
            self.trace.event("drained", &[shard as u64]);
            self.give(shard, Input::MeshDrained);
            return;
        }
        let from = left.swap_remove(self.random.below(left.len()));
        self.trace.event("drain", &[shard as u64, from as u64]);
        let standing = self.lanes.borrow().standing(from, shard);
        for _ in 0..standing {
            let Some(mut batch) = self.lanes.borrow_mut().pop(from, shard) else { break };
            self.trace.bytes(&batch.bytes);
            self.give(shard, Input::Mesh { from: ShardId(from as u16), batch: &mut batch });
            self.lanes.borrow_mut().give_home(from, shard, batch);
        }
        // A driver wakes a shard whose lane has room again.
        self.dirty[from] |= self.lanes.borrow_mut().owes_room(from, shard);
        self.draining[shard] = Some(left);
    }

    fn adopt(&mut self, index: usize) {
        let Transit { net, to, parcel } = self.transit.remove(index);
        self.trace.event("adopt", &[net.0 as u64, to as u64]);
        let conn = self.shards[to].adopt(self.now, parcel);
        self.dirty[to] = true;
        self.nets[net.0].place = Place::Shard(to, conn);
        let before = self.owners.insert((to, conn), net);
        assert!(before.is_none(), "a connection id was given twice");
    }

    fn flush(&mut self, shard: usize) {
        self.trace.event("flush", &[shard as u64]);
        self.dirty[shard] = false;
        self.shards[shard].flush(self.now);
        for net in &mut self.nets {
            net.read_this_turn &= !matches!(net.place, Place::Shard(at, _) if at == shard);
        }
        let effects: Vec<Effect> = self.shards[shard].effects().collect();
        for effect in effects {
            if self.loud {
                eprintln!("       shard {shard}: {effect:?}");
            }
            self.carry_out(shard, effect);
        }
    }

    fn carry_out(&mut self, shard: usize, effect: Effect) {
        match effect {
            Effect::Write(conn) => self.owned(shard, conn).writable = true,
            Effect::Pause(conn) => self.owned(shard, conn).paused = true,
            Effect::Resume(conn) => self.owned(shard, conn).paused = false,
            Effect::HearOut(conn) => self.hear_out(shard, conn),
            Effect::Close(conn) => {
                let net = self.owners.remove(&(shard, conn)).expect("a connection is closed once");
                self.trace.event("close", &[net.0 as u64]);
                self.nets[net.0].place = Place::Closed;
            }
            Effect::Move { conn, to, parcel } => {
                let net = self.owners.remove(&(shard, conn)).expect("a connection is moved once");
                assert!(self.common.settings.moving, "a connection moved although moving is forbidden");
                assert_ne!(to.index(), shard, "a connection moved to where it was");
                self.nets[net.0].place = Place::Moving;
                self.nets[net.0].moves += 1;
                self.nets[net.0].paused = false;
                self.nets[net.0].read_this_turn = false;
                self.nets[net.0].writable = false;
                self.transit.push(Transit { net, to: to.index(), parcel: *parcel });
            }
            Effect::LocalDone { ticket, outcome } => self.local_done.push((ticket, outcome)),
            Effect::Log(level, line) => self.logs.push((level, line)),
            Effect::WorkStopped => self.work_stopped[shard] = true,
            Effect::Stopped => self.stopped[shard] = true,
        }
    }

    /// Reads what has arrived, as far as the connection is read at all.
    fn hear_out(&mut self, shard: usize, conn: ringmq_shard::ConnId) {
        if let Some(id) = self.owners.get(&(shard, conn)).copied() {
            self.trace.event("hear out", &[id.0 as u64]);
            while !self.nets[id.0].paused && !self.nets[id.0].to_broker.is_empty() {
                self.read(id);
            }
            let net = &self.nets[id.0];
            if !net.paused && net.client_gone && !net.ended_told {
                self.end(id);
            }
        }
        self.give(shard, Input::HeardOut { conn });
    }

    fn owned(&mut self, shard: usize, conn: ringmq_shard::ConnId) -> &mut super::net::Net {
        let net = self.owners.get(&(shard, conn)).expect("an effect names a connection that lives");
        &mut self.nets[net.0]
    }
}
