//! A batch of any bytes, as a shard with a broken peer would get it.

use ringmq_shard::{Batch, Input, QueuePolicy, ShardId};
use ringmq_wire::Version;

use crate::bounds::{assert_bounded, small_settings};
use crate::harness::packets::{self, Hello, Post, Seen};
use crate::harness::world::{Setup, World};

/// Time between two looks at the clock while time passes, in milliseconds.
const TICK: u64 = 100;

/// Hands any bytes to a shard as a batch of its peer, then has a client do its work there.
pub fn mesh(bytes: &[u8]) {
    let mut setup = Setup::new(2, 7);
    setup.settings = small_settings(true, QueuePolicy::Drop);
    let mut world = World::new(&setup);
    let subscriber = world.join(0, &Hello::new(Version::V5, "one").persistent());
    let filters = [("#", packets::with_qos(2)), ("$share/g/#", packets::with_qos(1))];
    world.ask(subscriber, &packets::subscribe(Version::V5, 1, &filters, Some(3)));
    world.ask(subscriber, &Post::new("a", "kept", 1, 2).retained().encode(Version::V5));
    let mut batch = Batch { bytes: bytes.to_vec(), payloads: Vec::new() };
    let shard = world.shard_of(subscriber).expect("it is connected");
    let peer = ShardId(1 - shard as u16);
    world.give(shard, Input::Mesh { from: peer, batch: &mut batch });
    assert!(batch.bytes.is_empty() && batch.payloads.is_empty(), "a batch comes back empty");
    world.run();
    world.pass(2_000, TICK);
    assert_bounded(&world, 0);
    let late = world.join(0, &Hello::new(Version::V311, "late"));
    let answers = world.ask(late, &packets::pingreq(Version::V311));
    assert!(answers.contains(&Seen::Pingresp), "the shard serves: {answers:?}");
}
