//! No memory is taken or given back for a QoS 0 publish once a shard has warmed up: counted by the allocator,
//! over every way a message can take through one shard and through two.
#![forbid(unsafe_code)]

mod traffic;

use std::alloc::System;

use ringmq_wire::{Qos, Version};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use traffic::Rig;
use traffic::loads::Load;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Rounds after which queues, buffers and tables have the size that the load needs.
const WARM_UP_ROUNDS: usize = 300;
/// Publishes that are counted.
const PUBLISHES: usize = 2_000;

/// What the allocator did for a number of publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    taken: usize,
    given_back: usize,
    grown: usize,
}

fn count(load: Load) -> Count {
    let mut rig = Rig::new(load);
    let warmed_up: u64 = (0..WARM_UP_ROUNDS).map(|_| rig.round()).sum();
    assert!(warmed_up > 0, "{load:?}");
    let rounds = PUBLISHES.div_ceil(rig.publishes_per_round());
    let mut delivered = 0;
    let region = Region::new(ALLOCATOR);
    for _ in 0..rounds {
        delivered += rig.round();
    }
    let change = region.change();
    let expected = rounds * rig.publishes_per_round() * load.deliveries_per_publish();
    assert_eq!((delivered, rig.dropped()), (expected as u64, 0), "{load:?}");
    Count { taken: change.allocations, given_back: change.deallocations, grown: change.reallocations }
}

fn v5(load: Load) -> Load {
    Load { version: Version::V5, properties: true, ..load }
}

/// The variants in which every shape is counted.
fn variants(load: Load) -> [Load; 8] {
    let large = Load { payload_bytes: 1024, ..load };
    let batched = Load { per_read: 8, ..load };
    let aliases = Load { aliases: true, ..v5(load) };
    let crossing = Load { shards: 2, ..load };
    [load, large, batched, v5(load), v5(large), aliases, crossing, Load { shards: 2, ..v5(batched) }]
}

fn counted(qos: Qos) -> Vec<(Load, Count)> {
    let shapes = [Load::pairs(), Load::fan_in(), Load::fan_out(), Load::shared()];
    let loads = shapes.into_iter().flat_map(variants).map(|load| Load { qos, ..load });
    loads.map(|load| (load, count(load))).collect()
}

// Without the usual test harness: the allocator counts for the whole process, and a harness has a thread of its own
// that says now and then that a test takes long.
fn main() {
    no_memory_is_taken_for_a_publish();
    println!("test result: ok. 1 passed; 0 failed; 0 ignored: no_memory_is_taken_for_a_publish");
}

fn no_memory_is_taken_for_a_publish() {
    let mut wrong = Vec::new();
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        for (load, count) in counted(qos) {
            if count != Count::default() {
                wrong.push(format!("{count:?} for {PUBLISHES} publishes of {load:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} loads take memory:\n{}", wrong.len(), wrong.join("\n"));
}
