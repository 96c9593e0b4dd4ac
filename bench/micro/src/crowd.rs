//! One message for very many sessions: what each costs until the message stands in its queue. The encoding and the
//! writes come after, and are not part of it.

use std::cell::RefCell;
use std::rc::Rc;

use ringmq_wire::Qos;

use crate::shards::{Shards, publish};
use crate::{Prepared, Scale, Workload, topics};

pub(crate) const WORKLOADS: &[Workload] = &[
    enqueue("enqueue-10000", |scale| crowd(10_000 / scale.crowd_divisor)),
    Workload { is_counted: false, ..enqueue("enqueue-100000", |scale| crowd(100_000 / scale.crowd_divisor)) },
];

const fn enqueue(name: &'static str, prepare: fn(&Scale) -> Prepared) -> Workload {
    Workload { name, operation: "one session given the message", is_counted: true, prepare }
}

fn crowd(sessions: usize) -> Prepared {
    let mut shards = Shards::new(1);
    let mut clients: Vec<_> =
        (0..sessions).map(|number| shards.connect(&format!("client-{number}"))).collect();
    topics::random(4).shuffle(&mut clients);
    for client in clients {
        shards.subscribe(client, "region01/news", Qos::AtMostOnce);
    }
    let publisher = shards.connect("publisher");
    let bytes = publish("region01/news", Qos::AtMostOnce);
    let expected = (bytes.len() * sessions) as u64;
    let shards = Rc::new(RefCell::new(shards));
    let other = Rc::clone(&shards);
    let write = move || {
        let mut shards = other.borrow_mut();
        let before = shards.written();
        shards.turns();
        assert_eq!(shards.written() - before, expected, "everybody got it");
    };
    Prepared::restored(sessions, move || shards.borrow_mut().send(publisher, &bytes), write)
}
