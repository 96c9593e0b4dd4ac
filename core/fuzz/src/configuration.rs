//! Configuration files of any bytes, RingMQ's own and mosquitto's. Neither disk nor DNS is asked.

use std::net::SocketAddr;
use std::path::Path;

use ringmq::config::listener::ListenerOptions;
use ringmq::config::mosquitto::{Included, looks_like, translate};
use ringmq::config::raw::Raw;
use ringmq::config::{ConfigError, KEYS, Source, file};
use ringmq::{ConfigErrors, Options};

const PATH: &str = "fuzz.conf";
/// Behind it stands a file of an included folder.
const NEXT_FILE: char = '\u{1e}';

/// A file of RingMQ's own form: read and judged without a panic, and every mistake has its place in the file and one
/// line in the log.
pub fn config_toml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if looks_like(text) {
        return;
    }
    let (options, mut errors) = file::parse(Path::new(PATH), text).judge(Options::default());
    if let Err(more) = listeners(&options) {
        errors.extend(more.all().iter().cloned());
    }
    for error in &errors {
        check_error(error, text);
    }
}

/// A mosquitto.conf, with a folder of one file: what is told has its place, and what is printed for people to keep is
/// a file that means the same.
pub fn mosquitto_conf(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (main, included) = text.split_once(NEXT_FILE).unwrap_or((text, ""));
    let mut folder = |_: &Path| -> Result<Vec<Included>, String> {
        Ok(vec![("other.conf".into(), Ok(included.to_owned()))])
    };
    let translation = translate(Path::new(PATH), main, &mut folder);
    for note in translation.notes() {
        check_place(&note.source, if is_main(&note.source) { main } else { included });
        check_line(&note.to_string());
    }
    let printed = translation.to_toml();
    let again = file::parse(Path::new(PATH), &printed);
    if translation.is_complete() {
        same(translation.into_raw(), again, &printed);
    } else {
        // What was left out is missing, but what was printed is a file.
        let (_, errors) = again.judge(Options::default());
        errors.iter().for_each(|error| check_error(error, &printed));
    }
}

fn is_main(source: &Source) -> bool {
    matches!(source, Source::File { path, .. } if path == Path::new(PATH))
}

/// Both mean the same broker, or are wrong in as many places.
fn same(direct: Raw, through: Raw, printed: &str) {
    let (direct, through) = (direct.judge(Options::default()), through.judge(Options::default()));
    assert_eq!(direct.1.len(), through.1.len(), "{:?} {:?}\n{printed}", direct.1, through.1);
    for key in KEYS {
        assert_eq!(key.text(&direct.0), key.text(&through.0), "{}\n{printed}", key.name);
    }
    let without_source = |listeners: Vec<ListenerOptions>| -> Vec<ListenerOptions> {
        listeners
            .into_iter()
            .map(|listener| ListenerOptions { source: Source::Default, ..listener })
            .collect()
    };
    match (listeners(&direct.0), listeners(&through.0)) {
        (Ok(direct), Ok(through)) => assert_eq!(without_source(direct), without_source(through), "{printed}"),
        (Err(direct), Err(through)) => {
            assert_eq!(direct.all().len(), through.all().len(), "{direct}\n{through}\n{printed}");
        }
        (direct, through) => panic!("{direct:?}\n{through:?}\n{printed}"),
    }
}

/// Every name has one address.
fn listeners(options: &Options) -> Result<Vec<ListenerOptions>, ConfigErrors> {
    let names = |_: &str, port: u16| Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))]);
    options.listeners_with(true, &names)
}

fn check_error(error: &ConfigError, text: &str) {
    if let Some(source) = error.source() {
        check_place(source, text);
    }
    check_line(&error.to_string());
}

/// The place is in the text.
fn check_place(source: &Source, text: &str) {
    if let Source::File { line, column, .. } = source {
        let found = text.split('\n').nth(*line as usize - 1);
        let found = found.unwrap_or_else(|| panic!("line {line} of {} lines", text.split('\n').count()));
        assert!((1..=found.chars().count() + 2).contains(&(*column as usize)), "{source} in {found:?}");
    }
}

/// Fits into one line of a log.
fn check_line(text: &str) {
    assert!(!text.is_empty() && text.len() < 20_000 && !text.contains(char::is_control), "{text:?}");
}

/// Files to begin with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let texts: &[&str] = match target {
        "config_toml" => &[
            "port = 1884\nbind = [\"127.0.0.1\", \"[::1]:7?maximum_qos=1&versions=3.1+5.0\"]\nallow_anonymous = true\n",
            "publish_hold = \"5s\"\nqueue_bytes_max = '64KiB'\nmoving = false\nqueue_policy = \"end\"\ncores = \"0,2-5\"\n",
            "[[listener]]\naddress = \"wss://*:8884/mqtt\"\ncertificate = \"a\"\ncertificate_key = \"b\"\n\
             client_certificate = \"required\"\nclient_ca = \"c\"\nidentity = \"cn\"\nforwarded_from = [\"10.0.0.0/8\"]\n",
            "[[role]]\nname = \"a\"\nmembers = [\"*\", \"b\"]\npublish = [\"x/%c/#\"]\nsubscribe = [\"+/%u\"]\n\
             all = [\"y\"]\ndeny = [\"x/#/y\"]\n[[role]]\nname = \"a\"\n",
            "[[listener]]\naddress = \"tls://[::1]\"\ncertificate = [{ certificate = \"a\", key = \"b\" }]\n\
             proxy_protocol = \"required\"\nproxy_protocol_from = \"::/0\"\n[[listener]]\naddress = \"unix:/x\"\n\
             unix_mode = \"0660\"\n[[listener]]\naddress = \"activated:x\"\n",
            "queue_polcy = 0x10 # wrong\nmaximum_qos = [\n1.5]\nlistener = [1]\n[limits]\n\"a\\nb\" = 1979-05-27\n",
        ],
        "mosquitto_conf" => &[
            "per_listener_settings true\nlistener 1883\nallow_anonymous true\npassword_file p\nlistener 0 /x\nprotocol websockets\n",
            "max_inflight_messages 0\nmax_queued_bytes 0x10\nmax_packet_size 2000\npersistent_client_expiration 2w\n\
             retain_available 0\nlog_type all\npersistence true\nport 1884\nbind_address ::1\nmax_qos 1\n",
            "allow_anonymous false\nlistener 8883 a.example\ncertfile c\nkeyfile k\ncafile a\ncrlfile r\n\
             require_certificate true\nuse_identity_as_username true\ntls_version tlsv1.3\nsocket_domain ipv4\n\
             protocol websockets\nwebsockets_origin https://a\nenable_proxy_protocol 2\naccept_protocol_versions 3,4 5\n",
            "include_dir /x\nmax_topic_alias_broker 1\nconnection a\naddress b\ntopic # both 2\n\u{1e}plugin /y\nmax_qos 3\n",
        ],
        _ => &[],
    };
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
