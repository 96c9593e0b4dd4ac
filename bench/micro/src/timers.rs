//! The timer wheel. It cancels nothing: a timer is armed, and later it fires or means nothing any more.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use ringmq_proto::time::Mono;

use crate::{Prepared, Workload, topics};

// The wheel is the shard's own and not part of its face, so its file is compiled in here.
#[allow(dead_code)]
#[path = "../../../core/shard/src/wheel.rs"]
mod wheel;

use wheel::Wheel;

const TIMERS: usize = 1024;
/// Timers that stay armed all the time.
const STANDING: usize = 10_000;
/// Deadlines lie up to so many milliseconds ahead, as keep-alives do.
const SPAN: u64 = 60_000;

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "wheel-arm",
        operation: "one timer armed",
        is_counted: true,
        prepare: |_| {
            let (run, restore) = arm_and_fire();
            Prepared::restored(TIMERS, run, restore)
        },
    },
    Workload {
        name: "wheel-fire",
        operation: "one timer carried on from level to level and fired",
        is_counted: true,
        prepare: |_| {
            let (mut arm, fire) = arm_and_fire();
            arm();
            Prepared::restored(TIMERS, fire, arm)
        },
    },
];

type Step = Box<dyn FnMut()>;

fn arm_and_fire() -> (Step, Step) {
    let mut random = topics::random(3);
    let mut wheel = Wheel::new(Mono(0));
    for _ in 0..STANDING {
        wheel.arm(Mono((1 << 45) + random.u64(..SPAN)), 0);
    }
    let wheel = Rc::new(RefCell::new((wheel, 0)));
    let other = Rc::clone(&wheel);
    let arm = move || {
        let (wheel, now) = &mut *wheel.borrow_mut();
        for number in 0..TIMERS {
            wheel.arm(Mono(*now + random.u64(..SPAN)), number);
        }
    };
    let mut due = Vec::new();
    let fire = move || {
        let (wheel, now) = &mut *other.borrow_mut();
        *now += SPAN;
        wheel.advance(Mono(*now), &mut due);
        assert_eq!(black_box(&due).len(), TIMERS, "what was armed fires");
        due.clear();
    };
    (Box::new(arm), Box::new(fire))
}
