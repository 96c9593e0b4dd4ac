//! Messages that arrived: counted, and read in place.

use ringmq::questions::Content;
use ringmq::{Properties, ReceivedMessage, RetainedReport};

use crate::entry::{enter, put};
use crate::error::{Failure, ringmq_status};
use crate::handle::{self, Object, Origin};
use crate::properties;
use crate::text::{ringmq_bytes, ringmq_str};

/// A message. It does not change: any number of threads may read it, and what it gives lives as long as it does.
pub struct ringmq_message {
    source: Source,
    origin: Origin,
}

/// Where it comes from.
pub(crate) enum Source {
    /// A subscription in this process.
    Local(ReceivedMessage),
    /// A broker of this process, which keeps it.
    Retained(RetainedReport),
    /// The server of a client.
    Client(ringmq_client::Message),
    /// A client of a broker of this process, which wants to publish it to this topic.
    Offered(String, Content),
}

impl Object for ringmq_message {
    const NAME: &'static str = "ringmq_message";
    fn origin(&self) -> Origin {
        self.origin
    }
}

impl ringmq_message {
    /// One that is given out.
    pub(crate) fn give(source: Source) -> *mut Self {
        handle::give(Self { source, origin: Origin::here() })
    }
    fn topic(&self) -> &str {
        match &self.source {
            Source::Local(message) => message.topic(),
            Source::Client(message) => message.topic(),
            Source::Retained(message) => &message.topic,
            Source::Offered(topic, _) => topic,
        }
    }
    fn payload(&self) -> &[u8] {
        match &self.source {
            Source::Local(message) => message.payload(),
            Source::Client(message) => message.payload(),
            Source::Retained(message) => &message.payload,
            Source::Offered(_, content) => &content.payload,
        }
    }
    fn qos(&self) -> u8 {
        match &self.source {
            Source::Local(message) => message.qos() as u8,
            Source::Client(message) => message.qos() as u8,
            Source::Retained(message) => message.qos as u8,
            Source::Offered(_, content) => content.qos as u8,
        }
    }
    fn retain(&self) -> bool {
        match &self.source {
            Source::Local(message) => message.retain(),
            Source::Client(message) => message.retain(),
            Source::Retained(_) => true,
            Source::Offered(_, content) => content.retain,
        }
    }
    fn properties(&self) -> Properties<'_> {
        match &self.source {
            Source::Local(message) => message.properties(),
            Source::Client(message) => message.properties(),
            Source::Retained(message) => message.properties.as_properties(),
            Source::Offered(_, content) => content.properties.as_properties(),
        }
    }
    fn expiry(&self) -> Option<u32> {
        match &self.source {
            Source::Local(message) => message.expiry_left_seconds(),
            Source::Retained(message) => message.expiry_left_seconds,
            Source::Client(_) | Source::Offered(..) => None,
        }
    }
    fn subscription_identifier(&self, index: usize) -> Option<u32> {
        match &self.source {
            Source::Local(message) => message.subscription_ids().get(index).copied(),
            Source::Client(message) => message.subscription_identifiers().nth(index),
            Source::Retained(_) | Source::Offered(..) => None,
        }
    }
    /// What a subscription acknowledges.
    pub(crate) fn as_local(&self) -> Option<&ReceivedMessage> {
        match &self.source {
            Source::Local(message) => Some(message),
            Source::Client(_) | Source::Retained(_) | Source::Offered(..) => None,
        }
    }
    /// What a client acknowledges.
    pub(crate) fn as_client(&self) -> Option<&ringmq_client::Message> {
        match &self.source {
            Source::Client(message) => Some(message),
            Source::Local(_) | Source::Retained(_) | Source::Offered(..) => None,
        }
    }
}

/// What stands in every message. All of it lives as long as the message.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ringmq_message_view {
    /// The topic name.
    pub topic: ringmq_str,
    /// What it says.
    pub payload: ringmq_bytes,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it was retained, or is to be.
    pub retain: bool,
}

/// Reads a message.
///
/// # Safety
/// `message` is NULL or a message; `view` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_message_read(
    message: *const ringmq_message,
    view: *mut ringmq_message_view,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let message = handle::hold(message)?;
            let read = ringmq_message_view {
                topic: ringmq_str::new(message.topic()),
                payload: ringmq_bytes::new(message.payload()),
                qos: message.qos(),
                retain: message.retain(),
            };
            put(view, read, "view")
        })
    }
}

/// A property whose value is a number, by its identifier (MQTT 5.0, 2.2.2.2). RINGMQ_ABSENT when the message has none.
/// 0x02, the message expiry interval, is what was left of it when the message arrived.
///
/// # Safety
/// `message` is NULL or a message; `number` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_message_number(
    message: *const ringmq_message,
    identifier: u8,
    number: *mut u32,
) -> ringmq_status {
    const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let message = handle::hold(message)?;
            let left = message.expiry().filter(|_| identifier == MESSAGE_EXPIRY_INTERVAL);
            let value = left.map_or_else(|| properties::number(message.properties(), identifier), Ok)?;
            put(number, value, "number")
        })
    }
}

/// A property whose value is text or data, by its identifier. RINGMQ_ABSENT when the message has none.
///
/// # Safety
/// `message` is NULL or a message; `data` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_message_data(
    message: *const ringmq_message,
    identifier: u8,
    data: *mut ringmq_bytes,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let message = handle::hold(message)?;
            put(data, properties::data(message.properties(), identifier)?, "data")
        })
    }
}

/// The `index`-th user property, from 0. RINGMQ_ABSENT behind the last.
///
/// # Safety
/// `message` is NULL or a message; `name` and `value` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_message_user_property(
    message: *const ringmq_message,
    index: usize,
    name: *mut ringmq_str,
    value: *mut ringmq_str,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let message = handle::hold(message)?;
            properties::user(message.properties(), index, name, value)
        })
    }
}

/// The `index`-th identifier of the subscriptions that the message matched, from 0. RINGMQ_ABSENT behind the last.
///
/// # Safety
/// `message` is NULL or a message; `identifier` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_message_subscription_identifier(
    message: *const ringmq_message,
    index: usize,
    identifier: *mut u32,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let message = handle::hold(message)?;
            let found = message.subscription_identifier(index);
            let absent = || Failure::new(ringmq_status::RINGMQ_ABSENT, "there are not so many");
            put(identifier, found.ok_or_else(absent)?, "identifier")
        })
    }
}

/// Takes one more reference to a message.
///
/// # Safety
/// `message` is NULL or a message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_message_ref(message: *const ringmq_message) -> ringmq_status {
    // SAFETY: the caller's.
    unsafe { enter(std::ptr::null_mut(), || handle::again(message)) }
}

/// Gives a reference to a message back; NULL is allowed.
///
/// # Safety
/// `message` is NULL or a message, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_message_free(message: *const ringmq_message) {
    // SAFETY: the caller's.
    unsafe { handle::end(message) };
}

/// Frees several messages at one go, as `ringmq_message_free` does each.
///
/// # Safety
/// `messages` has `count` of them, or `count` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_messages_free(messages: *const *const ringmq_message, count: usize) {
    if !messages.is_null() {
        for index in 0..count {
            // SAFETY: the caller's.
            unsafe { handle::end(*messages.add(index)) };
        }
    }
}
