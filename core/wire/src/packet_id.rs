//! Packet identifiers, which are never zero [MQTT-2.2.1-3].

use core::num::NonZeroU16;

/// A packet identifier, 1 to 65,535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The smallest identifier.
    pub const MIN: PacketId = PacketId(NonZeroU16::MIN);
    /// The greatest identifier.
    pub const MAX: PacketId = PacketId(NonZeroU16::MAX);

    /// The identifier for a number, or nothing for zero.
    pub const fn new(value: u16) -> Option<PacketId> {
        match NonZeroU16::new(value) {
            Some(value) => Some(PacketId(value)),
            None => None,
        }
    }

    /// The number on the wire.
    pub const fn value(self) -> u16 {
        self.0.get()
    }
}
