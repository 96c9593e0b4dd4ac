//! The threads this process has.

use std::fs;

/// The kernel's mark (`PF_EXITING`) in the ninth field of `stat` on a thread that is ending: a join returns after the
/// mark is set and before the thread leaves the list.
const EXITING: u64 = 0x4;

/// Names of the threads of this process that are not ending.
pub fn thread_names() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    // One that ended meanwhile has nothing to read.
    tasks.filter_map(|task| name(&fs::read_to_string(task.path().join("stat")).ok()?)).collect()
}

/// The name in `pid (name) state ppid pgrp session tty tpgid flags ...`, of a thread that is not ending.
fn name(stat: &str) -> Option<String> {
    let (start, rest) = stat.rsplit_once(") ")?;
    let flags: u64 = rest.split(' ').nth(6)?.parse().ok()?;
    let name = start.split_once('(')?.1;
    (flags & EXITING == 0).then(|| name.to_owned())
}
