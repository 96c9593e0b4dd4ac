//! Matches that take longer than a turn may. Filters like `{a,+}/{a,+}/.../x` make one topic match by 2^levels ways:
//! such a match is made in parts, one a turn, and so are its deliveries, while others go on. Its publisher waits, and
//! what else comes from that publisher, by whatever way, waits behind it: the queue is first in, first out.
//!
//! A subscription that is there all the time gets the message once; one that comes or goes meanwhile, perhaps.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

use ringmq_proto::session::{Entry, SubscriptionIds};
use ringmq_proto::time::Now;
use ringmq_route::{MatchWalk, Stop};
use ringmq_wire::Qos;
use ringmq_wire::message::Message;

use crate::Shard;
use crate::aggregate::{AggregateId, Tally};
use crate::deliver::Subscriber;
use crate::input::ConnId;
use crate::publication::Publication;
use crate::reading::MAY_NOT_READ;
use crate::sessions::SessionId;
use crate::shared::{GROUP, GroupId};

/// What one delivery takes of a turn's units; it costs about as much as visiting so many nodes.
const DELIVERY_UNITS: usize = 8;

/// The matches of one shard that are made in parts.
#[derive(Default)]
pub struct Matching {
    /// The first one is under way, the others wait for it.
    queue: VecDeque<Suspended>,
    /// How far the first one has come.
    part: Part,
    /// How many messages of each publisher are in the queue.
    publishers: HashMap<u64, u32>,
    bytes: u64,
    /// Number of the match under way, for the marks of sessions.
    number: u64,
}

struct Suspended {
    message: Rc<Message>,
    aggregate: Option<AggregateId>,
    hold: u64,
    /// The connection that waits for a QoS 0 message; else the aggregate knows who does.
    publisher: Option<ConnId>,
}

/// What was found so far. Sessions and groups stand here with their generations: theirs may end meanwhile.
#[derive(Default)]
struct Part {
    walk: MatchWalk,
    is_begun: bool,
    is_matched: bool,
    found: Vec<Found>,
    groups: Vec<GroupId>,
    delivered: usize,
}

struct Found {
    session: SessionId,
    qos: Qos,
    retain: bool,
    /// Sorted as they come: there may be thousands, and sorting them at once would take a turn's time.
    ids: BTreeSet<u32>,
}

impl Matching {
    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many messages wait for their match, the one under way included.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether something of this publisher is under way, so that what it publishes next must wait.
    pub fn is_behind(&self, publisher: u64) -> bool {
        !self.queue.is_empty() && self.publishers.contains_key(&publisher)
    }

    fn push(&mut self, suspended: Suspended) {
        self.bytes += suspended.message.bytes() as u64;
        if suspended.message.publisher() != 0 {
            *self.publishers.entry(suspended.message.publisher()).or_default() += 1;
        }
        self.queue.push_back(suspended);
    }

    fn pop(&mut self) -> Option<Suspended> {
        let suspended = self.queue.pop_front()?;
        self.bytes -= suspended.message.bytes() as u64;
        let publisher = suspended.message.publisher();
        if let Some(count) = self.publishers.get_mut(&publisher) {
            *count -= 1;
            if *count == 0 {
                self.publishers.remove(&publisher);
            }
        }
        Some(suspended)
    }
}

impl Shard {
    /// The match of this message is made in parts, behind those that are under way. A publisher whose message has
    /// a packet id waits, on whichever shard it is, so that there is one of each of them and what was under way.
    /// Messages without one are dropped when too much waits, as for a full lane.
    pub(crate) fn suspend(&mut self, message: &Rc<Message>, aggregate: Option<AggregateId>, hold: u64) {
        let bytes = self.matching.bytes + message.bytes() as u64;
        if message.qos() == Qos::AtMostOnce
            && !self.matching.is_empty()
            && bytes > self.settings.mesh_spill_bytes_max as u64
        {
            self.counters().dropped_mesh.add(1);
            return self.aggregate_add(aggregate, Tally { dropped: 1, ..Tally::default() });
        }
        if let Some(id) = aggregate {
            self.aggregate_part(id);
            self.aggregate_wait(id);
        }
        let message = Rc::clone(message);
        self.matching.push(Suspended { message, aggregate, hold, publisher: None });
    }

    /// As [`Shard::suspend`], for a publish on its way.
    pub(crate) fn suspend_publication(
        &mut self,
        publication: &mut Publication<'_>,
        aggregate: Option<AggregateId>,
        hold: u64,
    ) {
        let message = Rc::clone(publication.message(&mut self.messages));
        self.suspend(&message, aggregate, hold);
    }

    /// A client's QoS 0 publish has begun: where its match is made in parts, what comes behind it waits.
    pub(crate) fn wait_for_match(&mut self, id: ConnId, publication: &Publication<'_>) {
        let Some(message) = publication.made() else { return };
        let last = self.matching.queue.back_mut();
        if let Some(last) = last.filter(|last| Rc::ptr_eq(&last.message, message) && last.aggregate.is_none())
        {
            last.publisher = Some(id);
            self.hold_publisher(id);
        }
    }

    /// One turn's share of what is under way.
    pub(crate) fn go_on_matching(&mut self, now: Now) {
        let mut units = self.settings.match_nodes_per_turn;
        while units > 0
            && let Some(first) = self.matching.queue.front()
        {
            let (message, aggregate, hold) = (Rc::clone(&first.message), first.aggregate, first.hold);
            let mut part = std::mem::take(&mut self.matching.part);
            if !part.is_matched {
                self.match_on(&message, &mut part, &mut units);
            }
            if part.is_matched && self.deliver_on(now, &message, aggregate, hold, &mut part, &mut units) {
                self.finish_match(now);
            } else {
                self.matching.part = part;
            }
        }
    }

    /// Finds more of the sessions that match, and merges their overlapping subscriptions as one publish does
    /// [MQTT-3.3.4-2].
    fn match_on(&mut self, message: &Message, part: &mut Part, units: &mut usize) {
        if !std::mem::replace(&mut part.is_begun, true) {
            self.matching.number += 1;
        }
        let number = self.matching.number;
        let Part { walk, found, groups, .. } = part;
        let (sessions, group_table) = (&mut self.sessions, &self.groups);
        let mut gate = self.reading.gate(&mut *self.decider);
        let stop = self.tree.match_part(message.topic(), walk, units, |who, subscriber: &Subscriber| {
            if who & GROUP != 0 {
                return groups.extend(group_table.id_of_slot(who & !GROUP));
            }
            let Some(session) = sessions.id_of_slot(who) else { return };
            let Some(home) = sessions.at_mut(session) else { return };
            let options = subscriber.options;
            if options.no_local && message.publisher() == home.uid {
                return;
            }
            let qos = options.qos.min(message.qos());
            let retain = options.retain_as_published && message.retain();
            if home.part_mark == number {
                if home.part_place == MAY_NOT_READ {
                    return;
                }
                let known = &mut found[home.part_place as usize];
                (known.qos, known.retain) = (known.qos.max(qos), known.retain | retain);
                known.ids.extend((subscriber.id != 0).then_some(subscriber.id));
                return;
            }
            if !gate.lets_pass(home, message.topic()) {
                (home.part_mark, home.part_place) = (number, MAY_NOT_READ);
                return;
            }
            (home.part_mark, home.part_place) = (number, found.len() as u32);
            let ids = (subscriber.id != 0).then_some(subscriber.id).into_iter().collect();
            found.push(Found { session, qos, retain, ids });
        });
        part.is_matched = stop == Stop::Done;
        let denied = gate.denied;
        self.count_denied(denied);
    }

    /// Gives the message to more of those that were found; true when all have it.
    fn deliver_on(
        &mut self,
        now: Now,
        message: &Rc<Message>,
        aggregate: Option<AggregateId>,
        hold: u64,
        part: &mut Part,
        units: &mut usize,
    ) -> bool {
        while *units > 0 {
            if let Some(found) = part.found.get_mut(part.delivered) {
                *units = units.saturating_sub(DELIVERY_UNITS + found.ids.len());
                // Their memory goes with them, and not that of all at the end.
                let ids: Vec<u32> = std::mem::take(&mut found.ids).into_iter().collect();
                let (message, ids) = (Rc::clone(message), SubscriptionIds::from_unsorted(&ids));
                let entry = Entry { message, qos: found.qos, retain: found.retain, ids, shared: None };
                self.aggregate_add(aggregate, Tally { matched: 1, ..Tally::default() });
                self.offer(now, found.session, entry, aggregate, hold);
            } else if let Some(group) = part.groups.get(part.delivered - part.found.len()) {
                *units = units.saturating_sub(DELIVERY_UNITS);
                // A group that ended meanwhile left its slot, perhaps to another one.
                if self.groups.at(*group).is_some() {
                    self.publish_to_group(now, group.slot, message, aggregate, hold);
                }
            } else {
                return true;
            }
            part.delivered += 1;
        }
        part.delivered == part.found.len() + part.groups.len()
    }

    fn finish_match(&mut self, now: Now) {
        let Some(Suspended { aggregate, publisher, .. }) = self.matching.pop() else { return };
        if let Some(id) = aggregate {
            self.aggregate_answer(now, id, Tally::default());
        }
        if let Some(id) = publisher {
            self.release_publisher(now, id);
        }
    }
}
