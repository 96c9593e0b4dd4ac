//! What a run does: the scenario, its size and its limits, as data. Nothing here touches a socket.

use std::net::SocketAddr;
use std::time::Duration;

use ringmq_wire::{Qos, Version};

/// The largest window, in messages: a message's packet identifier is its place in the window.
pub const WINDOW_MESSAGES_MAX: usize = 65_535;

/// Who publishes to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// `count` pairs, each one publisher and one reader with a topic of their own.
    Pairs,
    /// `count` publishers, each with a topic of its own, to one reader of `#`.
    FanIn,
    /// One publisher to `count` readers of its topic.
    FanOut,
}

impl Scenario {
    /// The name on the command line and in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Scenario::Pairs => "p2p",
            Scenario::FanIn => "fan-in",
            Scenario::FanOut => "fan-out",
        }
    }

    /// The scenario of a name.
    pub fn from_name(name: &str) -> Option<Scenario> {
        [Scenario::Pairs, Scenario::FanIn, Scenario::FanOut]
            .into_iter()
            .find(|scenario| scenario.name() == name)
    }
}

/// Everything about one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the broker listens.
    pub broker: SocketAddr,
    /// Who publishes to whom.
    pub scenario: Scenario,
    /// Number of pairs, publishers or readers, whichever the scenario has many of; at least 1.
    pub count: usize,
    /// Messages a publisher may have under way, 1 to [`WINDOW_MESSAGES_MAX`]. One is under way until every
    /// reader has it and, above QoS 0, the broker has acknowledged it.
    pub window_messages: usize,
    /// Quality of publishes and subscriptions.
    pub qos: Qos,
    /// Size of every payload, at least [`STAMP_BYTES`](crate::STAMP_BYTES).
    pub payload_bytes: usize,
    /// Protocol of all connections.
    pub version: Version,
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
    /// Marks this run's topics and payloads, so that runs cannot be mistaken for each other.
    pub run_id: u32,
}

impl Plan {
    /// How many connections publish.
    pub fn publishers(&self) -> usize {
        match self.scenario {
            Scenario::Pairs | Scenario::FanIn => self.count,
            Scenario::FanOut => 1,
        }
    }

    /// How many connections read.
    pub fn readers(&self) -> usize {
        match self.scenario {
            Scenario::Pairs | Scenario::FanOut => self.count,
            Scenario::FanIn => 1,
        }
    }

    /// How many readers get each message.
    pub fn readers_per_message(&self) -> usize {
        match self.scenario {
            Scenario::Pairs | Scenario::FanIn => 1,
            Scenario::FanOut => self.count,
        }
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
            Scenario::FanOut => Some(reader),
        }
    }

    /// The topic a publisher publishes to.
    pub fn topic(&self, publisher: usize) -> String {
        format!("bench/{:08x}/{publisher}", self.run_id)
    }

    /// The filter a reader subscribes to.
    pub fn filter(&self, reader: usize) -> String {
        match self.scenario {
            Scenario::Pairs => self.topic(reader),
            Scenario::FanIn => String::from("#"),
            Scenario::FanOut => self.topic(0),
        }
    }
}
