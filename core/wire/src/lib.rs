//! Bytes to packets and back, for MQTT 3.1, 3.1.1 and 5.0.
//!
//! [`frame::split`] finds the first whole packet in what has arrived, [`decode`] turns it into a [`Packet`]
//! that borrows from those bytes, and [`Packet::encode`] does the reverse. Every rule of the protocol that can
//! be judged from one packet alone is judged here, once: what a peer did wrong comes back as a [`Violation`]
//! that knows its clause and its reason code, and what decodes needs no second check.
//!
//! This crate never reads a clock, opens a socket, keeps a connection's state or decides what to do about a
//! violation. Peer input never makes it panic.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod ack;
mod auth;
mod connack;
mod connect;
mod delivery;
mod disconnect;
pub mod frame;
mod ledger;
pub mod message;
mod packet;
mod packet_id;
mod properties;
mod properties_buffer;
mod property;
mod publish;
mod qos;
mod reader;
mod reason;
mod suback;
mod subscribe;
mod text;
mod topic;
mod unsuback;
mod unsubscribe;
mod version;
mod violation;
mod will;
mod writer;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::Connack;
pub use connect::Connect;
pub use delivery::{Delivery, encode_publish, encode_publish_head, encoded_publish_bytes};
pub use disconnect::Disconnect;
pub use frame::Frame;
pub use message::{INLINE_PAYLOAD_BYTES_MAX, Message, MessageParts, Payload};
pub use packet::{Packet, PacketKind, decode};
pub use packet_id::PacketId;
pub use properties::Properties;
pub use properties_buffer::PropertiesBuffer;
pub use property::{Place, Property, PropertyValue, ValueKind};
pub use publish::Publish;
pub use qos::Qos;
pub use reason::ReasonCode;
pub use suback::Suback;
pub use subscribe::{RetainHandling, Subscribe, SubscribeFilter, SubscribeFilters, SubscriptionOptions};
pub use topic::{TopicFilter, TopicName, topic_matches};
pub use unsuback::Unsuback;
pub use unsubscribe::{Unsubscribe, UnsubscribeFilters};
pub use version::{Sender, Version};
pub use violation::Violation;
pub use will::Will;

/// The greatest remaining length that four bytes can carry: what may follow the fixed header, in bytes.
pub const REMAINING_LENGTH_MAX: u32 = 268_435_455;

/// The longest text or binary field, in bytes: its length is two bytes on the wire.
pub const FIELD_BYTES_MAX: usize = 65_535;
