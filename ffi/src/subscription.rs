//! Subscriptions inside the process: sessions without a socket.

use std::num::NonZeroU16;
use std::task::{Context, Poll};

use ringmq::{RecvError, RetainHandling, SubscribeError, SubscribeOptions, Subscription};

use crate::broker::ringmq_broker;
use crate::entry::{Growing, check_place, enter, put, read, wait};
use crate::error::{Failure, ringmq_error, ringmq_status};
use crate::handle::{self, Object, Origin};
use crate::message::{Source, ringmq_message};
use crate::publish::qos;
use crate::ready::Ready;
use crate::text::ringmq_str;

/// How to subscribe. Initialise it with RINGMQ_SUBSCRIBE_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ringmq_subscribe {
    /// sizeof(ringmq_subscribe).
    pub struct_size: usize,
    /// Topic filters, `$share/.../` included.
    pub filters: *const ringmq_str,
    /// How many, at least 1.
    pub filter_count: usize,
    /// The greatest QoS that messages come with.
    pub qos: u8,
    /// When retained messages come: 0 now, 1 unless there was such a subscription, 2 never (MQTT 5.0, 3.8.3.1).
    pub retain_handling: u8,
    /// Whether messages keep the retain flag with which they were published.
    pub retain_as_published: bool,
    /// An identifier that messages carry, 1 to 268,435,455; 0 for none.
    pub subscription_identifier: u32,
    /// Messages that may wait before publishers are held back.
    pub queue_max: usize,
    /// Milliseconds to wait for the broker; less than 0 for ever.
    pub timeout_ms: i64,
    /// How many messages of QoS 1 and 2 may be unacknowledged; what comes then waits in the session, and beyond `queue_max`
    /// holds publishers back. Each is acknowledged by `ringmq_subscription_acknowledge`. 0: taking a message does that.
    pub unacknowledged_max: u16,
}

impl Growing for ringmq_subscribe {
    const LEAST: usize = size_of::<Self>();
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            filters: std::ptr::null(),
            filter_count: 0,
            qos: 2,
            retain_handling: 0,
            retain_as_published: false,
            subscription_identifier: 0,
            queue_max: 1_000,
            timeout_ms: 5_000,
            unacknowledged_max: 0,
        }
    }
}

/// A subscription of this process. Any number of threads may read it; each message goes to one of them.
pub struct ringmq_subscription {
    inner: Subscription,
    ready: Ready,
    origin: Origin,
}

impl Object for ringmq_subscription {
    const NAME: &'static str = "ringmq_subscription";
    fn origin(&self) -> Origin {
        self.origin
    }
}

impl From<SubscribeError> for Failure {
    fn from(error: SubscribeError) -> Self {
        let (status, reason) = match &error {
            SubscribeError::Invalid { .. } => (ringmq_status::RINGMQ_NOT_MQTT, None),
            SubscribeError::Refused { reason, .. } => (ringmq_status::RINGMQ_REFUSED, Some(reason.value())),
            SubscribeError::Options(_) | SubscribeError::NoShard(_) => (ringmq_status::RINGMQ_INVALID, None),
            SubscribeError::Busy => (ringmq_status::RINGMQ_BUSY, None),
            SubscribeError::Timeout => (ringmq_status::RINGMQ_TIMEOUT, None),
            SubscribeError::Stopped => (ringmq_status::RINGMQ_STOPPED, None),
            _ => (ringmq_status::RINGMQ_FAILED, None),
        };
        Self { status, message: error.to_string(), reason }
    }
}

impl From<RecvError> for Failure {
    fn from(error: RecvError) -> Self {
        let status = match error {
            RecvError::Timeout => ringmq_status::RINGMQ_TIMEOUT,
            RecvError::Ended => ringmq_status::RINGMQ_STOPPED,
            RecvError::Failed => ringmq_status::RINGMQ_FAILED,
        };
        Self::new(status, error)
    }
}

/// Subscribes: every message that is published from then on reaches the subscription. Free it with
/// `ringmq_subscription_free`, which ends it; it may outlive its broker.
///
/// Errors: RINGMQ_NOT_MQTT, RINGMQ_REFUSED, RINGMQ_TIMEOUT, RINGMQ_STOPPED, RINGMQ_INVALID; then no filter is subscribed.
///
/// # Safety
/// `broker` is NULL or a broker; `how` is NULL or such a struct, whose filters are there during the call; `subscription`
/// can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_subscribe(
    broker: *const ringmq_broker,
    how: *const ringmq_subscribe,
    subscription: *mut *mut ringmq_subscription,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let (broker, how) = (handle::hold(broker)?, read(how, "how")?);
            check_place(subscription, "subscription")?;
            let filters = how.filters()?;
            let inner = broker.with(|broker| Ok(broker.subscribe(filters, how.options()?)?))?;
            let made = ringmq_subscription { inner, ready: Ready::default(), origin: Origin::here() };
            put(subscription, handle::give(made), "subscription")
        })
    }
}

/// When retained messages come.
pub(crate) fn retain_handling(number: u8) -> Result<RetainHandling, Failure> {
    match number {
        0 => Ok(RetainHandling::SendAtSubscribe),
        1 => Ok(RetainHandling::SendIfNew),
        2 => Ok(RetainHandling::DoNotSend),
        other => Err(Failure::invalid(format!("retain_handling is 0, 1 or 2, not {other}"))),
    }
}

/// Topic filters.
///
/// # Safety
/// `filters` has `count` texts that are there.
pub(crate) unsafe fn filters(filters: *const ringmq_str, count: usize) -> Result<Vec<String>, Failure> {
    /// More is a mistake.
    const FILTERS_MAX: usize = 100_000;
    if count == 0 || count > FILTERS_MAX {
        return Err(Failure::invalid(format!("{count} filters: 1 to {FILTERS_MAX} may be")));
    }
    check_place(filters, "filters")?;
    // SAFETY: the caller's, for this and all below.
    let filter = |index| unsafe { Ok((*filters.add(index)).get("filter")?.to_owned()) };
    (0..count).map(filter).collect()
}

impl ringmq_subscribe {
    /// # Safety
    /// Its filters are there.
    pub(crate) unsafe fn filters(&self) -> Result<Vec<String>, Failure> {
        // SAFETY: the caller's.
        unsafe { filters(self.filters, self.filter_count) }
    }
    fn options(&self) -> Result<SubscribeOptions, Failure> {
        let options = SubscribeOptions::qos(qos(self.qos)?)
            .maxlen(self.queue_max)
            .retain_handling(retain_handling(self.retain_handling)?)
            .retain_as_published(self.retain_as_published)
            .timeout(wait(self.timeout_ms));
        let options = match NonZeroU16::new(self.unacknowledged_max) {
            Some(max) => options.unacknowledged_max(max),
            None => options,
        };
        Ok(match self.subscription_identifier {
            0 => options,
            identifier => options.subscription_id(identifier),
        })
    }
}

/// Waits for the next message. Free it with `ringmq_message_free`.
///
/// Errors: RINGMQ_TIMEOUT when none came within `timeout_ms` milliseconds (less than 0: for ever), RINGMQ_STOPPED when the
/// subscription has ended and everything was read.
///
/// # Safety
/// `subscription` is NULL or a subscription; `message` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_subscription_receive(
    subscription: *const ringmq_subscription,
    timeout_ms: i64,
    message: *mut *const ringmq_message,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let subscription = handle::hold(subscription)?;
            check_place(message, "message")?;
            let received = subscription.inner.recv(wait(timeout_ms))?;
            put(message, ringmq_message::give(Source::Local(received)).cast_const(), "message")
        })
    }
}

/// Takes what is there, at most `capacity` messages, without waiting, and sets `count`. Free them with
/// `ringmq_messages_free`. The descriptor of `ringmq_subscription_descriptor` is readable again when more is there.
///
/// Errors: RINGMQ_TIMEOUT when there is none, RINGMQ_STOPPED when there will be none any more.
///
/// # Safety
/// `subscription` is NULL or a subscription; `messages` has room for `capacity` of them; `count` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_subscription_drain(
    subscription: *const ringmq_subscription,
    messages: *mut *const ringmq_message,
    capacity: usize,
    count: *mut usize,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let subscription = handle::hold(subscription)?;
            check_place(messages, "messages")?;
            check_place(count, "count")?;
            let mut taken = 0;
            subscription.drain(capacity, |message| {
                messages.add(taken).write(ringmq_message::give(Source::Local(message)));
                taken += 1;
            })?;
            put(count, taken, "count")
        })
    }
}

impl ringmq_subscription {
    /// Gives what is there to `each`. Several threads may drain: each looks only after it has quietened the descriptor, and
    /// before it returns it has either seen the queue empty and asked to be rung, or rings. So nobody sleeps on what another
    /// has left, and no lock is needed.
    fn drain(&self, capacity: usize, mut each: impl FnMut(ringmq::ReceivedMessage)) -> Result<(), Failure> {
        self.ready.quiet();
        let outcome = self.inner.try_recv_many(capacity, &mut each);
        let Some(waker) = self.ready.waker() else { return outcome.map(drop).map_err(Failure::from) };
        let mut taken = outcome.unwrap_or_default();
        let mut context = Context::from_waker(&waker);
        while taken < capacity {
            match self.inner.poll_next(&mut context) {
                Poll::Ready(Some(message)) => {
                    each(message);
                    taken += 1;
                }
                // From now on the next one rings.
                Poll::Pending => return if taken == 0 { Err(Failure::timeout()) } else { Ok(()) },
                Poll::Ready(None) if taken == 0 => {
                    // Whoever waits sees it every time.
                    self.ready.ring();
                    return self.inner.try_recv().map(each).map_err(Failure::from);
                }
                Poll::Ready(None) => break,
            }
        }
        // There may be more.
        self.ready.ring();
        Ok(())
    }
}

/// Acknowledges a message of a subscription with `unacknowledged_max`; in any order, from any thread. RINGMQ_ABSENT when
/// there is nothing to acknowledge: its QoS is 0, it was acknowledged before, the subscription acknowledges by taking or has
/// ended. A shared subscription that ends gives messages of QoS 1 that are not acknowledged to another of its group.
///
/// # Safety
/// `subscription` is NULL or a subscription; `message` is NULL or a message of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_subscription_acknowledge(
    subscription: *const ringmq_subscription,
    message: *const ringmq_message,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let (subscription, message) = (handle::hold(subscription)?, handle::hold(message)?);
            let acknowledged =
                message.as_local().is_some_and(|message| subscription.inner.acknowledge(message));
            let absent = || Failure::new(ringmq_status::RINGMQ_ABSENT, "there is nothing to acknowledge");
            acknowledged.then_some(()).ok_or_else(absent)
        })
    }
}

/// A descriptor (an eventfd) that is readable while there may be messages to drain, or when the subscription has ended.
/// For any event loop; do not read from it or close it: draining does what is needed. It lives as long as the
/// subscription.
///
/// Errors: RINGMQ_SYSTEM when there are no descriptors left.
///
/// # Safety
/// `subscription` is NULL or a subscription; `descriptor` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_subscription_descriptor(
    subscription: *const ringmq_subscription,
    descriptor: *mut i32,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let subscription = handle::hold(subscription)?;
            put(descriptor, subscription.ready.descriptor()?, "descriptor")
        })
    }
}

/// Ends a subscription; whoever waits for it is told RINGMQ_STOPPED, and messages that were not read are dropped. It may be
/// called at any time, by any thread, and again.
///
/// # Safety
/// `subscription` is NULL or a subscription.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_subscription_close(
    subscription: *const ringmq_subscription,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let subscription = handle::hold(subscription)?;
            subscription.inner.close();
            subscription.ready.ring();
            Ok(())
        })
    }
}

/// Takes one more reference to a subscription.
///
/// # Safety
/// `subscription` is NULL or a subscription.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_subscription_ref(subscription: *const ringmq_subscription) -> ringmq_status {
    // SAFETY: the caller's.
    unsafe { enter(std::ptr::null_mut(), || handle::again(subscription)) }
}

/// Gives a reference to a subscription back; NULL is allowed. With the last it ends.
///
/// # Safety
/// `subscription` is NULL or a subscription, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_subscription_free(subscription: *const ringmq_subscription) {
    // SAFETY: the caller's.
    unsafe { handle::end(subscription) };
}
