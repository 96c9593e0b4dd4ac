//! Whole turns of shards: publishes in, and everything that follows until all is written and acknowledged.

use ringmq_wire::Qos;

use crate::shards::{Client, Shards, puback, publish};
use crate::{Prepared, Workload};

const CLIENTS: usize = 100;
/// Publishes in one run of the fan-out.
const FAN_OUT_PUBLISHES: usize = 4;

pub(crate) const WORKLOADS: &[Workload] = &[
    turn("turn-p2p-qos-0", |_| pairs(1, Qos::AtMostOnce)),
    turn("turn-p2p-qos-1", |_| pairs(1, Qos::AtLeastOnce)),
    turn("turn-fan-in-qos-0", |_| fan_in(Qos::AtMostOnce)),
    turn("turn-fan-in-qos-1", |_| fan_in(Qos::AtLeastOnce)),
    turn("turn-fan-out-qos-0", |_| fan_out(Qos::AtMostOnce)),
    turn("turn-fan-out-qos-1", |_| fan_out(Qos::AtLeastOnce)),
    turn("turn-other-shard-qos-0", |_| pairs(2, Qos::AtMostOnce)),
    turn("turn-other-shard-qos-1", |_| pairs(2, Qos::AtLeastOnce)),
];

const fn turn(name: &'static str, prepare: fn(&crate::Scale) -> Prepared) -> Workload {
    Workload {
        name,
        operation: "one message delivered in a turn of many, QoS 1 acknowledged",
        is_counted: true,
        prepare,
    }
}

/// What is published in one run: by whom, and the bytes.
type Posts = Vec<(Client, Vec<u8>)>;

/// Runs the posts as one turn and checks that each time as many bytes come out as must.
fn turns(mut shards: Shards, posts: Posts, deliveries: usize, qos: Qos) -> Prepared {
    let publishes = posts.len();
    let message = posts[0].1.len() * deliveries;
    let acks = if qos == Qos::AtMostOnce { 0 } else { puback().len() * publishes };
    Prepared::steady(deliveries, move || {
        let before = shards.written();
        for (client, bytes) in &posts {
            shards.send(*client, bytes);
        }
        shards.turns();
        assert_eq!(shards.written() - before, (message + acks) as u64, "all is delivered and acknowledged");
    })
}

/// Each publisher has its own topic and subscriber, which lives at the last shard.
fn pairs(shard_count: usize, qos: Qos) -> Prepared {
    let mut shards = Shards::new(shard_count);
    let mut posts = Vec::new();
    for number in 0..CLIENTS {
        let topic = format!("region01/plant001/device{number:05}/temperature");
        let subscriber = shards.connect_at(shard_count - 1, &format!("subscriber-{number}"));
        shards.subscribe(subscriber, &topic, qos);
        posts.push((shards.connect_at(0, &format!("publisher-{number}")), publish(&topic, qos)));
    }
    turns(shards, posts, CLIENTS, qos)
}

/// Many publishers with topics of their own, one subscriber for all.
fn fan_in(qos: Qos) -> Prepared {
    let mut shards = Shards::new(1);
    let subscriber = shards.connect("subscriber");
    shards.subscribe(subscriber, "region01/#", qos);
    let posts = (0..CLIENTS)
        .map(|number| {
            let topic = format!("region01/plant001/device{number:05}/temperature");
            (shards.connect(&format!("publisher-{number}")), publish(&topic, qos))
        })
        .collect();
    turns(shards, posts, CLIENTS, qos)
}

/// One publisher, many subscribers of its topic.
fn fan_out(qos: Qos) -> Prepared {
    let mut shards = Shards::new(1);
    let topic = "region01/plant001/device00001/temperature";
    for number in 0..CLIENTS {
        let subscriber = shards.connect(&format!("subscriber-{number}"));
        shards.subscribe(subscriber, topic, qos);
    }
    let publisher = shards.connect("publisher");
    let posts = vec![(publisher, publish(topic, qos)); FAN_OUT_PUBLISHES];
    turns(shards, posts, CLIENTS * FAN_OUT_PUBLISHES, qos)
}
