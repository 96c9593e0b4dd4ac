//! Rules about topics as data, from wherever they come: an ACL file, the claims of a token, a role of the
//! configuration. A rule names topics by a filter in which `%c` may stand for the ClientID and `%u` for the user name.

use crate::rule_tree::{NodeId, RuleTree};

/// What a rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Being given messages.
    Read,
    /// Publishing.
    Write,
    /// Both.
    ReadWrite,
}

/// What a client wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Be given a message.
    Read,
    /// Publish a message, retained or not, or leave one as its will.
    Write,
}

impl Access {
    /// Whether it covers an action.
    #[must_use]
    pub const fn covers(self, action: Action) -> bool {
        matches!(
            (self, action),
            (Self::ReadWrite, _) | (Self::Read, Action::Read) | (Self::Write, Action::Write)
        )
    }
}

/// What a rule says about the topics it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This may be.
    Allow(Access),
    /// Nothing may be, whatever other rules of the same kind say.
    Deny,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The topics it is about.
    pub filter: Box<str>,
    /// What it says about them.
    pub effect: Effect,
    /// The line it stands in, from 1; 0 for one that stands in no file.
    pub line: usize,
}

/// Rules of one kind. Their order changes nothing but which of several is named as the reason: what any rule denies is
/// denied, and what is left is allowed by any rule that does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// The rules.
    pub rules: Vec<Rule>,
}

impl Permissions {
    /// The rule that decides whether a topic may be used; nothing when no rule says anything. `names` says whether a
    /// filter names the topic.
    pub fn decide(&self, action: Action, names: impl Fn(&str) -> bool) -> Option<&Rule> {
        let denies = self.rules.iter().filter(|rule| rule.effect == Effect::Deny);
        let allows = |rule: &&Rule| matches!(rule.effect, Effect::Allow(access) if access.covers(action));
        denies.chain(self.rules.iter().filter(allows)).find(|rule| names(&rule.filter))
    }
}

/// Who wants to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who<'a> {
    /// The ClientID.
    pub client_id: &'a str,
    /// The user name; nothing for an anonymous client.
    pub user_name: Option<&'a str>,
}

impl Who<'_> {
    /// A filter with the names in the places of `%c` and `%u`; nothing when it wants a user name and there is none.
    #[must_use]
    pub fn fill_in(&self, filter: &str) -> Option<String> {
        let mut text = String::with_capacity(filter.len() + self.client_id.len());
        let mut rest = filter;
        while let Some(at) = rest.find('%') {
            text.push_str(&rest[..at]);
            let (name, behind) = match rest.as_bytes().get(at + 1) {
                Some(b'c') => (self.client_id, at + 2),
                Some(b'u') => (self.user_name?, at + 2),
                _ => ("%", at + 1),
            };
            text.push_str(name);
            rest = &rest[behind..];
        }
        text.push_str(rest);
        Some(text)
    }
}

/// Rules compiled for the one client they were granted to: a token's bearer, or a role. Nothing is allowed that no rule
/// allows, and a name with `+`, `#` or `/` gets nothing by a rule it would be put into.
#[derive(Debug)]
pub struct Granted {
    tree: RuleTree,
    root: NodeId,
    denies_by_client: bool,
    denies_by_user: bool,
}

impl Granted {
    /// Compiles the rules, in which `%c` and `%u` stand for names.
    ///
    /// # Errors
    /// What a rule has too much of.
    pub fn new(permissions: &Permissions) -> Result<Self, String> {
        let mut tree = RuleTree::default();
        let root = tree.add_root();
        for rule in &permissions.rules {
            tree.insert(root, rule, true)?;
        }
        let denies = |name| {
            let mut denied = permissions.rules.iter().filter(|rule| rule.effect == Effect::Deny);
            denied.any(|rule| rule.filter.contains(name))
        };
        Ok(Self { tree, root, denies_by_client: denies("%c"), denies_by_user: denies("%u") })
    }

    /// Whether the client may do this with a topic.
    #[must_use]
    pub fn allows(&self, who: Who<'_>, action: Action, topic: &str) -> bool {
        self.says(who, action, topic) == Some(true)
    }

    /// What the rules say: it may be, it may not be, or nothing.
    #[must_use]
    pub fn says(&self, who: Who<'_>, action: Action, topic: &str) -> Option<bool> {
        if self.denies_odd_name(who) {
            return Some(false);
        }
        let access = match action {
            Action::Read => Access::Read,
            Action::Write => Access::Write,
        };
        let verdict = self.tree.check(self.root, who, topic);
        if verdict.denies() { Some(false) } else { verdict.allows(access).then_some(true) }
    }

    /// What is put in has one level and no wildcard, so a name with more matches nothing that allows; what denies by it
    /// could not be told, and so denies everything.
    pub(crate) fn denies_odd_name(&self, who: Who<'_>) -> bool {
        (self.denies_by_client && is_odd(who.client_id))
            || (self.denies_by_user && who.user_name.is_some_and(is_odd))
    }
}

/// Whether a name would be more than one level of a topic if it were put into a filter.
pub(crate) fn is_odd(name: &str) -> bool {
    name.contains(['+', '#', '/'])
}

/// Whether a filter names a topic, as MQTT defines it [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.2-1]. The plain reading,
/// level by level; what is asked for each message is compiled.
#[must_use]
pub fn names(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') != filter.starts_with('$') {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some(wanted), Some(level)) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_topics_as_in_mqtt() {
        let rows = [
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
            ("a/b", "a/b/c", false),
            ("a/b", "a", false),
            ("a/+", "a/b", true),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("+", "a", true),
            ("+", "/a", false),
            ("+/+", "/a", true),
            ("#", "a/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("+/#", "a", true),
            ("/#", "/", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/+", "SYS/x", false),
            ("$SYS", "SYS", false),
        ];
        for (filter, topic, expected) in rows {
            assert_eq!(names(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn names_fill_their_places() {
        let who = Who { client_id: "c1", user_name: Some("anna") };
        for (filter, expected) in [
            ("a/%c/b", "a/c1/b"),
            ("%u/%c", "anna/c1"),
            ("x-%u-%u", "x-anna-anna"),
            ("%", "%"),
            ("%%c", "%c1"),
            ("%x/%", "%x/%"),
            ("ü%cü", "üc1ü"),
        ] {
            assert_eq!(who.fill_in(filter).as_deref(), Some(expected), "{filter}");
        }
        let nobody = Who { client_id: "%u", user_name: None };
        assert_eq!(
            nobody.fill_in("a/%c").as_deref(),
            Some("a/%u"),
            "what is filled in is not filled in again"
        );
        assert_eq!(nobody.fill_in("a/%u"), None);
    }
}
