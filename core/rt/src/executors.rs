//! Threads with a glommio executor each, lent to shards one after the other. glommio leaks a descriptor per
//! executor, so an executor whose shard has left is parked and serves the next start; one that is not used
//! for ten seconds ends.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement};

use crate::limits::EXECUTOR_IDLE;
use crate::worker::panic_message;

/// Entries of each ring: how many requests glommio hands the kernel at once.
const RING_ENTRIES: usize = 1024;
/// Memory for storage that glommio registers with the kernel: its minimum, for we use none. Its default of
/// 10 MiB does not fit under the usual limit on locked memory.
const IO_MEMORY_BYTES: usize = 64 << 10;
/// How long a busy executor runs before it looks for completions.
const PREEMPT: Duration = Duration::from_micros(500);

/// What runs on an executor, until it ends; it returns what is to be done once the executor is parked.
pub(crate) type Run = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Done>>> + Send>;
pub(crate) type Done = Box<dyn FnOnce()>;

/// A use of an executor.
pub(crate) struct Job {
    pub(crate) run: Run,
    /// Called instead when the executor could not be made or has panicked.
    pub(crate) died: Box<dyn FnOnce(io::Error) + Send>,
}

/// Where one executor waits for its next job.
#[derive(Default)]
struct Berth(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    job: Option<Run>,
    died: Option<Box<dyn FnOnce(io::Error) + Send>>,
    waker: Option<Waker>,
    /// Nobody will bring a job.
    end: bool,
}

static PARKED: Mutex<Vec<Arc<Berth>>> = Mutex::new(Vec::new());

fn parked() -> MutexGuard<'static, Vec<Arc<Berth>>> {
    PARKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the executors that wait for a next use, which otherwise end after ten seconds. Returns at once.
pub fn trim() {
    for berth in std::mem::take(&mut *parked()) {
        berth.change(|waiting| waiting.end = true);
    }
}

/// Runs the job on a parked executor or on a new one.
pub(crate) fn run(job: Job) {
    let berth = parked().pop();
    if let Some(berth) = berth {
        berth.put(job);
        return;
    }
    register_membarrier();
    let berth = Arc::<Berth>::default();
    berth.put(job);
    let spawned = {
        let berth = Arc::clone(&berth);
        thread::Builder::new().name(String::from("ringmq-shard")).spawn(move || host(&berth))
    };
    if let Err(error) = spawned {
        berth.bury(error);
    }
}

/// glommio needs it before its first sleep, and the kernel takes some 10 ms for it once the process has
/// several threads, but 0.03 ms while it has one (measured on Linux 6.18).
fn register_membarrier() {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    // SAFETY: the call takes three numbers and touches no memory of ours. Where it fails, glommio finds out.
    unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) };
}

/// The life of an executor's thread.
fn host(berth: &Arc<Berth>) {
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .ring_depth(RING_ENTRIES)
            .io_memory(IO_MEMORY_BYTES)
            .preempt_timer(PREEMPT)
            .make()
            .map_err(|error| io::Error::other(error.to_string()))?;
        executor.run(serve(Arc::clone(berth)));
        Ok(())
    }));
    match lived {
        Ok(Ok(())) => (),
        Ok(Err(error)) => berth.bury(error),
        Err(panic) => berth.bury(io::Error::other(panic_message(&*panic))),
    }
}

/// One job after the other.
async fn serve(berth: Arc<Berth>) {
    while let Some(job) = next_job(&berth).await {
        let done = job().await;
        // The reactor hands the kernel what the job's sockets cancelled when they were dropped; only then is
        // everything given back.
        glommio::timer::sleep(Duration::from_millis(1)).await;
        berth.change(|waiting| waiting.died = None);
        parked().push(Arc::clone(&berth));
        done();
    }
}

async fn next_job(berth: &Arc<Berth>) -> Option<Run> {
    let mut idle = Timer::new(Duration::from_millis(EXECUTOR_IDLE));
    let mut may_end = true;
    poll_fn(|cx| {
        if may_end && Pin::new(&mut idle).poll(cx).is_ready() {
            // Whoever took it out of the list meanwhile brings a job, or has ended it.
            may_end = false;
            let mut parked = parked();
            if let Some(index) = parked.iter().position(|other| Arc::ptr_eq(other, berth)) {
                parked.swap_remove(index);
                return Poll::Ready(None);
            }
        }
        berth.poll_job(cx)
    })
    .await
}

impl Berth {
    fn put(&self, job: Job) {
        self.change(|waiting| {
            waiting.job = Some(job.run);
            waiting.died = Some(job.died);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.lock();
        change(&mut waiting);
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }

    fn poll_job(&self, cx: &Context<'_>) -> Poll<Option<Run>> {
        let mut waiting = self.lock();
        if let Some(job) = waiting.job.take() {
            waiting.waker = None;
            return Poll::Ready(Some(job));
        }
        if waiting.end {
            return Poll::Ready(None);
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The executor is no more: tells whoever lent it.
    fn bury(&self, error: io::Error) {
        let died = {
            let mut waiting = self.lock();
            waiting.job = None;
            waiting.died.take()
        };
        if let Some(died) = died {
            died(error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
