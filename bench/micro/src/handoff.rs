//! Messages from core to core: copied into a batch, sent down a lane, read, and the batch sent home.

use std::hint::black_box;

use ringmq_sync::lane;

use crate::{Prepared, Workload};

/// Messages in one batch, as a turn sends them.
const MESSAGES: usize = 64;
const MESSAGE_BYTES: usize = 160;
const SLOTS: usize = 64;

/// Peers of a shard where there are 64.
const PEERS: usize = 63;

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "handoff-160-bytes",
        operation: "one message of 160 bytes handed over in a batch of 64",
        is_counted: true,
        prepare: |_| batches(MESSAGES),
    },
    Workload {
        name: "handoff-alone-160-bytes",
        operation: "one message of 160 bytes handed over in a batch of its own",
        is_counted: false,
        prepare: |_| batches(1),
    },
    Workload {
        name: "lane-idle",
        operation: "one of 63 empty lanes looked into",
        is_counted: false,
        prepare: |_| idle_lanes(),
    },
];

/// A turn's look into the lanes of all its peers when none has sent anything.
fn idle_lanes() -> Prepared {
    let mut lanes: Vec<_> = (0..PEERS).map(|_| Some(lane::<Vec<u8>>(SLOTS))).collect();
    Prepared::steady(PEERS, move || {
        for slot in &mut lanes {
            // As the runtime does it: the lane is taken out of its place while its batches are handled.
            let Some((sender, receiver)) = slot.take() else { continue };
            assert!(black_box(receiver.is_empty()), "nobody sends anything");
            *slot = Some((sender, receiver));
        }
    })
}

fn batches(messages: usize) -> Prepared {
    let (mut sender, mut receiver) = lane::<Vec<u8>>(SLOTS);
    let message = [7u8; MESSAGE_BYTES];
    Prepared::steady(messages, move || {
        let mut batch = sender.take_home().unwrap_or_default();
        for _ in 0..messages {
            let message = black_box(&message[..]);
            batch.extend_from_slice(&(message.len() as u32).to_le_bytes());
            batch.extend_from_slice(message);
        }
        assert!(sender.push(batch).is_ok(), "the lane is emptied each time");
        while let Some(mut batch) = receiver.pop() {
            let mut rest = batch.as_slice();
            while let Some((length, tail)) = rest.split_first_chunk::<4>() {
                let (message, tail) = tail.split_at(u32::from_le_bytes(*length) as usize);
                black_box(message);
                rest = tail;
            }
            batch.clear();
            receiver.give_home(batch);
        }
    })
}
