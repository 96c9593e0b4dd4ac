//! Which shards have a match for a topic: the index that all shards share, and the writer through which each
//! shard says what it has. It may name a shard too many, never one too few; the shard named matches for real.
//! It never holds a filter's text, so a snapshot of filters comes from the subscription trees.

use crate::levels::{self, ONE};
use crate::route_cache::RouteCache;
use crate::segmented::{Hashed, SegmentedTable};
use alloc::{sync::Arc, vec::Vec};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering, fence};
use ringmq_sync::{CoreMask, MaskTable};
use siphasher::sip::SipHasher13;

/// Places of the wildcard index that one lookup visits at most. Past it the answer is every shard: filters
/// like `+/a/+`, in every combination over many levels, would make it visit 2^levels.
pub const WALK_NODES_MAX: usize = 512;

/// The index of all shards. Lock-free to read; each shard writes through its [`InterestWriter`].
///
/// An exact filter stands under the hash of its text. A wildcard filter stands under the path hash of each of
/// its prefixes, by which a lookup finds its way, and of its end. All are in one table: two things that happen
/// to share a hash cost a useless hand-off.
pub struct Interest {
    table: MaskTable,
    keys: Keys,
    depths: Depths,
    /// Raised behind every change of a wildcard filter, which makes what scratches remember stale. Begins at 1.
    wildcard_changes: AtomicU64,
}

/// At which depths any filter has ever had what a walk looks for; the last bit stands for all deeper ones.
/// Bits are never cleared: they spare look-ups that would find nothing, and one too many costs one look-up.
#[derive(Default)]
struct Depths {
    plus: AtomicU64,
    all: AtomicU64,
    end: AtomicU64,
}

impl Depths {
    /// Before the filter itself is entered, so that whoever finds the filter finds its depths.
    fn note(&self, filter: &str) {
        if !levels::has_wildcard(filter) {
            return;
        }
        let (steps, all) = levels::split_all(filter);
        let mut depth = 0;
        for level in steps {
            if level == ONE {
                note(&self.plus, depth);
            }
            depth += 1;
        }
        note(if all { &self.all } else { &self.end }, depth);
    }
}

fn note(depths: &AtomicU64, depth: usize) {
    if !occurs(depths, depth) {
        depths.fetch_or(1 << depth.min(63), Ordering::Relaxed);
    }
}

#[inline]
fn occurs(depths: &AtomicU64, depth: usize) -> bool {
    depths.load(Ordering::Relaxed) & (1 << depth.min(63)) != 0
}

/// What turns text into hashes. Two brokers with different keys have nothing in common.
#[derive(Clone, Copy)]
struct Keys {
    exact: SipHasher13,
    level: SipHasher13,
    /// Odd, and secret like the keys.
    factor: u64,
    root: u64,
    plus: u64,
    end: u64,
    all: u64,
}

impl Keys {
    fn new(key: [u64; 2]) -> Self {
        let derived = SipHasher13::new_with_keys(key[0], key[1]);
        let part = |label: &str| derived.hash(label.as_bytes());
        Self {
            exact: SipHasher13::new_with_keys(part("exact 0"), part("exact 1")),
            level: SipHasher13::new_with_keys(part("level 0"), part("level 1")),
            factor: part("factor") | 1,
            root: part("root"),
            plus: part("plus"),
            end: part("end"),
            all: part("all"),
        }
    }

    #[inline]
    fn level(&self, level: &str) -> u64 {
        self.level.hash(level.as_bytes())
    }

    /// The path hash one step further.
    #[inline]
    fn step(&self, path: u64, step: u64) -> u64 {
        let product = u128::from(path.rotate_left(23) ^ step) * u128::from(self.factor);
        (product as u64) ^ ((product >> 64) as u64).wrapping_add(path)
    }

    /// Hands every hash under which the filter stands to `each`; the first is that of the filter as a whole.
    fn of_filter(&self, filter: &str, mut each: impl FnMut(u64)) {
        if !levels::has_wildcard(filter) {
            return each(self.exact.hash(filter.as_bytes()));
        }
        let (steps, all) = levels::split_all(filter);
        let steps = steps.map(|level| if level == ONE { self.plus } else { self.level(level) });
        let path = steps.clone().fold(self.root, |path, step| self.step(path, step));
        each(self.step(path, if all { self.all } else { self.end }));
        each(self.root);
        steps.fold(self.root, |path, step| {
            let path = self.step(path, step);
            each(path);
            path
        });
    }
}

impl Interest {
    /// An empty index. The key is the process's own and secret, so that clients cannot make hashes meet.
    /// Panics unless there are 1 to 256 shards.
    pub fn new(shards: usize, key: [u64; 2]) -> Self {
        Self {
            table: MaskTable::new(shards),
            keys: Keys::new(key),
            depths: Depths::default(),
            wildcard_changes: AtomicU64::new(1),
        }
    }

    /// How many shards share the index.
    pub fn shards(&self) -> usize {
        self.table.cores()
    }

    /// Replaces `out` by the shards that may have a subscription matching the topic. `topic_hash` is the topic's by
    /// any hash that is keyed and the same for each look-up with this scratch: the caller mostly has one already.
    ///
    /// Holds at least every shard whose writer has returned from adding a matching filter and has not begun to
    /// remove it. Visits at most [`WALK_NODES_MAX`] places, past which the answer is every shard.
    pub fn mask(&self, topic: &str, topic_hash: u64, scratch: &mut InterestScratch, out: &mut CoreMask) {
        // Read before the filters are: what is found belongs to this state or a later one. Whoever is to find a
        // filter finds its change here too, as the change is raised before its fence.
        let state = self.wildcard_changes.load(Ordering::Acquire);
        let exact = match scratch.cache.find(topic_hash, topic, state) {
            Some(known) => {
                *out = known.wildcards;
                known.exact
            }
            None => self.find_wildcards(topic, topic_hash, state, scratch, out),
        };
        self.table.or_into(exact, out);
    }

    /// Replaces `out` by the shards of wildcard filters, to be remembered for this state of them, and returns the
    /// hash under which a filter that spells the topic stands.
    fn find_wildcards(
        &self,
        topic: &str,
        topic_hash: u64,
        state: u64,
        scratch: &mut InterestScratch,
        out: &mut CoreMask,
    ) -> u64 {
        out.clear();
        let exact = self.keys.exact.hash(topic.as_bytes());
        let is_known = !self.table.contains_any(self.keys.root) || self.walk(topic, scratch, out);
        // All shards for the length of a move are not to be remembered.
        if is_known {
            scratch.cache.missed(topic_hash, topic, state, Known { exact, wildcards: *out });
        }
        exact
    }

    /// Adds the shards of wildcard filters, or every shard when that takes too many steps, and says whether they are
    /// known for sure.
    fn walk(&self, topic: &str, scratch: &mut InterestScratch, out: &mut CoreMask) -> bool {
        let InterestScratch { places, levels, cache: _ } = scratch;
        levels.clear();
        places.clear();
        places.push(Place { path: self.keys.root, depth: 0, start: Some(0) });
        let (mut visited, mut is_known) = (0, true);
        while let Some(place) = places.pop() {
            visited += 1;
            if visited > WALK_NODES_MAX {
                *out = CoreMask::all(self.shards());
                return true;
            }
            let wild = place.depth > 0 || !levels::is_reserved(topic);
            if wild && occurs(&self.depths.all, place.depth) {
                is_known &= self.table.or_into(self.keys.step(place.path, self.keys.all), out);
            }
            let Some(start) = place.start else {
                if occurs(&self.depths.end, place.depth) {
                    is_known &= self.table.or_into(self.keys.step(place.path, self.keys.end), out);
                }
                continue;
            };
            if levels.len() == place.depth {
                let (level, next) = levels::level_at(topic, start);
                levels.push((self.keys.level(level), next));
            }
            let (level, next) = levels[place.depth];
            let plus = wild && occurs(&self.depths.plus, place.depth);
            for step in [plus.then_some(self.keys.plus), Some(level)].into_iter().flatten() {
                let path = self.keys.step(place.path, step);
                if self.table.contains_any(path) {
                    places.push(Place { path, depth: place.depth + 1, start: next });
                }
            }
        }
        is_known
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest").field("table", &self.table).finish_non_exhaustive()
    }
}

/// Memory that lookups of one shard in one index use again and again, with what they found for the topics that are
/// looked up most.
#[derive(Debug, Default)]
pub struct InterestScratch {
    places: Vec<Place>,
    /// Hash of each level met so far, and where the next begins.
    levels: Vec<(u64, Option<usize>)>,
    cache: RouteCache<Known>,
}

/// What is remembered of a topic: the shards of wildcard filters alone, as filters without wildcards change too often,
/// and where those stand.
#[derive(Default)]
struct Known {
    exact: u64,
    wildcards: CoreMask,
}

impl InterestScratch {
    /// Without memory; it grows to the deepest topic looked up and a bounded number of topics.
    pub fn new() -> Self {
        Self::default()
    }
}

#[derive(Debug)]
struct Place {
    path: u64,
    depth: usize,
    /// Where the level at this depth begins; none past the last.
    start: Option<usize>,
}

/// A change of what one shard is interested in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta<'a> {
    /// One more reason to be interested in this filter.
    Added(&'a str),
    /// One reason less.
    Removed(&'a str),
}

impl<'a> Delta<'a> {
    fn filter(&self) -> &'a str {
        match self {
            Self::Added(filter) | Self::Removed(filter) => filter,
        }
    }
}

/// One shard's own side of the index, with the counts that say when its bit may go. Owned by that shard; two
/// writers for one shard would clear each other's bits.
pub struct InterestWriter {
    index: Arc<Interest>,
    shard: usize,
    counts: SegmentedTable<Count>,
    changes: u64,
}

struct Count {
    hash: u64,
    count: u64,
}

impl Hashed for Count {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl InterestWriter {
    /// A writer without interest. Panics if the index has no such shard.
    pub fn new(index: Arc<Interest>, shard: usize) -> Self {
        assert!(shard < index.shards(), "shard {shard} of {}", index.shards());
        Self { index, shard, counts: SegmentedTable::new(), changes: 0 }
    }

    /// The index that all shards share.
    pub fn index(&self) -> &Arc<Interest> {
        &self.index
    }

    /// How many changes were applied: the version of this shard's stream of deltas.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The shard has one more reason to be interested in the filter. When this returns, whoever publishes
    /// later finds the shard; it ends with a SeqCst fence.
    pub fn add(&mut self, filter: &str) {
        self.change(Delta::Added(filter));
    }

    /// The shard has one reason less. As often as it was added, and not before the subscription itself is
    /// gone. A filter that was not added is let be.
    pub fn remove(&mut self, filter: &str) {
        self.change(Delta::Removed(filter));
    }

    /// Applies a change: the one way by which interest comes and goes.
    pub fn change(&mut self, delta: Delta<'_>) {
        let Self { index, shard, counts, changes } = self;
        let mut is_told = false;
        match delta {
            Delta::Added(filter) => {
                index.depths.note(filter);
                index.keys.of_filter(filter, |hash| {
                    if raise(counts, hash) {
                        index.table.set(hash, *shard);
                        is_told = true;
                    }
                });
            }
            Delta::Removed(filter) => {
                // The first hash is the filter's own: without it the others are not this filter's to lower.
                let mut known = None;
                index.keys.of_filter(filter, |hash| {
                    let own =
                        |counts: &SegmentedTable<Count>| counts.find(hash, |at| at.hash == hash).is_some();
                    if *known.get_or_insert_with(|| own(counts)) && lower(counts, hash) {
                        index.table.clear(hash, *shard);
                        is_told = true;
                    }
                });
                if known != Some(true) {
                    return;
                }
            }
        }
        if is_told && levels::has_wildcard(delta.filter()) {
            // Behind the bits, so that whoever reads this value reads them; before the fence, like them.
            index.wildcard_changes.fetch_add(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        *changes += 1;
    }
}

impl fmt::Debug for InterestWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hashes, changes) = (self.counts.len(), self.changes);
        f.debug_struct("InterestWriter")
            .field("shard", &self.shard)
            .field("hashes", &hashes)
            .field("changes", &changes)
            .finish_non_exhaustive()
    }
}

/// Counts one more; true for the first.
fn raise(counts: &mut SegmentedTable<Count>, hash: u64) -> bool {
    if let Some(found) = counts.find_mut(hash, |at| at.hash == hash) {
        found.count += 1;
        return false;
    }
    counts.insert(Count { hash, count: 1 });
    true
}

/// Counts one less; true when none is left.
fn lower(counts: &mut SegmentedTable<Count>, hash: u64) -> bool {
    let Some(found) = counts.find_mut(hash, |at| at.hash == hash) else {
        return false;
    };
    found.count -= 1;
    if found.count > 0 {
        return false;
    }
    counts.remove(hash, |at| at.hash == hash);
    true
}
