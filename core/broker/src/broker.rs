//! One broker inside this program: start, what is known about it, stop. Puts configuration, runtime and
//! handles together and decides nothing about messages.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use ringmq_rt::{AdoptError, Decisions, Driver, Listen, Listening, Running, StopReport};
use ringmq_shard::{AllowAll, Counters, Decider, LogLevel, Settings, ShardId};

use crate::config::listener::ListenerOptions;
use crate::config::resolved::Resolved;
use crate::config::{ConfigErrors, Options, random_word};
use crate::doors;
use crate::guard::{Guard, GuardError};
use crate::handle::{Answers, Entrance, Handle, OpenError, SubscribeError, SubscribeOptions, Subscription};

/// Why a broker did not start. Nothing of it is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The options are wrong; whoever gave them changes them.
    Config(ConfigErrors),
    /// A password or ACL file is wrong; whoever wrote it changes it.
    Guard(GuardError),
    /// The machine does not give what is needed; the text says what to do.
    Runtime(ringmq_rt::StartError),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Guard(error) => error.fmt(f),
            Self::Runtime(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Guard(error) => Some(error),
            Self::Runtime(error) => Some(error),
        }
    }
}

impl From<ConfigErrors> for StartError {
    fn from(error: ConfigErrors) -> Self {
        Self::Config(error)
    }
}

impl From<GuardError> for StartError {
    fn from(error: GuardError) -> Self {
        Self::Guard(error)
    }
}

impl From<ringmq_rt::StartError> for StartError {
    fn from(error: ringmq_rt::StartError) -> Self {
        Self::Runtime(error)
    }
}

/// A running broker. Dropping it stops it like [`Broker::stop`].
pub struct Broker {
    /// Taken by the stop, once.
    running: Option<Running>,
    pub(crate) guard: Option<Guard>,
    entrance: Arc<Entrance>,
    answers: Arc<Answers>,
    /// What it was started, or changed last, with.
    options: Options,
    settings: Arc<Settings>,
    /// By the numbers of the runtime; nothing where one has closed.
    pub(crate) listeners: Vec<Option<ListenerOptions>>,
    stop_deadline: Duration,
}

impl Broker {
    /// Options to start a broker with; see [`Options::start`].
    #[must_use]
    pub fn builder() -> Options {
        Options::default()
    }
    /// Starts a broker. When this returns, every shard listens and accepts.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left running and no port is open.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let mut resolved = Resolved::new(options.clone())?;
        let guard = resolved.guard.take().map(|options| Guard::load(&options)).transpose()?;
        resolved.decider = resolved.decider.or_else(|| guard.as_ref().map(Guard::factory));
        let answers = Arc::new(Answers::default());
        let stop_deadline = Duration::from_millis(resolved.settings.stop_deadline);
        let packet_bytes_max = resolved.settings.offer.packet_bytes_max;
        let listen = doors::listens(&resolved.listeners, options.faults.as_ref())?;
        let listeners = resolved.listeners.iter().cloned().map(Some).collect();
        let settings = Arc::clone(&resolved.settings);
        let running = ringmq_rt::start(runtime_options(resolved, listen, &answers))?;
        let inlets = (0..running.shards()).map(|shard| running.inlet(ShardId(shard as u16))).collect();
        let entrance = Arc::new(Entrance::new(inlets, packet_bytes_max, Arc::clone(&answers)));
        Ok(Self {
            running: Some(running),
            guard,
            entrance,
            answers,
            options,
            settings,
            listeners,
            stop_deadline,
        })
    }
    /// The TCP addresses where it listens, with the ports that were bound.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.running().addresses()
    }
    /// The port of the first address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addresses().first().map_or(0, SocketAddr::port)
    }
    /// The first listener as clients write it: `mqtt://ADDRESS:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.urls().into_iter().next().unwrap_or_default()
    }
    /// All listeners as clients write them: `mqtt://`, `mqtts://`, `ws://`, `wss://` with `ADDRESS:PORT`, and
    /// `unix:PATH`.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        (0..self.listeners.len()).filter_map(|number| self.url_of(number, &self.listeners)).collect()
    }
    /// How clients write the address of the listener of this number.
    pub(crate) fn url_of(&self, number: usize, listeners: &[Option<ListenerOptions>]) -> Option<String> {
        let scheme = listeners.get(number)?.as_ref()?.scheme();
        Some(match self.running().places().get(number)?.as_ref()? {
            Listening::Tcp(address) => format!("{scheme}://{address}"),
            Listening::Unix(path) => format!("unix:{}", path.display()),
        })
    }
    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.running().shards()
    }
    /// The driver it runs on.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.running().driver()
    }
    /// Why it runs on that driver, in one line.
    #[must_use]
    pub fn driver_reason(&self) -> &str {
        self.running().driver_reason()
    }
    /// What it counts, readable at any time.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        self.running().counters()
    }
    /// The same, by name, as sums over all shards.
    #[must_use]
    pub fn counter_sums(&self) -> Vec<(&'static str, u64)> {
        let mut sums: Vec<(&'static str, u64)> = Vec::new();
        for shard in 0..self.shards() {
            let mut index = 0;
            self.counters().shard(shard).each(|name, value| {
                match sums.get_mut(index) {
                    Some(sum) => sum.1 += value,
                    None => sums.push((name, value)),
                }
                index += 1;
            });
        }
        sums
    }
    /// What decides who may come in and what they may do, where files say so.
    #[must_use]
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }
    /// Which shard has panicked and why; nothing while the broker works. A failed broker ends by itself: its
    /// clients are disconnected, its ports closed, and everybody who waits at a handle or subscription is
    /// told at once. What is left to do is to stop or drop it.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        self.running().failed()
    }
    /// Waits at most so long for the broker to fail, and says why it did.
    #[must_use]
    pub fn wait_failed(&self, timeout: Duration) -> Option<String> {
        self.running().wait_failed(timeout)
    }
    /// A session to publish with, on each shard in turn. The decider is not asked about this program's own
    /// sessions: who holds the broker may do everything.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn handle(&self) -> Result<Handle, OpenError> {
        Handle::open(&self.entrance, None)
    }
    /// A session to publish with, on this shard, from 0.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn handle_on(&self, shard: usize) -> Result<Handle, OpenError> {
        Handle::open(&self.entrance, Some(shard))
    }
    /// A session that receives what matches any of `filters`. When this returns, every later publish that
    /// matches reaches it.
    ///
    /// # Errors
    /// [`SubscribeError`]; then no filter is subscribed.
    pub fn subscribe<S: Into<String>>(
        &self,
        filters: impl IntoIterator<Item = S>,
        options: SubscribeOptions,
    ) -> Result<Subscription, SubscribeError> {
        let filters = filters.into_iter().map(Into::into).collect();
        Subscription::open(&self.entrance, filters, &options)
    }
    /// Takes in a stream socket that this program has connected, one end of a socket pair among them, as if the listener of
    /// this number, from 0 in the order of the options, had accepted it: TLS or WebSocket where the listener has them, its
    /// settings and bounds, the address of the other end. On success the broker owns it and closes it in the end.
    ///
    /// # Errors
    /// [`AdoptError`], with the socket.
    pub fn adopt(&self, socket: OwnedFd, listener: usize) -> Result<(), AdoptError> {
        let shard = self.entrance.home(None).unwrap_or(ShardId(0));
        self.running().adopt(socket, listener, shard)
    }
    /// Stops: accepts no new work, publishes the wills of connected clients, says goodbye, flushes, and
    /// closes everything, within the option `stop_deadline`. Says what was left. Handles and subscriptions
    /// outlive it and report that the broker has stopped. Not to be called from a decider: a shard cannot wait
    /// for itself.
    pub fn stop(mut self) -> StopReport {
        self.stop_once().unwrap_or_default()
    }

    fn stop_once(&mut self) -> Option<StopReport> {
        let report = self.running.take().map(|running| running.stop(self.stop_deadline));
        self.answers.close();
        self.guard.iter_mut().for_each(Guard::stop);
        report
    }
    /// The options that it was started, or reloaded last, with.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
    /// It goes on with these.
    pub(crate) fn note_reload(
        &mut self,
        options: Options,
        listeners: Vec<Option<ListenerOptions>>,
        settings: &Arc<Settings>,
    ) {
        self.stop_deadline = Duration::from_millis(settings.stop_deadline);
        self.entrance.set_packet_bytes_max(settings.offer.packet_bytes_max);
        (self.options, self.listeners, self.settings) = (options, listeners, Arc::clone(settings));
    }
    pub(crate) fn running_mut(&mut self) -> &mut Running {
        self.running.as_mut().expect("only the stop takes the runtime, and it takes the broker too")
    }
    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("only the stop takes the runtime, and it takes the broker too")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop_once();
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses = self.running.as_ref().map(Running::addresses);
        f.debug_struct("Broker").field("addresses", &addresses).finish_non_exhaustive()
    }
}

impl Options {
    /// Starts a broker with these options; see [`Broker::start`].
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(self) -> Result<Broker, StartError> {
        Broker::start(self)
    }
}

fn runtime_options(resolved: Resolved, listen: Vec<Listen>, answers: &Arc<Answers>) -> ringmq_rt::Options {
    let (answers, failing) = (Arc::clone(answers), Arc::clone(answers));
    let allow_all = |_: ShardId, _: Decisions| -> Box<dyn Decider> { Box::new(AllowAll) };
    ringmq_rt::Options {
        shards: resolved.shards,
        cpus: resolved.cpus,
        driver: resolved.driver,
        listen,
        settings: resolved.settings,
        decider: resolved.decider.unwrap_or_else(|| Arc::new(allow_all)),
        hooks: resolved.hooks,
        partition_key: resolved.partition_key.0,
        seed: random_word(),
        log: Arc::new(log),
        local_done: Arc::new(move |ticket, outcome| answers.done(ticket, outcome)),
        failed: Arc::new(move |_| failing.fail()),
    }
}

/// The broker's lines become events; whoever installed a subscriber sees them.
fn log(level: LogLevel, text: &str) {
    match level {
        LogLevel::Debug => tracing::debug!("{text}"),
        LogLevel::Info => tracing::info!("{text}"),
        LogLevel::Warning => tracing::warn!("{text}"),
        LogLevel::Error => tracing::error!("{text}"),
    }
}
