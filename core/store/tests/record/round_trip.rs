//! What is written is what is read.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use ringmq_proto::session::Change;
use ringmq_store::record::decode;
use ringmq_store::{OwnedBody, OwnedCommand};
use ringmq_wire::message::Message;

use crate::random::{CHANGE_KINDS, OTHER_KINDS, command, runner};
use crate::record;

/// The message in a command. Its payload is compared by itself, since `Debug` tells only its length.
fn message(command: &OwnedCommand) -> Option<&Message> {
    match &command.body {
        OwnedBody::Retained { message } => Some(message),
        OwnedBody::Session { change: Change::Queued { entry }, .. } => Some(&entry.message),
        OwnedBody::Session { change: Change::Attached { will: Some(will), .. }, .. } => Some(&will.message),
        _ => None,
    }
}

fn check(command: &OwnedCommand) -> Result<(), TestCaseError> {
    let bytes = record(command);
    let (read, taken) = decode(&bytes).expect("what was written is a record");
    prop_assert_eq!(taken, bytes.len());
    prop_assert_eq!(format!("{command:?}"), format!("{read:?}"));
    prop_assert_eq!(message(command).map(Message::payload), message(&read).map(Message::payload));
    let raw = |command| message(command).map(|message| message.properties().raw().to_vec());
    prop_assert_eq!(raw(command), raw(&read));
    prop_assert_eq!(&bytes, &record(&read));
    Ok(())
}

#[test]
fn every_kind_comes_back_as_it_was() {
    for kind in 0..CHANGE_KINDS + OTHER_KINDS {
        let checked = runner(100).run(&command(kind), |command| check(&command));
        checked.unwrap_or_else(|error| panic!("kind {kind}: {error}"));
    }
}

#[test]
fn records_stand_one_after_the_other() {
    let any_kind = (0..CHANGE_KINDS + OTHER_KINDS).prop_flat_map(command);
    let checked = runner(50).run(&vec(any_kind, 1..10), |commands| {
        let log: Vec<u8> = commands.iter().flat_map(record).collect();
        let mut rest = &log[..];
        for command in &commands {
            let (read, taken) = decode(rest).expect("a record");
            prop_assert_eq!(record(command), record(&read));
            rest = &rest[taken..];
        }
        prop_assert!(rest.is_empty());
        Ok(())
    });
    checked.unwrap();
}
