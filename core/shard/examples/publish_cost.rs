//! What a message costs a shard, for an instruction counter:
//!
//! ```text
//! cargo build --release -p ringmq-shard --example publish_cost
//! valgrind --tool=callgrind --toggle-collect='*shard_work*' target/release/examples/publish_cost pairs 100
//! ```
//!
//! Prints how many publishes and deliveries were made while it counted; the instructions divided by that are
//! the cost. Without an instruction counter it prints nanoseconds per delivery, of which half and more are
//! the clients' own.
#![forbid(unsafe_code)]
// The load and the number of rounds come from the command line, and the time is for the reader alone.
#![allow(clippy::disallowed_methods)]

#[path = "../tests/traffic/mod.rs"]
mod traffic;

use std::time::Instant;

use ringmq_wire::{Qos, Version};
use traffic::Rig;
use traffic::loads::Load;

const USAGE: &str = "usage: publish_cost pairs|in|out|shared[,v5][,qos1|,qos2][,crossing][,1k] ROUNDS";

fn load(name: &str) -> Option<Load> {
    let mut parts = name.split(',');
    let mut load = match parts.next()? {
        "pairs" => Load { per_read: 8, ..Load::pairs() },
        "in" => Load { per_read: 8, ..Load::fan_in() },
        "out" => Load { per_read: 8, ..Load::fan_out() },
        "shared" => Load { per_read: 8, ..Load::shared() },
        _ => return None,
    };
    for part in parts {
        match part {
            "v5" => (load.version, load.properties) = (Version::V5, true),
            "aliases" => load.aliases = true,
            "qos1" => load.qos = Qos::AtLeastOnce,
            "qos2" => load.qos = Qos::ExactlyOnce,
            "crossing" => load.shards = 2,
            "1k" => load.payload_bytes = 1024,
            _ => return None,
        }
    }
    Some(load)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match arguments.as_slice() {
        [name, rounds] => load(name).zip(rounds.parse::<usize>().ok()),
        _ => None,
    };
    let Some((load, rounds)) = parsed else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    let mut rig = Rig::new(load);
    let started = Instant::now();
    let delivered: u64 = (0..rounds).map(|_| rig.round()).sum();
    let nanoseconds = started.elapsed().as_nanos() as f64;
    let publishes = rounds * rig.publishes_per_round();
    let expected = (publishes * load.deliveries_per_publish()) as u64;
    assert_eq!((delivered, rig.dropped()), (expected, 0), "nothing is lost");
    println!(
        "{publishes} publishes, {delivered} deliveries, {:.0} ns per delivery",
        nanoseconds / delivered as f64
    );
}
