//! The rules of topic filters in their plainest form, and texts that make them meet.

use proptest::prelude::*;

/// Whether the filter matches the topic, by the letter of chapter 4.7.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    let (levels, all) = match filter.split_last() {
        Some((&"#", levels)) => (levels, true),
        _ => (&filter[..], false),
    };
    let fits = if all { levels.len() <= topic.len() } else { levels.len() == topic.len() };
    fits && levels.iter().zip(&topic).all(|(wanted, given)| *wanted == "+" || wanted == given)
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just("a"), 3 => Just("b"), 2 => Just(""), 1 => Just("$s"), 1 => Just("ab"), 1 => Just("a!"),
        1 => Just("é")]
    .prop_map(String::from)
}

/// Topics of 1 to 5 levels from a small alphabet, so that they often meet.
pub fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..=5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic has a character", |topic| !topic.is_empty())
}

/// Filters over the same alphabet.
pub fn filter() -> impl Strategy<Value = String> {
    let part = prop_oneof![2 => level(), 1 => Just(String::from("+"))];
    (prop::collection::vec(part, 0..=5), any::<bool>())
        .prop_map(|(mut levels, all)| {
            if all {
                levels.push("#".into());
            }
            levels.join("/")
        })
        .prop_filter("a filter has a character", |filter| !filter.is_empty())
}
