//! Start and stop: who is told what, in which order, and who waits for whom. What a stop means to clients is
//! the shards' business; here only the steps are counted.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ringmq_route::Interest;
use ringmq_shard::limits::SHARDS_MAX;
use ringmq_shard::{Common, Counters, ShardId};
use ringmq_sync::Stamps;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::doorbell::Doorbell;
use crate::epoll::{self, EpollSockets};
use crate::error::StartError;
use crate::executors::{self, Done, Job};
use crate::limits::{EXECUTOR_DESCRIPTORS, LISTENER_CLOSE, SHARD_DESCRIPTORS, START_DESCRIPTORS};
use crate::listener::Behind;
use crate::mailbox::{Inlet, Mailbox, Order};
use crate::mesh::{lanes, shard};
use crate::shared::{Progress, Shared};
use crate::sockets::Sockets;
use crate::unix_listen::SocketFile;
use crate::uring::{self, UringSockets};
use crate::worker::{Seat, Worker, panic_message};
use crate::{Driver, Listening, Options, listen, probe};

/// Starts a broker's shards and returns when every one of them listens.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub fn start(options: Options) -> Result<Running, StartError> {
    check(&options)?;
    let (driver, driver_reason) = probe::choose(options.driver)?;
    let bound = listen::bind(&options.listen, options.shards)?;
    let doorbells = (0..options.shards).map(|_| Doorbell::new()).collect::<io::Result<Vec<_>>>();
    let doorbells = doorbells.map_err(|error| StartError::System { doing: "making an eventfd", error })?;
    let executors = if driver == Driver::Uring { executors::to_be_made(options.shards) } else { 0 };
    probe::descriptors_suffice(
        executors * EXECUTOR_DESCRIPTORS + options.shards * SHARD_DESCRIPTORS + START_DESCRIPTORS,
    )?;
    let (doorbells, ears): (Vec<_>, Vec<_>) = doorbells.into_iter().unzip();
    let shared = Arc::new(Shared::new(doorbells.into_iter().map(Mailbox::new).collect(), &options));
    let mut running = Running {
        shared,
        addresses: bound.places.iter().filter_map(Listening::address).collect(),
        places: bound.places.into_iter().map(Some).collect(),
        behind: options.listen.iter().cloned().map(Behind::from).collect(),
        files: bound.files,
        driver,
        driver_reason,
        threads: Vec::new(),
        stopped: false,
    };
    for seat in seats(&options, &running.shared, bound.listeners.into_iter().zip(ears)) {
        running.seat(seat);
    }
    running.await_start()?;
    Ok(running)
}

fn check(options: &Options) -> Result<(), StartError> {
    if !(1..=SHARDS_MAX).contains(&options.shards) {
        return Err(StartError::Shards { asked: options.shards, max: SHARDS_MAX });
    }
    if options.cpus.as_ref().is_some_and(Vec::is_empty) {
        return Err(StartError::NoCpus);
    }
    Ok(())
}

fn seats(
    options: &Options,
    shared: &Arc<Shared>,
    descriptors: impl Iterator<Item = (Vec<Option<OwnedFd>>, OwnedFd)>,
) -> Vec<Seat> {
    let (first, second) = options.partition_key.split_at(8);
    let word = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of 16 bytes"));
    let common = Common {
        shards: options.shards,
        settings: Arc::clone(&options.settings),
        interest: Arc::new(Interest::new(options.shards, [word(first), word(second)])),
        stamps: Arc::new(Stamps::new(0)),
        counters: Arc::clone(&shared.counters),
        partition_key: options.partition_key,
    };
    let behind: Arc<[Behind]> = options.listen.iter().cloned().map(Behind::from).collect();
    let ends = lanes(options.shards).into_iter().zip(descriptors).enumerate();
    ends.map(|(index, ((lanes_out, lanes_in), (listeners, ear)))| Seat {
        id: shard(index),
        common: common.clone(),
        // An odd multiplier keeps the shards' seeds apart.
        seed: options.seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        cpu: options.cpus.as_ref().map(|cpus| cpus[index % cpus.len()]),
        decider: Arc::clone(&options.decider),
        hooks: options.hooks.clone(),
        shared: Arc::clone(shared),
        lanes_out,
        lanes_in,
        listeners,
        behind: Arc::clone(&behind),
        ear,
    })
    .collect()
}

/// A broker that runs. Dropping it stops it as [`Running::stop`] does.
pub struct Running {
    pub(crate) shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    /// By the numbers of the listeners; none where one has closed.
    places: Vec<Option<Listening>>,
    /// What stands behind the listeners, by the same numbers.
    behind: Vec<Behind>,
    files: Vec<SocketFile>,
    driver: Driver,
    driver_reason: String,
    threads: Vec<JoinHandle<()>>,
    stopped: bool,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// Connections that were cut off because the deadline came first.
    pub left: u64,
    /// Whether a shard panicked, before the stop or during it; the log says which and why.
    pub failed: bool,
}

impl Running {
    /// Sets the wall clock of this broker ahead; what is due by then is looked at when its shards are told.
    pub fn advance_clock(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// The TCP addresses among [`Running::places`].
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens, by the numbers of the listeners, with true port numbers; nothing where one has closed.
    #[must_use]
    pub fn places(&self) -> &[Option<Listening>] {
        &self.places
    }

    /// What stands behind an open listener.
    pub(crate) fn behind(&self, listener: usize) -> Option<&Behind> {
        self.behind.get(listener).filter(|_| self.places.get(listener).is_some_and(Option::is_some))
    }

    /// What stands behind listeners has changed, and some have come.
    pub(crate) fn note_behind(&mut self, changed: &[(usize, Behind)], opened: &[Behind]) {
        for (number, behind) in changed {
            if let Some(place) = self.behind.get_mut(*number) {
                *place = behind.clone();
            }
        }
        self.behind.extend_from_slice(opened);
    }

    /// Listeners have come and gone.
    pub(crate) fn note_places(&mut self, opened: Vec<Listening>, files: Vec<SocketFile>, closed: &[usize]) {
        for &number in closed {
            let place = self.places.get_mut(number).and_then(Option::take);
            if let Some(Listening::Unix(path)) = place {
                self.files.retain(|file| file.path() != path);
            }
        }
        self.places.extend(opened.into_iter().map(Some));
        self.files.extend(files);
        self.addresses = self.places.iter().flatten().filter_map(Listening::address).collect();
    }

    /// Which driver runs it.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// Which driver, and why, in one line.
    #[must_use]
    pub fn driver_reason(&self) -> &str {
        &self.driver_reason
    }

    /// How many shards it has.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shared.mailboxes.len()
    }

    /// All counters; they may be read at any time, also after the stop.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// The door for in-process handles of one shard. Panics if there is no such shard.
    #[must_use]
    pub fn inlet(&self, shard: ShardId) -> Inlet {
        assert!(shard.index() < self.shards(), "there is no shard {}", shard.index());
        Inlet { shared: Arc::clone(&self.shared), shard }
    }

    /// Why the broker has stopped by itself, if it has: a shard panicked.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        self.shared.progress().failure.clone()
    }

    /// Waits at most so long for the broker to fail, and says why it did.
    #[must_use]
    pub fn wait_failed(&self, timeout: Duration) -> Option<String> {
        let until = Instant::now().checked_add(timeout);
        self.shared.wait_for(until, |progress| progress.failure.is_some());
        self.failed()
    }

    /// Stops: accepts no one more, publishes the wills, says goodbye to the clients, and cuts off those that
    /// have not taken it all when `deadline` has passed. Nothing of the broker is left when it returns,
    /// except executors that wait up to ten seconds for a next start ([`crate::trim`] ends them). Must not be
    /// called on a shard's thread, that is from a callback: it would wait for itself.
    pub fn stop(mut self, deadline: Duration) -> StopReport {
        self.stop_by(deadline)
    }

    fn stop_by(&mut self, deadline: Duration) -> StopReport {
        if !std::mem::replace(&mut self.stopped, true) {
            let until = Instant::now().checked_add(deadline);
            self.step(until, Order::StopListening, |progress| progress.deaf);
            self.files.clear();
            // The kernel takes a moment; whoever binds the port in between would inherit resets.
            thread::sleep(Duration::from_millis(LISTENER_CLOSE));
            self.step(until, Order::StopWork, |progress| progress.work_stopped);
            // Twice: what the first taking-in made a shard send is taken in by the second.
            for _ in 0..2 {
                self.shared.note(|progress| progress.settled = 0);
                self.step(until, Order::Settle, |progress| progress.settled);
            }
            self.step(until, Order::StopConnections, |progress| progress.stopped);
            self.leave();
        }
        // Counted by whoever cut them off: a shard at its own deadline, or a worker that left.
        let left = self.shared.counters.sum(|shard| &shard.stop_left);
        StopReport { left, failed: self.failed().is_some() }
    }

    /// Gives an order to all shards and waits until all have done it, or the moment comes, or all is lost.
    pub(crate) fn step(&self, until: Option<Instant>, order: Order, done: impl Fn(&Progress) -> usize) {
        let shards = self.shards();
        self.shared.order_all(&order);
        self.shared.wait_for(until, |progress| {
            done(progress) >= shards || progress.gone > 0 || progress.failure.is_some()
        });
    }

    /// Makes every shard leave and waits until all are gone.
    fn leave(&mut self) {
        let seated = self.shards();
        self.shared.order_all(&Order::Leave);
        self.shared.wait_for(None, |progress| progress.gone >= seated);
        for thread in self.threads.drain(..) {
            // A thread's panic was caught and reported before.
            drop(thread.join());
        }
    }

    fn seat(&mut self, seat: Seat) {
        match self.driver {
            Driver::Uring => executors::run(job(seat)),
            Driver::Epoll => self.seat_on_thread(seat),
        }
    }

    fn seat_on_thread(&mut self, seat: Seat) {
        let shared = Arc::clone(&self.shared);
        let name = format!("ringmq-shard-{}", seat.id.index());
        let thread = thread::Builder::new().name(name).spawn(move || {
            guard(&seat.shared.clone(), || on_thread(seat));
        });
        match thread {
            Ok(thread) => self.threads.push(thread),
            Err(error) => not_started(&shared, StartError::System { doing: "starting a thread", error }),
        }
    }

    /// Waits until every shard listens; on error all are gone when it returns.
    fn await_start(&mut self) -> Result<(), StartError> {
        let shards = self.shards();
        self.shared.wait_for(None, |progress| progress.ready + progress.gone >= shards);
        if self.shared.progress().gone == 0 {
            return Ok(());
        }
        self.stopped = true;
        self.leave();
        let mut progress = self.shared.progress();
        let failure = progress.failure.take();
        Err(progress.start_error.take().unwrap_or_else(|| StartError::Panicked {
            message: failure.unwrap_or_else(|| String::from("a shard left")),
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_by(DROP_DEADLINE);
    }
}

/// How long a stop by dropping may take: long enough for goodbyes, short enough for a program's end.
const DROP_DEADLINE: Duration = Duration::from_secs(1);

/// A shard could not be started, and its place is empty.
fn not_started(shared: &Shared, error: StartError) {
    shared.note(|progress| {
        progress.start_error.get_or_insert(error);
        progress.gone += 1;
    });
}

/// Runs a shard's whole life; whatever ends it, the shard counts as gone afterwards.
fn guard(shared: &Arc<Shared>, life: impl FnOnce() -> Result<(), StartError>) {
    match catch_unwind(AssertUnwindSafe(life)) {
        Ok(Ok(())) => shared.note(|progress| progress.gone += 1),
        Ok(Err(error)) => not_started(shared, error),
        Err(panic) => {
            shared.fail(format!("a shard panicked, the broker stops: {}", panic_message(panic)));
            shared.note(|progress| progress.gone += 1);
        }
    }
}

fn on_thread(seat: Seat) -> Result<(), StartError> {
    let mut worker = settle_in(seat, EpollSockets::new)?;
    epoll::run(&mut worker);
    worker.leave();
    Ok(())
}

/// A shard's life on an executor.
fn job(seat: Seat) -> Job {
    let shared = Arc::clone(&seat.shared);
    let died = move |error: io::Error| {
        if shared.progress().ready < shared.mailboxes.len() {
            return not_started(&shared, StartError::of_executor(error));
        }
        shared.fail(format!("an executor died, the broker stops: {error}"));
        shared.note(|progress| progress.gone += 1);
    };
    let run = move || {
        let life: std::pin::Pin<Box<dyn Future<Output = Done>>> = Box::pin(on_executor(seat));
        life
    };
    Job { run: Box::new(run), died: Box::new(died) }
}

async fn on_executor(seat: Seat) -> Done {
    let shared = Arc::clone(&seat.shared);
    let before = sched_getaffinity(None);
    let mut result = Ok(());
    match settle_in(seat, UringSockets::new) {
        Ok(mut worker) => {
            uring::run(&mut worker);
            worker.leave();
        }
        Err(error) => result = Err(error),
    }
    if let Ok(before) = before {
        // The executor's next shard may be pinned elsewhere, or not at all.
        let _ = sched_setaffinity(None, &before);
    }
    Box::new(move || guard(&shared, || result))
}

/// Makes the shard on its thread and begins to listen; `sockets` makes the driver's part around the bell's ear.
fn settle_in<S: Sockets>(
    seat: Seat,
    sockets: impl FnOnce(OwnedFd) -> io::Result<S>,
) -> Result<Worker<S>, StartError> {
    let settled = catch_unwind(AssertUnwindSafe(|| {
        pin(seat.cpu)?;
        let shared = Arc::clone(&seat.shared);
        let worker = Worker::new(seat, sockets)
            .map_err(|error| StartError::System { doing: "waiting for connections", error })?;
        shared.note(|progress| progress.ready += 1);
        Ok(worker)
    }));
    settled.unwrap_or_else(|panic| Err(StartError::Panicked { message: panic_message(panic) }))
}

fn pin(cpu: Option<usize>) -> Result<(), StartError> {
    let Some(cpu) = cpu else { return Ok(()) };
    if cpu >= CpuSet::MAX_CPU {
        return Err(StartError::Pin { cpu, error: io::ErrorKind::InvalidInput.into() });
    }
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).map_err(|error| StartError::Pin { cpu, error: error.into() })
}
