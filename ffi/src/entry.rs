//! The way in and out of every function.

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::error::{Failure, ringmq_error, ringmq_status};
use crate::handle;

/// The longest wait: ten years.
const WAIT_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Does what a function is for, and tells what came of it. `error` gets the words of a failure where it is not NULL, and is
/// left alone otherwise.
///
/// # Safety
/// `error` is NULL or can be written to.
pub(crate) unsafe fn enter(
    error: *mut *mut ringmq_error,
    body: impl FnOnce() -> Result<(), Failure>,
) -> ringmq_status {
    let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = format!("libringmq failed inside: {}", text.unwrap_or("nothing is known"));
        Err(Failure::new(ringmq_status::RINGMQ_PANIC, text))
    });
    let Err(failure) = outcome else { return ringmq_status::RINGMQ_OK };
    let status = failure.status;
    if !error.is_null() {
        // SAFETY: the caller's.
        unsafe { error.write(handle::give(failure.into())) };
    }
    status
}

/// Writes an output.
///
/// # Safety
/// `place` is NULL or can be written to.
pub(crate) unsafe fn put<T>(place: *mut T, value: T, name: &str) -> Result<(), Failure> {
    check_place(place, name)?;
    // SAFETY: the caller's, and not NULL.
    unsafe { place.write(value) };
    Ok(())
}

/// Whether an output can be written, before anything is done.
pub(crate) fn check_place<T>(place: *const T, name: &str) -> Result<(), Failure> {
    match place.is_null() {
        true => Err(Failure::new(ringmq_status::RINGMQ_NULL, format!("{name} is NULL"))),
        false => Ok(()),
    }
}

/// Copies a text into the caller's buffer, with a zero behind it.
///
/// # Safety
/// `buffer` has `capacity` bytes; `length` is NULL or can be written to.
pub(crate) unsafe fn copy_text(
    text: &str,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> Result<(), Failure> {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        if !length.is_null() {
            length.write(text.len());
        }
        if text.len() >= capacity {
            return Err(Failure::invalid(format!("the text needs {} bytes", text.len() + 1)));
        }
        check_place(buffer, "buffer")?;
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, text.len());
        buffer.add(text.len()).write(0);
    }
    Ok(())
}

/// How long to wait: milliseconds, of which less than none is for ever.
pub(crate) fn wait(milliseconds: i64) -> Duration {
    u64::try_from(milliseconds).map_or(WAIT_MAX, Duration::from_millis).min(WAIT_MAX)
}

/// A struct that may grow: its first field says how much of it the caller has. What is beyond has its default.
pub(crate) trait Growing: Copy {
    /// The size of the first version that there was.
    const LEAST: usize;
    /// All defaults.
    fn defaults() -> Self;
}

/// The struct behind a pointer, as far as the caller knows it.
///
/// # Safety
/// `place` is NULL or such a struct, whose `struct_size` is true.
pub(crate) unsafe fn read<T: Growing>(place: *const T, name: &str) -> Result<T, Failure> {
    check_place(place, name)?;
    // SAFETY: every such struct begins with its size.
    let size = unsafe { place.cast::<usize>().read_unaligned() };
    if size < T::LEAST || size > size_of::<T>() {
        let text = format!("struct_size of {name} is {size}: initialise it with its macro");
        return Err(Failure::new(ringmq_status::RINGMQ_STRUCT_SIZE, text));
    }
    let mut value = T::defaults();
    // SAFETY: the caller has so many bytes, and they are not more than ours; all fields take every value.
    unsafe { std::ptr::copy_nonoverlapping(place.cast::<u8>(), (&raw mut value).cast::<u8>(), size) };
    Ok(value)
}
