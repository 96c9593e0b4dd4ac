//! Which ClientIDs clients may have. A session belongs to whoever comes with its ClientID, so where users do not trust
//! each other, a ClientID has to be bound to its user.

use std::convert::Infallible;
use std::str::FromStr;

/// Behind the user name that a ClientID begins with. No user name of a password file has it, so of two users neither can
/// have a ClientID of the other.
const BEHIND_USER: char = ':';

/// What a ClientID has to do with its client's user name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientIdFromUser {
    /// Nothing.
    #[default]
    None,
    /// It is the user name.
    Equal,
    /// It is the user name, or begins with it and a colon.
    Prefix,
    /// It becomes the user name, whatever the client says.
    Replace,
}

/// Texts separated by commas: beginnings of ClientIDs, or whole ones in which `*` stands for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientIdList(Vec<String>);

impl<T: Into<String>, const N: usize> From<[T; N]> for ClientIdList {
    fn from(texts: [T; N]) -> Self {
        Self(texts.into_iter().map(Into::into).collect())
    }
}

impl FromStr for ClientIdList {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(Self(parts.map(str::to_owned).collect()))
    }
}

impl std::fmt::Display for ClientIdList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Which ClientIDs clients of one listener may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientIdRules {
    /// What they have to do with the user name.
    pub from_user: ClientIdFromUser,
    /// What one of which they begin with; none admits all.
    pub prefixes: ClientIdList,
    /// Which they may not be.
    pub denied: ClientIdList,
}

impl ClientIdRules {
    /// Whether all may have all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a client may have this ClientID.
    ///
    /// # Errors
    /// Why it may not, for the log.
    pub fn check(&self, user_name: Option<&str>, client_id: &str) -> Result<(), &'static str> {
        let is_own = match (self.from_user, user_name) {
            (ClientIdFromUser::None, _) => true,
            (_, None) => return Err("the ClientID has to be that of a user, and there is no user name"),
            (ClientIdFromUser::Prefix, Some(name)) => {
                let rest = client_id.strip_prefix(name);
                !name.contains(BEHIND_USER)
                    && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(BEHIND_USER))
            }
            (ClientIdFromUser::Equal | ClientIdFromUser::Replace, Some(name)) => client_id == name,
        };
        let begins = |prefix: &String| client_id.starts_with(prefix.as_str());
        if !is_own {
            Err("the ClientID is not one of its user")
        } else if !self.prefixes.0.is_empty() && !self.prefixes.0.iter().any(begins) {
            Err("the ClientID begins with none of client_id_prefixes")
        } else if self.denied.0.iter().any(|pattern| fits(pattern, client_id)) {
            Err("the ClientID is one of client_ids_denied")
        } else {
            Ok(())
        }
    }
}

/// Whether a text is what a pattern describes, in which `*` stands for any text. Takes no longer than the product of
/// their lengths: what a star has taken is only made longer.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let rows = [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("a*b*b", "ab", false),
            ("a*a", "a", false),
            ("a**b", "ab", true),
            ("ü*", "über", true),
            ("*b*", "abc", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn nobody_has_the_client_id_of_another_user() {
        use ClientIdFromUser::{Equal, None as Any, Prefix, Replace};
        let rows = [
            (Any, None, "x", true),
            (Any, Some("anna"), "bert", true),
            (Equal, Some("anna"), "anna", true),
            (Equal, Some("anna"), "anna:1", false),
            (Equal, None, "anna", false),
            (Replace, Some("anna"), "anna", true),
            (Replace, Some("anna"), "bert", false),
            (Replace, None, "auto-1", false),
            (Prefix, Some("anna"), "anna", true),
            (Prefix, Some("anna"), "anna:1", true),
            (Prefix, Some("anna"), "annabel", false),
            (Prefix, Some("anna"), "bert:anna", false),
            (Prefix, Some("anna:1"), "anna:1", false),
            (Prefix, Some(""), "anna", false),
            (Prefix, None, "anna", false),
        ];
        for (from_user, user_name, client_id, expected) in rows {
            let rules = ClientIdRules { from_user, ..ClientIdRules::default() };
            let found = rules.check(user_name, client_id).is_ok();
            assert_eq!(found, expected, "{from_user:?} {user_name:?} {client_id}");
        }
    }

    #[test]
    fn beginnings_and_denied_ones_hold_together() {
        let rules = ClientIdRules {
            prefixes: ClientIdList::from(["plant-", "office-"]),
            denied: ClientIdList::from(["plant-0", "*-test"]),
            ..ClientIdRules::default()
        };
        let rows = [("plant-1", true), ("plant-0", false), ("office-test", false), ("home-1", false)];
        for (client_id, expected) in rows {
            assert_eq!(rules.check(None, client_id).is_ok(), expected, "{client_id}");
        }
    }
}
