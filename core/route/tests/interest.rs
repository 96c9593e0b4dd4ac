//! The interest index: never a shard too few, under churn, with many shards and at the bound of its walk.

mod model;

use proptest::prelude::*;
use ringmq_route::{CoreMask, Delta, Interest, InterestScratch, InterestWriter};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn shards(count: usize, key: [u64; 2]) -> (Arc<Interest>, Vec<InterestWriter>) {
    let index = Arc::new(Interest::new(count, key));
    let writers = (0..count).map(|shard| InterestWriter::new(Arc::clone(&index), shard)).collect();
    (index, writers)
}

/// Few different ones, so that what is remembered is not always of the topic looked up.
fn topic_hash(topic: &str) -> u64 {
    topic.len() as u64 % 3
}

fn mask(index: &Interest, topic: &str) -> Vec<usize> {
    let mut mask = CoreMask::all(3);
    index.mask(topic, topic_hash(topic), &mut InterestScratch::new(), &mut mask);
    mask.iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn equals_the_matching_shards_under_churn(
        steps in prop::collection::vec((any::<bool>(), 0usize..70, model::filter(), any::<usize>()), 0..120),
        topics in prop::collection::vec(model::topic(), 1..20),
        key in any::<[u64; 2]>(),
    ) {
        let (index, mut writers) = shards(70, key);
        let mut held: Vec<(usize, String)> = Vec::new();
        for (adds, shard, filter, nth) in steps {
            if adds || held.is_empty() {
                writers[shard].add(&filter);
                held.push((shard, filter));
            } else {
                let (shard, filter) = held.swap_remove(nth % held.len());
                writers[shard].remove(&filter);
            }
        }
        for topic in &topics {
            let mut expected: Vec<usize> =
                held.iter().filter(|(_, filter)| model::matches(filter, topic)).map(|(shard, _)| *shard).collect();
            expected.sort_unstable();
            expected.dedup();
            // Equality and not just "no fewer": two 64-bit hashes do not meet in a test of this size.
            prop_assert_eq!(mask(&index, topic), expected, "{}", topic);
        }
        for (shard, filter) in held {
            writers[shard].change(Delta::Removed(&filter));
        }
        prop_assert!(topics.iter().all(|topic| mask(&index, topic).is_empty()));
        for writer in &writers {
            prop_assert_eq!(format!("{:?}", writer).contains("hashes: 0"), true);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_scratch_that_remembers_finds_what_a_new_one_does(
        steps in prop::collection::vec((any::<bool>(), 0usize..3, model::filter(), any::<usize>()), 0..60),
        topics in prop::collection::vec(model::topic(), 1..8),
        key in any::<[u64; 2]>(),
    ) {
        let (index, mut writers) = shards(3, key);
        let mut held: Vec<(usize, String)> = Vec::new();
        let (mut scratch, mut found) = (InterestScratch::new(), CoreMask::new());
        for (adds, shard, filter, nth) in steps {
            if adds || held.is_empty() {
                writers[shard].add(&filter);
                held.push((shard, filter));
            } else {
                let (shard, filter) = held.swap_remove(nth % held.len());
                writers[shard].remove(&filter);
            }
            for topic in &topics {
                for _ in 0..3 {
                    index.mask(topic, topic_hash(topic), &mut scratch, &mut found);
                    prop_assert_eq!(found.iter().collect::<Vec<_>>(), mask(&index, topic), "{}", topic);
                }
            }
        }
    }
}

/// Whoever has heard that a filter was added finds its shard, also for a topic it has just remembered.
#[test]
fn a_filter_heard_of_is_found_although_the_topic_is_remembered() {
    ["a/+", "a/b"].into_iter().for_each(is_found_once_heard_of);
}

fn is_found_once_heard_of(filter: &'static str) {
    let (index, writers) = shards(2, [1, 2]);
    let [mut steady, mut new] = <[InterestWriter; 2]>::try_from(writers).expect("two");
    steady.add("+/steady");
    let rounds = 2_000;
    let told = Arc::new(AtomicUsize::new(0));
    let heard = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (told, heard) = (Arc::clone(&told), Arc::clone(&heard));
        std::thread::spawn(move || {
            for round in 1..=rounds {
                new.add(filter);
                told.store(round, Ordering::Release);
                while heard.load(Ordering::Acquire) < round {
                    std::thread::yield_now();
                }
                new.remove(filter);
            }
        })
    };
    let (mut scratch, mut found) = (InterestScratch::new(), CoreMask::new());
    for round in 1..=rounds {
        while told.load(Ordering::Acquire) < round {
            index.mask("a/b", topic_hash("a/b"), &mut scratch, &mut found);
            std::thread::yield_now();
        }
        for _ in 0..3 {
            index.mask("a/b", topic_hash("a/b"), &mut scratch, &mut found);
            assert!(found.contains(1), "{filter}, round {round}");
        }
        heard.store(round, Ordering::Release);
    }
    writer.join().unwrap();
    index.mask("a/b", topic_hash("a/b"), &mut scratch, &mut found);
    assert!(found.is_empty());
}

#[test]
fn a_filter_that_was_not_added_takes_nothing_away() {
    let (index, mut writers) = shards(2, [1, 2]);
    writers[1].add("a/+/x");
    writers[1].add("a/b");
    for filter in ["a/+/y", "a/+/#", "a/c", "+/+/x", "#"] {
        writers[1].remove(filter);
        writers[0].remove(filter);
    }
    assert_eq!(writers[1].changes(), 2);
    assert_eq!((mask(&index, "a/q/x"), mask(&index, "a/b")), (vec![1], vec![1]));
}

#[test]
fn one_reason_left_is_enough() {
    let (index, mut writers) = shards(256, [1, 2]);
    (0..3).for_each(|_| writers[255].add("a/#"));
    (0..2).for_each(|_| writers[255].remove("a/#"));
    assert_eq!(mask(&index, "a"), [255]);
    writers[255].remove("a/#");
    assert_eq!(mask(&index, "a"), []);
}

#[test]
fn past_the_bound_every_shard_is_named() {
    let (index, mut writers) = shards(5, [1, 2]);
    let levels = 12;
    for bits in 0..1 << levels {
        let path: Vec<&str> = (0..levels).map(|at| if bits >> at & 1 == 1 { "+" } else { "a" }).collect();
        writers[3].add(&format!("{}/x/+", path.join("/")));
    }
    let topic = vec!["a"; levels].join("/");
    assert_eq!(mask(&index, &format!("{topic}/y/z")), [0, 1, 2, 3, 4]);
    assert_eq!(mask(&index, "b/y"), []);
}

#[test]
fn the_deepest_filters_and_topics() {
    let (index, mut writers) = shards(2, [1, 2]);
    let deep = vec!["a"; 32_767].join("/");
    writers[1].add(&format!("{}/+", &deep[2..]));
    writers[0].add("+/a/#");
    // Deeper than the bound of the walk: every shard, and rightly both.
    assert_eq!(mask(&index, &deep), [0, 1]);
    writers[1].remove(&format!("{}/+", &deep[2..]));
    assert_eq!(mask(&index, &deep), [0]);
}

#[test]
fn concurrent_writers_and_readers_never_miss_a_steady_filter() {
    let (index, writers) = shards(3, [1, 2]);
    let mut writers = writers.into_iter();
    let mut steady = writers.next().unwrap();
    steady.add("steady/+/x");
    steady.add("steady/1/y");
    let churn = writers.map(|mut writer| {
        std::thread::spawn(move || {
            for round in 0..20_000u32 {
                writer.add(&format!("churn/{round}"));
                writer.add(&format!("+/{round}/x"));
                writer.remove(&format!("+/{round}/x"));
            }
        })
    });
    let churn: Vec<_> = churn.collect();
    let mut scratch = InterestScratch::new();
    let mut found = CoreMask::new();
    while churn.iter().any(|thread| !thread.is_finished()) {
        for topic in ["steady/1/x", "steady/1/y"] {
            index.mask(topic, topic_hash(topic), &mut scratch, &mut found);
            assert!(found.contains(0), "{topic}");
        }
    }
    churn.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(mask(&index, "steady/1/x"), [0]);
    assert_eq!(mask(&index, "churn/19999"), [1, 2]);
}
