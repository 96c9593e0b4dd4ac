//! A client of any bytes on a socket of a whole shard: the bytes as they come, split anywhere, alone or behind a
//! CONNECT of each version. Others are served before and after, and the split changes nothing that is promised.

use ringmq_shard::{LogLevel, QueuePolicy};
use ringmq_wire::Version;

use crate::bounds::{READ_BYTES_MAX, assert_bounded, assert_consistent, assert_stopped, small_settings};
use crate::harness::net::NetId;
use crate::harness::packets::{self, AckKind, Hello, Post, Seen, with_qos};
use crate::harness::world::{Setup, World};
use crate::witness::Witness;

/// Time between two looks at the clock while time passes, in milliseconds.
const TICK: u64 = 100;
/// Bytes that say how the others are fed.
const HEAD_BYTES: usize = 3;

/// Feeds the bytes to a broker in pieces and as one, and looks after its other clients.
pub fn stream(bytes: &[u8]) {
    let Some((head, hostile)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return };
    let [shape, greeting, piece] = *head;
    let piece_bytes = usize::from(piece) + 1;
    let in_pieces = one_run(shape, greeting, hostile, piece_bytes);
    let as_one = one_run(shape, greeting, hostile, usize::MAX);
    assert_eq!(in_pieces, as_one, "what the split of the bytes has changed");
}

/// What the broker made of the hostile client, as far as no split may change it.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    accepted: bool,
    closed: bool,
    /// Violations, and the code of CONNACK or DISCONNECT. With more shards than one a packet may wait for another
    /// shard while pings and acknowledgements behind it go on: then it depends on the split whether a fault of
    /// those is found before a goodbye or a fault of what waits.
    words: Option<(u64, Option<u8>)>,
}

fn one_run(shape: u8, greeting: u8, hostile: &[u8], piece_bytes: usize) -> Verdict {
    let mut setup = Setup::new(usize::from(shape) % 3 + 1, 3);
    let policy = if shape & 0x80 == 0 { QueuePolicy::Drop } else { QueuePolicy::End };
    setup.settings = small_settings(shape & 0x40 == 0, policy);
    let mut world = World::new(&setup);
    world.read_bytes_max = READ_BYTES_MAX;
    let net = world.dial(0, Version::V5);
    let mut witness = Witness::new(&world.common.settings);
    let mut feed = |world: &mut World, bytes: &[u8]| {
        witness.wrote(bytes);
        if let Some(version) = witness.version {
            world.nets[net.0].version = version;
        }
        world.send(net, bytes);
        world.run();
        witness.read(&mut world.nets[net.0].received);
        assert_bounded(world, 0);
    };
    if let Some(hello) = hello(greeting) {
        feed(&mut world, &hello.encode());
    }
    hostile.chunks(piece_bytes).for_each(|piece| feed(&mut world, piece));
    let verdict = verdict(&world, net, &witness);
    let warned = world.logs.iter().filter(|(level, _)| *level >= LogLevel::Warning).count() as u64;
    let violations = world.counter(|c| &c.violations);
    assert!(warned >= violations, "{violations} violations, {warned} lines of log");
    world.pass(1_000, TICK);
    assert_consistent(&world);
    others_are_served(&mut world);
    world.stop_work();
    world.stop_connections();
    world.pass(3_000, TICK);
    assert_stopped(&world);
    verdict
}

/// The CONNECT before the bytes; none for a quarter of the inputs.
fn hello(greeting: u8) -> Option<Hello> {
    let version =
        [None, Some(Version::V31), Some(Version::V311), Some(Version::V5)][usize::from(greeting) % 4]?;
    let hello = Hello::new(version, "hostile").clean(greeting & 4 == 0).expiry(u32::from(greeting >> 3));
    Some(hello)
}

fn verdict(world: &World, net: NetId, witness: &Witness) -> Verdict {
    let word = |seen: &Seen| match seen {
        Seen::Connack(connack) => Some(connack.reason),
        Seen::Disconnect(reason) => Some(*reason),
        _ => None,
    };
    let (alone, violations) = (world.shard_count() == 1, world.counter(|c| &c.violations));
    Verdict {
        accepted: witness.accepted(),
        closed: world.nets[net.0].closed(),
        words: alone.then(|| (violations, witness.inbox.iter().filter_map(word).next_back())),
    }
}

/// A client that comes now is let in, and gets what it publishes.
fn others_are_served(world: &mut World) {
    let honest = world.join(0, &Hello::new(Version::V5, "honest"));
    let filters = [("honest/topic", with_qos(1)), ("$share/own/honest/group", with_qos(1))];
    world.ask(honest, &packets::subscribe(Version::V5, 1, &filters, None));
    for (id, topic) in [(2, "honest/topic"), (3, "honest/group")] {
        world.send(honest, &Post::new(topic, "still here", 1, id).encode(Version::V5));
    }
    // A full queue of the hostile session may hold the acknowledgement for a while.
    world.pass(1_000, TICK);
    let seen = world.seen(honest);
    let mine = |topic: &str| {
        let mine = |seen: &&Seen| matches!(seen, Seen::Publish(publish) if publish.topic == topic);
        seen.iter().find(mine).is_some()
    };
    assert!(mine("honest/topic") && mine("honest/group"), "an honest client misses its messages: {seen:?}");
    for id in [2, 3] {
        assert!(seen.contains(&Seen::Ack(AckKind::Puback, id, 0)), "no PUBACK {id}: {seen:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(greeting: u8, bytes: &[u8]) -> Verdict {
        one_run(0, greeting, bytes, 1)
    }

    fn violations(verdict: &Verdict) -> u64 {
        verdict.words.expect("one shard").0
    }

    /// Behind each CONNECT the bytes are judged as packets of that version, before one only CONNECT is taken.
    #[test]
    fn bytes_reach_the_whole_receive_path() {
        let good = packets::pingreq(Version::V5);
        for greeting in 1..4 {
            let verdict = fed(greeting, &good);
            assert_eq!(
                (verdict.accepted, verdict.closed, violations(&verdict)),
                (true, false, 0),
                "{greeting}"
            );
            let verdict = fed(greeting, &[0xff; 9]);
            assert_eq!(
                (verdict.accepted, verdict.closed, violations(&verdict)),
                (true, true, 1),
                "{greeting}"
            );
        }
        let verdict = fed(0, &good);
        assert_eq!((verdict.accepted, verdict.closed, violations(&verdict)), (false, true, 1));
    }
}
