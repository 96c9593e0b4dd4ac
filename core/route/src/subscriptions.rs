//! The subscriptions of one shard: filters that spell one topic in a hash table, filters with wildcards in a
//! trie. It never knows what a subscriber is; shared groups are other trees of the caller's.

use crate::levels::{self, Text};
use crate::segmented::{Hashed, SegmentedTable};
use crate::subscribers::Subscribers;
use crate::walk::{MatchWalk, Stop};
use crate::wildcards::WildcardTrie;
use alloc::{string::String, vec::Vec};
use core::fmt;
use core::hash::{BuildHasher, Hasher};
use foldhash::quality::FixedState;

/// Filters, each with its subscribers: a number (the session's slot) and a value. Owned by one shard.
pub struct SubscriptionTree<V> {
    exact: SegmentedTable<Exact<V>>,
    wildcards: WildcardTrie<V>,
    hasher: FixedState,
    len: usize,
}

struct Exact<V> {
    hash: u64,
    filter: Text,
    subscribers: Subscribers<V>,
}

impl<V> Hashed for Exact<V> {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl<V> SubscriptionTree<V> {
    /// An empty tree. The key makes its hashes unforeseeable for clients; no result depends on it.
    pub fn new(hash_key: u64) -> Self {
        Self {
            exact: SegmentedTable::new(),
            wildcards: WildcardTrie::new(hash_key),
            hasher: FixedState::with_seed(hash_key),
            len: 0,
        }
    }

    /// Subscriptions in the tree: pairs of filter and subscriber.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no subscription.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Subscribes, or replaces the value of a subscription that exists and gives the old one back
    /// [MQTT-3.8.4-3].
    pub fn insert(&mut self, filter: &str, who: u32, value: V) -> Option<V> {
        let before = if levels::has_wildcard(filter) {
            self.wildcards.entry(filter).insert(who, value)
        } else {
            self.insert_exact(filter, who, value)
        };
        self.len += usize::from(before.is_none());
        before
    }

    /// Ends a subscription and gives its value back; memory that only it needed is freed.
    pub fn remove(&mut self, filter: &str, who: u32) -> Option<V> {
        let value = if levels::has_wildcard(filter) {
            self.wildcards.remove(filter, who)
        } else {
            self.remove_exact(filter, who)
        }?;
        self.len -= 1;
        Some(value)
    }

    /// Whether the subscriber has a subscription of exactly this filter.
    pub fn contains(&self, filter: &str, who: u32) -> bool {
        self.subscribers(filter).is_some_and(|subscribers| subscribers.contains(who))
    }

    /// The value of the subscriber's subscription of exactly this filter.
    pub fn value(&self, filter: &str, who: u32) -> Option<&V> {
        let subscribers = self.subscribers(filter).filter(|subscribers| subscribers.contains(who))?;
        subscribers.as_slice().iter().find(|one| one.0 == who).map(|one| &one.1)
    }

    /// How many subscribers this very filter has. It is 1 after the insertion with which interest in the
    /// filter appears, and 0 after the removal with which it goes.
    pub fn subscriber_count(&self, filter: &str) -> usize {
        self.subscribers(filter).map_or(0, Subscribers::len)
    }

    /// Hands every subscription that matches the topic to `each`, one call per filter and subscriber.
    ///
    /// Filters that begin with a wildcard pass topics that begin with `$` [MQTT-4.7.2-1]. The order depends
    /// on the history of the tree alone. The work is bounded by the filters that share levels with the topic:
    /// at most 2^levels places. Who cannot have that takes [`SubscriptionTree::for_each_match_within`].
    pub fn for_each_match<'a>(&'a self, topic: &str, each: impl FnMut(u32, &'a V)) {
        self.for_each_match_within(topic, self.topic_hash(topic), usize::MAX, each);
    }

    /// As [`SubscriptionTree::for_each_match`], visiting so many nodes of wildcard filters at most. How many it
    /// visited; nothing when there are more: then some of the matches were handed out, and the whole match is to
    /// be made in parts, from its beginning, with [`SubscriptionTree::match_part`]. `hash` is the topic's of this tree.
    pub fn for_each_match_within<'a>(
        &'a self,
        topic: &str,
        hash: u64,
        nodes_max: usize,
        mut each: impl FnMut(u32, &'a V),
    ) -> Option<usize> {
        debug_assert_eq!(hash, self.topic_hash(topic), "the hash of another topic or tree");
        self.exact(topic, hash).iter().for_each(|(who, value)| each(*who, value));
        let each = |found: &'a [(u32, V)]| found.iter().for_each(|(who, value)| each(*who, value));
        self.wildcards.for_each_match(topic, hash, nodes_max, each)
    }

    /// One part of a match that is made in parts, between which subscriptions may come and go. It goes on where
    /// `walk` stands and ends when `units` is used up; each node and each subscriber takes one off, and a node or
    /// a filter is not divided.
    ///
    /// Over all parts, a subscription that was there from the first to the last is handed out exactly once, and
    /// one that came, went, or went and came back meanwhile at most once.
    pub fn match_part(
        &self,
        topic: &str,
        walk: &mut MatchWalk,
        units: &mut usize,
        mut each: impl FnMut(u32, &V),
    ) -> Stop {
        if walk.is_fresh() {
            for (who, value) in self.exact(topic, self.topic_hash(topic)) {
                *units = units.saturating_sub(1);
                each(*who, value);
            }
        }
        self.wildcards.match_part(topic, walk, units, each)
    }

    fn exact(&self, topic: &str, hash: u64) -> &[(u32, V)] {
        let exact = self.exact.find(hash, |exact| exact.filter[..] == *topic.as_bytes());
        exact.map_or(&[], |exact| exact.subscribers.as_slice())
    }

    /// Every filter with at least one subscriber, in byte order: a snapshot for whoever follows the changes.
    pub fn filters(&self) -> Vec<String> {
        let mut filters: Vec<String> =
            self.exact.iter().map(|exact| levels::text(&exact.filter).into()).collect();
        self.wildcards.filters(&mut filters);
        filters.sort_unstable();
        filters
    }

    fn subscribers(&self, filter: &str) -> Option<&Subscribers<V>> {
        if levels::has_wildcard(filter) {
            return self.wildcards.subscribers(filter);
        }
        let exact =
            self.exact.find(self.topic_hash(filter), |exact| exact.filter[..] == *filter.as_bytes())?;
        Some(&exact.subscribers)
    }

    fn insert_exact(&mut self, filter: &str, who: u32, value: V) -> Option<V> {
        let hash = self.topic_hash(filter);
        if let Some(exact) = self.exact.find_mut(hash, |exact| exact.filter[..] == *filter.as_bytes()) {
            return exact.subscribers.insert(who, value);
        }
        let subscribers = Subscribers::One((who, value));
        self.exact.insert(Exact { hash, filter: Text::from_slice(filter.as_bytes()), subscribers });
        None
    }

    fn remove_exact(&mut self, filter: &str, who: u32) -> Option<V> {
        let hash = self.topic_hash(filter);
        let exact = self.exact.find_mut(hash, |exact| exact.filter[..] == *filter.as_bytes())?;
        let value = exact.subscribers.remove(who)?;
        if exact.subscribers.is_empty() {
            self.exact.remove(hash, |exact| exact.filter[..] == *filter.as_bytes());
        }
        Some(value)
    }

    /// The hash of a topic in this tree, keyed: made once for all that is to be looked up for it.
    #[inline]
    pub fn topic_hash(&self, topic: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(topic.as_bytes());
        hasher.finish()
    }
}

impl<V> fmt::Debug for SubscriptionTree<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (exact, nodes) = (self.exact.len(), self.wildcards.nodes());
        f.debug_struct("SubscriptionTree")
            .field("len", &self.len)
            .field("exact", &exact)
            .field("nodes", &nodes)
            .finish()
    }
}
