//! What the guard counts. Written by shards and hashing threads, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Logins of one broker since its start.
        #[derive(Debug, Default)]
        pub struct GuardCounters { $($(#[$doc])* pub(super) $name: AtomicU64,)* }

        impl GuardCounters {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> u64 { self.$name.load(Ordering::Relaxed) })*
        }
    };
}

counters! {
    /// Logins whose password was hashed and right.
    logins_hashed,
    /// Logins whose password was known to be right.
    logins_remembered,
    /// Logins with a good token.
    logins_by_token,
    /// Logins whose token could not be judged, because its key may still have to be fetched.
    logins_without_key,
    /// Logins that proved their password by SCRAM.
    logins_by_scram,
    /// Logins that the service allowed when it was asked.
    logins_http_allowed,
    /// Logins that the service denied when it was asked.
    logins_http_denied,
    /// Logins that the service left to the files when it was asked.
    logins_http_ignored,
    /// Logins for which an answer of the service was known.
    logins_http_remembered,
    /// Requests that the service did not answer, or not as it should.
    http_failures,
    /// Logins that failed.
    logins_failed,
    /// Logins refused because too many waited for their hash or for the service.
    logins_busy,
    /// Logins refused for their ClientID.
    logins_by_client_id_refused,
    /// Clients disconnected because they would not be let in any more.
    logins_ended,
    /// Logins refused because too many from their address failed.
    logins_too_often,
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
