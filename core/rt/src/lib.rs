//! The runtime: runs one [`ringmq_shard::Shard`] per thread, gives it the time and its sockets' bytes, and
//! does what it asks for. It is the only crate that knows glommio, io_uring, sockets, threads and clocks.
//!
//! Nothing that a client could notice is decided here: which packet is allowed, who gets a message and when a
//! connection ends is the shard's business. The runtime never parses MQTT and never waits inside a turn.
//!
//! A shard's *turn*: take what waits in its mailbox and in the lanes from its peers, read each ready
//! connection once, let it act, flush it once, carry out its effects, and ring the peers that sleep. Two
//! drivers say when a turn is due: [`Driver::Uring`] on glommio's executors, [`Driver::Epoll`] on plain
//! threads.

mod activated;
mod adopt;
mod again;
mod change;
mod clock;
mod connections;
mod doorbell;
mod epoll;
mod error;
mod executors;
mod halt_poll;
mod limits;
mod listen;
mod listener;
mod mailbox;
mod mesh;
mod probe;
mod running;
mod send_ring;
mod shared;
mod sockets;
mod unix_listen;
mod uring;
mod worker;

use std::sync::Arc;

use ringmq_shard::{Decider, Hooks, LocalOutcome, LocalTicket, LogLevel, Settings, ShardId};

pub use activated::activated;
pub use adopt::{AdoptError, AdoptReason};
pub use change::Change;
pub use error::StartError;
pub use executors::trim;
pub use listen::{Listen, Listening, Place, UnixPlace};
pub use mailbox::{Decisions, Inlet, InletError};
pub use running::{Running, StopReport, start};

/// Which driver is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// io_uring where it works, else epoll; [`Running::driver_reason`] says which and why.
    #[default]
    Auto,
    /// io_uring, or the start fails.
    Uring,
    /// epoll on plain threads.
    Epoll,
}

/// What tells the shards that a socket is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring, by way of glommio's executors.
    Uring,
    /// epoll on plain threads: runs everywhere.
    Epoll,
}

impl Driver {
    /// Its name as the command line spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

/// Makes the decider of one shard, on that shard's thread. Late answers go into the [`Decisions`].
pub type MakeDecider = dyn Fn(ShardId, Decisions) -> Box<dyn Decider> + Send + Sync;
/// Makes the hooks of one shard, on that shard's thread. Late answers go into the [`Decisions`].
pub type MakeHooks = dyn Fn(ShardId, Decisions) -> Box<dyn Hooks> + Send + Sync;
/// Takes one line for the log; called on any thread, must not block for long.
pub type Log = dyn Fn(LogLevel, &str) + Send + Sync;
/// Takes the answer to a request of an in-process handle; called on a shard's thread, must not block.
pub type LocalDone = dyn Fn(LocalTicket, LocalOutcome) + Send + Sync;
/// Is told why the broker has failed, while all shards still stand; called on any thread, must not block.
pub type Failed = dyn Fn(&str) + Send + Sync;

/// Everything a broker is started with.
#[derive(Clone)]
pub struct Options {
    /// How many shards, 1 to 256; more than there are CPUs is allowed.
    pub shards: usize,
    /// Pins shard `i` to CPU `cpus[i % cpus.len()]`; `None` leaves the threads where the system puts them.
    pub cpus: Option<Vec<usize>>,
    /// Which driver.
    pub driver: DriverChoice,
    /// Where to listen, and what stands between a socket and MQTT there.
    pub listen: Vec<Listen>,
    /// Bounds and choices of the shards.
    pub settings: Arc<Settings>,
    /// Makes the deciders.
    pub decider: Arc<MakeDecider>,
    /// Makes the hooks, where a program wants to see what goes on.
    pub hooks: Option<Arc<MakeHooks>>,
    /// Key of the hash that places ClientIDs.
    pub partition_key: [u8; 16],
    /// Seed for names the shards make up; each shard derives its own.
    pub seed: u64,
    /// Where log lines go.
    pub log: Arc<Log>,
    /// Where the answers to in-process handles go.
    pub local_done: Arc<LocalDone>,
    /// Who is told when the broker fails. Requests under way then may stay without an answer.
    pub failed: Arc<Failed>,
}
