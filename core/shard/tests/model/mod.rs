//! A model of MQTT as a client may see it, and the property test that holds N shards against it. Clients keep a
//! history of what they sent and saw, each event with its place in time; the judge then says which outcomes
//! MQTT allows. It never looks inside a shard, and it knows nothing of cores: whatever overlapped in time may
//! have happened in either order, whatever did not may not.

mod actor;
mod drive;
mod handle;
mod history;
mod judge;
mod judge_retained;
mod judge_shared;
mod property;
mod self_check;
