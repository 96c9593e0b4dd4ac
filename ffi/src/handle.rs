//! Objects of the library in the hands of a program: counted, and checked as far as can be.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::{Failure, ringmq_status};
use crate::fork::forks;

/// A kind of object.
pub(crate) trait Object: Sized {
    /// What C calls it.
    const NAME: &'static str;
    /// Where it was made.
    fn origin(&self) -> Origin;
}

/// The process that made an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin(u64);

impl Origin {
    pub(crate) fn here() -> Self {
        Self(forks())
    }
}

/// Gives an object out, with one reference.
pub(crate) fn give<T: Object>(object: T) -> *mut T {
    let pointer = Arc::into_raw(Arc::new(object)).cast_mut();
    registry::note(pointer, 1);
    pointer
}

/// The object behind a pointer, as long as the call goes on, whatever other threads free.
///
/// # Safety
/// `pointer` is NULL or an object of which the caller has a reference.
pub(crate) unsafe fn hold<T: Object>(pointer: *const T) -> Result<Arc<T>, Failure> {
    if pointer.is_null() {
        return Err(Failure::new(ringmq_status::RINGMQ_NULL, format!("the {} is NULL", T::NAME)));
    }
    registry::check(pointer)?;
    // SAFETY: the caller's; the reference that is made here is given back when what is returned is dropped.
    let object = unsafe {
        Arc::increment_strong_count(pointer);
        Arc::from_raw(pointer)
    };
    if object.origin() != Origin::here() {
        let text = format!("the {} was made before a fork: make another one in the child", T::NAME);
        return Err(Failure::new(ringmq_status::RINGMQ_FORKED, text));
    }
    Ok(object)
}

/// One more reference to an object.
///
/// # Safety
/// As for [`hold`].
pub(crate) unsafe fn again<T: Object>(pointer: *const T) -> Result<(), Failure> {
    // SAFETY: the caller's.
    let object = unsafe { hold(pointer) }?;
    let _ = Arc::into_raw(object);
    registry::note(pointer, 1);
    Ok(())
}

/// Gives one reference back; NULL is allowed. In the child of a fork the object is left as it is.
///
/// # Safety
/// `pointer` is NULL or an object of which the caller has a reference, which it does not use any more.
pub(crate) unsafe fn end<T: Object>(pointer: *const T) {
    if pointer.is_null() || registry::check(pointer).is_err() {
        return;
    }
    registry::note(pointer, -1);
    // SAFETY: the caller's.
    let object = unsafe { Arc::from_raw(pointer) };
    if object.origin() != Origin::here() {
        let _ = Arc::into_raw(object);
        return;
    }
    // What ends may fail inside, and that must not pass the border.
    let ended = catch_unwind(AssertUnwindSafe(|| drop(object)));
    ended.unwrap_or_else(std::mem::forget);
}

/// Which objects there are, so that a pointer to one that is gone is seen. Costs a lock for each call.
#[cfg(debug_assertions)]
mod registry {
    use std::collections::HashMap;
    use std::sync::{Mutex, PoisonError};

    use super::{Failure, Object, ringmq_status};

    static LIVE: Mutex<Option<HashMap<usize, (&'static str, isize)>>> = Mutex::new(None);

    /// What an object is found by. Not its address as it is: what looks for leaks would find it here, and take an object
    /// that a program has forgotten for one that it still has.
    fn key<T>(pointer: *const T) -> usize {
        !pointer.addr()
    }

    pub(super) fn note<T: Object>(pointer: *const T, by: isize) {
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        let live = live.get_or_insert_default();
        let entry = live.entry(key(pointer)).or_insert((T::NAME, 0));
        entry.1 += by;
        if entry.1 <= 0 {
            live.remove(&key(pointer));
        }
    }

    pub(super) fn check<T: Object>(pointer: *const T) -> Result<(), Failure> {
        let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        match live.as_ref().and_then(|live| live.get(&key(pointer))) {
            Some((name, _)) if *name == T::NAME => Ok(()),
            other => {
                let found = other.map_or("nothing that is still there", |(name, _)| name);
                let text = format!("this is no {}, but {found}", T::NAME);
                Err(Failure::new(ringmq_status::RINGMQ_HANDLE, text))
            }
        }
    }
}

#[cfg(not(debug_assertions))]
mod registry {
    use super::{Failure, Object};

    pub(super) const fn note<T: Object>(_: *const T, _: isize) {}

    pub(super) const fn check<T: Object>(_: *const T) -> Result<(), Failure> {
        Ok(())
    }
}
