//! A retained publish that its publisher is told was refused has not replaced what the topic had.

use ringmq_shard::QueuePolicy;
use ringmq_wire::Version;

use super::{id_on, payloads, publishes, subscribe};
use crate::harness::packets;
use crate::harness::world::{Setup, World};
use crate::harness::{AckKind, Hello, NetId, Post, Seen};

/// Topics enough that every shard owns some.
const TOPICS: usize = 6;

struct Scene {
    world: World,
    writer: NetId,
}

/// A session without connection whose queue of one message is full, on `full/#`.
fn scene(shards: usize, seed: u64) -> Scene {
    let mut setup = Setup::new(shards, seed);
    setup.settings.queue_messages_max = 1;
    setup.settings.inflight_messages_max = 1;
    setup.settings.publish_hold = 1_000;
    setup.settings.queue_policy = QueuePolicy::Refuse;
    let mut world = World::new(&setup);
    let sleeper = world.join(0, &Hello::new(Version::V5, &id_on("sleeper", 0, shards)).persistent());
    subscribe(&mut world, sleeper, "full/#", 1);
    let writer = world.join(0, &Hello::new(Version::V5, &id_on("writer", shards - 1, shards)));
    world.hang_up(sleeper, 0);
    world.run();
    Scene { world, writer }
}

impl Scene {
    /// Publishes with QoS 1 or 2; the code that came back at once, if any did.
    fn post(&mut self, topic: &str, payload: &str, qos: u8, retain: bool) -> Option<u8> {
        let post = Post::new(topic, payload, qos, 7);
        let post = if retain { post.retained() } else { post };
        let seen = self.world.ask(self.writer, &post.encode(Version::V5));
        if seen.iter().any(|s| matches!(s, Seen::Ack(AckKind::Pubrec, _, 0))) {
            let release = packets::ack(Version::V5, AckKind::Pubrel, 7, ringmq_wire::ReasonCode::SUCCESS);
            self.world.ask(self.writer, &release);
        }
        seen.iter().find_map(|s| match s {
            Seen::Ack(AckKind::Puback | AckKind::Pubrec, 7, reason) => Some(*reason),
            _ => None,
        })
    }

    /// What a fresh subscriber at each shard is sent as retained.
    fn retained(&mut self, topic: &str) -> Vec<String> {
        let shards = self.world.shard_count();
        let answers: Vec<Vec<String>> = (0..shards)
            .map(|shard| {
                let reader = self.world.join(shard, &Hello::new(Version::V5, &id_on("fresh", shard, shards)));
                let ask = packets::subscribe(Version::V5, 1, &[(topic, packets::with_qos(0))], None);
                let found = payloads(&publishes(self.world.ask(reader, &ask)));
                self.world.hang_up(reader, 0);
                self.world.run();
                found
            })
            .collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{topic}: {answers:?}");
        answers[0].clone()
    }
}

#[test]
fn a_refused_publish_leaves_the_retained_message_as_it_was() {
    for shards in [1, 2, 3] {
        for qos in [1, 2] {
            for before in ["", "old"] {
                let mut scene = scene(shards, 1);
                for number in 0..TOPICS {
                    assert_eq!(scene.post(&format!("free/{number}"), "x", 1, false), Some(0x10));
                }
                // Retained while nobody has subscribed to it, then the sleeper's queue is full.
                assert_eq!(scene.post("full/one", "fills", 1, false), Some(0));
                for number in 0..TOPICS {
                    let topic = format!("full/kept/{number}");
                    if !before.is_empty() {
                        // QoS 0 is never refused.
                        assert_eq!(scene.post(&topic, before, 0, true), None);
                    }
                    assert_eq!(scene.post(&topic, "new", qos, true), Some(0x97));
                    let expected: Vec<String> =
                        if before.is_empty() { vec![] } else { vec![before.to_owned()] };
                    assert_eq!(scene.retained(&topic), expected, "{shards} shards, QoS {qos}");
                    if !before.is_empty() {
                        assert_eq!(scene.post(&topic, "", qos, true), Some(0x97));
                        assert_eq!(scene.retained(&topic), expected, "a refused clearing");
                        // And what comes later counts, for all that was refused.
                        assert_eq!(scene.post(&topic, "later", 0, true), None);
                        assert_eq!(scene.retained(&topic), ["later"]);
                    }
                }
                let kept = if before.is_empty() { 0 } else { TOPICS as u64 };
                assert_eq!(scene.world.counter(|c| &c.retained), kept);
            }
        }
    }
}

#[test]
fn a_publish_that_somebody_took_is_retained_all_the_same() {
    for shards in [1, 2] {
        let mut scene = scene(shards, 2);
        assert_eq!(scene.post("full/one", "fills", 1, false), Some(0));
        let other = scene.world.join(0, &Hello::new(Version::V5, "other"));
        subscribe(&mut scene.world, other, "full/kept", 0);
        assert_eq!(scene.post("full/kept", "new", 1, true), Some(0));
        assert_eq!(scene.retained("full/kept"), ["new"]);
    }
}

#[test]
fn a_publish_that_is_refused_after_its_hold_gives_way_to_what_came_meanwhile() {
    for (seed, meanwhile) in [(1, None), (2, Some("second")), (3, Some(""))] {
        for shards in [1, 2, 3] {
            let mut scene = scene(shards, seed);
            let setup = Hello::new(Version::V5, &id_on("sleeper", 0, shards)).persistent();
            let reader = scene.world.join(0, &setup);
            // It is connected and acknowledges nothing: one in flight, one queued, the third held.
            for payload in ["one", "two"] {
                assert_eq!(scene.post("full/x", payload, 1, false), Some(0));
            }
            assert_eq!(scene.post("full/kept", "old", 0, true), None);
            assert_eq!(scene.post("full/kept", "held", 1, true), None, "it is held");
            if let Some(payload) = meanwhile {
                let second = scene.world.join(0, &Hello::new(Version::V5, "second"));
                let post = Post::new("full/kept", payload, 0, 0).retained();
                scene.world.ask(second, &post.encode(Version::V5));
            }
            scene.world.pass(1_100, 50);
            let answers = scene.world.seen(scene.writer);
            assert!(answers.contains(&Seen::Ack(AckKind::Puback, 7, 0x97)), "{answers:?}");
            let expected = match meanwhile {
                None => vec!["old"],
                Some("") => vec![],
                Some(payload) => vec![payload],
            };
            assert_eq!(scene.retained("full/kept"), expected, "{shards} shards");
            scene.world.hang_up(reader, 0);
            scene.world.run();
        }
    }
}
