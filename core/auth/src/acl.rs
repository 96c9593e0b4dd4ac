//! mosquitto's ACL file. It says per user, for anonymous clients and, with `pattern`, for everybody, which topics may be
//! read and written. What it says is decided as mosquitto 2.0 and 2.1 decide it:
//!
//! 1. The user's own rules, or those in front of the first `user` line for clients without a user name. What one of
//!    them denies is denied; else what one of them allows is allowed.
//! 2. If they say nothing, the patterns in the same way.
//! 3. If they say nothing either, it is denied.
//!
//! Whether a client may *subscribe* is not asked: it may, and is given what it may read. A topic that begins with `$`
//! is named only by rules that begin with `$`.
//!
//! A name with `+` or `#` gets nothing by patterns, as in mosquitto: a client could choose it to be everybody. Beyond
//! that, a name with `/` gets nothing by patterns that it would be put into: as ClientID `a/b` a client would reach what
//! lies below `a`. mosquitto lets it.
//!
//! Lines that mosquitto takes and that mean nothing are in [`Acl::warnings`]; what it refuses is refused here too.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ringmq_wire::TopicFilter;

use crate::line::{FileError, statements};
use crate::permissions::{Access, Action, Effect, Permissions, Rule, Who, names};
use crate::rule_tree::{NodeId, RuleTree};

/// Bytes of one line: the longest filter of MQTT and the words in front of it.
const LINE_BYTES_MAX: usize = 65_535 + 512;
/// Rules of one file: some 200 MiB of memory.
const RULES_MAX: usize = 1_000_000;

/// Rules of one kind with their place in the tree.
#[derive(Debug)]
struct Section {
    rules: Permissions,
    root: NodeId,
}

/// A compiled ACL file.
#[derive(Debug)]
pub struct Acl {
    tree: RuleTree,
    users: HashMap<Box<str>, Section, FixedState>,
    anonymous: Section,
    patterns: Section,
    /// Whether patterns deny something with the ClientID, or with the user name, in it.
    denies_by_client: bool,
    denies_by_user: bool,
    rules: usize,
    warnings: Vec<FileError>,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// A rule for this user, or for anonymous clients.
    Own(&'a Rule),
    /// A pattern.
    Pattern(&'a Rule),
    /// Nothing allows it.
    NoRule,
    /// A name with `+` or `#` gets nothing by patterns; or one with `/`, where patterns deny something by it.
    Name,
}

impl Reason<'_> {
    /// Whether it may be.
    #[must_use]
    pub fn allows(&self) -> bool {
        matches!(self, Self::Own(rule) | Self::Pattern(rule) if rule.effect != Effect::Deny)
    }
}

impl Default for Acl {
    fn default() -> Self {
        let mut tree = RuleTree::default();
        let mut section = || Section { rules: Permissions::default(), root: tree.add_root() };
        let (anonymous, patterns) = (section(), section());
        Self {
            tree,
            users: HashMap::default(),
            anonymous,
            patterns,
            denies_by_client: false,
            denies_by_user: false,
            rules: 0,
            warnings: Vec::new(),
        }
    }
}

impl Acl {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, FileError> {
        let (mut acl, mut user) = (Self::default(), None);
        for statement in statements(text, LINE_BYTES_MAX) {
            let (number, line) = statement?;
            let parsed = match line.split_once(' ').unwrap_or((line, "")) {
                ("user", name) => user_name(name).map(|name| user = Some(name)),
                ("topic", rule) => rule_of(rule, number).and_then(|rule| acl.add(user, rule)),
                ("pattern", rule) => rule_of(rule, number).and_then(|rule| acl.add_pattern(rule)),
                (word, _) => Err(format!("{word:?} begins no line: expected user, topic, pattern or #")),
            };
            parsed.map_err(|problem| FileError::new(number, problem))?;
        }
        Ok(acl)
    }

    /// What is right and means nothing, or not what it seems to mean; at most one for each line.
    #[must_use]
    pub fn warnings(&self) -> &[FileError] {
        &self.warnings
    }

    fn add(&mut self, user: Option<&str>, rule: Rule) -> Result<(), String> {
        if has_name(&rule.filter) {
            let text = "%c and %u stand for names only in pattern lines; here they are taken literally";
            self.warnings.push(FileError::new(rule.line, text));
        }
        let section = match user {
            None => &mut self.anonymous,
            Some(user) => {
                let tree = &mut self.tree;
                let section = || Section { rules: Permissions::default(), root: tree.add_root() };
                self.users.entry(user.into()).or_insert_with(section)
            }
        };
        self.tree.insert(section.root, &rule, false)?;
        section.rules.rules.push(rule);
        self.count()
    }

    fn add_pattern(&mut self, rule: Rule) -> Result<(), String> {
        if !has_name(&rule.filter) {
            let text = "a pattern without %c and %u holds for every client";
            self.warnings.push(FileError::new(rule.line, text));
        }
        self.tree.insert(self.patterns.root, &rule, true)?;
        if rule.effect == Effect::Deny {
            self.denies_by_client |= rule.filter.contains("%c");
            self.denies_by_user |= rule.filter.contains("%u");
        }
        self.patterns.rules.rules.push(rule);
        self.count()
    }

    fn count(&mut self) -> Result<(), String> {
        self.rules += 1;
        if self.rules > RULES_MAX { Err(format!("more than {RULES_MAX} rules")) } else { Ok(()) }
    }

    /// Whether a client may do this with a topic. Takes no memory, and some look-ups for each level of the topic.
    #[must_use]
    pub fn allows(&self, who: Who<'_>, action: Action, topic: &str) -> bool {
        let access = match action {
            Action::Read => Access::Read,
            Action::Write => Access::Write,
        };
        if let Some(section) = self.own(who) {
            let verdict = self.tree.check(section.root, who, topic);
            if verdict.denies() || verdict.allows(access) {
                return !verdict.denies();
            }
        }
        if self.patterns.rules.rules.is_empty() || self.is_dangerous(who) {
            return false;
        }
        let verdict = self.tree.check(self.patterns.root, who, topic);
        verdict.allows(access) && !verdict.denies()
    }

    /// Why a client may do this with a topic, or why not: reads the rules one by one.
    #[must_use]
    pub fn explain(&self, who: Who<'_>, action: Action, topic: &str) -> Reason<'_> {
        let own = self.own(who).and_then(|own| own.rules.decide(action, |filter| names(filter, topic)));
        if let Some(rule) = own {
            return Reason::Own(rule);
        }
        if self.patterns.rules.rules.is_empty() {
            return Reason::NoRule;
        }
        if self.is_dangerous(who) {
            return Reason::Name;
        }
        let pattern = self.patterns.rules.decide(action, |filter| {
            !is_put_in(who, filter) && who.fill_in(filter).is_some_and(|filter| names(&filter, topic))
        });
        pattern.map_or(Reason::NoRule, Reason::Pattern)
    }

    fn own(&self, who: Who<'_>) -> Option<&Section> {
        match who.user_name {
            None => Some(&self.anonymous),
            Some(name) => self.users.get(name),
        }
    }

    /// Whether patterns say nothing to a client of these names.
    fn is_dangerous(&self, who: Who<'_>) -> bool {
        let has = |name: &str, characters: &[char]| name.contains(characters);
        has(who.client_id, &['+', '#'])
            || (self.denies_by_client && has(who.client_id, &['/']))
            || who
                .user_name
                .is_some_and(|user| has(user, &['+', '#']) || (self.denies_by_user && has(user, &['/'])))
    }
}

/// Whether a name with `/` would be put into this pattern.
fn is_put_in(who: Who<'_>, filter: &str) -> bool {
    (who.client_id.contains('/') && filter.contains("%c"))
        || (who.user_name.is_some_and(|user| user.contains('/')) && filter.contains("%u"))
}

fn has_name(filter: &str) -> bool {
    filter.contains("%c") || filter.contains("%u")
}

fn user_name(name: &str) -> Result<&str, String> {
    match name.trim() {
        "" => Err("a user name is missing: expected user NAME".to_owned()),
        name => Ok(name),
    }
}

/// What stands behind `topic` or `pattern`: one word is the topic; of more, the first is the access and the topic may
/// have spaces.
fn rule_of(text: &str, line: usize) -> Result<Rule, String> {
    let text = text.trim();
    let (effect, filter) = match text.split_once(' ') {
        None => (Effect::Allow(Access::ReadWrite), text),
        Some((word, filter)) => (effect(word)?, filter.trim()),
    };
    if let Err(violation) = TopicFilter::new(filter) {
        return Err(format!("{filter:?} is no topic: {}", violation.text()));
    }
    Ok(Rule { filter: filter.into(), effect, line })
}

fn effect(word: &str) -> Result<Effect, String> {
    Ok(match word {
        "read" => Effect::Allow(Access::Read),
        "write" => Effect::Allow(Access::Write),
        "readwrite" => Effect::Allow(Access::ReadWrite),
        "deny" => Effect::Deny,
        _ => {
            let wanted = "expected read, write, readwrite or deny in front of the topic";
            return Err(format!("{word:?} is no access: {wanted}, also when the topic has spaces"));
        }
    })
}

#[cfg(test)]
mod tests;
