//! What a program sees and changes of what goes on: clients that come and go, and messages before they are published. A
//! message that has become another is kept while its packet waits, checked like those of clients, and used once. Nothing
//! of it is there for a broker without hooks.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ringmq_proto::time::Now;
use ringmq_wire::{
    Connect, Place, Properties, PropertiesBuffer, Property, Publish, Qos, ReasonCode, TopicName, Will,
};

use crate::authz::{Answer, PeerAddress, Reader, Ticket};
use crate::input::ConnId;
use crate::links::{Link, Said};
use crate::sessions::SessionId;
use crate::{LogLevel, Shard};

/// What a program sees and changes of what goes on. Called on the shard's core: it must return at once.
pub trait Hooks {
    /// A client has connected: CONNACK is on its way.
    fn connected(&mut self, _: &PeerAddress, _: &Reader<'_>) {}

    /// A client that had connected is gone. The reason is that of DISCONNECT, whoever has sent it; with 3.x, which does
    /// not say so much, what it would be. Nothing when the connection ended without one.
    fn disconnected(&mut self, _: &Reader<'_>, _: Option<ReasonCode>) {}

    /// Whether it wants to see messages. Asked once.
    fn sees_messages(&self) -> bool {
        false
    }

    /// A client that may do so publishes this, or has it as its will when it connects. The answer is
    /// [`Verdict::Allow`](crate::Verdict::Allow), [`Verdict::Rewrite`](crate::Verdict::Rewrite),
    /// [`Verdict::Refuse`](crate::Verdict::Refuse) or no; one that does not come in time is no. Later packets of this
    /// connection wait, others go on. Messages of in-process handles are not shown.
    fn publish(&mut self, _: Ticket, _: &Offered<'_>) -> Answer {
        Answer::Now(crate::Verdict::Allow)
    }
}

/// What a shard has of hooks.
#[derive(Default)]
pub(crate) struct Seeing {
    hooks: Option<Box<dyn Hooks>>,
    sees_messages: bool,
    /// What has become of publishes that are under way, by their connections.
    rewritten: HashMap<ConnId, Arc<Rewritten>>,
}

impl Seeing {
    /// Whether a program sees messages.
    pub(crate) const fn sees_messages(&self) -> bool {
        self.sees_messages
    }

    /// A publish that is under way becomes this.
    pub(crate) fn rewrite(&mut self, id: ConnId, rewritten: &Arc<Rewritten>) {
        self.rewritten.insert(id, Arc::clone(rewritten));
    }
}

/// A message that a client wants to publish.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// Who. Its listener is the one through which it connects.
    pub publisher: Reader<'a>,
    /// The topic name.
    pub topic: &'a str,
    /// The QoS, which stays.
    pub qos: Qos,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Properties of the PUBLISH, or of the will.
    pub properties: Properties<'a>,
    /// What it says.
    pub payload: &'a [u8],
    /// Whether it is the will of a client that connects.
    pub is_will: bool,
}

/// What has become of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The topic name.
    pub topic: Box<str>,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Properties of a PUBLISH, without topic alias and subscription identifiers; of a will, its delay stays.
    pub properties: PropertiesBuffer,
    /// What it says.
    pub payload: Bytes,
}

impl Rewritten {
    /// The publish that is made of this one. The topic stands by itself, as with an alias.
    pub(crate) fn publish<'a>(&'a self, publish: &Publish<'a>) -> Publish<'a> {
        Publish {
            retain: self.retain,
            properties: self.properties.as_properties(),
            payload: &self.payload,
            ..*publish
        }
    }

    /// The properties of a will that is made of this one: whether it is delayed is not the decider's.
    pub(crate) fn will_properties(&self, will: &Will<'_>) -> PropertiesBuffer {
        let mut properties = PropertiesBuffer::new();
        if let Some(seconds) = will.properties.u32(Property::WillDelayInterval) {
            properties.push_u32(Property::WillDelayInterval, seconds);
        }
        properties.push_raw(self.properties.as_properties());
        properties
    }

    /// The will that is made of this one, with what [`Rewritten::will_properties`] has given.
    pub(crate) fn will<'a>(&'a self, will: &Will<'a>, properties: &'a PropertiesBuffer) -> Will<'a> {
        Will {
            topic: TopicName::new(&self.topic).unwrap_or(will.topic),
            retain: self.retain,
            properties: properties.as_properties(),
            payload: &self.payload,
            ..*will
        }
    }
}

impl Shard {
    /// Has a program see what goes on, from now on.
    pub fn set_hooks(&mut self, hooks: Box<dyn Hooks>) {
        self.seeing.sees_messages = hooks.sees_messages();
        self.seeing.hooks = Some(hooks);
    }

    /// Tells that a client is there.
    pub(crate) fn tell_connected(&mut self, id: ConnId, session: SessionId) {
        let Some(hooks) = &mut self.seeing.hooks else { return };
        let reader = self.sessions.at(session).and_then(|home| home.reader());
        if let Some((link, reader)) = self.links.at(id).zip(reader) {
            hooks.connected(&link.peer, &reader);
        }
    }

    /// Tells that a client is gone.
    pub(crate) fn tell_disconnected(&mut self, session: SessionId, said: Option<ReasonCode>) {
        let Some(hooks) = &mut self.seeing.hooks else { return };
        if let Some(reader) = self.sessions.at(session).and_then(|home| home.reader()) {
            hooks.disconnected(&reader, said);
        }
    }

    /// Shows a message that may be published. It is the second question about a publish.
    pub(crate) fn show_publish(
        &mut self,
        now: Now,
        id: ConnId,
        session: SessionId,
        topic: &str,
        publish: &Publish<'_>,
    ) -> Said {
        if !self.seeing.sees_messages {
            return Said::Allow;
        }
        self.seen_before(id);
        if let Some(said) = self.said_before(id, 1) {
            return said;
        }
        let publisher = self.sessions.at(session).and_then(|home| home.reader());
        let (Some(hooks), Some(publisher)) = (&mut self.seeing.hooks, publisher) else {
            return Said::Nothing;
        };
        let &Publish { qos, retain, properties, payload, .. } = publish;
        let offered = Offered { publisher, topic, qos, retain, properties, payload, is_will: false };
        let ticket = Self::next_ticket(&mut self.tickets);
        let answer = hooks.publish(ticket, &offered);
        self.note_answer(now, id, ticket, answer)
    }

    /// Shows a will. It is the third question about a CONNECT.
    pub(crate) fn show_will(&mut self, now: Now, id: ConnId, connect: &Connect<'_>, client_id: &str) -> Said {
        let Some(will) = connect.will.filter(|_| self.seeing.sees_messages) else { return Said::Allow };
        if let Some(said) = self.said_before(id, 2) {
            return said;
        }
        let (Some(hooks), Some(link)) = (&mut self.seeing.hooks, self.links.at(id)) else {
            return Said::Nothing;
        };
        let identity = Link::identity(link);
        let known_as = identity.and_then(|identity| identity.user_name.as_deref());
        let user_name = known_as.or(connect.user_name);
        let publisher = Reader { client_id, user_name, identity, listener: link.peer.listener };
        let Will { qos, retain, properties, payload, topic } = will;
        let topic = topic.as_str();
        let offered = Offered { publisher, topic, qos, retain, properties, payload, is_will: true };
        let ticket = Self::next_ticket(&mut self.tickets);
        let answer = hooks.publish(ticket, &offered);
        self.note_answer(now, id, ticket, answer)
    }

    /// What became of the packet at hand.
    pub(crate) fn rewritten_of(&self, id: ConnId) -> Option<Arc<Rewritten>> {
        if self.seeing.rewritten.is_empty() { None } else { self.seeing.rewritten.get(&id).cloned() }
    }

    /// The same, and it is used up.
    pub(crate) fn take_rewritten(&mut self, id: ConnId) -> Option<Arc<Rewritten>> {
        if self.seeing.rewritten.is_empty() { None } else { self.seeing.rewritten.remove(&id) }
    }

    /// Whether it cannot be published; that is told in the log.
    pub(crate) fn is_spoilt(&mut self, id: ConnId, rewritten: &Rewritten) -> bool {
        let Some(wrong) = self.wrong_with(id, rewritten) else { return false };
        let who = self.who_is_at(id);
        // One for all is told of messages that are denied.
        self.log(LogLevel::Debug, || format!("A message was not published, rewritten of {who}: {wrong}."));
        true
    }

    fn wrong_with(&self, id: ConnId, rewritten: &Rewritten) -> Option<&'static str> {
        let Rewritten { topic, retain, properties, payload } = rewritten;
        let offer = self.offer_to(id);
        let of_one_hop = [Property::TopicAlias, Property::SubscriptionIdentifier];
        let bytes = topic.len() + properties.len() + payload.len();
        if topic.is_empty() || TopicName::new(topic).is_err() {
            return Some("its topic is no topic name");
        }
        if topic.starts_with("$SYS/")
            || topic.len() > self.settings.topic_bytes_max
            || topic.split('/').count() > self.settings.topic_levels_max
        {
            return Some("its topic is not allowed");
        }
        match properties.check(Place::Publish) {
            Err(_) => Some("its properties are not those of a PUBLISH"),
            Ok(properties) if of_one_hop.iter().any(|property| properties.contains(*property)) => {
                Some("topic alias and subscription identifiers are not for a message")
            }
            Ok(_) if *retain && !offer.retain_available => Some("retained messages are not available"),
            Ok(_) if bytes > offer.packet_bytes_max as usize => Some("it is too large"),
            Ok(_) => None,
        }
    }
}
