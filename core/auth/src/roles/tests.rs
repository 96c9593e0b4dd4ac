//! Roles as a table, and the compiled ones against their plain reading.

use proptest::prelude::*;

use super::*;
use crate::permissions::Access;

const READ: Effect = Effect::Allow(Access::Read);
const WRITE: Effect = Effect::Allow(Access::Write);
const BOTH: Effect = Effect::Allow(Access::ReadWrite);

fn role(name: &str, members: &[&str], rules: &[(&str, Effect)]) -> Role {
    let rules = rules.iter().zip(1..).map(|((filter, effect), line)| Rule {
        filter: (*filter).into(),
        effect: *effect,
        line,
    });
    Role {
        name: name.into(),
        members: members.iter().map(|member| (*member).into()).collect(),
        permissions: Permissions { rules: rules.collect() },
    }
}

fn who<'a>(user_name: Option<&'a str>, client_id: &'a str) -> Who<'a> {
    Who { client_id, user_name }
}

/// User, ClientID, roles of a token, topic; may read, may write.
type Row<'a> = (Option<&'a str>, &'a str, &'a [Box<str>], &'a str, Option<bool>, Option<bool>);

#[test]
fn all_roles_of_a_client_hold_together() {
    let roles = Roles::new(vec![
        role("everybody", &["*"], &[("news/#", READ), ("own/%c/#", BOTH)]),
        role("operators", &["anna", "bert"], &[("cmd/#", WRITE), ("state/#", READ)]),
        role("interns", &["bert"], &[("cmd/reactor/#", Effect::Deny), ("news/internal", Effect::Deny)]),
        role("auditors", &[], &[("#", READ)]),
        role("homes", &["*"], &[("home/%u/#", BOTH)]),
    ])
    .unwrap();
    let auditor: &[Box<str>] = &["auditors".into(), "no such role".into()];
    let (anna, bert, zoe, nobody) = (Some("anna"), Some("bert"), Some("zoe"), None);
    let rows: &[Row<'_>] = &[
        (nobody, "c", &[], "news/a", Some(true), None),
        (nobody, "c", &[], "own/c/x", Some(true), Some(true)),
        (nobody, "c", &[], "own/d/x", None, None),
        (nobody, "c", &[], "home/x/y", None, None),
        (zoe, "c", &[], "home/zoe", Some(true), Some(true)),
        (zoe, "c", &[], "cmd/a", None, None),
        (anna, "c", &[], "cmd/reactor/on", None, Some(true)),
        (anna, "c", &[], "state/a", Some(true), None),
        (bert, "c", &[], "cmd/a", None, Some(true)),
        (bert, "c", &[], "cmd/reactor/on", Some(false), Some(false)),
        (bert, "c", &[], "news/internal", Some(false), Some(false)),
        (zoe, "c", auditor, "state/a", Some(true), None),
        (zoe, "c", auditor, "$SYS/x", None, None),
        (bert, "c", auditor, "news/internal", Some(false), Some(false)),
        // A ClientID of two levels is put nowhere.
        (zoe, "c/d", &[], "own/c/d", None, None),
        (zoe, "+", &[], "own/c", None, None),
    ];
    for (user, client_id, more, topic, read, write) in rows {
        let who = who(*user, client_id);
        for (action, expected) in [(Action::Read, read), (Action::Write, write)] {
            assert_eq!(roles.says(who, more, action, topic), *expected, "{who:?} {action:?} {topic}");
            let explained = roles.explain(who, more, action, topic).map(|reason| reason.allows());
            assert_eq!(explained, *expected, "explain {who:?} {action:?} {topic}");
        }
    }
}

#[test]
fn the_reason_names_role_and_rule() {
    let roles = Roles::new(vec![
        role("a", &["*"], &[("x", READ)]),
        role("b", &["u"], &[("y", READ), ("x/secret", Effect::Deny), ("%c/z", Effect::Deny)]),
    ])
    .unwrap();
    let reason = |client_id, topic| match roles.explain(who(Some("u"), client_id), &[], Action::Read, topic) {
        Some(RoleReason::Rule(role, rule)) => Some((&*role.name, rule.line)),
        Some(RoleReason::Name(role)) => Some((&*role.name, 0)),
        None => None,
    };
    assert_eq!(reason("c", "x"), Some(("a", 1)));
    assert_eq!(reason("c", "y"), Some(("b", 1)));
    assert_eq!(reason("c", "x/secret"), Some(("b", 2)));
    assert_eq!(reason("c", "w"), None);
    assert_eq!(reason("c/d", "x"), Some(("b", 0)), "what it denies by ClientID could not be told");
}

#[test]
fn what_is_too_much_is_named() {
    let many = |count: usize| (0..count).map(|n| role(&format!("r{n}"), &["u"], &[])).collect::<Vec<_>>();
    let deep = "a/".repeat(300);
    let rows = [
        (vec![role("a", &[], &[]), role("a", &[], &[])], 1, "two roles with the name \"a\""),
        (many(33), 32, "more than 32 roles"),
        (vec![role("a", &[], &[(&deep, READ)])], 0, "more than 256 levels"),
        ((0..1025).map(|n| role(&format!("r{n}"), &[], &[])).collect(), 1024, "more than 1024 roles"),
    ];
    for (roles, place, expected) in rows {
        let error = Roles::new(roles).unwrap_err();
        assert_eq!(error.role, place, "{error:?}");
        assert!(error.problem.contains(expected), "{error:?}");
    }
    assert!(Roles::new(many(32)).is_ok());
    assert!(Roles::new(vec![role("a", &["u", "u"], &[])]).is_ok(), "who is named twice has it once");
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["a", "b", "", "+", "%c", "%u", "x%c", "%u%c", "$s", "%"]);
    (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(mut levels, hash)| {
        levels.extend(hash.then_some("#"));
        levels.join("/")
    })
}

fn some_role() -> impl Strategy<Value = (Vec<&'static str>, Vec<(String, Effect)>)> {
    let members = prop::sample::subsequence(vec!["*", "a", "b"], 0..3);
    let effect = prop::sample::select(vec![READ, WRITE, BOTH, Effect::Deny]);
    (members, prop::collection::vec((filter(), effect), 0..5))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn compiled_roles_say_what_a_plain_reading_says(
        given in prop::collection::vec(some_role(), 0..5),
        more in prop::sample::subsequence(vec!["r0", "r1", "r9"], 0..3),
        topics in prop::collection::vec(prop::collection::vec(
            prop::sample::select(vec!["a", "b", "", "xa", "xb", "ab", "aa", "$s", "%c", "%"]), 1..5), 8),
    ) {
        let roles = given.iter().enumerate().map(|(n, (members, rules))| {
            let rules: Vec<_> = rules.iter().map(|(filter, effect)| (filter.as_str(), *effect)).collect();
            role(&format!("r{n}"), members, &rules)
        });
        let roles = Roles::new(roles.collect()).unwrap();
        let more: Vec<Box<str>> = more.into_iter().map(Into::into).collect();
        for topic in topics.iter().map(|levels| levels.join("/")) {
            for user in [None, Some("a"), Some("b"), Some("a/b"), Some("+")] {
                for client_id in ["a", "b", "a/b", "#", "%c"] {
                    for action in [Action::Read, Action::Write] {
                        let who = who(user, client_id);
                        let plain = roles.explain(who, &more, action, &topic).map(|reason| reason.allows());
                        prop_assert_eq!(roles.says(who, &more, action, &topic), plain, "{:?} {:?} {}", who, action, topic);
                    }
                }
            }
        }
    }
}
