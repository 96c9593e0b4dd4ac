//! The memory budget: each rung of its ladder, up and down, what it gives up and what it leaves alone.

use ringmq_shard::QueuePolicy;
use ringmq_shard::budget::Rung;
use ringmq_wire::Version;

use super::{id_on, payloads, publishes, read_all, subscribe};
use crate::harness::packets::{self, AckKind};
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Post, Seen};

const BUDGET: u64 = 8 << 20;
const PAYLOAD: usize = 20_000;

fn setup(shards: usize, seed: u64) -> Setup {
    let mut setup = Setup::new(shards, seed);
    setup.settings.memory_max = BUDGET;
    setup.settings.publish_hold = 1_000;
    setup.settings.inflight_messages_max = 5;
    setup
}

fn rung(world: &World) -> Rung {
    world.common.counters.budget.rung()
}

/// A session without connection, on the last shard, that is subscribed to its own topic.
fn forgotten(world: &mut World, number: usize, shards: usize) {
    let hello = Hello::new(Version::V311, &id_on(&format!("away{number}-"), shards - 1, shards)).persistent();
    let net = world.join(0, &hello);
    subscribe(world, net, &format!("away/{number}"), 1);
    world.hang_up(net, 0);
    world.run();
}

fn post(topic: &str, qos: u8, id: u16) -> Vec<u8> {
    Post::new(topic, vec![b'x'; PAYLOAD], qos, id).encode(Version::V5)
}

fn is_acknowledged(seen: &[Seen]) -> bool {
    seen.iter().any(|seen| matches!(seen, Seen::Ack(AckKind::Puback, _, 0)))
}

/// Publishes to the forgotten session until the budget gives this rung; returns how many messages that took.
fn fill(world: &mut World, writer: NetId, until: Rung) -> u32 {
    for count in 0..2_000u32 {
        if rung(world) >= until {
            return count;
        }
        let topic = format!("away/{}", count % 2);
        assert!(is_acknowledged(&world.ask(writer, &post(&topic, 1, (count % 60_000 + 1) as u16))));
    }
    panic!("{until:?} is not reached with {} bytes", world.common.counters.budget.bytes());
}

/// The forgotten sessions end, and their shards have told of it.
fn forget(world: &mut World, shards: usize) {
    for number in 0..2 {
        let id = id_on(&format!("away{number}-"), shards - 1, shards);
        let net = world.join(0, &Hello::new(Version::V311, &id));
        world.hang_up(net, 0);
        world.run();
    }
}

fn told(world: &World, text: &str) -> usize {
    world.logs.iter().filter(|(_, line)| line.contains(text)).count()
}

#[test]
fn new_clients_are_refused_and_known_ones_are_not_until_memory_is_free_again() {
    for shards in [1, 2] {
        let mut world = World::new(&setup(shards, 1));
        (0..2).for_each(|number| forgotten(&mut world, number, shards));
        let known = Hello::new(Version::V5, "known").persistent();
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        let first = world.join(0, &known);
        world.hang_up(first, 0);
        world.run();
        fill(&mut world, writer, Rung::Refuse);
        for (version, code) in [(Version::V5, 0x97), (Version::V311, 0x88), (Version::V31, 0x88)] {
            let stranger = world.dial(0, version);
            let seen = world.ask(stranger, &Hello::new(version, "stranger").encode());
            assert!(matches!(&seen[..], [Seen::Connack(connack)] if connack.reason == code), "{seen:?}");
            assert!(world.nets[stranger.0].closed());
        }
        assert_eq!(world.counter(|c| &c.memory_refused), 3);
        let back = world.join(0, &known);
        assert_eq!(world.ask(back, &packets::pingreq(Version::V5)), [Seen::Pingresp]);
        assert_eq!(told(&world, "new clients are refused"), 1);
        forget(&mut world, shards);
        assert_eq!(rung(&world), Rung::Free, "{}", world.common.counters.budget.bytes());
        world.join(0, &Hello::new(Version::V5, "stranger"));
        assert_eq!(told(&world, "everything is served again"), 1);
        assert_eq!(world.counter(|c| &c.memory_rung_changes), 2);
    }
}

#[test]
fn what_can_be_lost_is_dropped_and_honest_pairs_go_on() {
    for shards in [1, 2] {
        let mut world = World::new(&setup(shards, 2));
        (0..2).for_each(|number| forgotten(&mut world, number, shards));
        let reader = world.join(0, &Hello::new(Version::V5, &id_on("reader", 0, shards)));
        subscribe(&mut world, reader, "live", 1);
        let slow = world.join(0, &Hello::new(Version::V5, &id_on("slow", 0, shards)));
        subscribe(&mut world, slow, "slow", 0);
        let writer = world.join(0, &Hello::new(Version::V5, "writer"));
        fill(&mut world, writer, Rung::Shed);
        let bytes = world.common.counters.budget.bytes();
        for id in 1..=500 {
            let topic = format!("away/{}", id % 2);
            assert!(is_acknowledged(&world.ask(writer, &post(&topic, 1, id))), "the policy says drop");
            assert!(is_acknowledged(&world.ask(writer, &post("live", 1, id))));
            assert_eq!(read_all(&mut world, reader).len(), 1, "who keeps up gets everything");
        }
        assert_eq!(world.counter(|c| &c.dropped_queue), 500);
        world.nets[slow.0].stalled = true;
        for _ in 0..500 {
            world.send(writer, &post("slow", 0, 0));
            world.run();
        }
        assert!(world.counter(|c| &c.dropped_queue_qos0) > 400);
        assert!(world.counter(|c| &c.memory_shed) > 900);
        let after = world.common.counters.budget.bytes();
        assert!(after < bytes + (1 << 20) && rung(&world) < Rung::Hold, "{bytes} became {after}");
        let seen =
            world.ask(writer, &packets::subscribe(Version::V5, 9, &[("new", packets::with_qos(0))], None));
        assert_eq!(seen, [Seen::Suback(9, vec![0x97])]);
        let retained = world.ask(writer, &Post::new("kept", "x", 1, 9).retained().encode(Version::V5));
        assert!(matches!(retained[..], [Seen::Ack(AckKind::Puback, 9, 0x97)]), "{retained:?}");
        world.nets[slow.0].stalled = false;
        world.run();
        assert!(!publishes(world.seen(slow)).is_empty());
        forget(&mut world, shards);
        assert_eq!(rung(&world), Rung::Free);
        world.ask(writer, &Post::new("kept", "x", 1, 9).retained().encode(Version::V5));
        assert_eq!(world.counter(|c| &c.retained), 1);
    }
}

/// Clients that are there and acknowledge nothing fill the memory, whatever is dropped for those that are away.
fn laggards(world: &mut World, count: usize) -> Vec<NetId> {
    (0..count)
        .map(|number| {
            let net = world.join(0, &Hello::new(Version::V5, &format!("lag{number}")).receive_maximum(1));
            subscribe(world, net, &format!("lag/{number}"), 1);
            net
        })
        .collect()
}

#[test]
fn publishers_wait_for_those_that_lag_and_nothing_is_acknowledged_that_was_not_taken() {
    for shards in [1, 2] {
        let mut setup = setup(shards, 3);
        setup.settings.queue_policy = QueuePolicy::Refuse;
        let mut world = World::new(&setup);
        let lagging = laggards(&mut world, 4);
        let reader = world.join(0, &Hello::new(Version::V5, &id_on("reader", 0, shards)));
        subscribe(&mut world, reader, "live", 1);
        let honest = world.join(0, &Hello::new(Version::V5, &id_on("honest", shards - 1, shards)));
        let writers: Vec<NetId> =
            (0..4).map(|number| world.join(0, &Hello::new(Version::V5, &format!("w{number}")))).collect();
        let last = world.join(0, &Hello::new(Version::V5, "last"));
        let (mut taken, mut refused) = ([0; 4], 0);
        for round in 0..400u16 {
            for (number, &writer) in writers.iter().enumerate() {
                world.send(writer, &post(&format!("lag/{number}"), 1, round + 1));
            }
            world.run();
            assert!(world.common.counters.budget.bytes() <= BUDGET + (1 << 20));
            assert!(is_acknowledged(&world.ask(honest, &post("live", 1, round + 1))), "round {round}");
            assert_eq!(read_all(&mut world, reader).len(), 1);
            for (number, &writer) in writers.iter().enumerate() {
                for seen in world.seen(writer) {
                    match seen {
                        Seen::Ack(AckKind::Puback, _, 0) => taken[number] += 1,
                        Seen::Ack(AckKind::Puback, _, 0x97) => refused += 1,
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
        assert_eq!(rung(&world), Rung::Hold);
        assert!(world.counter(|c| &c.publish_held) > 0 && refused == 0, "they wait: {taken:?}");
        world.ask(last, &post("lag/0", 1, 1));
        let seen = world.ask(last, &packets::pingreq(Version::V5));
        assert_eq!(seen, [Seen::Pingresp], "and are heard");
        // The deadline comes: what was not taken is refused.
        world.pass(1_100, 100);
        for &writer in &writers {
            let is_refused = |seen: &&Seen| matches!(seen, Seen::Ack(AckKind::Puback, _, 0x97));
            refused += world.seen(writer).iter().filter(is_refused).count();
        }
        assert!(refused > 0);
        // Whoever reads gets all that was acknowledged, and the ladder goes down.
        for (number, &lag) in lagging.iter().enumerate() {
            let got = payloads(&read_all(&mut world, lag)).len();
            assert!(got >= taken[number], "{got} of {}", taken[number]);
        }
        assert_eq!(rung(&world), Rung::Free, "{}", world.common.counters.budget.bytes());
        assert_eq!(world.counter(|c| &c.inflight), 0);
    }
}

#[test]
fn a_message_that_many_keep_counts_once_and_what_is_gone_does_not_count() {
    let mut setup = Setup::new(1, 4);
    setup.settings.memory_max = 1 << 40;
    let mut world = World::new(&setup);
    let held = |world: &World| world.counter(|c| &c.memory_bytes);
    let writer = world.join(0, &Hello::new(Version::V5, "writer"));
    let mut readers = Vec::new();
    for number in 0..50 {
        let net = world.join(0, &Hello::new(Version::V5, &format!("away{number}")).persistent());
        subscribe(&mut world, net, "t", 1);
        readers.push(net);
    }
    for &net in &readers {
        world.hang_up(net, 0);
    }
    world.run();
    let before = held(&world);
    for id in 1..=100 {
        world.ask(writer, &post("t", 1, id));
    }
    let grown = held(&world) - before;
    let once = 100 * PAYLOAD as u64;
    assert!(grown > once && grown < once + 100 * 50 * 200, "{grown} for {once}");
    for number in 0..50 {
        let net = world.join(0, &Hello::new(Version::V5, &format!("away{number}")).persistent());
        assert_eq!(read_all(&mut world, net).len(), 100);
        world.hang_up(net, 0);
        world.run();
    }
    let left = held(&world);
    assert!(left < before + (1 << 20) + 50 * 1024, "{left} is left of {before}: the pool's, and no more");
}
