//! Who may come in and what they may do, as values: password files, ACL files, and what bounds guessing. Files
//! come in as bytes, the time and random numbers as arguments; nothing here opens, waits, starts or rolls.
//!
//! | module | what it knows |
//! |---|---|
//! | [`password_hash`] | one stored password: mosquitto's three forms, read, written and compared |
//! | [`password_file`] | who there is, with the line of what is wrong |
//! | [`acl`] | mosquitto's ACL file: read, compiled, checked, explained |
//! | [`permissions`] | the same rules as data, from wherever they come |
//! | [`roles`] | rules under a name, and who has them |
//! | [`jwt`] | signed tokens as passwords, with who bears them and what they may do |
//! | [`scram`] | proof of a password that does not cross the network |
//! | [`verified`] | passwords that were right, as keyed digests, so that a thousand clients may come back at once |
//! | [`backoff`] | addresses that guessed wrong, and how long they wait |
#![forbid(unsafe_code)]

pub mod acl;
pub mod backoff;
#[cfg(feature = "jwt")]
pub mod jwt;
mod line;
pub mod password_file;
pub mod password_hash;
pub mod permissions;
pub mod roles;
mod rule_tree;
pub mod scram;
pub mod verified;

pub use acl::Acl;
pub use line::FileError;
pub use password_file::PasswordFile;
pub use password_hash::{HashMemory, PasswordHash, Scheme};
pub use permissions::{Access, Action, Effect, Granted, Permissions, Rule, Who};
pub use roles::{Role, Roles};
