//! N shards as values in one process: lanes, deciders, sockets and time are the test's own, and one seed
//! decides every order. It never opens a socket, reads a clock or starts a thread.

pub mod deciders;
pub mod lanes;
pub mod local;
pub mod net;
pub mod packets;
pub mod random;
pub mod steps;
pub mod world;

pub use deciders::Mood;
pub use net::NetId;
pub use packets::{AckKind, Hello, Post, Seen, SeenConnack, SeenPublish};
pub use random::Random;
pub use world::World;
