//! The server's decider: who may come in by password file, by a signed token or by the word of a service, and
//! what they may do by ACL file or by that token. What holds is one value
//! that is replaced whole; passwords are compared and
//! tokens verified on a few threads beside the shards, never on a core that serves
//! clients. It never says a password, and never keeps one.
//!
//! A shard asks about CONNECT and gets an answer later, about publishes and deliveries and gets one at once, from rules
//! that it holds itself as long as they are the newest.

mod counters;
mod decider;
mod error;
mod grant;
mod hashing;
mod http;
mod http_agent;
mod key_set;
mod login;
mod options;
mod queue;
mod scram;
mod snapshot;
mod staying;
mod tokens;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ringmq_auth::backoff::Backoff;
use ringmq_auth::verified::{Digester, Verified};

pub use counters::GuardCounters;
pub use error::GuardError;
pub use options::{DoorRules, GuardOptions};

use crate::config::{DeciderFactory, PartitionKey, random_word};
use crate::random_bytes;
use decider::GuardDecider;
use hashing::Workers;
use key_set::KeySet;
use login::Login;
use queue::{Bounds, Queue};
use snapshot::Snapshot;

/// Who may come in and what they may do, for one broker. Dropping it ends its threads.
pub struct Guard {
    shared: Arc<Shared>,
    /// None as long as no listener has a password file.
    workers: Mutex<Workers>,
    /// None as long as there is no service to ask.
    askers: Mutex<Workers>,
    /// None as long as no keys are fetched.
    fetchers: Mutex<Workers>,
}

/// What is to hold, read and found right, and not in force yet.
pub(crate) struct Prepared(Arc<Snapshot>);

/// What a guard, its deciders and its threads share.
struct Shared {
    /// What holds now; deciders keep a copy and look here when the number is another.
    snapshot: Mutex<Arc<Snapshot>>,
    number: AtomicU64,
    queue: Queue<Login>,
    /// Clients about whom the service is to be asked.
    requests: Queue<http::Request>,
    unsaid: Mutex<http::Unsaid>,
    /// Wakes the thread that fetches keys.
    wake: key_set::Wake,
    digester: Digester,
    /// Makes what unknown users are challenged with.
    decoy_key: [u8; 32],
    verified: Mutex<Verified>,
    backoff: Mutex<Backoff>,
    counters: GuardCounters,
    started: Instant,
}

impl Shared {
    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

/// Locks even when a thread panicked while it held the lock: the values here are whole between statements.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same at each start, so that an unknown user is not known by a salt that changes.
fn decoy_key(PartitionKey(key): PartitionKey) -> [u8; 32] {
    let mut decoy = *b"................SCRAM decoy salt";
    decoy[..key.len()].copy_from_slice(&key);
    decoy
}

impl Guard {
    /// Reads the files and starts the threads that passwords need.
    ///
    /// # Errors
    /// What is wrong with a file, with its line; or that no thread can be started.
    pub fn load(options: &GuardOptions) -> Result<Self, GuardError> {
        let snapshot = Arc::new(Snapshot::load(options, None)?);
        let key = random_bytes().map_err(GuardError::Random)?;
        let decoy_key = match options.partition_key {
            Some(key) => decoy_key(key),
            None => random_bytes().map_err(GuardError::Random)?,
        };
        let shared = Arc::new(Shared {
            snapshot: Mutex::new(Arc::clone(&snapshot)),
            number: AtomicU64::new(1),
            queue: Queue::default(),
            requests: Queue::new(Bounds::SERVICE),
            unsaid: Mutex::default(),
            wake: key_set::Wake::default(),
            digester: Digester::new(key),
            decoy_key,
            verified: Mutex::default(),
            backoff: Mutex::new(Backoff::new(random_word())),
            counters: GuardCounters::default(),
            started: Instant::now(),
        });
        let [workers, askers, fetchers] = std::array::from_fn(|_| Mutex::default());
        let guard = Self { shared, workers, askers, fetchers };
        guard.start_workers(&snapshot, options)?;
        Ok(guard)
    }

    /// Reads the files anew. What was right before is not forgotten unless all is right now: else nothing changes.
    /// Connections that are open stay open; what they do next is judged anew.
    ///
    /// # Errors
    /// As [`Guard::load`].
    pub fn reload(&self, options: &GuardOptions) -> Result<(), GuardError> {
        let prepared = self.prepare(options)?;
        self.put(prepared);
        Ok(())
    }

    /// Reads the files, and starts threads if there were no passwords before. What holds does not change.
    ///
    /// # Errors
    /// As [`Guard::load`].
    pub(crate) fn prepare(&self, options: &GuardOptions) -> Result<Prepared, GuardError> {
        let former = Arc::clone(&lock(&self.shared.snapshot));
        let snapshot = Arc::new(Snapshot::load(options, Some(&former))?);
        self.start_workers(&snapshot, options)?;
        Ok(Prepared(snapshot))
    }

    /// Puts in force what was prepared, and returns what held before.
    pub(crate) fn put(&self, prepared: Prepared) -> Prepared {
        let before = std::mem::replace(&mut *lock(&self.shared.snapshot), prepared.0);
        self.shared.number.fetch_add(1, Ordering::Release);
        lock(&self.shared.verified).clear();
        self.shared.wake.wake();
        Prepared(before)
    }

    fn start_workers(&self, snapshot: &Snapshot, options: &GuardOptions) -> Result<(), GuardError> {
        let mut workers = lock(&self.workers);
        if snapshot.has_users() && workers.is_empty() {
            *workers = Workers::start(&self.shared, hashing::JOB, options.hashing_threads())?;
        }
        let mut askers = lock(&self.askers);
        if snapshot.http.is_some() && askers.is_empty() {
            let threads = usize::from(options.http.auth_parallel_max);
            *askers = Workers::start(&self.shared, http::JOB, threads)?;
        }
        let mut fetchers = lock(&self.fetchers);
        if snapshot.key_sets().any(KeySet::is_fetched) && fetchers.is_empty() {
            *fetchers = Workers::start(&self.shared, key_set::JOB, 1)?;
        }
        Ok(())
    }

    /// Makes one decider for each shard.
    #[must_use]
    pub fn factory(&self) -> DeciderFactory {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |_, decisions| Box::new(GuardDecider::new(Arc::clone(&shared), decisions)))
    }

    /// What it counts, readable at any time.
    #[must_use]
    pub fn counters(&self) -> &GuardCounters {
        &self.shared.counters
    }

    /// Judges nobody any more and waits until its threads are gone: at most as long as one hash takes, or one answer of
    /// a service may.
    pub fn stop(&mut self) {
        self.shared.queue.close();
        self.shared.requests.close();
        self.shared.wake.close();
        lock(&self.workers).join();
        lock(&self.askers).join();
        lock(&self.fetchers).join();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("counters", &self.shared.counters).finish_non_exhaustive()
    }
}
