//! The trie of filters with wildcards: nodes in an arena, and one table of edges (parent, level) to child for
//! all of them, with a cache of what topics found before. No operation recurses, so the depth of a filter costs
//! memory and no stack.

use crate::arena::Arena;
use crate::levels::{self, ONE};
use crate::route_cache::RouteCache;
use crate::segmented::{Hashed, SegmentedTable};
use crate::subscribers::Subscribers;
use crate::walk::{MatchWalk, Stop};
use alloc::{string::String, vec::Vec};
use core::cell::RefCell;
use core::hash::{BuildHasher, Hasher};
use foldhash::quality::FixedState;
use smallvec::SmallVec;

const ROOT: u32 = 0;
const NOBODY: u32 = u32::MAX;
/// Instead of where the next level begins: the topic has none.
const ENDED: u32 = u32::MAX;
/// Places to go on at that a walk keeps without allocating; one more is needed per level at most.
const WALK_INLINE: usize = 16;
/// Levels of a topic that a walk keeps without allocating.
const LEVELS_INLINE: usize = 8;
/// Bytes of a level that stand in its node; a longer one costs memory of its own and a look there.
const LEVEL_INLINE: usize = 16;
/// A topic with more matching filters is not remembered: its subscribers cost more than finding them.
const PLACES_MAX: usize = 64;
/// Spreads numbers of nodes over all bits. Odd; the fractional part of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

pub(crate) struct WildcardTrie<V> {
    nodes: Arena<Node<V>>,
    edges: SegmentedTable<Edge>,
    hasher: FixedState,
    /// Nodes made so far: what tells users of one number apart.
    births: u32,
    /// How often a filter has come to have a subscriber, or to have none: what the cache was right for.
    changes: u64,
    cache: RefCell<RouteCache<Places>>,
}

struct Node<V> {
    /// The level that leads here from the parent.
    level: SmallVec<[u8; LEVEL_INLINE]>,
    /// A bit for the hash of each level that leads to a child, so that most look-ups which would find nothing
    /// are not made. Bits go when the last child does.
    children_seen: u64,
    parent: u32,
    birth: u32,
    /// The child for `+`, or nobody. It is in no table.
    plus: u32,
    /// All children, the one for `+` included.
    children: u32,
    /// Subscribers of the filter that ends here.
    here: Subscribers<V>,
    /// Subscribers of the filter that ends in `#` below here.
    below: Subscribers<V>,
}

struct Edge {
    hash: u64,
    child: u32,
}

impl Hashed for Edge {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl<V> Node<V> {
    fn new(level: &str, parent: u32, birth: u32) -> Self {
        let (here, below) = (Subscribers::None, Subscribers::None);
        let level = SmallVec::from_slice(level.as_bytes());
        Self { level, children_seen: 0, parent, birth, plus: NOBODY, children: 0, here, below }
    }

    fn is_needed(&self) -> bool {
        self.children > 0 || !self.here.is_empty() || !self.below.is_empty()
    }

    fn list(&mut self, all: bool) -> &mut Subscribers<V> {
        if all { &mut self.below } else { &mut self.here }
    }
}

impl<V> WildcardTrie<V> {
    pub(crate) fn new(hash_key: u64) -> Self {
        let mut nodes = Arena::new();
        let root = nodes.insert(Node::new("", NOBODY, 0));
        assert_eq!(root, ROOT, "the first number of an arena");
        let hasher = FixedState::with_seed(hash_key);
        Self { nodes, edges: SegmentedTable::new(), hasher, births: 0, changes: 0, cache: RefCell::default() }
    }

    /// Nodes of the trie, its root included.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The subscribers of the filter, with its nodes made if needed. The caller adds one.
    pub(crate) fn entry(&mut self, filter: &str) -> &mut Subscribers<V> {
        let (levels, all) = levels::split_all(filter);
        let mut node = ROOT;
        for level in levels {
            node = match self.child(node, level) {
                Some(child) => child,
                None => self.add(node, level),
            };
        }
        if self.node_mut(node).list(all).is_empty() {
            self.changes += 1;
        }
        self.node_mut(node).list(all)
    }

    pub(crate) fn subscribers(&self, filter: &str) -> Option<&Subscribers<V>> {
        let (number, all) = self.find(filter)?;
        let node = self.node(number);
        Some(if all { &node.below } else { &node.here })
    }

    /// Takes the subscriber out, and every node that nothing needs any more.
    pub(crate) fn remove(&mut self, filter: &str, who: u32) -> Option<V> {
        let (mut number, all) = self.find(filter)?;
        let list = self.node_mut(number).list(all);
        let value = list.remove(who)?;
        if list.is_empty() {
            self.changes += 1;
        }
        while number != ROOT && !self.node(number).is_needed() {
            number = self.take_leaf(number);
        }
        Some(value)
    }

    /// Hands the subscribers of every filter that matches the topic to `each`, visiting so many nodes at most.
    /// How many it visited; nothing when there are more, and then some of the matches were handed out. `hash` is
    /// the topic's, keyed.
    pub(crate) fn for_each_match<'a>(
        &'a self,
        topic: &str,
        hash: u64,
        nodes_max: usize,
        mut each: impl FnMut(&'a [(u32, V)]),
    ) -> Option<usize> {
        if !self.node(ROOT).is_needed() {
            return Some(0);
        }
        if let Some(places) = self.cache.borrow().find(hash, topic, self.changes)
            && places.len() <= nodes_max
        {
            places.iter().for_each(|place| each(self.list_at(*place)));
            return Some(places.len());
        }
        let mut found = Places::new();
        let visited = self.walk(topic, nodes_max, |place, list| {
            // One more than the cache keeps tells that there are too many.
            if found.len() <= PLACES_MAX {
                found.push(place);
            }
            each(list);
        })?;
        // Whoever looks up a topic from within `each` finds the cache in use and goes without.
        if found.len() <= PLACES_MAX
            && let Ok(mut cache) = self.cache.try_borrow_mut()
        {
            cache.missed(hash, topic, self.changes, found);
        }
        Some(visited)
    }

    /// Hands every list that is not empty and whose filter matches the topic to `each`, with its place, visiting so
    /// many nodes at most. How many it visited; nothing when there are more.
    fn walk<'a>(
        &'a self,
        topic: &str,
        nodes_max: usize,
        mut each: impl FnMut(Place, &'a [(u32, V)]),
    ) -> Option<usize> {
        let mut visited = 0;
        let mut levels = TopicLevels::new(topic);
        let mut places: SmallVec<[(u32, u32); WALK_INLINE]> = SmallVec::new();
        places.push((ROOT, 0));
        while let Some((number, depth)) = places.pop() {
            if visited == nodes_max {
                return None;
            }
            visited += 1;
            let node = self.node(number);
            // Filters that begin with a wildcard pass topics that begin with `$`.
            let wild = depth > 0 || !levels::is_reserved(topic);
            if wild && !node.below.is_empty() {
                each(Place { node: number, all: true }, node.below.as_slice());
            }
            let Some((level, hash)) = levels.at(depth as usize, |level| self.level_hash(level)) else {
                if !node.here.is_empty() {
                    each(Place { node: number, all: false }, node.here.as_slice());
                }
                continue;
            };
            if wild && node.plus != NOBODY {
                places.push((node.plus, depth + 1));
            }
            if node.children_seen & seen_bit(hash) != 0
                && let Some(child) = self.edge(number, level, hash)
            {
                places.push((child, depth + 1));
            }
        }
        Some(visited)
    }

    /// One part of a match: goes on where the walk stands, for as much work as `units` has (a node is one, a
    /// subscriber is one), and takes off what it did. What is left of the walk is in it.
    pub(crate) fn match_part(
        &self,
        topic: &str,
        walk: &mut MatchWalk,
        units: &mut usize,
        mut each: impl FnMut(u32, &V),
    ) -> Stop {
        if walk.begin() {
            let (level, next) = levels::level_at(topic, 0);
            match levels::is_reserved(topic) {
                true => self.note_place(walk, self.edge(ROOT, level, self.level_hash(level)), next),
                false => self.note_place(walk, Some(ROOT), Some(0)),
            }
        }
        while *units > 0 {
            let Some((number, birth, start)) = walk.pop() else { return Stop::Done };
            *units -= 1;
            // A node that is gone had no filter below it that was there all the time.
            let Some(node) = self.nodes.at(number).filter(|node| node.birth == birth) else { continue };
            let here = if start == ENDED { node.here.as_slice() } else { &[] };
            for (who, value) in node.below.as_slice().iter().chain(here) {
                *units = units.saturating_sub(1);
                each(*who, value);
            }
            if start != ENDED && node.children > 0 {
                let (level, next) = levels::level_at(topic, start as usize);
                self.note_place(walk, Some(node.plus).filter(|&plus| plus != NOBODY), next);
                self.note_place(walk, self.edge(number, level, self.level_hash(level)), next);
            }
        }
        Stop::More
    }

    fn note_place(&self, walk: &mut MatchWalk, node: Option<u32>, next: Option<usize>) {
        if let Some(number) = node {
            walk.push(number, self.node(number).birth, next.map_or(ENDED, |next| next as u32));
        }
    }

    fn list_at(&self, place: Place) -> &[(u32, V)] {
        let node = self.node(place.node);
        if place.all { node.below.as_slice() } else { node.here.as_slice() }
    }

    /// Appends every filter that has a subscriber.
    pub(crate) fn filters(&self, filters: &mut Vec<String>) {
        for (number, node) in self.nodes.iter() {
            if !node.here.is_empty() {
                filters.push(self.spell(number, None));
            }
            if !node.below.is_empty() {
                filters.push(self.spell(number, Some(levels::ALL)));
            }
        }
    }

    fn spell(&self, mut number: u32, last: Option<&str>) -> String {
        let mut parts: Vec<&str> = last.into_iter().collect();
        while number != ROOT {
            let node = self.node(number);
            parts.push(levels::text(&node.level));
            number = node.parent;
        }
        parts.reverse();
        parts.join("/")
    }

    fn find(&self, filter: &str) -> Option<(u32, bool)> {
        let (mut levels, all) = levels::split_all(filter);
        let number = levels.try_fold(ROOT, |node, level| self.child(node, level))?;
        Some((number, all))
    }

    fn child(&self, parent: u32, level: &str) -> Option<u32> {
        if level == ONE {
            return Some(self.node(parent).plus).filter(|&plus| plus != NOBODY);
        }
        self.edge(parent, level, self.level_hash(level))
    }

    /// The child for a level as it stands in a topic.
    #[inline]
    fn edge(&self, parent: u32, level: &str, hash: u64) -> Option<u32> {
        let edge = self.edges.find(edge_hash(parent, hash), |edge| self.leads(edge.child, parent, level))?;
        Some(edge.child)
    }

    #[inline]
    fn leads(&self, child: u32, parent: u32, level: &str) -> bool {
        self.nodes.at(child).is_some_and(|node| node.parent == parent && node.level[..] == *level.as_bytes())
    }

    fn add(&mut self, parent: u32, level: &str) -> u32 {
        self.births = self.births.wrapping_add(1);
        let hash = self.level_hash(level);
        let child = self.nodes.insert(Node::new(level, parent, self.births));
        let node = self.node_mut(parent);
        node.children += 1;
        if level == ONE {
            node.plus = child;
        } else {
            node.children_seen |= seen_bit(hash);
            self.edges.insert(Edge { hash: edge_hash(parent, hash), child });
        }
        child
    }

    /// Takes a node without children out and gives its parent.
    fn take_leaf(&mut self, number: u32) -> u32 {
        let leaf = self.nodes.remove(number).expect("a leaf that was found is there");
        let hash = self.bytes_hash(&leaf.level);
        let parent = self.node_mut(leaf.parent);
        parent.children -= 1;
        if parent.children == 0 {
            parent.children_seen = 0;
        }
        if leaf.level[..] == *ONE.as_bytes() {
            parent.plus = NOBODY;
        } else {
            self.edges.remove(edge_hash(leaf.parent, hash), |edge| edge.child == number);
        }
        leaf.parent
    }

    #[inline]
    fn node(&self, number: u32) -> &Node<V> {
        self.nodes.at(number).expect("an edge leads to a node")
    }

    fn node_mut(&mut self, number: u32) -> &mut Node<V> {
        self.nodes.at_mut(number).expect("an edge leads to a node")
    }

    #[inline]
    fn level_hash(&self, level: &str) -> u64 {
        self.bytes_hash(level.as_bytes())
    }

    #[inline]
    fn bytes_hash(&self, level: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(level);
        hasher.finish()
    }
}

/// A list of subscribers: that of a node, or that of the filter which ends in `#` below it.
#[derive(Clone, Copy)]
struct Place {
    node: u32,
    all: bool,
}

/// Where the subscribers of a topic stand, in the order in which the trie was walked.
type Places = SmallVec<[Place; 2]>;

/// The hash of a level is keyed, so whoever does not know the key cannot make edges meet.
#[inline]
fn edge_hash(parent: u32, level_hash: u64) -> u64 {
    let product = u128::from(level_hash ^ u64::from(parent).wrapping_mul(SPREAD)) * u128::from(SPREAD);
    (product as u64) ^ (product >> 64) as u64
}

#[inline]
fn seen_bit(level_hash: u64) -> u64 {
    1 << (level_hash >> 58)
}

/// The levels of a topic with their hashes, each found once, when a walk first comes so deep.
struct TopicLevels<'t> {
    topic: &'t str,
    found: SmallVec<[(&'t str, u64); LEVELS_INLINE]>,
    /// Where the next one begins, until there is none.
    next: Option<usize>,
}

impl<'t> TopicLevels<'t> {
    #[inline]
    fn new(topic: &'t str) -> Self {
        Self { topic, found: SmallVec::new(), next: Some(0) }
    }

    /// The level at this depth, if the topic has so many. A walk asks for no depth before the one above it.
    #[inline]
    fn at(&mut self, depth: usize, hash: impl FnOnce(&str) -> u64) -> Option<(&'t str, u64)> {
        if let Some(level) = self.found.get(depth) {
            return Some(*level);
        }
        let (level, next) = levels::level_at(self.topic, self.next?);
        self.next = next;
        self.found.push((level, hash(level)));
        self.found.last().copied()
    }
}
