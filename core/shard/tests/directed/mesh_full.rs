//! Lanes that are full in both directions: no deadlock, no loss, and what QoS 0 loses is counted.

use ringmq_wire::Version;

use super::{publishes, read_all, subscribe};
use crate::harness::world::{Setup, World};
use crate::harness::{AckKind, Hello, NetId, Post, Seen};

fn tiny(seed: u64) -> Setup {
    let mut setup = Setup::new(2, seed);
    setup.lane_capacity = 1;
    setup.settings.mesh_batch_bytes = 64;
    setup.settings.mesh_spill_bytes_max = 64;
    setup.settings.queue_messages_max = 100_000;
    setup
}

fn pair(world: &mut World) -> [NetId; 2] {
    [0, 1].map(|shard| {
        let net = world.join(shard, &Hello::new(Version::V5, &super::id_on("client", shard, 2)));
        subscribe(world, net, &format!("to/{shard}"), 1);
        net
    })
}

#[test]
fn both_lanes_full_lose_nothing_at_qos_1() {
    for seed in 0..20 {
        let mut world = World::new(&tiny(seed));
        let nets = pair(&mut world);
        for id in 1..=200u16 {
            for (index, net) in nets.iter().enumerate() {
                let post = Post::new(&format!("to/{}", 1 - index), id.to_string(), 1, id);
                world.send(*net, &post.encode(Version::V5));
            }
        }
        let mut acks = [0, 0];
        let mut got = [Vec::new(), Vec::new()];
        loop {
            world.run();
            let mut any = false;
            for index in 0..2 {
                for packet in world.seen(nets[index]) {
                    any = true;
                    match packet {
                        Seen::Ack(AckKind::Puback, id, 0) => {
                            acks[index] += 1;
                            assert_eq!(id, acks[index], "[MQTT-4.6.0-2]");
                        }
                        Seen::Publish(publish) => {
                            let ack = crate::harness::packets::ack(
                                Version::V5,
                                AckKind::Puback,
                                publish.id,
                                ringmq_wire::ReasonCode::SUCCESS,
                            );
                            world.send(nets[index], &ack);
                            got[index].push(String::from_utf8(publish.payload).expect("text"));
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            if !any {
                break;
            }
        }
        assert_eq!(acks, [200, 200], "seed {seed}");
        let expected: Vec<String> = (1..=200).map(|id| id.to_string()).collect();
        assert!(got[0] == expected && got[1] == expected, "seed {seed}: complete and in order");
        assert!(world.lanes.borrow().refused > 0, "the lanes were never full");
    }
}

#[test]
fn qos_0_is_delivered_or_counted() {
    for seed in 0..10 {
        let mut world = World::new(&tiny(seed));
        let nets = pair(&mut world);
        for number in 0..300 {
            for (index, net) in nets.iter().enumerate() {
                let post = Post::new(&format!("to/{}", 1 - index), format!("{number}"), 0, 0);
                world.send(*net, &post.encode(Version::V5));
            }
        }
        world.run();
        let got: usize = nets.iter().map(|net| publishes(world.seen(*net)).len()).sum();
        let dropped = world.counter(|c| &c.dropped_mesh) + world.counter(|c| &c.dropped_queue_qos0);
        assert_eq!(got as u64 + dropped, 600, "seed {seed}");
        assert!(got > 0);
    }
}

#[test]
fn retained_reads_and_takeovers_pass_full_lanes() {
    for seed in 0..10 {
        let mut setup = tiny(seed).moving(seed % 2 == 0);
        setup.settings.retained_page_messages = 2;
        let mut world = World::new(&setup);
        let nets = pair(&mut world);
        for id in 1..=60u16 {
            for (index, net) in nets.iter().enumerate() {
                let post = Post::new(&format!("kept/{index}/{id}"), "x", 1, id).retained();
                world.send(*net, &post.encode(Version::V5));
            }
        }
        let readers = [0, 1].map(|shard| {
            let reader = world.dial(shard, Version::V5);
            let id = super::id_on("reader", 1 - shard, 2);
            world.send(reader, &Hello::new(Version::V5, &id).encode());
            let filters = [("kept/#", crate::harness::packets::with_qos(1))];
            world.send(reader, &crate::harness::packets::subscribe(Version::V5, 1, &filters, None));
            reader
        });
        let mut topics = std::collections::BTreeSet::new();
        for reader in readers {
            topics.extend(read_all(&mut world, reader).into_iter().map(|publish| publish.topic));
        }
        for net in nets {
            let _ = read_all(&mut world, net);
        }
        assert_eq!(topics.len(), 120, "seed {seed}");
        assert_eq!(world.counter(|c| &c.retained), 120, "seed {seed}");
    }
}

#[test]
fn a_batch_is_closed_by_the_payloads_beside_it_too() {
    const PAYLOAD: usize = 10_000;
    let mut setup = Setup::new(2, 7);
    setup.settings.queue_messages_max = 1_000;
    let mut world = World::new(&setup);
    let nets = pair(&mut world);
    for number in 1..=100u16 {
        let post = Post::new("to/1", vec![number as u8; PAYLOAD], 1, number);
        world.send(nets[0], &post.encode(Version::V5));
    }
    assert_eq!(read_all(&mut world, nets[1]).len(), 100);
    let seen = world.lanes.borrow().batch_bytes_seen_max;
    let bound = world.common.settings.mesh_batch_bytes + PAYLOAD + 200;
    assert!(seen > PAYLOAD && seen <= bound, "{seen} bytes in one slot of a lane, {bound} at most");
}
