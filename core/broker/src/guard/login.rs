//! One login on its way, and the lines that the log gets of it. Their form is stable, so that a program may act upon
//! them: `Authentication failed for user 'NAME' as 'CLIENTID' from ADDRESS: REASON`. Names stand in quotes and cannot
//! end them; the address is the last thing in front of the reason.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use ringmq_auth::PasswordHash;
use ringmq_auth::verified::Digest;
use ringmq_rt::Decisions;
use ringmq_shard::{Ticket, quoted};

use super::key_set::KeySet;
use super::queue::Waits;
use crate::config::ClientIdRules;

/// Bytes that a client gave in secret. Never shown by `Debug`.
pub struct Secret(pub Box<[u8]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Who wants to come in, for the log.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user name.
    pub user_name: Option<Box<str>>,
    /// The ClientID.
    pub client_id: Box<str>,
    /// The address.
    pub address: Option<SocketAddr>,
}

impl Caller {
    /// The address without its port.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip())
    }

    /// Tells the log that this login failed.
    pub fn log_failure(&self, reason: &str) {
        tracing::warn!("Authentication failed for {self}: {reason}");
    }

    /// Tells the log that this client is to go.
    pub fn log_end(&self, reason: &str) {
        tracing::warn!("Login ended of {self}: {reason}");
    }

    /// Tells the log that this login was not judged.
    pub fn log_refusal(&self, reason: &str) {
        tracing::info!("Authentication refused for {self}: {reason}");
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.user_name {
            Some(name) => write!(f, "user {}", quoted(name))?,
            None => f.write_str("anonymous")?,
        }
        write!(f, " as {} from ", quoted(&self.client_id))?;
        match self.address {
            Some(address) => address.fmt(f),
            None => f.write_str("<unix socket>"),
        }
    }
}

/// What a password must be.
pub enum Expected {
    /// What is stored.
    Password {
        /// The stored one; that of somebody else when the user is unknown.
        stored: Arc<PasswordHash>,
        /// Whether the user is known.
        is_known: bool,
        /// What to remember it by when it is right.
        digest: Option<Digest>,
        /// Whether it is remembered by which it came in.
        is_kept: bool,
    },
    /// A token that one of these keys signed, of a user who may have this ClientID.
    Token(Arc<KeySet>, Arc<ClientIdRules>),
}

/// A login that waits for its hash, or for its token to be verified.
pub struct Login {
    /// Who it is.
    pub caller: Caller,
    /// The password that was given, or the token.
    pub password: Secret,
    /// What it must be.
    pub expected: Expected,
    /// Where the answer goes.
    pub decisions: Decisions,
    /// To which question.
    pub ticket: Ticket,
    /// When nobody waits for the answer any more.
    pub deadline: Instant,
}

impl Waits for Login {
    fn bytes(&self) -> usize {
        self.password.0.len()
    }
    fn address(&self) -> Option<IpAddr> {
        self.caller.ip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_everybody_and_cannot_be_forged() {
        let caller = |user_name: Option<&str>, client_id: &str| Caller {
            user_name: user_name.map(Into::into),
            client_id: client_id.into(),
            address: "192.0.2.1:5".parse().ok(),
        };
        let rows = [
            (caller(Some("x"), "c"), "user 'x' as 'c' from 192.0.2.1:5"),
            (caller(None, ""), "anonymous as '' from 192.0.2.1:5"),
            (
                caller(Some("x' as 'c' from 1.2.3.4:5: wrong password\n"), "c"),
                "user 'x\\' as \\'c\\' from 1.2.3.4:5: wrong password\\n' as 'c' from 192.0.2.1:5",
            ),
        ];
        for (caller, expected) in rows {
            assert_eq!(caller.to_string(), expected);
        }
        assert_eq!(
            Caller { address: None, ..caller(None, "c") }.to_string(),
            "anonymous as 'c' from <unix socket>"
        );
        assert_eq!(format!("{:?}", Secret(b"secret"[..].into())), "Secret(…)");
    }
}
