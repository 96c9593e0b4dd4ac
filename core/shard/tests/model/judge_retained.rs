//! The rules of retained messages: the last one stays, who subscribes gets it, and nobody goes back in time.

use std::collections::BTreeMap;

use ringmq_wire::topic_matches;

use super::actor::TOPICS;
use super::drive::Outcome;
use super::history::{Fate, History, NEVER, Subscribed};
use super::judge::describe;

/// Judges everything about retained messages.
pub fn judge(outcome: &Outcome) {
    let history = &outcome.history;
    copies_are_current(history);
    nobody_goes_back(history);
    let missing = not_delivered(history);
    assert!(missing.is_empty(), "retained messages not delivered on subscribing: {missing:?}");
    let missed = missed_both_ways(history);
    let dropped = outcome.dropped.queue;
    let words: Vec<_> =
        missed.iter().map(|(p, s)| (p, &history.published[*p], &history.subscribed[*s])).collect();
    assert!(missed.len() as u64 <= dropped, "neither live nor retained, {dropped} dropped: {words:?}");
    the_last_stays(outcome);
}

/// Whether a message of the same topic certainly took this one's place before `at`.
fn superseded(history: &History, number: usize, at: u64) -> bool {
    let topic = history.published[number].topic;
    history.published.iter().enumerate().any(|(other, later)| {
        later.retain
            && later.topic == topic
            && later.acked < at
            && accepted(history, other)
            && history.after(other, number)
    })
}

fn accepted(history: &History, number: usize) -> bool {
    history.published[number].fate == Fate::Accepted
}

/// A retained copy answers a subscription that asks for it, and is what was retained at that time.
fn copies_are_current(history: &History) {
    for delivered in history.delivered.iter().filter(|delivered| delivered.retain) {
        let publish = &history.published[delivered.publish];
        let name = describe(delivered, publish);
        assert!(publish.retain, "{name}: it was never retained");
        let asked = |sub: &Subscribed| {
            sub.actor == delivered.actor
                && sub.retained
                && sub.sent < delivered.at
                && topic_matches(sub.filter, publish.topic)
                && !superseded(history, delivered.publish, sub.sent)
        };
        assert!(
            history.subscribed.iter().any(asked),
            "{name}: older than what was retained, or not asked for"
        );
    }
}

/// A retained copy is never older than a live message of the topic that the session already has. Repetitions
/// keep their place [MQTT-4.4.0-1].
fn nobody_goes_back(history: &History) {
    let mut newest: BTreeMap<(usize, u32, usize, &str), Vec<&super::history::Delivered>> = BTreeMap::new();
    for delivered in &history.delivered {
        let publish = &history.published[delivered.publish];
        if !publish.retain || delivered.dup {
            continue;
        }
        let place = (delivered.actor, delivered.epoch, delivered.session, publish.topic);
        if !delivered.retain {
            newest.entry(place).or_default().push(delivered);
            continue;
        }
        let newer = newest
            .get(&place)
            .and_then(|had| had.iter().find(|live| history.after(live.publish, delivered.publish)));
        assert!(
            newer.is_none(),
            "{}: the client already has {newer:?}, which is newer",
            describe(delivered, publish)
        );
    }
}

/// Subscriptions that last, with what was certainly retained when they were asked for.
fn not_delivered(history: &History) -> Vec<(usize, usize)> {
    let mut missing = Vec::new();
    for (index, sub) in
        history.subscribed.iter().enumerate().filter(|(_, sub)| sub.retained && sub.acked != NEVER)
    {
        let lasts = sub.replaced_by.is_none() && history.lasting(index).is_some();
        if !lasts {
            continue;
        }
        for topic in TOPICS.iter().filter(|topic| topic_matches(sub.filter, topic)) {
            let Some(number) = surely_retained(history, topic, sub.sent) else { continue };
            let publish = &history.published[number];
            if publish.actor == sub.actor && history.deaf_to_own(index) {
                continue;
            }
            let stayed = history.present.iter().any(|p| p.actor == sub.actor && p.since < sub.sent);
            let carried = publish.qos.min(sub.qos) > 0 || stayed;
            // Something newer may have taken its place on the way.
            let got = |d: &super::history::Delivered| {
                let newer = history.published[d.publish].topic == *topic && history.after(d.publish, number);
                d.actor == sub.actor && d.at > sub.sent && (d.retain && d.publish == number || newer)
            };
            if carried && !history.delivered.iter().any(got) {
                missing.push((number, index));
            }
        }
    }
    missing
}

/// The message that was certainly the retained one of a topic from `at` on, while nothing else could be.
fn surely_retained(history: &History, topic: &str, at: u64) -> Option<usize> {
    let of_topic = || {
        (0..history.published.len())
            .filter(|n| history.published[*n].retain && history.published[*n].topic == topic)
    };
    let last = of_topic().find(|n| {
        let publish = &history.published[*n];
        let sure = accepted(history, *n) && publish.acked < at && !publish.empty;
        sure && of_topic().all(|other| {
            other == *n || history.after(*n, other) || history.published[other].fate == Fate::Never
        })
    })?;
    Some(last)
}

/// A retained message published while a subscription was under way reaches it live, or as a retained copy, or
/// something newer does.
fn missed_both_ways(history: &History) -> Vec<(usize, usize)> {
    let mut missing = Vec::new();
    let asked = |sub: &Subscribed| sub.retained && sub.qos > 0 && sub.acked != NEVER;
    for (index, sub) in history.subscribed.iter().enumerate().filter(|(_, sub)| asked(sub)) {
        if history.lasting(index).is_none_or(|(low, _, _)| low == 0) || history.deaf_to_own(index) {
            continue;
        }
        for (number, publish) in history.published.iter().enumerate() {
            let concurrent = publish.acked > sub.sent && publish.sent < sub.acked && publish.acked != NEVER;
            let counts = publish.retain && publish.qos > 0 && !publish.empty && accepted(history, number);
            if !concurrent || !counts || !topic_matches(sub.filter, publish.topic) {
                continue;
            }
            let got = history.delivered.iter().any(|d| {
                let same_topic = history.published[d.publish].topic == publish.topic;
                d.actor == sub.actor
                    && same_topic
                    && (d.publish == number || !history.after(number, d.publish))
            });
            // Something later may have taken its place, and have been deleted or lost at QoS 0 in its turn.
            let deleted = history.published.iter().enumerate().any(|(other, later)| {
                let fleeting = later.retain && (later.empty || later.qos == 0);
                fleeting && other != number && later.topic == publish.topic && !history.after(number, other)
            });
            if !got && !deleted {
                missing.push((number, index));
            }
        }
    }
    missing
}

/// What a fresh client finds at the end is what was retained last.
fn the_last_stays(outcome: &Outcome) {
    let history = &outcome.history;
    for topic in TOPICS {
        let found: Vec<_> = outcome.retained_found.iter().filter(|(name, _)| name == topic).collect();
        assert!(found.len() <= 1, "two retained messages of {topic}: {found:?}");
        let standing: Vec<usize> = (0..history.published.len())
            .filter(|n| history.published[*n].retain && history.published[*n].topic == topic)
            .filter(|n| history.published[*n].fate != Fate::Never && !superseded(history, *n, NEVER))
            .collect();
        match found.first() {
            Some((_, Some(number))) => {
                assert!(
                    standing.contains(number),
                    "{topic}: {number} is retained, the last is one of {standing:?}"
                );
            }
            Some((_, None)) => panic!("{topic}: an empty message is retained [MQTT-3.3.1-6]"),
            None => {
                let sure = |n: &usize| accepted(history, *n) && !history.published[*n].empty;
                let must = !standing.is_empty() && standing.iter().all(sure);
                assert!(!must, "{topic}: nothing is retained, but it should be one of {standing:?}");
            }
        }
    }
}
