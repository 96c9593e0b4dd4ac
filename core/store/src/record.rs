//! Commands as bytes: what a store that writes puts on its disk, and what another node would be sent.
//! It never decides whether a command is to be carried out, and any bytes may be given to it.
//!
//! A record, all numbers little-endian:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 1 | version of the format, now [`VERSION`] |
//! | 1 | 4 | length of the body |
//! | 5 | 4 | CRC-32 (ISO-HDLC) of the body |
//! | 9 | 4 | CRC-32 (ISO-HDLC) of the nine bytes before |
//! | 13 | length | body: partition, kind, then the fields of that kind |
//!
//! The header has a checksum of its own so that a damaged length is told from a record whose end was never
//! written: the first is [`RecordError::Corrupt`], the second [`RecordError::Truncated`]. The header stays as it
//! is in every version; a change of any body raises the version. Text and byte fields have their length before
//! them in four bytes, an optional field has 0 or 1 before it. There is one way to write a command, so what
//! decodes encodes to the same bytes.

use core::fmt;
use std::rc::Rc;

use ringmq_proto::session::Change;
use ringmq_wire::message::Message;

use crate::command::{Body, Command};
use crate::partition::Partition;
use crate::record_bytes::{Put, Take};
use crate::record_change::{put_change, take_change};
use crate::record_message::{put_message, take_message, take_topic};

/// Version of the format that [`encode`] writes, and the only one that [`decode`] reads.
pub const VERSION: u8 = 1;

/// Length of the header in bytes.
pub const HEADER_BYTES: usize = 13;

/// Where the header's own checksum begins.
const HEADER_CHECKSUM_AT: usize = 9;

const SESSION: u8 = 1;
const SESSION_ENDED: u8 = 2;
const RETAINED: u8 = 3;
const RETAINED_CLEARED: u8 = 4;

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The record goes on behind the last byte: the end of a log whose last write was cut off.
    Truncated,
    /// A checksum does not agree, or a body says what no command says.
    Corrupt,
    /// The record is whole, as far as its header tells, and of a version that is not known here.
    UnknownVersion(u8),
}

impl fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => formatter.write_str("the record is cut off"),
            Self::Corrupt => formatter.write_str("the record is damaged"),
            Self::UnknownVersion(version) => {
                write!(formatter, "the record has version {version}, only {VERSION} is known")
            }
        }
    }
}

impl std::error::Error for RecordError {}

/// A [`Command`] that owns what it says.
#[derive(Clone, Debug)]
pub struct OwnedCommand {
    /// Where it belongs.
    pub partition: Partition,
    /// What changes.
    pub body: OwnedBody,
}

/// A [`Body`] that owns what it says; the variants mean the same.
#[derive(Clone, Debug)]
pub enum OwnedBody {
    /// A session changed.
    Session {
        /// Its ClientID.
        client_id: Box<str>,
        /// The epoch the change was made under.
        epoch: u64,
        /// What happened to it.
        change: Change,
    },
    /// A session ended with everything it had.
    SessionEnded {
        /// Its ClientID.
        client_id: Box<str>,
        /// The epoch it ended under.
        epoch: u64,
    },
    /// A topic has this retained message from now on.
    Retained {
        /// The message; its topic is the key.
        message: Rc<Message>,
    },
    /// A topic has no retained message any more.
    RetainedCleared {
        /// The topic.
        topic: Box<str>,
        /// Stamp of the publish that cleared it.
        stamp: u64,
    },
}

impl OwnedCommand {
    /// The same command, borrowed.
    #[must_use]
    pub fn as_command(&self) -> Command<'_> {
        let body = match &self.body {
            OwnedBody::Session { client_id, epoch, change } => {
                Body::Session { client_id, epoch: *epoch, change }
            }
            OwnedBody::SessionEnded { client_id, epoch } => Body::SessionEnded { client_id, epoch: *epoch },
            OwnedBody::Retained { message } => Body::Retained { message },
            OwnedBody::RetainedCleared { topic, stamp } => Body::RetainedCleared { topic, stamp: *stamp },
        };
        Command { partition: self.partition, body }
    }
}

/// Appends the record of a command to `out`.
///
/// # Panics
/// When the body is longer than 4 GiB, which no command is: a message has at most 64 KiB of topic and 256 MiB
/// each of properties and payload.
pub fn encode(command: &Command<'_>, out: &mut Vec<u8>) {
    let header_at = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.put_u8(command.partition.0);
    put_body(&command.body, out);
    let body = &out[header_at + HEADER_BYTES..];
    let header = header(body);
    out[header_at..header_at + HEADER_BYTES].copy_from_slice(&header);
}

/// Reads the record at the front of `bytes`: its command, and how many bytes the record takes.
///
/// Errors: [`RecordError::Truncated`] when `bytes` is empty or ends inside the record,
/// [`RecordError::UnknownVersion`], and [`RecordError::Corrupt`] for everything else that [`encode`] does not
/// write. Text, topics, properties and numbers are judged here, so what comes back needs no second check. No
/// more memory is taken than the bytes themselves justify.
pub fn decode(bytes: &[u8]) -> Result<(OwnedCommand, usize), RecordError> {
    let (header_bytes, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(RecordError::Truncated)?;
    let mut header = Take::new(header_bytes);
    let version = header.u8()?;
    let (body_bytes, body_checksum, header_checksum) = (header.u32()?, header.u32()?, header.u32()?);
    if crc32fast::hash(&header_bytes[..HEADER_CHECKSUM_AT]) != header_checksum {
        return Err(RecordError::Corrupt);
    }
    if version != VERSION {
        return Err(RecordError::UnknownVersion(version));
    }
    let body = rest.get(..body_bytes as usize).ok_or(RecordError::Truncated)?;
    if crc32fast::hash(body) != body_checksum {
        return Err(RecordError::Corrupt);
    }
    let mut take = Take::new(body);
    let command = OwnedCommand { partition: Partition(take.u8()?), body: take_body(&mut take)? };
    take.end()?;
    Ok((command, HEADER_BYTES + body.len()))
}

fn header(body: &[u8]) -> [u8; HEADER_BYTES] {
    let body_bytes = u32::try_from(body.len()).expect("a command is shorter than 4 GiB");
    let mut header = [0; HEADER_BYTES];
    header[0] = VERSION;
    header[1..5].copy_from_slice(&body_bytes.to_le_bytes());
    header[5..9].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    let checksum = crc32fast::hash(&header[..HEADER_CHECKSUM_AT]);
    header[HEADER_CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    header
}

fn put_body(body: &Body<'_>, out: &mut Vec<u8>) {
    match *body {
        Body::Session { client_id, epoch, change } => {
            out.put_u8(SESSION);
            out.put_text(client_id);
            out.put_u64(epoch);
            put_change(change, out);
        }
        Body::SessionEnded { client_id, epoch } => {
            out.put_u8(SESSION_ENDED);
            out.put_text(client_id);
            out.put_u64(epoch);
        }
        Body::Retained { message } => {
            out.put_u8(RETAINED);
            put_message(message, out);
        }
        Body::RetainedCleared { topic, stamp } => {
            out.put_u8(RETAINED_CLEARED);
            out.put_text(topic);
            out.put_u64(stamp);
        }
    }
}

fn take_body(take: &mut Take<'_>) -> Result<OwnedBody, RecordError> {
    Ok(match take.u8()? {
        SESSION => OwnedBody::Session {
            client_id: take.text()?.into(),
            epoch: take.u64()?,
            change: take_change(take)?,
        },
        SESSION_ENDED => OwnedBody::SessionEnded { client_id: take.text()?.into(), epoch: take.u64()? },
        RETAINED => OwnedBody::Retained { message: take_message(take)? },
        RETAINED_CLEARED => {
            OwnedBody::RetainedCleared { topic: take_topic(take)?.into(), stamp: take.u64()? }
        }
        _ => return Err(RecordError::Corrupt),
    })
}
