//! A process that forks: threads do not survive it, so what the parent made says so in the child instead of hanging.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// Forks that lie between this process and the one that used the library first.
static FORKS: AtomicU64 = AtomicU64::new(0);

extern "C" fn in_the_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// How many forks ago the library was used first.
pub(crate) fn forks() -> u64 {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: the function does nothing but an atomic addition, which a child of a fork may.
        unsafe { libc::pthread_atfork(None, None, Some(in_the_child)) };
    });
    FORKS.load(Ordering::Relaxed)
}
