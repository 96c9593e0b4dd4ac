//! Packets whose end does not come, of many clients at once: together they take no more than `unread_bytes_max`, who
//! has kept the shard waiting for longest goes first, and whoever sends whole packets is served.

use ringmq_wire::{ReasonCode, Version};

use super::{id_on, payloads, publishes, subscribe};
use crate::harness::world::{Setup, World};
use crate::harness::{Hello, NetId, Post, Seen, packets};

const BOUND: usize = 1 << 20;
const PACKET: usize = 256 << 10;
/// A Vec of the standard library doubles, and an inbox takes at most four times what has arrived.
const EACH: usize = 100 << 10;

fn setup(shards: usize, moving: bool, seed: u64) -> Setup {
    let mut setup = Setup::new(shards, seed).moving(moving);
    setup.settings.unread_bytes_max = BOUND;
    setup.settings.park_bytes_max = PACKET;
    setup.settings.offer.packet_bytes_max = PACKET as u32;
    setup
}

/// The beginning of a packet of `PACKET` bytes, which the client never ends.
fn beginning(bytes: usize) -> Vec<u8> {
    let mut packet = Post::new("claimed", vec![0; PACKET - 100], 0, 0).encode(Version::V5);
    packet.truncate(bytes);
    packet
}

fn unread(world: &World) -> usize {
    world.counter(|c| &c.unread_bytes) as usize
}

fn join(world: &mut World, name: &str, shards: usize) -> NetId {
    // All live on the last shard, and come to the first.
    world.join(0, &Hello::new(Version::V5, &id_on(name, shards - 1, shards)))
}

fn was_told(world: &mut World, net: NetId) -> bool {
    let code = ReasonCode::QUOTA_EXCEEDED.value();
    world.seen(net).iter().any(|seen| matches!(seen, Seen::Disconnect(reason) if *reason == code))
}

#[test]
fn incomplete_packets_of_all_take_no_more_than_their_bound() {
    for (shards, moving) in [(1, true), (2, true), (2, false)] {
        let mut world = World::new(&setup(shards, moving, 7));
        let clients: Vec<NetId> = (0..40).map(|n| join(&mut world, &format!("claim{n}-"), shards)).collect();
        for &client in &clients {
            world.send(client, &beginning(EACH));
            world.run();
            assert!(unread(&world) <= BOUND, "{} at {shards} shards, moving {moving}", unread(&world));
            world.advance(1);
        }
        let told: Vec<bool> = clients.iter().map(|&client| was_told(&mut world, client)).collect();
        let closed = told.iter().filter(|told| **told).count();
        assert!(closed >= clients.len() - BOUND / EACH && !told[39], "{told:?}");
        assert!(told.is_sorted_by(|a, b| a >= b), "the first are the oldest: {told:?}");
        assert_eq!(world.counter(|c| &c.unread_closed), closed as u64);
        assert!(world.logs.iter().any(|(_, line)| line.contains("unread_bytes_max")));
        // What the last ones have is completed and taken.
        let whole = Post::new("claimed", vec![0; PACKET - 100], 0, 0).encode(Version::V5);
        let last = clients[39];
        world.send(last, &whole[EACH..]);
        assert_eq!(world.ask(last, &packets::pingreq(Version::V5)), vec![Seen::Pingresp]);
        for &client in &clients {
            world.hang_up(client, 0);
        }
        world.run();
        assert_eq!(unread(&world), 0, "nothing is counted that is gone");
    }
}

#[test]
fn who_sends_whole_packets_in_pieces_is_through_while_others_claim() {
    let mut world = World::new(&setup(1, true, 8));
    let (reader, writer) = (join(&mut world, "reader", 1), join(&mut world, "writer", 1));
    subscribe(&mut world, reader, "t", 0);
    let packet = Post::new("t", vec![7; 20_000], 0, 0).encode(Version::V5);
    for round in 0..50 {
        let claimant = join(&mut world, &format!("claim{round}-"), 1);
        world.send(claimant, &beginning(EACH));
        for piece in packet.chunks(3_000) {
            world.send(writer, piece);
            world.run();
        }
        world.advance(1);
    }
    let seen = world.seen(reader);
    assert_eq!(publishes(seen).len(), 50);
    assert!(world.counter(|c| &c.unread_closed) >= 30);
    assert!(!world.nets[writer.0].closed() && !world.nets[reader.0].closed());
}

#[test]
fn one_who_drips_for_long_and_holds_little_stays() {
    let mut world = World::new(&setup(1, true, 9));
    let slow = join(&mut world, "slow", 1);
    let packet = Post::new("t", vec![7; 1_000], 0, 0).encode(Version::V5);
    world.send(slow, &packet[..500]);
    world.run();
    for round in 0..50 {
        world.advance(10);
        let claimant = join(&mut world, &format!("claim{round}-"), 1);
        world.send(claimant, &beginning(EACH));
        world.run();
    }
    world.send(slow, &packet[500..]);
    assert_eq!(world.ask(slow, &packets::pingreq(Version::V5)), vec![Seen::Pingresp]);
}

#[test]
fn packets_that_wait_are_read_no_further_when_room_is_short_and_none_is_lost() {
    let mut setup = setup(1, true, 10);
    setup.settings.unread_bytes_max = 4 * BOUND;
    setup.settings.queue_messages_max = 1;
    setup.settings.publish_hold = 60_000;
    setup.settings.hold_messages_max = 10_000;
    let mut world = World::new(&setup);
    // As with a real bound, one read is a small part of what is left above the pause.
    world.read_bytes_max = 4_096;
    let reader = world.join(0, &Hello::new(Version::V5, "reader").receive_maximum(1));
    subscribe(&mut world, reader, "t", 1);
    let writers: Vec<NetId> = (0..30).map(|n| join(&mut world, &format!("writer{n}-"), 1)).collect();
    for (number, &writer) in writers.iter().enumerate() {
        for id in 1..=20u16 {
            let payload = [format!("{number}.{id} ").into_bytes(), vec![b'x'; 10_000]].concat();
            world.send(writer, &Post::new("t", payload, 1, id).encode(Version::V5));
            world.run();
            assert!(unread(&world) <= 4 * BOUND, "{}", unread(&world));
        }
    }
    let paused = writers.iter().filter(|writer| world.nets[writer.0].paused).count();
    assert!(paused > 0, "some are not read any more");
    assert_eq!(world.counter(|c| &c.unread_closed), 0, "waiting for somebody else closes nobody");
    let got = payloads(&super::read_all(&mut world, reader));
    assert_eq!(got.len(), 600, "all that were published came");
    assert_eq!(unread(&world), 0);
}
