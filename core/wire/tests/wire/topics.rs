//! Topic names, topic filters and what matches what.

use ringmq_wire::{TopicFilter, TopicName, Violation, topic_matches};

/// Clauses: [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3] [MQTT-4.7.1-1 of 3.1.1]
/// [MQTT-4.7.3-1 of 3.1.1] [MQTT-4.7.3-2 of 3.1.1] [MQTT-4.7.3-3 of 3.1.1].
#[test]
fn names() {
    let long = "a".repeat(65_535);
    let too_long = "a".repeat(65_536);
    let fine = ["a", "/", "//", " ", "$SYS/x", "a/b/c", "$share/g/a", "Ünï/ço∂é", "\u{FEFF}a", "$", "a b"];
    for name in fine.into_iter().chain([long.as_str()]) {
        assert_eq!(TopicName::new(name).map(TopicName::as_str), Ok(name));
    }
    let bad = [
        ("", Violation::TopicEmpty),
        ("+", Violation::TopicHasWildcard),
        ("a/#", Violation::TopicHasWildcard),
        ("a+b", Violation::TopicHasWildcard),
        ("a\0", Violation::TopicHasNul),
        (too_long.as_str(), Violation::TopicTooLong),
    ];
    for (name, violation) in bad {
        assert_eq!(TopicName::new(name), Err(violation), "{name:.20}");
    }
    assert!(TopicName::EMPTY.is_empty());
}

/// Clauses: [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-4.7.1-2 of 3.1.1]
/// [MQTT-4.7.1-3 of 3.1.1].
#[test]
fn filters() {
    let fine = [
        ("a", None, "a", false),
        ("#", None, "#", true),
        ("+", None, "+", true),
        ("/", None, "/", false),
        ("/#", None, "/#", true),
        ("+/+", None, "+/+", true),
        ("/+", None, "/+", true),
        ("a/+/b/#", None, "a/+/b/#", true),
        ("$SYS/#", None, "$SYS/#", true),
        ("$share", None, "$share", false),
        ("$Share/g/a", None, "$Share/g/a", false),
        ("$shared/g/a", None, "$shared/g/a", false),
        ("$share/g/a", Some("g"), "a", false),
        ("$share/g/#", Some("g"), "#", true),
        ("$share/g//", Some("g"), "/", false),
        ("$share/ü/+/b", Some("ü"), "+/b", true),
        ("$share/g/$share/h/a", Some("g"), "$share/h/a", false),
        ("$share/$share/a", Some("$share"), "a", false),
    ];
    for (whole, share_name, filter, has_wildcard) in fine {
        let parsed = TopicFilter::new(whole).unwrap_or_else(|violation| panic!("{whole}: {violation}"));
        assert_eq!(parsed.whole(), whole);
        assert_eq!(parsed.share_name(), share_name, "{whole}");
        assert_eq!(parsed.filter(), filter, "{whole}");
        assert_eq!(parsed.has_wildcard(), has_wildcard, "{whole}");
    }
    let too_long = "a".repeat(65_536);
    assert_eq!(TopicFilter::new(&too_long), Err(Violation::TopicTooLong));
    assert_eq!(TopicFilter::new("a\0b"), Err(Violation::TopicHasNul));
}

/// Clauses: [MQTT-4.7.2-1].
#[test]
fn matching() {
    let yes = [
        ("a", "a"),
        ("a/b", "a/b"),
        ("#", "a"),
        ("#", "a/b/c"),
        ("#", "/"),
        ("a/#", "a"),
        ("a/#", "a/"),
        ("a/#", "a/b"),
        ("a/#", "a/b/c"),
        ("a/+/#", "a/b"),
        ("+", "a"),
        ("+/+", "/a"),
        ("/+", "/a"),
        ("+/b", "a/b"),
        ("a/+", "a/"),
        ("a/+/c", "a/b/c"),
        ("+/#", "a"),
        ("$SYS/#", "$SYS/x"),
        ("$SYS/+", "$SYS/x"),
        ("$SYS/monitor/+", "$SYS/monitor/Clients"),
        ("a/$b", "a/$b"),
        ("a/+", "a/$b"),
        ("/", "/"),
        ("//", "//"),
        ("+/+/+", "//"),
    ];
    for (filter, topic) in yes {
        assert!(topic_matches(filter, topic), "{filter} matches {topic}");
    }
    let no = [
        ("a", "b"),
        ("a", "A"),
        ("a", "/a"),
        ("/a", "a"),
        ("a", "a/"),
        ("a/b", "a"),
        ("a/+", "a"),
        ("a/+", "a/b/c"),
        ("+", "/a"),
        ("+", "a/b"),
        ("a/#", "ab"),
        ("a/#", "b/a"),
        ("a/+/#", "a"),
        ("#", "$SYS"),
        ("#", "$SYS/x"),
        ("+", "$SYS"),
        ("+/x", "$SYS/x"),
        ("+/monitor/Clients", "$SYS/monitor/Clients"),
        ("é", "e\u{301}"),
    ];
    for (filter, topic) in no {
        assert!(!topic_matches(filter, topic), "{filter} does not match {topic}");
    }
}
