//! Every bound of a shard with its default and the reason for it. A test or the simulator runs with tiny
//! ones; no queue, table or loop of the shard grows by another rule than the ones here.

use crate::offer::Offer;

/// Connections that are judged anew in one turn: a look at each takes well under a microsecond, and who has to go
/// some ten.
pub const JUDGED_PER_TURN: u32 = 256;

/// Sessions or retained messages in one answer to whoever holds the broker: each takes a few microseconds, to report as
/// to end, so that a page stays within a turn.
pub const ADMIN_PAGE_MAX: u32 = 128;

/// Bytes of retained messages in one such answer, beyond the first message: what is copied stays within a turn.
pub const ADMIN_PAGE_BYTES: usize = 1 << 20;

/// Messages of this program that are published at one go; each takes about a microsecond.
pub const LOCAL_BATCH_MAX: usize = 256;

/// Bytes of a payload of such a message from which handles that get it share its memory, and keep alive what it is a part
/// of: whoever makes it sees to it that this is not much more.
pub const LOCAL_BATCH_SHARED_BYTES_MIN: usize = 257;

/// What a publish that is not allowed means where its acknowledgement cannot say so: at QoS 0, and before 5.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DenyPublish {
    /// It is acknowledged and dropped, as mosquitto does.
    #[default]
    Drop,
    /// Its client is disconnected, in 5.0 with 0x87.
    Disconnect,
}

/// What happens to a QoS 1 or 2 message for a session whose queue is full, once holding it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum QueuePolicy {
    /// The message is not given to that session; counted and logged.
    #[default]
    Drop,
    /// The session ends; its client will see session present 0.
    End,
    /// The publisher gets 0x97 (5.0) or is closed (3.x) and the message is not retained, as long as no session
    /// has taken it; otherwise as `Drop`.
    Refuse,
}

/// All bounds and choices of a shard. Times are milliseconds unless the name says otherwise.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What MQTT leaves to the server, at listeners that have nothing of their own, and for in-process handles.
    pub offer: Offer,
    /// The same for each listener, by its number.
    pub listeners: Vec<Offer>,
    /// Another number than before: all connections are judged anew. 0 as long as that never happened.
    pub judged_anew: u64,
    /// Largest packet before CONNECT was accepted: room for a will and a token, not for a memory attack.
    pub connect_packet_bytes_max: u32,
    /// How long a connection may take until its CONNECT is complete.
    pub connect_timeout: u64,
    /// QoS 1 and 2 publishes the broker has unacknowledged towards one client; 5.0 clients may ask for less.
    pub inflight_messages_max: u16,
    /// Topic aliases the broker uses towards a client that allows them.
    pub topic_alias_outbound_max: u16,
    /// Messages queued for one session.
    pub queue_messages_max: u32,
    /// Bytes queued for one session, and as many again sent to it and not acknowledged; either takes one message
    /// of any size while it is empty.
    pub queue_bytes_max: u64,
    /// How long a publisher's acknowledgement waits for a connected session with a full queue. A session that has
    /// taken nothing for so long is not waited for again until it does.
    pub publish_hold: u64,
    /// Messages held beyond a full queue of one session, over all publishers. A client of the session's own shard is
    /// stopped by its first; one of another shard hears of it when a whole window of it may be on its way. The
    /// default is ten windows of the default size.
    pub hold_messages_max: u32,
    /// Bytes held beyond a full queue of one session.
    pub hold_bytes_max: u64,
    /// What a full queue means once holding is over.
    pub queue_policy: QueuePolicy,
    /// Bytes a connection may leave unprocessed while it is parked; beyond it its socket is not read.
    pub park_bytes_max: usize,
    /// Bytes that packets of all connections of a shard may take while they are incomplete or wait: two of the largest
    /// there can be, and far more than usual ones need, as they come in one piece. Beyond it, who has had an
    /// incomplete packet for longest is disconnected.
    pub unread_bytes_max: usize,
    /// Bytes that all shards may hold together, as far as they count; 0 is no bound, because what share of a machine is
    /// the broker's is for who runs it to say. From four fifths on something is given up for it: see [`crate::budget`].
    pub memory_max: u64,
    /// How long a decider may take for one answer.
    pub decision_timeout: u64,
    /// Sessions in one shard, connected or not.
    pub sessions_max: usize,
    /// Connections of one shard.
    pub connections_max: usize,
    /// Connections of one shard whose CONNECT is not complete; beyond it the oldest goes. With TLS each takes some 8 KiB.
    pub half_open_max: usize,
    /// The same from one address, or one /64 of IPv6.
    pub half_open_per_address_max: usize,
    /// Connections of one address in a second; 0 is no bound, because one address may be a load balancer or a whole
    /// site behind NAT.
    pub connections_per_address_per_second_max: u32,
    /// Bytes of one address in a second, read off its sockets; 0 is no bound, for the same reason.
    pub bytes_per_address_per_second_max: u32,
    /// Filters of one SUBSCRIBE or UNSUBSCRIBE: all are handled in one turn, at some microseconds each.
    pub filters_per_packet_max: usize,
    /// Bytes of a topic name or filter.
    pub topic_bytes_max: usize,
    /// Subscriptions of one session.
    pub subscriptions_per_session_max: usize,
    /// Subscriptions of one session whose filters have wildcards. Filters that all match one topic make finding
    /// its subscribers long; one client alone is to need many sessions for that.
    pub wildcards_per_session_max: usize,
    /// Levels of a topic name or filter; matching cost grows with it.
    pub topic_levels_max: usize,
    /// Levels of a filter with wildcards: each may double the ways by which one topic matches.
    pub wildcard_levels_max: usize,
    /// Nodes of wildcard filters that one match may visit at once: ordinary filters need fewer. A longer one is made
    /// in parts, and all those together visit so many a turn. At some 120 ns for each, with what is done for the
    /// subscribers found there, that is 8 us.
    pub match_nodes_per_turn: usize,
    /// Retained messages of one shard.
    pub retained_messages_max: usize,
    /// Retained messages of one shard below one first level of topics: half of what all may be by default, so that
    /// one tree that grows by mistake leaves room for the others.
    pub retained_per_root_max: usize,
    /// Bytes of retained messages of one shard.
    pub retained_bytes_max: u64,
    /// Retained messages read from another shard at once.
    pub retained_page_messages: u32,
    /// Bytes of retained messages read at once; at least one message is always read.
    pub retained_page_bytes: u64,
    /// Bytes of encoded output per connection above which its queue is not drained further.
    pub output_high_water_bytes: usize,
    /// Bytes of one batch between shards, payloads beside it included; above it the batch is sent before the
    /// turn's end.
    pub mesh_batch_bytes: usize,
    /// Bytes waiting in this shard for one peer whose lane is full; above it publishers are parked.
    pub mesh_spill_bytes_max: usize,
    /// Bytes tunnelled for one connection that lives at another shard and not yet taken there.
    pub tunnel_window_bytes: usize,
    /// How long a closing connection may take to accept its last bytes.
    pub linger: u64,
    /// How long a stop may take.
    pub stop_deadline: u64,
    /// Seconds between publications of `$SYS` topics, 0 turns them off.
    pub sys_interval_seconds: u32,
    /// Whether 3.1 ClientIDs over 23 characters are refused.
    pub strict_client_ids: bool,
    /// Response information returned to 5.0 clients that ask for it: a topic prefix; `None` gives none.
    pub response_information: Option<String>,
    /// Whether connections may be moved to the shard of their session.
    pub moving: bool,
    /// What a publish that is not allowed means where its acknowledgement cannot say so.
    pub deny_publish: DenyPublish,
    /// Whether each packet makes a log line.
    pub log_packets: bool,
}

impl Settings {
    /// The largest packet the protocol knows, in bytes: five of header and 268,435,455 behind it.
    pub const PACKET_BYTES_PROTOCOL_MAX: u32 = 268_435_460;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            offer: Offer::default(),
            listeners: Vec::new(),
            judged_anew: 0,
            connect_packet_bytes_max: 512 << 10,
            connect_timeout: 10_000,
            inflight_messages_max: 1024,
            topic_alias_outbound_max: 32,
            queue_messages_max: 1000,
            queue_bytes_max: 16 << 20,
            publish_hold: 5_000,
            hold_messages_max: 10 * 1024,
            hold_bytes_max: 16 << 20,
            queue_policy: QueuePolicy::Drop,
            park_bytes_max: 64 << 10,
            unread_bytes_max: 512 << 20,
            memory_max: 0,
            decision_timeout: 5_000,
            sessions_max: 1_000_000,
            connections_max: 1_000_000,
            half_open_max: 8192,
            half_open_per_address_max: 1024,
            connections_per_address_per_second_max: 0,
            bytes_per_address_per_second_max: 0,
            filters_per_packet_max: 4096,
            topic_bytes_max: 65_535,
            subscriptions_per_session_max: 100_000,
            wildcards_per_session_max: 4096,
            topic_levels_max: 200,
            wildcard_levels_max: 32,
            match_nodes_per_turn: 64,
            retained_messages_max: 10_000_000,
            retained_per_root_max: 5_000_000,
            retained_bytes_max: 4 << 30,
            retained_page_messages: 64,
            retained_page_bytes: 256 << 10,
            output_high_water_bytes: 64 << 10,
            mesh_batch_bytes: 64 << 10,
            mesh_spill_bytes_max: 4 << 20,
            tunnel_window_bytes: 256 << 10,
            linger: 1_000,
            stop_deadline: 5_000,
            sys_interval_seconds: 10,
            strict_client_ids: false,
            response_information: Some(String::from("response/")),
            moving: true,
            deny_publish: DenyPublish::Drop,
            log_packets: false,
        }
    }
}

/// Slots of the lane between one pair of shards. A slot carries one batch of at most `mesh_batch_bytes`
/// and one frame, so a lane holds a few MiB, and more only of messages that are larger than a batch.
pub const MESH_LANE_SLOTS: usize = 64;
/// Most shards of one broker: the width of the widest interest mask.
pub const SHARDS_MAX: usize = 256;
