//! The subscription tree against a list of subscriptions, and the corners of the matching rules.

mod model;

use proptest::prelude::*;
use ringmq_route::SubscriptionTree;
use std::collections::BTreeMap;

fn found(tree: &SubscriptionTree<u16>, topic: &str) -> Vec<(u32, u16)> {
    let mut found = Vec::new();
    tree.for_each_match(topic, |who, value| found.push((who, *value)));
    found
}

#[derive(Clone, Debug)]
enum Change {
    Subscribe(String, u32, u16),
    Unsubscribe(String, u32),
    UnsubscribeNth(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (model::filter(), 0u32..6, any::<u16>()).prop_map(|(filter, who, value)| Change::Subscribe(filter, who, value)),
        1 => (model::filter(), 0u32..6).prop_map(|(filter, who)| Change::Unsubscribe(filter, who)),
        2 => any::<usize>().prop_map(Change::UnsubscribeNth),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn churn_matches_like_a_list(
        changes in prop::collection::vec(change(), 0..120),
        topics in prop::collection::vec(model::topic(), 1..20),
        keys in any::<[u64; 2]>(),
    ) {
        let mut tree = SubscriptionTree::new(keys[0]);
        let mut other_key = SubscriptionTree::new(keys[1]);
        let mut list: BTreeMap<(String, u32), u16> = BTreeMap::new();
        for (step, change) in changes.iter().enumerate() {
            let change = match change.clone() {
                Change::UnsubscribeNth(nth) if !list.is_empty() => {
                    let (filter, who) = list.keys().nth(nth % list.len()).unwrap().clone();
                    Change::Unsubscribe(filter, who)
                }
                change => change,
            };
            match change {
                Change::Subscribe(filter, who, value) => {
                    let before = list.insert((filter.clone(), who), value);
                    prop_assert_eq!(tree.insert(&filter, who, value), before);
                    other_key.insert(&filter, who, value);
                    prop_assert_eq!(tree.value(&filter, who), Some(&value));
                }
                Change::Unsubscribe(filter, who) => {
                    prop_assert_eq!(tree.remove(&filter, who), list.remove(&(filter.clone(), who)));
                    other_key.remove(&filter, who);
                    prop_assert!(!tree.contains(&filter, who));
                }
                Change::UnsubscribeNth(_) => {}
            }
            prop_assert_eq!(tree.len(), list.len());
            let topic = &topics[step % topics.len()];
            prop_assert_eq!(found(&tree, topic), found(&other_key, topic), "the hash key shows");
        }
        for topic in &topics {
            let mut found = found(&tree, topic);
            found.sort_unstable();
            let mut expected: Vec<(u32, u16)> = list
                .iter()
                .filter(|((filter, _), _)| model::matches(filter, topic))
                .map(|((_, who), value)| (*who, *value))
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected, "{}", topic);
        }
        let mut filters: Vec<String> = list.keys().map(|(filter, _)| filter.clone()).collect();
        filters.dedup();
        prop_assert_eq!(tree.filters(), filters.clone());
        for filter in filters {
            let count = list.keys().filter(|(other, _)| *other == filter).count();
            prop_assert_eq!(tree.subscriber_count(&filter), count);
        }
        for (filter, who) in list.keys() {
            prop_assert!(tree.remove(filter, *who).is_some());
        }
        prop_assert_eq!(format!("{tree:?}"), format!("{:?}", SubscriptionTree::<u16>::new(0)));
    }
}

#[test]
fn matching_table() {
    // [MQTT-4.7.1-2], [MQTT-4.7.1-3], [MQTT-4.7.2-1], [MQTT-4.7.3-1] and the examples of chapter 4.7.
    let rows = [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/player1/#", "sport/tennis/player10", false),
        ("sport/#", "sport", true),
        ("sport/#", "sport/", true),
        ("#", "a", true),
        ("#", "/", true),
        ("#", "$SYS/x", false),
        ("+/x", "$SYS/x", false),
        ("+/+", "$SYS/x", false),
        ("$SYS/#", "$SYS/x", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/+", "$SYS/x", true),
        ("$SYS/x", "$SYS/x", true),
        ("a/+", "a/$SYS", true),
        ("a/#", "a/$SYS", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("+/+", "/", true),
        ("/", "/", true),
        ("+", "/", false),
        ("a//b", "a//b", true),
        ("a/+/b", "a//b", true),
        ("a//b", "a/b", false),
        ("a//#", "a/", true),
        ("a//#", "a", false),
        ("+//+", "a//b", true),
        ("A", "a", false),
        ("/a", "a", false),
        ("a+", "a+", true),
        ("a/b#", "a/b#", true),
    ];
    for (filter, topic, expected) in rows {
        let mut tree = SubscriptionTree::new(1);
        tree.insert(filter, 7, 0);
        assert_eq!(!found(&tree, topic).is_empty(), expected, "{filter} {topic}");
        assert_eq!(model::matches(filter, topic), expected, "the model: {filter} {topic}");
    }
}

#[test]
fn the_deepest_filters_need_no_stack() {
    let levels = 32_767;
    let deep = vec!["a"; levels].join("/");
    let ends = format!("{deep}/#");
    let wild = format!("+/{}", vec!["a"; levels - 1].join("/"));
    let mut tree = SubscriptionTree::new(1);
    for (who, filter) in [&deep, &ends, &wild].into_iter().enumerate() {
        assert_eq!(tree.insert(filter, who as u32, 9), None);
    }
    assert_eq!(found(&tree, &deep), [(0, 9), (1, 9), (2, 9)].map(|one| one));
    assert_eq!(found(&tree, &format!("{deep}/x")), [(1, 9)]);
    assert_eq!(tree.filters().len(), 3);
    assert_eq!(tree.remove(&ends, 1), Some(9));
    drop(tree);
}

#[test]
fn one_filter_with_a_crowd() {
    let mut tree = SubscriptionTree::new(1);
    for who in 0..100_000 {
        assert_eq!(tree.insert("news/+", who, 1), None);
    }
    assert_eq!(tree.subscriber_count("news/+"), 100_000);
    assert_eq!(tree.remove("news/+", 0), Some(1));
    let found = found(&tree, "news/today");
    assert_eq!((found.len(), found[0]), (99_999, (99_999, 1)));
    (1..100_000).for_each(|who| assert_eq!(tree.remove("news/+", who), Some(1)));
    assert!(tree.is_empty() && tree.filters().is_empty());
}

#[test]
fn churn_of_ever_new_filters_keeps_no_nodes() {
    let mut tree = SubscriptionTree::new(1);
    for round in 0..5_000u32 {
        tree.insert(&format!("site/{round}/+/x"), 1, 0);
        tree.insert(&format!("site/{round}/y"), 1, 0);
        if round >= 10 {
            tree.remove(&format!("site/{}/+/x", round - 10), 1);
            tree.remove(&format!("site/{}/y", round - 10), 1);
        }
    }
    assert_eq!(format!("{tree:?}"), "SubscriptionTree { len: 20, exact: 10, nodes: 32 }");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Topics that were looked up often enough to be remembered get what a tree that remembers nothing says, in
    /// the same order, whatever comes and goes between.
    #[test]
    fn a_remembered_topic_is_found_like_a_new_one(
        changes in prop::collection::vec(change(), 0..60),
        topics in prop::collection::vec(model::topic(), 1..8),
        key in any::<u64>(),
    ) {
        let mut tree = SubscriptionTree::new(key);
        let mut history: Vec<Change> = Vec::new();
        let apply = |tree: &mut SubscriptionTree<u16>, change: &Change| match change {
            Change::Subscribe(filter, who, value) => drop(tree.insert(filter, *who, *value)),
            Change::Unsubscribe(filter, who) => drop(tree.remove(filter, *who)),
            Change::UnsubscribeNth(_) => {}
        };
        for change in changes {
            // Half of what comes goes again at once, so that nodes are made anew under old numbers.
            let goes = match &change {
                Change::Subscribe(filter, who, value) if value % 2 == 0 => Some(Change::Unsubscribe(filter.clone(), *who)),
                _ => None,
            };
            for change in std::iter::once(change).chain(goes) {
                apply(&mut tree, &change);
                history.push(change);
                let mut fresh = SubscriptionTree::new(key);
                history.iter().for_each(|change| apply(&mut fresh, change));
                for topic in &topics {
                    let expected = found(&fresh, topic);
                    for _ in 0..3 {
                        prop_assert_eq!(found(&tree, topic), expected.clone(), "{}", topic);
                    }
                }
            }
        }
    }
}

#[test]
fn looking_up_while_being_told_of_matches_is_allowed() {
    let mut tree = SubscriptionTree::new(3);
    tree.insert("a/+", 1, 10);
    tree.insert("a/#", 2, 20);
    for _ in 0..4 {
        let mut inner = Vec::new();
        tree.for_each_match("a/b", |_, _| inner.push((found(&tree, "a/b"), found(&tree, "a/c"))));
        let both = vec![(2, 20), (1, 10)];
        assert_eq!(inner, vec![(both.clone(), both.clone()), (both.clone(), both)]);
    }
}
