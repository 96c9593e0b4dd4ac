//! Every bound of the runtime with its reason.

use std::time::Duration;

/// Bytes of one read. Larger reads gain nothing for small packets: a `recv` of 64 KiB is copying, not overhead.
pub(crate) const READ_BUFFER_BYTES: usize = 64 << 10;
/// Bytes of one read while a packet lacks more than that: its inbox grows with what has arrived, so the more comes at
/// once the less is copied as it grows.
pub(crate) const LARGE_READ_BYTES_MAX: usize = 4 * READ_BUFFER_BYTES;
/// Connections served in one turn; with the next bound it keeps a turn near a millisecond.
pub(crate) const CONNECTIONS_PER_TURN_MAX: usize = 256;
/// Bytes read in one turn; the ready connections beyond it come first in the next turn.
pub(crate) const READ_BYTES_PER_TURN_MAX: usize = 1 << 20;
/// Bytes written to one connection in one turn; the rest goes on in the next.
pub(crate) const WRITE_BYTES_PER_TURN_MAX: usize = 1 << 20;
/// Slices offered to one `sendmsg`; the kernel takes up to 1024, but a longer list only moves the work.
pub(crate) const WRITE_SLICES_MAX: usize = 16;
/// Connections accepted from one listener in one turn, so that a storm of them does not stop the others.
pub(crate) const ACCEPTS_PER_TURN_MAX: usize = 64;
/// How long a listener rests after accept failed for want of descriptors or memory, in milliseconds: it
/// would fail again at once, and spinning helps nobody.
pub(crate) const ACCEPT_REST: u64 = 100;
/// How often a listener says that it cannot accept, in milliseconds: the operator needs one line, not ten a
/// second.
pub(crate) const ACCEPT_WORD: u64 = 10_000;
/// Entries of a shard's ring for what is asked of the kernel; when it is full it is handed in early.
pub(crate) const RING_SUBMISSIONS: u32 = 256;
/// Sends handed to the kernel in one call. More save nothing: one call is a twentieth of their cost by then.
pub(crate) const SENDS_PER_CALL_MAX: usize = 64;
/// Times a batch of sends is handed in again because the kernel was interrupted or had no memory for it.
pub(crate) const SEND_ATTEMPTS_MAX: usize = 1 << 20;
/// Entries of a shard's ring for what the kernel tells: sixteen turns' worth. What does not fit is told later,
/// and a poll that found no room is armed anew.
pub(crate) const RING_COMPLETIONS: u32 = 4096;
/// Connections the kernel keeps ready for one listener before it refuses; the kernel's own maximum applies.
pub(crate) const BACKLOG: i32 = 4096;
/// Times a drain of the lanes is repeated in one turn for the sake of queries; what still wants one has it
/// in the next turn.
pub(crate) const DRAINS_PER_TURN_MAX: usize = 4;
/// Times output is flushed in one turn because writing made room for more.
pub(crate) const FLUSHES_PER_TURN_MAX: usize = 4;
/// Requests of in-process handles waiting for one shard; beyond it the caller waits. A shard takes all of
/// them in its next turn, so this is one turn's burst.
pub(crate) const INLET_REQUESTS_MAX: usize = 4096;
/// Bytes of payload in those requests; an empty inlet takes one of any size.
pub(crate) const INLET_BYTES_MAX: usize = 16 << 20;
/// Port numbers tried until one is free for every address with port 0.
pub(crate) const PORT_ATTEMPTS_MAX: usize = 32;
/// Reads thrown away before a socket with unread bytes is closed. Closing over unread bytes resets the
/// connection, and the reset could overtake the last packet on its way to the client.
pub(crate) const CLOSE_READS_MAX: usize = 4;
/// Reads of a connection that is heard out before another takes its session over: what a client had under way when
/// it came back, and no more than a turn reads from all.
pub(crate) const HEAR_OUT_READS_MAX: usize = 16;
/// How long the kernel takes to finish closing a listener, in milliseconds (measured: 2 on Linux 6.18).
pub(crate) const LISTENER_CLOSE: u64 = 2;
/// Descriptors of an executor: three rings and its notifier (counted with glommio 0.9).
pub(crate) const EXECUTOR_DESCRIPTORS: usize = 4;
/// Descriptors that a shard opens for its driver, the larger of the two: its two rings.
pub(crate) const SHARD_DESCRIPTORS: usize = 2;
/// Descriptors that are open only for a moment while executors are made: glommio's own look at io_uring.
pub(crate) const START_DESCRIPTORS: usize = 2;
/// How long an executor waits for its next use before it ends, in milliseconds.
pub(crate) const EXECUTOR_IDLE: u64 = 10_000;
/// Memory an executor must be allowed to lock, in bytes: glommio refuses to start under it.
pub(crate) const EXECUTOR_MEMLOCK_BYTES: u64 = 512 << 10;
/// How often connections are looked at whose address has sent too much, in milliseconds: that many more or less is not
/// noticed by whoever is to be slower, and with thousands of them it is cheap.
pub(crate) const DELAYED_LOOK_MS: u64 = 50;
/// How long a shard looks before it sleeps, where that is worth it: about what being put to sleep and started again costs
/// (5 us of processor time on a quiet machine, Linux 6.18 under KVM), and more than a client on the same machine takes
/// to answer (3 us there, 4 to 5 beside other programs).
pub(crate) const HALT_POLL: Duration = Duration::from_micros(6);
/// Events that the turn before such a look served at most: one client with its answer, or one that publishes and one
/// that acknowledges.
pub(crate) const HALT_POLL_EVENTS_MAX: usize = 2;
/// One sleep in so many is put off by a look although looks were not worth it lately: a tenth of a microsecond for
/// each sleep, which is a hundredth of what a turn costs that serves one message.
pub(crate) const HALT_POLL_EVERY: u8 = 64;
/// How much good may be remembered of looks that found something: three in vain end them, whatever came before.
pub(crate) const HALT_POLL_SCORE_MAX: u8 = 16;
/// Sockets that the program has connected and a shard has not yet taken in: more than a turn accepts from a listener, and
/// less than a process has descriptors.
pub(crate) const ADOPTED_WAITING_MAX: usize = 256;
/// Longest sleep, in milliseconds, for a timeout that fits every system call.
pub(crate) const SLEEP_MAX: u64 = 60_000;
