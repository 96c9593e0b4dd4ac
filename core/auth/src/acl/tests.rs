//! The file's meaning as a table, and the compiled rules against their plain reading.

use proptest::prelude::*;

use super::*;

const FILE: &str = "\
# before any user: anonymous clients
topic read news/#
topic deny news/internal
topic $SYS/broker/uptime
topic readwrite with space/x y

user anna
topic home/+/temperature
topic write  cmd/anna
topic deny home/cellar/#
topic read #
user bert
topic deny #
user anna
topic read $SYS/#
user c d
topic a

pattern read dev/%c/in
pattern write dev/%c/out/#
pattern deny dev/%c/out/secret
pattern readwrite u/%u
pattern read x-%u-%c/+
pattern write both/%u/%c
pattern read public/+
";

fn who<'a>(user_name: Option<&'a str>, client_id: &'a str) -> Who<'a> {
    Who { client_id, user_name }
}

#[test]
fn the_file_means_what_it_means_to_mosquitto() {
    let acl = Acl::parse(FILE.as_bytes()).unwrap();
    let (anna, bert, nobody) = (Some("anna"), Some("bert"), None);
    let rows = [
        (nobody, "c", "news/a", "read"),
        (nobody, "c", "news", "read"),
        (nobody, "c", "news/internal", ""),
        (nobody, "c", "$SYS/broker/uptime", "read write"),
        (nobody, "c", "$SYS/broker", ""),
        (nobody, "c", "with space/x y", "read write"),
        (nobody, "c", "home/a/temperature", ""),
        // `topic` in front of the first user is for anonymous clients alone.
        (anna, "c", "$SYS/broker/uptime", "read"),
        (Some("zoe"), "c", "news/a", ""),
        (anna, "c", "home/attic/temperature", "read write"),
        (anna, "c", "home/cellar/temperature", ""),
        (anna, "c", "home/cellar", ""),
        (anna, "c", "cmd/anna", "read write"),
        (anna, "c", "anything/else", "read"),
        (anna, "c", "$other", ""),
        (bert, "c", "anything", ""),
        (bert, "c", "$SYS/x", ""),
        // What the user's own rules decide no pattern changes, and what they leave open the patterns decide.
        (bert, "c", "dev/c/in", ""),
        (Some("c d"), "c", "a", "read write"),
        (Some("c d"), "c", "public/x", "read"),
        (nobody, "c1", "dev/c1/in", "read"),
        (nobody, "c1", "dev/c2/in", ""),
        (nobody, "c1", "dev/c1/out", "write"),
        (nobody, "c1", "dev/c1/out/a/b", "write"),
        (nobody, "c1", "dev/c1/out/secret", ""),
        (nobody, "c1", "u/", ""),
        (Some("zoe"), "c1", "u/zoe", "read write"),
        (Some("zoe"), "c1", "u/anna", ""),
        (Some("zoe"), "c1", "x-zoe-c1/y", "read"),
        (Some("zoe"), "c1", "x-zoe-c1", ""),
        (Some("zoe"), "c1", "x-zoe-c2/y", ""),
        (Some("zoe"), "c1", "both/zoe/c1", "write"),
        (Some("zoe"), "c1", "public/x", "read"),
        // Names that would be wildcards, or more than one level.
        (Some("zoe"), "+", "dev/c1/in", ""),
        (Some("zoe"), "c+", "public/x", ""),
        (Some("#"), "c1", "u/zoe", ""),
        (Some("#"), "c1", "public/x", ""),
        (anna, "#", "anything", "read"),
        (Some("z/y"), "c1", "u/z/y", ""),
        (Some("z/y"), "c1", "public/x", "read"),
        (Some("z/y"), "c1", "dev/c1/in", "read"),
        // A pattern denies something by the ClientID: such a one is refused all patterns.
        (Some("zoe"), "c/1", "dev/c/1/in", ""),
        (Some("zoe"), "c/1", "public/x", ""),
        (Some("zoe"), "%u", "dev/zoe/in", ""),
        (Some("zoe"), "%u", "dev/%u/in", "read"),
    ];
    for (user, client_id, topic, expected) in rows {
        let who = who(user, client_id);
        for (action, word) in [(Action::Read, "read"), (Action::Write, "write")] {
            let expected = expected.split(' ').any(|access| access == word);
            assert_eq!(acl.allows(who, action, topic), expected, "{who:?} {word} {topic}");
            assert_eq!(acl.explain(who, action, topic).allows(), expected, "explain {who:?} {word} {topic}");
        }
    }
}

#[test]
fn the_reason_names_the_line() {
    let acl = Acl::parse(FILE.as_bytes()).unwrap();
    let line = |user, client_id, action, topic| match acl.explain(who(user, client_id), action, topic) {
        Reason::Own(rule) => Some(("own", rule.line)),
        Reason::Pattern(rule) => Some(("pattern", rule.line)),
        Reason::NoRule => None,
        Reason::Name => Some(("name", 0)),
    };
    assert_eq!(line(None, "c", Action::Read, "news/internal"), Some(("own", 3)));
    assert_eq!(line(Some("anna"), "c", Action::Write, "cmd/anna"), Some(("own", 9)));
    assert_eq!(line(Some("anna"), "c", Action::Read, "$SYS/x"), Some(("own", 15)));
    assert_eq!(line(None, "c", Action::Write, "dev/c/out/secret"), Some(("pattern", 21)));
    assert_eq!(line(None, "c", Action::Write, "nothing"), None);
    assert_eq!(line(None, "#", Action::Write, "nothing"), Some(("name", 0)));
}

#[test]
fn without_rules_nothing_is_allowed() {
    let acl = Acl::parse(b"# nothing\n\n").unwrap();
    for user in [None, Some("anna")] {
        assert!(!acl.allows(who(user, "c"), Action::Read, "a"));
        assert_eq!(acl.explain(who(user, "c"), Action::Read, "a"), Reason::NoRule);
    }
}

#[test]
fn bad_lines_are_named() {
    let deep = format!("topic {}", "a/".repeat(256));
    let rows = [
        ("topics a", "\"topics\" begins no line"),
        ("topic", "is no topic"),
        ("topic read", ""),
        ("topic foo bar", "\"foo\" is no access"),
        ("topic Read a", "\"Read\" is no access"),
        ("topic read a/#/b", "\"a/#/b\" is no topic"),
        ("topic a+", "is no topic"),
        ("topic a\0", "is no topic"),
        ("pattern", "is no topic"),
        ("pattern deny", ""),
        ("user", "a user name is missing"),
        ("user   ", "a user name is missing"),
        ("\tuser x", ""),
        (&deep, "more than 256 levels"),
    ];
    for (line, expected) in rows {
        match Acl::parse(format!("# first\n{line}\n").as_bytes()) {
            Ok(_) => assert_eq!(expected, "", "{line:?}"),
            Err(error) => {
                assert!(!expected.is_empty() && error.problem.contains(expected), "{line:?}: {error}");
                assert_eq!(error.line, 2);
            }
        }
    }
}

#[test]
fn mixed_levels_are_bounded() {
    let file = |count: usize| (0..count).map(|n| format!("pattern x{n}%c\n")).collect::<String>();
    assert!(Acl::parse(file(1024).as_bytes()).is_ok());
    assert_eq!(Acl::parse(file(1025).as_bytes()).unwrap_err().line, 1025);
}

#[test]
fn what_means_nothing_is_said() {
    let acl = Acl::parse(b"topic a/%c\npattern read b\npattern %u\n").unwrap();
    let lines: Vec<usize> = acl.warnings().iter().map(|warning| warning.line).collect();
    assert_eq!(lines, [1, 2]);
}

/// Files, names and topics over few levels, so that they meet.
fn level() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "", "+", "%c", "%u", "x%c", "%u%c", "$s", "%"])
        .prop_map(str::to_owned)
}

fn filter() -> impl Strategy<Value = String> {
    (prop::collection::vec(level(), 1..4), any::<bool>()).prop_map(|(mut levels, hash)| {
        levels.extend(hash.then(|| "#".to_owned()));
        levels.join("/")
    })
}

fn line() -> impl Strategy<Value = String> {
    let access = prop::sample::select(vec!["", "read ", "write ", "readwrite ", "deny "]);
    let kind = prop::sample::select(vec!["topic", "topic", "pattern"]);
    prop_oneof![
        6 => (kind, access, filter()).prop_map(|(kind, access, filter)| format!("{kind} {access}{filter}")),
        1 => prop::sample::select(vec!["user a", "user b"]).prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn compiled_rules_say_what_a_plain_reading_says(
        lines in prop::collection::vec(line(), 0..12),
        topics in prop::collection::vec(prop::collection::vec(
            prop::sample::select(vec!["a", "b", "", "xa", "xb", "ab", "aa", "$s", "%c", "%"]), 1..5), 8),
    ) {
        let text = lines.join("\n");
        // The empty filter is none.
        let Ok(acl) = Acl::parse(text.as_bytes()) else { return Ok(()) };
        for topic in topics.iter().map(|levels| levels.join("/")) {
            for user in [None, Some("a"), Some("b"), Some("a/b"), Some("+")] {
                for client_id in ["a", "b", "a/b", "#", "%c"] {
                    for action in [Action::Read, Action::Write] {
                        let who = who(user, client_id);
                        let plain = acl.explain(who, action, &topic).allows();
                        prop_assert_eq!(acl.allows(who, action, &topic), plain, "{:?} {:?} {}", who, action, topic);
                    }
                }
            }
        }
    }
}
