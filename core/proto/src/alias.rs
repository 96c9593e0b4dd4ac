//! Topic aliases of MQTT 5.0, one table per connection and direction. They end with the connection and are
//! never carried to another one [MQTT-3.3.2-7].

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use ringmq_wire::ReasonCode;

/// What a peer did wrong with a topic alias. The owner of the connection closes it with [`Self::reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AliasViolation {
    /// The alias is zero [MQTT-3.3.2-8].
    Zero,
    /// The alias is greater than the receiver's maximum [MQTT-3.3.2-9, MQTT-3.3.2-11].
    AboveMaximum,
    /// The topic is empty and nothing was bound to the alias on this connection.
    Unknown,
}

impl AliasViolation {
    /// The reason code for DISCONNECT.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Zero | Self::AboveMaximum => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::Unknown => ReasonCode::PROTOCOL_ERROR,
        }
    }

    /// The clause of MQTT 5.0 that is broken; for a rule without a number, `MQTT-` and its section.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Zero => "MQTT-3.3.2-8",
            Self::AboveMaximum => "MQTT-3.3.2-9",
            Self::Unknown => "MQTT-3.3.2.3.4",
        }
    }
}

impl core::fmt::Display for AliasViolation {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text = match self {
            Self::Zero => "The topic alias is zero.",
            Self::AboveMaximum => "The topic alias is greater than the maximum.",
            Self::Unknown => "The topic is empty and the topic alias is not bound.",
        };
        write!(formatter, "{text} [{}]", self.clause())
    }
}

/// Aliases that the peer binds; at most `max` topics are kept, and memory only for those it did bind.
#[derive(Debug, Default)]
pub struct InboundAliases(Option<Box<InboundTable>>);

#[derive(Debug)]
struct InboundTable {
    max: u16,
    topics: Vec<Option<String>>,
}

impl InboundAliases {
    /// A table that accepts aliases 1 to `max`; 0 accepts none and allocates nothing.
    #[must_use]
    pub fn new(max: u16) -> Self {
        Self((max > 0).then(|| Box::new(InboundTable { max, topics: Vec::new() })))
    }

    /// The topic that a PUBLISH is for: its own, which binds the alias if there is one, or the one bound.
    ///
    /// # Errors
    /// An alias of zero or above the maximum, and an empty topic for an alias that is not bound.
    pub fn resolve<'a>(&'a mut self, alias: Option<u16>, topic: &'a str) -> Result<&'a str, AliasViolation> {
        let Some(alias) = alias else { return Ok(topic) };
        if alias == 0 {
            return Err(AliasViolation::Zero);
        }
        let table = self.0.as_mut().filter(|table| alias <= table.max).ok_or(AliasViolation::AboveMaximum)?;
        let at = usize::from(alias) - 1;
        if topic.is_empty() {
            let bound = table.topics.get(at).and_then(Option::as_deref);
            return bound.ok_or(AliasViolation::Unknown);
        }
        if table.topics.len() <= at {
            table.topics.resize(at + 1, None);
        }
        let kept = table.topics[at].get_or_insert_default();
        kept.clear();
        kept.push_str(topic);
        Ok(topic)
    }
}

/// Topics for which an alias is kept at a time. A linear scan over this many hashes costs less than a table.
const OUTBOUND_MAX: u16 = 64;

/// Topics shorter than this gain nothing: the property that carries the alias takes 3 bytes.
const TOPIC_BYTES_MIN: usize = 4;

/// Recently seen topics that are remembered by a part of their hash until they come again.
const SEEN_MAX: usize = 64;

/// Memory of a topic up to this length is used again for the next one; a longer one would be kept for nothing.
const TOPIC_BYTES_REUSED_MAX: usize = 256;

#[derive(Debug)]
struct Bound {
    hash: u64,
    used: u32,
    topic: String,
}

/// Aliases that this side binds. A topic gets one when it comes the second time; of the topics bound, the
/// one unused for longest gives way. Allocates on first use; at most 64 topics are kept.
#[derive(Debug, Default)]
pub struct OutboundAliases {
    max: u16,
    table: Option<Box<OutboundTable>>,
}

#[derive(Debug)]
struct OutboundTable {
    max: u16,
    clock: u32,
    bound: Vec<Bound>,
    seen: [u32; SEEN_MAX],
}

impl OutboundAliases {
    /// A table that uses aliases 1 to `max` at most; 0 uses none.
    #[must_use]
    pub const fn new(max: u16) -> Self {
        let max = if max < OUTBOUND_MAX { max } else { OUTBOUND_MAX };
        Self { max, table: None }
    }

    /// Whether any topic may get an alias.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.max > 0
    }

    /// The alias to send with this topic, and whether the topic itself must go along because this binds it.
    /// Whoever asks must send the packet: the binding stands from here on.
    pub fn assign(&mut self, topic: &str) -> Option<(u16, bool)> {
        if self.max == 0 || topic.len() < TOPIC_BYTES_MIN {
            return None;
        }
        let max = self.max;
        let new = || Box::new(OutboundTable { max, clock: 0, bound: Vec::new(), seen: [0; SEEN_MAX] });
        self.table.get_or_insert_with(new).assign(topic)
    }
}

impl OutboundTable {
    fn assign(&mut self, topic: &str) -> Option<(u16, bool)> {
        self.clock = self.clock.wrapping_add(1);
        let hash = foldhash::fast::FixedState::default().hash_one(topic);
        let found = self.bound.iter().position(|bound| bound.hash == hash && *bound.topic == *topic);
        if let Some(at) = found {
            self.bound[at].used = self.clock;
            return alias(at).map(|alias| (alias, false));
        }
        if !self.came_before(hash) {
            return None;
        }
        let at = self.bind(hash, topic);
        alias(at).map(|alias| (alias, true))
    }

    /// Whether a topic of this hash was seen lately; remembers it either way.
    fn came_before(&mut self, hash: u64) -> bool {
        // The low bits choose the place, the high ones are compared; 0 stands for nothing seen.
        let tag = (hash >> 32) as u32 | 1;
        let place = &mut self.seen[hash as usize % SEEN_MAX];
        core::mem::replace(place, tag) == tag
    }

    fn bind(&mut self, hash: u64, topic: &str) -> usize {
        if self.bound.len() < usize::from(self.max) {
            self.bound.push(Bound { hash, used: self.clock, topic: topic.into() });
            return self.bound.len() - 1;
        }
        let clock = self.clock;
        let oldest = self.bound.iter().enumerate().max_by_key(|(_, bound)| clock.wrapping_sub(bound.used));
        let at = oldest.map_or(0, |(at, _)| at);
        let bound = &mut self.bound[at];
        (bound.hash, bound.used) = (hash, clock);
        if bound.topic.capacity() > TOPIC_BYTES_REUSED_MAX {
            bound.topic = String::new();
        }
        bound.topic.clear();
        bound.topic.push_str(topic);
        at
    }
}

fn alias(at: usize) -> Option<u16> {
    u16::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn inbound_rules() {
        let mut aliases = InboundAliases::new(3);
        let rows: [(Option<u16>, &str, Result<&str, AliasViolation>); 9] = [
            (None, "a", Ok("a")),
            (Some(1), "", Err(AliasViolation::Unknown)),
            (Some(1), "a", Ok("a")),
            (Some(1), "", Ok("a")),
            (Some(1), "b/c", Ok("b/c")),
            (Some(1), "", Ok("b/c")),
            (Some(3), "", Err(AliasViolation::Unknown)),
            (Some(4), "a", Err(AliasViolation::AboveMaximum)),
            (Some(0), "a", Err(AliasViolation::Zero)),
        ];
        for (alias, topic, expected) in rows {
            assert_eq!(aliases.resolve(alias, topic), expected, "{alias:?} {topic:?}");
        }
        assert_eq!(InboundAliases::new(0).resolve(Some(1), "a"), Err(AliasViolation::AboveMaximum));
    }

    #[test]
    fn outbound_binds_what_comes_again() {
        let mut aliases = OutboundAliases::new(2);
        assert_eq!(aliases.assign("room/1"), None);
        assert_eq!(aliases.assign("room/1"), Some((1, true)));
        assert_eq!(aliases.assign("room/1"), Some((1, false)));
        assert_eq!(aliases.assign("a"), None);
        assert_eq!(aliases.assign("a"), None);
        assert_eq!(OutboundAliases::new(0).assign("room/1"), None);
    }

    /// What this side sends must always resolve to the right topic on the other side.
    #[test]
    fn both_sides_agree() {
        let mut out = OutboundAliases::new(u16::MAX);
        let mut into = InboundAliases::new(OUTBOUND_MAX);
        let mut seed = 7_u32;
        let mut short = 0;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let topic = format!("site/{}/temperature", (seed >> 20) % 100);
            let (alias, sent) = match out.assign(&topic) {
                Some((alias, true)) => (Some(alias), topic.as_str()),
                Some((alias, false)) => (Some(alias), ""),
                None => (None, topic.as_str()),
            };
            short += u32::from(sent.is_empty());
            assert_eq!(into.resolve(alias, sent), Ok(topic.as_str()));
        }
        assert!(short > 5_000, "aliases must pay for repeated topics, {short} of 20,000 went short");
    }
}
