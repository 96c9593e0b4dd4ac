//! Brokers in this process.

use std::ffi::{c_char, c_void};
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ringmq::questions::Questions;
use ringmq::{AdminError, AdoptReason, Broker, Handle, OpenError, StartError};

use crate::config::ringmq_config;
use crate::entry::{check_place, copy_text, enter, put, read, wait};
use crate::error::{Failure, ringmq_error, ringmq_status};
use crate::handle::{self, Object, Origin};
use crate::message::{Source, ringmq_message};
use crate::publish::{self, ringmq_batch_message, ringmq_publish, ringmq_published};
use crate::text::ringmq_str;

/// A broker of this process. Any number may run; any number of threads may use one.
pub struct ringmq_broker {
    /// Taken by the stop.
    running: RwLock<Option<Broker>>,
    /// This program's own session to publish with.
    handle: Handle,
    questions: Option<Questions>,
    origin: Origin,
}

impl Object for ringmq_broker {
    const NAME: &'static str = "ringmq_broker";
    fn origin(&self) -> Origin {
        self.origin
    }
}

impl Drop for ringmq_broker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl ringmq_broker {
    /// Does something with the broker while it runs.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Broker) -> Result<T, Failure>) -> Result<T, Failure> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        work(running.as_ref().ok_or_else(Failure::stopped)?)
    }
    /// Ends it, and says how many clients were cut off; nothing when it had ended.
    fn stop(&self) -> Option<u64> {
        let broker = self.running.write().unwrap_or_else(PoisonError::into_inner).take()?;
        let report = broker.stop();
        self.questions.iter().for_each(Questions::close);
        Some(report.left)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let status = match &error {
            StartError::Config(_) | StartError::Guard(_) => ringmq_status::RINGMQ_CONFIG,
            _ => ringmq_status::RINGMQ_START,
        };
        Self::new(status, error)
    }
}

impl From<AdoptReason> for Failure {
    fn from(reason: AdoptReason) -> Self {
        let status = match &reason {
            AdoptReason::Busy => ringmq_status::RINGMQ_BUSY,
            AdoptReason::Stopped => ringmq_status::RINGMQ_STOPPED,
            _ => ringmq_status::RINGMQ_INVALID,
        };
        Self::new(status, reason)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let status = match error {
            OpenError::Stopped => ringmq_status::RINGMQ_STOPPED,
            OpenError::Failed => ringmq_status::RINGMQ_FAILED,
            _ => ringmq_status::RINGMQ_BUSY,
        };
        Self::new(status, error)
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        let status = match error {
            AdminError::Invalid(_) => ringmq_status::RINGMQ_NOT_MQTT,
            AdminError::Timeout => ringmq_status::RINGMQ_TIMEOUT,
            AdminError::Stopped => ringmq_status::RINGMQ_STOPPED,
            _ => ringmq_status::RINGMQ_FAILED,
        };
        Self::new(status, error)
    }
}

/// Starts a broker: when this returns it accepts connections. It runs on threads of its own, one for each shard. Free it
/// with `ringmq_broker_free`, which stops it.
///
/// Errors: RINGMQ_CONFIG with everything that is wrong, RINGMQ_START with what to do; then nothing is left running.
///
/// # Safety
/// `config` is NULL or a configuration; `broker` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_start(
    config: *const ringmq_config,
    broker: *mut *mut ringmq_broker,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let config = handle::hold(config)?;
            check_place(broker, "broker")?;
            let (options, questions) = config.options()?;
            questions.iter().for_each(Questions::open);
            let started = options.start().map_err(Failure::from);
            let started = started.and_then(|running| Ok((running.handle()?, running)));
            let (own, running) = started.inspect_err(|_| questions.iter().for_each(Questions::close))?;
            let made = ringmq_broker {
                running: RwLock::new(Some(running)),
                handle: own,
                questions,
                origin: Origin::here(),
            };
            put(broker, handle::give(made), "broker")
        })
    }
}

/// Stops a broker: publishes the wills of connected clients, says goodbye, and closes everything, within the key
/// `stop_deadline`. `left`, where not NULL, gets how many clients were cut off. It may be called at any time, by any
/// thread, and again; whoever waits for something of the broker is told RINGMQ_STOPPED.
///
/// # Safety
/// `broker` is NULL or a broker; `left` and `error` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_stop(
    broker: *const ringmq_broker,
    left: *mut u64,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let cut_off = handle::hold(broker)?.stop().ok_or_else(Failure::stopped)?;
            if !left.is_null() {
                left.write(cut_off);
            }
            Ok(())
        })
    }
}

/// Goes on with another configuration, all or nothing: files are read anew, connections stay. Questions and faults stay
/// those with which it was started.
///
/// Errors: RINGMQ_CONFIG, RINGMQ_START; then nothing has changed.
///
/// # Safety
/// `broker` is NULL or a broker, `config` NULL or a configuration; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_reload(
    broker: *const ringmq_broker,
    config: *const ringmq_config,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let (broker, config) = (handle::hold(broker)?, handle::hold(config)?);
            let (options, _) = config.options()?;
            let mut running = broker.running.write().unwrap_or_else(PoisonError::into_inner);
            running.as_mut().ok_or_else(Failure::stopped)?.reload(options)?;
            Ok(())
        })
    }
}

/// The port of the first TCP listener.
///
/// # Safety
/// `broker` is NULL or a broker; `port` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_port(broker: *const ringmq_broker, port: *mut u16) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let bound = handle::hold(broker)?.with(|broker| Ok(broker.port()))?;
            put(port, bound, "port")
        })
    }
}

/// The `index`-th listener as clients write it, such as `mqtt://127.0.0.1:41373`, from 0; RINGMQ_ABSENT behind the last.
/// Writes at most `capacity` bytes, of which the last is a zero, and sets `length`, where it is not NULL, to what the whole
/// text has without it; RINGMQ_INVALID when it did not fit.
///
/// # Safety
/// `broker` is NULL or a broker; `buffer` has `capacity` bytes; `length` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_url(
    broker: *const ringmq_broker,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            let urls = handle::hold(broker)?.with(|broker| Ok(broker.urls()))?;
            let absent = || Failure::new(ringmq_status::RINGMQ_ABSENT, "there are not so many listeners");
            let url = urls.get(index).ok_or_else(absent)?;
            copy_text(url, buffer, capacity, length)
        })
    }
}

/// Publishes and waits until every session that matches has the message, or its own policy was applied. `published`, where
/// not NULL, gets how many matched.
///
/// Errors: RINGMQ_QUEUE_FULL names a session whose queue stayed full, the others have the message; RINGMQ_NOT_MQTT,
/// RINGMQ_TOO_LARGE, RINGMQ_QUOTA, RINGMQ_BUSY, RINGMQ_TIMEOUT, RINGMQ_STOPPED.
///
/// # Safety
/// `broker` is NULL or a broker; `message` is NULL or such a struct, with what it points to during the call, and a payload
/// with `release` until that is called; `published` and `error` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_publish(
    broker: *const ringmq_broker,
    message: *const ringmq_publish,
    published: *mut ringmq_published,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let ready = read(message, "message")?.ready()?;
            let broker = handle::hold(broker)?;
            let options = ready.options();
            let outcome = broker.handle.publish(&ready.topic, ready.payload, options)?;
            if !published.is_null() {
                published.write(outcome.into());
            }
            Ok(())
        })
    }
}

/// Publishes `count` messages one after the other with the QoS, retain flag, timeout and properties of `how`, and waits for
/// all of them. It costs a fraction of publishing each. `published`, where not NULL, gets the sums.
///
/// Errors: as for `ringmq_broker_publish`, the first that there was; the others are published all the same.
///
/// # Safety
/// As for `ringmq_broker_publish`; `messages` has `count` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_publish_batch(
    broker: *const ringmq_broker,
    messages: *const ringmq_batch_message,
    count: usize,
    how: *const ringmq_publish,
    published: *mut ringmq_published,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let (broker, how) = (handle::hold(broker)?, read(how, "how")?);
            let sum = publish::batch(&broker.handle, messages, count, &how)?;
            if !published.is_null() {
                published.write(sum);
            }
            Ok(())
        })
    }
}

/// Is told a counter and its value.
pub type ringmq_on_counter = Option<unsafe extern "C" fn(user: *mut c_void, name: ringmq_str, value: u64)>;

/// Everything the broker counts, the sums over its shards: calls `on_counter` for each, on this thread, before it returns.
///
/// # Safety
/// `broker` is NULL or a broker; `on_counter` may be called with `user`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_counters(
    broker: *const ringmq_broker,
    on_counter: ringmq_on_counter,
    user: *mut c_void,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let sums = handle::hold(broker)?.with(|broker| Ok(broker.counter_sums()))?;
            let on_counter = callback(on_counter, "on_counter")?;
            for (name, value) in sums {
                on_counter(user, ringmq_str::new(name), value);
            }
            Ok(())
        })
    }
}

fn callback<T>(callback: Option<T>, name: &str) -> Result<T, Failure> {
    callback.ok_or_else(|| Failure::new(ringmq_status::RINGMQ_NULL, format!("{name} is NULL")))
}

/// A client's session. All of it lives as long as the call that tells it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ringmq_session {
    /// sizeof(ringmq_session) of the library, which may know more than the header.
    pub struct_size: usize,
    /// Its ClientID.
    pub client_id: ringmq_str,
    /// The user name it connected with last; `data` is NULL without one.
    pub user_name: ringmq_str,
    /// ADDRESS:PORT of its connection; `data` is NULL without one, and behind a Unix socket.
    pub address: ringmq_str,
    /// Whether its client is connected.
    pub connected: bool,
    /// 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5.0, 0 without a connection.
    pub protocol: u8,
    /// Seconds, 0 for none.
    pub keep_alive: u16,
    /// Seconds that it outlives the connection, 4,294,967,295 for ever.
    pub expiry_interval: u32,
    /// Filters it has.
    pub subscriptions: u64,
    /// Messages that wait to be sent.
    pub queued: u64,
    /// Bytes of them.
    pub queued_bytes: u64,
    /// Messages of QoS 1 and 2 sent and not yet complete.
    pub inflight: u64,
}

/// Is told a session.
pub type ringmq_on_session = Option<unsafe extern "C" fn(user: *mut c_void, session: *const ringmq_session)>;

/// The sessions of all clients, connected or not, in the order of their ClientIDs: calls `on_session` for each, on this
/// thread, before it returns.
///
/// Errors: RINGMQ_TIMEOUT, RINGMQ_STOPPED.
///
/// # Safety
/// `broker` is NULL or a broker; `on_session` may be called with `user`; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_sessions(
    broker: *const ringmq_broker,
    timeout_ms: i64,
    on_session: ringmq_on_session,
    user: *mut c_void,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let on_session = callback(on_session, "on_session")?;
            let found = handle::hold(broker)?.with(|broker| Ok(broker.sessions(wait(timeout_ms))?))?;
            for report in found {
                let address = report.address.map(|address| address.to_string());
                let session = ringmq_session {
                    struct_size: size_of::<ringmq_session>(),
                    client_id: ringmq_str::new(&report.client_id),
                    user_name: optional(report.user_name.as_deref()),
                    address: optional(address.as_deref()),
                    connected: report.connected,
                    protocol: report.version.map_or(0, |version| version as u8),
                    keep_alive: report.keep_alive_seconds,
                    expiry_interval: report.expiry_seconds,
                    subscriptions: report.subscriptions.len() as u64,
                    queued: report.queued,
                    queued_bytes: report.queued_bytes,
                    inflight: report.inflight,
                };
                on_session(user, &raw const session);
            }
            Ok(())
        })
    }
}

/// A text, or one whose `data` is NULL.
pub(crate) fn optional(text: Option<&str>) -> ringmq_str {
    text.map_or(ringmq_str { data: std::ptr::null(), length: 0 }, ringmq_str::new)
}

/// Disconnects a client, which is told 0x98 Administrative action, and ends its session if that is wanted. Its will is
/// published.
///
/// Errors: RINGMQ_ABSENT when there is no such session; RINGMQ_TIMEOUT, RINGMQ_STOPPED.
///
/// # Safety
/// `broker` is NULL or a broker; `client_id` is there during the call; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_kick(
    broker: *const ringmq_broker,
    client_id: ringmq_str,
    end_session: bool,
    timeout_ms: i64,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let (broker, client_id) = (handle::hold(broker)?, client_id.get("client_id")?);
            let kicked =
                broker.with(|broker| Ok(broker.kick(client_id, end_session, wait(timeout_ms))?))?;
            let absent = || Failure::new(ringmq_status::RINGMQ_ABSENT, "there is no such session");
            kicked.then_some(()).ok_or_else(absent)
        })
    }
}

/// Is given a message, with one reference that it has to give back.
pub type ringmq_on_message = Option<unsafe extern "C" fn(user: *mut c_void, message: *const ringmq_message)>;

/// The retained messages that match a topic filter, in the order of their topics: calls `on_message` for each, on this
/// thread, before it returns.
///
/// Errors: RINGMQ_NOT_MQTT for what is no filter; RINGMQ_TIMEOUT, RINGMQ_STOPPED.
///
/// # Safety
/// `broker` is NULL or a broker; `filter` is there during the call; `on_message` may be called with `user`; `error` is NULL
/// or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_retained(
    broker: *const ringmq_broker,
    filter: ringmq_str,
    timeout_ms: i64,
    on_message: ringmq_on_message,
    user: *mut c_void,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let on_message = callback(on_message, "on_message")?;
            let (broker, filter) = (handle::hold(broker)?, filter.get("filter")?);
            for report in broker.with(|broker| Ok(broker.retained(filter, wait(timeout_ms))?))? {
                on_message(user, ringmq_message::give(Source::Retained(report)).cast_const());
            }
            Ok(())
        })
    }
}

/// As if the broker had just been started: clients are disconnected, sessions end, retained messages are forgotten. What
/// this program has subscribed to stays.
///
/// # Safety
/// `broker` is NULL or a broker; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_reset(
    broker: *const ringmq_broker,
    timeout_ms: i64,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe { enter(error, || handle::hold(broker)?.with(|broker| Ok(broker.reset(wait(timeout_ms))?))) }
}

/// Lets time pass at once for sessions, messages, wills and logins of this broker, and returns when what is due has
/// happened. Clients stay connected, unless `keep_alive` says that all have been silent meanwhile.
///
/// Errors: RINGMQ_TIMEOUT, RINGMQ_STOPPED.
///
/// # Safety
/// `broker` is NULL or a broker; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_advance_clock(
    broker: *const ringmq_broker,
    by_ms: u64,
    keep_alive: bool,
    timeout_ms: i64,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let (by, timeout) = (Duration::from_millis(by_ms), wait(timeout_ms));
            handle::hold(broker)?.with(|broker| Ok(broker.advance_clock(by, keep_alive, timeout)?))
        })
    }
}

/// Hands a connected stream socket (TCP, Unix, one end of a socketpair) to a broker, which goes on with it as with one that
/// its listener of this number, from 0, has accepted: TLS or WebSocket where the listener has them, its settings and bounds.
/// On success the broker owns the descriptor and closes it in the end; otherwise it stays the caller's. It becomes
/// non-blocking, for others that share it too, and perhaps also when it is not taken.
///
/// Errors: RINGMQ_INVALID when it is no such socket or there is no such listener, RINGMQ_BUSY, RINGMQ_STOPPED.
///
/// # Safety
/// `broker` is NULL or a broker; `error` is NULL or can be written to; nobody else closes `socket`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_adopt(
    broker: *const ringmq_broker,
    socket: i32,
    listener: usize,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let broker = handle::hold(broker)?;
            if socket < 0 {
                return Err(Failure::invalid(format!("{socket} is no descriptor")));
            }
            broker.with(|broker| {
                broker.adopt(OwnedFd::from_raw_fd(socket), listener).map_err(|refused| {
                    let _ = refused.socket.into_raw_fd();
                    Failure::from(refused.reason)
                })
            })
        })
    }
}

/// Takes one more reference to a broker.
///
/// # Safety
/// `broker` is NULL or a broker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_ref(broker: *const ringmq_broker) -> ringmq_status {
    // SAFETY: the caller's.
    unsafe { enter(std::ptr::null_mut(), || handle::again(broker)) }
}

/// Gives a reference to a broker back; NULL is allowed. With the last it stops, as `ringmq_broker_stop` does.
///
/// # Safety
/// `broker` is NULL or a broker, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_broker_free(broker: *const ringmq_broker) {
    // SAFETY: the caller's.
    unsafe { handle::end(broker) };
}
