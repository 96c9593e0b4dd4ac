//! RingMQ: an MQTT broker for 3.1, 3.1.1 and 5.0 that runs inside any program.
//!
//! ```
//! use std::time::Duration;
//! use ringmq::{Broker, PublishOptions, Qos, SubscribeOptions};
//!
//! let broker = Broker::builder().port(0).start()?;
//! println!("{}", broker.url());
//! let subscription = broker.subscribe(["home/+/temperature"], SubscribeOptions::default())?;
//! let handle = broker.handle()?;
//! let published = handle.publish("home/kitchen/temperature", "21.5", PublishOptions::qos(Qos::AtLeastOnce))?;
//! assert_eq!(published.matched, 1);
//! let message = subscription.recv(Duration::from_secs(1))?;
//! assert_eq!(message.payload(), b"21.5");
//! broker.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Any number of brokers may run at once. A broker that is stopped or dropped gives back its ports, threads
//! and memory; at most a few parked threads stay for the next start and end by themselves. The library never
//! exits, installs signal handlers or prints: what it has to say are `tracing` events. A process that forks
//! must not use a broker of its parent: threads do not survive a fork.
//!
//! Nothing on the way of a message is decided here; that is the business of the shards.
#![forbid(unsafe_code)]

mod admin;
mod broker;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
mod doors;
pub mod guard;
mod handle;
pub mod questions;
mod random;
mod reload;

pub use admin::AdminError;
pub use broker::{Broker, StartError};
pub use config::{
    Addresses, Anonymous, ClaimText, ClientIdFromUser, ClientIdList, ClientIdRules, ConfigError,
    ConfigErrors, Cores, HttpFailure, HttpRules, HttpUrl, JwtRules, KeyFiles, Options, PartitionKey, Shards,
};
pub use guard::{DoorRules, Guard, GuardError, GuardOptions};
pub use handle::{
    BATCH_COPIED_BYTES_MAX, BATCH_MAX, Handle, Messages, OpenError, PendingPublish, PublishError,
    PublishOptions, Published, ReceivedMessage, RecvError, SubscribeError, SubscribeOptions, Subscription,
};
pub use random::random_bytes;
pub use reload::ReloadReport;
pub use ringmq_auth::{Access, Action, Effect, Permissions, Role, Rule};
/// What goes wrong on purpose, for tests.
pub use ringmq_net::faults;
pub use ringmq_rt::{AdoptError, AdoptReason, Decisions, Driver, DriverChoice, StopReport, trim};
pub use ringmq_shard::counters::ShardCounters;
pub use ringmq_shard::{
    Answer, Challenge, Counters, Decider, DenyPublish, Hooks, Identity, Offered, PeerAddress, Proof,
    Question, QueuePolicy, Reader, Rewritten, ShardId, Ticket, Verdict,
};
pub use ringmq_shard::{RetainedReport, SessionReport};
pub use ringmq_wire::{
    Properties, PropertiesBuffer, Property, PropertyValue, Qos, ReasonCode, RetainHandling, Violation,
};

/// Payloads: anything that is, or becomes, shared bytes.
pub use bytes::Bytes;
