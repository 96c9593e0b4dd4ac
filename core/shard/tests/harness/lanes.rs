//! The mesh without cores: one FIFO lane per ordered pair of shards, with a capacity that a test sets. A lane
//! never loses or reorders a batch; what finds no room goes back to its sender, as in the real thing.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use ringmq_shard::{Batch, MeshPort, ShardId};

/// All lanes of one broker.
#[derive(Debug)]
pub struct Lanes {
    shards: usize,
    /// Batches one lane holds.
    pub capacity: usize,
    lanes: Vec<VecDeque<Batch>>,
    homes: Vec<Vec<Batch>>,
    /// Lanes whose sender found no room since the last time there was some.
    short: Vec<bool>,
    /// Batches that were given back because their lane was full.
    pub refused: u64,
    /// Batches that went through.
    pub pushed: u64,
    /// The largest batch so far, in bytes, with the payloads beside it.
    pub batch_bytes_seen_max: usize,
    /// The bytes of all batches that went through, when somebody wants them.
    pub kept: Option<Vec<Vec<u8>>>,
}

impl Lanes {
    pub fn new(shards: usize, capacity: usize) -> Rc<RefCell<Self>> {
        let lanes = (0..shards * shards).map(|_| VecDeque::new()).collect();
        let homes = (0..shards * shards).map(|_| Vec::new()).collect();
        let short = vec![false; shards * shards];
        let (refused, pushed, batch_bytes_seen_max, kept) = (0, 0, 0, None);
        let all = Self { shards, capacity, lanes, homes, short, refused, pushed, batch_bytes_seen_max, kept };
        Rc::new(RefCell::new(all))
    }

    fn index(&self, from: usize, to: usize) -> usize {
        from * self.shards + to
    }

    /// Takes the oldest batch of a lane.
    pub fn pop(&mut self, from: usize, to: usize) -> Option<Batch> {
        let index = self.index(from, to);
        self.lanes[index].pop_front()
    }

    /// Whether the sender of a lane that now has room is to be told so.
    pub fn owes_room(&mut self, from: usize, to: usize) -> bool {
        let index = self.index(from, to);
        self.lanes[index].len() < self.capacity && std::mem::take(&mut self.short[index])
    }

    /// How many batches stand in a lane.
    pub fn standing(&self, from: usize, to: usize) -> usize {
        self.lanes[self.index(from, to)].len()
    }

    /// Sends an emptied batch back to where it was filled.
    pub fn give_home(&mut self, from: usize, to: usize, batch: Batch) {
        assert!(
            batch.bytes.is_empty() && batch.payloads.is_empty(),
            "a batch went home with something in it"
        );
        let index = self.index(from, to);
        self.homes[index].push(batch);
    }

    /// Whether anything stands in the lanes towards this shard.
    pub fn any_towards(&self, to: usize) -> bool {
        (0..self.shards).any(|from| self.standing(from, to) > 0)
    }
}

/// One shard's end of the lanes.
pub struct Port {
    pub id: usize,
    pub lanes: Rc<RefCell<Lanes>>,
}

impl MeshPort for Port {
    fn push(&mut self, to: ShardId, batch: Batch) -> Result<(), Batch> {
        let mut lanes = self.lanes.borrow_mut();
        assert_ne!(to.index(), self.id, "a shard sent a batch to itself");
        assert!(!batch.bytes.is_empty(), "an empty batch was sent");
        if lanes.standing(self.id, to.index()) >= lanes.capacity {
            lanes.refused += 1;
            let index = lanes.index(self.id, to.index());
            lanes.short[index] = true;
            return Err(batch);
        }
        lanes.pushed += 1;
        let bytes = batch.bytes.len() + batch.payloads.iter().map(|payload| payload.len()).sum::<usize>();
        lanes.batch_bytes_seen_max = lanes.batch_bytes_seen_max.max(bytes);
        if let Some(kept) = &mut lanes.kept {
            kept.push(batch.bytes.clone());
        }
        let index = lanes.index(self.id, to.index());
        lanes.lanes[index].push_back(batch);
        Ok(())
    }

    fn empty(&mut self, to: ShardId) -> Batch {
        let mut lanes = self.lanes.borrow_mut();
        let index = lanes.index(self.id, to.index());
        lanes.homes[index].pop().unwrap_or_default()
    }
}
