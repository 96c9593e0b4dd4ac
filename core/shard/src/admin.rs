//! What the one who holds the broker asks of a shard about its clients, sessions and retained messages, and what it has
//! done to them. A page a time, so that no table is walked in one turn however large it is.

use std::rc::Rc;

use bytes::Bytes;
use ringmq_proto::conn::Phase;
use ringmq_proto::session::Change;
use ringmq_proto::time::Now;
use ringmq_route::PageEnd;
use ringmq_wire::message::Message;
use ringmq_wire::{Qos, Version};

use crate::fault;
use crate::fill::seconds_left;
use crate::input::ConnId;
use crate::limits::{ADMIN_PAGE_BYTES, ADMIN_PAGE_MAX};
use crate::retained_open::TopicVersion;
use crate::sessions::{Attached, Home, SessionId};
use crate::{Shard, retained};

/// One question; each is answered with the [`AdminAnswer`] of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminQuestion {
    /// Which sessions of clients live here, from this place of the table on?
    Sessions {
        /// 0, then what the last answer said.
        from: u32,
    },
    /// Disconnect the client with this ClientID, with 0x98 Administrative action.
    Kick {
        /// Its ClientID.
        client_id: String,
        /// Whether its session ends too.
        end_session: bool,
    },
    /// Which retained messages of topics of this shard match, behind this topic?
    Retained {
        /// A topic filter.
        filter: String,
        /// Nothing, then what the last answer said.
        after: Option<String>,
    },
    /// The wall clock has been set ahead: what is due by now of the sessions and connections from this place of the
    /// tables on?
    TimePassed {
        /// 0, then what the last answer said.
        from: u32,
        /// Milliseconds that the keep alive of connections has run as well, for once.
        keep_alive: u64,
    },
    /// End the sessions of all clients, connected or not, and forget all retained messages but the broker's own, from
    /// this place of the table on.
    Reset {
        /// 0, then what the last answer said.
        from: u32,
    },
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAnswer {
    /// Some sessions, in no order.
    Sessions {
        /// What is known of each.
        sessions: Vec<SessionReport>,
        /// Where to go on; nothing at the end.
        next: Option<u32>,
    },
    /// Whether there was such a session.
    Kicked(bool),
    /// Some messages, in the order of their topics by levels.
    Retained {
        /// The messages.
        messages: Vec<RetainedReport>,
        /// Behind which topic to go on; nothing at the end.
        next: Option<String>,
    },
    /// As far as it came.
    TimePassed {
        /// Where to go on; nothing at the end.
        next: Option<u32>,
    },
    /// As far as it came.
    Reset {
        /// Where to go on; nothing at the end.
        next: Option<u32>,
    },
}

/// What is known of a client's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// Its ClientID.
    pub client_id: String,
    /// Whether its client is connected.
    pub connected: bool,
    /// The user name it connected with last.
    pub user_name: Option<String>,
    /// Where its connection comes from; nothing without one, and behind a Unix socket.
    pub address: Option<std::net::SocketAddr>,
    /// What its connection speaks; nothing without one.
    pub version: Option<Version>,
    /// Keep alive of its connection in seconds, 0 without one.
    pub keep_alive_seconds: u16,
    /// Seconds the session outlives the connection, `u32::MAX` for ever.
    pub expiry_seconds: u32,
    /// Filters, `$share/…/` included, with the QoS granted, in the order of filters; the first 1,000 and 64 KiB of them.
    pub subscriptions: Vec<(String, Qos)>,
    /// Messages that wait to be sent.
    pub queued: u64,
    /// Bytes of them.
    pub queued_bytes: u64,
    /// Messages of QoS 1 and 2 sent and not yet complete.
    pub inflight: u64,
}

/// A retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedReport {
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Bytes,
    /// The QoS it was published with.
    pub qos: Qos,
    /// Its properties as they stand in a PUBLISH, without their length.
    pub properties: ringmq_wire::PropertiesBuffer,
    /// Seconds until it expires.
    pub expiry_left_seconds: Option<u32>,
}

impl RetainedReport {
    fn new(message: &Message, now: Now) -> Self {
        let mut properties = ringmq_wire::PropertiesBuffer::new();
        properties.push_raw(message.properties());
        Self {
            topic: message.topic().to_owned(),
            payload: message.payload_bytes(),
            qos: message.qos(),
            properties,
            expiry_left_seconds: message.expires_at().map(|at| seconds_left(at, now.wall.0)),
        }
    }
}

/// Subscriptions that a report has.
const SUBSCRIPTIONS_MAX: usize = 1000;
/// Bytes of their filters.
const SUBSCRIPTIONS_BYTES_MAX: usize = 64 << 10;

impl Shard {
    pub(crate) fn administer(&mut self, now: Now, question: &AdminQuestion) -> AdminAnswer {
        match question {
            AdminQuestion::Sessions { from } => self.report_sessions(*from),
            AdminQuestion::Kick { client_id, end_session } => {
                let session = self.session_of(client_id).filter(|session| self.is_clients(*session));
                session.iter().for_each(|session| self.kick(now, *session, *end_session));
                AdminAnswer::Kicked(session.is_some())
            }
            AdminQuestion::Retained { filter, after } => self.report_retained(now, filter, after.as_deref()),
            AdminQuestion::TimePassed { from, keep_alive } => self.time_passed(now, *from, *keep_alive),
            AdminQuestion::Reset { from } => {
                let (ids, next) = self.page_of_sessions(*from);
                for id in ids {
                    self.kick(now, id, true);
                }
                let more = self.forget_retained();
                // A page of sessions that has been dealt with is empty when it comes again.
                AdminAnswer::Reset { next: next.or_else(|| more.then_some(*from)) }
            }
        }
    }

    /// Sessions of clients in the next places of the table, and where to go on.
    fn page_of_sessions(&self, from: u32) -> (Vec<SessionId>, Option<u32>) {
        let end = self.sessions.slots();
        let last = from.saturating_add(ADMIN_PAGE_MAX).min(end);
        let ids = (from..last).filter_map(|slot| self.sessions.id_of_slot(slot));
        (ids.filter(|id| self.is_clients(*id)).collect(), (last < end).then_some(last))
    }

    fn is_clients(&self, session: SessionId) -> bool {
        self.sessions.at(session).is_some_and(|home| !matches!(home.attached, Attached::Local(_)))
    }

    fn report_sessions(&self, from: u32) -> AdminAnswer {
        let (ids, next) = self.page_of_sessions(from);
        let homes = ids.into_iter().filter_map(|id| self.sessions.at(id));
        AdminAnswer::Sessions { sessions: homes.map(|home| self.report(home)).collect(), next }
    }

    fn report(&self, home: &Home) -> SessionReport {
        let link = match home.attached {
            Attached::Link(id) => self.links.at(id),
            _ => None,
        };
        let session = &home.session;
        let mut bytes = 0;
        let subscriptions = session.subscriptions.iter().take(SUBSCRIPTIONS_MAX).take_while(|(filter, _)| {
            bytes += filter.len();
            bytes <= SUBSCRIPTIONS_BYTES_MAX
        });
        SessionReport {
            client_id: session.client_id.to_string(),
            connected: link.is_some(),
            user_name: home.user_name().map(str::to_owned),
            address: link.and_then(|link| link.peer.socket),
            version: link.map(|link| link.conn.version),
            keep_alive_seconds: link.map_or(0, |link| link.conn.keep_alive.seconds),
            expiry_seconds: session.expiry_seconds,
            subscriptions: subscriptions
                .map(|(filter, held)| (filter.to_string(), held.options.qos))
                .collect(),
            queued: session.queue.len() as u64,
            queued_bytes: session.queue.bytes(),
            inflight: session.inflight.len() as u64,
        }
    }

    /// Disconnects the client of a session, and ends the session if that is wanted; its will is published.
    fn kick(&mut self, now: Now, session: SessionId, end_session: bool) {
        if end_session {
            self.change(session, Change::ExpirySet { expiry_seconds: 0 });
        }
        if let Some(Home { attached: Attached::Link(id), .. }) = self.sessions.at(session) {
            let id = *id;
            self.fault(now, id, fault::KICKED);
        }
        if end_session && self.sessions.at(session).is_some() {
            self.publish_will(now, session);
            self.session_end(session);
        }
    }

    /// What the timers would do, which were armed before the clock was set ahead.
    fn time_passed(&mut self, now: Now, from: u32, keep_alive: u64) -> AdminAnswer {
        let end = self.sessions.slots().max(self.links.slots());
        let last = from.saturating_add(ADMIN_PAGE_MAX).min(end);
        for slot in from..last {
            if let Some(id) = self.sessions.id_of_slot(slot) {
                self.will_is_due(now, id);
                self.session_is_due(now, id);
            }
            if let Some(id) = self.links.id_of_slot(slot) {
                self.login_over(now, id);
                if keep_alive > 0 {
                    self.keep_alive_passed(now, id, keep_alive);
                }
            }
        }
        AdminAnswer::TimePassed { next: (last < end).then_some(last) }
    }

    fn keep_alive_passed(&mut self, now: Now, id: ConnId, milliseconds: u64) {
        let link = self.links.at(id).filter(|link| link.conn.phase == Phase::Connected);
        let deadline = link.and_then(|link| link.conn.keep_alive.deadline());
        if deadline.is_some_and(|at| at <= now.mono.plus(milliseconds)) {
            self.fault(now, id, fault::KEEP_ALIVE);
        }
    }

    fn report_retained(&self, now: Now, filter: &str, after: Option<&str>) -> AdminAnswer {
        let (mut messages, mut bytes) = (Vec::new(), 0);
        let end = self.retained.page(filter, after, |message: &Rc<Message>| {
            if retained::is_expired(message, now.wall) {
                return true;
            }
            let is_full = messages.len() >= ADMIN_PAGE_MAX as usize
                || (!messages.is_empty() && bytes + message.bytes() > ADMIN_PAGE_BYTES);
            if !is_full {
                bytes += message.bytes();
                messages.push(RetainedReport::new(message, now));
            }
            !is_full
        });
        let next = match end {
            PageEnd::Done => None,
            PageEnd::More(topic) => Some(topic),
        };
        AdminAnswer::Retained { messages, next }
    }

    /// Forgets some retained messages, and says whether more are left.
    fn forget_retained(&mut self) -> bool {
        let mut topics = Vec::new();
        // Filters with a wildcard at the front do not see the broker's own topics [MQTT-4.7.2-1].
        let end = self.retained.page("#", None, |message: &Rc<Message>| {
            topics.push(message.topic().to_owned());
            topics.len() < ADMIN_PAGE_MAX as usize
        });
        for topic in &topics {
            let stamp = self.common.stamps.next();
            self.clear_retained(topic, &TopicVersion { stamp, message: None, open: false });
        }
        !matches!(end, PageEnd::Done)
    }
}
