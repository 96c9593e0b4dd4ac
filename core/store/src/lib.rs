//! What survives a crash: where a thing lives, how its changes are written down, and what a store must do
//! for an acknowledgement to be true. It never decides anything about MQTT.
#![forbid(unsafe_code)]

pub mod command;
pub mod partition;
pub mod record;
mod record_bytes;
mod record_change;
mod record_message;
pub mod storage;

pub use command::{Body, Command};
pub use partition::{PARTITIONS, Partition, PartitionTable, partition};
pub use record::{OwnedBody, OwnedCommand, RecordError};
pub use storage::{Memory, Store, StoreTicket};
