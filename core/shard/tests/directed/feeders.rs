//! Clients that publish faster than they read, for tests that let them fill queues, park buffers and lanes; and
//! the account that must be right when they have ended. Never decides what is tested.

use ringmq_shard::QueuePolicy;
use ringmq_wire::{ReasonCode, Version};

use super::{id_on, subscribe};
use crate::harness::packets;
use crate::harness::world::{Setup, World};
use crate::harness::{AckKind, Hello, NetId, Post, Seen};

pub const HOLD: u64 = 1_000;
pub const MESSAGES: u16 = 60;
pub const POLICIES: [QueuePolicy; 3] = [QueuePolicy::Drop, QueuePolicy::End, QueuePolicy::Refuse];

/// What a client of a circle does with the messages it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Reads and acknowledges, but its acknowledgements stand behind what it has published already.
    Late,
    /// Reads and acknowledges nothing.
    Mute,
    /// Does not read at all.
    Deaf,
}

pub const HABITS: [Habit; 3] = [Habit::Late, Habit::Mute, Habit::Deaf];

/// One client of a circle, with what it has seen.
pub struct Feeder {
    pub net: NetId,
    habit: Habit,
    /// Packet ids that were acknowledged to it with PUBACK or PUBREC, in their order.
    answered: Vec<u16>,
    /// How many messages it got, repetitions not counted.
    got: u64,
    /// What it has not answered yet, as its habit is.
    owed: Vec<(AckKind, u16)>,
}

pub fn tiny(shards: usize, policy: QueuePolicy, park_bytes_max: usize, seed: u64) -> Setup {
    let mut setup = Setup::new(shards, seed).moving(seed.is_multiple_of(2));
    setup.settings.queue_messages_max = 3;
    setup.settings.inflight_messages_max = 2;
    setup.settings.queue_policy = policy;
    (setup.settings.publish_hold, setup.settings.linger) = (HOLD, 100);
    setup.settings.park_bytes_max = park_bytes_max;
    setup
}

impl Feeder {
    pub fn join(world: &mut World, name: &str, shard: usize, own_topic: &str, qos: u8, habit: Habit) -> Self {
        let shards = world.shard_count();
        // All come in at one shard: the connections of the others are moved, or their bytes are.
        let net = world.join(0, &Hello::new(Version::V5, &id_on(name, shard, shards)).persistent());
        subscribe(world, net, own_topic, qos);
        world.nets[net.0].stalled = habit == Habit::Deaf;
        Self { net, habit, answered: Vec::new(), got: 0, owed: Vec::new() }
    }

    /// Publishes everything at once, long before it reads anything.
    pub fn flood(&self, world: &mut World, topic: &str, qos: u8) {
        self.flood_two(world, topic, topic, qos);
    }

    /// The same, to two topics in turn.
    pub fn flood_two(&self, world: &mut World, odd: &str, even: &str, qos: u8) {
        for id in 1..=MESSAGES {
            let topic = if id % 2 == 1 { odd } else { even };
            world.send(self.net, &Post::new(topic, format!("{id:0>100}"), qos, id).encode(Version::V5));
        }
    }

    /// Reads what came and answers it as its habit is.
    fn turn(&mut self, world: &mut World) -> bool {
        let seen = world.seen(self.net);
        for packet in &seen {
            match packet {
                Seen::Publish(publish) => {
                    self.got += 1;
                    let kind = if publish.qos == 1 { AckKind::Puback } else { AckKind::Pubrec };
                    self.answer(world, kind, publish.id);
                }
                Seen::Ack(AckKind::Pubrel, id, _) => self.answer(world, AckKind::Pubcomp, *id),
                Seen::Ack(AckKind::Puback, id, _) => self.answered.push(*id),
                Seen::Ack(AckKind::Pubrec, id, reason) => {
                    self.answered.push(*id);
                    if *reason < 0x80 {
                        world.send(
                            self.net,
                            &packets::ack(Version::V5, AckKind::Pubrel, *id, ReasonCode::SUCCESS),
                        );
                    }
                }
                _ => {}
            }
        }
        !seen.is_empty()
    }

    fn answer(&mut self, world: &mut World, kind: AckKind, id: u16) {
        self.owed.push((kind, id));
        if self.habit == Habit::Late {
            for (kind, id) in self.owed.drain(..) {
                world.send(self.net, &packets::ack(Version::V5, kind, id, ReasonCode::SUCCESS));
            }
        }
    }
}

/// Runs until nobody of the circle has anything more to say; no time passes.
pub fn settle(world: &mut World, circle: &mut [Feeder]) {
    loop {
        world.run();
        let mut any = false;
        for feeder in circle.iter_mut() {
            any |= feeder.turn(world);
        }
        if !any {
            return;
        }
    }
}

/// Two clients that have nothing to do with the circle: one message from one to the other, acknowledged both
/// ways, without any time passing.
pub fn round_trip(world: &mut World) {
    let shards = world.shard_count();
    let reader = world.join(0, &Hello::new(Version::V5, &id_on("honest reader", 0, shards)));
    subscribe(world, reader, "honest", 1);
    let writer = world.join(0, &Hello::new(Version::V5, &id_on("honest writer", shards - 1, shards)));
    let answer = world.ask(writer, &Post::new("honest", "x", 1, 1).encode(Version::V5));
    assert_eq!(answer, [Seen::Ack(AckKind::Puback, 1, 0)], "an unrelated client waits");
    assert_eq!(super::read_all(world, reader).len(), 1);
    world.hang_up(reader, 0);
    world.hang_up(writer, 0);
    world.run();
}

/// Lets time pass until every publish of the circle is answered or its client closed; how long that took.
pub fn time_to_end(world: &mut World, circle: &mut [Feeder], limit: u64) -> u64 {
    let mut passed = 0;
    settle(world, circle);
    round_trip(world);
    while passed < limit && !is_over(world, circle) {
        world.pass(100, 50);
        passed += 100;
        settle(world, circle);
    }
    round_trip(world);
    passed
}

fn is_over(world: &World, circle: &[Feeder]) -> bool {
    let waits = |f: &Feeder| {
        let net = &world.nets[f.net.0];
        !net.closed() && (net.paused || !net.to_broker.is_empty())
    };
    let received = world.counter(|c| &c.publish_received);
    let closed = circle.iter().any(|f| world.nets[f.net.0].closed());
    let all = u64::from(MESSAGES) * circle.len() as u64 + 1;
    !circle.iter().any(waits)
        && (closed || received >= all)
        && circle
            .iter()
            .all(|f| f.habit == Habit::Deaf || closed || f.answered.len() == usize::from(MESSAGES))
}

/// After everything has ended: each accepted publish reached its one subscriber or is counted as dropped.
pub fn check_account(world: &mut World, circle: &mut [Feeder], label: &str) {
    for feeder in circle.iter_mut() {
        world.nets[feeder.net.0].stalled = false;
        feeder.habit = Habit::Late;
        for (kind, id) in feeder.owed.drain(..) {
            world.send(feeder.net, &packets::ack(Version::V5, kind, id, ReasonCode::SUCCESS));
        }
    }
    settle(world, circle);
    for feeder in circle.iter_mut().filter(|f| !world.nets[f.net.0].closed()) {
        let ids: Vec<u16> = (1..=MESSAGES).collect();
        assert_eq!(feeder.answered, ids, "{label}: every publish is acknowledged, in order [MQTT-4.6.0-2]");
    }
    // The honest pair's messages are two more, received and delivered.
    let received = world.counter(|c| &c.publish_received) - 2;
    let got: u64 = circle.iter().map(|f| f.got).sum();
    let dropped = world.counter(|c| &c.dropped_queue);
    let ended = world.counter(|c| &c.dropped_session_ended);
    let closed = circle.iter().any(|f| world.nets[f.net.0].closed());
    if !closed {
        assert_eq!((got + dropped, ended), (received, 0), "{label}: delivered or counted");
        assert_eq!(world.counter(|c| &c.queued), 0, "{label}");
    } else {
        // What was in flight when its session ended may have arrived, and is counted as dropped all the same.
        let queued = world.counter(|c| &c.queued);
        assert!(dropped + ended + queued <= received, "{label}: nothing is counted twice");
        assert!(got + dropped + ended + queued >= received, "{label}: nothing is lost uncounted");
    }
}

pub fn each(mut check: impl FnMut(usize, QueuePolicy, u8, Habit, u64, &str)) {
    let mut seed = 0;
    for shards in [1, 2] {
        for policy in POLICIES {
            for qos in [1, 2] {
                for habit in HABITS {
                    seed += 1;
                    let label = format!("{shards} shards, {policy:?}, QoS {qos}, {habit:?}");
                    check(shards, policy, qos, habit, seed, &label);
                }
            }
        }
    }
}
