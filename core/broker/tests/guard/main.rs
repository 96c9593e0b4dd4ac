//! The server's own decider through the door: who comes in by a password file, what an ACL file lets through, what a
//! reload changes, and that nothing of it is left when the broker is gone.

mod byte_rates;
mod client;
mod client_ids;
mod http;
mod passwords;
mod roles;
mod staying;
mod token_keys;
mod tokens;
