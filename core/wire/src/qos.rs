//! Quality of service: how often a message may arrive.

/// A quality of service, ordered from the weakest promise to the strongest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qos {
    /// QoS 0: once or never.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: once or more.
    AtLeastOnce = 1,
    /// QoS 2: once.
    ExactlyOnce = 2,
}

impl Qos {
    /// The quality for a number, or nothing when it is greater than 2.
    pub const fn from_u8(value: u8) -> Option<Qos> {
        match value {
            0 => Some(Qos::AtMostOnce),
            1 => Some(Qos::AtLeastOnce),
            2 => Some(Qos::ExactlyOnce),
            _ => None,
        }
    }

    /// The number on the wire, 0 to 2.
    pub const fn value(self) -> u8 {
        self as u8
    }
}
