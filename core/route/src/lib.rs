//! Who gets a publish: the subscriptions of one shard, its retained messages, and the index of which shards
//! have a match at all.
//!
//! This crate sends nothing, knows no session beyond a number, and reads no clock, socket or dice: hash keys
//! are handed in, and nothing that can be seen from outside depends on them. Filters and topics come in
//! checked; one that is not valid is never a panic, only a filter that matches by the letter.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod arena;
mod interest;
mod levels;
mod retained;
mod route_cache;
mod segmented;
mod subscribers;
mod subscriptions;
mod walk;
mod wildcards;

pub use interest::{Delta, Interest, InterestScratch, InterestWriter, WALK_NODES_MAX};
pub use retained::{PageEnd, RetainedTree};
pub use ringmq_sync::CoreMask;
pub use subscriptions::SubscriptionTree;
pub use walk::{MatchWalk, Stop};
