//! A persistent session on `#` whose client never comes back: it costs its bound and nothing more, nobody
//! waits for it, and what it does not get is counted to the message.

use ringmq_shard::QueuePolicy;
use ringmq_wire::Version;

use super::{id_on, payloads, publishes, read_all, subscribe};
use crate::harness::world::{Setup, World};
use crate::harness::{AckKind, Hello, NetId, Post, Seen};

const KEPT: u16 = 10;
const MESSAGES: u16 = 200;

fn scene(shards: usize, policy: QueuePolicy, bytes_max: u64) -> (World, NetId, NetId) {
    let mut setup = Setup::new(shards, 1);
    setup.settings.queue_messages_max = u32::from(KEPT);
    setup.settings.queue_bytes_max = bytes_max;
    setup.settings.queue_policy = policy;
    let mut world = World::new(&setup);
    let forgotten = world.join(0, &forgotten(shards));
    subscribe(&mut world, forgotten, "#", 2);
    world.hang_up(forgotten, 0);
    let writer = world.join(0, &Hello::new(Version::V5, &id_on("writer", shards - 1, shards)));
    let reader = world.join(0, &Hello::new(Version::V5, &id_on("reader", 0, shards)));
    subscribe(&mut world, reader, "t", 1);
    (world, writer, reader)
}

fn forgotten(shards: usize) -> Hello {
    Hello::new(Version::V5, &id_on("forgotten", 0, shards)).persistent()
}

/// Publishes everything without letting time pass; how many publishes were answered.
fn post_all(world: &mut World, writer: NetId, reader: NetId, qos: u8, payload: &str) -> usize {
    let mut answered = 0;
    for id in 1..=MESSAGES {
        let answers = world.ask(writer, &Post::new("t", payload, qos, id).encode(Version::V5));
        let is_first = |seen: &&Seen| matches!(seen, Seen::Ack(AckKind::Puback | AckKind::Pubrec, _, 0));
        answered += answers.iter().filter(is_first).count();
        if qos == 2 {
            let reason = ringmq_wire::ReasonCode::SUCCESS;
            world.ask(writer, &crate::harness::packets::ack(Version::V5, AckKind::Pubrel, id, reason));
        }
        assert_eq!(read_all(world, reader).len(), 1, "the living are served");
        assert!(world.counter(|c| &c.queued) <= u64::from(KEPT));
    }
    answered
}

#[test]
fn it_keeps_what_fits_and_the_rest_is_counted() {
    for shards in [1, 2] {
        for qos in [1, 2] {
            for (payload, bytes_max) in [("x", 1 << 20), ("a payload of some bytes", 500)] {
                let (mut world, writer, reader) = scene(shards, QueuePolicy::Drop, bytes_max);
                let answered = post_all(&mut world, writer, reader, qos, payload);
                assert_eq!(answered, usize::from(MESSAGES), "nobody waits for the absent");
                let (kept, bytes) = (world.counter(|c| &c.queued), world.counter(|c| &c.queued_bytes));
                assert!(kept > 0 && bytes <= bytes_max, "{kept} messages, {bytes} bytes");
                assert_eq!(world.counter(|c| &c.dropped_queue), u64::from(MESSAGES) - kept);
                let back = world.join(0, &forgotten(shards));
                assert_eq!(read_all(&mut world, back).len() as u64, kept);
            }
        }
    }
}

#[test]
fn qos_0_leaves_nothing_behind_but_its_count() {
    for shards in [1, 2] {
        let (mut world, writer, reader) = scene(shards, QueuePolicy::Drop, 1 << 20);
        for _ in 0..MESSAGES {
            world.send(writer, &Post::new("t", "x", 0, 0).encode(Version::V5));
        }
        world.run();
        assert_eq!(publishes(world.seen(reader)).len(), usize::from(MESSAGES));
        assert_eq!(world.counter(|c| &c.dropped_offline_qos0), u64::from(MESSAGES));
        assert_eq!(world.counter(|c| &c.queued), 0);
    }
}

#[test]
fn policy_end_ends_it_with_all_it_had() {
    for shards in [1, 2] {
        let (mut world, writer, reader) = scene(shards, QueuePolicy::End, 1 << 20);
        assert_eq!(post_all(&mut world, writer, reader, 1, "x"), usize::from(MESSAGES));
        let (dropped, ended) =
            (world.counter(|c| &c.dropped_queue), world.counter(|c| &c.dropped_session_ended));
        assert_eq!((dropped, ended), (1, u64::from(KEPT)), "the one too many, and what was queued");
        assert_eq!(world.counter(|c| &c.queued), 0);
        assert_eq!(world.counter(|c| &c.sessions), 2);
    }
}

#[test]
fn policy_refuse_does_not_refuse_what_the_living_take() {
    for shards in [1, 2] {
        let (mut world, writer, reader) = scene(shards, QueuePolicy::Refuse, 1 << 20);
        assert_eq!(post_all(&mut world, writer, reader, 1, "x"), usize::from(MESSAGES));
        assert_eq!(world.counter(|c| &c.dropped_queue), u64::from(MESSAGES - KEPT));
        assert_eq!(world.counter(|c| &c.publish_refused), 0);
        let refused = world.ask(writer, &Post::new("else", "x", 1, 500).encode(Version::V5));
        assert_eq!(refused, [Seen::Ack(AckKind::Puback, 500, 0x97)]);
        let back = world.join(0, &forgotten(shards));
        assert_eq!(payloads(&read_all(&mut world, back)), vec!["x"; usize::from(KEPT)]);
    }
}
