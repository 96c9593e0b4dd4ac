//! What a level is, and the order of topics by their levels. Nothing here checks a filter or a topic.

use core::cmp::Ordering;
use smallvec::SmallVec;

/// A whole filter or topic, in place up to a length that few have more than: it is compared where it is found.
pub(crate) type Text = SmallVec<[u8; 40]>;

/// Matches any one level.
pub(crate) const ONE: &str = "+";
/// Matches the level before it and everything below; only as the last level.
pub(crate) const ALL: &str = "#";

/// Text that was kept as bytes.
pub(crate) fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).expect("it was text when it came")
}

/// Whether the filter can match more than the topic it spells.
pub(crate) fn has_wildcard(filter: &str) -> bool {
    let bytes = filter.as_bytes();
    memchr::memchr2(b'+', b'#', bytes).is_some()
        && (ends_in_all(filter) || filter.split('/').any(|level| level == ONE))
}

/// Whether the last level is `#`.
pub(crate) fn ends_in_all(filter: &str) -> bool {
    filter.strip_suffix(ALL).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// Whether the first level is a wildcard.
pub(crate) fn begins_with_wildcard(filter: &str) -> bool {
    filter == ALL || level_at(filter, 0).0 == ONE
}

/// Whether filters that begin with a wildcard must pass this topic by [MQTT-4.7.2-1].
pub(crate) fn is_reserved(topic: &str) -> bool {
    topic.starts_with('$')
}

/// The levels of a filter before a `#` at its end, and whether there is one.
pub(crate) fn split_all(filter: &str) -> (impl Iterator<Item = &str> + Clone, bool) {
    let all = ends_in_all(filter);
    let count = filter.bytes().filter(|&byte| byte == b'/').count() + usize::from(!all);
    (filter.split('/').take(count), all)
}

/// The level that begins at `start`, and where the next one begins, if there is one.
#[inline]
pub(crate) fn level_at(topic: &str, start: usize) -> (&str, Option<usize>) {
    let rest = &topic[start..];
    match memchr::memchr(b'/', rest.as_bytes()) {
        Some(length) => (&rest[..length], Some(start + length + 1)),
        None => (rest, None),
    }
}

/// Compares two topics level by level: a topic stands right before everything below it.
///
/// The bytes decide, with the separator before all others.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    let (left, right) = (left.as_bytes(), right.as_bytes());
    // Neighbours in a tree share long prefixes, so these are passed eight bytes at a time.
    let words = left.chunks_exact(8).zip(right.chunks_exact(8));
    let same = 8 * words.take_while(|(a, b)| a == b).count();
    match left[same..].iter().zip(&right[same..]).find(|(a, b)| a != b) {
        Some((&a, &b)) => rank(a).cmp(&rank(b)),
        None => left.len().cmp(&right.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn wildcards_are_whole_levels() {
        let wild = ["#", "+", "/#", "a/#", "+/a", "a/+", "a/+/b", "//+", "+/#"];
        let plain = ["", "/", "a", "a+", "a#", "a/b#", "#/a", "a/#/b", "+a/b", "a//b"];
        assert!(wild.iter().all(|filter| has_wildcard(filter)));
        assert!(!plain.iter().any(|filter| has_wildcard(filter)));
    }

    #[test]
    fn split_all_drops_only_the_last_level() {
        let split = |filter| {
            let (levels, all) = split_all(filter);
            (levels.collect::<Vec<_>>(), all)
        };
        assert_eq!(split("#"), (Vec::new(), true));
        assert_eq!(split("/#"), (Vec::from([""]), true));
        assert_eq!(split("a/+/#"), (Vec::from(["a", "+"]), true));
        assert_eq!(split("a//b"), (Vec::from(["a", "", "b"]), false));
        assert_eq!(split("/"), (Vec::from(["", ""]), false));
    }

    #[test]
    fn order_is_that_of_the_lists_of_levels() {
        let topics = [
            "",
            "/",
            "//",
            "/a",
            "a",
            "a/",
            "a//b",
            "a/b",
            "a/b/c",
            "a/b!",
            "a\0",
            "a!",
            "a!/b",
            "a0",
            "long/prefix/a",
            "long/prefix/",
            "long/prefix",
            "long/prefix!",
            "long/prefix/a/b",
        ];
        for left in topics {
            for right in topics {
                let lists = left.split('/').cmp(right.split('/'));
                assert_eq!(compare(left, right), lists, "{left:?} {right:?}");
            }
        }
    }
}
