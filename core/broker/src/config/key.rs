//! What is known about one configuration key, as data. Says nothing about which keys exist.

use std::path::PathBuf;

use super::Options;
use super::declaration::KEYS;

/// What a number counts. Decides which suffixes a value may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes; `KiB`, `MiB` and `GiB` may follow the number.
    Bytes,
    /// Milliseconds; `ms`, `s`, `min` and `h` may follow the number.
    Milliseconds,
    /// Seconds; `s`, `min`, `h` and `d` may follow the number.
    Seconds,
    /// A plain number of what is named here.
    Count(&'static str),
    /// Not a number.
    None,
}

impl Unit {
    /// The word for help and errors; empty when there is no unit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Count(what) => what,
            Self::None => "",
        }
    }
    /// The suffixes a value may have, with what each multiplies by.
    #[must_use]
    pub const fn suffixes(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Bytes => &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)],
            Self::Milliseconds => &[("ms", 1), ("min", 60_000), ("s", 1_000), ("h", 3_600_000)],
            Self::Seconds => &[("min", 60), ("s", 1), ("h", 3_600), ("d", 86_400)],
            Self::Count(_) | Self::None => &[],
        }
    }
}

/// Which values a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// A whole number from the first to the second, both included.
    Number(u64, u64),
    /// The word, or a whole number from the first to the second.
    WordOrNumber(&'static str, u64, u64),
    /// One of these words.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// What the text says.
    Form(&'static str),
    /// Any number of what the text says, separated by commas; an array in a file.
    List(&'static str),
    /// Any number of files on this machine, separated by commas; an array in a file.
    Paths(&'static str),
    /// A file on this machine, of the kind that the text says.
    Path(&'static str),
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(least, most) => write!(f, "{least} to {most}"),
            Self::WordOrNumber(word, least, most) => write!(f, "{word}, or {least} to {most}"),
            Self::Words(words) => f.write_str(&words.join(", ")),
            Self::Bool => f.write_str("true, false"),
            Self::Form(form) | Self::List(form) | Self::Paths(form) | Self::Path(form) => f.write_str(form),
        }
    }
}

/// When a new value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// While the broker runs.
    Live,
    /// At the next start.
    Restart,
}

impl Change {
    /// The word for help.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
        }
    }
}

/// A flag without a value that stands for one value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Its long name, without the dashes.
    pub long: &'static str,
    /// The value it stands for.
    pub value: &'static str,
}

/// Where a value comes from; a later kind outranks an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nobody said anything.
    #[default]
    Default,
    /// A line of a configuration file.
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u32,
        /// Which character of the line, from 1.
        column: u32,
    },
    /// An environment variable.
    Environment(String),
    /// The command line: the flag as it was typed.
    Flag(String),
    /// A program that uses the library.
    Program,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Program => f.write_str("the program's options"),
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its long flag, without the dashes in front: the name with dashes for underscores.
    pub flag: &'static str,
    /// What it does, one sentence or two.
    pub doc: &'static str,
    /// What its number counts.
    pub unit: Unit,
    /// Which values it takes.
    pub range: Range,
    /// When a new value takes effect.
    pub change: Change,
    /// Where its value stands in the options.
    pub(super) place: &'static str,
    /// Its flag's short name.
    pub short: Option<char>,
    /// A flag without a value that stands for one of its values.
    pub switch: Option<Switch>,
    pub(crate) parse_into: fn(&mut Options, &str) -> bool,
    pub(super) text: fn(&Options) -> String,
    pub(super) number: fn(&Options) -> Option<u64>,
}

impl Key {
    /// The value in `options`, as it could be typed.
    #[must_use]
    pub fn text(&self, options: &Options) -> String {
        (self.text)(options)
    }
    /// Whether the value in `options` lies in the range.
    #[must_use]
    pub fn holds(&self, options: &Options) -> bool {
        let within = |least, most| (self.number)(options).is_none_or(|value| (least..=most).contains(&value));
        match self.range {
            Range::Number(least, most) | Range::WordOrNumber(_, least, most) => within(least, most),
            Range::Words(_)
            | Range::Bool
            | Range::Form(_)
            | Range::List(_)
            | Range::Paths(_)
            | Range::Path(_) => true,
        }
    }
    /// Whether a listener may have a value of its own.
    #[must_use]
    pub fn is_per_listener(&self) -> bool {
        let place = self.place.replace(' ', "");
        ["settings.offer.", "jwt.", "client_ids."].iter().any(|own| place.starts_with(own))
    }
    /// Whether its value is several, separated by commas.
    pub(super) const fn is_list(&self) -> bool {
        matches!(self.range, Range::List(_) | Range::Paths(_))
    }
    /// Range and unit for people.
    #[must_use]
    pub fn accepts(&self) -> String {
        accepts(self.range, self.unit)
    }
}

/// Range and unit for people.
pub(super) fn accepts(range: Range, unit: Unit) -> String {
    let unit = unit.name();
    if unit.is_empty() { range.to_string() } else { format!("{range} {unit}") }
}

/// The key of this name, written with dashes or underscores.
///
/// # Errors
/// The nearest name there is, when one is near.
pub fn key(name: &str) -> Result<&'static Key, Option<&'static str>> {
    let wanted = name.replace('-', "_");
    KEYS.iter()
        .find(|key| key.name == wanted)
        .ok_or_else(|| nearest(&wanted, KEYS.iter().map(|key| key.name)))
}

/// The name that needs the fewest edits, when it is more alike than different. Of what is typed the first
/// characters are looked at, so that a long text costs no more than a name.
pub(super) fn nearest(wanted: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    const NAME_BYTES_MAX: usize = 64;
    let wanted = &wanted.as_bytes()[..wanted.len().min(NAME_BYTES_MAX)];
    let (distance, best) =
        names.map(|name| (edits(wanted, name), name)).min_by_key(|(distance, _)| *distance)?;
    (distance * 2 <= wanted.len().max(4)).then_some(best)
}

/// Levenshtein's distance in bytes; the keys are ASCII.
fn edits(left: &[u8], right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().copied().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_with_dashes_and_near_ones_are_proposed() {
        assert_eq!(key("queue-messages-max").unwrap().name, "queue_messages_max");
        assert_eq!(key("queue_mesages_max").unwrap_err(), Some("queue_messages_max"));
        assert_eq!(key("prot").unwrap_err(), Some("port"));
        assert_eq!(key("zzzzzzzzzzzz").unwrap_err(), None);
    }

    #[test]
    fn edits_count_what_differs() {
        for (left, right, expected) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "axc", 1), ("", "ab", 2), ("kitten", "sitting", 3)]
        {
            assert_eq!(edits(left.as_bytes(), right), expected, "{left} {right}");
        }
    }
}
