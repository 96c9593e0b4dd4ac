//! Whether who is connected would be let in by what holds now.

use ringmq_shard::{PeerAddress, Reader};

use super::decider::Credentials;
use super::grant::{By, grant};
use super::snapshot::{Rules, Snapshot};

/// Nothing when it may stay, or why it may not. What a transport has proved is not proved again: a certificate that was
/// revoked meanwhile comes in no more, but its connections stay.
pub fn why_not(snapshot: &Snapshot, peer: &PeerAddress, reader: &Reader<'_>) -> Option<&'static str> {
    let rules = snapshot.rules(peer.listener);
    if !rules.is_open {
        return Some("its listener is gone");
    }
    if let Err(reason) = rules.client_ids.check(reader.user_name, reader.client_id) {
        return Some(reason);
    }
    if peer.user_name.is_some() {
        return None;
    }
    let by = grant(reader.identity).map(|grant| &grant.by);
    match (by, reader.user_name) {
        (Some(By::Token), _) => rules.tokens.is_none().then_some("tokens are not taken any more"),
        // What it would say now, it is asked when the client comes again.
        (Some(By::Service), _) => {
            snapshot.http.is_none().then_some("there is no service any more that let it in")
        }
        (Some(By::Password(before)), Some(name)) => match &rules.users {
            Some(users) => match users.find(name) {
                Some(stored) if stored == before => None,
                Some(_) => Some("its password has changed"),
                None => Some("there is no such user any more"),
            },
            None => without_password(rules),
        },
        (_, Some(name)) => match &rules.users {
            Some(users) => users.find(name).is_none().then_some("there is no such user any more"),
            None => without_password(rules),
        },
        (_, None) => without_password(rules),
    }
}

fn without_password(rules: &Rules) -> Option<&'static str> {
    (!rules.allow_anonymous).then_some("anonymous clients are not let in any more")
}

/// The same client as its login was.
pub fn credentials<'a>(peer: &'a PeerAddress, reader: &Reader<'a>) -> Credentials<'a> {
    Credentials { peer, client_id: reader.client_id, user_name: reader.user_name, password: None }
}
