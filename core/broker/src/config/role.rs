//! `[[role]]` tables: what stands in them, and what they are together.

use std::sync::Arc;

use ringmq_auth::{Access, Effect, Role, Roles, Rule};
use ringmq_wire::TopicFilter;

use super::key::Source;
use super::{ConfigError, Options};

/// A key of a `[[role]]` table.
#[derive(Clone, Copy, Debug)]
pub struct RoleKey {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// What the filters under it do; nothing for keys without filters.
    pub effect: Option<Effect>,
    /// Whether it is one text; else it is a list of texts.
    pub is_text: bool,
}

/// Keys of a `[[role]]` table, in the order in which people want to read them.
pub const ROLE_KEYS: &[RoleKey] = &[
    RoleKey { name: "name", doc: "Its name, by which tokens name it.", effect: None, is_text: true },
    RoleKey {
        name: "members",
        doc: "User names that have it; `*` is every client, those without a user name too.",
        effect: None,
        is_text: false,
    },
    RoleKey {
        name: "publish",
        doc: "Filters of the topics that may be published to.",
        effect: Some(Effect::Allow(Access::Write)),
        is_text: false,
    },
    RoleKey {
        name: "subscribe",
        doc: "Filters of the topics whose messages are delivered.",
        effect: Some(Effect::Allow(Access::Read)),
        is_text: false,
    },
    RoleKey {
        name: "all",
        doc: "Filters of topics for both.",
        effect: Some(Effect::Allow(Access::ReadWrite)),
        is_text: false,
    },
    RoleKey {
        name: "deny",
        doc: "Filters of the topics that are neither, whatever other roles say.",
        effect: Some(Effect::Deny),
        is_text: false,
    },
];

/// What roles are, in a few lines.
pub const ROLES_DOC: &str = "\
A role has a name, members, and filters that say what its members may do; in the filters `%c` stands for the ClientID \
and `%u` for the user name. What one of a client's roles denies is denied, what one of them allows is allowed. Where they \
say nothing, the permissions of its token or else the ACL file decide, and where there is neither it is denied.";

/// A role as it was given, and where.
#[derive(Clone, Debug)]
pub(super) struct RoleOptions {
    /// What it is.
    pub role: Role,
    /// Where it was given.
    pub source: Source,
}

impl Options {
    /// Adds a role: a name, members and what it lets them do, at all listeners. With roles nobody may what no role, no
    /// token and no ACL file allows.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(RoleOptions { role, source: Source::Program });
        self
    }
    /// The names of the roles, as they were given.
    pub fn role_names(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|given| &*given.role.name)
    }
    /// Whether both have the same roles, wherever they stand.
    pub(crate) fn has_roles_of(&self, other: &Self) -> bool {
        let rules = |role: &Role| {
            role.permissions.rules.iter().map(|rule| (rule.filter.clone(), rule.effect)).collect::<Vec<_>>()
        };
        let is_same = |(one, other): (&RoleOptions, &RoleOptions)| {
            one.role.name == other.role.name
                && one.role.members == other.role.members
                && rules(&one.role) == rules(&other.role)
        };
        self.roles.len() == other.roles.len() && self.roles.iter().zip(&other.roles).all(is_same)
    }
    /// The compiled roles; nothing when there is none.
    ///
    /// # Errors
    /// What is wrong with the first that is wrong.
    pub fn roles(&self) -> Result<Option<Arc<Roles>>, ConfigError> {
        if self.roles.is_empty() {
            return Ok(None);
        }
        for RoleOptions { role, source } in &self.roles {
            if let Some(problem) = unusable(role) {
                return Err(ConfigError::at(source, problem));
            }
        }
        let roles = self.roles.iter().map(|given| given.role.clone()).collect();
        match Roles::new(roles) {
            Ok(roles) => Ok(Some(Arc::new(roles))),
            Err(error) => {
                let source = self.roles.get(error.role).map(|given| &given.source);
                Err(ConfigError::at(source.unwrap_or(&Source::Program), error.problem))
            }
        }
    }
}

/// Why a role can be nobody's. What stands in a file was asked already.
fn unusable(role: &Role) -> Option<String> {
    if role.name.is_empty() {
        return Some("the role has no name".to_owned());
    }
    role.permissions.rules.iter().find_map(|rule| filter_problem(&rule.filter))
}

/// Why a filter names no topics.
pub(super) fn filter_problem(filter: &str) -> Option<String> {
    let violation = TopicFilter::new(filter).err()?;
    Some(format!("{filter:?} is no topic filter: {}", violation.text()))
}

/// A rule of a file's line.
pub(super) fn rule(filter: &str, effect: Effect, line: u32) -> Rule {
    Rule { filter: filter.into(), effect, line: line as usize }
}
