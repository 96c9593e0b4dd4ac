//! What a shard counts. Written by its shard alone, read by anyone at any time; a reader may see one
//! counter a moment before another.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::budget::Budget;

/// One number.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owning shard calls it, so a load and a store suffice.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }
    /// Subtracts, for numbers that go up and down.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(n), Ordering::Relaxed);
    }
    /// Follows a part of it, which was `before` and is `after`.
    pub fn follow(&self, before: u64, after: u64) {
        self.add(after.wrapping_sub(before));
    }
    /// Sets, for numbers that are known whole.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
    /// The number now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The numbers of one shard.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct ShardCounters { $($(#[$doc])* pub $name: Counter,)* }

        impl ShardCounters {
            /// All numbers with their names, in the order of declaration.
            pub fn each(&self, mut f: impl FnMut(&'static str, u64)) {
                $(f(stringify!($name), self.$name.value());)*
            }
        }
    };
}

counters! {
    /// Bytes read from clients.
    bytes_received,
    /// Bytes written to clients.
    bytes_sent,
    /// Packets of any type received.
    packets_received,
    /// Packets of any type sent.
    packets_sent,
    /// PUBLISH packets received.
    publish_received,
    /// PUBLISH packets sent.
    publish_sent,
    /// Payload bytes of PUBLISH packets received.
    publish_bytes_received,
    /// Payload bytes of PUBLISH packets sent.
    publish_bytes_sent,
    /// Deliveries not made because a session's queue was full, QoS 0.
    dropped_queue_qos0,
    /// QoS 0 deliveries not made because the session had no connection.
    dropped_offline_qos0,
    /// Deliveries not made because a session's queue was full, QoS 1 and 2.
    dropped_queue,
    /// QoS 0 hand-offs to another shard not made because the lane was full.
    dropped_mesh,
    /// Deliveries not made because the message was larger than the client accepts.
    dropped_too_large,
    /// Deliveries not made because the message expired first.
    dropped_expired,
    /// Deliveries not made because their session ended, by expiry, by its client or by policy.
    dropped_session_ended,
    /// Deliveries of shared subscriptions discarded by an acknowledgement of 0x80 or more, or by having no member.
    dropped_shared,
    /// Deliveries refused by their client with a reason code of 0x80 or more.
    refused_by_client,
    /// Publishes that were not allowed.
    publish_denied,
    /// Deliveries not made because their clients may not read the topic.
    denied_delivery,
    /// Retained messages refused because the store was full.
    retained_refused,
    /// Publishes refused with 0x97.
    publish_refused,
    /// Publishes whose acknowledgement was held for a full queue.
    publish_held,
    /// Connections now.
    connections,
    /// Connections accepted since the start.
    connections_total,
    /// Connections closed for a violation.
    violations,
    /// Clients' sessions now, connected or not.
    sessions,
    /// In-process handles and subscriptions now.
    handles,
    /// Sessions with a connection now.
    sessions_connected,
    /// Sessions that expired.
    sessions_expired,
    /// Subscriptions now.
    subscriptions,
    /// Shared subscriptions now.
    subscriptions_shared,
    /// Retained messages now.
    retained,
    /// Bytes of retained messages now.
    retained_bytes,
    /// Messages queued for sessions now.
    queued,
    /// Messages held beyond full queues now; their publishers wait.
    held,
    /// Bytes queued for sessions now.
    queued_bytes,
    /// Messages of QoS 1 and 2 sent to clients and not complete, now.
    inflight,
    /// Bytes of encoded output that clients have not taken yet, now; connections with less than a page are left out.
    output_bytes,
    /// Bytes held now, as far as they are counted: what `memory_max` is about.
    memory_bytes,
    /// Changes of the rung that the memory budget gives.
    memory_rung_changes,
    /// Clients refused because memory is short.
    memory_refused,
    /// Deliveries that a queue had room for and the memory budget did not; what became of them is counted as for a
    /// full queue.
    memory_shed,
    /// Connections closed because their handshakes or CONNECT were not complete in time.
    connect_timeouts,
    /// Connections closed because nothing came from them within the keep alive.
    keep_alive_timeouts,
    /// Connections closed because of a packet larger than may be, theirs or an answer to them.
    packets_too_large,
    /// Connections closed because of more unacknowledged publishes than may be.
    receive_maximum_exceeded,
    /// Connections closed because of more filters in a packet than may be.
    filters_too_many,
    /// Connections refused because as many as may be were open.
    connections_refused,
    /// Clients refused because there were as many sessions as may be.
    sessions_refused,
    /// Subscriptions refused: a filter too long or deep, one more than a client may have, or memory is short.
    subscriptions_refused,
    /// Bytes that packets take which are incomplete or wait for their turn, now.
    unread_bytes,
    /// Connections closed because such packets took more than they may.
    unread_closed,
    /// Connections closed before CONNECT because too many had not said who they are.
    half_open_closed,
    /// Connections refused because their address makes too many.
    connections_too_often,
    /// Reads that had to wait because their address had sent too much.
    reads_delayed,
    /// Connections moved to another shard.
    moved,
    /// Takeovers of a live ClientID.
    takeovers,
    /// Clients left unserved at the stop's deadline.
    stop_left,
}

/// The numbers of all shards of a broker.
#[derive(Debug)]
pub struct Counters {
    shards: Box<[ShardCounters]>,
    /// The memory that all shards hold together.
    pub budget: Budget,
}

impl Counters {
    /// Zeros for `shards` shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| ShardCounters::default()).collect(), budget: Budget::default() }
    }
    /// One shard's.
    #[must_use]
    pub fn shard(&self, index: usize) -> &ShardCounters {
        &self.shards[index]
    }
    /// The sum over all shards of what `pick` picks.
    pub fn sum(&self, pick: impl Fn(&ShardCounters) -> &Counter) -> u64 {
        self.shards.iter().map(|s| pick(s).value()).sum()
    }
}
