//! A match in parts against the whole one: the same without changes, and right for all that stayed when
//! subscriptions come and go between the parts.

mod model;

use proptest::prelude::*;
use ringmq_route::{MatchWalk, Stop, SubscriptionTree};
use std::collections::{BTreeMap, BTreeSet};

type Subscription = (String, u32);

fn tree_of(list: &BTreeSet<Subscription>) -> SubscriptionTree<String> {
    let mut tree = SubscriptionTree::new(1);
    for (filter, who) in list {
        tree.insert(filter, *who, filter.clone());
    }
    tree
}

/// One part; what it handed out is counted.
fn part(
    tree: &SubscriptionTree<String>,
    topic: &str,
    walk: &mut MatchWalk,
    units: usize,
    found: &mut BTreeMap<Subscription, usize>,
) -> Stop {
    let mut left = units;
    tree.match_part(topic, walk, &mut left, |who, filter| {
        *found.entry((filter.clone(), who)).or_default() += 1;
    })
}

fn subscription() -> impl Strategy<Value = Subscription> {
    (model::filter(), 0u32..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn parts_make_the_whole(
        list in prop::collection::btree_set(subscription(), 0..80),
        topic in model::topic(),
        units in 1usize..6,
    ) {
        let tree = tree_of(&list);
        let (mut walk, mut found) = (MatchWalk::new(), BTreeMap::new());
        while part(&tree, &topic, &mut walk, units, &mut found) == Stop::More {}
        let mut whole = BTreeMap::new();
        tree.for_each_match(&topic, |who, filter| *whole.entry((filter.clone(), who)).or_default() += 1);
        prop_assert_eq!(&found, &whole);
        prop_assert!(found.values().all(|count| *count == 1));
    }

    #[test]
    fn what_stays_is_found_once_whatever_comes_and_goes(
        stay in prop::collection::btree_set(subscription(), 0..40),
        moving in prop::collection::vec((subscription(), any::<bool>()), 1..120),
        topic in model::topic(),
        units in 1usize..4,
        changes_per_part in 1usize..8,
    ) {
        let mut tree = tree_of(&stay);
        for (one, _) in moving.iter().filter(|(one, at_first)| *at_first && !stay.contains(one)) {
            tree.insert(&one.0, one.1, one.0.clone());
        }
        let (mut walk, mut found) = (MatchWalk::new(), BTreeMap::new());
        let mut changes = moving.iter().cycle();
        while part(&tree, &topic, &mut walk, units, &mut found) == Stop::More {
            for (one, _) in changes.by_ref().take(changes_per_part).filter(|(one, _)| !stay.contains(one)) {
                if tree.remove(&one.0, one.1).is_none() {
                    tree.insert(&one.0, one.1, one.0.clone());
                }
            }
        }
        for one in &stay {
            let expected = usize::from(model::matches(&one.0, &topic));
            prop_assert_eq!(found.get(one).copied().unwrap_or(0), expected, "{:?} stayed", one);
        }
        for (one, count) in &found {
            prop_assert!(*count == 1 && model::matches(&one.0, &topic), "{:?} {} times", one, count);
        }
    }

    #[test]
    fn a_match_within_a_bound_is_whole_or_says_that_it_is_not(
        list in prop::collection::btree_set(subscription(), 0..80),
        topic in model::topic(),
    ) {
        let tree = tree_of(&list);
        let visited = tree.for_each_match_within(&topic, tree.topic_hash(&topic), usize::MAX, |_, _| {}).expect("without a bound");
        let whole = list.iter().filter(|(filter, _)| model::matches(filter, &topic)).count();
        for bound in 0..visited + 2 {
            let mut found = 0;
            let within = tree.for_each_match_within(&topic, tree.topic_hash(&topic), bound, |_, _| found += 1);
            // A match that is remembered visits lists and not nodes.
            match within {
                Some(places) => prop_assert!(places <= bound && found == whole),
                None => prop_assert!(bound < visited),
            }
        }
    }
}

/// Every level `a` or `+`: each prefix of the topic doubles the places.
#[test]
fn no_part_is_longer_than_its_units() {
    const LEVELS: usize = 12;
    let mut tree = SubscriptionTree::new(3);
    for number in 0..1u32 << LEVELS {
        let level = |nth: usize| if number >> nth & 1 == 1 { "a/" } else { "+/" };
        let filter: String = (0..LEVELS).map(level).chain(["x"]).collect();
        tree.insert(&filter, number, filter.clone());
    }
    let topic = "a/".repeat(LEVELS) + "x";
    assert_eq!(tree.for_each_match_within(&topic, tree.topic_hash(&topic), 1 << LEVELS, |_, _| {}), None);
    let (mut walk, mut found, mut parts) = (MatchWalk::new(), 0, 0);
    loop {
        let (mut units, mut handed) = (100, 0);
        let stop = tree.match_part(&topic, &mut walk, &mut units, |_, _| handed += 1);
        assert!(handed <= 100, "{handed} subscribers in a part");
        (found, parts) = (found + handed, parts + 1);
        if stop == Stop::Done {
            break;
        }
    }
    assert_eq!(found, 1 << LEVELS);
    assert!(parts > 100, "{parts} parts");
}
