//! What has been sent and is not acknowledged.

use std::hint::black_box;

use ringmq_proto::inflight::Inflight;

use crate::{Prepared, Workload};

/// Messages under way at any time.
const UNDER_WAY: usize = 16;
const PAIRS: usize = 1024;

pub(crate) const WORKLOADS: &[Workload] = &[Workload {
    name: "inflight-pair",
    operation: "one entry added and one acknowledged, in order",
    is_counted: true,
    prepare: |_| pairs(),
}];

fn pairs() -> Prepared {
    let mut table = Inflight::new();
    let mut under_way = [None; UNDER_WAY];
    under_way.iter_mut().for_each(|place| *place = table.insert(u16::MAX, 0u64));
    Prepared::steady(PAIRS, move || {
        for number in 0..PAIRS {
            let place = &mut under_way[number % UNDER_WAY];
            if let Some(packet_id) = *place {
                black_box(table.remove(packet_id));
            }
            *place = table.insert(black_box(u16::MAX), number as u64);
        }
    })
}
