//! From a message to the queues of the sessions that subscribed: who matches, with which QoS, RETAIN and
//! identifiers, and what a full queue means.

use std::rc::Rc;
use std::sync::atomic::{Ordering, fence};

use ringmq_proto::session::{Change, Entry, SharedOrigin, SubscriptionIds};
use ringmq_proto::time::{Mono, Now};
use ringmq_route::CoreMask;
use ringmq_store::partition;
use ringmq_wire::message::Message;
use ringmq_wire::{Qos, SubscriptionOptions};

use crate::aggregate::{AggregateId, Origin, Tally};
use crate::backlog::Held;
use crate::input::{ConnId, ShardId};
use crate::limits::QueuePolicy;
use crate::mesh::frame::Frame;
use crate::publication::Publication;
use crate::reading::MAY_NOT_READ;
use crate::sessions::{Attached, Home, SessionId};
use crate::shared::GROUP;
use crate::straight::Image;
use crate::timer::Timer;
use crate::{LogLevel, Shard};

/// How far above its high-water mark a connection is filled within a turn, by what goes straight at QoS 0 and when its
/// queue is full: what one read or one batch brings, in the larger encoding of another version, fits there, and in
/// the queue each of many small messages would cost several times as much.
pub const RELIEF_FACTOR: usize = 4;
/// Held messages of a session that get its queue's policy in one turn when their deadline has come: as much work as a
/// client's full window.
const GIVEN_UP_PER_TURN: usize = 1024;

/// Bytes of a ClientID that the answer to a publish has.
pub const FULL_NAME_BYTES_MAX: usize = 256;

/// What the tree keeps for one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// Its options.
    pub options: SubscriptionOptions,
    /// Its identifier, 0 for none.
    pub id: u32,
}

/// One session that matched, with what its overlapping subscriptions come to [MQTT-3.3.4-2].
#[derive(Clone, Copy)]
struct Match {
    session: SessionId,
    /// Its connection, if nothing waited for that when it matched.
    idle_link: Option<ConnId>,
    qos: Qos,
    retain: bool,
    /// Whether it has identifiers of further subscriptions.
    more_ids: bool,
    id: u32,
}

impl Match {
    /// Whether its packet has nothing but the message in it.
    fn is_plain(&self) -> bool {
        self.qos == Qos::AtMostOnce && self.id == 0 && !self.more_ids
    }
}

/// Memory reused by every publish.
#[derive(Default)]
pub struct Scratch {
    /// Sessions of the present publish.
    matches: Vec<Match>,
    /// Further identifiers, with the place of their match.
    more_ids: Vec<(u32, u32)>,
    /// Groups of the present publish.
    groups: Vec<u32>,
    /// Its bytes, while it is given to many.
    image: Image,
}

impl Scratch {
    fn clear(&mut self) {
        self.matches.clear();
        self.more_ids.clear();
        self.groups.clear();
        self.image.forget();
    }

    fn ids(&self, at: usize) -> SubscriptionIds {
        let m = self.matches[at];
        match m.more_ids {
            false if m.id == 0 => SubscriptionIds::None,
            false => SubscriptionIds::One([m.id]),
            true => {
                let more = self.more_ids.iter().filter(|(of, _)| *of as usize == at);
                let ids: Vec<u32> = more.map(|(_, id)| *id).chain([m.id]).collect();
                SubscriptionIds::from_unsorted(&ids)
            }
        }
    }
}

/// A publish that could not start because a lane had no room.
pub struct Deferred {
    /// The message.
    pub message: Rc<Message>,
    /// Who waits for it.
    pub origin: Option<AggregateId>,
    /// Milliseconds a full queue may hold it.
    pub hold: u64,
}

impl Shard {
    /// Whether a publish may start now. A retained message must stand in its owner's lane before the
    /// interest of the others is read, and QoS 1 and 2 stop while more waits for a peer than may.
    pub(crate) fn may_publish(&mut self, qos: Qos) -> bool {
        qos == Qos::AtMostOnce || !self.peers.any_congested()
    }

    /// Gives a message to every matching session of the broker. Returns false, with nothing done, when it is
    /// retained and the lane to its owner is full. `aggregate` gets a part for everything not answered here.
    pub(crate) fn publish(
        &mut self,
        now: Now,
        publication: &mut Publication<'_>,
        aggregate: Option<AggregateId>,
        hold: u64,
    ) -> bool {
        if publication.retain {
            let message = Rc::clone(publication.message(&mut self.messages));
            if !self.publish_retained(&message, aggregate) {
                return false;
            }
        }
        if self.common.shards > 1 {
            publication.topic_hash = Some(self.tree.topic_hash(publication.topic));
            self.publish_remote(publication, aggregate, hold);
        }
        self.deliver(now, publication, aggregate, hold);
        true
    }

    fn publish_retained(&mut self, message: &Rc<Message>, aggregate: Option<AggregateId>) -> bool {
        let owner = self.owner_of(message.topic());
        let open = self.may_be_refused(aggregate);
        if owner == self.id {
            let tally = self.retain(message, open);
            self.aggregate_add(aggregate, tally);
        } else {
            let frame = Frame::Retain { ticket: aggregate, open, message: Rc::clone(message) };
            if !self.peers.send_now(owner, &frame) {
                return false;
            }
            if let Some(id) = aggregate {
                self.aggregate_part(id);
            }
        }
        if let Some(aggregate) = aggregate.filter(|_| open).and_then(|id| self.aggregates.at_mut(id)) {
            aggregate.retained = Some(Rc::clone(message));
        }
        // A subscriber sets its interest and then asks the owner: with this fence either its interest is
        // seen here, or its question comes to the owner behind the update.
        fence(Ordering::SeqCst);
        true
    }

    /// Whether somebody waits who can be told that the publish is refused. A will has nobody.
    fn may_be_refused(&self, aggregate: Option<AggregateId>) -> bool {
        let origin = aggregate.and_then(|id| self.aggregates.at(id)).map(|aggregate| &aggregate.origin);
        self.settings.queue_policy == QueuePolicy::Refuse
            && matches!(origin, Some(Origin::Publisher { .. } | Origin::Local(_)))
    }

    fn publish_remote(
        &mut self,
        publication: &mut Publication<'_>,
        aggregate: Option<AggregateId>,
        hold: u64,
    ) {
        let hash = publication.topic_hash.unwrap_or_else(|| self.tree.topic_hash(publication.topic));
        let mut mask = CoreMask::new();
        self.common.interest.mask(publication.topic, hash, &mut self.interest_scratch, &mut mask);
        mask.remove(self.id.index());
        for shard in mask.iter() {
            let to = ShardId(shard as u16);
            if publication.qos == Qos::AtMostOnce && self.peers.is_congested(to) {
                self.counters().dropped_mesh.add(1);
                continue;
            }
            if let Some(id) = aggregate {
                self.aggregate_part(id);
            }
            let frame = match publication.lasting_packet().filter(|_| aggregate.is_none()) {
                Some((packet, v5)) => Frame::Packet { publisher: publication.publisher, v5, packet },
                None => {
                    let message = Rc::clone(publication.message(&mut self.messages));
                    Frame::Publish { ticket: aggregate, hold, message }
                }
            };
            self.peers.send(to, &frame);
        }
    }

    /// The shard that keeps a topic's retained message, or a shared filter's group.
    pub(crate) fn owner_of(&self, key: &str) -> ShardId {
        ShardId(self.table.shard(partition(&self.common.partition_key, key.as_bytes())))
    }

    /// Gives a message to every matching session of this shard; where finding them takes long, in parts and later.
    pub(crate) fn deliver(
        &mut self,
        now: Now,
        publication: &mut Publication<'_>,
        aggregate: Option<AggregateId>,
        hold: u64,
    ) {
        if self.matching.is_behind(publication.publisher) {
            return self.suspend_publication(publication, aggregate, hold);
        }
        let mut scratch = self.scratch.take().unwrap_or_default();
        scratch.clear();
        if self.find(publication, &mut scratch).is_none() {
            self.scratch = Some(scratch);
            return self.suspend_publication(publication, aggregate, hold);
        }
        self.give_out(now, publication, &mut scratch, aggregate, hold);
        for group in scratch.groups.drain(..) {
            let message = Rc::clone(publication.message(&mut self.messages));
            self.publish_to_group(now, group, &message, aggregate, hold);
        }
        self.scratch = Some(scratch);
    }

    /// Gives a message to the sessions that matched.
    fn give_out(
        &mut self,
        now: Now,
        publication: &mut Publication<'_>,
        scratch: &mut Scratch,
        aggregate: Option<AggregateId>,
        hold: u64,
    ) {
        let straight = publication.may_go_straight(now);
        let packet = publication.packet().filter(|_| straight && !self.settings.log_packets);
        let (mut sent, mut handed_over, mut queued) = (0, 0, false);
        for at in 0..scratch.matches.len() {
            let mut m = scratch.matches[at];
            if queued {
                // What a full queue sets off may have put something into this one.
                m.idle_link = self.link_of_idle(m.session);
            }
            if let Some(((packet, v5), conn)) = packet.zip(m.idle_link.filter(|_| m.is_plain()))
                && self.send_as_it_came(conn, packet, v5)
            {
                sent += 1;
                continue;
            }
            if straight && !m.more_ids && self.send_match(now, m, publication, &mut scratch.image) {
                sent += 1;
                continue;
            }
            if straight && !m.more_ids && self.hand_over_straight(now, (m.session, m.qos, m.id), publication)
            {
                handed_over += 1;
                continue;
            }
            queued = true;
            let message = Rc::clone(publication.message(&mut self.messages));
            let entry = Entry { message, qos: m.qos, retain: m.retain, ids: scratch.ids(at), shared: None };
            self.aggregate_add(aggregate, Tally { matched: 1, ..Tally::default() });
            self.offer(now, m.session, entry, aggregate, hold);
        }
        if sent > 0 {
            self.count_sent(sent, publication.payload_bytes());
        }
        let taken = sent as u32 + handed_over;
        if taken > 0 {
            self.aggregate_add(aggregate, Tally { matched: taken, taken, ..Tally::default() });
        }
    }

    /// Past the queue, where that goes.
    fn send_match(
        &mut self,
        now: Now,
        m: Match,
        publication: &mut Publication<'_>,
        image: &mut Image,
    ) -> bool {
        let ids: &[u32] = if m.id == 0 { &[] } else { &[m.id] };
        match m.qos {
            Qos::AtMostOnce => match m.idle_link {
                Some(conn) => self.send_straight(now, conn, publication, ids, Some(image)),
                None => false,
            },
            qos => self.send_straight_with_ack(now, m.session, publication, qos, ids),
        }
    }

    /// One match per session: the highest QoS, all identifiers, RETAIN if any subscription keeps it. How many nodes
    /// of the tree that took; nothing when it takes more than may be.
    fn find(&mut self, publication: &Publication<'_>, scratch: &mut Scratch) -> Option<usize> {
        let nodes_max = self.settings.match_nodes_per_turn;
        let hash = publication.topic_hash.unwrap_or_else(|| self.tree.topic_hash(publication.topic));
        self.publishes += 1;
        let (sessions, publishes) = (&mut self.sessions, self.publishes);
        let mut gate = self.reading.gate(&mut *self.decider);
        let found = self.tree.for_each_match_within(
            publication.topic,
            hash,
            nodes_max,
            |who, subscriber: &Subscriber| {
                if who & GROUP != 0 {
                    return scratch.groups.push(who & !GROUP);
                }
                let Some((session, home)) = sessions.of_slot_mut(who) else { return };
                let options = subscriber.options;
                if options.no_local && publication.publisher == home.uid {
                    return;
                }
                let qos = options.qos.min(publication.qos);
                let retain = options.retain_as_published && publication.retain;
                if home.mark == publishes {
                    if home.mark_place == MAY_NOT_READ {
                        return;
                    }
                    let m = &mut scratch.matches[home.mark_place as usize];
                    (m.qos, m.retain, m.more_ids) = (m.qos.max(qos), m.retain | retain, true);
                    scratch.more_ids.push((home.mark_place, subscriber.id));
                    return;
                }
                if !gate.lets_pass(home, publication.topic) {
                    (home.mark, home.mark_place) = (publishes, MAY_NOT_READ);
                    return;
                }
                (home.mark, home.mark_place) = (publishes, scratch.matches.len() as u32);
                let idle_link = home.idle_link();
                scratch.matches.push(Match {
                    session,
                    idle_link,
                    qos,
                    retain,
                    more_ids: false,
                    id: subscriber.id,
                });
            },
        );
        // One that takes too long is found anew, in parts.
        let denied = gate.denied;
        if found.is_some() {
            self.count_denied(denied);
        }
        found
    }

    /// Gives a message to one session, or applies the policy of its full queue.
    pub(crate) fn offer(
        &mut self,
        now: Now,
        id: SessionId,
        entry: Entry,
        aggregate: Option<AggregateId>,
        hold: u64,
    ) {
        let queue_bytes_max = self.settings.queue_bytes_max;
        let Some(home) = self.sessions.at(id) else { return };
        let bytes = entry.bytes();
        let qos = entry.qos;
        if qos == Qos::AtMostOnce && home.attached == Attached::Nobody {
            self.counters().dropped_offline_qos0.add(1);
            return;
        }
        // What a lost member was sent comes back to it when nobody else is there: room for that too.
        let back = entry.shared.is_some() && home.attached == Attached::Nobody;
        let (extra, times) = if back { (u32::from(self.settings.inflight_messages_max), 2) } else { (0, 1) };
        let messages_max = home.queue_messages_max.saturating_add(extra);
        let queue_bytes_max = queue_bytes_max.saturating_mul(times);
        let within = |home: &Home| home.session.queue.has_room(bytes, messages_max, queue_bytes_max);
        if !within(home) || !(back || self.budget_lets_queue(home, qos)) {
            self.relieve(now, id);
        }
        let Some(home) = self.sessions.at(id) else { return };
        let (within, lets) = (within(home), back || self.budget_lets_queue(home, qos));
        let room = within && lets;
        if within && !lets {
            self.counters().memory_shed.add(1);
        }
        if room && (qos == Qos::AtMostOnce || !home.holds()) {
            self.note_live(id, &entry.message);
            self.change(id, Change::Queued { entry });
            self.aggregate_add(aggregate, Tally { taken: 1, ..Tally::default() });
            return self.mark_dirty(id);
        }
        if qos == Qos::AtMostOnce {
            return self.drop_full(now, id, qos, aggregate);
        }
        let may_hold = self.may_hold(now, id, &entry, hold);
        match aggregate.filter(|_| may_hold) {
            Some(aggregate) => self.hold(now, id, entry, aggregate, hold),
            None => {
                self.apply_policy(now, id, aggregate, entry.shared);
                if let Some(origin) = entry.shared {
                    self.shared_done(id, origin);
                }
            }
        }
    }

    /// Whether a message may wait behind a full queue: for a client that is there and has taken something lately,
    /// and within the bounds of what is held.
    fn may_hold(&mut self, now: Now, id: SessionId, entry: &Entry, hold: u64) -> bool {
        let (messages_max, bytes_max) = (self.settings.hold_messages_max, self.settings.hold_bytes_max);
        if self.waits_for_itself(id, entry) {
            return false;
        }
        let Some(home) = self.sessions.at_mut(id) else { return false };
        let is_there = home.attached != Attached::Nobody;
        let overflow = home.overflow();
        let full_since = *overflow.full_since.get_or_insert(now.mono);
        is_there
            && full_since.plus(hold) > now.mono
            && overflow.held.has_room(entry.bytes(), messages_max, bytes_max)
    }

    /// A queue is full in the middle of a turn: what its connection or handle can take goes there now, and
    /// the runtime is asked to write soon. A burst that a client keeps up with costs it no message.
    fn relieve(&mut self, now: Now, id: SessionId) {
        match self.sessions.at(id).map(|home| home.attached) {
            Some(Attached::Link(conn)) => {
                let limit = self.settings.output_high_water_bytes.saturating_mul(RELIEF_FACTOR);
                let before = self.links.at(conn).map_or(0, |link| link.out.len());
                self.fill_to(now, conn, limit);
                // A client that does not read gains nothing from another write, and the others would pay.
                if self.links.at(conn).is_some_and(|link| link.out.len() > before) {
                    self.pressed = true;
                    self.mark_link_dirty(conn);
                }
            }
            Some(Attached::Local(local)) => self.fill_one_local(now, local),
            Some(Attached::Nobody) | None => {}
        }
    }

    fn hold(&mut self, now: Now, id: SessionId, entry: Entry, aggregate: AggregateId, hold: u64) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        let until = now.mono.plus(hold);
        let is_own = entry.message.publisher() == home.uid;
        home.overflow().held.push(Held { entry, aggregate, until, is_own });
        self.counters().held.add(1);
        self.arm_hold(id, until);
        self.aggregate_part(aggregate);
        self.aggregate_hold(aggregate);
    }

    fn arm_hold(&mut self, id: SessionId, until: Mono) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        let overflow = home.overflow();
        if overflow.armed.is_none_or(|at| until < at) {
            overflow.armed = Some(until);
            self.timers.cancel(overflow.timer);
            overflow.timer = self.timers.arm(until, Timer::Hold(id));
        }
    }

    /// A message does not reach a session because its queue is full.
    fn apply_policy(
        &mut self,
        now: Now,
        id: SessionId,
        aggregate: Option<AggregateId>,
        shared: Option<SharedOrigin>,
    ) {
        match self.settings.queue_policy {
            QueuePolicy::Refuse if shared.is_none() => {
                let full = self.full_name(id);
                self.counters().dropped_queue.add(1);
                self.aggregate_add(aggregate, Tally { refused: 1, full, ..Tally::default() });
            }
            QueuePolicy::End => {
                self.drop_full(now, id, Qos::AtLeastOnce, aggregate);
                if self.ending.last() != Some(&id) {
                    self.ending.push(id);
                }
            }
            QueuePolicy::Drop | QueuePolicy::Refuse => self.drop_full(now, id, Qos::AtLeastOnce, aggregate),
        }
    }

    fn drop_full(&mut self, now: Now, id: SessionId, qos: Qos, aggregate: Option<AggregateId>) {
        let full = self.full_name(id);
        let counters = self.counters();
        if qos == Qos::AtMostOnce { &counters.dropped_queue_qos0 } else { &counters.dropped_queue }.add(1);
        self.log_drop(now, id);
        self.aggregate_add(aggregate, Tally { dropped: 1, full, ..Tally::default() });
    }

    /// What the answer to a publish says of a session with a full queue. There may be very many answers at once.
    fn full_name(&self, id: SessionId) -> Option<String> {
        let client_id = self.client_id(id)?;
        Some(client_id[..client_id.floor_char_boundary(FULL_NAME_BYTES_MAX)].to_owned())
    }

    /// One line for the first drop of a session, then one for all that came within ten seconds.
    fn log_drop(&mut self, now: Now, id: SessionId) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        let (told, count) = &mut home.overflow().drops;
        *count += 1;
        if told.0 != 0 && now.mono.since(*told) < 10_000 {
            return;
        }
        let count = std::mem::take(count);
        *told = now.mono;
        let who = self.who_is(id);
        self.log(LogLevel::Warning, || {
            format!("Queue is full of {who}: {count} message(s) not delivered to it.")
        });
    }

    /// Whether this message is its receiver's own, and the receiver is not read any more because of what stands
    /// behind its publishes: the acknowledgements that would make room stand there too, and waiting is in vain.
    fn waits_for_itself(&self, id: SessionId, entry: &Entry) -> bool {
        let Some(home) = self.sessions.at(id) else { return false };
        let Attached::Link(conn) = home.attached else { return false };
        entry.message.publisher() == home.uid && self.links.at(conn).is_some_and(|link| link.choked)
    }

    /// A connection is not read any more because of what stands behind its publishes: what its own session holds
    /// of its own messages is waited for in vain.
    pub(crate) fn give_up_own(&mut self, now: Now, id: SessionId) {
        let overflow = self.sessions.at(id).and_then(|home| home.overflow.as_ref());
        if overflow.is_some_and(|overflow| overflow.held.has_own()) {
            self.give_up_where(now, id, |held| held.is_own);
        }
    }

    /// Something left the queue of a session: it is worth waiting for again.
    pub(crate) fn made_progress(&mut self, id: SessionId) {
        let now = self.now.mono;
        let overflow = self.sessions.at_mut(id).and_then(|home| home.overflow.as_mut());
        if let Some(overflow) = overflow.filter(|overflow| overflow.full_since.is_some()) {
            overflow.full_since = (!overflow.held.is_empty()).then_some(now);
        }
    }

    /// Held messages move into the queue as far as it has room.
    pub(crate) fn release_held(&mut self, now: Now, id: SessionId) {
        let queue_bytes_max = self.settings.queue_bytes_max;
        while let Some(home) = self.sessions.at(id) {
            let Some(front) = home.overflow.as_ref().and_then(|overflow| overflow.held.front()) else {
                return;
            };
            let (bytes, qos) = (front.entry.bytes(), front.entry.qos);
            if !home.session.queue.has_room(bytes, home.queue_messages_max, queue_bytes_max)
                || !self.budget_lets_queue(home, qos)
            {
                return;
            }
            let Some(overflow) = self.sessions.at_mut(id).and_then(|home| home.overflow.as_mut()) else {
                return;
            };
            let Some(held) = overflow.held.pop() else { return };
            self.counters().held.sub(1);
            self.note_live(id, &held.entry.message);
            self.change(id, Change::Queued { entry: held.entry });
            self.aggregate_answer(now, held.aggregate, Tally { taken: 1, ..Tally::default() });
        }
    }

    /// The deadline of held messages has come: those that are due get the queue's policy, many of them in several turns.
    pub(crate) fn held_due(&mut self, now: Now, id: SessionId) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        let Some(overflow) = &mut home.overflow else { return };
        if overflow.armed.is_some_and(|at| at > now.mono) {
            return;
        }
        overflow.armed = None;
        let mut left = GIVEN_UP_PER_TURN;
        self.give_up_where(now, id, |held| {
            let is_due = held.until <= now.mono && left > 0;
            left -= usize::from(is_due);
            is_due
        });
    }

    fn give_up_where(&mut self, now: Now, id: SessionId, is_due: impl FnMut(&Held) -> bool) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        let Some(overflow) = &mut home.overflow else { return };
        let due = overflow.held.take_where(is_due);
        if let Some(until) = overflow.held.next_deadline() {
            self.arm_hold(id, until);
        }
        self.give_up_held(now, id, due);
    }

    /// The session has no connection any more, or no future: held messages of groups go to other members, all
    /// others get the queue's policy.
    pub(crate) fn fail_held(&mut self, id: SessionId) {
        let Some(home) = self.sessions.at_mut(id) else { return };
        let Some(overflow) = &mut home.overflow else { return };
        let shared = overflow.held.take_where(|held| held.entry.shared.is_some());
        let own = overflow.held.take_where(|_| true);
        overflow.full_since = None;
        let now = self.now;
        self.counters().held.sub(shared.len() as u64);
        for held in shared {
            // Another member may have room: its part of the publish goes back with it.
            if let Some(origin) = held.entry.shared {
                self.shared_back(now, origin, id, &held.entry.message, Some(held.aggregate));
            }
        }
        self.give_up_held(now, id, own);
    }

    fn give_up_held(&mut self, now: Now, id: SessionId, due: Vec<Held>) {
        self.counters().held.sub(due.len() as u64);
        for held in due {
            self.apply_policy(now, id, Some(held.aggregate), held.entry.shared);
            if let Some(origin) = held.entry.shared {
                self.shared_done(id, origin);
            }
            self.aggregate_answer(now, held.aggregate, Tally::default());
        }
    }

    /// Starts a publish that nobody on a connection waits for. What finds no room waits its turn.
    pub(crate) fn publish_or_defer(&mut self, now: Now, message: Rc<Message>, origin: Origin, hold: u64) {
        let needs_answer = message.qos() > Qos::AtMostOnce || matches!(origin, Origin::Local(_));
        let origin = needs_answer.then(|| self.aggregate_open(origin));
        if self.start_or_defer(now, Publication::of(&message), origin, hold)
            && let Some(origin) = origin
        {
            self.aggregate_answer(now, origin, Tally::default());
        }
    }

    /// Starts a publish, or puts it behind those that wait. True when it has started; then its opener's part of the
    /// aggregate is still to be answered.
    pub(crate) fn start_or_defer(
        &mut self,
        now: Now,
        mut publication: Publication<'_>,
        origin: Option<AggregateId>,
        hold: u64,
    ) -> bool {
        let starts = self.deferred.is_empty()
            && self.may_publish(publication.qos)
            && self.publish(now, &mut publication, origin, hold);
        if !starts {
            let message = Rc::clone(publication.message(&mut self.messages));
            self.deferred.push_back(Deferred { message, origin, hold });
        }
        publication.end(&mut self.messages);
        starts
    }

    /// Starts what was deferred, in order, as far as there is room.
    pub(crate) fn resume_deferred(&mut self, now: Now) {
        while let Some(deferred) = self.deferred.pop_front() {
            if !self.start_deferred(now, &deferred) {
                return self.deferred.push_front(deferred);
            }
        }
    }

    fn start_deferred(&mut self, now: Now, deferred: &Deferred) -> bool {
        let message = &deferred.message;
        if !self.may_publish(message.qos())
            || !self.publish(now, &mut Publication::of(message), deferred.origin, deferred.hold)
        {
            return false;
        }
        if let Some(origin) = deferred.origin {
            self.aggregate_answer(now, origin, Tally::default());
        }
        true
    }
}
