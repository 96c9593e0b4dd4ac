//! The changes of a session, written down and read again, give the same session.

use core::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use ringmq_proto::session::{Change, Session};
use ringmq_store::record::{decode, encode};
use ringmq_store::{Body, Command, OwnedBody, Partition};

use crate::random::{CHANGE_KINDS, change, runner};

const CLIENT_ID: &str = "sensor-17";

/// The change that comes out of its record.
fn through_a_record(change: &Change) -> Change {
    let body = Body::Session { client_id: CLIENT_ID, epoch: 3, change };
    let mut bytes = Vec::new();
    encode(&Command { partition: Partition(42), body }, &mut bytes);
    let (read, _) = decode(&bytes).expect("a record");
    match read.body {
        OwnedBody::Session { client_id, epoch: 3, change } if &*client_id == CLIENT_ID => change,
        other => panic!("another command came back: {other:?}"),
    }
}

/// All payloads a session holds, in order.
fn payloads(session: &Session) -> Vec<&[u8]> {
    let queued = session.queue.iter();
    let sent = session.inflight.iter().filter_map(|(_, sent)| sent.entry.as_ref());
    let entries = queued.chain(sent).map(|entry| entry.message.payload());
    entries.chain(session.will.iter().map(|will| will.message.payload())).collect()
}

/// Which parts of a session have something in them.
fn filled(session: &Session) -> [bool; 6] {
    [
        !session.queue.is_empty(),
        !session.inflight.is_empty(),
        !session.incoming.is_empty(),
        !session.subscriptions.is_empty(),
        !session.reads.is_empty(),
        session.will.is_some(),
    ]
}

#[test]
fn a_replayed_session_is_the_same() {
    let often_queued = prop_oneof![2 => Just(6_usize), 1 => Just(7), 4 => 0..CHANGE_KINDS];
    let changes = vec(often_queued.prop_flat_map(change), 0..60);
    let met = Cell::new([0_u32; 6]);
    let checked = runner(200).run(&changes, |changes| {
        let (mut direct, mut replayed) = (Session::new(CLIENT_ID, 1), Session::new(CLIENT_ID, 1));
        for change in changes {
            replayed.apply(through_a_record(&change));
            direct.apply(change);
            prop_assert_eq!(payloads(&direct), payloads(&replayed));
        }
        prop_assert_eq!(format!("{direct:?}"), format!("{replayed:?}"));
        let parts = filled(&direct);
        met.set(core::array::from_fn(|part| met.get()[part] + u32::from(parts[part])));
        Ok(())
    });
    checked.unwrap();
    assert!(met.get().iter().all(|count| *count > 10), "parts that were never filled: {:?}", met.get());
}
