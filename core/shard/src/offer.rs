//! What MQTT leaves to the server to choose, as it is offered to the clients of one listener: versions, limits and
//! features, told to clients of 5.0 in CONNACK. Bounds that protect the broker are no offers and stand in `limits`.

use std::fmt;
use std::str::FromStr;

use ringmq_wire::Version;

use crate::Shard;
use crate::input::ConnId;
use crate::limits::Settings;
use crate::sessions::{Attached, SessionId};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// Some of the protocol's versions, written `all` or like `3.1.1+5.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions([bool; VERSIONS.len()]);

impl Versions {
    /// Every version there is.
    pub const ALL: Self = Self([true; VERSIONS.len()]);

    /// Whether this version is one of them.
    #[must_use]
    pub fn contains(self, version: Version) -> bool {
        VERSIONS.iter().zip(self.0).any(|(other, is_in)| *other == version && is_in)
    }
}

impl FromStr for Versions {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "all" {
            return Ok(Self::ALL);
        }
        let mut versions = Self([false; VERSIONS.len()]);
        for name in text.split('+') {
            let place = VERSIONS.iter().position(|version| version.name() == name.trim()).ok_or(())?;
            versions.0[place] = true;
        }
        Ok(versions)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("all");
        }
        let names = VERSIONS.iter().filter(|version| self.contains(**version)).map(|version| version.name());
        f.write_str(&names.collect::<Vec<_>>().join("+"))
    }
}

/// What the clients of one listener are offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Versions that are served [MQTT-3.1.2-2].
    pub versions: Versions,
    /// Largest packet a client may send, in bytes, fixed header included. Default: the protocol's maximum.
    pub packet_bytes_max: u32,
    /// QoS 1 and 2 publishes a client may have unacknowledged towards the broker.
    pub receive_maximum: u16,
    /// Topic aliases a client may use towards the broker.
    pub topic_alias_maximum: u16,
    /// Longest session expiry granted, in seconds; `u32::MAX` grants sessions that never expire.
    pub session_expiry_seconds_max: u32,
    /// Keep alive imposed on 5.0 clients, in seconds; `None` leaves the client's.
    pub server_keep_alive_seconds: Option<u16>,
    /// Longest keep alive granted; a client of 3.x that asks for more is refused.
    pub keep_alive_seconds_max: u16,
    /// Whether a client may have no keep alive; else it counts as one that is too long.
    pub keep_alive_none: bool,
    /// Highest QoS served: 0, 1 or 2.
    pub maximum_qos: u8,
    /// Whether retained messages are served.
    pub retain_available: bool,
    /// Whether wildcard subscriptions are served.
    pub wildcard_available: bool,
    /// Whether shared subscriptions are served.
    pub shared_available: bool,
    /// Whether a client's ClientID is its user name, whatever it says; who has no user name keeps what it says.
    pub client_id_is_user_name: bool,
    /// Whether subscription identifiers are served.
    pub subscription_identifiers_available: bool,
}

impl Offer {
    /// Whether a client gets the keep alive that it asks for; 0 is none.
    #[must_use]
    pub const fn grants_keep_alive(&self, seconds: u16) -> bool {
        match seconds {
            0 => self.keep_alive_none,
            _ => seconds <= self.keep_alive_seconds_max,
        }
    }
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            versions: Versions::ALL,
            packet_bytes_max: Settings::PACKET_BYTES_PROTOCOL_MAX,
            receive_maximum: 1024,
            topic_alias_maximum: 32,
            session_expiry_seconds_max: u32::MAX,
            server_keep_alive_seconds: None,
            keep_alive_seconds_max: u16::MAX,
            keep_alive_none: true,
            maximum_qos: 2,
            retain_available: true,
            wildcard_available: true,
            shared_available: true,
            client_id_is_user_name: false,
            subscription_identifiers_available: true,
        }
    }
}

impl Settings {
    /// What the clients of this listener are offered.
    #[must_use]
    pub fn offer_at(&self, listener: u16) -> &Offer {
        self.listeners.get(usize::from(listener)).unwrap_or(&self.offer)
    }
}

impl Shard {
    /// What the client of this connection is offered.
    pub(crate) fn offer_to(&self, id: ConnId) -> &Offer {
        let listener = self.links.at(id).map(|link| link.peer.listener);
        listener.map_or(&self.settings.offer, |listener| self.settings.offer_at(listener))
    }

    /// What whoever is attached to this session is offered.
    pub(crate) fn offer_for(&self, session: SessionId) -> &Offer {
        match self.sessions.at(session).map(|home| home.attached) {
            Some(Attached::Link(id)) => self.offer_to(id),
            _ => &self.settings.offer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_as_they_are_read() {
        for text in ["all", "3.1", "3.1.1", "5.0", "3.1.1+5.0", "3.1+5.0"] {
            assert_eq!(text.parse::<Versions>().map(|versions| versions.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("3.1+3.1.1+5.0".parse(), Ok(Versions::ALL));
        for text in ["", "4", "5", "3.1.1,5.0", "+"] {
            assert_eq!(text.parse::<Versions>(), Err(()), "{text}");
        }
        let old: Versions = "3.1+3.1.1".parse().expect("versions");
        assert!(old.contains(Version::V31) && !old.contains(Version::V5));
    }
}
