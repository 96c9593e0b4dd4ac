//! Messages and what holds one, as fields of a record: retained messages, queue entries and wills. What a
//! message says is judged again when it is read, because the rest of the broker takes it on trust.

use std::rc::Rc;

use ringmq_proto::session::{Entry, SharedOrigin, SubscriptionIds, Will};
use ringmq_wire::message::{Message, MessageParts, Payload};
use ringmq_wire::{Place, Properties, Qos, REMAINING_LENGTH_MAX, TopicName};

use crate::record::RecordError;
use crate::record_bytes::{Put, Take};

pub(crate) fn put_message(message: &Message, out: &mut Vec<u8>) {
    out.put_u8(message.qos().value());
    out.put_flag(message.retain());
    out.put_option(message.expires_at(), |out, at| out.put_u64(at));
    out.put_u64(message.publisher());
    out.put_u64(message.stamp());
    out.put_text(message.topic());
    out.put_bytes(message.properties().raw());
    out.put_bytes(message.payload());
}

pub(crate) fn take_message(take: &mut Take<'_>) -> Result<Rc<Message>, RecordError> {
    let qos = take_qos(take)?;
    let retain = take.flag()?;
    let expires_at = take.option(Take::u64)?;
    let (publisher, stamp) = (take.u64()?, take.u64()?);
    let topic = take_topic(take)?;
    let raw = take.bytes()?;
    let properties = Properties::parse(Place::Publish, raw).map_err(|_| RecordError::Corrupt)?;
    let payload = Payload::Copy(take.bytes()?);
    let message =
        Message::new(MessageParts { topic, qos, retain, properties, payload, expires_at, publisher, stamp });
    // A message keeps only what is forwarded; anything else was not written by `put_message`.
    if message.properties().raw() != raw {
        return Err(RecordError::Corrupt);
    }
    Ok(Rc::new(message))
}

/// A topic name: not empty, without wildcards, at most 65,535 bytes.
pub(crate) fn take_topic<'a>(take: &mut Take<'a>) -> Result<&'a str, RecordError> {
    TopicName::new(take.text()?).map(TopicName::as_str).map_err(|_| RecordError::Corrupt)
}

pub(crate) fn take_qos(take: &mut Take<'_>) -> Result<Qos, RecordError> {
    Qos::from_u8(take.u8()?).ok_or(RecordError::Corrupt)
}

pub(crate) fn put_entry(entry: &Entry, out: &mut Vec<u8>) {
    put_message(&entry.message, out);
    out.put_u8(entry.qos.value());
    out.put_flag(entry.retain);
    let ids = entry.ids.as_slice();
    out.put_u32(u32::try_from(ids.len()).expect("identifiers are fewer than 268,435,456"));
    ids.iter().for_each(|id| out.put_u32(*id));
    out.put_option(entry.shared, |out, origin| put_shared_origin(&origin, out));
}

pub(crate) fn take_entry(take: &mut Take<'_>) -> Result<Entry, RecordError> {
    Ok(Entry {
        message: take_message(take)?,
        qos: take_qos(take)?,
        retain: take.flag()?,
        ids: take_ids(take)?,
        shared: take.option(take_shared_origin)?,
    })
}

fn take_ids(take: &mut Take<'_>) -> Result<SubscriptionIds, RecordError> {
    let count = take.u32()?;
    let mut listed = Vec::new();
    for _ in 0..count {
        listed.push(take_subscription_id(take)?);
    }
    let ids = SubscriptionIds::from_unsorted(&listed);
    if ids.as_slice() == listed { Ok(ids) } else { Err(RecordError::Corrupt) }
}

/// A subscription identifier, 1 to 268,435,455, or 0 for none.
pub(crate) fn take_subscription_id(take: &mut Take<'_>) -> Result<u32, RecordError> {
    let id = take.u32()?;
    if id <= REMAINING_LENGTH_MAX { Ok(id) } else { Err(RecordError::Corrupt) }
}

fn put_shared_origin(origin: &SharedOrigin, out: &mut Vec<u8>) {
    out.put_u16(origin.shard);
    out.put_u32(origin.group);
    out.put_u32(origin.generation);
}

fn take_shared_origin(take: &mut Take<'_>) -> Result<SharedOrigin, RecordError> {
    Ok(SharedOrigin { shard: take.u16()?, group: take.u32()?, generation: take.u32()? })
}

pub(crate) fn put_will(will: &Will, out: &mut Vec<u8>) {
    put_message(&will.message, out);
    out.put_u32(will.delay_seconds);
    out.put_option(will.expiry_seconds, |out, seconds| out.put_u32(seconds));
}

pub(crate) fn take_will(take: &mut Take<'_>) -> Result<Will, RecordError> {
    Ok(Will {
        message: take_message(take)?,
        delay_seconds: take.u32()?,
        expiry_seconds: take.option(Take::u32)?,
    })
}
