//! The fifteen packets, told apart by the first byte.
//!
//! What all packets share stands here: type, direction, reserved flags and the fixed header. What is inside
//! each stands in the file of its name.

use alloc::vec::Vec;

use crate::frame::Frame;
use crate::{
    Ack, Auth, Connack, Connect, Disconnect, Publish, Sender, Suback, Subscribe, Unsuback, Unsubscribe,
    Version, Violation, writer,
};

/// The type of a packet, by its number in the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "each kind is the packet of that name")]
pub enum PacketKind {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketKind {
    /// Every kind, by number.
    pub const ALL: [PacketKind; 15] = [
        PacketKind::Connect,
        PacketKind::Connack,
        PacketKind::Publish,
        PacketKind::Puback,
        PacketKind::Pubrec,
        PacketKind::Pubrel,
        PacketKind::Pubcomp,
        PacketKind::Subscribe,
        PacketKind::Suback,
        PacketKind::Unsubscribe,
        PacketKind::Unsuback,
        PacketKind::Pingreq,
        PacketKind::Pingresp,
        PacketKind::Disconnect,
        PacketKind::Auth,
    ];

    /// The kind named by the upper half of a first byte; nothing for type 0.
    pub const fn from_first(first: u8) -> Option<PacketKind> {
        match first >> 4 {
            0 => None,
            number => Some(PacketKind::ALL[number as usize - 1]),
        }
    }

    /// The number in the upper half of the first byte, 1 to 15.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name in the specification.
    pub const fn name(self) -> &'static str {
        match self {
            PacketKind::Connect => "CONNECT",
            PacketKind::Connack => "CONNACK",
            PacketKind::Publish => "PUBLISH",
            PacketKind::Puback => "PUBACK",
            PacketKind::Pubrec => "PUBREC",
            PacketKind::Pubrel => "PUBREL",
            PacketKind::Pubcomp => "PUBCOMP",
            PacketKind::Subscribe => "SUBSCRIBE",
            PacketKind::Suback => "SUBACK",
            PacketKind::Unsubscribe => "UNSUBSCRIBE",
            PacketKind::Unsuback => "UNSUBACK",
            PacketKind::Pingreq => "PINGREQ",
            PacketKind::Pingresp => "PINGRESP",
            PacketKind::Disconnect => "DISCONNECT",
            PacketKind::Auth => "AUTH",
        }
    }

    /// The flags in the lower half of the first byte; those of PUBLISH are its own.
    const fn flags(self) -> u8 {
        match self {
            PacketKind::Pubrel | PacketKind::Subscribe | PacketKind::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// The first byte of a packet that is not PUBLISH.
    pub(crate) const fn first(self) -> u8 {
        (self as u8) << 4 | self.flags()
    }

    /// Whether this side may send it in this version.
    fn is_sent_by(self, sender: Sender, version: Version) -> bool {
        use PacketKind as Kind;
        match self {
            Kind::Publish | Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp | Kind::Auth => true,
            Kind::Connect | Kind::Subscribe | Kind::Unsubscribe | Kind::Pingreq => sender == Sender::Client,
            Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp => sender == Sender::Server,
            Kind::Disconnect => sender == Sender::Client || version == Version::V5,
        }
    }

    fn check_flags(self, flags: u8, version: Version) -> Result<(), Violation> {
        // 3.1 gives PUBREL, SUBSCRIBE and UNSUBSCRIBE a QoS and lets them be marked as duplicates; all other
        // flags there are not used, which is not the same as reserved.
        let fine = match version {
            Version::V31 => flags & 0b0110 == self.flags() || self.flags() == 0,
            Version::V311 | Version::V5 => flags == self.flags(),
        };
        if fine {
            return Ok(());
        }
        Err(match self {
            PacketKind::Pubrel => Violation::PubrelFlagsReserved,
            PacketKind::Subscribe => Violation::SubscribeFlagsReserved,
            PacketKind::Unsubscribe => Violation::UnsubscribeFlagsReserved,
            PacketKind::Disconnect => Violation::DisconnectFlagsReserved,
            PacketKind::Auth => Violation::AuthFlagsReserved,
            _ => Violation::HeaderFlagsReserved,
        })
    }
}

impl core::fmt::Display for PacketKind {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A packet, borrowing from the bytes it was decoded from or will be encoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the packet of that name")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    Puback(Ack<'a>),
    Pubrec(Ack<'a>),
    Pubrel(Ack<'a>),
    Pubcomp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

/// Decodes the packet in a frame that `sender` sent.
///
/// CONNECT names its own version and ignores `version`. Errors: every rule that one packet alone can break.
#[inline]
pub fn decode<'a>(version: Version, sender: Sender, frame: &Frame<'a>) -> Result<Packet<'a>, Violation> {
    let kind = PacketKind::from_first(frame.first).ok_or(Violation::PacketTypeReserved)?;
    if kind == PacketKind::Publish {
        return Publish::decode(version, sender, frame.first, frame.body).map(Packet::Publish);
    }
    decode_other(version, sender, kind, frame)
}

fn decode_other<'a>(
    version: Version,
    sender: Sender,
    kind: PacketKind,
    frame: &Frame<'a>,
) -> Result<Packet<'a>, Violation> {
    if kind == PacketKind::Auth && version < Version::V5 {
        return Err(Violation::PacketTypeReserved);
    }
    if !kind.is_sent_by(sender, version) {
        return Err(Violation::PacketFromWrongSide);
    }
    let (flags, body) = (frame.first & 0x0F, frame.body);
    if kind == PacketKind::Connect {
        return decode_connect(flags, body);
    }
    kind.check_flags(flags, version)?;
    Ok(match kind {
        PacketKind::Connack => Packet::Connack(Connack::decode(version, body)?),
        PacketKind::Puback => Packet::Puback(Ack::decode(version, sender, kind, body)?),
        PacketKind::Pubrec => Packet::Pubrec(Ack::decode(version, sender, kind, body)?),
        PacketKind::Pubrel => Packet::Pubrel(Ack::decode(version, sender, kind, body)?),
        PacketKind::Pubcomp => Packet::Pubcomp(Ack::decode(version, sender, kind, body)?),
        PacketKind::Subscribe => Packet::Subscribe(Subscribe::decode(version, body)?),
        PacketKind::Suback => Packet::Suback(Suback::decode(version, body)?),
        PacketKind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(version, body)?),
        PacketKind::Unsuback => Packet::Unsuback(Unsuback::decode(version, body)?),
        PacketKind::Disconnect => Packet::Disconnect(Disconnect::decode(version, sender, body)?),
        PacketKind::Auth => Packet::Auth(Auth::decode(sender, body)?),
        PacketKind::Pingreq => empty(body, Packet::Pingreq)?,
        PacketKind::Pingresp => empty(body, Packet::Pingresp)?,
        PacketKind::Connect | PacketKind::Publish => return Err(Violation::PacketTypeReserved),
    })
}

/// CONNECT tells its version inside, and only then can its flags be judged.
fn decode_connect(flags: u8, body: &[u8]) -> Result<Packet<'_>, Violation> {
    let connect = Connect::decode(body);
    if let Ok(connect) = &connect {
        PacketKind::Connect.check_flags(flags, connect.version)?;
    }
    connect.map(Packet::Connect)
}

fn empty<'a>(body: &[u8], packet: Packet<'a>) -> Result<Packet<'a>, Violation> {
    if body.is_empty() { Ok(packet) } else { Err(Violation::TrailingBytes) }
}

impl Packet<'_> {
    /// The type of the packet.
    pub const fn kind(&self) -> PacketKind {
        match self {
            Packet::Connect(_) => PacketKind::Connect,
            Packet::Connack(_) => PacketKind::Connack,
            Packet::Publish(_) => PacketKind::Publish,
            Packet::Puback(_) => PacketKind::Puback,
            Packet::Pubrec(_) => PacketKind::Pubrec,
            Packet::Pubrel(_) => PacketKind::Pubrel,
            Packet::Pubcomp(_) => PacketKind::Pubcomp,
            Packet::Subscribe(_) => PacketKind::Subscribe,
            Packet::Suback(_) => PacketKind::Suback,
            Packet::Unsubscribe(_) => PacketKind::Unsubscribe,
            Packet::Unsuback(_) => PacketKind::Unsuback,
            Packet::Pingreq => PacketKind::Pingreq,
            Packet::Pingresp => PacketKind::Pingresp,
            Packet::Disconnect(_) => PacketKind::Disconnect,
            Packet::Auth(_) => PacketKind::Auth,
        }
    }

    /// The length of the encoded packet in bytes, fixed header included.
    pub fn encoded_bytes(&self, version: Version) -> usize {
        writer::packet_bytes(self.body_bytes(version))
    }

    /// Whether the packet can be encoded: [`Violation::FieldTooLong`] for text or binary data of more than
    /// 65,535 bytes, [`Violation::PacketTooLarge`] past the protocol's maximum. Values that came out of
    /// [`decode`] always can.
    pub fn check(&self, version: Version) -> Result<(), Violation> {
        if let Packet::Connect(connect) = self {
            connect.check()?;
        }
        if self.body_bytes(version) > crate::REMAINING_LENGTH_MAX as usize {
            return Err(Violation::PacketTooLarge);
        }
        Ok(())
    }

    /// Appends the packet to `out`. CONNECT is written in its own version; before 5.0 properties and reason
    /// codes that the version lacks are left out.
    ///
    /// # Panics
    /// When the packet cannot be encoded, which [`Packet::check`] tells beforehand.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let first = match self {
            Packet::Publish(publish) => publish.first(),
            _ => self.kind().first(),
        };
        writer::put_header(first, self.body_bytes(version), out);
        self.put_body(version, out);
    }

    fn body_bytes(&self, version: Version) -> usize {
        match self {
            Packet::Connect(packet) => packet.body_bytes(),
            Packet::Connack(packet) => packet.body_bytes(version),
            Packet::Publish(packet) => packet.body_bytes(version),
            Packet::Puback(packet) | Packet::Pubrec(packet) => packet.body_bytes(version),
            Packet::Pubrel(packet) | Packet::Pubcomp(packet) => packet.body_bytes(version),
            Packet::Subscribe(packet) => packet.body_bytes(version),
            Packet::Suback(packet) => packet.body_bytes(version),
            Packet::Unsubscribe(packet) => packet.body_bytes(version),
            Packet::Unsuback(packet) => packet.body_bytes(version),
            Packet::Pingreq | Packet::Pingresp => 0,
            Packet::Disconnect(packet) => packet.body_bytes(version),
            Packet::Auth(packet) => packet.body_bytes(),
        }
    }

    fn put_body(&self, version: Version, out: &mut Vec<u8>) {
        match self {
            Packet::Connect(packet) => packet.put_body(out),
            Packet::Connack(packet) => packet.put_body(version, out),
            Packet::Publish(packet) => packet.put_body(version, out),
            Packet::Puback(packet) | Packet::Pubrec(packet) => packet.put_body(version, out),
            Packet::Pubrel(packet) | Packet::Pubcomp(packet) => packet.put_body(version, out),
            Packet::Subscribe(packet) => packet.put_body(version, out),
            Packet::Suback(packet) => packet.put_body(version, out),
            Packet::Unsubscribe(packet) => packet.put_body(version, out),
            Packet::Unsuback(packet) => packet.put_body(version, out),
            Packet::Pingreq | Packet::Pingresp => {}
            Packet::Disconnect(packet) => packet.put_body(version, out),
            Packet::Auth(packet) => packet.put_body(out),
        }
    }
}
