//! The thread that does the input and output of its clients, and how others reach it.

use crate::Error;
use crate::driver::{Command, Driver};
use crate::readiness::Bell;
use ringmq_proto::time::Mono;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::Instant;

/// A thread shared by clients. It ends after the last client and the last handle of the context are gone.
#[derive(Clone)]
pub struct Context {
    shared: Arc<ContextShared>,
    alive: Arc<Alive>,
}

/// What the thread and the handles share.
pub(crate) struct ContextShared {
    commands: Mutex<Vec<Command>>,
    pub(crate) bell: Bell,
    rung: AtomicBool,
    closed: AtomicBool,
    keys: AtomicU64,
    started: Instant,
    thread: Arc<Thread>,
}

/// Which thread does the work, once it has started.
#[derive(Default)]
pub(crate) struct Thread(OnceLock<ThreadId>);

/// Dropped with the last handle: the thread may end once it has no client.
struct Alive(Arc<ContextShared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.ring();
    }
}

/// The shared one, and the process that made it: a child of a fork has the memory, but not the thread.
static SHARED: Mutex<(u32, Weak<Alive>)> = Mutex::new((0, Weak::new()));

impl Context {
    /// A context with a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread or descriptor.
    pub fn new() -> io::Result<Self> {
        let shared = Arc::new(ContextShared {
            commands: Mutex::new(Vec::new()),
            bell: Bell::new()?,
            rung: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            keys: AtomicU64::new(0),
            started: Instant::now(),
            thread: Arc::default(),
        });
        let driver = Driver::new(Arc::clone(&shared))?;
        std::thread::Builder::new().name("ringmq-client".into()).spawn(move || driver.run())?;
        Ok(Self { alive: Arc::new(Alive(Arc::clone(&shared))), shared })
    }

    /// The context that all clients of this process share unless told otherwise; made when it is needed.
    ///
    /// # Errors
    /// The system gives no thread or descriptor.
    pub fn shared() -> io::Result<Self> {
        let mut place = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if let Some(alive) = place.1.upgrade().filter(|_| place.0 == process) {
            return Ok(Self { shared: Arc::clone(&alive.0), alive });
        }
        let context = Self::new()?;
        *place = (process, Arc::downgrade(&context.alive));
        Ok(context)
    }

    pub(crate) fn now(&self) -> Mono {
        self.shared.now()
    }

    pub(crate) fn next_key(&self) -> u64 {
        self.shared.keys.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn command(&self, command: Command) {
        self.shared.command(command);
    }

    pub(crate) fn check_may_wait(&self) -> Result<(), Error> {
        self.shared.thread.check_may_wait()
    }

    pub(crate) fn thread(&self) -> Arc<Thread> {
        Arc::clone(&self.shared.thread)
    }
}

impl ContextShared {
    /// Milliseconds since the context was made.
    pub(crate) fn now(&self) -> Mono {
        Mono(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn command(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        self.ring();
    }

    /// Takes all commands; what is pushed from here on rings again. The bell is silenced first: a ring that
    /// falls between the two steps costs a turn for nothing, and never a command.
    pub(crate) fn take_commands(&self, bell_rang: bool, into: &mut Vec<Command>) {
        if bell_rang {
            self.bell.silence();
        }
        self.rung.swap(false, Ordering::AcqRel);
        into.append(&mut self.commands.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn set_thread(&self) {
        let _ = self.thread.0.set(std::thread::current().id());
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.bell.ring();
        }
    }
}

impl Thread {
    /// A wait on the context's own thread would never end.
    pub(crate) fn check_may_wait(&self) -> Result<(), Error> {
        match self.0.get() {
            Some(thread) if *thread == std::thread::current().id() => Err(Error::InCallback),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Context").finish_non_exhaustive()
    }
}
