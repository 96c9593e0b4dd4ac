//! The rules that need the whole history. Each names what MQTT says; what it leaves open is allowed.

use std::collections::BTreeMap;

use super::drive::Outcome;
use super::history::{Delivered, Fate, History, NEVER, Published};

/// How often things were under way during a publish.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overlaps {
    pub subscribes: u64,
    pub unsubscribes: u64,
    pub takeovers: u64,
}

/// Judges a run; panics with the rule that was broken.
pub fn judge(outcome: &Outcome) {
    let history = &outcome.history;
    only_what_was_subscribed(history);
    no_copy_too_many(history);
    in_order(history);
    let missing = nothing_lost(history);
    let dropped = outcome.dropped;
    let known = dropped.queue;
    assert!(
        missing.sure.len() as u64 <= known,
        "QoS 1 and 2: {} deliveries are missing, {known} were counted as dropped: {:?}",
        missing.sure.len(),
        missing.sure
    );
    // One hand-off to another shard that was not made may stand for all its subscribers.
    let per_hand_off = history.present.len() as u64;
    let known = dropped.queue_qos0 + dropped.mesh * per_hand_off + dropped.queue;
    assert!(
        (missing.loose.len() + missing.sure.len()) as u64 <= known,
        "QoS 0: {} deliveries are missing, {known} were counted as dropped: {:?}",
        missing.loose.len(),
        missing.loose
    );
    super::judge_shared::judge(outcome);
    super::judge_retained::judge(outcome);
}

/// What a publisher of 5.0 is told when a full queue refuses its message.
const QUOTA_EXCEEDED: u8 = 0x97;

/// Nothing is delivered that was not subscribed, was refused, or must not have been published; QoS and
/// identifiers are those of the matching subscriptions [MQTT-3.3.4-2] to [MQTT-3.3.4-5].
fn only_what_was_subscribed(history: &History) {
    for delivered in &history.delivered {
        let publish = &history.published[delivered.publish];
        let name = describe(delivered, publish);
        let refused = publish.reason >= 0x80 && publish.sends == 1;
        assert!(delivered.retain || !refused, "{name}: delivered, but it was refused");
        // A new subscriber may be sent what is refused afterwards, while that is not decided.
        let open = delivered.retain && publish.reason == QUOTA_EXCEEDED;
        assert!(
            publish.fate != Fate::Never || publish.sends > 1 || open,
            "{name}: delivered, but it was never accepted"
        );
        assert!(publish.sent < delivered.at, "{name}: delivered before it was sent");
        let from = if delivered.retain { 0 } else { publish.sent };
        let stranger = Published { actor: usize::MAX, ..publish.clone() };
        let mut matching: Vec<_> = history.possible(delivered.actor, publish, from, delivered.at).collect();
        assert!(!matching.is_empty(), "{name}: no subscription can have matched");
        if delivered.retain {
            // A read that goes on under a subscription's successor keeps the QoS and identifier it began with.
            matching = history.possible(delivered.actor, &stranger, from, delivered.at).collect();
        }
        let high = matching.iter().map(|(_, sub)| sub.qos).max().unwrap_or(0);
        assert!(delivered.qos <= publish.qos.min(high), "{name}: QoS {} is too high", delivered.qos);
        let known = |id: &u32| matching.iter().any(|(_, sub)| sub.identifier == Some(*id));
        assert!(delivered.identifiers.iter().all(known), "{name}: identifiers {:?}", delivered.identifiers);
        if !delivered.retain && !publish.topic.starts_with("s/") {
            at_least_the_sure(history, delivered, publish, &name);
        }
    }
}

/// What subscriptions that certainly matched ask for.
fn at_least_the_sure(history: &History, delivered: &Delivered, publish: &Published, name: &str) {
    for (index, sub) in history.possible(delivered.actor, publish, publish.sent, delivered.at) {
        let steady = sub.acked < publish.sent && sub.may_end > delivered.at && sub.replaced_by.is_none();
        if !steady || history.subscribed[index].session != delivered.session {
            continue;
        }
        let low = publish.qos.min(sub.qos);
        assert!(delivered.qos >= low, "{name}: QoS {} although {} was granted", delivered.qos, sub.qos);
        if let Some(id) = sub.identifier {
            assert!(delivered.identifiers.contains(&id), "{name}: identifier {id} is missing [MQTT-3.3.4-3]");
        }
    }
}

/// QoS 2 once, and nothing else twice but what was sent twice or is marked as a repetition.
fn no_copy_too_many(history: &History) {
    let mut copies: BTreeMap<(usize, u32, usize), (u32, u32)> = BTreeMap::new();
    for delivered in history.delivered.iter().filter(|delivered| !delivered.retain) {
        let publish = &history.published[delivered.publish];
        if publish.topic.starts_with("s/") {
            continue;
        }
        let count = copies.entry((delivered.actor, delivered.epoch, delivered.publish)).or_default();
        let again = count.0 + count.1 > 0 && delivered.qos == 2 && publish.qos == 2;
        assert!(!again, "{}: QoS 2 came twice [MQTT-4.3.3-1]", describe(delivered, publish));
        if delivered.dup {
            count.1 += 1
        } else {
            count.0 += 1
        }
        let sends = if publish.qos == 1 { publish.sends } else { 1 };
        assert!(count.0 <= sends, "{}: {} copies without DUP", describe(delivered, publish), count.0);
    }
}

/// First copies of one publisher's messages of one topic and QoS come in the order of sending [MQTT-4.6.0-5].
fn in_order(history: &History) {
    type Way = (usize, u32, usize, &'static str, u8, u8);
    let mut last: BTreeMap<Way, u64> = BTreeMap::new();
    let mut had: std::collections::BTreeSet<(usize, u32, usize)> = std::collections::BTreeSet::new();
    for delivered in history.delivered.iter().filter(|delivered| !delivered.retain) {
        let publish = &history.published[delivered.publish];
        // What was sent again comes again, and its first copy may have come before the subscription.
        if publish.will || publish.sends > 1 || publish.topic.starts_with("s/") {
            continue;
        }
        if !had.insert((delivered.actor, delivered.epoch, delivered.publish)) {
            continue;
        }
        let way =
            (delivered.actor, delivered.epoch, publish.actor, publish.topic, publish.qos, delivered.qos);
        let before = last.insert(way, publish.seq);
        let ordered = before.is_none_or(|before| before < publish.seq);
        assert!(ordered, "{}: out of order [MQTT-4.6.0-5]", describe(delivered, publish));
    }
}

/// Deliveries that had to be made and were not: message and client.
#[derive(Default)]
struct Missing {
    sure: Vec<(usize, usize)>,
    loose: Vec<(usize, usize)>,
}

/// Whoever certainly subscribed before a message was sent, and still does at the end, has got it once it was
/// acknowledged.
fn nothing_lost(history: &History) -> Missing {
    let mut missing = Missing::default();
    for (number, publish) in history.published.iter().enumerate() {
        if publish.empty || publish.fate != Fate::Accepted || publish.topic.starts_with("s/") {
            continue;
        }
        for presence in &history.present {
            let Some((low, high)) = granted(history, presence.actor, publish) else { continue };
            let got = history.delivered.iter().any(|delivered| {
                delivered.actor == presence.actor && delivered.publish == number && !delivered.retain
            });
            assert_ne!(publish.reason, 0x10, "message {number}: 0x10 although {} subscribes", presence.actor);
            if got {
                continue;
            }
            if publish.qos.min(low) > 0 {
                missing.sure.push((number, presence.actor));
            } else if presence.since < publish.sent || publish.qos.min(high) > 0 && low > 0 {
                missing.loose.push((number, presence.actor));
            }
        }
    }
    missing
}

/// The range of QoS that a client's lasting subscriptions grant a message sent after they were acknowledged.
fn granted(history: &History, actor: usize, publish: &Published) -> Option<(u8, u8)> {
    let mut range: Option<(u8, u8)> = None;
    for (index, sub) in history.possible(actor, publish, publish.sent, NEVER) {
        if sub.acked >= publish.sent || history.deaf_to_own(index) && publish.actor == actor {
            continue;
        }
        if let Some((low, high, _)) = history.lasting(index) {
            let (old_low, old_high) = range.unwrap_or((0, 0));
            range = Some((old_low.max(low), old_high.max(high)));
        }
    }
    range
}

/// How often a subscribe, an unsubscribe or a takeover was under way during a publish that it concerned.
pub fn overlaps(history: &History) -> Overlaps {
    let mut all = Overlaps::default();
    for (number, publish) in history.published.iter().enumerate().filter(|(_, publish)| !publish.will) {
        let first = history.delivered.iter().filter(|d| d.publish == number).map(|d| d.at).min();
        let end = if publish.acked == NEVER { first.unwrap_or(publish.sent + 1) } else { publish.acked };
        let under_way = |sent: u64, acked: u64| sent < end && acked > publish.sent && acked != NEVER;
        let concerns = |filter: &str| ringmq_wire::topic_matches(filter, publish.topic);
        let subscribes =
            history.subscribed.iter().filter(|s| concerns(s.filter) && under_way(s.sent, s.acked));
        all.subscribes += subscribes.count() as u64;
        let unsubscribes =
            history.unsubscribed.iter().filter(|u| concerns(u.filter) && under_way(u.sent, u.acked));
        all.unsubscribes += unsubscribes.count() as u64;
        let takeovers = history.takeovers.iter().filter(|t| {
            let subscribes = history.possible(t.actor, publish, publish.sent, end).next().is_some();
            under_way(t.sent, t.acked) && (subscribes || t.actor == publish.actor)
        });
        all.takeovers += takeovers.count() as u64;
    }
    all
}

/// A delivery in words.
pub fn describe(delivered: &Delivered, publish: &Published) -> String {
    format!(
        "message {} ({} QoS {}{}) of client-{} at client-{} at {}",
        delivered.publish,
        publish.topic,
        publish.qos,
        if delivered.retain { ", a retained copy" } else { "" },
        publish.actor,
        delivered.actor,
        delivered.at
    )
}
