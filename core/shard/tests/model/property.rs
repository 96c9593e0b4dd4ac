//! The property test: many seeds, each a broker, its clients and their judge. `RINGMQ_SEED` runs one seed alone,
//! `RINGMQ_CASES` changes how many are run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::drive::{Outcome, run};
use super::judge::{judge, overlaps};

/// How many seeds run when nobody says otherwise: about 20 s of one core with optimisation, some minutes without.
const CASES_DEFAULT: u64 = 20_000;
/// Every so many seeds are run twice.
const TWICE_EVERY: u64 = 10;

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

fn one(seed: u64) -> Outcome {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let outcome = run(seed);
        judge(&outcome);
        outcome
    }));
    result.unwrap_or_else(|reason| {
        eprintln!("seed {seed} failed; run it alone with RINGMQ_SEED={seed}");
        std::panic::resume_unwind(reason)
    })
}

#[test]
fn shards_do_what_the_model_allows() {
    let alone = number_from_environment("RINGMQ_SEED");
    let cases =
        if alone.is_some() { 1 } else { number_from_environment("RINGMQ_CASES").unwrap_or(CASES_DEFAULT) };
    let first = alone.unwrap_or(1);
    let (mut subscribes, mut unsubscribes, mut takeovers) = (0, 0, 0);
    let (mut deliveries, mut steps, mut moves, mut refusals, mut dropped) = (0, 0, 0, 0, 0);
    for seed in first..first + cases {
        let outcome = one(seed);
        if seed % TWICE_EVERY == 0 {
            assert_eq!(one(seed).trace, outcome.trace, "seed {seed} run twice gives two traces");
        }
        let under_way = overlaps(&outcome.history);
        subscribes += under_way.subscribes;
        unsubscribes += under_way.unsubscribes;
        takeovers += under_way.takeovers;
        deliveries += outcome.history.delivered.len();
        steps += outcome.steps;
        moves += outcome.moves;
        refusals += outcome.mesh_refusals;
        dropped += outcome.dropped.queue + outcome.dropped.queue_qos0 + outcome.dropped.mesh;
    }
    println!(
        "{cases} cases, {steps} steps, {deliveries} deliveries, {moves} moves, {refusals} times a lane was full, \
         {dropped} drops; under way during a publish: {subscribes} subscribes, {unsubscribes} unsubscribes, \
         {takeovers} takeovers"
    );
    if alone.is_none() && cases >= 100 {
        assert!(
            subscribes > 0 && unsubscribes > 0 && takeovers > 0,
            "nothing was under way during a publish"
        );
        assert!(
            moves > 0 && refusals > 0 && dropped > 0,
            "no moves, no full lanes or no drops: the runs are too tame"
        );
    }
}
