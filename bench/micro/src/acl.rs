//! What a check against an ACL file costs, by the number of its rules.

use std::hint::black_box;

use ringmq_auth::{Acl, Action, Who};

use crate::{Prepared, Workload};

/// Checks of one run.
const CHECKS: usize = 1024;
/// Topics that are checked, half of which a rule allows.
const TOPICS: usize = 64;
/// Levels of the filters that branch: a topic may match by 2^LEVELS ways.
const BRANCHING_LEVELS: usize = 8;

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "acl-check-10",
        operation: "one topic checked, 10 rules of its user",
        is_counted: false,
        prepare: |_| of_rules(10),
    },
    Workload {
        name: "acl-check-1000",
        operation: "one topic checked, 1,000 rules of its user",
        is_counted: false,
        prepare: |_| of_rules(1_000),
    },
    Workload {
        name: "acl-check-10000",
        operation: "one topic checked, 10,000 rules of its user",
        is_counted: true,
        prepare: |_| of_rules(10_000),
    },
    Workload {
        name: "acl-check-10000-patterns",
        operation: "one topic checked, 10,000 patterns with names in them",
        is_counted: true,
        prepare: |_| of_patterns(10_000),
    },
    Workload {
        name: "acl-check-branching",
        operation: "one topic checked that 256 of the user's rules name, the worst of their number",
        is_counted: false,
        prepare: |_| branching(),
    },
];

/// The n-th of filters of four levels: seven in ten exact, two with `+`, one with `#`.
fn filter(number: usize) -> String {
    let (site, device, field) = (number % 17, number / 17, number % 5);
    match number % 10 {
        0..7 => format!("site-{site}/device-{device}/sensor/{field}"),
        7 | 8 => format!("site-{site}/+/room-{device}/{field}"),
        _ => format!("site-{site}/device-{device}/#"),
    }
}

/// Topics that the filters name, and as many that none does.
fn topics(rules: usize) -> Vec<String> {
    let named = |number: usize| filter(number * 31 % rules).replace('+', "device-7").replace('#', "sensor/3");
    (0..TOPICS)
        .map(|n| if n % 2 == 0 { named(n) } else { format!("{}/none", named(n).replace("1", "x")) })
        .collect()
}

fn of_rules(rules: usize) -> Prepared {
    let mut file = String::from("user anna\n");
    (0..rules).for_each(|number| file.push_str(&format!("topic readwrite {}\n", filter(number))));
    checks(&file, topics(rules))
}

fn of_patterns(rules: usize) -> Prepared {
    let mut file = String::new();
    for number in 0..rules {
        let filter = filter(number);
        let pattern = filter.split_once('/').map_or("", |(_, below)| below);
        file.push_str(&format!("pattern readwrite site-{}/%c/{pattern}\n", number % 17));
    }
    let own = |topic: String| topic.replacen('/', "/client-1/", 1);
    checks(&file, topics(rules).into_iter().map(own).collect())
}

fn branching() -> Prepared {
    let mut file = String::from("user anna\n");
    for ways in 0..1 << BRANCHING_LEVELS {
        let level = |at: usize| if ways >> at & 1 == 0 { "a" } else { "+" };
        let levels: Vec<&str> = (0..BRANCHING_LEVELS).map(level).collect();
        file.push_str(&format!("topic read {}\n", levels.join("/")));
    }
    checks(&file, vec!["a/".repeat(BRANCHING_LEVELS - 1) + "a"])
}

fn checks(file: &str, topics: Vec<String>) -> Prepared {
    let acl = Acl::parse(file.as_bytes()).expect("the rules of this workload are right");
    Prepared::steady(CHECKS, move || {
        for number in 0..CHECKS {
            let who = Who { client_id: "client-1", user_name: Some("anna") };
            let topic = black_box(&topics[number % topics.len()]);
            black_box(acl.allows(black_box(who), Action::Read, topic));
        }
    })
}
