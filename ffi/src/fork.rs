//! A process that forks: threads do not survive it, so what the parent made says so in the child instead of hanging.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::log;

/// Forks that lie between this process and the one that used the library first.
static FORKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn before() {
    log::hold();
}

extern "C" fn in_the_parent() {
    log::let_go();
}

extern "C" fn in_the_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    log::let_go();
}

/// How many forks ago the library was used first.
pub(crate) fn forks() -> u64 {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: the functions take and release a lock and add to an atomic, which is allowed where they are called.
        unsafe { libc::pthread_atfork(Some(before), Some(in_the_parent), Some(in_the_child)) };
    });
    FORKS.load(Ordering::Relaxed)
}
