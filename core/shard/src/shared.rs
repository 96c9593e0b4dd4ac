//! Shared subscriptions. A group, that is one `$share/NAME/filter`, belongs to the partition of its whole
//! filter, and so to one shard, its owner: there it stands in the tree like a subscriber, and there each
//! message is given to one member. Members live at the shards of their sessions; they join, leave, come and
//! go by frames, and give back what they cannot complete [MQTT-4.8.2-4, MQTT-4.8.2-5].

use std::rc::Rc;

use ringmq_proto::session::{Change, Entry, Sent, SentState, SharedOrigin, SubscriptionIds};
use ringmq_proto::time::Now;
use ringmq_wire::message::Message;
use ringmq_wire::{PacketId, Qos, SubscriptionOptions, TopicFilter};

use crate::Shard;
use crate::aggregate::{AggregateId, Origin, Tally};
use crate::deliver::Subscriber;
use crate::input::ShardId;
use crate::mesh::frame::Frame;
use crate::publication::Publication;
use crate::sessions::{Attached, SessionId};
use crate::slots::slot_id;

/// Marks a tree entry that is a group and not a session.
pub const GROUP: u32 = 1 << 31;

/// One group of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId {
    /// Index in the shard's table.
    pub slot: u32,
    /// Tells users of the same slot apart.
    pub generation: u32,
}
slot_id!(GroupId);

/// One member of a group.
#[derive(Clone, Copy, Debug)]
struct Member {
    shard: ShardId,
    session: SessionId,
    qos: Qos,
    /// QoS 1 and 2 messages it takes unacknowledged, 0 while it has no connection.
    window: u16,
    /// QoS 1 and 2 messages given to it and not known to be complete.
    outstanding: u32,
}

/// One shared subscription with its members, in the order in which they joined.
pub struct Group {
    filter: Rc<str>,
    members: Vec<Member>,
    /// Where the next search for a member begins.
    next: usize,
}

impl Group {
    /// The member for the next message and whether it keeps it without a connection: the next connected one
    /// with room in its window, else the connected one with the least to do, else one whose session lives.
    fn pick(&mut self, qos: Qos) -> Option<(usize, bool)> {
        let count = self.members.len();
        let order = (0..count).map(|i| (self.next + i) % count);
        let fits = |m: &Member| {
            m.window > 0 && (m.qos.min(qos) == Qos::AtMostOnce || m.outstanding < m.window.into())
        };
        let online = order.clone().find(|i| fits(&self.members[*i])).or_else(|| {
            let connected = order.clone().filter(|i| self.members[*i].window > 0);
            connected.min_by_key(|i| self.members[*i].outstanding)
        });
        let found = online
            .map(|i| (i, false))
            .or_else(|| order.min_by_key(|i| self.members[*i].outstanding).map(|i| (i, true)))?;
        self.next = found.0 + 1;
        Some(found)
    }

    fn member(&mut self, shard: ShardId, session: SessionId) -> Option<&mut Member> {
        self.members.iter_mut().find(|m| m.shard == shard && m.session == session)
    }
}

impl Shard {
    /// Gives a message to one member of a group of this shard.
    pub(crate) fn publish_to_group(
        &mut self,
        now: Now,
        slot: u32,
        message: &Rc<Message>,
        aggregate: Option<AggregateId>,
        hold: u64,
    ) {
        let Some(group) = self.groups.id_of_slot(slot) else { return };
        self.aggregate_add(aggregate, Tally { matched: 1, ..Tally::default() });
        if let Some(id) = aggregate {
            self.aggregate_part(id);
        }
        self.dispatch(now, group, message, aggregate, hold);
    }

    /// Gives a message to one member; its part of the aggregate is open and is answered by whoever takes it.
    fn dispatch(
        &mut self,
        now: Now,
        id: GroupId,
        message: &Rc<Message>,
        aggregate: Option<AggregateId>,
        hold: u64,
    ) {
        let picked = self.groups.at_mut(id).and_then(|group| {
            let (at, keep) = group.pick(message.qos())?;
            let member = &mut group.members[at];
            if member.qos.min(message.qos()) > Qos::AtMostOnce {
                member.outstanding += 1;
            }
            Some((*member, keep, group.filter.clone()))
        });
        let Some((member, keep, filter)) = picked else {
            self.counters().dropped_shared.add(1);
            return self.answer_part(now, aggregate, Tally { dropped: 1, ..Tally::default() });
        };
        if member.shard == self.id {
            let origin = SharedOrigin { shard: self.id.0, group: id.slot, generation: id.generation };
            self.shared_arrive(now, origin, member.session, &filter, keep, message, aggregate, hold);
        } else if message.qos() == Qos::AtMostOnce && self.peers.is_congested(member.shard) {
            self.counters().dropped_mesh.add(1);
            self.answer_part(now, aggregate, Tally { dropped: 1, ..Tally::default() });
        } else {
            let (ticket, message, member_id) = (aggregate, Rc::clone(message), member.session);
            let frame =
                Frame::Shared { ticket, hold, group: id, member: member_id, keep, filter: &filter, message };
            self.peers.send(member.shard, &frame);
        }
    }

    fn answer_part(&mut self, now: Now, aggregate: Option<AggregateId>, tally: Tally) {
        if let Some(id) = aggregate {
            self.aggregate_answer(now, id, tally);
        }
    }

    /// A message for a member of this shard; `aggregate` is answered here.
    #[allow(clippy::too_many_arguments, reason = "the fields of one frame")]
    pub(crate) fn shared_arrive(
        &mut self,
        now: Now,
        origin: SharedOrigin,
        session: SessionId,
        filter: &str,
        keep: bool,
        message: &Rc<Message>,
        aggregate: Option<AggregateId>,
        hold: u64,
    ) {
        let subscription = self.sessions.at(session).and_then(|home| {
            let there = keep || home.attached != Attached::Nobody;
            home.session.subscriptions.get(filter).filter(|_| there).copied()
        });
        let Some(subscription) = subscription else {
            self.set_right(ShardId(origin.shard), session, filter);
            return self.shared_back(now, origin, session, message, aggregate);
        };
        let options = subscription.options;
        let qos = options.qos.min(message.qos());
        if !self.may_read(session, message.topic()) {
            // It goes to nobody else: which member a message is for is decided, and what that one may do is another
            // question. Passing it on would tell the members apart by what they may read.
            if qos > Qos::AtMostOnce {
                self.shared_done(session, origin);
            }
            return self.answer_part(now, aggregate, Tally { dropped: 1, ..Tally::default() });
        }
        let retain = options.retain_as_published && message.retain();
        let ids: &[u32] = if subscription.id == 0 { &[] } else { &[subscription.id] };
        let mut publication = Publication::of(message);
        if qos == Qos::AtMostOnce
            && publication.may_go_straight(now)
            && let Some(conn) = self.link_of_idle(session)
            && self.send_straight(now, conn, &mut publication, ids, None)
        {
            self.count_sent(1, publication.payload_bytes());
            return self.answer_part(now, aggregate, Tally { taken: 1, ..Tally::default() });
        }
        let entry = Entry {
            message: Rc::clone(message),
            qos,
            retain,
            ids: if subscription.id == 0 {
                SubscriptionIds::None
            } else {
                SubscriptionIds::One([subscription.id])
            },
            shared: (qos > Qos::AtMostOnce).then_some(origin),
        };
        self.offer(now, session, entry, aggregate, hold);
        self.answer_part(now, aggregate, Tally::default());
    }

    /// A group's owner counted on a member that could not take a message: it hears how that stands. It knows,
    /// unless what it had been told was wrong, and then the message would go to and fro for ever.
    fn set_right(&mut self, owner: ShardId, member: SessionId, filter: &str) {
        let window = self.window_of(member);
        let home = self.sessions.at(member);
        let is_member = home.is_some_and(|home| home.session.subscriptions.get(filter).is_some());
        match (owner == self.id, is_member) {
            (true, true) => self.member_changed(self.id, filter, member, window),
            (true, false) => self.left(self.id, filter, member),
            (false, true) => self.peers.send(owner, &Frame::Member { filter, member, window }),
            (false, false) => self.peers.send(owner, &Frame::Leave { filter, member }),
        }
    }

    /// A message goes back to its group: another member gets it.
    pub(crate) fn shared_back(
        &mut self,
        now: Now,
        origin: SharedOrigin,
        member: SessionId,
        message: &Rc<Message>,
        ticket: Option<AggregateId>,
    ) {
        let group = GroupId { slot: origin.group, generation: origin.generation };
        if origin.shard == self.id.0 {
            return self.shared_returned(now, self.id, group, member, message, ticket);
        }
        // The ticket is the owner's own: the aggregate here was opened for it and dies with it.
        let ticket = ticket.and_then(|id| self.aggregates.remove(id)).and_then(|a| match a.origin {
            Origin::Remote { ticket, .. } => Some(ticket),
            _ => None,
        });
        let frame = Frame::SharedBack { ticket, group, member, message: Rc::clone(message) };
        self.peers.send(ShardId(origin.shard), &frame);
    }

    /// A message came back from a member of a group of this shard.
    pub(crate) fn shared_returned(
        &mut self,
        now: Now,
        shard: ShardId,
        group: GroupId,
        member: SessionId,
        message: &Rc<Message>,
        ticket: Option<AggregateId>,
    ) {
        if message.qos() > Qos::AtMostOnce {
            self.shared_completed(shard, group, member);
        }
        let ticket =
            ticket.or_else(|| (message.qos() > Qos::AtMostOnce).then(|| self.aggregate_open(Origin::Nobody)));
        let hold = self.settings.publish_hold;
        self.dispatch(now, group, message, ticket, hold);
    }

    /// A member of a group of this shard has one message less to do.
    pub(crate) fn shared_completed(&mut self, shard: ShardId, group: GroupId, member: SessionId) {
        if let Some(member) = self.groups.at_mut(group).and_then(|g| g.member(shard, member)) {
            member.outstanding = member.outstanding.saturating_sub(1);
        }
    }

    /// A session of this shard has completed a message of a group, whoever owns it.
    pub(crate) fn shared_done(&mut self, member: SessionId, origin: SharedOrigin) {
        let group = GroupId { slot: origin.group, generation: origin.generation };
        if origin.shard == self.id.0 {
            self.shared_completed(self.id, group, member);
        } else {
            self.peers.send(ShardId(origin.shard), &Frame::SharedDone { group, member });
        }
    }

    /// A session of this shard subscribes to a shared filter. Adds a part to `aggregate` when the owner is
    /// elsewhere.
    pub(crate) fn join(&mut self, id: SessionId, filter: &str, qos: Qos, aggregate: AggregateId) {
        let window = self.window_of(id);
        let owner = self.owner_of(filter);
        if owner == self.id {
            return self.joined(self.id, filter, id, qos, window);
        }
        self.aggregate_part(aggregate);
        self.peers.send(owner, &Frame::Join { ticket: aggregate, filter, member: id, qos, window });
    }

    /// A session of this shard unsubscribes from a shared filter.
    pub(crate) fn leave(&mut self, id: SessionId, filter: &str) {
        let owner = self.owner_of(filter);
        if owner == self.id {
            self.left(self.id, filter, id);
        } else {
            self.peers.send(owner, &Frame::Leave { filter, member: id });
        }
    }

    fn window_of(&self, id: SessionId) -> u16 {
        let session = self.sessions.at(id).map(|home| &home.session);
        session.and_then(|s| s.attachment.as_ref()).map_or(0, |a| a.window)
    }

    /// A session of this shard came or went: the owners of its groups hear of it.
    pub(crate) fn announce_member(&mut self, id: SessionId) {
        let window = self.window_of(id);
        let Some(home) = self.sessions.at(id) else { return };
        let shared: Vec<Box<str>> =
            home.session.subscriptions.keys().filter(|f| f.starts_with("$share/")).cloned().collect();
        for filter in shared {
            let owner = self.owner_of(&filter);
            if owner == self.id {
                self.member_changed(self.id, &filter, id, window);
            } else {
                self.peers.send(owner, &Frame::Member { filter: &filter, member: id, window });
            }
        }
    }

    /// A member of a group of this shard came or went.
    pub(crate) fn member_changed(&mut self, shard: ShardId, filter: &str, member: SessionId, window: u16) {
        let Some(id) = self.group_by_filter.get(filter).copied() else { return };
        if let Some(member) = self.groups.at_mut(id).and_then(|g| g.member(shard, member)) {
            member.window = window;
        }
    }

    /// A session, wherever it lives, joins a group of this shard.
    pub(crate) fn joined(&mut self, shard: ShardId, filter: &str, session: SessionId, qos: Qos, window: u16) {
        let id = match self.group_by_filter.get(filter) {
            Some(id) => *id,
            None => self.group_open(filter),
        };
        let Some(group) = self.groups.at_mut(id) else { return };
        match group.member(shard, session) {
            Some(member) => (member.qos, member.window) = (qos, window),
            None => group.members.push(Member { shard, session, qos, window, outstanding: 0 }),
        }
    }

    fn group_open(&mut self, filter: &str) -> GroupId {
        let group = Group { filter: filter.into(), members: Vec::new(), next: 0 };
        let id = self.groups.insert(group);
        self.group_by_filter.insert(filter.into(), id);
        let inner = inner_filter(filter);
        // The group takes everything; each member's own options apply when its message arrives.
        let options = SubscriptionOptions { qos: Qos::ExactlyOnce, ..SubscriptionOptions::default() };
        self.interest.add(inner);
        self.tree.insert(inner, GROUP | id.slot, Subscriber { options, id: 0 });
        id
    }

    /// A session, wherever it lives, leaves a group of this shard.
    pub(crate) fn left(&mut self, shard: ShardId, filter: &str, session: SessionId) {
        let Some(id) = self.group_by_filter.get(filter).copied() else { return };
        let Some(group) = self.groups.at_mut(id) else { return };
        group.members.retain(|m| m.shard != shard || m.session != session);
        if group.members.is_empty() {
            self.groups.remove(id);
            self.group_by_filter.remove(filter);
            self.tree.remove(inner_filter(filter), GROUP | id.slot);
            self.interest.remove(inner_filter(filter));
        }
    }

    /// The connection of a member is lost, or its session ends: QoS 1 messages it has not acknowledged, and
    /// QoS 2 messages it was not sent, go to other members. A QoS 2 message once sent stays with its session
    /// and ends with it.
    pub(crate) fn return_shared(&mut self, id: SessionId, ended: bool) {
        let now = self.now;
        let Some(home) = self.sessions.at(id) else { return };
        let unacknowledged = |s: &Sent| s.state == SentState::AwaitPuback && s.shared.is_some();
        let sent: Vec<(PacketId, Option<Entry>)> = home
            .session
            .inflight
            .iter()
            .filter(|(_, s)| unacknowledged(s))
            .map(|(packet_id, s)| (packet_id, s.entry.clone()))
            .collect();
        let mut entries = Vec::new();
        for (packet_id, entry) in sent {
            entries.extend(entry);
            self.change(id, Change::Completed { packet_id });
        }
        let Some(home) = self.sessions.at_mut(id) else { return };
        let before = (home.session.queue.len() as u64, home.session.queue.bytes());
        entries.extend(home.session.queue.take_out(|entry| entry.shared.is_none()));
        let after = (home.session.queue.len() as u64, home.session.queue.bytes());
        self.count_queue(before, after);
        for entry in entries {
            if let Some(origin) = entry.shared {
                self.shared_back(now, origin, id, &entry.message, None);
            }
        }
        if ended {
            self.end_shared_exactly_once(id);
        }
    }

    fn end_shared_exactly_once(&mut self, id: SessionId) {
        let Some(home) = self.sessions.at(id) else { return };
        let origins: Vec<SharedOrigin> = home.session.inflight.iter().filter_map(|(_, s)| s.shared).collect();
        for origin in origins {
            self.shared_done(id, origin);
        }
    }
}

fn inner_filter(whole: &str) -> &str {
    TopicFilter::new(whole).map_or(whole, TopicFilter::filter)
}
