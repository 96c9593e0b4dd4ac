//! Changes of a session as fields of a record. It writes and reads them; what a change does to a session is
//! not known here.

use ringmq_proto::session::{Change, RetainedRead, Subscription};
use ringmq_proto::time::Wall;
use ringmq_wire::{PacketId, SubscriptionOptions, TopicFilter};

use crate::record::RecordError;
use crate::record_bytes::{Put, Take};
use crate::record_message::{put_entry, put_will, take_entry, take_qos, take_subscription_id, take_will};

const ATTACHED: u8 = 1;
const EXPIRY_SET: u8 = 2;
const DETACHED: u8 = 3;
const WILL_CLEARED: u8 = 4;
const SUBSCRIBED: u8 = 5;
const UNSUBSCRIBED: u8 = 6;
const QUEUED: u8 = 7;
const SENT: u8 = 8;
const GIVEN_UP: u8 = 9;
const RECEIVED: u8 = 10;
const COMPLETED: u8 = 11;
const INCOMING_RECEIVED: u8 = 12;
const INCOMING_RELEASED: u8 = 13;
const READ_STARTED: u8 = 14;
const READ_MOVED: u8 = 15;
const READS_CANCELLED: u8 = 16;

/// The number of its kind, then its fields.
pub(crate) fn put_change(change: &Change, out: &mut Vec<u8>) {
    out.put_u8(kind(change));
    match change {
        Change::Attached { epoch, expiry_seconds, will } => {
            out.put_u64(*epoch);
            out.put_u32(*expiry_seconds);
            out.put_option(will.as_ref(), |out, will| put_will(will, out));
        }
        Change::ExpirySet { expiry_seconds } => out.put_u32(*expiry_seconds),
        Change::Detached { expires_at, will_due } => {
            put_moment(*expires_at, out);
            put_moment(*will_due, out);
        }
        Change::Subscribed { filter, subscription } => {
            out.put_text(filter);
            out.put_u8(subscription.options.to_u8());
            out.put_u32(subscription.id);
        }
        Change::Unsubscribed { filter } | Change::ReadsCancelled { filter } => out.put_text(filter),
        Change::Queued { entry } => put_entry(entry, out),
        Change::Sent { packet_id }
        | Change::Received { packet_id }
        | Change::Completed { packet_id }
        | Change::IncomingReceived { packet_id }
        | Change::IncomingReleased { packet_id } => out.put_u16(packet_id.value()),
        Change::ReadStarted { read } => put_read(read, out),
        Change::ReadMoved { read } => out.put_option(read.as_ref(), |out, read| put_read(read, out)),
        Change::WillCleared | Change::GivenUp => {}
    }
}

const fn kind(change: &Change) -> u8 {
    match change {
        Change::Attached { .. } => ATTACHED,
        Change::ExpirySet { .. } => EXPIRY_SET,
        Change::Detached { .. } => DETACHED,
        Change::WillCleared => WILL_CLEARED,
        Change::Subscribed { .. } => SUBSCRIBED,
        Change::Unsubscribed { .. } => UNSUBSCRIBED,
        Change::Queued { .. } => QUEUED,
        Change::Sent { .. } => SENT,
        Change::GivenUp => GIVEN_UP,
        Change::Received { .. } => RECEIVED,
        Change::Completed { .. } => COMPLETED,
        Change::IncomingReceived { .. } => INCOMING_RECEIVED,
        Change::IncomingReleased { .. } => INCOMING_RELEASED,
        Change::ReadStarted { .. } => READ_STARTED,
        Change::ReadMoved { .. } => READ_MOVED,
        Change::ReadsCancelled { .. } => READS_CANCELLED,
    }
}

/// What [`put_change`] wrote.
pub(crate) fn take_change(take: &mut Take<'_>) -> Result<Change, RecordError> {
    Ok(match take.u8()? {
        ATTACHED => Change::Attached {
            epoch: take.u64()?,
            expiry_seconds: take.u32()?,
            will: take.option(take_will)?,
        },
        EXPIRY_SET => Change::ExpirySet { expiry_seconds: take.u32()? },
        DETACHED => Change::Detached { expires_at: take_moment(take)?, will_due: take_moment(take)? },
        WILL_CLEARED => Change::WillCleared,
        SUBSCRIBED => {
            Change::Subscribed { filter: take_filter(take)?, subscription: take_subscription(take)? }
        }
        UNSUBSCRIBED => Change::Unsubscribed { filter: take_filter(take)? },
        QUEUED => Change::Queued { entry: take_entry(take)? },
        SENT => Change::Sent { packet_id: take_packet_id(take)? },
        GIVEN_UP => Change::GivenUp,
        RECEIVED => Change::Received { packet_id: take_packet_id(take)? },
        COMPLETED => Change::Completed { packet_id: take_packet_id(take)? },
        INCOMING_RECEIVED => Change::IncomingReceived { packet_id: take_packet_id(take)? },
        INCOMING_RELEASED => Change::IncomingReleased { packet_id: take_packet_id(take)? },
        READ_STARTED => Change::ReadStarted { read: take_read(take)? },
        READ_MOVED => Change::ReadMoved { read: take.option(take_read)? },
        READS_CANCELLED => Change::ReadsCancelled { filter: take.text()?.into() },
        _ => return Err(RecordError::Corrupt),
    })
}

fn put_moment(moment: Option<Wall>, out: &mut Vec<u8>) {
    out.put_option(moment, |out, moment| out.put_u64(moment.0));
}

fn take_moment(take: &mut Take<'_>) -> Result<Option<Wall>, RecordError> {
    Ok(take.option(Take::u64)?.map(Wall))
}

/// A whole filter, share name included.
fn take_filter(take: &mut Take<'_>) -> Result<Box<str>, RecordError> {
    let filter = TopicFilter::new(take.text()?).map_err(|_| RecordError::Corrupt)?;
    Ok(filter.whole().into())
}

fn take_subscription(take: &mut Take<'_>) -> Result<Subscription, RecordError> {
    let options = SubscriptionOptions::from_u8(take.u8()?).map_err(|_| RecordError::Corrupt)?;
    Ok(Subscription { options, id: take_subscription_id(take)? })
}

fn take_packet_id(take: &mut Take<'_>) -> Result<PacketId, RecordError> {
    PacketId::new(take.u16()?).ok_or(RecordError::Corrupt)
}

fn put_read(read: &RetainedRead, out: &mut Vec<u8>) {
    out.put_text(&read.filter);
    out.put_u8(read.qos.value());
    out.put_u32(read.id);
    out.put_u16(read.shard);
    out.put_u16(read.shard_last);
    out.put_option(read.after.as_deref(), |out, topic| out.put_text(topic));
}

/// The filter is taken as it is: what stands behind `$share/NAME/` need not be a filter by itself.
fn take_read(take: &mut Take<'_>) -> Result<RetainedRead, RecordError> {
    Ok(RetainedRead {
        filter: take.text()?.into(),
        qos: take_qos(take)?,
        id: take_subscription_id(take)?,
        shard: take.u16()?,
        shard_last: take.u16()?,
        after: take.option(Take::text)?.map(String::from),
    })
}
