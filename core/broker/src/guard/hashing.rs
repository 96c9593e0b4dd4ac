//! The threads that compare passwords, and the queue in front of them. A shard puts a login into the queue and goes on;
//! when the queue is full it hears so at once, and the client is told to come back. What waited too long is not
//! hashed: nobody waits for its answer any more.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use ringmq_auth::HashMemory;
use ringmq_shard::Verdict;

use super::counters::count;
use super::login::Login;
use super::{GuardError, Shared, lock};

/// Logins that wait: at some 20 ms for one hash more would wait longer than a decision may take.
const WAITING_MAX: usize = 1024;
/// Of them from one address, so that one that storms leaves room for others.
const WAITING_OF_ADDRESS_MAX: u32 = 256;
/// Bytes of their passwords; one may have 64 KiB.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Added to the nice value of hashing threads: what is served goes before who comes in.
const NICENESS: i32 = 10;

/// There is no room in the queue.
pub struct Full;

/// Logins that wait for their hash, oldest first.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    logins: VecDeque<Login>,
    bytes: usize,
    by_address: HashMap<IpAddr, u32>,
    is_closed: bool,
}

impl Queue {
    /// Takes logins in again, after [`Queue::close`].
    fn open(&self) {
        lock(&self.waiting).is_closed = false;
    }

    /// Lets a login wait. Takes one short lock.
    pub fn push(&self, login: Login) -> Result<(), Full> {
        let mut waiting = lock(&self.waiting);
        let bytes = waiting.bytes + login.password.0.len();
        let has_room = waiting.logins.len() < WAITING_MAX && bytes <= WAITING_BYTES_MAX;
        if !has_room || waiting.is_closed {
            return Err(Full);
        }
        if let Some(ip) = login.caller.ip() {
            let count = waiting.by_address.entry(ip).or_default();
            if *count >= WAITING_OF_ADDRESS_MAX {
                return Err(Full);
            }
            *count += 1;
        }
        waiting.bytes = bytes;
        waiting.logins.push_back(login);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// The oldest login, as soon as there is one; nothing once the queue is closed.
    fn pop(&self) -> Option<Login> {
        let mut waiting = lock(&self.waiting);
        loop {
            if waiting.is_closed {
                return None;
            }
            if let Some(login) = waiting.take_oldest() {
                return Some(login);
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Lets nobody wait any more; what waits is forgotten, its broker being about to end.
    pub fn close(&self) {
        let mut waiting = lock(&self.waiting);
        *waiting = Waiting { is_closed: true, ..Waiting::default() };
        drop(waiting);
        self.changed.notify_all();
    }
}

impl Waiting {
    fn take_oldest(&mut self) -> Option<Login> {
        let login = self.logins.pop_front()?;
        self.bytes -= login.password.0.len();
        if let Some(ip) = login.caller.ip()
            && let Some(count) = self.by_address.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&ip);
            }
        }
        Some(login)
    }
}

/// The threads.
#[derive(Default)]
pub struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    /// Starts so many.
    pub fn start(shared: &Arc<Shared>, count: usize) -> Result<Self, GuardError> {
        shared.queue.open();
        let mut workers = Self(Vec::new());
        for _ in 0..count {
            let own = Arc::clone(shared);
            let thread = std::thread::Builder::new().name("passwords".to_owned()).spawn(move || run(&own));
            match thread {
                Ok(thread) => workers.0.push(thread),
                Err(error) => return Err(workers.give_up(shared, error)),
            }
        }
        Ok(workers)
    }

    fn give_up(mut self, shared: &Shared, error: io::Error) -> GuardError {
        shared.queue.close();
        self.join();
        GuardError::Threads(error)
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until they are gone; the queue is closed before.
    pub fn join(&mut self) {
        for thread in self.0.drain(..) {
            // A thread that panicked has said so itself, and is gone.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    // Without the right to be nicer they are as they are.
    if let Ok(nice) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, (nice + NICENESS).min(19));
    }
    let mut memory = HashMemory::default();
    while let Some(login) = shared.queue.pop() {
        if login.deadline < Instant::now() {
            continue;
        }
        let verdict = catch_unwind(AssertUnwindSafe(|| judge(shared, &login, &mut memory)));
        let verdict = verdict.unwrap_or_else(|_| {
            memory = HashMemory::default();
            Verdict::Busy
        });
        login.decisions.answer(login.ticket, verdict);
    }
}

fn judge(shared: &Shared, login: &Login, memory: &mut HashMemory) -> Verdict {
    let ip = login.caller.ip();
    let must_wait = ip.is_some_and(|ip| lock(&shared.backoff).wait(ip, shared.now_ms()).is_some());
    if must_wait {
        count(&shared.counters.logins_too_often);
        login.caller.log_refusal("too many failures from this address");
        return Verdict::TooOften;
    }
    // The decoy of an unknown user is computed to the end, and counts for nothing.
    let is_right = login.stored.verify(&login.password.0, memory);
    if is_right && login.is_known {
        count(&shared.counters.logins_hashed);
        login.digest.into_iter().for_each(|digest| lock(&shared.verified).insert(digest));
        return Verdict::Allow;
    }
    count(&shared.counters.logins_failed);
    ip.into_iter().for_each(|ip| _ = lock(&shared.backoff).failed(ip, shared.now_ms()));
    login.caller.log_failure(if login.is_known { "wrong password" } else { "unknown user" });
    Verdict::BadCredentials
}
