//! Configuration: every key is declared once, in `declaration`, and flags, the library's options, checks,
//! help and error texts all come from there. `raw` holds what somebody typed and where, `resolved` what is
//! true for the broker that starts. Nothing here opens a port or changes the machine.

mod address;
mod cores;
mod declaration;
mod error;
mod key;
mod machine;
mod partition_key;
pub mod raw;
pub(crate) mod resolved;
mod value;

pub use address::Addresses;
pub use cores::{Cores, Shards};
pub use declaration::{Anonymous, DeciderFactory, KEYS, Options};
pub use error::ConfigError;
pub use key::{Change, Key, Range, Source, Switch, Unit, key};
pub use partition_key::PartitionKey;
pub(crate) use partition_key::random_word;
