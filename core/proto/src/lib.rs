//! Connection and session machines of MQTT, for both roles, as values: bytes and the time go in, packets
//! and verdicts come out. Never a socket, a clock, a thread or a random number.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod alias;
pub mod conn;
pub mod id_set;
pub mod inflight;
pub mod peer;
pub mod rare_queue;
pub mod session;
pub mod time;
