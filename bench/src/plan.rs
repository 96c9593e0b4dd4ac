//! What a run does: the scenario, its size and its limits, as data. Nothing here touches a socket.

use std::net::SocketAddr;
use std::time::Duration;

use ringmq_wire::{Qos, Version};

use crate::Transport;

/// The largest window, in messages: a message's packet identifier is its place in the window.
pub const WINDOW_MESSAGES_MAX: usize = 65_535;

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// `count` pairs, each one publisher and one reader with a topic of their own.
    Pairs,
    /// `count` publishers, each with a topic of its own, to one reader of all of them.
    FanIn,
    /// One publisher to `count` readers of its topic.
    FanOut,
    /// One publisher to `count` readers that hold [`Plan::subscriptions`] between them.
    Subscriptions,
    /// `count` clients that connect, go and come back.
    Connects,
    /// `count` connections with a subscription each on which nothing happens.
    Idle,
    /// [`Plan::retained`] retained messages to `count` readers that subscribe with a wildcard, one after the other.
    Retained,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 7] = [
        Scenario::Pairs,
        Scenario::FanIn,
        Scenario::FanOut,
        Scenario::Subscriptions,
        Scenario::Connects,
        Scenario::Idle,
        Scenario::Retained,
    ];

    /// The name on the command line and in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Scenario::Pairs => "p2p",
            Scenario::FanIn => "fan-in",
            Scenario::FanOut => "fan-out",
            Scenario::Subscriptions => "subscriptions",
            Scenario::Connects => "connects",
            Scenario::Idle => "idle",
            Scenario::Retained => "retained",
        }
    }

    /// The scenario of a name.
    pub fn from_name(name: &str) -> Option<Scenario> {
        Scenario::ALL.into_iter().find(|scenario| scenario.name() == name)
    }
}

/// Everything about one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the broker listens.
    pub broker: SocketAddr,
    /// What it does.
    pub scenario: Scenario,
    /// Number of pairs, publishers, readers or clients, whichever the scenario has many of; at least 1.
    pub count: usize,
    /// Messages a publisher may have under way, 1 to [`WINDOW_MESSAGES_MAX`]. One is under way until every
    /// reader has it and, above QoS 0, the broker has acknowledged it.
    pub window_messages: usize,
    /// Whether a publisher of a closed loop fills its window only when it is empty. How many messages go through a
    /// connection at once then hangs on the window alone, and not on who of broker and load is the faster.
    pub bursts: bool,
    /// Publishes per second over all publishers. Without it the loop is closed: every window is kept full. With it
    /// the loop is open: a publish is due at its time, whatever has become of those before.
    pub rate: Option<f64>,
    /// Whether the latency of each delivery is measured: in an open loop from the moment the publish was due,
    /// in a closed one from the moment it was made.
    pub latency: bool,
    /// Quality of publishes and subscriptions.
    pub qos: Qos,
    /// Size of every payload, at least [`STAMP_BYTES`](crate::STAMP_BYTES).
    pub payload_bytes: usize,
    /// Protocol of all connections.
    pub version: Version,
    /// User properties on every publish; 5.0 only.
    pub user_properties: usize,
    /// Filters of all readers of [`Scenario::Subscriptions`]: nine in ten exact, 8 % with `+`, 2 % with `#`.
    pub subscriptions: usize,
    /// Connections that subscribe and unsubscribe while [`Scenario::Subscriptions`] publishes.
    pub churners: usize,
    /// Retained messages of [`Scenario::Retained`].
    pub retained: usize,
    /// Further readers of everything, which do not read.
    pub slow_readers: usize,
    /// Whether the clients of [`Scenario::Connects`] have sessions that outlive their connections.
    pub persistent: bool,
    /// Load before anything is counted.
    pub warmup: Duration,
    /// How long is counted.
    pub measured: Duration,
    /// How long a publisher with a full window may see nothing move before what it waits for counts as lost;
    /// also how long the end waits for what is under way.
    pub stall: Duration,
    /// The broker's process, when its CPU time and memory are wanted.
    pub broker_pid: Option<u32>,
    /// `broker` is a `ringmq-relay`: no CONNECT and no SUBSCRIBE but a [`Hello`](crate::Hello). At QoS 0 a PUBLISH
    /// is the same to a broker and from it, so all else stays.
    pub relay: bool,
    /// What lies between the sockets and MQTT; [`Scenario::Connects`] and relays know plain TCP only.
    pub transport: Transport,
    /// Whether the load never sleeps: no wake-up of its own is then part of a latency.
    pub spin: bool,
    /// Marks this run's topics and payloads, so that runs cannot be mistaken for each other.
    pub run_id: u32,
    /// The ClientIDs of publishers and then readers, in their order; the load makes up those that are missing.
    pub client_ids: Vec<String>,
}

impl Plan {
    /// A closed loop of small messages, to be changed where another is wanted.
    pub fn new(broker: SocketAddr, scenario: Scenario, count: usize) -> Plan {
        Plan {
            broker,
            scenario,
            count,
            window_messages: 8,
            bursts: false,
            rate: None,
            latency: false,
            qos: Qos::AtMostOnce,
            payload_bytes: crate::STAMP_BYTES,
            version: Version::V311,
            user_properties: 0,
            subscriptions: 0,
            churners: 0,
            retained: 0,
            slow_readers: 0,
            persistent: false,
            warmup: Duration::ZERO,
            measured: Duration::from_secs(1),
            stall: Duration::from_secs(5),
            broker_pid: None,
            relay: false,
            transport: Transport::default(),
            spin: false,
            run_id: 1,
            client_ids: Vec::new(),
        }
    }

    /// How many connections publish.
    pub fn publishers(&self) -> usize {
        match self.scenario {
            Scenario::Pairs | Scenario::FanIn => self.count,
            _ => 1,
        }
    }

    /// How many connections read.
    pub fn readers(&self) -> usize {
        if self.scenario == Scenario::FanIn { 1 } else { self.count }
    }

    /// How many readers get each message, where that is the same for all.
    pub fn readers_per_message(&self) -> usize {
        if self.scenario == Scenario::FanOut { self.count } else { 1 }
    }

    /// How many pairs of a publisher and a reader of its messages there are. Each is a stream in order.
    pub fn streams(&self) -> usize {
        self.count
    }

    /// The stream from a publisher to a reader; nothing when that reader must not see its messages.
    pub fn stream(&self, publisher: usize, reader: usize) -> Option<usize> {
        if publisher >= self.publishers() {
            return None;
        }
        match self.scenario {
            Scenario::Pairs => (publisher == reader).then_some(publisher),
            Scenario::FanIn => Some(publisher),
            _ => Some(reader),
        }
    }

    /// What all topics of this run begin with.
    pub fn topics(&self) -> String {
        format!("bench/{:08x}", self.run_id)
    }

    /// The filter for all topics of this run.
    pub fn everything(&self) -> String {
        format!("{}/#", self.topics())
    }

    /// The topic a publisher publishes to.
    pub fn topic(&self, publisher: usize) -> String {
        format!("{}/{publisher}", self.topics())
    }

    /// The filter a reader subscribes to, where each has one.
    pub fn filter(&self, reader: usize) -> String {
        match self.scenario {
            Scenario::Pairs => self.topic(reader),
            Scenario::FanOut => self.topic(0),
            _ => self.everything(),
        }
    }
}
