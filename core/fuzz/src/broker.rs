//! A broker of a few shards as values, with bounds so small that a short script reaches them, and clients that
//! do what a script says: what a client should do, what it may do, and any bytes whatever. After each step the
//! bounds hold and every packet that arrived was owed; once all clients behave, everything is answered; in the
//! end the broker stops.

use ringmq_shard::QueuePolicy;
use ringmq_wire::{ReasonCode, Version};

use crate::bounds::{READ_BYTES_MAX, assert_bounded, assert_consistent, assert_stopped, small_settings};
use crate::handles::{Handles, OPENED_MAX};
use crate::harness::deciders::Mood;
use crate::harness::net::NetId;
use crate::harness::packets::{self, AckKind, Seen};
use crate::harness::world::{Setup, World};
use crate::script::{Script, Shape, Step};
use crate::witness::Witness;
use crate::writing;

/// Connections that one script may open; more is more of the same.
const NETS_MAX: usize = 8;
/// Time between two looks at the clock while time passes, in milliseconds.
const TICK: u64 = 100;
/// Rounds of calm after which a broker that still has something to say is taken to talk for ever.
const CALM_ROUNDS_MAX: usize = 200;

/// Carries a script out.
pub fn connection(script: &Script) {
    let mut broker = Broker::new(&script.setup);
    for step in &script.steps {
        broker.take(step);
        broker.check();
    }
    broker.calm();
    broker.stop();
}

struct Broker {
    world: World,
    clients: Vec<Client>,
    handles: Handles,
}

struct Client {
    net: NetId,
    witness: Witness,
}

impl Broker {
    fn new(shape: &Shape) -> Self {
        let policies = [QueuePolicy::Drop, QueuePolicy::End, QueuePolicy::Refuse];
        let policy = policies[usize::from(shape.policy) % policies.len()];
        let mut setup = Setup::new(usize::from(shape.shards) % 3 + 1, u64::from(shape.seed));
        setup.settings = small_settings(shape.moving, policy);
        setup.settings.sys_interval_seconds = u32::from(shape.statistics);
        setup.lane_capacity = usize::from(shape.lane_capacity) % 4 + 1;
        setup.mood = match shape.late_percent {
            0..100 => Mood::Now,
            percent => Mood::Mixed(usize::from(percent) - 100),
        };
        let mut world = World::new(&setup);
        world.ragged = shape.ragged;
        world.read_bytes_max = READ_BYTES_MAX;
        if shape.denied > 200 {
            let denied = ["publish one", "subscribe two", "connect three"];
            world.book.borrow_mut().denied.push(denied[usize::from(shape.denied) % 3].to_owned());
        }
        let mut broker = Self { world, clients: Vec::new(), handles: Handles::default() };
        broker.dial(0);
        broker
    }

    fn dial(&mut self, shard: u8) {
        if self.clients.len() < NETS_MAX {
            let shard = usize::from(shard) % self.world.shard_count();
            let net = self.world.dial(shard, Version::V5);
            let witness = Witness::new(&self.world.common.settings);
            self.clients.push(Client { net, witness });
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Dial { shard } => self.dial(*shard),
            Step::HangUp { net, lost } => {
                let net = self.client(*net).net;
                self.world.hang_up(net, usize::from(*lost));
            }
            Step::Stall { net, stalled } => {
                let net = self.client(*net).net;
                self.world.nets[net.0].stalled = *stalled;
            }
            Step::Steps { count } => (0..*count).for_each(|_| _ = self.world.step()),
            Step::Settle { answering: true } => self.world.run_answering(),
            Step::Settle { answering: false } => self.world.run(),
            Step::Pass { milliseconds } => self.world.pass(u64::from(*milliseconds) % 5_000, TICK),
            Step::Obey { net } => _ = self.obey(*net),
            _ => self.take_from_client(step),
        }
    }

    fn take_from_client(&mut self, step: &Step) {
        match step {
            Step::Raw { net, bytes, length } => {
                let length = usize::from(*length) % (bytes.len() + 1);
                self.send(*net, &bytes[..length]);
            }
            Step::Connect { net, hello } => self.send(*net, &writing::greeting(hello)),
            Step::Publish { net, post } => self.send(*net, &writing::publish(self.version(*net), post)),
            Step::Subscribe { net, id, filter, options, identifier } => {
                let version = self.version(*net);
                self.send(*net, &writing::subscribe(version, *id, *filter, *options, *identifier));
            }
            Step::Unsubscribe { net, id, filter } => {
                let (id, filters) = (writing::packet_id(*id), [writing::filter(*filter)]);
                self.send(*net, &packets::unsubscribe(self.version(*net), id, &filters));
            }
            Step::Ack { net, kind, id, reason } => {
                self.send(*net, &writing::acknowledgement(self.version(*net), *kind, *id, *reason));
            }
            Step::Ping { net } => self.send(*net, &packets::pingreq(self.version(*net))),
            Step::Disconnect { net, reason } => {
                let reasons = [ReasonCode::SUCCESS, ReasonCode::DISCONNECT_WITH_WILL];
                self.send(*net, &packets::disconnect(self.version(*net), reasons[usize::from(*reason) % 2]));
            }
            _ => self.take_from_handle(step),
        }
    }

    fn take_from_handle(&mut self, step: &Step) {
        let Self { world, handles, .. } = self;
        match step {
            Step::Open { handle, room, queue } => handles.open(world, *handle, *room, *queue),
            Step::Say { handle, post, hold } => handles.say(world, *handle, post, *hold),
            Step::Listen { handle, filter, options } => handles.listen(world, *handle, *filter, *options),
            Step::Unlisten { handle, filter } => handles.unlisten(world, *handle, *filter),
            Step::Fetch { handle, room } => _ = handles.fetch(world, *handle, *room),
            Step::Shut { handle } => handles.shut(world, *handle),
            _ => unreachable!("the other steps are taken elsewhere"),
        }
    }

    /// What holds after each step.
    fn check(&mut self) {
        assert_bounded(&self.world, OPENED_MAX);
        for client in &mut self.clients {
            client.witness.read(&mut self.world.nets[client.net.0].received);
        }
        self.handles.take_answers(&mut self.world);
    }

    fn client(&self, net: u8) -> &Client {
        &self.clients[usize::from(net) % self.clients.len()]
    }

    /// The version in which a client writes.
    fn version(&self, net: u8) -> Version {
        self.client(net).witness.version.unwrap_or(Version::V5)
    }

    fn send(&mut self, net: u8, bytes: &[u8]) {
        let index = usize::from(net) % self.clients.len();
        let client = &mut self.clients[index];
        if self.world.nets[client.net.0].client_gone {
            return;
        }
        client.witness.wrote(bytes);
        if let Some(version) = client.witness.version {
            self.world.nets[client.net.0].version = version;
        }
        self.world.send(client.net, bytes);
    }

    /// The client answers what has arrived as the protocol asks; true when it had something to say.
    fn obey(&mut self, net: u8) -> bool {
        let index = usize::from(net) % self.clients.len();
        let version = self.version(net);
        let seen = std::mem::take(&mut self.clients[index].witness.inbox);
        let answers: Vec<_> = seen.iter().filter_map(lawful_answer).collect();
        for (kind, id) in &answers {
            self.send(net, &packets::ack(version, *kind, *id, ReasonCode::SUCCESS));
        }
        !answers.is_empty()
    }

    /// All clients read and answer, and time passes: then whatever was asked has been answered.
    fn calm(&mut self) {
        self.world.ragged = false;
        self.world.nets.iter_mut().for_each(|net| net.stalled = false);
        for round in 0.. {
            assert!(round < CALM_ROUNDS_MAX, "the broker does not come to an end");
            self.world.run_answering();
            self.check();
            let mut any = self.handles.fetch_all(&mut self.world);
            for net in 0..self.clients.len() {
                any |= self.obey(net as u8);
            }
            if any {
                continue;
            }
            if round >= 10 {
                break;
            }
            self.world.advance(400);
        }
        self.world.run_answering();
        assert_consistent(&self.world);
        self.handles.assert_answered();
        let up = |client: &&Client| {
            let net = &self.world.nets[client.net.0];
            !net.closed() && !net.client_gone
        };
        self.clients.iter().filter(up).for_each(|client| client.witness.assert_answered());
    }

    /// The broker stops within its deadlines, whoever reads no more.
    fn stop(&mut self) {
        self.world.stop_work();
        self.world.stop_connections();
        self.world.pass(3_000, TICK);
        self.check();
        assert_stopped(&self.world);
    }
}

fn lawful_answer(seen: &Seen) -> Option<(AckKind, u16)> {
    match seen {
        Seen::Publish(publish) if publish.qos == 1 => Some((AckKind::Puback, publish.id)),
        Seen::Publish(publish) if publish.qos == 2 => Some((AckKind::Pubrec, publish.id)),
        Seen::Ack(AckKind::Pubrec, id, reason) if *reason < 0x80 => Some((AckKind::Pubrel, *id)),
        Seen::Ack(AckKind::Pubrel, id, _) => Some((AckKind::Pubcomp, *id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Greeting, Letter};

    fn shape() -> Shape {
        Shape {
            shards: 1,
            seed: 5,
            moving: true,
            ragged: true,
            statistics: false,
            late_percent: 0,
            denied: 0,
            lane_capacity: 1,
            policy: 0,
        }
    }

    fn hello(client_id: u8) -> Greeting {
        Greeting {
            version: 2,
            client_id,
            clean: true,
            keep_alive_seconds: 0,
            expiry_seconds: 0,
            window: 0,
            packet_bytes_max: 0,
            aliases: 0,
            will: None,
            will_delay_seconds: 0,
        }
    }

    fn seen(broker: &mut Broker, net: usize) -> Vec<Seen> {
        broker.check();
        std::mem::take(&mut broker.clients[net].witness.inbox).into()
    }

    fn letter() -> Letter {
        Letter {
            topic: 0,
            qos: 2,
            id: 3,
            retain: false,
            again: false,
            payload_bytes: 9,
            expiry_seconds: 0,
            alias: 0,
        }
    }

    /// A script gets as far as a message at its subscriber, and a QoS 2 exchange to its end.
    #[test]
    fn scripts_reach_delivery() {
        let mut broker = Broker::new(&shape());
        let steps = [
            Step::Dial { shard: 1 },
            Step::Connect { net: 0, hello: hello(0) },
            Step::Connect { net: 1, hello: hello(1) },
            Step::Settle { answering: true },
            Step::Subscribe { net: 0, id: 1, filter: 2, options: 2, identifier: 0 },
            Step::Settle { answering: true },
        ];
        steps.iter().for_each(|step| broker.take(step));
        assert!(matches!(seen(&mut broker, 0)[..], [Seen::Connack(_), Seen::Suback(2, _)]));
        assert!(matches!(seen(&mut broker, 1)[..], [Seen::Connack(_)]));
        let exchange = [
            Step::Publish { net: 1, post: letter() },
            Step::Settle { answering: true },
            Step::Obey { net: 1 },
            Step::Settle { answering: true },
        ];
        for step in &exchange {
            broker.take(step);
            broker.check();
        }
        assert!(matches!(seen(&mut broker, 1)[..], [Seen::Ack(AckKind::Pubcomp, 4, 0)]));
        let delivered = seen(&mut broker, 0);
        let [Seen::Publish(publish)] = &delivered[..] else { panic!("one message: {delivered:?}") };
        assert_eq!((publish.topic.as_str(), publish.qos, publish.payload.len()), ("a", 2, 9));
        broker.stop();
    }
}
