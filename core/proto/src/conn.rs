//! The broker's side of a connection: what CONNECT agreed on, where the connection stands in its life, and
//! the bytes that wait for their turn. It never touches the session.
//!
//! ```text
//!  AwaitConnect ── CONNECT accepted ──▶ Connected ── nothing more to say ──▶ Closing ── flushed ──▶ (gone)
//!       │                                  │  broker says goodbye              ▲
//!       │ refused, violation, timeout      └────────────▶ Leaving ─────────────┘
//!       └──────────────────────────────────────────────────────────────────────┘
//! ```

use alloc::vec::Vec;

use ringmq_wire::{Connect, Property, ReasonCode, Version};

use crate::alias::{InboundAliases, OutboundAliases};
use crate::time::Mono;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No CONNECT was accepted yet.
    AwaitConnect,
    /// CONNACK with success was sent.
    Connected,
    /// What is queued is still sent, then DISCONNECT with this code.
    Leaving(ReasonCode),
    /// Only what is encoded is still sent.
    Closing,
}

/// What the client can take, from its CONNECT.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    /// Largest packet, in bytes [MQTT-3.1.2-24].
    pub packet_bytes_max: u32,
    /// QoS 1 and 2 publishes it takes unacknowledged.
    pub receive_maximum: u16,
    /// Whether it wants reason strings and user properties on answers [MQTT-3.1.2-29].
    pub problem_information: bool,
    /// Whether it wants response information.
    pub response_information: bool,
}

impl ClientLimits {
    /// From CONNECT; what 3.x does not know is unlimited.
    #[must_use]
    pub fn of(connect: &Connect<'_>) -> Self {
        let p = connect.properties;
        Self {
            packet_bytes_max: p.u32(Property::MaximumPacketSize).unwrap_or(u32::MAX),
            receive_maximum: p.u16(Property::ReceiveMaximum).unwrap_or(u16::MAX),
            problem_information: p.u8(Property::RequestProblemInformation) != Some(0),
            response_information: p.u8(Property::RequestResponseInformation) == Some(1),
        }
    }
}

/// The time a silent client has [MQTT-3.1.2-22].
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAlive {
    /// Seconds agreed on; 0 means none.
    pub seconds: u16,
    /// When the last packet was complete.
    pub last_packet: Mono,
}

impl KeepAlive {
    /// When the connection is to be closed unless a packet arrives: one and a half times the keep alive.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        (self.seconds > 0).then(|| self.last_packet.plus(u64::from(self.seconds) * 1500))
    }
}

/// The broker's side of one connection.
#[derive(Debug)]
pub struct Conn {
    /// Where it stands.
    pub phase: Phase,
    /// Version of CONNECT; 3.1.1 before.
    pub version: Version,
    /// A bridge: no message goes back to it and RETAIN is kept.
    pub bridge: bool,
    /// What the client can take.
    pub limits: ClientLimits,
    /// The time a silent client has.
    pub keep_alive: KeepAlive,
    /// Aliases the client uses.
    pub aliases_in: InboundAliases,
    /// Aliases the broker uses.
    pub aliases_out: OutboundAliases,
    /// Bytes received and not yet used: an incomplete packet, or packets that wait for their turn.
    pub inbox: Vec<u8>,
}

impl Conn {
    /// A connection before its CONNECT.
    #[must_use]
    pub fn new(now: Mono) -> Self {
        Self {
            phase: Phase::AwaitConnect,
            version: Version::V311,
            bridge: false,
            limits: ClientLimits {
                packet_bytes_max: u32::MAX,
                receive_maximum: u16::MAX,
                problem_information: true,
                response_information: false,
            },
            keep_alive: KeepAlive { seconds: 0, last_packet: now },
            aliases_in: InboundAliases::new(0),
            aliases_out: OutboundAliases::new(0),
            inbox: Vec::new(),
        }
    }

    /// Takes over what an accepted CONNECT says. `alias_in_max` and `alias_out_max` bound the aliases of
    /// either side; `keep_alive` is what the server decided on.
    pub fn accept(&mut self, connect: &Connect<'_>, keep_alive: u16, alias_in_max: u16, alias_out_max: u16) {
        self.phase = Phase::Connected;
        self.version = connect.version;
        self.bridge = connect.bridge;
        self.limits = ClientLimits::of(connect);
        self.keep_alive.seconds = keep_alive;
        if connect.version == Version::V5 {
            self.aliases_in = InboundAliases::new(alias_in_max);
            let client_max = connect.properties.u16(Property::TopicAliasMaximum).unwrap_or(0);
            self.aliases_out = OutboundAliases::new(client_max.min(alias_out_max));
        }
    }

    /// Whether packets are still processed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::AwaitConnect | Phase::Connected)
    }
}
