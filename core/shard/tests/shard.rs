//! The broker's shards as values, from outside: directed tests of what MQTT and RingMQ promise, and a property
//! test against a model. Nothing here knows a shard's inside.
#![forbid(unsafe_code)]
// The seed and the number of cases come from the environment of whoever runs the tests.
#![allow(clippy::disallowed_methods)]

mod directed;
mod harness;
mod model;
