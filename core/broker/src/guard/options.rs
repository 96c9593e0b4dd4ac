//! What a guard is made of.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ringmq_auth::Roles;

use crate::config::{ClientIdRules, HttpRules, JwtRules, PartitionKey};

/// Hashing threads of one broker: each may keep 256 MiB of memory.
const THREADS_MAX: usize = 4;

/// What holds at one listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorRules {
    /// Users and their passwords; without it no user name is asked for a password.
    pub password_file: Option<PathBuf>,
    /// Who may read and write what; without it everybody may everything.
    pub acl_file: Option<PathBuf>,
    /// Which tokens are taken as passwords, and what is read from them.
    pub jwt: JwtRules,
    /// Which ClientIDs they may have.
    pub client_ids: ClientIdRules,
    /// Whether clients without a user name come in; without a password file, whether anybody does.
    pub allow_anonymous: bool,
}

impl DoorRules {
    /// Whether clients can say who they are.
    #[must_use]
    pub fn knows_users(&self) -> bool {
        self.password_file.is_some() || self.jwt.takes_tokens()
    }
}

/// What a guard is made of.
#[derive(Clone, Debug)]
pub struct GuardOptions {
    /// What holds at listeners without rules of their own.
    pub rules: DoorRules,
    /// Rules of listeners by their number; nothing where one has closed, whose clients keep the rules it had.
    pub listeners: Vec<Option<DoorRules>>,
    /// The service that is asked first, at every listener.
    pub http: HttpRules,
    /// Roles of users, asked before tokens and ACL files.
    pub roles: Option<Arc<Roles>>,
    /// Shards of the broker, whose CPUs hashing threads leave alone where there are others.
    pub shards: usize,
    /// How long a login may wait for its hash: the broker's `decision_timeout`.
    pub decision_timeout: Duration,
    /// The broker's, where one is given: what unknown users are challenged with is then the same at each start.
    pub partition_key: Option<PartitionKey>,
    /// Whether logins are remembered as a reload needs it that disconnects whom it would not let in.
    pub reload_kicks: bool,
}

impl GuardOptions {
    /// One thread for each CPU without a shard, at least one and at most four.
    pub(super) fn hashing_threads(&self) -> usize {
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
        cpus.saturating_sub(self.shards).clamp(1, THREADS_MAX)
    }
}
