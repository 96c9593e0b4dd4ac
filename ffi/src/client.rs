//! Clients.

use std::ffi::c_char;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use ::ringmq_client::{
    Client, ConnectError, ConnectionState, Error, Event, Goodbye, Receipt, RecvError, RequestError, Stopped,
    Subscribe, SubscriptionOptions, Unsubscribe,
};

use crate::client_options::ringmq_client_options;
use crate::entry::{check_place, copy_text, enter, put, read, wait};
use crate::error::{Failure, ringmq_error, ringmq_status};
use crate::handle::{self, Object, Origin};
use crate::message::{Source, ringmq_message};
use crate::publish::{ringmq_batch_message, ringmq_publish};
use crate::ready::Ready;
use crate::subscription::{retain_handling, ringmq_subscribe};
use crate::text::ringmq_str;

/// A client. Any number of threads may use it; each message goes to one of those that receive. All clients of a process
/// share one thread of the library.
pub struct ringmq_client {
    inner: Client,
    ready: Ready,
    events: Ready,
    /// Held by whoever drains, so that of two one does not sleep on what the other has left.
    draining: Mutex<()>,
    /// Whether somebody has said goodbye.
    left: AtomicBool,
    origin: Origin,
}

impl Object for ringmq_client {
    const NAME: &'static str = "ringmq_client";
    fn origin(&self) -> Origin {
        self.origin
    }
}

/// A message that was taken for sending.
pub struct ringmq_receipt {
    inner: Receipt,
    origin: Origin,
}

impl Object for ringmq_receipt {
    const NAME: &'static str = "ringmq_receipt";
    fn origin(&self) -> Origin {
        self.origin
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let status = match &error {
            ConnectError::Options(_) | ConnectError::Settings(_) => ringmq_status::RINGMQ_INVALID,
            ConnectError::Refused { .. } | ConnectError::ByServer { .. } => ringmq_status::RINGMQ_REFUSED,
            ConnectError::Timeout => ringmq_status::RINGMQ_TIMEOUT,
            ConnectError::Stopped => ringmq_status::RINGMQ_STOPPED,
            ConnectError::Context(_) => ringmq_status::RINGMQ_SYSTEM,
            _ => ringmq_status::RINGMQ_NOT_CONNECTED,
        };
        Self { status, message: error.to_string(), reason: error.reason().map(|reason| reason.value()) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (status, reason) = match &error {
            Error::Request(RequestError::QueueFull) => (ringmq_status::RINGMQ_QUEUE_FULL, None),
            Error::Request(RequestError::NotConnected | RequestError::SessionLost) => {
                (ringmq_status::RINGMQ_NOT_CONNECTED, None)
            }
            Error::Request(RequestError::Invalid(_)) => (ringmq_status::RINGMQ_NOT_MQTT, None),
            Error::Request(RequestError::PacketTooLarge { .. }) => (ringmq_status::RINGMQ_TOO_LARGE, None),
            Error::Request(RequestError::PacketIdsUsedUp) => (ringmq_status::RINGMQ_BUSY, None),
            Error::Refused(reason) => (ringmq_status::RINGMQ_REFUSED, Some(reason.value())),
            Error::Timeout => (ringmq_status::RINGMQ_TIMEOUT, None),
            Error::Stopped => (ringmq_status::RINGMQ_STOPPED, None),
            _ => (ringmq_status::RINGMQ_INVALID, None),
        };
        Self { status, message: error.to_string(), reason }
    }
}

impl From<RecvError> for Failure {
    fn from(error: RecvError) -> Self {
        let status = match error {
            RecvError::Timeout => ringmq_status::RINGMQ_TIMEOUT,
            RecvError::Stopped => ringmq_status::RINGMQ_STOPPED,
        };
        Self::new(status, error)
    }
}

/// Makes a client that connects, and connects again whenever it has to, unless the option `reconnect` is false. It does
/// not wait for the connection. Free it with `ringmq_client_free`.
///
/// Errors: RINGMQ_INVALID, RINGMQ_SYSTEM.
///
/// # Safety
/// `options` is NULL or options; `client` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_start(
    options: *const ringmq_client_options,
    client: *mut *mut ringmq_client,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let options = handle::hold(options)?;
            check_place(client, "client")?;
            let made = ringmq_client {
                inner: Client::start(options.options()?)?,
                ready: Ready::default(),
                events: Ready::default(),
                draining: Mutex::default(),
                left: AtomicBool::new(false),
                origin: Origin::here(),
            };
            put(client, handle::give(made), "client")
        })
    }
}

/// Waits until there is a connection.
///
/// Errors: the last failure when `timeout_ms` milliseconds (less than 0: for ever) were not enough: RINGMQ_NOT_CONNECTED,
/// RINGMQ_REFUSED with a reason code, RINGMQ_TIMEOUT; RINGMQ_STOPPED.
///
/// # Safety
/// `client` is NULL or a client; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_wait_connected(
    client: *const ringmq_client,
    timeout_ms: i64,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe { enter(error, || Ok(handle::hold(client)?.inner.wait_connected(wait(timeout_ms))?)) }
}

/// Whether there is a connection now. False for NULL.
///
/// # Safety
/// `client` is NULL or a client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_is_connected(client: *const ringmq_client) -> bool {
    let mut connected = false;
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            connected = handle::hold(client)?.inner.state() == ConnectionState::Connected;
            Ok(())
        });
    }
    connected
}

/// The ClientID: the one that was set, or the one that the server assigned. As `ringmq_broker_url` writes a text.
///
/// # Safety
/// `client` is NULL or a client; `buffer` has `capacity` bytes; `length` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_id(
    client: *const ringmq_client,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            copy_text(&handle::hold(client)?.inner.client_id(), buffer, capacity, length)
        })
    }
}

/// Takes a message for sending, and waits for room for it at most its `timeout_ms`. It is sent whether or not anybody waits
/// for the answer: `receipt` may be NULL; else free it with `ringmq_receipt_free`.
///
/// Errors: RINGMQ_NOT_MQTT, RINGMQ_TOO_LARGE, RINGMQ_TIMEOUT, RINGMQ_QUEUE_FULL, RINGMQ_NOT_CONNECTED, RINGMQ_STOPPED.
///
/// # Safety
/// `client` is NULL or a client; `message` as for `ringmq_broker_publish`; `receipt` and `error` are NULL or can be written
/// to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_publish(
    client: *const ringmq_client,
    message: *const ringmq_publish,
    receipt: *mut *mut ringmq_receipt,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let ready = read(message, "message")?.ready()?;
            let client = handle::hold(client)?;
            let timeout = ready.timeout;
            let inner = client.inner.publish_timeout(ready.publish(), timeout)?;
            if !receipt.is_null() {
                receipt.write(handle::give(ringmq_receipt { inner, origin: Origin::here() }));
            }
            Ok(())
        })
    }
}

/// Takes `count` messages for sending, one after the other, with the QoS, retain flag, timeout and properties of `how`.
/// `taken`, where not NULL, gets how many, also when it fails. `ringmq_client_flush` waits for their answers.
///
/// Errors: as for `ringmq_client_publish`, of the message behind those that were taken.
///
/// # Safety
/// As for `ringmq_client_publish`; `messages` has `count` of them; `taken` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_publish_batch(
    client: *const ringmq_client,
    messages: *const ringmq_batch_message,
    count: usize,
    how: *const ringmq_publish,
    taken: *mut usize,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let (client, how) = (handle::hold(client)?, read(how, "how")?);
            if count > 0 {
                check_place(messages, "messages")?;
            }
            let mut done = 0;
            let outcome = (0..count).try_for_each(|index| {
                let ringmq_batch_message { topic, payload } = *messages.add(index);
                let ready = ringmq_publish { topic, payload, release: None, ..how }.ready()?;
                let timeout = ready.timeout;
                client.inner.publish_timeout(ready.publish(), timeout)?;
                done += 1;
                Ok(())
            });
            if !taken.is_null() {
                taken.write(done);
            }
            outcome
        })
    }
}

/// Waits until everything has been sent and answered.
///
/// Errors: RINGMQ_TIMEOUT, RINGMQ_STOPPED.
///
/// # Safety
/// `client` is NULL or a client; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_flush(
    client: *const ringmq_client,
    timeout_ms: i64,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe { enter(error, || Ok(handle::hold(client)?.inner.flush(wait(timeout_ms))?)) }
}

/// Waits for the server's answer to a message; at QoS 0 until it has gone out. `reason_code`, where not NULL, gets the reason
/// code of success: 0x00, or 0x10, no matching subscribers.
///
/// Errors: RINGMQ_REFUSED with the reason code, RINGMQ_TIMEOUT, RINGMQ_NOT_CONNECTED when the session was lost,
/// RINGMQ_STOPPED.
///
/// # Safety
/// `receipt` is NULL or a receipt; `reason_code` and `error` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_receipt_wait(
    receipt: *const ringmq_receipt,
    timeout_ms: i64,
    reason_code: *mut u8,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let reason = handle::hold(receipt)?.inner.wait_timeout(wait(timeout_ms))?;
            if !reason_code.is_null() {
                reason_code.write(reason.value());
            }
            Ok(())
        })
    }
}

/// Frees a receipt; NULL is allowed.
///
/// # Safety
/// `receipt` is NULL or a receipt, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_receipt_free(receipt: *const ringmq_receipt) {
    // SAFETY: the caller's.
    unsafe { handle::end(receipt) };
}

/// Subscribes and waits for the answer, at most for the option `request_timeout`. `reason_codes`, where not NULL, gets one
/// code for each filter: the QoS that was granted, or from 0x80 on why it was refused. Of `how`, `queue_max` and
/// `timeout_ms` do not count.
///
/// Errors: RINGMQ_NOT_MQTT, RINGMQ_NOT_CONNECTED, RINGMQ_TIMEOUT, RINGMQ_STOPPED, RINGMQ_INVALID.
///
/// # Safety
/// `client` is NULL or a client; `how` as for `ringmq_broker_subscribe`; `reason_codes` is NULL or has room for as many
/// bytes as there are filters; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_subscribe(
    client: *const ringmq_client,
    how: *const ringmq_subscribe,
    reason_codes: *mut u8,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let (client, how) = (handle::hold(client)?, read(how, "how")?);
            let mut options = SubscriptionOptions::qos(crate::publish::qos(how.qos)?);
            options.retain_handling = retain_handling(how.retain_handling)?;
            options.retain_as_published = how.retain_as_published;
            let filters = how.filters()?.into_iter();
            let mut request = filters.fold(Subscribe::default(), |all, filter| all.filter(filter, options));
            if how.subscription_identifier > 0 {
                request = request.identifier(how.subscription_identifier);
            }
            write_codes(reason_codes, &client.inner.subscribe(request)?);
            Ok(())
        })
    }
}

/// # Safety
/// `place` is NULL or has room for all.
unsafe fn write_codes(place: *mut u8, codes: &[::ringmq_client::ReasonCode]) {
    if !place.is_null() {
        for (index, code) in codes.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { place.add(index).write(code.value()) };
        }
    }
}

/// Unsubscribes and waits for the answer, as `ringmq_client_subscribe` does.
///
/// # Safety
/// `client` is NULL or a client; `filters` has `count` texts, which are there during the call; `reason_codes` is NULL or has
/// room for `count` bytes; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_unsubscribe(
    client: *const ringmq_client,
    filters: *const ringmq_str,
    count: usize,
    reason_codes: *mut u8,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let client = handle::hold(client)?;
            let filters = crate::subscription::filters(filters, count)?.into_iter();
            let request = filters.fold(Unsubscribe::default(), Unsubscribe::filter);
            write_codes(reason_codes, &client.inner.unsubscribe(request)?);
            Ok(())
        })
    }
}

/// Waits for the next message. Free it with `ringmq_message_free`. One of QoS 1 or 2 is acknowledged by that, unless the
/// option `acknowledge` says otherwise.
///
/// Errors: RINGMQ_TIMEOUT when none came in time (less than 0: for ever), RINGMQ_STOPPED when the client is stopped and all
/// were taken.
///
/// # Safety
/// `client` is NULL or a client; `message` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_receive(
    client: *const ringmq_client,
    timeout_ms: i64,
    message: *mut *const ringmq_message,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let client = handle::hold(client)?;
            check_place(message, "message")?;
            let received = client.inner.recv_timeout(wait(timeout_ms))?;
            put(message, ringmq_message::give(Source::Client(received)).cast_const(), "message")
        })
    }
}

/// Takes what has arrived, at most `capacity` messages, without waiting, and sets `count`. Free them with
/// `ringmq_messages_free`. The descriptor of `ringmq_client_descriptor` is readable again when more is there.
///
/// Errors: RINGMQ_TIMEOUT when there is none, RINGMQ_STOPPED when there will be none any more.
///
/// # Safety
/// `client` is NULL or a client; `messages` has room for `capacity` of them; `count` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_drain(
    client: *const ringmq_client,
    messages: *mut *const ringmq_message,
    capacity: usize,
    count: *mut usize,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let client = handle::hold(client)?;
            check_place(messages, "messages")?;
            check_place(count, "count")?;
            let taken = client.drain(capacity)?;
            put(count, taken.len(), "count")?;
            for (index, message) in taken.into_iter().enumerate() {
                messages.add(index).write(ringmq_message::give(Source::Client(message)));
            }
            Ok(())
        })
    }
}

impl ringmq_client {
    fn drain(&self, capacity: usize) -> Result<Vec<::ringmq_client::Message>, Failure> {
        let _one = self.draining.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        self.ready.quiet();
        let waker = self.ready.waker().unwrap_or_else(|| std::task::Waker::noop().clone());
        let mut context = Context::from_waker(&waker);
        let receiver = self.inner.asynchronous();
        while taken.len() < capacity {
            match receiver.poll_recv(&mut context) {
                Poll::Ready(Some(message)) => taken.push(message),
                // From now on the next one rings.
                Poll::Pending => return if taken.is_empty() { Err(Failure::timeout()) } else { Ok(taken) },
                Poll::Ready(None) if taken.is_empty() => {
                    self.ready.ring();
                    return Err(Failure::stopped());
                }
                Poll::Ready(None) => break,
            }
        }
        self.ready.ring();
        Ok(taken)
    }
}

/// A descriptor (an eventfd) that is readable while there may be messages to drain, or when the client has stopped. For any
/// event loop; do not read from it or close it: draining does what is needed. It lives as long as the client.
///
/// # Safety
/// `client` is NULL or a client; `descriptor` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_descriptor(
    client: *const ringmq_client,
    descriptor: *mut i32,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let client = handle::hold(client)?;
            put(descriptor, client.ready.descriptor()?, "descriptor")
        })
    }
}

/// What happened to a client's connection.
pub struct ringmq_event {
    inner: Event,
    text: String,
    origin: Origin,
}

impl Object for ringmq_event {
    const NAME: &'static str = "ringmq_event";
    fn origin(&self) -> Origin {
        self.origin
    }
}

/// What an event says.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ringmq_event_kind {
    /// The server accepted the connection.
    RINGMQ_EVENT_CONNECTED = 1,
    /// A connection ended, or an attempt to make one failed.
    RINGMQ_EVENT_DISCONNECTED = 2,
    /// The server had lost the session, and this subscription (`text`) was not granted again.
    RINGMQ_EVENT_RESUBSCRIBE_REFUSED = 3,
    /// The client has stopped; the last event.
    RINGMQ_EVENT_STOPPED = 4,
    /// Something that this version of the header has no number for.
    RINGMQ_EVENT_OTHER = 5,
}

/// What stands in an event. All of it lives as long as the event.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ringmq_event_view {
    /// What it says.
    pub kind: ringmq_event_kind,
    /// Why, in words, or the filter; empty where there is nothing to say.
    pub text: ringmq_str,
    /// The server's reason code; -1 where there is none.
    pub reason_code: i32,
    /// Whether the server has kept the session; of RINGMQ_EVENT_CONNECTED.
    pub session_present: bool,
    /// Milliseconds until the next attempt; -1 when there will be none.
    pub retry_ms: i64,
}

impl ringmq_event {
    fn new(inner: Event) -> Self {
        let text = match &inner {
            Event::Disconnected { error, .. } | Event::Stopped(Stopped::Failed(error)) => error.to_string(),
            Event::ResubscribeRefused { filter, .. } => filter.clone(),
            _ => String::new(),
        };
        Self { inner, text, origin: Origin::here() }
    }
    fn view(&self) -> ringmq_event_view {
        use ringmq_event_kind as kind;
        let mut view = ringmq_event_view {
            kind: kind::RINGMQ_EVENT_OTHER,
            text: ringmq_str::new(&self.text),
            reason_code: -1,
            session_present: false,
            retry_ms: -1,
        };
        match &self.inner {
            Event::Connected(connected) => {
                view.kind = kind::RINGMQ_EVENT_CONNECTED;
                view.session_present = connected.session_present;
            }
            Event::Disconnected { error, retry_in, .. } => {
                view.kind = kind::RINGMQ_EVENT_DISCONNECTED;
                view.reason_code = error.reason().map_or(-1, |reason| reason.value().into());
                view.retry_ms =
                    retry_in.map_or(-1, |wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
            }
            Event::ResubscribeRefused { reason, .. } => {
                view.kind = kind::RINGMQ_EVENT_RESUBSCRIBE_REFUSED;
                view.reason_code = reason.value().into();
            }
            Event::Stopped(_) => view.kind = kind::RINGMQ_EVENT_STOPPED,
            _ => {}
        }
        view
    }
}

/// Takes the next event of the connection, without waiting; free it with `ringmq_event_free`. What is not taken stays up to a
/// bound, then the oldest go.
///
/// Errors: RINGMQ_TIMEOUT when there is none, RINGMQ_STOPPED behind RINGMQ_EVENT_STOPPED.
///
/// # Safety
/// `client` is NULL or a client; `event` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_next_event(
    client: *const ringmq_client,
    event: *mut *mut ringmq_event,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let client = handle::hold(client)?;
            check_place(event, "event")?;
            client.events.quiet();
            let waker = client.events.waker().unwrap_or_else(|| std::task::Waker::noop().clone());
            let next = client.inner.asynchronous().poll_event(&mut Context::from_waker(&waker));
            let Poll::Ready(next) = next else { return Err(Failure::timeout()) };
            // There may be more, and an end is an end for everybody.
            client.events.ring();
            let next = next.ok_or_else(Failure::stopped)?;
            put(event, handle::give(ringmq_event::new(next)), "event")
        })
    }
}

/// A descriptor (an eventfd) that is readable while there may be events to take. For any event loop; do not read from it or
/// close it. It lives as long as the client.
///
/// # Safety
/// `client` is NULL or a client; `descriptor` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_event_descriptor(
    client: *const ringmq_client,
    descriptor: *mut i32,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let client = handle::hold(client)?;
            put(descriptor, client.events.descriptor()?, "descriptor")
        })
    }
}

/// Reads an event.
///
/// # Safety
/// `event` is NULL or an event; `view` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_event_read(
    event: *const ringmq_event,
    view: *mut ringmq_event_view,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe { enter(std::ptr::null_mut(), || put(view, handle::hold(event)?.view(), "view")) }
}

/// Frees an event; NULL is allowed.
///
/// # Safety
/// `event` is NULL or an event, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_event_free(event: *const ringmq_event) {
    // SAFETY: the caller's.
    unsafe { handle::end(event) };
}

/// Acknowledges a message, where the option `acknowledge` is manual: RINGMQ_ABSENT when there is nothing to acknowledge, such
/// as after its connection.
///
/// # Safety
/// `client` is NULL or a client; `message` is NULL or a message of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_acknowledge(
    client: *const ringmq_client,
    message: *const ringmq_message,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let (client, message) = (handle::hold(client)?, handle::hold(message)?);
            let acknowledged = message.as_client().is_some_and(|message| client.inner.acknowledge(message));
            let absent = || Failure::new(ringmq_status::RINGMQ_ABSENT, "there is nothing to acknowledge");
            acknowledged.then_some(()).ok_or_else(absent)
        })
    }
}

/// Waits until everything has been sent and answered, at most `timeout_ms` milliseconds (less than 0: for ever), says
/// goodbye, and stops. What is not finished by then is dropped. When it returns the goodbye has gone out, for which it waits
/// two seconds more at most. It may be called at any time, by any thread; whoever waits for something of the client is told
/// RINGMQ_STOPPED.
///
/// Errors: RINGMQ_STOPPED when it had stopped before, RINGMQ_TIMEOUT when something was dropped.
///
/// # Safety
/// `client` is NULL or a client; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_disconnect(
    client: *const ringmq_client,
    timeout_ms: i64,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let client = handle::hold(client)?;
            if client.inner.state() == ConnectionState::Stopped {
                return Err(Failure::stopped());
            }
            let flushed = client.inner.flush(wait(timeout_ms));
            if client.left.swap(true, Ordering::AcqRel) {
                return Err(Failure::stopped());
            }
            let stopped = client.inner.stop_and_wait(&Goodbye::default());
            client.ready.ring();
            client.events.ring();
            Ok(flushed.and(stopped)?)
        })
    }
}

/// Takes one more reference to a client.
///
/// # Safety
/// `client` is NULL or a client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_ref(client: *const ringmq_client) -> ringmq_status {
    // SAFETY: the caller's.
    unsafe { enter(std::ptr::null_mut(), || handle::again(client)) }
}

/// Gives a reference to a client back; NULL is allowed. With the last it says goodbye at once and stops: what was not sent
/// is dropped.
///
/// # Safety
/// `client` is NULL or a client, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_free(client: *const ringmq_client) {
    // SAFETY: the caller's.
    unsafe { handle::end(client) };
}
