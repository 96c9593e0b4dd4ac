//! Reads of retained messages in pages of every size, while topics come and go, against a sorted list.

mod model;

use proptest::prelude::*;
use ringmq_route::{PageEnd, RetainedTree};
use std::collections::BTreeSet;

fn tree_of<'a>(topics: impl IntoIterator<Item = &'a String>) -> RetainedTree<u16> {
    let mut tree = RetainedTree::new();
    for topic in topics {
        tree.insert(topic, 0);
    }
    tree
}

fn by_levels(topics: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut topics: Vec<String> = topics.into_iter().collect();
    topics.sort_by(|left, right| left.split('/').cmp(right.split('/')));
    topics.dedup();
    topics
}

/// Reads to the end, at most `consumed_max` messages and `budget` nodes a page, with `between` after each page.
fn read(
    tree: &mut RetainedTree<u16>,
    filter: &str,
    consumed_max: usize,
    budget: usize,
    mut between: impl FnMut(&mut RetainedTree<u16>),
) -> Vec<String> {
    let mut read = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..10_000 {
        let mut room = consumed_max;
        let end = tree.page(filter, after.as_deref(), budget, |topic, _| {
            if room == 0 {
                return false;
            }
            room -= 1;
            read.push(topic.to_owned());
            true
        });
        match end {
            PageEnd::Done => return read,
            PageEnd::More(cursor) => after = Some(cursor),
        }
        between(tree);
    }
    panic!("the read of {filter} makes no progress");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn pages_of_every_size_are_one_read(
        topics in prop::collection::btree_set(model::topic(), 0..40),
        filter in model::filter(),
    ) {
        let mut tree = tree_of(&topics);
        let expected = by_levels(topics.iter().filter(|topic| model::matches(&filter, topic)).cloned());
        for consumed_max in 1..=6 {
            for budget in [0, 1, 2, 3, 7, 1000] {
                let read = read(&mut tree, &filter, consumed_max, budget, |_| {});
                prop_assert_eq!(&read, &expected, "{} {} {}", filter, consumed_max, budget);
            }
        }
        let all: Vec<String> = tree.iter().map(|(topic, _)| topic.to_owned()).collect();
        prop_assert_eq!(all, by_levels(topics));
    }

    #[test]
    fn churn_between_pages_loses_and_doubles_nothing(
        steady in prop::collection::btree_set(model::topic(), 0..25),
        passing in prop::collection::vec((any::<bool>(), model::topic()), 1..60),
        filter in model::filter(),
        consumed_max in 1usize..4,
        budget in 1usize..6,
    ) {
        let mut tree = tree_of(&steady);
        let mut changes = passing.iter().filter(|(_, topic)| !steady.contains(topic)).cycle();
        let read = read(&mut tree, &filter, consumed_max, budget, |tree| {
            for (comes, topic) in changes.by_ref().take(3) {
                if *comes {
                    tree.insert(topic, 1);
                } else {
                    tree.remove(topic);
                }
            }
        });
        let distinct: BTreeSet<&String> = read.iter().collect();
        prop_assert_eq!(distinct.len(), read.len(), "twice in {:?}", read);
        prop_assert!(read.iter().all(|topic| model::matches(&filter, topic)));
        for topic in steady.iter().filter(|topic| model::matches(&filter, topic)) {
            prop_assert!(distinct.contains(topic), "{} lost by {}", topic, filter);
        }
    }

    #[test]
    fn lookups_behave_like_a_map(steps in prop::collection::vec((0u8..3, model::topic(), any::<u16>()), 0..200)) {
        let mut tree = RetainedTree::new();
        let mut map = std::collections::HashMap::new();
        for (step, topic, value) in steps {
            match step {
                0 => prop_assert_eq!(tree.insert(&topic, value), map.insert(topic.clone(), value)),
                1 => prop_assert_eq!(tree.remove(&topic), map.remove(&topic)),
                _ => {
                    let (found, expected) = (tree.get_mut(&topic), map.get_mut(&topic));
                    prop_assert_eq!(found.is_some(), expected.is_some());
                    found.into_iter().chain(expected).for_each(|at| *at = value);
                }
            }
            prop_assert_eq!(tree.get(&topic), map.get(&topic));
            prop_assert_eq!(tree.len(), map.len());
        }
    }
}

#[test]
fn a_refused_message_is_the_next_pages_first() {
    let tree = tree_of(&["a/1", "a/2", "b/1"].map(String::from));
    assert_eq!(tree.page("#", None, 10, |_, _| false), PageEnd::More(String::new()));
    assert_eq!(tree.page("#", None, 10, |topic, _| topic != "a/2"), PageEnd::More("a/1".into()));
    assert_eq!(tree.page("a/1", Some(""), 10, |_, _| false), PageEnd::More(String::new()));
    assert_eq!(tree.page("a/1", Some("a/1"), 10, |_, _| panic!("again")), PageEnd::Done);
    let mut rest = Vec::new();
    let end = tree.page("#", Some("a/1"), 10, |topic, _| {
        rest.push(topic.to_owned());
        true
    });
    assert_eq!((end, rest), (PageEnd::Done, vec!["a/2".into(), "b/1".into()]));
}

#[test]
fn gaps_are_jumped_not_walked() {
    let topics: Vec<String> = (0..100)
        .flat_map(|site| (0..100).map(move |meter| format!("site{site:02}/meter{meter:02}/x")))
        .collect();
    let tree = tree_of(&topics);
    let mut count = 0;
    let end = tree.page("+/meter50/x", None, 350, |_, _| {
        count += 1;
        true
    });
    assert_eq!((end, count), (PageEnd::Done, 100), "350 of 10,000 topics are enough");
    assert_eq!(tree.page("site77/nothing/+", None, 3, |_, _| true), PageEnd::Done);
}

#[test]
fn reserved_topics_are_jumped() {
    let mut topics: Vec<String> = (0..1000).map(|number| format!("$SYS/{number}")).collect();
    topics.extend(["!before".into(), "after".into()]);
    let mut tree = tree_of(&topics);
    assert_eq!(read(&mut tree, "#", 10, 5, |_| {}), ["!before", "after"]);
    assert_eq!(read(&mut tree, "+", 10, 5, |_| {}), ["!before", "after"]);
    assert_eq!(read(&mut tree, "$SYS/#", 10, 5, |_| {}).len(), 1000);
}

#[test]
fn the_deepest_topics_need_no_stack() {
    let deep = vec![""; 32_767].join("/");
    let deeper = format!("{deep}/");
    let mut tree = tree_of(&[deep.clone(), deeper.clone(), "a".into()]);
    assert_eq!(read(&mut tree, "/#", 1, 2, |_| {}), [deep.clone(), deeper.clone()]);
    assert_eq!(read(&mut tree, &format!("{deep}/+"), 1, 2, |_| {}), [deeper.as_str()]);
    assert_eq!(tree.remove(&deep), Some(0));
}
