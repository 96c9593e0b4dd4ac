//! CONNECT: who a client is, what it wants and which version it speaks.

use alloc::vec::Vec;

use crate::reader::Reader;
use crate::{FIELD_BYTES_MAX, Place, Properties, Qos, Version, Violation, Will, writer};

/// The first packet of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version of this connection.
    pub version: Version,
    /// Whether the level carries the bit 0x80 by which another broker's bridge (3.1 and 3.1.1) says what it is.
    pub bridge: bool,
    /// Whether an existing session is thrown away; in 3.x also that the session ends with the connection.
    pub clean_start: bool,
    /// The longest silence the client allows itself, in seconds; 0 for any.
    pub keep_alive: u16,
    /// Which session; empty to be given a name.
    pub client_id: &'a str,
    /// What is published if the connection breaks.
    pub will: Option<Will<'a>>,
    /// The user's name.
    pub user_name: Option<&'a str>,
    /// The user's password, at most 65,535 bytes. Before 5.0 only with a user name [MQTT-3.1.2-22 of 3.1.1].
    pub password: Option<&'a [u8]>,
    /// What the client asks for and limits.
    pub properties: Properties<'a>,
}

const CLEAN_START: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_QOS: u8 = 0b11 << WILL_QOS_SHIFT;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USER_NAME: u8 = 1 << 7;
const RESERVED: u8 = 1;
const BRIDGE: u8 = 0x80;

impl<'a> Connect<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(body);
        let (version, bridge) = read_version(&mut reader)?;
        let flags = reader.u8()?;
        check_flags(version, flags)?;
        let keep_alive = reader.u16()?;
        let properties = match version {
            Version::V5 => Properties::read(Place::Connect, &mut reader)?,
            Version::V31 | Version::V311 => Properties::EMPTY,
        };
        let client_id = reader.text()?;
        let will = read_will(version, flags, &mut reader)?;
        let user_name = match has(version, flags, USER_NAME, &reader) {
            true => Some(reader.text()?),
            false => None,
        };
        let password = match has(version, flags, PASSWORD, &reader) {
            true => Some(reader.binary()?),
            false => None,
        };
        reader.end()?;
        let clean_start = flags & CLEAN_START != 0;
        Ok(Connect {
            version,
            bridge,
            clean_start,
            keep_alive,
            client_id,
            will,
            user_name,
            password,
            properties,
        })
    }

    pub(crate) fn check(&self) -> Result<(), Violation> {
        let fields = [
            self.client_id.len(),
            self.user_name.map_or(0, str::len),
            self.password.map_or(0, <[u8]>::len),
            self.will.map_or(0, |will| will.payload.len()),
        ];
        if fields.iter().any(|&bytes| bytes > FIELD_BYTES_MAX) {
            return Err(Violation::FieldTooLong);
        }
        if self.version == Version::V311 && self.password.is_some() && self.user_name.is_none() {
            return Err(Violation::PasswordWithoutUserName);
        }
        Ok(())
    }

    pub(crate) fn body_bytes(&self) -> usize {
        writer::binary_bytes(self.version.protocol_name().as_bytes())
            + 4 // level, flags, keep alive
            + writer::properties_bytes(self.version, self.properties)
            + writer::binary_bytes(self.client_id.as_bytes())
            + self.will.map_or(0, |will| will.bytes(self.version))
            + self.user_name.map_or(0, |name| writer::binary_bytes(name.as_bytes()))
            + self.password.map_or(0, writer::binary_bytes)
    }

    pub(crate) fn put_body(&self, out: &mut Vec<u8>) {
        writer::put_binary(self.version.protocol_name().as_bytes(), out);
        let bridge = if self.bridge && self.version != Version::V5 { BRIDGE } else { 0 };
        out.push(self.version.level() | bridge);
        out.push(self.flags());
        writer::put_u16(self.keep_alive, out);
        writer::put_properties(self.version, self.properties, out);
        writer::put_binary(self.client_id.as_bytes(), out);
        if let Some(will) = &self.will {
            will.put(self.version, out);
        }
        if let Some(user_name) = self.user_name {
            writer::put_binary(user_name.as_bytes(), out);
        }
        if let Some(password) = self.password {
            writer::put_binary(password, out);
        }
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= WILL | will.qos.value() << WILL_QOS_SHIFT;
            flags |= if will.retain { WILL_RETAIN } else { 0 };
        }
        if self.user_name.is_some() {
            flags |= USER_NAME;
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        flags
    }
}

/// Name and level [MQTT-3.1.2-1] [MQTT-3.1.2-2], and whether the bridge bit is set.
fn read_version(reader: &mut Reader<'_>) -> Result<(Version, bool), Violation> {
    let name = reader.binary()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(Violation::ProtocolNameUnknown);
    }
    let level = reader.u8()?;
    match (name, level) {
        (b"MQIsdp", 3) => Ok((Version::V31, false)),
        (b"MQIsdp", 0x83) => Ok((Version::V31, true)),
        (b"MQTT", 4) => Ok((Version::V311, false)),
        (b"MQTT", 0x84) => Ok((Version::V311, true)),
        (b"MQTT", 5) => Ok((Version::V5, false)),
        _ => Err(Violation::UnsupportedLevel(level)),
    }
}

fn check_flags(version: Version, flags: u8) -> Result<(), Violation> {
    // 3.1 calls the lowest bit unused and says nothing about flags that contradict each other.
    if version == Version::V31 {
        return Ok(());
    }
    if flags & RESERVED != 0 {
        return Err(Violation::ConnectFlagReserved);
    }
    if flags & WILL == 0 && flags & WILL_QOS != 0 {
        return Err(Violation::WillQosWithoutWill);
    }
    if flags & WILL == 0 && flags & WILL_RETAIN != 0 {
        return Err(Violation::WillRetainWithoutWill);
    }
    if version == Version::V311 && flags & PASSWORD != 0 && flags & USER_NAME == 0 {
        return Err(Violation::PasswordWithoutUserName);
    }
    Ok(())
}

fn read_will<'a>(
    version: Version,
    flags: u8,
    reader: &mut Reader<'a>,
) -> Result<Option<Will<'a>>, Violation> {
    if flags & WILL == 0 {
        return Ok(None);
    }
    let qos = Qos::from_u8((flags & WILL_QOS) >> WILL_QOS_SHIFT).ok_or(Violation::WillQosInvalid)?;
    Will::read(version, qos, flags & WILL_RETAIN != 0, reader).map(Some)
}

/// Whether a field that a flag announces is to be read. In 3.1 the remaining length decides: a flag may be set
/// although the field is missing, for compatibility with versions before it.
fn has(version: Version, flags: u8, flag: u8, reader: &Reader<'_>) -> bool {
    flags & flag != 0 && !(version == Version::V31 && reader.is_empty())
}
