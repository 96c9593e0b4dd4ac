//! Whether io_uring works here, found out by ourselves and before glommio does: it panics with a misleading
//! message, or ends the process, where we can say the truth and go on with epoll.

use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::thread;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io_uring::{
    IoringFeatureFlags, IoringOp, IoringOpFlags, IoringRegisterOp, io_uring_params, io_uring_probe,
    io_uring_probe_op, io_uring_register, io_uring_setup,
};
use rustix::process::{Resource, getrlimit};

use crate::error::StartError;
use crate::limits::EXECUTOR_MEMLOCK_BYTES;
use crate::{Driver, DriverChoice};

/// What our own ring needs beyond those: waiting with a timeout (Linux 5.11), and polls that tell more than once,
/// which came with the last of these (5.13).
const NEEDED_FEATURES: IoringFeatureFlags =
    IoringFeatureFlags::EXT_ARG.union(IoringFeatureFlags::NODROP).union(IoringFeatureFlags::RSRC_TAGS);

/// The operations glommio asks for when its first executor starts; our own polls are among them.
const NEEDED: [IoringOp; 23] = [
    IoringOp::Nop,
    IoringOp::Readv,
    IoringOp::Writev,
    IoringOp::Fsync,
    IoringOp::ReadFixed,
    IoringOp::WriteFixed,
    IoringOp::PollAdd,
    IoringOp::PollRemove,
    IoringOp::Sendmsg,
    IoringOp::Recvmsg,
    IoringOp::Timeout,
    IoringOp::TimeoutRemove,
    IoringOp::Accept,
    IoringOp::LinkTimeout,
    IoringOp::Connect,
    IoringOp::Fallocate,
    IoringOp::Openat,
    IoringOp::Close,
    IoringOp::Statx,
    IoringOp::Read,
    IoringOp::Write,
    IoringOp::Send,
    IoringOp::Recv,
];

/// Slots of the answer about operations; more than there are today.
const PROBE_OPS: usize = 64;

/// Chooses a driver and says why, in one line.
pub(crate) fn choose(choice: DriverChoice) -> Result<(Driver, String), StartError> {
    match choice {
        DriverChoice::Epoll => Ok((Driver::Epoll, String::from("epoll: asked for"))),
        DriverChoice::Uring => {
            uring_works_aside().map(|()| (Driver::Uring, String::from("io_uring: asked for")))
        }
        DriverChoice::Auto => Ok(match uring_works_aside() {
            Ok(()) => (Driver::Uring, String::from("io_uring: available")),
            Err(StartError::Uring { reason }) => {
                (Driver::Epoll, format!("epoll: io_uring cannot be used, {reason}"))
            }
            Err(error) => (Driver::Epoll, format!("epoll: {error}")),
        }),
    }
}

/// On a thread of its own: a moment after a ring was closed the kernel interrupts the thread that made it, and the
/// program's would see its `epoll_wait` end with EINTR.
fn uring_works_aside() -> Result<(), StartError> {
    let asked = thread::Builder::new().spawn(uring_works);
    let asked = asked.map_err(|error| StartError::System { doing: "starting a thread", error })?;
    asked.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn uring_works() -> Result<(), StartError> {
    let (ring, features) = ring().map_err(|error| StartError::Uring { reason: reason(error) })?;
    if !features.contains(NEEDED_FEATURES) {
        return Err(StartError::Uring { reason: String::from("this kernel is older than Linux 5.13") });
    }
    if let Some(op) = missing_operation(&ring)? {
        return Err(StartError::Uring { reason: format!("this kernel lacks the operation {op:?}") });
    }
    memlock_suffices(getrlimit(Resource::Memlock).current)
}

fn memlock_suffices(allowed: Option<u64>) -> Result<(), StartError> {
    match allowed {
        Some(allowed) if allowed < EXECUTOR_MEMLOCK_BYTES => {
            Err(StartError::Memlock { needed: EXECUTOR_MEMLOCK_BYTES, allowed })
        }
        _ => Ok(()),
    }
}

fn ring() -> rustix::io::Result<(OwnedFd, IoringFeatureFlags)> {
    let mut params = io_uring_params::default();
    // SAFETY: the parameters are a valid struct without flags, which the kernel only fills in; the ring is
    // never mapped or entered, only asked and closed.
    let ring = unsafe { io_uring_setup(2, &mut params) }?;
    Ok((ring, params.features))
}

fn reason(error: rustix::io::Errno) -> String {
    use rustix::io::Errno;
    let why = match error {
        Errno::NOSYS => "the kernel has none",
        Errno::PERM | Errno::ACCESS => {
            "it is forbidden here (a container's seccomp profile, or the sysctl kernel.io_uring_disabled)"
        }
        Errno::NOMEM => "the limit on locked memory is used up (`ulimit -l`)",
        Errno::MFILE | Errno::NFILE => "no descriptor is left (`ulimit -n`)",
        _ => "the kernel refused it",
    };
    format!("{why}: {error}")
}

/// Whether so many descriptors can be had: opens them and closes them again. glommio does not say what is
/// wrong when it has too few, it panics and blames the kernel.
pub(crate) fn descriptors_suffice(count: usize) -> Result<(), StartError> {
    let opened: Result<Vec<OwnedFd>, _> = (0..count).map(|_| eventfd(0, EventfdFlags::CLOEXEC)).collect();
    opened.map(drop).map_err(|error| StartError::System {
        doing: "opening the descriptors that the shards need",
        error: error.into(),
    })
}

/// The first needed operation that the kernel does not have.
fn missing_operation(ring: &OwnedFd) -> Result<Option<IoringOp>, StartError> {
    #[repr(C)]
    struct Probe {
        head: io_uring_probe,
        ops: [io_uring_probe_op; PROBE_OPS],
    }
    let mut probe = Probe { head: Default::default(), ops: [Default::default(); PROBE_OPS] };
    // SAFETY: the kernel fills a head and at most PROBE_OPS entries behind it, which is what stands here in C
    // layout; `probe` outlives the call and the ring is an io_uring.
    unsafe {
        io_uring_register(
            ring,
            IoringRegisterOp::RegisterProbe,
            (&raw mut probe).cast_const().cast(),
            PROBE_OPS as u32,
        )
    }
    .map_err(|error| StartError::Uring { reason: format!("its operations cannot be asked for: {error}") })?;
    let has = |op: IoringOp| {
        let entry = probe.ops.get(op as usize);
        entry.is_some_and(|entry| entry.flags.contains(IoringOpFlags::SUPPORTED))
    };
    Ok(NEEDED.into_iter().find(|&op| !has(op)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_memlock_limit_says_what_to_do() {
        assert!(memlock_suffices(None).is_ok());
        assert!(memlock_suffices(Some(EXECUTOR_MEMLOCK_BYTES)).is_ok());
        let error = memlock_suffices(Some(64 << 10)).unwrap_err().to_string();
        for part in ["512 KiB", "64 KiB", "ulimit -l", "LimitMEMLOCK", "--driver epoll"] {
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
    }

    #[test]
    fn a_choice_comes_with_its_reason() {
        let (driver, reason) = choose(DriverChoice::Epoll).unwrap();
        assert_eq!((driver, reason.as_str()), (Driver::Epoll, "epoll: asked for"));
        let (driver, reason) = choose(DriverChoice::Auto).unwrap();
        assert!(
            reason.starts_with(if driver == Driver::Uring { "io_uring: " } else { "epoll: " }),
            "{reason}"
        );
    }
}
