//! Bounds so small that a short script reaches them, and the proof that they hold: what the counters of a
//! broker may say at any time, and once it has come to rest.

use ringmq_shard::{Offer, QueuePolicy, Settings};

use crate::harness::world::World;

/// What a message may take beyond its packet: the entry, the topic and its properties once more.
const MESSAGE_BYTES_MAX: u64 = 6_000;

/// What one read of a driver brings at most. A tunnel passes a read on as one piece, in a batch of that size.
pub const READ_BYTES_MAX: usize = 4_000;

/// Bounds that a short script can reach.
pub fn small_settings(moving: bool, queue_policy: QueuePolicy) -> Settings {
    let offer =
        Offer { packet_bytes_max: 2_000, receive_maximum: 3, topic_alias_maximum: 2, ..Offer::default() };
    Settings {
        offer,
        connect_packet_bytes_max: 500,
        connect_timeout: 1_000,
        inflight_messages_max: 3,
        topic_alias_outbound_max: 2,
        queue_messages_max: 4,
        queue_bytes_max: 3_000,
        publish_hold: 300,
        hold_messages_max: 3,
        hold_bytes_max: 2_000,
        queue_policy,
        park_bytes_max: 400,
        unread_bytes_max: 12_000,
        decision_timeout: 500,
        subscriptions_per_session_max: 4,
        wildcards_per_session_max: 3,
        topic_levels_max: 4,
        wildcard_levels_max: 3,
        match_nodes_per_turn: 3,
        sessions_max: 6,
        connections_max: 5,
        retained_messages_max: 4,
        retained_bytes_max: 3_000,
        retained_page_messages: 2,
        retained_page_bytes: 500,
        output_high_water_bytes: 400,
        mesh_batch_bytes: 300,
        mesh_spill_bytes_max: 1_000,
        tunnel_window_bytes: 400,
        linger: 200,
        stop_deadline: 1_000,
        sys_interval_seconds: 0,
        moving,
        ..Settings::default()
    }
}

/// Holds at any time: no table and no queue has more than its settings allow.
pub fn assert_bounded(world: &World, handles: u64) {
    let settings = &world.common.settings;
    let shards = world.shard_count() as u64;
    let clients = world.counter(|c| &c.sessions);
    let sessions = clients + world.counter(|c| &c.handles);
    let at_most = |what: &str, is: u64, bound: u64| assert!(is <= bound, "{what}: {is}, at most {bound}");
    at_most("sessions of clients", clients, shards * settings.sessions_max as u64);
    at_most("sessions", sessions, shards * settings.sessions_max as u64 + handles);
    at_most("sessions with a connection", world.counter(|c| &c.sessions_connected), clients);
    at_most("connections", world.counter(|c| &c.connections), shards * settings.connections_max as u64);
    // A page of retained messages comes on top, and what a lost member of a group had not acknowledged.
    let page = settings.retained_page_messages + u32::from(settings.inflight_messages_max);
    let messages = u64::from(settings.queue_messages_max + page);
    at_most("messages queued", world.counter(|c| &c.queued), sessions * messages);
    let held = u64::from(settings.hold_messages_max);
    at_most("messages held", world.counter(|c| &c.held), sessions * held);
    let bytes = 2 * settings.queue_bytes_max + settings.retained_page_bytes + MESSAGE_BYTES_MAX;
    at_most("bytes queued", world.counter(|c| &c.queued_bytes), sessions * bytes);
    let subscriptions = world.counter(|c| &c.subscriptions) + world.counter(|c| &c.subscriptions_shared);
    at_most("subscriptions", subscriptions, sessions * settings.subscriptions_per_session_max as u64);
    at_most("retained", world.counter(|c| &c.retained), shards * settings.retained_messages_max as u64);
    let unread = settings.unread_bytes_max + settings.connections_max * READ_BYTES_MAX;
    at_most("bytes unread", world.counter(|c| &c.unread_bytes), shards * unread as u64);
    let retained_bytes = settings.retained_bytes_max + MESSAGE_BYTES_MAX;
    at_most("bytes retained", world.counter(|c| &c.retained_bytes), shards * retained_bytes);
    const { assert!(READ_BYTES_MAX as u64 + 100 < MESSAGE_BYTES_MAX) };
    let batch = world.lanes.borrow().batch_bytes_seen_max as u64;
    at_most("bytes of a batch", batch, settings.mesh_batch_bytes as u64 + MESSAGE_BYTES_MAX);
}

/// Holds when nothing more happens without time, answers or clients.
pub fn assert_consistent(world: &World) {
    let open = world.nets.iter().filter(|net| !net.closed()).count() as u64;
    assert_eq!(world.counter(|c| &c.connections), open, "the gauge of connections and the open sockets");
    if world.counter(|c| &c.sessions) + world.counter(|c| &c.handles) == 0 {
        assert_eq!(world.counter(|c| &c.queued), 0, "messages are queued for nobody");
        assert_eq!(world.counter(|c| &c.queued_bytes), 0, "bytes are queued for nobody");
        let subscriptions = world.counter(|c| &c.subscriptions) + world.counter(|c| &c.subscriptions_shared);
        assert_eq!(subscriptions, 0, "nobody has subscriptions");
    }
    if world.counter(|c| &c.queued) == 0 {
        assert_eq!(world.counter(|c| &c.queued_bytes), 0, "no messages are queued, but bytes");
    }
    if world.counter(|c| &c.retained) == 0 {
        assert_eq!(world.counter(|c| &c.retained_bytes), 0, "no messages are retained, but bytes");
    }
}

/// Holds after a stop: no connection, no connected session, nothing under way.
pub fn assert_stopped(world: &World) {
    assert!(world.stopped.iter().all(|stopped| *stopped), "stopped: {:?}", world.stopped);
    assert_eq!(world.nets.iter().filter(|net| !net.closed()).count(), 0, "open sockets after a stop");
    assert_eq!(world.counter(|c| &c.connections), 0, "connections after a stop");
}
