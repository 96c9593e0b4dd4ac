//! The loads: who publishes to whom, in which version and quality.

use ringmq_wire::{Qos, Version};

/// Who is subscribed to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Each publisher has a topic and a subscriber of its own.
    Pairs,
    /// All publishers, each with a topic of its own, have the same subscribers, to `#`.
    In,
    /// All publishers publish to the one topic that all subscribers have.
    Out,
    /// As `Out`, but the subscribers share one subscription.
    Shared,
}

/// One load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Who is subscribed to what.
    pub shape: Shape,
    /// How many publishers.
    pub publishers: usize,
    /// How many subscribers.
    pub subscribers: usize,
    /// Spoken by all clients.
    pub version: Version,
    /// Of publishes and subscriptions.
    pub qos: Qos,
    /// Of each message.
    pub payload_bytes: usize,
    /// Publishes that one read brings.
    pub per_read: usize,
    /// 1, or 2: then all publishers are at the first and all subscribers at the second.
    pub shards: usize,
    /// Whether publishes carry properties (5.0).
    pub properties: bool,
    /// Whether publishers use topic aliases, and subscribers take them (5.0).
    pub aliases: bool,
}

impl Load {
    /// QoS 0 of 16 bytes in 3.1.1, one publish a read, at one shard.
    pub const fn new(shape: Shape, publishers: usize, subscribers: usize) -> Self {
        Self {
            shape,
            publishers,
            subscribers,
            version: Version::V311,
            qos: Qos::AtMostOnce,
            payload_bytes: 16,
            per_read: 1,
            shards: 1,
            properties: false,
            aliases: false,
        }
    }

    /// A hundred pairs.
    pub const fn pairs() -> Self {
        Self::new(Shape::Pairs, 100, 100)
    }

    /// A hundred to one.
    pub const fn fan_in() -> Self {
        Self::new(Shape::In, 100, 1)
    }

    /// One to a hundred.
    pub const fn fan_out() -> Self {
        Self::new(Shape::Out, 1, 100)
    }

    /// Ten to a group of ten.
    pub const fn shared() -> Self {
        Self::new(Shape::Shared, 10, 10)
    }

    /// Messages that reach a subscriber for each publish.
    pub const fn deliveries_per_publish(&self) -> usize {
        match self.shape {
            Shape::Pairs | Shape::Shared => 1,
            Shape::In | Shape::Out => self.subscribers,
        }
    }

    /// The topic of a publisher.
    pub fn topic(&self, publisher: usize) -> String {
        match self.shape {
            Shape::Pairs | Shape::In => format!("site/{publisher}/temperature"),
            Shape::Out | Shape::Shared => "site/all/temperature".to_owned(),
        }
    }

    /// The filter of a subscriber.
    pub fn filter(&self, subscriber: usize) -> String {
        match self.shape {
            Shape::Pairs => self.topic(subscriber),
            Shape::In => "#".to_owned(),
            Shape::Out => self.topic(0),
            Shape::Shared => format!("$share/group/{}", self.topic(0)),
        }
    }
}
