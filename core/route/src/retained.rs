//! The retained messages of one shard, in the order of their topics' levels, and reads that go on page by page
//! while topics come and go. It never interprets a message, and a page never looks at more than its budget.

use crate::levels::{self, ALL, ONE};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::ops::Bound;

/// Where a page of a read ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageEnd {
    /// Everything that matches was handed out.
    Done,
    /// There may be more: go on with this as `after`. It is the last topic looked at, whether it matched or
    /// not, and empty when there was none.
    More(String),
}

/// Topics with one message each. Owned by one shard.
///
/// Every operation takes time logarithmic in the number of topics. The tree shares no prefixes, so that its
/// depth does not follow the topics' and reads continue at any text.
pub struct RetainedTree<V> {
    topics: BTreeMap<Topic, V>,
}

impl<V> RetainedTree<V> {
    /// An empty tree.
    pub const fn new() -> Self {
        Self { topics: BTreeMap::new() }
    }

    /// How many topics have a message.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether no topic has a message.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Stores the topic's message and gives back the one it replaces [MQTT-3.3.1-5].
    pub fn insert(&mut self, topic: &str, value: V) -> Option<V> {
        if let Some(found) = self.get_mut(topic) {
            return Some(core::mem::replace(found, value));
        }
        self.topics.insert(Topic(topic.into()), value)
    }

    /// The topic's message.
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.topics.get(&topic as &dyn ByLevels)
    }

    /// The topic's message, to be changed.
    pub fn get_mut(&mut self, topic: &str) -> Option<&mut V> {
        self.topics.get_mut(&topic as &dyn ByLevels)
    }

    /// Takes the topic's message out [MQTT-3.3.1-6].
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        self.topics.remove(&topic as &dyn ByLevels)
    }

    /// Topics and messages in the order of the levels.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.topics.iter().map(|(topic, value)| (&*topic.0, value))
    }

    /// Hands the messages of topics that match the filter to `each`, in the order of the levels, beginning
    /// after the topic `after` (which need not exist any more; none or empty: from the first).
    ///
    /// Looks at no more than `budget_nodes` topics, at least one, whether they match or not. When `each`
    /// answers false the message was not consumed: the page ends before it and the next begins with it. A
    /// topic that was there from the first page to the last is handed out exactly once, one that came or went
    /// meanwhile at most once.
    ///
    /// Filters that begin with a wildcard pass topics that begin with `$` [MQTT-4.7.2-1].
    pub fn page(
        &self,
        filter: &str,
        after: Option<&str>,
        budget_nodes: usize,
        mut each: impl FnMut(&str, &V) -> bool,
    ) -> PageEnd {
        let mut seen = after.unwrap_or_default();
        if !levels::has_wildcard(filter) {
            return self.page_of_one(filter, seen, each);
        }
        let mut from = String::new();
        let mut found = self.after(seen);
        for _ in 0..budget_nodes.max(1) {
            let Some((topic, value)) = found.next() else {
                return PageEnd::Done;
            };
            match judge(filter, &topic.0, &mut from) {
                Step::Matches if !each(&topic.0, value) => return PageEnd::More(seen.into()),
                Step::Matches | Step::Next => {}
                Step::SeekFrom => found = self.from(&from),
                Step::Done => return PageEnd::Done,
            }
            seen = &topic.0;
        }
        PageEnd::More(seen.into())
    }

    fn page_of_one(&self, topic: &str, seen: &str, mut each: impl FnMut(&str, &V) -> bool) -> PageEnd {
        let ahead = seen.is_empty() || levels::compare(seen, topic).is_lt();
        match self.get(topic).filter(|_| ahead) {
            Some(value) if !each(topic, value) => PageEnd::More(seen.into()),
            _ => PageEnd::Done,
        }
    }

    fn after(&self, topic: &str) -> Range<'_, V> {
        let bound =
            if topic.is_empty() { Bound::Unbounded } else { Bound::Excluded(&topic as &dyn ByLevels) };
        self.topics.range::<dyn ByLevels, _>((bound, Bound::Unbounded))
    }

    fn from(&self, topic: &str) -> Range<'_, V> {
        self.topics.range::<dyn ByLevels, _>((Bound::Included(&topic as &dyn ByLevels), Bound::Unbounded))
    }
}

type Range<'a, V> = alloc::collections::btree_map::Range<'a, Topic, V>;

impl<V> Default for RetainedTree<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> fmt::Debug for RetainedTree<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetainedTree").field("len", &self.len()).finish()
    }
}

/// What a topic means for a read that looks for matches in ascending order.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Matches,
    /// No match; the next topic may be one.
    Next,
    /// No match before the topic that was written down.
    SeekFrom,
    /// No match from here on.
    Done,
}

/// Compares a topic with a filter that has wildcards, and writes to `from` where to go on if there is a gap.
fn judge(filter: &str, topic: &str, from: &mut String) -> Step {
    if levels::is_reserved(topic) && levels::begins_with_wildcard(filter) {
        // The bytes behind `$` begin where no reserved topic does.
        return seek(from, &["%"]);
    }
    let mut wanted = Some(0);
    let mut given = Some(0);
    // How far the topic goes with its last level that stands for a `+`.
    let mut free = None;
    while let Some(start) = wanted {
        let (level, next) = levels::level_at(filter, start);
        if level == ALL && next.is_none() {
            return Step::Matches;
        }
        let Some(begin) = given else {
            let literal = literal_run(filter, start);
            return if literal.is_empty() { Step::Next } else { seek(from, &[topic, "/", literal]) };
        };
        let (found, following) = levels::level_at(topic, begin);
        match if level == ONE { Ordering::Equal } else { found.cmp(level) } {
            Ordering::Less => return seek(from, &[&topic[..begin], literal_run(filter, start)]),
            Ordering::Greater => return past(from, topic, free),
            Ordering::Equal if level == ONE => free = Some(begin + found.len()),
            Ordering::Equal => {}
        }
        (wanted, given) = (next, following);
    }
    match given {
        None => Step::Matches,
        Some(begin) => past(from, topic, Some(begin - 1)),
    }
}

/// The levels from `start` on that are no wildcards, with the separators between them.
fn literal_run(filter: &str, start: usize) -> &str {
    let mut end = start;
    let mut at = Some(start);
    while let Some(begin) = at {
        let (level, next) = levels::level_at(filter, begin);
        if level == ONE || (level == ALL && next.is_none()) {
            break;
        }
        end = begin + level.len();
        at = next;
    }
    &filter[start..end]
}

/// Goes on behind the topic's first `length` bytes and everything below them: U+0000 comes right after the
/// separator in the order of levels, before anything else.
fn past(from: &mut String, topic: &str, length: Option<usize>) -> Step {
    match length {
        Some(length) => seek(from, &[&topic[..length], "\0"]),
        None => Step::Done,
    }
}

fn seek(from: &mut String, parts: &[&str]) -> Step {
    from.clear();
    parts.iter().for_each(|part| from.push_str(part));
    Step::SeekFrom
}

/// A topic that is ordered by its levels.
#[derive(PartialEq, Eq)]
struct Topic(Box<str>);

impl PartialOrd for Topic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Topic {
    fn cmp(&self, other: &Self) -> Ordering {
        levels::compare(&self.0, &other.0)
    }
}

/// A text in the order of levels: what lets a borrowed text look up a [`Topic`] without a copy.
trait ByLevels {
    fn text(&self) -> &str;
}

impl ByLevels for Topic {
    fn text(&self) -> &str {
        &self.0
    }
}

impl ByLevels for &str {
    fn text(&self) -> &str {
        self
    }
}

impl PartialEq for dyn ByLevels + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for dyn ByLevels + '_ {}

impl PartialOrd for dyn ByLevels + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn ByLevels + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        levels::compare(self.text(), other.text())
    }
}

impl<'a> Borrow<dyn ByLevels + 'a> for Topic {
    fn borrow(&self) -> &(dyn ByLevels + 'a) {
        self
    }
}
