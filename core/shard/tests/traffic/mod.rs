//! Publishers and subscribers around shards, driven as a runtime drives them, by code that takes no memory
//! once it runs: what is counted while it runs is the shards' own. It opens no socket and reads no clock.

pub mod loads;
mod rig;

#[path = "../harness/lanes.rs"]
#[allow(dead_code, reason = "what the property tests look at is not looked at here")]
mod lanes;
#[path = "../harness/packets.rs"]
#[allow(dead_code, reason = "what the property tests send and read is not all needed here")]
mod packets;

pub use rig::Rig;
