//! The broker's shards as values, from outside: directed tests of what MQTT and RingMQ promise, and a property
//! test against a model. Nothing here knows a shard's inside.
#![forbid(unsafe_code)]

mod directed;
mod harness;
mod model;
