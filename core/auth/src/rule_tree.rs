//! Many lists of rules compiled into one tree of levels: a check costs some look-ups for each level of the topic,
//! however many rules there are. Each list has a root of its own.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::permissions::{Access, Effect, Rule, Who};

/// Levels of a rule's filter: the walk is recursive, and a real topic has a dozen.
pub const LEVELS_MAX: usize = 256;
/// Levels of all rules in which a name stands among other characters, like `dev-%c`: those are compared one by one.
pub const MIXED_MAX: usize = 1024;

const READ: u8 = 1;
const WRITE: u8 = 2;
const DENY: u8 = 4;

/// What rules say about one topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict(u8);

impl Verdict {
    /// Whether a rule denies it.
    pub const fn denies(self) -> bool {
        self.0 & DENY != 0
    }
    /// Whether a rule allows all of this.
    pub const fn allows(self, access: Access) -> bool {
        let wanted = bits(Effect::Allow(access));
        self.0 & wanted == wanted
    }
}

const fn bits(effect: Effect) -> u8 {
    match effect {
        Effect::Allow(Access::Read) => READ,
        Effect::Allow(Access::Write) => WRITE,
        Effect::Allow(Access::ReadWrite) => READ | WRITE,
        Effect::Deny => DENY,
    }
}

/// A place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId(u32);

impl NodeId {
    /// No node; the root of the first list is 0, and nothing leads to a root.
    const NONE: Self = Self(u32::MAX);
}

#[derive(Debug)]
struct Node {
    /// Children by `+`, by the ClientID and by the user name.
    any: NodeId,
    client: NodeId,
    user: NodeId,
    /// Whether it has children by levels that a name is only a part of.
    is_mixed: bool,
    /// Whether it has children by a fixed level.
    is_parent: bool,
    /// What rules that end here say.
    here: u8,
    /// What rules that end here with `#` say.
    below: u8,
}

#[derive(Debug)]
struct Edge {
    parent: NodeId,
    child: NodeId,
    level: Box<str>,
}

/// The tree.
#[derive(Debug, Default)]
pub struct RuleTree {
    nodes: Vec<Node>,
    /// Fixed levels. They come from whoever wrote the rules, so nobody chooses them to collide: a fixed hash will do.
    edges: HashTable<Edge>,
    mixed: Vec<Edge>,
}

/// One check.
struct Walk<'a> {
    tree: &'a RuleTree,
    who: Who<'a>,
    found: u8,
}

fn hash(parent: NodeId, level: &str) -> u64 {
    FixedState::with_seed(u64::from(parent.0)).hash_one(level)
}

impl RuleTree {
    /// The root of one more list.
    pub fn add_root(&mut self) -> NodeId {
        self.add_node()
    }

    fn add_node(&mut self) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        let (any, client, user) = (NodeId::NONE, NodeId::NONE, NodeId::NONE);
        self.nodes.push(Node { any, client, user, is_mixed: false, is_parent: false, here: 0, below: 0 });
        id
    }

    /// Adds a rule to the list of a root; with `has_names` `%c` and `%u` stand for names in it.
    ///
    /// # Errors
    /// What it has too much of.
    pub fn insert(&mut self, root: NodeId, rule: &Rule, has_names: bool) -> Result<(), String> {
        if rule.filter.split('/').count() > LEVELS_MAX {
            return Err(format!("the topic has more than {LEVELS_MAX} levels"));
        }
        let mut at = root;
        for level in rule.filter.split('/') {
            if level == "#" {
                self.nodes[at.0 as usize].below |= bits(rule.effect);
                return Ok(());
            }
            at = self.child(at, level, has_names)?;
        }
        self.nodes[at.0 as usize].here |= bits(rule.effect);
        Ok(())
    }

    /// The child by this level of a filter, made where there is none.
    fn child(&mut self, parent: NodeId, level: &str, has_names: bool) -> Result<NodeId, String> {
        let place = parent.0 as usize;
        let known = match level {
            "+" => self.nodes[place].any,
            "%c" if has_names => self.nodes[place].client,
            "%u" if has_names => self.nodes[place].user,
            _ if has_names && is_mixed(level) => {
                let edge = self.mixed.iter().find(|edge| edge.parent == parent && *edge.level == *level);
                edge.map_or(NodeId::NONE, |edge| edge.child)
            }
            _ => self.fixed(parent, level),
        };
        if known != NodeId::NONE {
            return Ok(known);
        }
        let child = self.add_node();
        let node = &mut self.nodes[place];
        match level {
            "+" => node.any = child,
            "%c" if has_names => node.client = child,
            "%u" if has_names => node.user = child,
            _ if has_names && is_mixed(level) => {
                if self.mixed.len() == MIXED_MAX {
                    let more = format!("more than {MIXED_MAX} levels in which %c or %u is only a part");
                    return Err(more);
                }
                node.is_mixed = true;
                self.mixed.push(Edge { parent, child, level: level.into() });
            }
            _ => {
                node.is_parent = true;
                let edge = Edge { parent, child, level: level.into() };
                let rehash = |edge: &Edge| hash(edge.parent, &edge.level);
                self.edges.insert_unique(hash(parent, level), edge, rehash);
            }
        }
        Ok(child)
    }

    fn fixed(&self, parent: NodeId, level: &str) -> NodeId {
        let is_it = |edge: &Edge| edge.parent == parent && *edge.level == *level;
        self.edges.find(hash(parent, level), is_it).map_or(NodeId::NONE, |edge| edge.child)
    }

    /// What the rules of a list say about a topic. Visits each rule's levels at most once, and of most rules none.
    pub fn check(&self, root: NodeId, who: Who<'_>, topic: &str) -> Verdict {
        let mut walk = Walk { tree: self, who, found: 0 };
        walk.visit(root, Some(topic), topic.starts_with('$'));
        Verdict(walk.found)
    }
}

fn is_mixed(level: &str) -> bool {
    level.contains("%c") || level.contains("%u")
}

impl Walk<'_> {
    /// Looks at a node for what is left of the topic, `None` behind its last level. `reserved` is set for the first
    /// level of a topic with `$` in front, which no wildcard names [MQTT-4.7.2-1]. Nothing changes a denial any more,
    /// so it ends the walk.
    fn visit(&mut self, id: NodeId, rest: Option<&str>, reserved: bool) {
        let Some(node) = self.tree.nodes.get(id.0 as usize) else { return };
        if !reserved {
            self.found |= node.below;
        }
        let Some(rest) = rest else {
            self.found |= node.here;
            return;
        };
        let (level, rest) = match rest.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (rest, None),
        };
        if node.is_parent {
            self.descend(self.tree.fixed(id, level), rest);
        }
        if !reserved {
            self.descend(node.any, rest);
        }
        if level == self.who.client_id {
            self.descend(node.client, rest);
        }
        if Some(level) == self.who.user_name {
            self.descend(node.user, rest);
        }
        if node.is_mixed {
            for edge in self.tree.mixed.iter().filter(|edge| edge.parent == id) {
                if is_filled_in(&edge.level, self.who, level) {
                    self.descend(edge.child, rest);
                }
            }
        }
    }

    fn descend(&mut self, child: NodeId, rest: Option<&str>) {
        if child != NodeId::NONE && self.found & DENY == 0 {
            self.visit(child, rest, false);
        }
    }
}

/// Whether this is the level with the names in their places. Takes no memory.
fn is_filled_in(mut wanted: &str, who: Who<'_>, mut level: &str) -> bool {
    while let Some(at) = wanted.find('%') {
        let Some(rest) = level.strip_prefix(&wanted[..at]) else { return false };
        let (name, behind) = match (wanted.as_bytes().get(at + 1), who.user_name) {
            (Some(b'c'), _) => (who.client_id, at + 2),
            (Some(b'u'), Some(name)) => (name, at + 2),
            (Some(b'u'), None) => return false,
            _ => ("%", at + 1),
        };
        let Some(rest) = rest.strip_prefix(name) else { return false };
        (wanted, level) = (&wanted[behind..], rest);
    }
    wanted == level
}
