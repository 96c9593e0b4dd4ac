//! What the guard wants to know again of a client that it let in. It travels with the client's identity.

use std::sync::Arc;

use ringmq_auth::{Granted, PasswordHash};
use ringmq_shard::Identity;

/// By what a client came in.
pub enum By {
    /// By a token.
    Token,
    /// By the word of the service that is asked over HTTP.
    Service,
    /// By a password, which was stored like this.
    Password(Arc<PasswordHash>),
}

/// What is kept of a login.
pub struct Grant {
    /// By what it came in.
    pub by: By,
    /// What its token or the service says that it may do, instead of what an ACL file says.
    pub permissions: Option<Granted>,
    /// Roles that its token or the service names, beside those of its user name.
    pub roles: Box<[Box<str>]>,
}

impl Grant {
    /// That of somebody who came in by a password. It names no user: the one that CONNECT names stays.
    pub fn of_password(stored: &Arc<PasswordHash>) -> Identity {
        let by = By::Password(Arc::clone(stored));
        let grant = Self { by, permissions: None, roles: Box::default() };
        Identity { grant: Some(Arc::new(grant)), ..Identity::default() }
    }
}

/// What is kept of the login of a client; nothing when there is nothing to keep.
pub fn grant(identity: Option<&Identity>) -> Option<&Grant> {
    identity?.grant.as_ref()?.downcast_ref()
}
