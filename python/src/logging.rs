//! The broker's log lines on their way into Python's `logging`: through a bounded queue and a thread of its own, so that
//! no core of a broker waits for the interpreter. The thread ends with the last broker or client.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// Lines that may wait for the interpreter; more are counted and told in one line.
const LINES_MAX: usize = 10_000;
/// How long the last broker waits for its lines to be told.
const LAST_LINES: Duration = Duration::from_secs(2);
/// Lines given to the interpreter at one go.
const BATCH_MAX: usize = 100;

/// Levels of Python's `logging`.
const DEBUG: u8 = 10;
const INFO: u8 = 20;
const WARNING: u8 = 30;
const ERROR: u8 = 40;

/// The lowest level that somebody wants.
static LEVEL: AtomicU8 = AtomicU8::new(WARNING);
static LOST: AtomicU64 = AtomicU64::new(0);
static QUEUE: Mutex<Option<Queue>> = Mutex::new(None);

struct Queue {
    sender: SyncSender<Said>,
    thread: JoinHandle<()>,
    users: usize,
    forks: u64,
}

enum Said {
    Line(Line),
    /// All before it has been given to the interpreter.
    Mark(SyncSender<()>),
}

struct Line {
    level: u8,
    target: &'static str,
    text: String,
}

/// Says from which level of Python's `logging` on lines are made; below it they cost nothing.
#[pyfunction]
pub fn set_log_level(level: i64) {
    LEVEL.store(u8::try_from(level.clamp(0, 255)).unwrap_or(u8::MAX), Ordering::Relaxed);
}

/// Waits until what was said so far has been given to Python's `logging`, at most a second.
#[pyfunction]
pub fn flush_log(py: Python<'_>) {
    let ours = |queue: &&Queue| queue.forks == crate::fork::forks();
    let sender = lock().as_ref().filter(ours).map(|queue| queue.sender.clone());
    let (done, mark) = sync_channel(1);
    py.detach(move || {
        if sender.is_some_and(|sender| sender.send(Said::Mark(done)).is_ok()) {
            // Nothing came in time: then the lines come later.
            let _ = mark.recv_timeout(Duration::from_secs(1));
        }
    });
}

/// Somebody who may have something to say. The thread lives as long as any is there.
pub struct Speaking(());

impl Speaking {
    /// Begins.
    ///
    /// # Errors
    /// What asking Python's `logging` for its level raised, or no thread.
    pub fn begin(py: Python<'_>) -> PyResult<Self> {
        static INSTALLED: Once = Once::new();
        // A program that has a subscriber of its own in this module's copy of the library does not exist.
        INSTALLED.call_once(|| {
            let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Lines));
        });
        let level: i64 = logger(py)?.call_method0("getEffectiveLevel")?.extract()?;
        set_log_level(level);
        let mut queue = lock();
        match queue.as_mut().filter(|queue| queue.forks == crate::fork::forks()) {
            Some(queue) => queue.users += 1,
            None => {
                let (sender, receiver) = sync_channel(LINES_MAX);
                let thread =
                    thread::Builder::new().name("ringmq-log".into()).spawn(move || pass_on(&receiver))?;
                let former = queue.replace(Queue { sender, thread, users: 1, forks: crate::fork::forks() });
                // Its thread is in the parent of this process.
                std::mem::forget(former);
            }
        }
        Ok(Self(()))
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        let mut queue = lock();
        if let Some(last) = queue.as_mut() {
            last.users -= 1;
            if last.users > 0 {
                return;
            }
        }
        let Some(Queue { sender, thread, .. }) = queue.take() else { return };
        drop(sender);
        drop(queue);
        // It has lines to give to the interpreter, which whoever waits here must not hold.
        // Where the interpreter is ending, nobody reads the lines any more.
        let _ = Python::try_attach(|py| py.detach(|| await_end(&thread)));
    }
}

/// Waits for the last lines, but not for a handler that does not come to an end, nor for itself.
fn await_end(thread: &JoinHandle<()>) {
    let until = Instant::now() + LAST_LINES;
    while thread.thread().id() != thread::current().id() && !thread.is_finished() && Instant::now() < until {
        thread::sleep(Duration::from_micros(200));
    }
}

thread_local! {
    /// The queue while this thread forks, so that no other thread has its lock then.
    static FORKING: RefCell<Option<MutexGuard<'static, Option<Queue>>>> = const { RefCell::new(None) };
}

/// Called before a fork, in its thread.
#[pyfunction]
pub fn before_fork() {
    let guard = lock();
    FORKING.with(|forking| *forking.borrow_mut() = Some(guard));
}

/// Called behind a fork, in the parent and in the child.
#[pyfunction]
pub fn after_fork() {
    FORKING.with(|forking| drop(forking.borrow_mut().take()));
}

fn lock() -> std::sync::MutexGuard<'static, Option<Queue>> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("logging")?.call_method1("getLogger", ("ringmq",))
}

/// What the thread does.
fn pass_on(receiver: &Receiver<Said>) {
    while let Ok(first) = receiver.recv() {
        let more = std::iter::from_fn(|| receiver.try_recv().ok()).take(BATCH_MAX);
        let (mut lines, mut marks) = (Vec::new(), Vec::new());
        for said in std::iter::once(first).chain(more) {
            match said {
                Said::Line(line) => lines.push(line),
                Said::Mark(mark) => marks.push(mark),
            }
        }
        let lost = LOST.swap(0, Ordering::Relaxed);
        let told = Python::try_attach(|py| {
            if let Err(error) = tell(py, &lines, lost) {
                error.write_unraisable(py, None);
            }
        });
        if told.is_none() {
            return;
        }
        // Whoever waited no longer does not mind.
        marks.into_iter().for_each(|mark| {
            let _ = mark.try_send(());
        });
    }
}

fn tell(py: Python<'_>, lines: &[Line], lost: u64) -> PyResult<()> {
    let logging = py.import("logging")?;
    for line in lines {
        let name = line.target.replace("::", ".");
        logging
            .call_method1("getLogger", (name,))?
            .call_method1("log", (line.level, "%s", line.text.as_str()))?;
    }
    if lost > 0 {
        let text = format!("{lost} lines were lost, because more came than could be logged");
        logger(py)?.call_method1("log", (WARNING, text))?;
    }
    set_log_level(logger(py)?.call_method0("getEffectiveLevel")?.extract()?);
    Ok(())
}

/// Makes lines of events.
struct Lines;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The level changes, so every line asks.
        if metadata.target().starts_with("ringmq") { Interest::sometimes() } else { Interest::never() }
    }
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        level(metadata) >= LEVEL.load(Ordering::Relaxed) && metadata.target().starts_with("ringmq")
    }
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let line = Line { level: level(event.metadata()), target: event.metadata().target(), text: text.0 };
        let queue = lock();
        let Some(queue) = queue.as_ref() else { return };
        if let Err(TrySendError::Full(_)) = queue.sender.try_send(Said::Line(line)) {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn level(metadata: &Metadata<'_>) -> u8 {
    match *metadata.level() {
        Level::ERROR => ERROR,
        Level::WARN => WARNING,
        Level::INFO => INFO,
        _ => DEBUG,
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
