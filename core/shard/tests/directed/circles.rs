//! Circles of waiting: a client that feeds itself, and clients that feed each other, with every queue in the
//! circle full. Nobody outside waits, every hold ends by its deadline, and every message is accounted for.

use super::feeders::{Feeder, HOLD, Habit, check_account, each, time_to_end, tiny};
use crate::harness::world::World;

#[test]
fn a_client_that_fills_its_own_queue_past_its_park_buffer_waits_for_nobody() {
    each(|shards, policy, qos, habit, seed, label| {
        let mut world = World::new(&tiny(shards, policy, 1024, seed));
        let feeder = Feeder::join(&mut world, "self", shards - 1, "own", qos, habit);
        feeder.flood(&mut world, "own", qos);
        let mut circle = [feeder];
        let passed = time_to_end(&mut world, &mut circle, 20 * HOLD);
        assert!(passed <= HOLD + 200, "{label}: {passed} ms, a hold is {HOLD} ms");
        check_account(&mut world, &mut circle, label);
    });
}

#[test]
fn a_client_that_fills_its_own_queue_waits_for_one_hold_at_most() {
    each(|shards, policy, qos, habit, seed, label| {
        let mut world = World::new(&tiny(shards, policy, 1 << 20, seed));
        let feeder = Feeder::join(&mut world, "self", shards - 1, "own", qos, habit);
        feeder.flood(&mut world, "own", qos);
        let mut circle = [feeder];
        let passed = time_to_end(&mut world, &mut circle, 20 * HOLD);
        assert!(passed <= HOLD + 200, "{label}: {passed} ms, a hold is {HOLD} ms");
        check_account(&mut world, &mut circle, label);
    });
}

#[test]
fn clients_that_feed_each_other_wait_for_one_hold_at_most() {
    for clients in [2, 3] {
        each(|shards, policy, qos, habit, seed, label| {
            let label = format!("{clients} clients, {label}");
            let mut world = World::new(&tiny(shards, policy, 1024, seed));
            let mut circle: Vec<Feeder> = (0..clients)
                .map(|n| {
                    Feeder::join(&mut world, &format!("c{n}-"), n % shards, &format!("to/{n}"), qos, habit)
                })
                .collect();
            for (n, feeder) in circle.iter().enumerate() {
                feeder.flood(&mut world, &format!("to/{}", (n + 1) % clients), qos);
            }
            let passed = time_to_end(&mut world, &mut circle, 100 * HOLD);
            // Acknowledgements of a QoS 2 exchange are two more steps, each behind a full park buffer.
            assert!(passed <= 4 * HOLD, "{label}: {passed} ms, a hold is {HOLD} ms");
            check_account(&mut world, &mut circle, &label);
        });
    }
}

#[test]
fn a_client_that_feeds_itself_through_a_group_of_another_shard_waits_for_nobody() {
    for qos in [1, 2] {
        for seed in 0..4 {
            let mut world = World::new(&tiny(2, ringmq_shard::QueuePolicy::Drop, 1024, seed));
            // One of these groups is owned by the other shard.
            let topics = ["own/1", "own/2", "own/3", "own/4"];
            let topic = topics[seed as usize];
            let feeder =
                Feeder::join(&mut world, "self", 0, &format!("$share/group/{topic}"), qos, Habit::Late);
            feeder.flood(&mut world, topic, qos);
            let mut circle = [feeder];
            let passed = time_to_end(&mut world, &mut circle, 20 * HOLD);
            assert!(passed <= HOLD + 200, "QoS {qos}, {topic}: {passed} ms");
            check_account(&mut world, &mut circle, topic);
        }
    }
}
