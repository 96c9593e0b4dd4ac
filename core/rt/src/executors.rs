//! Threads with a glommio executor each, lent to shards one after the other. glommio leaks a descriptor per
//! executor, so an executor whose shard has left is parked and serves the next start; one that is not used
//! for ten seconds ends.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use crate::limits::EXECUTOR_IDLE;
use crate::worker::panic_message;

/// Entries of each ring: how many requests glommio hands the kernel at once.
const RING_ENTRIES: usize = 1024;
/// Memory for storage that glommio registers with the kernel: its minimum, for we use none. Its default of
/// 10 MiB does not fit under the usual limit on locked memory.
const IO_MEMORY_BYTES: usize = 64 << 10;
/// After how long glommio interrupts its tasks to look for completions. Ours interrupt themselves, and
/// glommio goes to sleep over runnable tasks when this fires between two of its steps, so: never.
const PREEMPT: Duration = Duration::from_secs(24 * 3600);

/// What runs on an executor, until it ends; it returns what is to be done once the executor is parked.
pub(crate) type Run = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Done>>> + Send>;
pub(crate) type Done = Box<dyn FnOnce()>;
/// What is done instead when the executor could not be made or has panicked.
pub(crate) type Died = Box<dyn FnOnce(io::Error) + Send>;

/// A use of an executor.
pub(crate) struct Job {
    pub(crate) run: Run,
    pub(crate) died: Died,
}

/// Where one executor's thread waits for its next job.
#[derive(Default)]
struct Berth {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    job: Option<Job>,
    /// Nobody will bring a job.
    end: bool,
}

/// Who waits for a next use, in the process that this says.
struct Parked {
    process: u32,
    berths: Vec<Arc<Berth>>,
}

static PARKED: Mutex<Parked> = Mutex::new(Parked { process: 0, berths: Vec::new() });

/// Those of this process: in the child of a fork nobody is at its parent's.
fn parked() -> MutexGuard<'static, Parked> {
    let mut parked = PARKED.lock().unwrap_or_else(PoisonError::into_inner);
    if parked.process != std::process::id() {
        *parked = Parked { process: std::process::id(), berths: Vec::new() };
    }
    parked
}

/// Ends the executors that wait for a next use, which otherwise end after ten seconds. Returns at once.
pub fn trim() {
    let berths = std::mem::take(&mut parked().berths);
    berths.iter().for_each(|berth| berth.change(|waiting| waiting.end = true));
}

/// How many executors must be made if so many are wanted.
pub(crate) fn to_be_made(wanted: usize) -> usize {
    wanted.saturating_sub(parked().berths.len())
}

/// Runs the job on a parked executor or on a new one.
pub(crate) fn run(job: Job) {
    let berth = parked().berths.pop();
    if let Some(berth) = berth {
        return berth.change(|waiting| waiting.job = Some(job));
    }
    register_membarrier();
    // Shared with the thread until it has taken it, so that it is not lost when there is no thread.
    let job = Arc::new(Mutex::new(Some(job)));
    let taken = Arc::clone(&job);
    let take = |job: &Mutex<Option<Job>>| job.lock().unwrap_or_else(PoisonError::into_inner).take();
    let spawned = thread::Builder::new().name(String::from("ringmq-shard")).spawn(move || {
        if let Some(job) = take(&taken) {
            host(job);
        }
    });
    if let Err(error) = spawned
        && let Some(job) = take(&job)
    {
        (job.died)(error);
    }
}

/// glommio needs it before its first sleep, and the kernel takes some 10 ms for it once the process has
/// several threads, but 0.03 ms while it has one (measured on Linux 6.18).
fn register_membarrier() {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    // SAFETY: the call takes three numbers and touches no memory of ours. Where it fails, glommio finds out.
    unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) };
}

/// The life of an executor's thread: one job after the other.
fn host(first: Job) {
    let executor = match guarded(executor) {
        Ok(executor) => executor,
        Err(error) => return (first.died)(error),
    };
    let berth = Arc::<Berth>::default();
    let mut next = Some(first);
    while let Some(job) = next {
        let done = guarded(|| Ok(executor.run((job.run)())));
        match done {
            Ok(done) => {
                parked().berths.push(Arc::clone(&berth));
                done();
            }
            // What a panic leaves of an executor is nothing to go on with.
            Err(error) => return (job.died)(error),
        }
        next = berth.wait();
    }
}

fn executor() -> io::Result<LocalExecutor> {
    LocalExecutorBuilder::new(Placement::Unbound)
        .ring_depth(RING_ENTRIES)
        .io_memory(IO_MEMORY_BYTES)
        .preempt_timer(PREEMPT)
        .make()
        .map_err(|error| io::Error::other(error.to_string()))
}

/// Turns a panic into an error.
fn guarded<T>(act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| Err(io::Error::other(panic_message(panic))))
}

impl Berth {
    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// The next job, or nothing when the thread is to end.
    fn wait(self: &Arc<Self>) -> Option<Job> {
        let until = Instant::now() + Duration::from_millis(EXECUTOR_IDLE);
        let mut may_leave = true;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.job.is_none() && !waiting.end {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() && may_leave {
                // Whoever took it out of the list meanwhile brings a job, or its end. The list is never
                // locked by someone who waits for this berth.
                if self.leave_list() {
                    return None;
                }
                may_leave = false;
            }
            let patience = if may_leave { left } else { Duration::from_millis(EXECUTOR_IDLE) };
            let waited = self.changed.wait_timeout(waiting, patience);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.job.take()
    }

    fn leave_list(self: &Arc<Self>) -> bool {
        let berths = &mut parked().berths;
        let place = berths.iter().position(|other| Arc::ptr_eq(other, self));
        place.map(|place| berths.swap_remove(place)).is_some()
    }
}
