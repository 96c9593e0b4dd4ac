//! Which protocol a connection speaks and which side of it wrote some bytes.

/// A protocol version, by the level byte that CONNECT carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Version {
    /// MQTT 3.1 (`MQIsdp`, level 3).
    V31 = 3,
    /// MQTT 3.1.1 (`MQTT`, level 4).
    V311 = 4,
    /// MQTT 5.0 (`MQTT`, level 5).
    V5 = 5,
}

impl Version {
    /// The protocol level that CONNECT carries, without the bridge bit.
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// The protocol name that goes with the level in CONNECT.
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Version::V31 => "MQIsdp",
            Version::V311 | Version::V5 => "MQTT",
        }
    }

    /// The version as people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Version::V31 => "3.1",
            Version::V311 => "3.1.1",
            Version::V5 => "5.0",
        }
    }
}

/// The side of a connection that sent the bytes being decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The side that sent CONNECT.
    Client,
    /// The side that answers it.
    Server,
}
