//! What to subscribe to and to unsubscribe from.

use ringmq_proto::peer::{SubscribeRequest, UnsubscribeRequest};
use ringmq_wire::{Qos, SubscriptionOptions};

/// One or more filters for one SUBSCRIBE.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Subscribe {
    pub(crate) inner: SubscribeRequest,
}

impl Subscribe {
    /// One filter at a QoS.
    pub fn new(filter: impl Into<String>, qos: Qos) -> Self {
        Self::default().filter(filter, SubscriptionOptions::qos(qos))
    }

    /// Adds a filter. Outside 5.0 only the QoS of the options counts.
    pub fn filter(mut self, filter: impl Into<String>, options: SubscriptionOptions) -> Self {
        self.inner.filters.push((filter.into(), options));
        self
    }

    /// The identifier that comes with messages of these subscriptions, 1 to 268,435,455 (5.0).
    pub fn identifier(mut self, identifier: u32) -> Self {
        self.inner.subscription_id = Some(identifier);
        self
    }

    /// Adds a user property (5.0).
    pub fn user_property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.inner.user_properties.push((name.into(), value.into()));
        self
    }
}

impl<F: Into<String>> From<(F, Qos)> for Subscribe {
    fn from((filter, qos): (F, Qos)) -> Self {
        Self::new(filter, qos)
    }
}

impl<F: Into<String>, const N: usize> From<[(F, Qos); N]> for Subscribe {
    fn from(filters: [(F, Qos); N]) -> Self {
        let add =
            |request: Self, (filter, qos): (F, Qos)| request.filter(filter, SubscriptionOptions::qos(qos));
        filters.into_iter().fold(Self::default(), add)
    }
}

/// One or more filters for one UNSUBSCRIBE.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Unsubscribe {
    pub(crate) inner: UnsubscribeRequest,
}

impl Unsubscribe {
    /// One filter.
    pub fn new(filter: impl Into<String>) -> Self {
        Self::default().filter(filter)
    }

    /// Adds a filter.
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.inner.filters.push(filter.into());
        self
    }

    /// Adds a user property (5.0).
    pub fn user_property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.inner.user_properties.push((name.into(), value.into()));
        self
    }
}

impl From<&str> for Unsubscribe {
    fn from(filter: &str) -> Self {
        Self::new(filter)
    }
}

impl<F: Into<String>, const N: usize> From<[F; N]> for Unsubscribe {
    fn from(filters: [F; N]) -> Self {
        filters.into_iter().fold(Self::default(), Self::filter)
    }
}
