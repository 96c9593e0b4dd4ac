//! The subscriptions of one shard: who gets a topic, and how subscriptions come and go.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use ringmq_route::SubscriptionTree;
use ringmq_wire::SubscriptionOptions;

use crate::{Prepared, Scale, Workload, topics};

/// Topics that are published again and again.
const HOT_TOPICS: usize = 256;
/// Subscriptions that come or go in one run.
const CHANGES: usize = 512;
const HASH_KEY: u64 = 7;

/// What a shard keeps with each subscription: its options and its identifier.
pub type Value = (SubscriptionOptions, u32);

/// A tree as a shard has it.
pub type Tree = SubscriptionTree<Value>;

pub(crate) const WORKLOADS: &[Workload] = &[
    matching("route-match-hot", |scale| match_topics(scale, HOT_TOPICS)),
    matching("route-match-cold", |scale| match_topics(scale, usize::MAX)),
    Workload {
        name: "route-subscribe",
        operation: "one subscription with a new filter without wildcards",
        is_counted: true,
        prepare: |scale| subscribe(scale, topics::new_topics(CHANGES)),
    },
    Workload {
        name: "route-unsubscribe",
        operation: "one such subscription ended",
        is_counted: true,
        prepare: |scale| unsubscribe(scale, topics::new_topics(CHANGES)),
    },
    Workload {
        name: "route-subscribe-wildcard",
        operation: "one subscription with a new filter with +",
        is_counted: true,
        prepare: |scale| subscribe(scale, new_wildcards()),
    },
    Workload {
        name: "route-unsubscribe-wildcard",
        operation: "one such subscription ended",
        is_counted: true,
        prepare: |scale| unsubscribe(scale, new_wildcards()),
    },
];

const fn matching(name: &'static str, prepare: fn(&Scale) -> Prepared) -> Workload {
    Workload { name, operation: "the subscribers of one topic found", is_counted: true, prepare }
}

/// An empty tree.
pub fn empty_tree() -> Tree {
    SubscriptionTree::new(HASH_KEY)
}

/// A value as most subscriptions have it.
pub fn value() -> Value {
    (SubscriptionOptions::default(), 0)
}

fn tree(filters: &[String]) -> Tree {
    let mut tree = empty_tree();
    for (who, filter) in filters.iter().enumerate() {
        tree.insert(filter, who as u32, value());
    }
    tree
}

/// Each run has the next topics, so that with many of them a run finds nothing of the tree in the caches. The topics
/// themselves it does, as a broker has just received them.
fn match_topics(scale: &Scale, topics_max: usize) -> Prepared {
    let (filters, mut topics) = topics::filters(scale.subscriptions);
    let tree = tree(&filters);
    drop(filters);
    topics.truncate(topics_max);
    let run = move |topics: &[String]| {
        let mut found = 0;
        for topic in topics {
            tree.for_each_match(topic, |who, value| found += u64::from(who) + u64::from(value.1));
        }
        black_box(found);
    };
    topics::taking_turns(topics, HOT_TOPICS, run)
}

fn new_wildcards() -> Vec<String> {
    topics::new_topics(CHANGES).iter().map(|topic| topic.replace("item0", "+")).collect()
}

fn insert_all(tree: &mut Tree, filters: &[String]) {
    for (who, filter) in filters.iter().enumerate() {
        black_box(tree.insert(filter, who as u32, value()));
    }
}

fn remove_all(tree: &mut Tree, filters: &[String]) {
    for (who, filter) in filters.iter().enumerate() {
        black_box(tree.remove(filter, who as u32));
    }
}

/// A way to subscribe to all of these, and one to end that.
fn come_and_go(scale: &Scale, new: Vec<String>) -> (impl FnMut() + 'static, impl FnMut() + 'static) {
    let tree = Rc::new(RefCell::new(tree(&topics::filters(scale.subscriptions).0)));
    let (other, new) = (Rc::clone(&tree), Rc::new(new));
    let again = Rc::clone(&new);
    (move || insert_all(&mut tree.borrow_mut(), &new), move || remove_all(&mut other.borrow_mut(), &again))
}

fn subscribe(scale: &Scale, new: Vec<String>) -> Prepared {
    let (come, go) = come_and_go(scale, new);
    Prepared::restored(CHANGES, come, go)
}

fn unsubscribe(scale: &Scale, new: Vec<String>) -> Prepared {
    let (mut come, go) = come_and_go(scale, new);
    come();
    Prepared::restored(CHANGES, go, come)
}
