//! What a workload that repeats cannot tell: memory per subscription and per idle session, and the longest pauses while
//! a million subscriptions come and go. One line per figure: its name, a number, its unit.
//!
//! Memory is what was asked of the allocator, in bytes; what the allocator adds in rounding is not in it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use cap::Cap;
use hdrhistogram::Histogram;
use mimalloc::MiMalloc;
use ringmq_micro::routes::{Tree, Value, empty_tree, value};
use ringmq_micro::shards::Shards;
use ringmq_micro::{Scale, topics};
use ringmq_route::{Interest, InterestWriter};
use ringmq_wire::Qos;

#[global_allocator]
static ALLOCATOR: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

/// How often the pauses are looked at.
const ROUNDS: usize = 3;
/// Sessions whose memory is looked at.
const SESSIONS: usize = 10_000;

fn main() {
    // `cargo bench` says so; a test only wants to know that all of it works.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let scale = if is_measured { Scale::FULL } else { Scale::TINY };
    if !is_measured {
        println!("Small, only to see that all of it works:");
    }
    let (filters, _) = topics::filters(scale.subscriptions);
    memory_of_subscriptions(&filters);
    memory_of_interest(&filters);
    memory_of_sessions(SESSIONS / scale.crowd_divisor);
    pauses(&filters);
}

fn say(name: &str, value: f64, unit: &str) {
    assert!(value > 0.0, "{name} was not measured");
    println!("{name} {value:.1} {unit}");
}

/// Bytes that `make` leaves allocated, per `count`, while its value lives.
fn bytes_each<T>(count: usize, make: impl FnOnce() -> T) -> f64 {
    let before = ALLOCATOR.allocated();
    let made = make();
    let bytes = ALLOCATOR.allocated() - before;
    drop(black_box(made));
    bytes as f64 / count as f64
}

fn subscribe_all(filters: &[String]) -> Tree {
    let mut tree = empty_tree();
    for (who, filter) in filters.iter().enumerate() {
        tree.insert(filter, who as u32, value());
    }
    tree
}

fn memory_of_subscriptions(filters: &[String]) {
    say("memory-subscription", bytes_each(filters.len(), || subscribe_all(filters)), "B");
    let text: usize = filters.iter().map(String::len).sum();
    say("memory-subscription-text", text as f64 / filters.len() as f64, "B");
}

/// The table that all shards share, and what the one shard that has the subscriptions keeps to count them.
fn memory_of_interest(filters: &[String]) {
    let before = ALLOCATOR.allocated();
    let index = Arc::new(Interest::new(4, [1, 2]));
    let mut writer = InterestWriter::new(Arc::clone(&index), 0);
    filters.iter().for_each(|filter| writer.add(filter));
    let both = ALLOCATOR.allocated() - before;
    drop(writer);
    let shared = ALLOCATOR.allocated() - before;
    drop(index);
    say("memory-interest-shared", shared as f64 / filters.len() as f64, "B");
    say("memory-interest-own", (both - shared) as f64 / filters.len() as f64, "B");
}

/// Connected clients of 3.1.1, each with a subscription of its own, all in one shard without sockets.
fn memory_of_sessions(count: usize) {
    let connected = bytes_each(count, || {
        let mut shards = Shards::new(1);
        for number in 0..count {
            shards.connect(&format!("client-{number:08}"));
        }
        shards
    });
    say("memory-idle-session", connected, "B");
    let subscribed = bytes_each(count, || {
        let mut shards = Shards::new(1);
        for (number, topic) in topics::new_topics(count).iter().enumerate() {
            let client = shards.connect(&format!("client-{number:08}"));
            shards.subscribe(client, topic, Qos::AtLeastOnce);
        }
        shards
    });
    say("memory-idle-session-one-subscription", subscribed, "B");
}

/// The tree grows from nothing to all filters and shrinks again, in some rounds that are all the same; each step is
/// timed alone, and its best time over the rounds counts. A pause of the tree's own comes in each round, one of the
/// machine's, which gives the CPU to somebody else, does not.
fn pauses(filters: &[String]) {
    let mut subscribe = vec![u32::MAX; filters.len()];
    let mut unsubscribe = subscribe.clone();
    for _ in 0..ROUNDS {
        let mut tree = empty_tree();
        timed(&mut subscribe, filters, |who, filter| tree.insert(filter, who, value()));
        timed(&mut unsubscribe, filters, |who, filter| tree.remove(filter, who));
        assert!(tree.is_empty());
    }
    report("subscribe", &subscribe);
    report("unsubscribe", &unsubscribe);
}

fn timed(best: &mut [u32], filters: &[String], mut step: impl FnMut(u32, &str) -> Option<Value>) {
    for (who, (filter, best)) in filters.iter().zip(best).enumerate() {
        let started = Instant::now();
        black_box(step(who as u32, filter));
        *best = (*best).min(started.elapsed().as_nanos() as u32);
    }
}

fn report(name: &str, times: &[u32]) {
    let mut histogram =
        Histogram::<u64>::new_with_bounds(1, u64::from(u32::MAX), 3).expect("bounds in order");
    times.iter().for_each(|time| histogram.saturating_record(u64::from(*time)));
    say(&format!("{name}-median"), histogram.value_at_quantile(0.5) as f64, "ns");
    say(&format!("{name}-p99.99"), histogram.value_at_quantile(0.9999) as f64, "ns");
    say(&format!("{name}-longest"), histogram.max() as f64, "ns");
}
