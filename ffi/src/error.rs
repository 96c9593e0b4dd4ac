//! What comes of a call: a number, and where more is to be said, an object with words.

use std::ffi::c_char;

use crate::handle::{self, Object, Origin};
use crate::text::ringmq_str;

/// What came of a call. Numbers are never given another meaning, and new ones may come: take what is not known for a
/// failure.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ringmq_status {
    /// It was done.
    RINGMQ_OK = 0,
    /// Nothing came in time, or nothing is there.
    RINGMQ_TIMEOUT = 1,
    /// The object has been stopped or closed, or its broker has.
    RINGMQ_STOPPED = 2,
    /// There is no such thing.
    RINGMQ_ABSENT = 3,
    /// A shard of the broker has panicked, and the broker has ended; its log says why.
    RINGMQ_FAILED = 4,
    /// A pointer is NULL that must not be.
    RINGMQ_NULL = 10,
    /// A value is outside what is allowed.
    RINGMQ_INVALID = 11,
    /// The `struct_size` of a struct is none that this library knows.
    RINGMQ_STRUCT_SIZE = 12,
    /// The pointer is none to an object of this kind that is still there; debug builds alone see that.
    RINGMQ_HANDLE = 13,
    /// The object was made before a fork, by the parent of this process.
    RINGMQ_FORKED = 14,
    /// The library has failed inside; a bug, and the object may be of no more use.
    RINGMQ_PANIC = 15,
    /// The system refused something, such as a thread or a descriptor.
    RINGMQ_SYSTEM = 16,
    /// A configuration is wrong.
    RINGMQ_CONFIG = 20,
    /// A broker could not start: the machine does not give what it needs.
    RINGMQ_START = 21,
    /// The queue of a session that matches stayed full.
    RINGMQ_QUEUE_FULL = 30,
    /// More is asked for than the broker or client keeps.
    RINGMQ_QUOTA = 31,
    /// Who decides said no.
    RINGMQ_NOT_AUTHORIZED = 32,
    /// Topic, filter or properties are not what MQTT allows.
    RINGMQ_NOT_MQTT = 33,
    /// The message is larger than may be.
    RINGMQ_TOO_LARGE = 34,
    /// Too many requests wait; try later.
    RINGMQ_BUSY = 35,
    /// The other side refused; `ringmq_error_reason_code` says why.
    RINGMQ_REFUSED = 36,
    /// There is no connection, or it could not be made.
    RINGMQ_NOT_CONNECTED = 40,
}

/// What went wrong. Whoever gets one owns it.
pub struct ringmq_error {
    status: ringmq_status,
    message: String,
    reason: i32,
}

/// What went wrong, inside.
pub(crate) struct Failure {
    pub(crate) status: ringmq_status,
    pub(crate) message: String,
    pub(crate) reason: Option<u8>,
}

impl Failure {
    pub(crate) fn new(status: ringmq_status, message: impl ToString) -> Self {
        Self { status, message: message.to_string(), reason: None }
    }
    pub(crate) fn invalid(message: impl ToString) -> Self {
        Self::new(ringmq_status::RINGMQ_INVALID, message)
    }
    pub(crate) fn stopped() -> Self {
        Self::new(ringmq_status::RINGMQ_STOPPED, "it has been stopped")
    }
    pub(crate) fn timeout() -> Self {
        Self::new(ringmq_status::RINGMQ_TIMEOUT, "nothing came in time")
    }
}

impl From<Failure> for ringmq_error {
    fn from(failure: Failure) -> Self {
        let Failure { status, mut message, reason } = failure;
        message.push('\0');
        Self { status, message, reason: reason.map_or(-1, i32::from) }
    }
}

impl Object for ringmq_error {
    const NAME: &'static str = "error";
    /// It has no threads behind it, and can be read in the child of a fork as well.
    fn origin(&self) -> Origin {
        Origin::here()
    }
}

/// Reads an error. `absent` is said for NULL, and `gone` for one that was freed, where that is seen.
///
/// # Safety
/// As for `ringmq_error_status`.
unsafe fn look<R>(
    error: *const ringmq_error,
    absent: R,
    gone: R,
    read: impl FnOnce(&ringmq_error) -> R,
) -> R {
    // SAFETY: the caller's.
    match unsafe { handle::hold(error) } {
        Ok(error) => read(&error),
        Err(failure) if failure.status == ringmq_status::RINGMQ_NULL => absent,
        Err(_) => gone,
    }
}

/// What went wrong as a number; RINGMQ_OK for NULL.
///
/// # Safety
/// `error` is NULL or an error that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_error_status(error: *const ringmq_error) -> ringmq_status {
    // SAFETY: the caller's.
    unsafe { look(error, ringmq_status::RINGMQ_OK, ringmq_status::RINGMQ_HANDLE, |error| error.status) }
}

/// What went wrong in words, as a text that ends with a zero. It lives as long as the error; for NULL it is empty.
///
/// # Safety
/// As for `ringmq_error_status`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_error_message(error: *const ringmq_error) -> *const c_char {
    // SAFETY: the caller's.
    unsafe {
        look(error, c"".as_ptr(), c"this error was freed".as_ptr(), |error| error.message.as_ptr().cast())
    }
}

/// The reason code of MQTT 5.0 (2.4) with which the other side refused; -1 where there is none.
///
/// # Safety
/// As for `ringmq_error_status`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_error_reason_code(error: *const ringmq_error) -> i32 {
    // SAFETY: the caller's.
    unsafe { look(error, -1, -1, |error| error.reason) }
}

/// Frees an error; NULL is allowed.
///
/// # Safety
/// `error` is NULL or an error that was not freed, and nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_error_free(error: *mut ringmq_error) {
    // SAFETY: the caller's.
    unsafe { handle::end(error) };
}

/// The name of a status, such as "RINGMQ_TIMEOUT"; it is the library's.
#[unsafe(no_mangle)]
pub extern "C" fn ringmq_status_name(status: i32) -> ringmq_str {
    let name = ALL.iter().find(|(number, _)| *number as i32 == status).map_or("unknown", |(_, name)| name);
    ringmq_str::new(name)
}

macro_rules! names {
    ($($name:ident),* $(,)?) => { [$((ringmq_status::$name, stringify!($name))),*] };
}

const ALL: [(ringmq_status, &str); 22] = names![
    RINGMQ_OK,
    RINGMQ_TIMEOUT,
    RINGMQ_STOPPED,
    RINGMQ_ABSENT,
    RINGMQ_FAILED,
    RINGMQ_NULL,
    RINGMQ_INVALID,
    RINGMQ_STRUCT_SIZE,
    RINGMQ_HANDLE,
    RINGMQ_FORKED,
    RINGMQ_PANIC,
    RINGMQ_SYSTEM,
    RINGMQ_CONFIG,
    RINGMQ_START,
    RINGMQ_QUEUE_FULL,
    RINGMQ_QUOTA,
    RINGMQ_NOT_AUTHORIZED,
    RINGMQ_NOT_MQTT,
    RINGMQ_TOO_LARGE,
    RINGMQ_BUSY,
    RINGMQ_REFUSED,
    RINGMQ_NOT_CONNECTED,
];
