use clap::{CommandFactory as _, Parser as _};

use super::*;

#[derive(clap::Parser, Debug)]
#[command(disable_help_flag = true, args_override_self = true)]
struct Line {
    #[command(flatten)]
    connection: Connection,
}

fn resolve(tool: Tool, text: &str) -> Result<Target, String> {
    let words = std::iter::once("test").chain(text.split_whitespace());
    let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
    line.connection.resolve(tool)
}

#[test]
fn the_flags_agree_among_themselves() {
    Line::command().debug_assert();
}

#[test]
fn defaults_are_mosquittos() {
    let target = resolve(Tool::Publish, "").expect("no flag is needed");
    assert_eq!((target.host.as_str(), target.port), ("localhost", 1883));
    assert_eq!((target.version, target.client_id.as_str(), target.clean_start), (Version::V311, "", true));
    assert_eq!((target.keep_alive, target.inflight_max, target.session_expiry), (60, 20, None));
    assert_eq!(resolve(Tool::Request, "").expect("valid").version, Version::V5);
}

#[test]
fn versions() {
    let rows = [
        ("-V mqttv31", Version::V31),
        ("-V 31", Version::V31),
        ("-V mqttv311", Version::V311),
        ("-V 311", Version::V311),
        ("-V mqttv5", Version::V5),
        ("-V 5", Version::V5),
        ("--protocol-version 5", Version::V5),
        ("-V 31 -V 5", Version::V5),
        ("-D publish user-property a b", Version::V5),
        ("-V 311 -D publish content-type a", Version::V5),
    ];
    for (text, expected) in rows {
        assert_eq!(resolve(Tool::Publish, text).expect(text).version, expected, "{text}");
    }
}

#[test]
fn sessions() {
    let rows = [
        ("-V 5", (true, Some(0))),
        ("-V 5 -c -i a", (false, Some(u32::MAX))),
        ("-V 5 -c -i a -x 60", (false, Some(60))),
        ("-V 5 -x 60", (true, Some(60))),
        ("-V 5 -i a -x -1", (true, Some(u32::MAX))),
        ("-V 5 -i a -x ∞", (true, Some(u32::MAX))),
        ("-V 5 -D connect session-expiry-interval 9", (true, Some(9))),
        ("-V 311 -c -i a -x 60", (false, None)),
    ];
    for (text, expected) in rows {
        let target = resolve(Tool::Subscribe, text).expect(text);
        assert_eq!((target.clean_start, target.session_expiry), expected, "{text}");
    }
}

#[test]
fn client_ids() {
    let process = std::process::id();
    let rows = [
        ("-i me", "me".to_owned()),
        ("--id me", "me".to_owned()),
        ("-I me-", format!("me-{process}")),
        ("-V 31", format!("ringmq-sub-{process}")),
        ("-V 5", String::new()),
    ];
    for (text, expected) in rows {
        assert_eq!(resolve(Tool::Subscribe, text).expect(text).client_id, expected, "{text}");
    }
}

#[test]
fn urls() {
    let rows = [
        ("mqtt://h/a/b", ("h", 1883, None, None, "a/b")),
        ("MQTT://h:99/a", ("h", 99, None, None, "a")),
        ("mqtt://u@h/a", ("h", 1883, Some("u"), None, "a")),
        ("mqtt://u:p@q@h:7/a/#", ("h", 7, Some("u"), Some(&b"p@q"[..]), "a/#")),
        ("mqtt://[::1]/a", ("::1", 1883, None, None, "a")),
        ("mqtt://[::1]:7/a", ("::1", 7, None, None, "a")),
    ];
    for (url, (host, port, user, password, topic)) in rows {
        let target = resolve(Tool::Publish, &format!("-L {url}")).expect(url);
        assert_eq!((target.host.as_str(), target.port), (host, port), "{url}");
        assert_eq!((target.user_name.as_deref(), target.password.as_deref()), (user, password), "{url}");
        assert_eq!(target.url_topic.as_deref(), Some(topic), "{url}");
    }
}

#[test]
fn ways_to_the_server() {
    let file = std::env::temp_dir().join(format!("ringmq-cafile-{}", std::process::id()));
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n").expect("a file");
    let cafile = format!("--cafile {}", file.display());
    let rows = [
        (String::new(), (1883, false, None)),
        (cafile.clone(), (8883, true, None)),
        (format!("{cafile} -p 1 --insecure --tls-version tlsv1.3 --tls-alpn x"), (1, true, None)),
        ("--tls-use-os-certs".to_owned(), (8883, true, None)),
        ("--ws".to_owned(), (80, false, Some("/mqtt"))),
        (format!("--ws {cafile}"), (443, true, Some("/mqtt"))),
        ("-L mqtts://h/a".to_owned(), (8883, true, None)),
        (format!("-L mqtt://h:5/a {cafile}"), (5, true, None)),
        ("-L ws://h/a".to_owned(), (80, false, Some("/mqtt"))),
        ("-L wss://h:9/a/b".to_owned(), (9, true, Some("/mqtt"))),
    ];
    for (flags, (port, is_secure, websocket)) in rows {
        let target = resolve(Tool::Publish, &flags).expect(&flags);
        assert_eq!(
            (target.port, target.tls.is_some(), target.websocket),
            (port, is_secure, websocket),
            "{flags}"
        );
        assert_eq!(target.unix, None);
    }
    let folder = file.with_extension("folder");
    std::fs::create_dir(&folder).expect("a folder");
    let capath = format!("--capath {}", folder.display());
    assert!(resolve(Tool::Publish, &capath).expect_err("empty").contains("no file with a certificate"));
    std::fs::rename(&file, folder.join("hash.0")).expect("a move");
    assert!(resolve(Tool::Publish, &capath).expect("a certificate").tls.is_some());
    std::fs::remove_dir_all(&folder).expect("a folder");
    let target = resolve(Tool::Publish, "--unix /run/x").expect("valid");
    assert_eq!(target.unix.as_deref(), Some(std::path::Path::new("/run/x")));
}

#[test]
fn flags_win_over_the_url() {
    let target = resolve(Tool::Publish, "-L mqtt://u:p@h:7/a -p 8 -u v -P w -h g").expect("valid");
    assert_eq!((target.host.as_str(), target.port, target.user_name.as_deref()), ("g", 8, Some("v")));
    assert_eq!(target.password.as_deref(), Some(&b"w"[..]));
}

#[test]
fn wills() {
    let target =
        resolve(Tool::Publish, "--will-topic w --will-payload -1 --will-qos 2 --will-retain").expect("valid");
    let will = Will { topic: "w".to_owned(), payload: b"-1".to_vec(), qos: Qos::ExactlyOnce, retain: true };
    assert_eq!(target.will, Some(will));
    let empty = resolve(Tool::Publish, "--will-topic w").expect("valid").will.expect("a will");
    assert_eq!((empty.payload.len(), empty.qos, empty.retain), (0, Qos::AtMostOnce, false));
}

#[test]
fn what_does_not_fit_is_refused() {
    let rows = [
        ("-c", "client id"),
        ("-c -I pre", "client id"),
        ("-V 5 -c", "client id"),
        ("-V 5 -x -1", "client id"),
        ("-x some", "session-expiry-interval"),
        ("-i a -I b", "cannot be used with"),
        ("-V 4", "mqttv311"),
        ("-p 65536", "65536"),
        ("-k -1", "-1"),
        ("-M 0", "0"),
        ("-A here", "here"),
        ("-q 1", "-q"),
        ("-L h/a", "scheme"),
        ("-L http://h/a", "scheme"),
        ("--insecure", "need TLS"),
        ("--tls-alpn mqtt", "need TLS"),
        ("--cert x --cafile y", "--key"),
        ("--key x --cafile y", "--cert"),
        ("--cafile /nowhere/at/all", "Cannot read /nowhere/at/all of --cafile"),
        ("--capath /nowhere/at/all", "folder /nowhere/at/all of --capath"),
        ("--cafile x --tls-version tlsv1.1", "tlsv1.2"),
        ("--unix /x -p 1", "cannot be used with"),
        ("--unix /x -L mqtt://h/a", "cannot be used with"),
        ("-L mqtt://h", "topic missing"),
        ("-L mqtt:///a", "host missing"),
        ("-L mqtt://h:port/a", "port"),
        ("-D publish content-type", "3"),
        ("-D publish colour red", "colour"),
        ("--will-payload x", "--will-topic"),
        ("--will-retain", "--will-topic"),
        ("--will-topic a/#", "'a/#'"),
        ("--will-topic a --will-qos 3", "QoS"),
    ];
    for (text, named) in rows {
        let error = resolve(Tool::Publish, text).expect_err(text);
        assert!(error.contains(named), "{text}: {error}");
    }
}

#[test]
fn topics_are_checked() {
    assert!(check_name("a/b", "publish").is_ok());
    assert!(check_filter("a/+/#", "subscription").is_ok());
    assert!(check_name("a/#", "publish").is_err_and(|error| error.contains("publish topic 'a/#'")));
    assert!(check_filter("a#", "subscription").is_err_and(|error| error.contains("subscription topic 'a#'")));
}
