//! Publishing inside the process.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ringmq::{PropertiesBuffer, PublishError, PublishOptions, Qos};

use crate::entry::{Growing, check_place, wait};
use crate::error::{Failure, ringmq_status};
use crate::properties::{self, ringmq_properties};
use crate::text::{ringmq_bytes, ringmq_str};

/// Called once, on any thread, when the bytes of a payload are not needed any more. It must not block, and must not call
/// the library.
pub type ringmq_release = Option<unsafe extern "C" fn(owner: *mut c_void)>;

/// A message to be published. Initialise it with RINGMQ_PUBLISH_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ringmq_publish {
    /// sizeof(ringmq_publish).
    pub struct_size: usize,
    /// The topic name; copied.
    pub topic: ringmq_str,
    /// What it says; copied, unless `release` is given.
    pub payload: ringmq_bytes,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it becomes the topic's retained message; with an empty payload it ends that.
    pub retain: bool,
    /// Milliseconds for which sessions with a full queue may hold it; less than 0 for ever.
    pub timeout_ms: i64,
    /// What goes with it, or NULL; copied.
    pub properties: *const ringmq_properties,
    /// With this a payload of more than 2,048 bytes is not copied. It stays where it is until this is called: once nobody
    /// needs it any more, for a small one at once, and also when publishing fails.
    pub release: ringmq_release,
    /// What `release` is called with.
    pub owner: *mut c_void,
}

impl Growing for ringmq_publish {
    const LEAST: usize = size_of::<Self>();
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            topic: ringmq_str::new(""),
            payload: ringmq_bytes::new(&[]),
            qos: 0,
            retain: false,
            timeout_ms: 5_000,
            properties: std::ptr::null(),
            release: None,
            owner: std::ptr::null_mut(),
        }
    }
}

/// What came of a publish.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ringmq_published {
    /// Sessions whose subscriptions matched.
    pub matched: u32,
    /// Of those, sessions that did not get it because their queue was full.
    pub dropped: u32,
}

impl From<ringmq::Published> for ringmq_published {
    fn from(published: ringmq::Published) -> Self {
        Self { matched: published.matched, dropped: published.dropped }
    }
}

/// Bytes of the program's, until they are given back.
struct Lent {
    bytes: &'static [u8],
    release: unsafe extern "C" fn(*mut c_void),
    owner: *mut c_void,
}

// SAFETY: the program says that its function may be called on any thread.
unsafe impl Send for Lent {}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: the program's function, called once with what it asked for.
        unsafe { (self.release)(self.owner) };
    }
}

/// A message, ready to be published.
pub(crate) struct Ready {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) properties: PropertiesBuffer,
    pub(crate) timeout: Duration,
}

impl Ready {
    /// How a broker of this process is to publish it.
    pub(crate) fn options(&self) -> PublishOptions {
        PublishOptions::qos(self.qos)
            .retain(self.retain)
            .timeout(self.timeout)
            .properties(self.properties.as_properties())
    }
    /// The message for a client to publish.
    pub(crate) fn publish(self) -> ringmq_client::Publish {
        ringmq_client::Publish::new(self.topic, self.payload)
            .qos(self.qos)
            .retain(self.retain)
            .properties(self.properties.as_properties())
    }
}

impl ringmq_publish {
    /// # Safety
    /// Everything it points to is there; a payload with `release` stays until that is called.
    pub(crate) unsafe fn ready(&self) -> Result<Ready, Failure> {
        // SAFETY: the caller's, for this and all below.
        unsafe {
            let bytes = self.payload.get("payload");
            // Whatever else is wrong, it is given back.
            let payload = match (bytes, self.release) {
                (Ok(bytes), None) => Ok(Bytes::copy_from_slice(bytes)),
                (Ok(bytes), Some(release)) => Ok(Bytes::from_owner(Lent {
                    bytes: std::mem::transmute::<&[u8], &'static [u8]>(bytes),
                    release,
                    owner: self.owner,
                })),
                (Err(failure), release) => {
                    if let Some(release) = release {
                        release(self.owner);
                    }
                    Err(failure)
                }
            }?;
            Ok(Ready {
                topic: self.topic.get("topic")?.to_owned(),
                payload,
                qos: qos(self.qos)?,
                retain: self.retain,
                properties: properties::of(self.properties)?,
                timeout: wait(self.timeout_ms),
            })
        }
    }
}

/// A QoS, 0 to 2.
pub(crate) fn qos(number: u8) -> Result<Qos, Failure> {
    Qos::from_u8(number).ok_or_else(|| Failure::invalid(format!("a QoS is 0, 1 or 2, not {number}")))
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let (status, reason) = match &error {
            PublishError::Full { .. } => (ringmq_status::RINGMQ_QUEUE_FULL, None),
            PublishError::QuotaExceeded => (ringmq_status::RINGMQ_QUOTA, Some(0x97)),
            PublishError::NotAuthorized => (ringmq_status::RINGMQ_NOT_AUTHORIZED, Some(0x87)),
            PublishError::Invalid(_) => (ringmq_status::RINGMQ_NOT_MQTT, None),
            PublishError::TooLarge => (ringmq_status::RINGMQ_TOO_LARGE, None),
            PublishError::Busy => (ringmq_status::RINGMQ_BUSY, None),
            PublishError::Timeout => (ringmq_status::RINGMQ_TIMEOUT, None),
            PublishError::Stopped => (ringmq_status::RINGMQ_STOPPED, None),
            PublishError::Failed => (ringmq_status::RINGMQ_FAILED, None),
            PublishError::Refused(reason) => (ringmq_status::RINGMQ_REFUSED, Some(reason.value())),
            _ => (ringmq_status::RINGMQ_REFUSED, None),
        };
        Self { status, message: error.to_string(), reason }
    }
}

/// Parts of a batch whose answers may be outstanding: fewer messages than a full queue holds back by default, so that a slow
/// reader makes one publisher wait and not fail.
const CHUNKS_WAITING_MAX: usize = 3;

/// A message of a batch.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ringmq_batch_message {
    /// The topic name; copied.
    pub topic: ringmq_str,
    /// What it says; copied.
    pub payload: ringmq_bytes,
}

/// Copies of messages of a batch. Messages in a row with the same topic share it. Small payloads share one block, as the
/// broker copies them once more and does not keep it; larger ones, which it does not copy, share short blocks.
///
/// # Safety
/// What they point to is there.
unsafe fn owned(messages: &[ringmq_batch_message]) -> Result<Vec<(Arc<str>, Bytes)>, Failure> {
    /// Bytes of a block that stays while one of its messages does.
    const SHARED_BLOCK_BYTES: usize = 4 << 10;
    /// Bytes of a payload that has its own memory.
    const OWN_BYTES_MIN: usize = SHARED_BLOCK_BYTES / 2;
    let is_small = |bytes: usize| bytes <= ringmq::BATCH_COPIED_BYTES_MAX;
    let sum_where = |fits: &dyn Fn(usize) -> bool| {
        messages.iter().map(|message| message.payload.length).filter(|&bytes| fits(bytes)).sum::<usize>()
    };
    let mut block = BytesMut::with_capacity(sum_where(&is_small));
    let mut to_come = sum_where(&|bytes| !is_small(bytes) && bytes < OWN_BYTES_MIN);
    let mut shared = BytesMut::new();
    let mut topic: Arc<str> = Arc::default();
    let mut copies = Vec::with_capacity(messages.len());
    for message in messages {
        // SAFETY: the caller's.
        let (name, payload) = unsafe { (message.topic.get("topic")?, message.payload.get("payload")?) };
        if *topic != *name {
            topic = name.into();
        }
        let copy = match payload.len() {
            OWN_BYTES_MIN.. => Bytes::copy_from_slice(payload),
            bytes => {
                if !is_small(bytes) {
                    if shared.capacity() < bytes {
                        shared = BytesMut::with_capacity(SHARED_BLOCK_BYTES.min(to_come));
                    }
                    to_come -= bytes;
                }
                let place = if is_small(bytes) { &mut block } else { &mut shared };
                place.extend_from_slice(payload);
                place.split().freeze()
            }
        };
        copies.push((Arc::clone(&topic), copy));
    }
    Ok(copies)
}

/// Publishes messages one after the other, with few answers for many.
///
/// # Safety
/// `messages` has `count` of them, which are there during the call.
pub(crate) unsafe fn batch(
    handle: &ringmq::Handle,
    messages: *const ringmq_batch_message,
    count: usize,
    how: &ringmq_publish,
) -> Result<ringmq_published, Failure> {
    if count == 0 {
        return Ok(ringmq_published::default());
    }
    check_place(messages, "messages")?;
    // SAFETY: the caller's.
    let messages = unsafe { std::slice::from_raw_parts(messages, count) };
    // SAFETY: the caller's; of `how` nothing but its options counts.
    let ready = unsafe { ringmq_publish { release: None, ..*how }.ready() }?;
    let (options, timeout) = (ready.options(), ready.timeout);
    let mut waiting = std::collections::VecDeque::new();
    let mut sum = ringmq_published::default();
    let mut failure = None;
    let mut take = |pending: ringmq::PendingPublish| match pending.wait(Instant::now() + timeout + GRACE) {
        Ok(published) => {
            sum.matched = sum.matched.saturating_add(published.matched);
            sum.dropped = sum.dropped.saturating_add(published.dropped);
            None
        }
        Err(error) => Some(Failure::from(error)),
    };
    for chunk in messages.chunks(ringmq::BATCH_MAX) {
        let mut start = |some: &[ringmq_batch_message]| {
            if waiting.len() >= CHUNKS_WAITING_MAX {
                failure = failure.take().or(waiting.pop_front().and_then(&mut take));
            }
            // SAFETY: the caller's.
            let copies = unsafe { owned(some) }?;
            let pending = handle.start_publish_many(copies, options.clone(), Instant::now() + timeout);
            waiting.push_back(pending?);
            Ok(())
        };
        let Err(wrong) = start(chunk) else { continue };
        let wrong: Failure = wrong;
        let of_one = [
            ringmq_status::RINGMQ_NOT_MQTT,
            ringmq_status::RINGMQ_TOO_LARGE,
            ringmq_status::RINGMQ_INVALID,
            ringmq_status::RINGMQ_NULL,
        ];
        let mut first = None;
        match of_one.contains(&wrong.status) {
            // Each by itself, so that the others are published.
            true => chunk
                .iter()
                .for_each(|message| first = first.take().or(start(std::slice::from_ref(message)).err())),
            false => first = Some(wrong),
        }
        failure = failure.or(first);
    }
    for pending in waiting {
        failure = failure.or(take(pending));
    }
    failure.map_or(Ok(sum), Err)
}

/// Room for the shard's answer after its own deadline.
pub(crate) const GRACE: Duration = Duration::from_millis(500);
