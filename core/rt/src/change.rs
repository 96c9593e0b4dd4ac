//! What changes while a broker runs: settings, what stands behind a listener, listeners that come and go. New sockets
//! are opened before anything else is done, so that a change happens as a whole or not at all.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use ringmq_net::Door;
use ringmq_shard::{Settings, ShardId};

use crate::error::StartError;
use crate::listen::{self, Bound};
use crate::listener::Behind;
use crate::mailbox::Order;
use crate::{Listen, Running};

/// What is to change. Listeners have the numbers of their places in [`crate::Options::listen`]; those that come later
/// get the next ones, and no number is used twice.
#[derive(Clone, Default)]
pub struct Change {
    /// The bounds and choices from now on, with the offers of all listeners by number. What was made by the former
    /// ones stays as it is: sessions, queues, lanes.
    pub settings: Option<Arc<Settings>>,
    /// What stands behind listeners for connections that come from now on, with its handshake timeout in milliseconds.
    pub doors: Vec<(usize, Arc<Door>, u64)>,
    /// Listeners that close; their connections stay.
    pub close: Vec<usize>,
    /// Listeners that open.
    pub open: Vec<Listen>,
}

/// The same for all shards, with the sockets of each.
pub(crate) struct Changed {
    pub(crate) settings: Option<Arc<Settings>>,
    pub(crate) behind: Vec<(usize, Behind)>,
    pub(crate) close: Vec<usize>,
    /// Of the listeners that open.
    pub(crate) opened: Vec<Behind>,
    sockets: Mutex<Vec<Vec<Option<OwnedFd>>>>,
}

impl Changed {
    /// The sockets of the listeners that open, for this shard; asked once.
    pub(crate) fn take_sockets(&self, shard: ShardId) -> Vec<Option<OwnedFd>> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.get_mut(shard.index()).map(std::mem::take).unwrap_or_default()
    }
}

impl Running {
    /// Changes the broker and returns when every shard goes on with the change. Connections and sessions stay. An
    /// address that is to close and to open again in the same change is still in use when it is opened.
    ///
    /// # Errors
    /// [`StartError`] when a listener cannot be opened; then nothing has changed.
    pub fn change(&mut self, change: Change) -> Result<(), StartError> {
        let shards = self.shards();
        let bound = match change.open.is_empty() {
            true => Bound::of_none(shards),
            false => listen::bind(&change.open, shards)?,
        };
        let Bound { places, listeners, files } = bound;
        let doors = change.doors.into_iter();
        let changed = Changed {
            settings: change.settings,
            behind: doors
                .map(|(number, door, handshake_timeout)| (number, Behind { door, handshake_timeout }))
                .collect(),
            close: change.close.clone(),
            opened: change.open.into_iter().map(Behind::from).collect(),
            sockets: Mutex::new(listeners),
        };
        self.note_behind(&changed.behind, &changed.opened);
        self.shared.note(|progress| progress.changed = 0);
        self.step(None, Order::Change(Arc::new(changed)), |progress| progress.changed);
        self.note_places(places, files, &change.close);
        Ok(())
    }
}
