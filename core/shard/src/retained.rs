//! Retained messages. A topic's retained message lives at the shard that owns the topic's partition; the
//! publish with the highest stamp wins there, whichever came last. Subscriptions read them in pages: the
//! place to go on stays with the session, and a page is asked for only while the session has room for it.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ringmq_proto::session::{Change, Entry, RetainedRead, Subscription, SubscriptionIds};
use ringmq_proto::time::{Now, Wall};
use ringmq_route::{PageEnd, RetainedTree};
use ringmq_store::{Body, Command, partition};
use ringmq_wire::TopicFilter;
use ringmq_wire::message::Message;

use crate::aggregate::Tally;
use crate::budget::Rung;
use crate::graves::Graves;
use crate::input::ShardId;
use crate::mesh::frame::Frame;
use crate::retained_open::{OpenTopics, Settled, TopicVersion};
use crate::sessions::{Attached, Home, SessionId};
use crate::{LogLevel, Shard};

/// Topics looked at for one page or one sweep before the shard turns to something else.
const PAGE_TOPICS_MAX: usize = 4096;
/// Live retained messages remembered while a session reads. With more of them all are forgotten and the page that is under
/// way is read again: what comes twice then is never older than what the client has.
const LIVE_TOPICS_MAX: usize = 4096;
/// Bytes of their names: many sessions may read at once, and a name may have 64 KiB.
const LIVE_BYTES_MAX: usize = 256 << 10;

/// A page that was asked for.
#[derive(Debug)]
struct PageWait {
    serial: u64,
    /// Too many live messages came meanwhile to know which of its messages the session has.
    overrun: bool,
}

/// What a session that reads retained messages got live since it subscribed.
#[derive(Debug, Default)]
pub struct Reading {
    page: Option<PageWait>,
    live: HashMap<Box<str>, Live>,
    live_bytes: usize,
    /// Live messages so far.
    count: u64,
    /// Filters that are read, with the count when they were subscribed.
    begun: Vec<(Box<str>, u64)>,
}

/// The newest live message of a topic.
#[derive(Debug)]
struct Live {
    stamp: u64,
    number: u64,
}

impl Reading {
    fn begin(&mut self, filter: &str) {
        self.begun.push((filter.into(), self.count));
    }
    fn end(&mut self, filter: &str) {
        self.begun.retain(|(begun, _)| &**begun != filter);
    }
    fn note(&mut self, topic: &str, stamp: u64) {
        self.count += 1;
        if let Some(live) = self.live.get_mut(topic) {
            *live = Live { stamp: live.stamp.max(stamp), number: self.count };
        } else if self.live.len() < LIVE_TOPICS_MAX && self.live_bytes + topic.len() <= LIVE_BYTES_MAX {
            self.live_bytes += topic.len();
            self.live.insert(topic.into(), Live { stamp, number: self.count });
        } else {
            (self.live, self.live_bytes) = (HashMap::new(), 0);
            self.page.iter_mut().for_each(|page| page.overrun = true);
        }
    }
    /// Whether the session got this message or a newer one of its topic since it subscribed to the filter. One that it
    /// got before is to come again [MQTT-3.8.4-4]. A session that came back began to read before all that is known here.
    fn has(&self, filter: &str, message: &Message) -> bool {
        let begun = self.begun.iter().find(|(begun, _)| &**begun == filter).map_or(0, |(_, count)| *count);
        let newest = self.live.get(message.topic());
        newest.is_some_and(|live| live.number > begun && live.stamp >= message.stamp())
    }
}

/// A question for retained messages, from this shard or another.
pub struct Query {
    from: ShardId,
    session: SessionId,
    serial: u64,
    filter: Box<str>,
    after: Option<Box<str>>,
    messages: u32,
}

impl Home {
    fn awaits_page(&self) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.page.is_some())
    }
}

/// The retained messages of a shard.
pub struct Retained {
    tree: RetainedTree<Rc<Message>>,
    bytes: u64,
    /// How many topics have a message below each first level. No table that would be made anew in one turn when it grows.
    roots: BTreeMap<Box<str>, usize>,
    graves: Graves,
    /// Topics with publishes that may still be refused.
    open: OpenTopics,
    /// Questions that came since the last drain began.
    asked: Vec<Query>,
    /// Questions that the next complete drain makes answerable.
    ripe: Vec<Query>,
    swept: Option<String>,
}

impl Retained {
    /// Without messages. The key is the broker's secret one.
    pub fn new(key: [u8; 16]) -> Self {
        Self {
            tree: RetainedTree::new(),
            bytes: 0,
            roots: BTreeMap::new(),
            graves: Graves::new(key),
            open: OpenTopics::default(),
            asked: Vec::new(),
            ripe: Vec::new(),
            swept: None,
        }
    }

    fn latest_stamp(&self, topic: &str) -> u64 {
        let grave = self.graves.stamp(topic);
        self.tree.get(topic).map_or(grave, |m| m.stamp().max(grave))
    }

    fn remove(&mut self, topic: &str) {
        if let Some(old) = self.tree.remove(topic) {
            self.bytes -= old.bytes() as u64;
            let root = root(topic);
            if let Some(count) = self.roots.get_mut(root) {
                *count -= 1;
                if *count == 0 {
                    self.roots.remove(root);
                }
            }
        }
    }

    fn insert(&mut self, message: &Rc<Message>) {
        self.bytes += message.bytes() as u64;
        match self.tree.insert(message.topic(), Rc::clone(message)) {
            Some(old) => self.bytes -= old.bytes() as u64,
            None => {
                let root = root(message.topic());
                match self.roots.get_mut(root) {
                    Some(count) => *count += 1,
                    None => {
                        self.roots.insert(root.into(), 1);
                    }
                }
            }
        }
    }

    /// How many topics have a message below the first level of this one.
    fn below_root(&self, topic: &str) -> usize {
        self.roots.get(root(topic)).copied().unwrap_or_default()
    }

    /// Messages that match, behind this topic, as long as `each` goes on and at most a page's topics are looked at.
    pub fn page(
        &self,
        filter: &str,
        after: Option<&str>,
        mut each: impl FnMut(&Rc<Message>) -> bool,
    ) -> PageEnd {
        self.tree.page(filter, after, PAGE_TOPICS_MAX, |_, message| each(message))
    }

    /// Whether questions wait for a drain.
    pub fn wants_drain(&self) -> bool {
        !self.asked.is_empty() || !self.ripe.is_empty()
    }
}

/// The first level of a topic.
fn root(topic: &str) -> &str {
    topic.split('/').next().unwrap_or_default()
}

pub fn is_expired(message: &Message, now: Wall) -> bool {
    message.expires_at().is_some_and(|at| at <= now.0)
}

impl Shard {
    /// Takes a retained publish of a topic of this shard: keeps it, or clears the topic when its payload is
    /// empty [MQTT-3.3.1-6]. An older one than what is there changes nothing. Says so when there is no room.
    /// One that is `open` may be taken back by [`Shard::settle_retained`].
    pub(crate) fn retain(&mut self, message: &Rc<Message>, open: bool) -> Tally {
        let (topic, stamp) = (message.topic(), message.stamp());
        let among_open = open || self.retained.open.contains(topic);
        if self.retained.latest_stamp(topic) > stamp && !among_open {
            return Tally::default();
        }
        let kept = (!message.payload().is_empty()).then(|| Rc::clone(message));
        if kept.is_some() && !self.retained_has_room(message) {
            self.counters().retained_refused.add(1);
            let topic = topic.to_owned();
            self.log(LogLevel::Warning, || format!("No room to retain a message on {topic}: limit reached."));
            return Tally { unretained: 1, ..Tally::default() };
        }
        let version = TopicVersion { stamp, message: kept, open };
        if among_open {
            let base = TopicVersion {
                stamp: self.retained.latest_stamp(topic),
                message: self.retained.tree.get(topic).cloned(),
                open: false,
            };
            let settled = self.retained.open.add(topic, base, version);
            self.show_latest(topic, settled);
        } else {
            self.store_retained(topic, &version);
            self.show_retained(topic, version);
        }
        self.count_retained();
        Tally::default()
    }

    /// A publish of this shard that was retained, wherever its topic lives, was refused or not.
    pub(crate) fn settle_at_owner(&mut self, message: &Message, kept: bool) {
        let (topic, stamp) = (message.topic(), message.stamp());
        let owner = self.owner_of(topic);
        if owner == self.id {
            self.settle_retained(topic, stamp, kept);
        } else {
            self.peers.send(owner, &Frame::Settle { topic, stamp, kept });
        }
    }

    /// An open retained publish of a topic of this shard stays, or was refused: then what was there before it,
    /// and all that came since, stand as if it had never been.
    pub(crate) fn settle_retained(&mut self, topic: &str, stamp: u64, kept: bool) {
        let settled = self.retained.open.settle(topic, stamp, kept);
        self.show_latest(topic, settled);
        self.count_retained();
    }

    fn show_latest(&mut self, topic: &str, settled: Settled) {
        if let Some(base) = settled.base {
            self.store_retained(topic, &base);
        }
        if let Some(latest) = settled.latest {
            self.show_retained(topic, latest);
        }
    }

    /// Only what can no longer be refused is told to the store.
    fn store_retained(&mut self, topic: &str, version: &TopicVersion) {
        let partition = partition(&self.common.partition_key, topic.as_bytes());
        let body = match &version.message {
            Some(message) => Body::Retained { message },
            None => Body::RetainedCleared { topic, stamp: version.stamp },
        };
        self.stored = self.store.submit(&Command { partition, body });
    }

    /// A topic of this shard has no message any more, as by a publish without a payload.
    pub(crate) fn clear_retained(&mut self, topic: &str, version: &TopicVersion) {
        self.store_retained(topic, version);
        let version = TopicVersion { stamp: version.stamp, message: None, open: false };
        self.show_retained(topic, version);
        self.count_retained();
    }

    fn show_retained(&mut self, topic: &str, version: TopicVersion) {
        self.retained.graves.remove(topic);
        match version.message {
            Some(message) => self.retained.insert(&message),
            None => {
                self.retained.remove(topic);
                if self.common.shards > 1 && version.stamp > 0 {
                    self.retained.graves.bury(topic, version.stamp);
                }
            }
        }
    }

    fn retained_has_room(&self, message: &Message) -> bool {
        let known = self.retained.tree.get(message.topic()).map(|old| old.bytes() as u64);
        let bytes = self.retained.bytes - known.unwrap_or(0) + message.bytes() as u64;
        // The broker's own topics are few.
        let is_own = message.topic().starts_with("$SYS/");
        let short = self.rung >= Rung::Shed && !is_own;
        let crowded =
            !is_own && self.retained.below_root(message.topic()) >= self.settings.retained_per_root_max;
        let room = !short && !crowded && self.retained.tree.len() < self.settings.retained_messages_max;
        (known.is_some() || room) && bytes <= self.settings.retained_bytes_max
    }

    fn count_retained(&self) {
        let counters = self.counters();
        counters.retained.set(self.retained.tree.len() as u64);
        counters.retained_bytes.set(self.retained.bytes);
    }

    /// A new subscription is to get the retained messages that match [MQTT-3.3.1-9].
    pub(crate) fn read_start(&mut self, id: SessionId, filter: TopicFilter<'_>, subscription: Subscription) {
        let filter_text = filter.filter();
        let (shard, shard_last) = if filter.has_wildcard() {
            (0, self.common.shards as u16 - 1)
        } else {
            let owner = self.owner_of(filter_text).0;
            (owner, owner)
        };
        self.read_cancel(id, filter_text);
        let (qos, id_number) = (subscription.options.qos, subscription.id);
        let read =
            RetainedRead { filter: filter_text.into(), qos, id: id_number, shard, shard_last, after: None };
        self.change(id, Change::ReadStarted { read });
        if let Some(home) = self.sessions.at_mut(id) {
            home.reading.get_or_insert_default().begin(filter_text);
        }
        self.mark_dirty(id);
    }

    /// A subscription is gone or made anew: what it still had to read is given up.
    pub(crate) fn read_cancel(&mut self, id: SessionId, filter: &str) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        if !home.session.reads.iter().any(|r| &*r.filter == filter) {
            return;
        }
        let is_first = home.session.reads.front().is_some_and(|r| &*r.filter == filter);
        if let Some(reading) = home.reading.as_mut().filter(|_| is_first) {
            reading.page = None;
        }
        self.change(id, Change::ReadsCancelled { filter: filter.into() });
        self.read_over(id, filter);
        self.mark_dirty(id);
    }

    /// A filter is read no more; with the last one, what came live is not of interest any more.
    fn read_over(&mut self, id: SessionId, filter: &str) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        match &mut home.reading {
            Some(reading) if !home.session.reads.is_empty() => reading.end(filter),
            reading => *reading = None,
        }
    }

    /// Asks for the next page when the session has somebody to read it and room for it.
    pub(crate) fn read_next(&mut self, now: Now, id: SessionId) {
        // One page a time: a page that arrives marks the session, so the next one is the next pass's work.
        if let Some((to, query)) = self.next_query(id) {
            if to != self.id {
                let Query { session, serial, filter, after, messages, .. } = &query;
                let after = after.as_deref().unwrap_or("");
                let frame =
                    Frame::Query { session: *session, serial: *serial, filter, after, messages: *messages };
                return self.peers.send(to, &frame);
            }
            if self.common.shards > 1 {
                return self.retained.asked.push(query);
            }
            self.answer_query(now, &query);
        }
    }

    fn next_query(&mut self, id: SessionId) -> Option<(ShardId, Query)> {
        let page_messages = self.settings.retained_page_messages.max(1);
        let home = self.sessions.at_mut(id)?;
        let queued = home.session.queue.len() as u32;
        let idle = home.attached != Attached::Nobody && !home.awaits_page() && !home.holds();
        let read = home.session.reads.front().filter(|_| idle && queued < page_messages)?;
        let messages = page_messages.min(home.queue_messages_max.saturating_sub(queued));
        if messages == 0 {
            return None;
        }
        self.serials += 1;
        let (to, serial) = (ShardId(read.shard), self.serials);
        let (filter, after) = (read.filter.clone(), read.after.as_deref().map(Into::into));
        home.reading.get_or_insert_default().page = Some(PageWait { serial, overrun: false });
        Some((to, Query { from: self.id, session: id, serial, filter, after, messages }))
    }

    /// Another shard asks. The answer waits until the lanes were drained once more, so that updates sent
    /// before the subscriber's interest could be seen are in it.
    pub(crate) fn queried(
        &mut self,
        from: ShardId,
        session: SessionId,
        serial: u64,
        filter: &str,
        after: &str,
        messages: u32,
    ) {
        let after = (!after.is_empty()).then(|| after.into());
        self.retained.asked.push(Query { from, session, serial, filter: filter.into(), after, messages });
    }

    /// The lanes were drained: what waited for it is answered.
    pub(crate) fn mesh_drained(&mut self, now: Now) {
        for query in std::mem::take(&mut self.retained.ripe) {
            self.answer_query(now, &query);
        }
        self.retained.ripe = std::mem::take(&mut self.retained.asked);
    }

    fn answer_query(&mut self, now: Now, query: &Query) {
        let (mut messages, mut bytes) = (Vec::new(), 0u64);
        let bytes_max = self.settings.retained_page_bytes;
        let after = query.after.as_deref();
        let end =
            self.retained.tree.page(&query.filter, after, PAGE_TOPICS_MAX, |_, message: &Rc<Message>| {
                if is_expired(message, now.wall) {
                    return true;
                }
                let full = messages.len() as u32 == query.messages
                    || (!messages.is_empty() && bytes + message.bytes() as u64 > bytes_max);
                if !full {
                    bytes += message.bytes() as u64;
                    messages.push(Rc::clone(message));
                }
                !full
            });
        let next = match end {
            PageEnd::Done => None,
            PageEnd::More(cursor) => Some(cursor),
        };
        if query.from == self.id {
            return self.page_arrived(now, query.session, query.serial, next.as_deref(), messages);
        }
        let (session, serial) = (query.session, query.serial);
        self.peers.send(query.from, &Frame::Page { session, serial, next: next.as_deref(), messages });
    }

    /// A page is there: its messages go into the queue, which had room for them when it was asked for; what
    /// came live meanwhile makes it longer than its bound by at most this page.
    pub(crate) fn page_arrived(
        &mut self,
        now: Now,
        id: SessionId,
        serial: u64,
        next: Option<&str>,
        messages: Vec<Rc<Message>>,
    ) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        let holds = home.holds();
        let Some(reading) = &mut home.reading else { return };
        let Some(page) = reading.page.take_if(|page| page.serial == serial) else { return };
        // What is held is not noted yet, and would come behind a newer copy of its topic.
        if page.overrun || holds {
            return self.mark_dirty(id);
        }
        let Some(read) = home.session.reads.front().cloned() else { return };
        let mut messages = messages;
        messages.retain(|message| !reading.has(&read.filter, message));
        let own =
            home.session.subscriptions.get(&read.filter).filter(|s| s.options.no_local).map(|_| home.uid);
        for message in messages {
            // No Local holds for retained copies too [MQTT-3.8.3-3].
            let unwanted = own == Some(message.publisher());
            if unwanted || is_expired(&message, now.wall) || !self.may_read(id, message.topic()) {
                continue;
            }
            let ids = if read.id == 0 { SubscriptionIds::None } else { SubscriptionIds::One([read.id]) };
            let qos = read.qos.min(message.qos());
            self.change(
                id,
                Change::Queued { entry: Entry { message, qos, retain: true, ids, shared: None } },
            );
        }
        let filter = read.filter.clone();
        let read = moved(read, next);
        let is_over = read.is_none();
        self.change(id, Change::ReadMoved { read });
        if is_over {
            self.read_over(id, &filter);
        }
        self.mark_dirty(id);
    }

    /// A session gets a live message: while it reads, neither the same nor an older retained copy must follow it.
    pub(crate) fn note_live(&mut self, id: SessionId, message: &Message) {
        if !message.retain() {
            return;
        }
        // A session that came back notes before it asks for its next page.
        let reads = |home: &&mut Home| !home.session.reads.is_empty() && home.attached != Attached::Nobody;
        if let Some(home) = self.sessions.at_mut(id).filter(reads) {
            home.reading.get_or_insert_default().note(message.topic(), message.stamp());
        }
    }

    /// Removes expired retained messages, some at a time.
    pub(crate) fn sweep_retained(&mut self, now: Now) {
        let mut expired = Vec::new();
        let from = self.retained.swept.take();
        let end =
            self.retained.tree.page("#", from.as_deref(), PAGE_TOPICS_MAX, |topic, message: &Rc<Message>| {
                if is_expired(message, now.wall) {
                    expired.push(topic.to_owned());
                }
                true
            });
        if let PageEnd::More(cursor) = end {
            self.retained.swept = Some(cursor);
        }
        for topic in expired {
            self.retained.remove(&topic);
        }
        self.count_retained();
    }
}

fn moved(read: RetainedRead, next: Option<&str>) -> Option<RetainedRead> {
    match next {
        Some(topic) => Some(RetainedRead { after: Some(topic.to_owned()), ..read }),
        None if read.shard < read.shard_last => {
            Some(RetainedRead { shard: read.shard + 1, after: None, ..read })
        }
        None => None,
    }
}
