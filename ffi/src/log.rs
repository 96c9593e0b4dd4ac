//! What brokers and clients have to say. Lines go through a bounded queue to a thread of their own, because a program's
//! function may take its time and a broker's core has none.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, JoinHandle};

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::entry::enter;
use crate::error::{Failure, ringmq_error, ringmq_status};
use crate::fork::forks;
use crate::text::ringmq_str;

/// Lines that may wait for the program; more are counted and told in one line.
const LINES_MAX: usize = 10_000;

/// The broker itself has a problem.
pub const RINGMQ_LOG_ERROR: u32 = 1;
/// A client or peer did something wrong, or something was dropped.
pub const RINGMQ_LOG_WARNING: u32 = 2;
/// Per connection.
pub const RINGMQ_LOG_INFO: u32 = 3;
/// Per packet.
pub const RINGMQ_LOG_DEBUG: u32 = 4;

/// Is told a line, without a line end. It runs on a thread of the library's that does nothing else, and may take its time;
/// of more than 10,000 lines that wait it is told how many were lost.
pub type ringmq_on_log = Option<unsafe extern "C" fn(user: *mut c_void, level: u32, line: ringmq_str)>;

/// The loudest number of a line that somebody wants; nobody any when 0.
static LEVEL: AtomicU32 = AtomicU32::new(0);
static SPEAKER: Mutex<Option<Speaker>> = Mutex::new(None);

struct Speaker {
    queue: Arc<Queue>,
    thread: JoinHandle<()>,
    forks: u64,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<(u32, String)>,
    lost: u64,
    closed: bool,
}

struct Callback {
    function: unsafe extern "C" fn(*mut c_void, u32, ringmq_str),
    user: *mut c_void,
}

// SAFETY: the program says that its function may be called on a thread of the library's.
unsafe impl Send for Callback {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn put(&self, level: u32, line: String) {
        let mut waiting = lock(&self.waiting);
        match waiting.lines.len() < LINES_MAX {
            true => waiting.lines.push_back((level, line)),
            false => waiting.lost += 1,
        }
        drop(waiting);
        self.arrived.notify_one();
    }
    fn close(&self) {
        lock(&self.waiting).closed = true;
        self.arrived.notify_one();
    }
    fn tell(&self, callback: &Callback) {
        let tell = |level, line: &str| {
            // SAFETY: the program's function, with what it asked for.
            unsafe { (callback.function)(callback.user, level, ringmq_str::new(line)) };
        };
        let mut waiting = lock(&self.waiting);
        loop {
            let (lines, lost) = (std::mem::take(&mut waiting.lines), std::mem::take(&mut waiting.lost));
            let closed = waiting.closed;
            drop(waiting);
            lines.iter().for_each(|(level, line)| tell(*level, line));
            if lost > 0 {
                let line = format!("{lost} lines were lost, because more came than could be told");
                tell(RINGMQ_LOG_WARNING, &line);
            }
            if closed {
                return;
            }
            waiting = lock(&self.waiting);
            while waiting.lines.is_empty() && !waiting.closed {
                waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Has lines up to this level, RINGMQ_LOG_ERROR and so on, told to `on_log`, instead of whoever was told before. With NULL
/// nobody is told any more. When it returns the former function has had its last call, unless this was called by it.
///
/// Errors: RINGMQ_INVALID for a level that there is not, RINGMQ_SYSTEM when there is no thread.
///
/// # Safety
/// `on_log` may be called with `user` until another takes its place; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_log_set(
    level: u32,
    on_log: ringmq_on_log,
    user: *mut c_void,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's.
    unsafe {
        enter(error, || {
            if on_log.is_some() && !(RINGMQ_LOG_ERROR..=RINGMQ_LOG_DEBUG).contains(&level) {
                return Err(Failure::invalid(format!("there is no level {level}")));
            }
            let speaker = on_log.map(|function| speaker(Callback { function, user })).transpose()?;
            LEVEL.store(if speaker.is_some() { level } else { 0 }, Ordering::Relaxed);
            let former = std::mem::replace(&mut *lock(&SPEAKER), speaker);
            if let Some(Speaker { queue, thread, forks: made }) = former {
                if made != forks() {
                    // Its thread is in the parent of this process.
                    std::mem::forget((queue, thread));
                    return Ok(());
                }
                queue.close();
                if thread.thread().id() != thread::current().id() {
                    // One that panicked has told its last.
                    let _ = thread.join();
                }
            }
            Ok(())
        })
    }
}

fn speaker(callback: Callback) -> Result<Speaker, Failure> {
    static INSTALLED: Once = Once::new();
    // This copy of the library has no other subscriber.
    INSTALLED.call_once(|| {
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Lines));
    });
    let queue = Arc::<Queue>::default();
    let of_thread = Arc::clone(&queue);
    let thread =
        thread::Builder::new().name("ringmq-log".to_owned()).spawn(move || of_thread.tell(&callback));
    let thread =
        thread.map_err(|error| Failure::new(ringmq_status::RINGMQ_SYSTEM, format!("no thread: {error}")))?;
    Ok(Speaker { queue, thread, forks: forks() })
}

thread_local! {
    /// Who speaks, while this thread forks, so that no other thread has the lock then: a child would wait for it.
    static FORKING: RefCell<Option<MutexGuard<'static, Option<Speaker>>>> = const { RefCell::new(None) };
}

/// Before a fork, in its thread.
pub(crate) fn hold() {
    let guard = lock(&SPEAKER);
    FORKING.with(|forking| *forking.borrow_mut() = Some(guard));
}

/// Behind it, in the parent and in the child.
pub(crate) fn let_go() {
    FORKING.with(|forking| drop(forking.borrow_mut().take()));
}

/// Makes lines of events.
struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The level changes, so every line asks.
        if metadata.target().starts_with("ringmq") { Interest::sometimes() } else { Interest::never() }
    }
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        level(metadata) <= LEVEL.load(Ordering::Relaxed) && metadata.target().starts_with("ringmq")
    }
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        // The queue of a parent has nobody who reads it, and perhaps a lock that nobody gives back.
        let ours = |speaker: &&Speaker| speaker.forks == forks();
        let queue = lock(&SPEAKER).as_ref().filter(ours).map(|speaker| Arc::clone(&speaker.queue));
        if let Some(queue) = queue {
            queue.put(level(event.metadata()), text.0);
        }
    }
}

fn level(metadata: &Metadata<'_>) -> u32 {
    match *metadata.level() {
        Level::ERROR => RINGMQ_LOG_ERROR,
        Level::WARN => RINGMQ_LOG_WARNING,
        Level::INFO => RINGMQ_LOG_INFO,
        _ => RINGMQ_LOG_DEBUG,
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
