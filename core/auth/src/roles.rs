//! Roles: rules under a name, and the users who have them. Of several roles of one client all rules hold together: what
//! one of them denies is denied, else what one of them allows is allowed, else they say nothing.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::permissions::{Action, Effect, Granted, Permissions, Rule, Who, is_odd, names};

/// Roles of one configuration.
const ROLES_MAX: usize = 1024;
/// Roles of one user, beside those of everybody: each is asked for each of the user's messages.
const ROLES_PER_USER_MAX: usize = 32;
/// Among the members of a role: every client, those without a user name too.
pub const EVERYBODY: &str = "*";

/// Rules under a name, in which `%c` stands for the ClientID and `%u` for the user name, and who has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: Box<str>,
    /// User names; [`EVERYBODY`] is every client. A token may name more roles of its bearer.
    pub members: Vec<Box<str>>,
    /// What it says.
    pub permissions: Permissions,
}

#[derive(Debug)]
struct Compiled {
    role: Role,
    granted: Granted,
}

/// Compiled roles.
#[derive(Debug)]
pub struct Roles {
    roles: Vec<Compiled>,
    by_name: HashMap<Box<str>, u16, FixedState>,
    by_member: HashMap<Box<str>, Vec<u16>, FixedState>,
    everybody: Vec<u16>,
}

/// What is wrong with roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleError {
    /// Which of them, from 0.
    pub role: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleReason<'a> {
    /// A rule of this role.
    Rule(&'a Role, &'a Rule),
    /// This role denies something by a name, and the client's own is none that could be compared.
    Name(&'a Role),
}

impl RoleReason<'_> {
    /// Whether it may be.
    #[must_use]
    pub fn allows(&self) -> bool {
        matches!(self, Self::Rule(_, rule) if rule.effect != Effect::Deny)
    }
}

impl Roles {
    /// Compiles roles.
    ///
    /// # Errors
    /// A name that comes twice, what a rule has too much of, a user with too many roles.
    pub fn new(roles: Vec<Role>) -> Result<Self, RoleError> {
        let mut all = Self {
            roles: Vec::with_capacity(roles.len()),
            by_name: HashMap::default(),
            by_member: HashMap::default(),
            everybody: Vec::new(),
        };
        for (index, role) in roles.into_iter().enumerate() {
            all.add(index, role).map_err(|problem| RoleError { role: index, problem })?;
        }
        Ok(all)
    }

    fn add(&mut self, index: usize, role: Role) -> Result<(), String> {
        let number = u16::try_from(index).ok().filter(|_| index < ROLES_MAX);
        let number = number.ok_or_else(|| format!("there are more than {ROLES_MAX} roles"))?;
        if self.by_name.insert(role.name.clone(), number).is_some() {
            return Err(format!("there are two roles with the name {:?}", role.name));
        }
        for member in &role.members {
            let own = match &**member {
                EVERYBODY => &mut self.everybody,
                member => self.by_member.entry(member.into()).or_default(),
            };
            if own.last() != Some(&number) {
                own.push(number);
            }
            if own.len() > ROLES_PER_USER_MAX {
                return Err(format!("{member:?} has more than {ROLES_PER_USER_MAX} roles"));
            }
        }
        let granted = Granted::new(&role.permissions)?;
        self.roles.push(Compiled { role, granted });
        Ok(())
    }

    /// Whether there is a role of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// What the roles of a client say of an action: it may be, it may not be, or nothing. `more` names roles that it
    /// has by a token; names that are no role's give nothing.
    #[must_use]
    pub fn says(&self, who: Who<'_>, more: &[Box<str>], action: Action, topic: &str) -> Option<bool> {
        let mut said = None;
        for role in self.of(who, more) {
            match role.granted.says(who, action, topic) {
                Some(false) => return Some(false),
                Some(true) => said = Some(true),
                None => {}
            }
        }
        said
    }

    /// Why: reads the rules one by one.
    #[must_use]
    pub fn explain(
        &self,
        who: Who<'_>,
        more: &[Box<str>],
        action: Action,
        topic: &str,
    ) -> Option<RoleReason<'_>> {
        let mut allowed = None;
        for Compiled { role, .. } in self.of(who, more) {
            if let Some(reason) = role.explain(who, action, topic) {
                if !reason.allows() {
                    return Some(reason);
                }
                allowed = allowed.or(Some(reason));
            }
        }
        allowed
    }

    fn of(&self, who: Who<'_>, more: &[Box<str>]) -> impl Iterator<Item = &Compiled> {
        let own = who.user_name.and_then(|name| self.by_member.get(name)).map_or(&[][..], Vec::as_slice);
        let more = more.iter().filter_map(|name| self.by_name.get(name));
        let numbers = self.everybody.iter().chain(own).copied().chain(more.copied());
        numbers.filter_map(|number| self.roles.get(usize::from(number)))
    }
}

impl Role {
    /// The plain reading.
    fn explain(&self, who: Who<'_>, action: Action, topic: &str) -> Option<RoleReason<'_>> {
        let denies = |name: &str| {
            let mut rules = self.permissions.rules.iter();
            rules.any(|rule| rule.effect == Effect::Deny && rule.filter.contains(name))
        };
        let odd = |name: &str, is_odd: bool| is_odd && denies(name);
        if odd("%c", is_odd(who.client_id)) || odd("%u", who.user_name.is_some_and(is_odd)) {
            return Some(RoleReason::Name(self));
        }
        let rule = self.permissions.decide(action, |filter| {
            // A name of several levels, or with a wildcard in it, is put nowhere.
            let is_put_in = (is_odd(who.client_id) && filter.contains("%c"))
                || (who.user_name.is_some_and(is_odd) && filter.contains("%u"));
            !is_put_in && who.fill_in(filter).is_some_and(|filter| names(&filter, topic))
        });
        rule.map(|rule| RoleReason::Rule(self, rule))
    }
}

#[cfg(test)]
mod tests;
