//! What the shards of one broker and whoever runs it share: mailboxes, counters, and how far start and stop
//! have come. Locked only at those steps, never on the way of a message.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ringmq_shard::{Counters, LogLevel, ShardId};

use crate::clock::Clock;
use crate::error::StartError;
use crate::mailbox::{Mailbox, Order};
use crate::mesh::Stuck;
use crate::{Failed, LocalDone, Log, Options};

/// Shared by all threads of one broker.
pub(crate) struct Shared {
    pub(crate) mailboxes: Box<[Mailbox]>,
    pub(crate) stuck: Arc<Stuck>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Clock,
    pub(crate) log: Arc<Log>,
    pub(crate) local_done: Arc<LocalDone>,
    failed: Arc<Failed>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

/// How many shards have come how far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) ready: usize,
    pub(crate) changed: usize,
    pub(crate) deaf: usize,
    pub(crate) work_stopped: usize,
    pub(crate) settled: usize,
    pub(crate) stopped: usize,
    pub(crate) gone: usize,
    pub(crate) start_error: Option<StartError>,
    pub(crate) failure: Option<String>,
}

impl Shared {
    pub(crate) fn new(mailboxes: Box<[Mailbox]>, options: &Options) -> Self {
        Self {
            stuck: Arc::new(Stuck::new(mailboxes.len())),
            counters: Arc::new(Counters::new(mailboxes.len())),
            mailboxes,
            clock: Clock::new(),
            log: Arc::clone(&options.log),
            local_done: Arc::clone(&options.local_done),
            failed: Arc::clone(&options.failed),
            progress: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn mailbox(&self, shard: ShardId) -> &Mailbox {
        &self.mailboxes[shard.index()]
    }

    pub(crate) fn order_all(&self, order: &Order) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.order(order.clone()));
    }

    /// Wakes a peer if it sleeps.
    pub(crate) fn ring(&self, shard: ShardId) {
        self.mailbox(shard).doorbell.ring_if_asleep();
    }

    /// A step was made.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Progress)) {
        note(&mut self.progress());
        self.changed.notify_all();
    }

    /// The broker cannot go on: says so loudly and makes all shards leave, so that none waits for one that
    /// is gone. Who asks for the failure once he was told of it finds it.
    pub(crate) fn fail(&self, failure: String) {
        // A log that panics, perhaps the very failure, must not keep the shards from leaving.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.log)(LogLevel::Error, &failure)));
        self.note(|progress| {
            progress.failure.get_or_insert_with(|| failure.clone());
        });
        let _ = catch_unwind(AssertUnwindSafe(|| (self.failed)(&failure)));
        self.order_all(&Order::Leave);
    }

    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done`, or until the moment if there is one; says whether it was done.
    pub(crate) fn wait_for(&self, until: Option<Instant>, done: impl Fn(&Progress) -> bool) -> bool {
        let mut progress = self.progress();
        while !done(&progress) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return false;
            }
            progress = match left {
                Some(left) => match self.changed.wait_timeout(progress, left) {
                    Ok((progress, _)) => progress,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner),
            };
        }
        true
    }
}
