//! The rules of shared subscriptions: one member of a group gets a message, and while members stay, one does.

use super::actor::SHARED_FILTERS;
use super::drive::Outcome;
use super::history::{Fate, History, NEVER, Published};

/// Judges the messages of shared topics.
pub fn judge(outcome: &Outcome) {
    let history = &outcome.history;
    let mut missing = Vec::new();
    for (number, publish) in history.published.iter().enumerate() {
        if !publish.topic.starts_with("s/") {
            continue;
        }
        let copies: Vec<_> = history.delivered.iter().filter(|d| d.publish == number).collect();
        let (sure, possible) = groups(history, publish);
        let firsts = copies.iter().filter(|copy| !copy.dup).count();
        let sends = if publish.qos == 1 { publish.sends as usize } else { 1 };
        // What a lost member had not acknowledged goes to another, but never what was sent at QoS 2.
        let handed_on = history.links_lost > 0 && copies.iter().any(|copy| copy.qos == 1);
        assert!(
            firsts <= possible * sends || handed_on,
            "message {number} ({}): {firsts} copies in {possible} groups: {copies:?}",
            publish.topic
        );
        if publish.fate == Fate::Accepted && publish.qos > 0 && copies.len() < sure {
            missing.extend(std::iter::repeat_n(number, sure - copies.len()));
        }
    }
    let known = outcome.dropped.shared + outcome.dropped.queue + outcome.dropped.mesh;
    assert!(
        missing.len() as u64 <= known,
        "shared: {} deliveries are missing, {known} were counted as dropped: {missing:?}",
        missing.len()
    );
}

/// How many groups must have given this message to a member, and how many may have.
fn groups(history: &History, publish: &Published) -> (usize, usize) {
    let (mut sure, mut possible) = (0, 0);
    for (whole, _) in SHARED_FILTERS {
        let members: Vec<(usize, &super::history::Subscribed)> = history
            .subscribed
            .iter()
            .enumerate()
            .filter(|(_, sub)| sub.whole == whole && sub.ended > publish.sent)
            .filter(|(_, sub)| ringmq_wire::topic_matches(sub.filter, publish.topic))
            .collect();
        possible += usize::from(!members.is_empty());
        // A member that leaves may take with it what it was given, or hand it on to a later member; one that
        // takes QoS 0 only may be given it while it is away.
        let all_stay =
            members.iter().all(|(index, _)| history.lasting(*index).is_some_and(|(low, _, _)| low > 0));
        let any = members.iter().any(|(_, sub)| sub.acked < publish.sent);
        sure += usize::from(all_stay && any && publish.acked != NEVER);
    }
    (sure, possible)
}
