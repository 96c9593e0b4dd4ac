//! The sessions whose home is this shard: the table, what the shard knows of each beyond MQTT, and the one
//! way durable changes take.

use std::hash::Hasher;
use std::sync::Arc;

use ringmq_proto::session::{Change, Session};
use ringmq_proto::time::Mono;
use ringmq_store::{Body, Command, partition};
use ringmq_wire::{PacketId, Qos};
use siphasher::sip::SipHasher13;

use crate::Shard;
use crate::authz::{Identity, Reader};
use crate::backlog::Backlog;
use crate::counters::Counter;
use crate::input::ConnId;
use crate::local::{LOCAL_PREFIX, LocalId};
use crate::retained::Reading;
use crate::slots::slot_id;
use crate::wheel::TimerKey;

/// One session of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// Index in the shard's table.
    pub slot: u32,
    /// Tells users of the same slot apart.
    pub generation: u32,
}
slot_id!(SessionId);

/// Who takes a session's messages now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Nobody.
    Nobody,
    /// A client.
    Link(ConnId),
    /// An in-process handle.
    Local(LocalId),
}

/// A timer of which at most one means anything.
#[derive(Clone, Copy)]
pub struct ArmedTimer {
    /// When it fires.
    pub at: Mono,
    /// Which it is.
    pub key: TimerKey,
}

impl ArmedTimer {
    const NONE: Self = Self { at: Mono(0), key: TimerKey::NONE };
}

/// The timers of a session without connection.
pub struct EndTimers {
    /// For its end.
    pub expiry: ArmedTimer,
    /// For its will.
    pub will: ArmedTimer,
}

impl Default for EndTimers {
    fn default() -> Self {
        Self { expiry: ArmedTimer::NONE, will: ArmedTimer::NONE }
    }
}

/// What a session has beyond its full queue. Few ever do.
pub struct Overflow {
    /// Messages beyond the full queue.
    pub held: Backlog,
    /// Since when messages find the queue full and nothing leaves it. Once that is as long as a publish may be
    /// held, none is: a session that takes nothing is waited for once and not once for each message.
    pub full_since: Option<Mono>,
    /// When the timer for held messages fires; there is at most one that means anything.
    pub armed: Option<Mono>,
    /// That timer.
    pub timer: TimerKey,
    /// When a drop was logged last, and how many came since.
    pub drops: (Mono, u64),
}

impl Default for Overflow {
    fn default() -> Self {
        Self {
            held: Backlog::default(),
            full_since: None,
            armed: None,
            timer: TimerKey::NONE,
            drops: (Mono(0), 0),
        }
    }
}

/// Publishes that were not allowed.
#[derive(Default)]
pub struct Denials {
    /// When the log was told last.
    pub told: Option<Mono>,
    /// How many came since.
    pub count: u64,
}

/// Who a session's client is, beside its ClientID, and what became of what it was not allowed. Most sessions of an
/// open broker have none of it.
#[derive(Default)]
pub struct Who {
    /// The user name with which it connected last.
    pub user_name: Option<Box<str>>,
    /// Who the decider says that it is.
    pub identity: Option<Arc<Identity>>,
    /// Number of the listener through which it connected last.
    pub listener: u16,
    /// Its publishes that were not allowed.
    pub denials: Denials,
    /// Whether the log was told that it may not have as many wildcards or as deep ones as it wants.
    pub refusal_told: bool,
}

/// QoS 2 publishes on their way.
#[derive(Default)]
pub struct Routing(pub Vec<PacketId>);

/// A session with what its shard knows of it.
pub struct Home {
    /// The session itself.
    pub session: Session,
    /// The identity by which the client's own messages are known on every shard; never 0.
    pub uid: u64,
    /// Who takes its messages now.
    pub attached: Attached,
    /// Stamp of the CONNECT that was accepted last; an older one comes too late.
    pub connect_stamp: u64,
    /// What a full queue has made of it, once it was full.
    pub overflow: Option<Box<Overflow>>,
    /// QoS 2 publishes of this client on their way to their subscribers, once there was one.
    pub routing: Option<Box<Routing>>,
    /// What it has of the retained messages that it still reads, while it does.
    pub reading: Option<Box<Reading>>,
    /// Number of the publish that matched this session last.
    pub mark: u64,
    /// Where it stands in the match list.
    pub mark_place: u32,
    /// The same for a match that is made in parts: its number.
    pub part_mark: u64,
    /// And the place.
    pub part_place: u32,
    /// Its subscriptions whose filters have wildcards.
    pub wildcards: u32,
    /// Who its client is, where there is more to say than its ClientID.
    pub who: Option<Box<Who>>,
    /// Messages its queue may hold.
    pub queue_messages_max: u32,
    /// The timers for its end and its will, once either was armed.
    pub ends: Option<Box<EndTimers>>,
}

impl Home {
    /// Whether messages wait beyond the full queue.
    pub fn holds(&self) -> bool {
        self.overflow.as_ref().is_some_and(|overflow| !overflow.held.is_empty())
    }
    /// The client that its messages are for; nothing for an in-process handle, which may read everything.
    pub fn reader(&self) -> Option<Reader<'_>> {
        let is_local = matches!(self.attached, Attached::Local(_));
        (!is_local).then_some(Reader {
            client_id: &self.session.client_id,
            user_name: self.user_name(),
            identity: self.identity(),
            listener: self.who.as_ref().map_or(0, |who| who.listener),
        })
    }
    /// The user name with which its client connected last.
    pub fn user_name(&self) -> Option<&str> {
        self.who.as_ref()?.user_name.as_deref()
    }
    /// Who the decider says that its client is.
    pub fn identity(&self) -> Option<&Identity> {
        self.who.as_ref()?.identity.as_deref()
    }
    /// Who its client is, to say more about it.
    pub fn who(&mut self) -> &mut Who {
        self.who.get_or_insert_default()
    }
    /// Its client has connected: by this name, as this identity, through this listener.
    pub fn know(&mut self, user_name: Option<&str>, identity: Option<Arc<Identity>>, listener: u16) {
        if self.who.is_some() || user_name.is_some() || identity.is_some() || listener != 0 {
            let who = self.who();
            (who.user_name, who.identity, who.listener) = (user_name.map(Into::into), identity, listener);
        }
    }
    /// What a full queue makes of it.
    pub fn overflow(&mut self) -> &mut Overflow {
        self.overflow.get_or_insert_default()
    }
}

impl Shard {
    /// The identity of a session's client, 0 when there is no such session.
    pub(crate) fn uid_of(&self, id: SessionId) -> u64 {
        self.sessions.at(id).map_or(0, |home| home.uid)
    }

    /// The session of this ClientID, if this shard has it.
    pub(crate) fn session_of(&self, client_id: &str) -> Option<SessionId> {
        let uid = client_uid(&self.common.partition_key, client_id);
        let is_it =
            |id: &SessionId| self.sessions.at(*id).is_some_and(|h| &*h.session.client_id == client_id);
        self.by_client.find(uid, is_it).copied()
    }

    /// Makes a session.
    pub(crate) fn session_open(&mut self, client_id: &str) -> SessionId {
        self.epochs += 1;
        let home = Home {
            session: Session::new(client_id, self.epochs),
            uid: client_uid(&self.common.partition_key, client_id),
            attached: Attached::Nobody,
            connect_stamp: 0,
            overflow: None,
            routing: None,
            reading: None,
            mark: 0,
            mark_place: 0,
            part_mark: 0,
            part_place: 0,
            wildcards: 0,
            who: None,
            queue_messages_max: self.settings.queue_messages_max,
            ends: None,
        };
        let id = self.sessions.insert(home);
        let sessions = &self.sessions;
        let uid = |id: &SessionId| sessions.at(*id).map_or(0, |home| home.uid);
        self.by_client.insert_unique(uid(&id), id, uid);
        self.count_of(client_id).add(1);
        id
    }

    /// Carries out a change of a session. A durable session's change goes to the store first; what dies
    /// with the connection is applied only.
    pub(crate) fn change(&mut self, id: SessionId, change: Change) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        // A QoS 0 message dies with the connection: it is queued in memory only.
        let fleeting = matches!(&change, Change::Queued { entry } if entry.qos == Qos::AtMostOnce);
        if home.session.is_durable() && !fleeting {
            let client_id = &home.session.client_id;
            let epoch = home.session.epoch;
            let body = Body::Session { client_id, epoch, change: &change };
            let partition = partition(&self.common.partition_key, client_id.as_bytes());
            self.stored = self.store.submit(&Command { partition, body });
        }
        let before = (home.session.queue.len() as u64, home.session.queue.bytes());
        let inflight_before = home.session.inflight.len() as u64;
        let over = home.session.apply(change);
        let after = (home.session.queue.len() as u64, home.session.queue.bytes());
        let inflight_after = home.session.inflight.len() as u64;
        let awaited = home.overflow.as_ref().is_some_and(|overflow| overflow.full_since.is_some());
        if let Some(message) = over {
            self.messages.take_back(message);
        }
        self.count_queue(before, after);
        if inflight_before != inflight_after {
            self.counters().inflight.follow(inflight_before, inflight_after);
        }
        if awaited && after.0 < before.0 {
            self.made_progress(id);
        }
    }

    pub(crate) fn count_queue(&self, before: (u64, u64), after: (u64, u64)) {
        let counters = self.counters();
        counters.queued.follow(before.0, after.0);
        counters.queued_bytes.follow(before.1, after.1);
    }

    /// Ends a session: its subscriptions, queue and place are gone. What it had queued is counted as
    /// dropped, and what belongs to shared subscriptions goes back to them.
    pub(crate) fn session_end(&mut self, id: SessionId) {
        let filters: Vec<Box<str>> = match self.sessions.at(id) {
            Some(home) => home.session.subscriptions.keys().cloned().collect(),
            None => return,
        };
        for filter in &filters {
            self.unsubscribe_one(id, filter);
        }
        self.return_shared(id, true);
        self.fail_held(id);
        let Some(home) = self.sessions.remove(id) else { return };
        home.overflow.iter().for_each(|overflow| self.timers.cancel(overflow.timer));
        for timer in home.ends.iter().flat_map(|ends| [ends.expiry, ends.will]) {
            self.timers.cancel(timer.key);
        }
        if let Ok(entry) = self.by_client.find_entry(home.uid, |other| *other == id) {
            entry.remove();
        }
        if home.session.is_durable() {
            let (client_id, epoch) = (&*home.session.client_id, home.session.epoch);
            let partition = partition(&self.common.partition_key, client_id.as_bytes());
            self.stored =
                self.store.submit(&Command { partition, body: Body::SessionEnded { client_id, epoch } });
        }
        let queue = &home.session.queue;
        self.count_queue((queue.len() as u64, queue.bytes()), (0, 0));
        let unfinished = home.session.inflight.iter().filter(|(_, sent)| sent.entry.is_some()).count();
        let counters = self.counters();
        counters.dropped_session_ended.add(queue.len() as u64 + unfinished as u64);
        counters.inflight.sub(home.session.inflight.len() as u64);
        self.count_of(&home.session.client_id).sub(1);
        if matches!(home.attached, Attached::Link(_)) {
            self.counters().sessions_connected.sub(1);
        }
    }

    /// Where a session is counted: a program's own is no client's.
    fn count_of(&self, client_id: &str) -> &Counter {
        let counters = self.counters();
        if client_id.starts_with(LOCAL_PREFIX) { &counters.handles } else { &counters.sessions }
    }
}

/// The identity of a client is made of its ClientID alone: No Local is about ClientIDs, whichever session or
/// shard they stand for [MQTT-3.8.3-3].
fn client_uid(key: &[u8; 16], client_id: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(client_id.as_bytes());
    hasher.finish().max(1)
}
