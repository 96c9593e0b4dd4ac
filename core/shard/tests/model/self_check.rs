//! The judge judged: histories that MQTT forbids must be found out, and their lawful neighbours let through.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::drive::{Dropped, Outcome};
use super::history::{Delivered, Fate, History, NEVER, Presence, Published, Session, Subscribed};
use super::judge::judge;

/// Client 0 publishes, client 1 has subscribed to `a/#` at QoS 2 from time 10 to the end.
fn history() -> History {
    let session =
        Session { actor: 1, confirmed: true, persists: true, may_end: NEVER, ended: NEVER, over: false };
    let subscribed = Subscribed {
        actor: 1,
        session: 0,
        whole: "a/#",
        filter: "a/#",
        qos: 2,
        no_local: false,
        retained: true,
        identifier: Some(1),
        sent: 10,
        acked: 20,
        may_end: NEVER,
        ended: NEVER,
        replaced_by: None,
    };
    History {
        sessions: vec![session],
        subscribed: vec![subscribed],
        present: vec![Presence { actor: 1, since: 5 }],
        ..History::default()
    }
}

fn publish(seq: u64, qos: u8, sent: u64, acked: u64) -> Published {
    Published {
        actor: 0,
        seq,
        topic: "a/b",
        qos,
        retain: false,
        empty: false,
        will: false,
        sent,
        sends: 1,
        acked,
        reason: 0,
        fate: Fate::Accepted,
    }
}

fn delivered(publish: usize, qos: u8, at: u64) -> Delivered {
    Delivered {
        actor: 1,
        epoch: 0,
        session: 0,
        at,
        publish,
        qos,
        retain: false,
        dup: false,
        identifiers: vec![1],
    }
}

fn lawful(history: &History) -> bool {
    let outcome = Outcome {
        history: history.clone(),
        trace: 0,
        steps: 0,
        moves: 0,
        mesh_refusals: 0,
        dropped: Dropped::default(),
        retained_found: Vec::new(),
    };
    catch_unwind(AssertUnwindSafe(|| judge(&outcome))).is_ok()
}

/// A history with these messages and deliveries is lawful or not.
fn check(expected: bool, published: &[Published], deliveries: &[Delivered]) {
    let history = History { published: published.to_vec(), delivered: deliveries.to_vec(), ..history() };
    assert_eq!(lawful(&history), expected, "{published:?} {deliveries:?}");
}

#[test]
fn loss_repetition_and_disorder_are_found() {
    let (first, second) = (publish(1, 2, 30, 40), publish(2, 2, 50, 60));
    let both = [first.clone(), second.clone()];
    check(true, &both, &[delivered(0, 2, 35), delivered(1, 2, 55)]);
    check(false, &both, &[delivered(0, 2, 35)]);
    check(false, &both, &[delivered(1, 2, 55), delivered(0, 2, 56)]);
    check(false, &both, &[delivered(0, 2, 35), delivered(0, 2, 36), delivered(1, 2, 55)]);
    check(false, &both, &[delivered(0, 1, 35), delivered(1, 2, 55)]);
    check(false, &both[..1], &[Delivered { identifiers: vec![], ..delivered(0, 2, 35) }]);
    check(false, &both[..1], &[Delivered { identifiers: vec![1, 7], ..delivered(0, 2, 35) }]);
    check(false, &[Published { fate: Fate::Never, ..first.clone() }], &[delivered(0, 2, 35)]);
    check(false, &[Published { topic: "b/x", ..first }], &[delivered(0, 2, 35)]);
}

#[test]
fn repetitions_at_qos_1_need_a_mark_or_a_second_sending() {
    let once = publish(1, 1, 30, 40);
    let twice = [delivered(0, 1, 35), delivered(0, 1, 36)];
    check(false, std::slice::from_ref(&once), &twice);
    check(true, &[Published { sends: 2, ..once.clone() }], &twice);
    check(true, &[once], &[twice[0].clone(), Delivered { dup: true, ..twice[1].clone() }]);
}

#[test]
fn what_overlaps_a_subscribe_may_be_delivered_or_not() {
    let during = publish(1, 1, 15, 25);
    check(true, std::slice::from_ref(&during), &[delivered(0, 1, 25)]);
    check(true, &[during], &[]);
    check(false, &[publish(1, 1, 21, 25)], &[]);
    check(false, &[publish(1, 0, 21, NEVER)], &[]);
}

#[test]
fn nothing_new_comes_after_unsuback() {
    let mut gone = history();
    gone.subscribed[0].may_end = 45;
    gone.subscribed[0].ended = 50;
    gone.published = vec![publish(1, 1, 47, 60)];
    gone.delivered = vec![delivered(0, 1, 70)];
    assert!(lawful(&gone), "it was accepted before");
    gone.published[0].sent = 51;
    assert!(!lawful(&gone));
}

#[test]
fn retained_copies_are_current_and_never_go_back() {
    let old = Published { retain: true, ..publish(1, 1, 1, 2) };
    let new = Published { retain: true, ..publish(2, 1, 3, 4) };
    let copy = |publish: usize, at: u64| Delivered { retain: true, ..delivered(publish, 1, at) };
    let with = |published: &[Published], deliveries: &[Delivered]| {
        let history = History { published: published.to_vec(), delivered: deliveries.to_vec(), ..history() };
        let last = Some(published.len() - 1);
        let outcome = Outcome {
            history,
            trace: 0,
            steps: 0,
            moves: 0,
            mesh_refusals: 0,
            dropped: Dropped::default(),
            retained_found: vec![("a/b".to_owned(), last)],
        };
        catch_unwind(AssertUnwindSafe(|| judge(&outcome))).is_ok()
    };
    assert!(with(&[old.clone(), new.clone()], &[copy(1, 30)]));
    assert!(!with(&[old.clone(), new.clone()], &[copy(0, 30)]), "older than what was retained");
    assert!(!with(&[old.clone(), new], &[]), "not delivered at all");
    let during = Published { sent: 15, acked: 40, ..old.clone() };
    let live = delivered(1, 1, 30);
    let later = Published { seq: 2, ..during.clone() };
    let both = [Published { sent: 1, acked: 35, ..old }, later];
    assert!(with(&both, &[copy(0, 25), live.clone()]));
    assert!(!with(&both, &[live, copy(0, 32)]), "back in time");
}
