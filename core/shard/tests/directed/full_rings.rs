//! Lanes between shards full in all directions at once, while the queues behind them are full too and nobody
//! reads: no shard waits for another, and nothing is lost uncounted.

use ringmq_shard::QueuePolicy;

use super::feeders::{Feeder, HABITS, HOLD, Habit, POLICIES, check_account, time_to_end, tiny};
use crate::harness::world::World;

/// One client at each shard, and each publishes to the next and the next but one.
fn ring(shards: usize, policy: QueuePolicy, qos: u8, habit: Habit, seed: u64) -> (World, Vec<Feeder>) {
    let mut setup = tiny(shards, policy, 1024, seed);
    setup.lane_capacity = 1;
    setup.settings.mesh_batch_bytes = 64;
    setup.settings.mesh_spill_bytes_max = 64;
    let mut world = World::new(&setup);
    let join = |n: usize| Feeder::join(&mut world, &format!("c{n}-"), n, &format!("to/{n}"), qos, habit);
    let circle: Vec<Feeder> = (0..shards).map(join).collect();
    for (n, feeder) in circle.iter().enumerate() {
        let to = |step: usize| format!("to/{}", (n + step) % shards);
        feeder.flood_two(&mut world, &to(1), &to(shards - 1), qos);
    }
    (world, circle)
}

#[test]
fn full_lanes_full_queues_and_nobody_reads() {
    let mut seed = 0;
    for shards in [2, 4] {
        for policy in POLICIES {
            for qos in [1, 2] {
                for habit in HABITS {
                    seed += 1;
                    let label = format!("{shards} shards, {policy:?}, QoS {qos}, {habit:?}");
                    let (mut world, mut circle) = ring(shards, policy, qos, habit, seed);
                    let passed = time_to_end(&mut world, &mut circle, 100 * HOLD);
                    assert!(passed <= 4 * HOLD, "{label}: {passed} ms, a hold is {HOLD} ms");
                    assert!(world.lanes.borrow().refused > 0, "{label}: the lanes were never full");
                    check_account(&mut world, &mut circle, &label);
                }
            }
        }
    }
}
