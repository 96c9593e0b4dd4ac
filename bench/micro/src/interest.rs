//! The index that all shards share: which of them have a match.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use ringmq_route::{CoreMask, Interest, InterestScratch, InterestWriter, SubscriptionTree};
use ringmq_sync::MaskTable;

use crate::{Prepared, Scale, Workload, topics};

const SHARDS: usize = 4;
/// Look-ups in one run.
const LOOKUPS: usize = 256;

pub(crate) const WORKLOADS: &[Workload] = &[
    lookup("interest-table-hot", |scale| table(scale, LOOKUPS)),
    Workload { is_counted: false, ..lookup("interest-table-cold", |scale| table(scale, usize::MAX)) },
    topic_lookup("interest-topic-hot", |scale| topic(scale, LOOKUPS)),
    topic_lookup("interest-topic-cold", |scale| topic(scale, usize::MAX)),
    Workload {
        name: "interest-change",
        operation: "interest in one filter without wildcards added and removed",
        is_counted: true,
        prepare: change,
    },
];

const fn lookup(name: &'static str, prepare: fn(&Scale) -> Prepared) -> Workload {
    Workload { name, operation: "the shards under one hash read", is_counted: true, prepare }
}

const fn topic_lookup(name: &'static str, prepare: fn(&Scale) -> Prepared) -> Workload {
    Workload {
        name,
        operation: "the shards of one topic found, wildcards included",
        is_counted: true,
        prepare,
    }
}

fn table(scale: &Scale, hashes_max: usize) -> Prepared {
    let mut random = topics::random(2);
    let table = MaskTable::new(SHARDS);
    let mut hashes: Vec<u64> = (0..scale.subscriptions).map(|_| random.u64(1..)).collect();
    hashes.iter().for_each(|hash| table.set(*hash, random.usize(..SHARDS)));
    random.shuffle(&mut hashes);
    hashes.truncate(hashes_max);
    let mut next = 0;
    Prepared::steady(LOOKUPS, move || {
        if next + LOOKUPS > hashes.len() {
            next = 0;
        }
        let mut mask = CoreMask::new();
        for hash in &hashes[next..next + LOOKUPS] {
            table.or_into(*hash, &mut mask);
        }
        next += LOOKUPS;
        black_box(mask);
    })
}

fn writers(index: &Arc<Interest>, filters: &[String]) -> Vec<InterestWriter> {
    let mut writers: Vec<_> =
        (0..SHARDS).map(|shard| InterestWriter::new(Arc::clone(index), shard)).collect();
    for (number, filter) in filters.iter().enumerate() {
        writers[number % SHARDS].add(filter);
    }
    writers
}

fn topic(scale: &Scale, topics_max: usize) -> Prepared {
    let (filters, mut topics) = topics::filters(scale.subscriptions);
    let index = Arc::new(Interest::new(SHARDS, [1, 2]));
    drop(writers(&index, &filters));
    topics.truncate(topics_max);
    let (mut scratch, mut mask) = (InterestScratch::new(), CoreMask::new());
    // Whose hash the look-up is given.
    let tree = SubscriptionTree::<()>::new(3);
    topics::taking_turns(topics, LOOKUPS, move |topics| {
        for topic in topics {
            index.mask(topic, tree.topic_hash(topic), &mut scratch, &mut mask);
            black_box(&mask);
        }
    })
}

fn change(scale: &Scale) -> Prepared {
    let index = Arc::new(Interest::new(SHARDS, [1, 2]));
    let writers = Rc::new(RefCell::new(writers(&index, &topics::filters(scale.subscriptions).0)));
    let new = topics::new_topics(LOOKUPS);
    Prepared::steady(LOOKUPS, move || {
        let writer = &mut writers.borrow_mut()[0];
        new.iter().for_each(|filter| writer.add(filter));
        new.iter().for_each(|filter| writer.remove(filter));
    })
}
