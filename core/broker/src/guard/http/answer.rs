//! What the service says of a client. What cannot be read is no answer, and never a yes.

use ringmq_auth::Granted;
use ringmq_auth::jwt::{granted, roles};
use serde_json::{Map, Value};

/// What the service says.
#[derive(Debug)]
pub enum Answer {
    /// The client comes in.
    Allow(Allowed),
    /// It does not.
    Deny,
    /// The files decide.
    Ignore,
}

/// As whom a client comes in.
#[derive(Debug, Default)]
pub struct Allowed {
    /// The user name that counts instead of CONNECT's.
    pub user_name: Option<Box<str>>,
    /// What it may do, instead of the ACL file.
    pub granted: Option<Granted>,
    /// Roles that it has, beside those of its user name.
    pub roles: Box<[Box<str>]>,
    /// Seconds until it is disconnected.
    pub expires_in: Option<u64>,
}

/// Reads an answer.
///
/// # Errors
/// What is wrong with it.
pub fn parse(status: u16, body: &[u8]) -> Result<Answer, &'static str> {
    match status {
        204 => return Ok(Answer::Allow(Allowed::default())),
        401 | 403 => return Ok(Answer::Deny),
        200 => {}
        _ => return Err("it answered with another status than 200, 204, 401 and 403"),
    }
    let Ok(Value::Object(said)) = serde_json::from_slice(body) else {
        return Err("its answer is no JSON object");
    };
    match said.get("result").and_then(Value::as_str) {
        Some("allow") => allowed(&said).map(Answer::Allow),
        Some("deny") => Ok(Answer::Deny),
        Some("ignore") => Ok(Answer::Ignore),
        _ => Err("`result` of its answer is not allow, deny or ignore"),
    }
}

fn allowed(said: &Map<String, Value>) -> Result<Allowed, &'static str> {
    let member = |name: &str| said.get(name).filter(|value| !value.is_null());
    let user_name =
        member("user_name").map(|value| value.as_str().filter(is_name).ok_or("`user_name` is no name"));
    let granted = member("permissions").map(|value| {
        granted(value).ok_or("`permissions` is no object with lists of filters, or has too many")
    });
    let roles = member("roles")
        .map(|value| roles(value).ok_or("`roles` is no name and no list of names, or has too many"));
    let expires_in = member("expires_in").map(|value| {
        value.as_u64().filter(|seconds| *seconds > 0).ok_or("`expires_in` is no number of seconds")
    });
    Ok(Allowed {
        user_name: user_name.transpose()?.map(Into::into),
        granted: granted.transpose()?,
        roles: roles.transpose()?.unwrap_or_default(),
        expires_in: expires_in.transpose()?,
    })
}

fn is_name(text: &&str) -> bool {
    !text.is_empty() && text.len() <= ringmq_wire::FIELD_BYTES_MAX && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_auth::{Action, Who};

    fn text(status: u16, body: &str) -> String {
        match parse(status, body.as_bytes()) {
            Ok(Answer::Allow(as_whom)) => {
                let Allowed { user_name, granted, roles, expires_in } = as_whom;
                let roles = if roles.is_empty() { String::new() } else { format!(" {roles:?}") };
                format!("allow {user_name:?} {} {expires_in:?}{roles}", granted.is_some())
            }
            Ok(Answer::Deny) => "deny".to_owned(),
            Ok(Answer::Ignore) => "ignore".to_owned(),
            Err(problem) => problem.to_owned(),
        }
    }

    #[test]
    fn only_what_says_so_is_a_yes() {
        let nobody = "allow None false None";
        let rows = [
            (204, "", nobody),
            (204, "garbage", nobody),
            (401, "", "deny"),
            (403, r#"{"result":"allow"}"#, "deny"),
            (200, r#"{"result":"allow"}"#, nobody),
            (
                200,
                r#"{"result":"allow","user_name":null,"permissions":null,"expires_in":null,"x":1}"#,
                nobody,
            ),
            (
                200,
                r#"{"result":"allow","user_name":"anna","permissions":{"sub":["a/#"]},"expires_in":5}"#,
                "allow Some(\"anna\") true Some(5)",
            ),
            (200, r#"{"result":"deny"}"#, "deny"),
            (200, r#"{"result":"ignore"}"#, "ignore"),
            (200, r#"{"result":"Allow"}"#, "`result`"),
            (200, r#"{"result":true}"#, "`result`"),
            (200, "{}", "`result`"),
            (200, "", "no JSON object"),
            (200, "allow", "no JSON object"),
            (200, "[]", "no JSON object"),
            (200, r#"{"result":"allow""#, "no JSON object"),
            (200, r#"{"result":"allow"} x"#, "no JSON object"),
            (200, r#"{"result":"allow","user_name":""}"#, "`user_name`"),
            (200, r#"{"result":"allow","user_name":"a\u0000"}"#, "`user_name`"),
            (200, r#"{"result":"allow","user_name":7}"#, "`user_name`"),
            (200, r#"{"result":"allow","expires_in":0}"#, "`expires_in`"),
            (200, r#"{"result":"allow","expires_in":-1}"#, "`expires_in`"),
            (200, r#"{"result":"allow","expires_in":"5"}"#, "`expires_in`"),
            (200, r#"{"result":"allow","permissions":[]}"#, "`permissions`"),
            (200, r#"{"result":"allow","roles":[7]}"#, "`roles`"),
            (200, r#"{"result":"allow","roles":{}}"#, "`roles`"),
            (200, r#"{"result":"allow","permissions":{"publsh":["a"]}}"#, "`permissions`"),
            (200, r#"{"result":"allow","permissions":{"publish":["a/#/b"]}}"#, "`permissions`"),
            (500, r#"{"result":"allow"}"#, "another status"),
            (302, "", "another status"),
            (201, r#"{"result":"allow"}"#, "another status"),
        ];
        for (status, body, expected) in rows {
            let found = text(status, body);
            assert!(found.contains(expected), "{status} {body}: {found}");
        }
        let deep = "[".repeat(60_000);
        assert!(text(200, &deep).contains("no JSON object"));
    }

    #[test]
    fn permissions_are_those_of_a_token() {
        let body = r#"{"result":"allow","permissions":{"publish":["a/%c"],"subscribe":["b"]}}"#;
        let Ok(Answer::Allow(Allowed { granted: Some(granted), .. })) = parse(200, body.as_bytes()) else {
            panic!("it is an answer")
        };
        let who = Who { client_id: "c", user_name: None };
        let may = |action, topic| granted.allows(who, action, topic);
        assert!(may(Action::Write, "a/c") && may(Action::Read, "b"));
        assert!(!may(Action::Write, "b") && !may(Action::Read, "a/c"));
    }
}
