//! The trie of filters with wildcards: nodes in an arena, and one table of edges (parent, level) to child for
//! all of them. No operation recurses, so the depth of a filter costs memory and no stack.

use crate::arena::Arena;
use crate::levels::{self, ONE};
use crate::segmented::{Hashed, SegmentedTable};
use crate::subscribers::Subscribers;
use crate::walk::{MatchWalk, Stop};
use alloc::{boxed::Box, string::String, vec::Vec};
use core::hash::{BuildHasher, Hasher};
use foldhash::quality::FixedState;

const ROOT: u32 = 0;
const NOBODY: u32 = u32::MAX;
/// In the place of an offset: the topic has no further level.
const ENDED: u32 = u32::MAX;
/// Places to go on at that the walk keeps without allocating; one more is needed per level at most.
const WALK_INLINE: usize = 32;

pub(crate) struct WildcardTrie<V> {
    nodes: Arena<Node<V>>,
    edges: SegmentedTable<Edge>,
    hasher: FixedState,
    /// Nodes made so far: what tells users of one number apart.
    births: u32,
}

struct Node<V> {
    /// The level that leads here from the parent.
    level: Box<str>,
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
        Self { level: level.into(), parent, birth, plus: NOBODY, children: 0, here, below }
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
        Self { nodes, edges: SegmentedTable::new(), hasher: FixedState::with_seed(hash_key), births: 0 }
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
        let value = self.node_mut(number).list(all).remove(who)?;
        while number != ROOT && !self.node(number).is_needed() {
            number = self.take_leaf(number);
        }
        Some(value)
    }

    /// Hands the subscribers of every filter that matches the topic to `each`, visiting so many nodes at most.
    /// How many it visited; nothing when there are more, and then some of the matches were handed out.
    pub(crate) fn for_each_match<'a>(
        &'a self,
        topic: &str,
        nodes_max: usize,
        mut each: impl FnMut(&'a [(u32, V)]),
    ) -> Option<usize> {
        let root = self.node(ROOT);
        if !root.is_needed() {
            return Some(0);
        }
        let mut visited = 0;
        let mut walk = Walk::new();
        if levels::is_reserved(topic) {
            let (level, next) = levels::level_at(topic, 0);
            walk.push_some(self.edge(ROOT, level), next);
        } else {
            walk.push(ROOT, 0);
        }
        while let Some((number, start)) = walk.pop() {
            if visited == nodes_max {
                return None;
            }
            visited += 1;
            let node = self.node(number);
            each(node.below.as_slice());
            if start == ENDED {
                each(node.here.as_slice());
            } else if node.children > 0 {
                let (level, next) = levels::level_at(topic, start as usize);
                walk.push_some(Some(node.plus).filter(|&plus| plus != NOBODY), next);
                walk.push_some(self.edge(number, level), next);
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
                true => self.note_place(walk, self.edge(ROOT, level), next),
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
                self.note_place(walk, self.edge(number, level), next);
            }
        }
        Stop::More
    }

    fn note_place(&self, walk: &mut MatchWalk, node: Option<u32>, next: Option<usize>) {
        if let Some(number) = node {
            walk.push(number, self.node(number).birth, next.map_or(ENDED, |next| next as u32));
        }
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
            parts.push(&node.level);
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
        self.edge(parent, level)
    }

    /// The child for a level as it stands in a topic.
    #[inline]
    fn edge(&self, parent: u32, level: &str) -> Option<u32> {
        let edge = self.edges.find(self.hash(parent, level), |edge| self.leads(edge.child, parent, level))?;
        Some(edge.child)
    }

    #[inline]
    fn leads(&self, child: u32, parent: u32, level: &str) -> bool {
        self.nodes.at(child).is_some_and(|node| node.parent == parent && *node.level == *level)
    }

    fn add(&mut self, parent: u32, level: &str) -> u32 {
        self.births = self.births.wrapping_add(1);
        let child = self.nodes.insert(Node::new(level, parent, self.births));
        let node = self.node_mut(parent);
        node.children += 1;
        if level == ONE {
            node.plus = child;
        } else {
            self.edges.insert(Edge { hash: self.hash(parent, level), child });
        }
        child
    }

    /// Takes a node without children out and gives its parent.
    fn take_leaf(&mut self, number: u32) -> u32 {
        let leaf = self.nodes.remove(number).expect("a leaf that was found is there");
        let parent = self.node_mut(leaf.parent);
        parent.children -= 1;
        if *leaf.level == *ONE {
            parent.plus = NOBODY;
        } else {
            let hash = self.hash(leaf.parent, &leaf.level);
            self.edges.remove(hash, |edge| edge.child == number);
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
    fn hash(&self, parent: u32, level: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(level.as_bytes());
        hasher.write_u32(parent);
        hasher.finish()
    }
}

/// Where a walk still has to go: a node, and where the topic's next level begins.
struct Walk {
    inline: [(u32, u32); WALK_INLINE],
    len: usize,
    spilled: Vec<(u32, u32)>,
}

impl Walk {
    #[inline]
    fn new() -> Self {
        Self { inline: [(0, 0); WALK_INLINE], len: 0, spilled: Vec::new() }
    }

    #[inline]
    fn push_some(&mut self, node: Option<u32>, next: Option<usize>) {
        if let Some(node) = node {
            self.push(node, next.map_or(ENDED, |next| next as u32));
        }
    }

    #[inline]
    fn push(&mut self, node: u32, start: u32) {
        if self.len < WALK_INLINE {
            self.inline[self.len] = (node, start);
            self.len += 1;
        } else {
            self.spilled.push((node, start));
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<(u32, u32)> {
        if let Some(place) = self.spilled.pop() {
            return Some(place);
        }
        self.len = self.len.checked_sub(1)?;
        Some(self.inline[self.len])
    }
}
