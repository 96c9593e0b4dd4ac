//! The retained messages a new subscription still has to read: a place to go on from, kept with the
//! session, so that a slow or lost client costs no memory and misses nothing.

use alloc::boxed::Box;
use alloc::string::String;

use ringmq_wire::Qos;

/// One subscription's way through the retained messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedRead {
    /// The filter, without `$share`.
    pub filter: Box<str>,
    /// QoS of the subscription.
    pub qos: Qos,
    /// Identifier of the subscription, 0 for none.
    pub id: u32,
    /// The shard whose retained messages are being read.
    pub shard: u16,
    /// The last shard to read.
    pub shard_last: u16,
    /// The last topic read there.
    pub after: Option<String>,
}
