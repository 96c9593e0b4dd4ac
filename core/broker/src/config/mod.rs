//! Configuration: every key is declared once, in `declaration` (and those of a listener alone in
//! `listener::key`), and flags, environment, file, the library's options, checks, help and error texts all come
//! from there. `raw` holds what somebody typed and where, `resolved` what is true for the broker that starts.
//! Nothing here opens a port or changes the machine.

mod address;
mod client_ids;
mod cores;
mod declaration;
mod environment;
mod error;
pub mod file;
mod http;
mod jwt;
mod key;
pub mod listener;
mod log;
mod machine;
pub mod mosquitto;
mod partition_key;
pub mod raw;
pub(crate) mod resolved;
mod role;
mod toml_file;
mod value;

pub use address::Addresses;
pub use client_ids::{ClientIdFromUser, ClientIdList, ClientIdRules};
pub use cores::{Cores, Shards};
pub use declaration::{Anonymous, DeciderFactory, HooksFactory, KEYS, Options};
pub use error::{ConfigError, ConfigErrors};
pub use http::{HttpFailure, HttpRules, HttpUrl};
pub use jwt::{ClaimText, JwtRules, KeyFiles};
pub use key::{Change, Key, Range, Source, Switch, Unit, key};
pub use log::{LogFormat, LogLevel};
pub use partition_key::PartitionKey;
pub(crate) use partition_key::random_word;
pub use role::{ROLE_KEYS, ROLES_DOC, RoleKey};
pub use toml_file::toml_value;
