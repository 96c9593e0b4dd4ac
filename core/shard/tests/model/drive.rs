//! One run from one seed: a broker with bounds as small as they may be, clients that do as they please, then
//! calm, in which everything must drain.

use ringmq_shard::{QueuePolicy, Settings};
use ringmq_wire::{Qos, Version};

use super::actor::{Actor, Phase};
use super::history::{Fate, History, Presence};
use crate::harness::packets::{self, with_qos};
use crate::harness::world::{Setup, World};
use crate::harness::{AckKind, Hello, Mood, Random, Seen};

/// Rounds of calm after which a broker that still owes something is taken to have lost it.
const CALM_ROUNDS_MAX: usize = 400;

/// What came of a run.
pub struct Outcome {
    pub history: History,
    pub trace: u64,
    pub steps: u64,
    pub moves: u64,
    pub mesh_refusals: u64,
    pub dropped: Dropped,
    /// Retained messages that a fresh client found: topic, and the number in the payload.
    pub retained_found: Vec<(String, Option<usize>)>,
}

/// What the broker says it did not deliver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dropped {
    pub queue: u64,
    pub queue_qos0: u64,
    pub mesh: u64,
    pub shared: u64,
}

/// Bounds and choices of a run.
fn setup(random: &mut Random, seed: u64) -> Setup {
    let mut setup = Setup::new(random.between(1, 4), seed);
    let settings = &mut setup.settings;
    settings.moving = random.chance(60);
    settings.decision_timeout = 1_000_000_000;
    settings.linger = 1_000_000_000;
    settings.inflight_messages_max = random.between(1, 8) as u16;
    settings.output_high_water_bytes = random.pick(&[64, 1_000, 65_536]);
    settings.retained_page_messages = random.between(1, 3) as u32;
    settings.retained_page_bytes = random.pick(&[1, 100, 10_000]);
    settings.mesh_batch_bytes = random.pick(&[64, 500, 65_536]);
    settings.mesh_spill_bytes_max = random.pick(&[64, 1_000, 1 << 20]);
    settings.tunnel_window_bytes = random.pick(&[64, 1_000, 1 << 18]);
    settings.park_bytes_max = random.pick(&[64, 1_000, 65_536]);
    settings.publish_hold = random.pick(&[10, 100, 5_000]);
    settings.topic_alias_outbound_max = random.below(4) as u16;
    if random.chance(40) {
        shrink_queues(random, settings);
    }
    // In three of four runs hardly a match is made in one go.
    settings.match_nodes_per_turn = [1, 2, 9, 256][(seed % 4) as usize];
    setup.lane_capacity = random.pick(&[1, 2, 4, 64]);
    setup.mood = random.pick(&[Mood::Now, Mood::Now, Mood::Mixed(10), Mood::Mixed(50), Mood::Later]);
    setup
}

fn shrink_queues(random: &mut Random, settings: &mut Settings) {
    settings.queue_messages_max = random.between(1, 6) as u32;
    settings.queue_bytes_max = random.pick(&[200, 4_000, 1 << 20]);
    settings.hold_messages_max = random.pick(&[0, 1, 10]);
    settings.queue_policy = random.pick(&[QueuePolicy::Drop, QueuePolicy::Drop, QueuePolicy::Refuse]);
    if settings.queue_policy == QueuePolicy::Refuse {
        // Refused at once, a client of 3.x that publishes to itself would never get to read.
        settings.hold_messages_max = 10;
    }
}

/// The clients and their broker.
struct Run {
    world: World,
    history: History,
    actors: Vec<Actor>,
}

/// Runs one seed to its end.
pub fn run(seed: u64) -> Outcome {
    play(seed, &[], &[])
}

/// The same, but the shape of the run and then what happens in it are chosen by two tapes before the seed.
pub fn play(seed: u64, shape: &[u8], choices: &[u8]) -> Outcome {
    let mut random = Random::with_tape(seed, shape);
    let setup = setup(&mut random, seed);
    let mut world = World::new(&setup);
    world.random = Random::with_tape(seed, choices);
    world.ragged = random.chance(70);
    world.lazy_percent = random.pick(&[0, 0, 50, 95]);
    let inflight_max = usize::from(setup.settings.inflight_messages_max);
    let count = random.between(2, 5);
    let version = |random: &mut Random| random.pick(&[Version::V5, Version::V5, Version::V311, Version::V31]);
    let actors = (0..count).map(|index| Actor::new(index, version(&mut random), inflight_max)).collect();
    let mut run = Run { world, history: History::default(), actors };
    let steps = random.between(150, 900);
    let eagerness = random.between(5, 40);
    for _ in 0..steps {
        run.storm(eagerness);
    }
    run.calm();
    run.settle()
}

impl Run {
    /// One step of the wild part.
    fn storm(&mut self, eagerness: usize) {
        if self.world.random.chance(eagerness) {
            let actor = self.world.random.below(self.actors.len());
            self.act(actor);
        } else if self.world.random.chance(2) {
            let milliseconds = self.world.random.between(1, 20) as u64;
            self.world.advance(milliseconds);
        } else {
            self.world.step();
        }
        self.pump();
    }

    fn pump(&mut self) -> bool {
        let mut any = false;
        for actor in &mut self.actors {
            any |= actor.pump(&mut self.world, &mut self.history);
        }
        any
    }

    fn act(&mut self, index: usize) {
        let Self { world, history, actors } = self;
        let actor = &mut actors[index];
        let Some(link) = actor.current() else {
            let clean = world.random.chance(30);
            let persists = world.random.chance(75);
            actor.connect(world, history, clean, persists);
            return;
        };
        if actor.links[link].phase == Phase::Waiting {
            act_early(actor, world, history, link);
            return;
        }
        match world.random.below(100) {
            0..35 => actor.publish(world, history),
            35..48 => actor.subscribe(world, history),
            48..55 => actor.unsubscribe(world, history),
            55..57 => actor.ping(world),
            57..60 => {
                let clean = world.random.chance(20);
                let persists = world.random.chance(75);
                actor.connect(world, history, clean, persists);
            }
            60..62 => {
                let lost = world.random.pick(&[0, 0, 1, 20, 1_000]);
                actor.hang_up(world, history, lost);
            }
            62..63 => actor.say_goodbye(world, history),
            63..66 => {
                let net = actor.links[link].net.0;
                world.nets[net].stalled = !world.nets[net].stalled;
            }
            _ => {
                actor.reply(world);
            }
        }
    }

    /// No more faults: everybody reads and answers, who is away comes back, and everything must drain.
    fn calm(&mut self) {
        self.world.ragged = false;
        for net in &mut self.world.nets {
            net.stalled = false;
        }
        for round in 0..CALM_ROUNDS_MAX {
            self.world.run_answering();
            let mut any = self.pump();
            for index in 0..self.actors.len() {
                let Self { world, history, actors } = self;
                if actors[index].current().is_none() {
                    actors[index].connect(world, history, false, true);
                    any = true;
                }
                while actors[index].reply(world) {
                    any = true;
                }
            }
            // A client of 3.x that is refused comes back and tries again: time must pass all the same.
            if any && round % 8 != 7 {
                continue;
            }
            if !any && !self.anything_owed() {
                return;
            }
            assert!(round + 1 < CALM_ROUNDS_MAX, "the broker still owes answers: {}", self.debts());
            // Clients that fill their own queues wait for one hold after the other.
            self.world.advance(if round < 50 { 50 } else { 1_000 });
        }
        panic!("the clients do not come to rest: {}", self.debts());
    }

    fn anything_owed(&self) -> bool {
        let queued = self.world.counter(|c| &c.queued) > 0;
        queued
            || self.actors.iter().any(|actor| {
                let link = &actor.links[actor.current().expect("all are back")];
                !actor.out.is_empty()
                    || !link.requests.is_empty()
                    || link.phase != Phase::Up
                    || !actor.holding.is_empty()
            })
    }

    fn debts(&self) -> String {
        let mut text = format!("queued {}; ", self.world.counter(|c| &c.queued));
        for actor in &self.actors {
            let link = &actor.links[actor.links.len() - 1];
            let requests: Vec<u16> = link.requests.keys().copied().collect();
            text += &format!(
                "{} ({}) {:?}: out {:?}, requests {requests:?}, holding {:?}, net {:?}; ",
                actor.id,
                actor.version.name(),
                link.phase,
                actor.out,
                actor.holding,
                self.world.nets[link.net.0].place
            );
        }
        text
    }

    /// Counts, compares the broker's gauges, and asks a fresh client what is retained.
    fn settle(mut self) -> Outcome {
        for actor in &self.actors {
            actor.check_last_words(&self.world);
            let link = &actor.links[actor.links.len() - 1];
            self.history.present.push(Presence { actor: actor.index, since: link.up_since });
        }
        self.accept_what_was_read();
        self.check_gauges();
        let retained_found = self.ask_retained();
        let retained = self.world.counter(|c| &c.retained);
        assert_eq!(
            retained,
            retained_found.len() as u64,
            "the gauge of retained messages and what a client finds"
        );
        let world = &self.world;
        let dropped = Dropped {
            queue: world.counter(|c| &c.dropped_queue),
            queue_qos0: world.counter(|c| &c.dropped_queue_qos0),
            mesh: world.counter(|c| &c.dropped_mesh),
            shared: world.counter(|c| &c.dropped_shared),
        };
        let mesh_refusals = world.lanes.borrow().refused;
        Outcome {
            trace: world.trace.hash(),
            steps: world.steps,
            moves: world.nets.iter().map(|net| u64::from(net.moves)).sum(),
            mesh_refusals,
            dropped,
            retained_found,
            history: self.history,
        }
    }

    /// QoS 0 messages on connections that are still up and have been read to the end were accepted.
    fn accept_what_was_read(&mut self) {
        for actor in &self.actors {
            let link = &actor.links[actor.links.len() - 1];
            for publish in &mut self.history.published {
                let here = publish.actor == actor.index && publish.qos == 0 && !publish.will;
                if here && publish.sent > link.connect_sent {
                    publish.fate = Fate::Accepted;
                }
            }
        }
    }

    fn check_gauges(&self) {
        let world = &self.world;
        let clients = self.actors.len() as u64;
        let open: Vec<_> = (0..world.nets.len()).filter(|net| !world.nets[*net].closed()).collect();
        let used: Vec<_> = self.actors.iter().map(|actor| actor.links[actor.links.len() - 1].net.0).collect();
        assert_eq!(open.len() as u64, clients, "open sockets: {open:?}, in use: {used:?}");
        assert_eq!(world.counter(|c| &c.sessions_connected), clients, "sessions with a connection");
        assert_eq!(world.counter(|c| &c.sessions), clients, "sessions");
        assert_eq!(world.counter(|c| &c.connections), clients, "connections");
        assert_eq!(world.counter(|c| &c.queued), 0, "queued messages");
        assert_eq!(world.counter(|c| &c.held), 0, "held messages");
        assert_eq!(world.counter(|c| &c.queued_bytes), 0, "queued bytes");
        let places = |sure: bool| {
            let standing = |index: &usize| {
                let sub = &self.history.subscribed[*index];
                let last = sub.replaced_by.is_none();
                if sure {
                    last && self.history.lasting(*index).is_some()
                } else {
                    last && sub.ended == u64::MAX
                }
            };
            (0..self.history.subscribed.len()).filter(standing).count() as u64
        };
        let gauge = world.counter(|c| &c.subscriptions) + world.counter(|c| &c.subscriptions_shared);
        let (low, high) = (places(true), places(false));
        assert!((low..=high).contains(&gauge), "subscriptions: {gauge}, the clients have {low} to {high}");
    }

    /// What a fresh client finds when it subscribes to everything.
    fn ask_retained(&mut self) -> Vec<(String, Option<usize>)> {
        let world = &mut self.world;
        let shard = world.random.below(world.shard_count());
        let net = world.dial(shard, Version::V5);
        world.send(net, &Hello::new(Version::V5, "checker").encode());
        let filters = [("#", with_qos(1)), ("$x/#", with_qos(1))];
        world.send(net, &packets::subscribe(Version::V5, 1, &filters, None));
        let mut found = Vec::new();
        loop {
            world.run_answering();
            let seen = world.seen(net);
            if seen.is_empty() {
                break;
            }
            for packet in seen {
                let Seen::Publish(publish) = packet else { continue };
                assert!(publish.retain, "a live message in the calm");
                if publish.qos == Qos::AtLeastOnce.value() {
                    let ack = packets::ack(
                        Version::V5,
                        AckKind::Puback,
                        publish.id,
                        ringmq_wire::ReasonCode::SUCCESS,
                    );
                    world.send(net, &ack);
                }
                found.push((publish.topic, super::actor::number_of(&publish.payload)));
            }
        }
        found
    }
}

/// What a client may do between CONNECT and CONNACK [MQTT-3.1.4-5].
fn act_early(actor: &mut Actor, world: &mut World, history: &mut History, link: usize) {
    let clean = actor.links[link].clean;
    match world.random.below(100) {
        0..20 if clean => actor.subscribe(world, history),
        20..45 if clean => actor.publish(world, history),
        45..47 => actor.hang_up(world, history, 0),
        47..49 => {
            let lost = world.random.pick(&[1, 20, 1_000]);
            actor.hang_up(world, history, lost);
        }
        _ => {}
    }
}
