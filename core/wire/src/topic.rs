//! Topic names and topic filters, parsed once and valid from then on.
//!
//! Nothing is normalised: names and filters are compared byte by byte [MQTT-4.7.3-4].

use crate::{FIELD_BYTES_MAX, Violation, text};

/// A topic name: at least one character, no wildcard, no null character, at most 65,535 bytes. Only
/// [`TopicName::EMPTY`] is empty, which PUBLISH of 5.0 uses with a topic alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// No name; it stands for a topic alias.
    pub const EMPTY: TopicName<'static> = TopicName("");

    /// Judges a name. Errors: [`Violation::TopicEmpty`], [`Violation::TopicTooLong`],
    /// [`Violation::TopicHasWildcard`] [MQTT-3.3.2-2], [`Violation::TopicHasNul`].
    pub fn new(name: &'a str) -> Result<Self, Violation> {
        check_length(name)?;
        check_name(name.as_bytes())?;
        Ok(TopicName(name))
    }

    /// Judges the bytes of a field; an empty name passes, since only the packet knows whether it may be.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Violation> {
        let name = simdutf8::basic::from_utf8(bytes).map_err(|_| Violation::TextNotUtf8)?;
        check_name(bytes)?;
        Ok(TopicName(name))
    }

    /// The name.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether it stands for a topic alias.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl core::fmt::Display for TopicName<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(self.0)
    }
}

#[inline]
fn check_name(bytes: &[u8]) -> Result<(), Violation> {
    match memchr::memchr3(b'+', b'#', 0, bytes) {
        None => Ok(()),
        Some(at) if bytes[at] == 0 => Err(Violation::TopicHasNul),
        Some(_) => Err(Violation::TopicHasWildcard),
    }
}

fn check_length(topic: &str) -> Result<(), Violation> {
    match topic.len() {
        0 => Err(Violation::TopicEmpty),
        1..=FIELD_BYTES_MAX => Ok(()),
        _ => Err(Violation::TopicTooLong),
    }
}

const SHARE_PREFIX: &str = "$share/";

/// A topic filter, possibly of a shared subscription (`$share/NAME/filter`), in every version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter<'a> {
    whole: &'a str,
    /// Length of the share name; zero when not shared, because a share name has at least one character.
    share_name_bytes: usize,
}

impl<'a> TopicFilter<'a> {
    /// Judges a filter. Errors: empty, too long or with a null character [MQTT-4.7.3-1 to -3], a misplaced
    /// wildcard [MQTT-4.7.1-1] [MQTT-4.7.1-2], a share name that is empty [MQTT-4.8.2-1], has a wildcard, or
    /// has no filter behind it [MQTT-4.8.2-2].
    pub fn new(filter: &'a str) -> Result<Self, Violation> {
        check_length(filter)?;
        if memchr::memchr(0, filter.as_bytes()).is_some() {
            return Err(Violation::TopicHasNul);
        }
        let share_name_bytes = share_name_bytes(filter)?;
        let parsed = TopicFilter { whole: filter, share_name_bytes };
        check_wildcards(parsed.filter().as_bytes())?;
        Ok(parsed)
    }

    /// Judges the bytes of a field.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Violation> {
        TopicFilter::new(text::parse(bytes)?)
    }

    /// A filter out of bytes that were judged before.
    pub(crate) fn judged(bytes: &'a [u8]) -> Self {
        let whole = text::judged(bytes);
        TopicFilter { whole, share_name_bytes: share_name_bytes(whole).unwrap_or(0) }
    }

    /// As the client wrote it, share name included.
    pub const fn whole(self) -> &'a str {
        self.whole
    }

    /// The name of the group, for a shared subscription.
    pub fn share_name(self) -> Option<&'a str> {
        let start = SHARE_PREFIX.len();
        match self.share_name_bytes {
            0 => None,
            bytes => self.whole.get(start..start + bytes),
        }
    }

    /// What is matched against topics: without `$share/` and the name.
    pub fn filter(self) -> &'a str {
        match self.share_name_bytes {
            0 => self.whole,
            bytes => self.whole.get(SHARE_PREFIX.len() + bytes + 1..).unwrap_or_default(),
        }
    }

    /// Whether the filter has a wildcard.
    pub fn has_wildcard(self) -> bool {
        memchr::memchr2(b'+', b'#', self.filter().as_bytes()).is_some()
    }
}

impl core::fmt::Display for TopicFilter<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(self.whole)
    }
}

fn share_name_bytes(filter: &str) -> Result<usize, Violation> {
    let Some(rest) = filter.strip_prefix(SHARE_PREFIX) else {
        return Ok(0);
    };
    let Some((name, filter)) = rest.split_once('/') else {
        let violation = if rest.is_empty() { Violation::ShareNameEmpty } else { Violation::ShareNameInvalid };
        return Err(violation);
    };
    if name.is_empty() {
        return Err(Violation::ShareNameEmpty);
    }
    if filter.is_empty() || memchr::memchr2(b'+', b'#', name.as_bytes()).is_some() {
        return Err(Violation::ShareNameInvalid);
    }
    Ok(name.len())
}

fn check_wildcards(filter: &[u8]) -> Result<(), Violation> {
    for at in memchr::memchr2_iter(b'+', b'#', filter) {
        let starts_level = at == 0 || filter[at - 1] == b'/';
        let next = filter.get(at + 1).copied();
        if filter[at] == b'#' && !(starts_level && next.is_none()) {
            return Err(Violation::FilterMultiLevelMisplaced);
        }
        if filter[at] == b'+' && !(starts_level && matches!(next, None | Some(b'/'))) {
            return Err(Violation::FilterSingleLevelMisplaced);
        }
    }
    Ok(())
}

/// Whether a filter (without share name) matches a topic name.
///
/// A filter that starts with a wildcard does not match a topic that starts with `$` [MQTT-4.7.2-1]; `a/#` also
/// matches `a` itself. This is the plain statement of the rule; an index of many filters has its own way.
pub fn topic_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
