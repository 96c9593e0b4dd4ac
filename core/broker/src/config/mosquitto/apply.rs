//! What each directive that has a counterpart does. Values are read as mosquitto reads them, and what it takes
//! for "no limit" becomes the largest value there is.

use ringmq_shard::Settings;

use super::Weight;
use super::lines::Line;
use super::listener::{Domain, Listener, Place};
use super::translate::State;
use crate::config::Source;
use crate::config::listener::EVERY_PATH;

type Done = Result<(), String>;

const INT_MAX: i64 = i32::MAX as i64;
const INT_MIN: i64 = i32::MIN as i64;
/// What mosquitto allows a payload to have.
const PAYLOAD_MAX: i64 = 268_435_455;
const PACKET_MAX: i64 = 268_435_460;
/// Room for topic and properties beside a payload of the size that mosquitto limits.
const BESIDE_PAYLOAD: i64 = 65_536;
const PACKET_MIN: i64 = 1024;
const QUEUE_BYTES_UNLIMITED: &str = "281474976710656";
const QUEUE_MESSAGES_UNLIMITED: &str = "4294967295";

pub(super) fn listener(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let port = line.number(0, 65_535)?;
    let mut words = line.value.split([' ', '\t']).filter(|word| !word.is_empty()).skip(1);
    let host = words.next().filter(|word| !word.starts_with('#')).map(str::to_owned);
    let place = match (u16::try_from(port).unwrap_or(0), host) {
        (0, None) => return Err(String::from("listener 0 needs the path of a Unix socket behind the 0")),
        (0, Some(path)) => Place::Unix(path),
        (port, host) => Place::Port(port, host),
    };
    state.listeners.push(Listener::new(source.clone(), place));
    Ok(())
}

/// `port` and `bind_address` open mosquitto's default listener, whatever stands before them.
fn default_listener<'a>(state: &'a mut State, source: &Source) -> &'a mut Listener {
    state.default_is_open = true;
    let default = state.default.get_or_insert_with(|| Listener::new(source.clone(), Place::Port(1883, None)));
    default.source = source.clone();
    default
}

pub(super) fn port(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let number = line.number(1, 65_535)?;
    if let Place::Port(port, _) = &mut default_listener(state, source).place {
        *port = u16::try_from(number).unwrap_or(*port);
    }
    Ok(())
}

pub(super) fn bind_address(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let text = line.text()?.to_owned();
    if let Place::Port(_, host) = &mut default_listener(state, source).place {
        *host = Some(text);
    }
    Ok(())
}

pub(super) fn protocol(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let known = line.one_of(&["mqtt", "websockets", "http_api"])?;
    if known == 2 {
        return Err(String::from("protocol: http_api is not there; `$SYS` topics hold the figures"));
    }
    let here = state.listener(source);
    here.websockets = known == 1;
    if here.websockets && matches!(here.place, Place::Unix(_)) {
        state.set_here("websocket_path", EVERY_PATH, source);
    }
    Ok(())
}

pub(super) fn socket_domain(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let domain = if line.one_of(&["ipv4", "ipv6"])? == 0 { Domain::V4 } else { Domain::V6 };
    let here = state.listener(source);
    here.domain = Some((domain, source.clone()));
    match &here.place {
        Place::Port(_, Some(host)) if host.parse::<std::net::IpAddr>().is_err() => Err(format!(
            "socket_domain: with a name, `{host}`, both families are served: write the address instead"
        )),
        _ => Ok(()),
    }
}

pub(super) fn accept_protocol_versions(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let words = line.text()?.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    let versions: Result<Vec<_>, String> = words
        .map(|word| match word {
            "3" => Ok("3.1"),
            "4" => Ok("3.1.1"),
            "5" => Ok("5.0"),
            other => {
                Err(format!("accept_protocol_versions = `{other}` is not possible: it takes 3, 4 and 5"))
            }
        })
        .collect();
    state.set_here("versions", versions?.join("+"), source);
    Ok(())
}

pub(super) fn allow_anonymous(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = line.bool()?;
    state.anonymous_is_said |= !state.per_listener_settings;
    state.set_security("allow_anonymous", value.to_string(), source);
    Ok(())
}

pub(super) fn listener_allow_anonymous(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = line.bool()?;
    state.set_here("allow_anonymous", value.to_string(), source);
    Ok(())
}

pub(super) fn per_listener_settings(state: &mut State, line: &Line<'_>, _: &Source) -> Done {
    state.per_listener_settings |= line.bool()?;
    let early = ["allow_anonymous", "password_file", "acl_file", "client_id_prefixes"];
    match state.settings.iter().find(|setting| early.contains(&setting.name)) {
        Some(setting) if state.per_listener_settings => {
            Err(format!("per_listener_settings must stand before {}, at {}", setting.name, setting.source))
        }
        _ => Ok(()),
    }
}

pub(super) fn password_file(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    state.set_security("password_file", line.text()?, source);
    Ok(())
}

pub(super) fn acl_file(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    state.set_security("acl_file", line.text()?, source);
    Ok(())
}

/// One beginning, whatever the name says; the last line counts.
pub(super) fn clientid_prefixes(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let text = line.text()?;
    if text.contains([',', '+']) {
        return Err(format!(
            "clientid_prefixes = `{text}` is not possible: a comma or + would end a beginning"
        ));
    }
    state.set_security("client_id_prefixes", text, source);
    Ok(())
}

pub(super) fn use_username_as_clientid(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let word = if line.bool()? { "replace" } else { "none" };
    state.set_here("client_id_from_user", word, source);
    Ok(())
}

pub(super) fn pid_file(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    state.set("pid_file", line.text()?.to_owned(), source);
    Ok(())
}

macro_rules! paths {
    ($($name:ident),*) => {$(
        pub(super) fn $name(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
            state.listener(source).$name = Some((line.text()?.to_owned(), source.clone()));
            Ok(())
        }
    )*};
}
paths!(certfile, keyfile, cafile, crlfile);

pub(super) fn require_certificate(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    state.listener(source).require_certificate = Some((line.bool()?, source.clone()));
    Ok(())
}

pub(super) fn use_identity_as_username(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    identity(state, line, source, "cn")
}

pub(super) fn use_subject_as_username(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    identity(state, line, source, "subject")
}

fn identity(state: &mut State, line: &Line<'_>, source: &Source, part: &'static str) -> Done {
    if line.bool()? {
        state.listener(source).identity = Some((part, source.clone()));
    }
    Ok(())
}

pub(super) fn tls_version(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let version = match line.one_of(&["tlsv1.2", "tlsv1.3", "tlsv1.1"])? {
        0 => "1.2",
        1 => "1.3",
        _ => return Err(String::from("tls_version: versions before 1.2 are not spoken (RFC 8996)")),
    };
    state.set_here("tls_version_min", version, source);
    Ok(())
}

pub(super) fn enable_proxy_protocol(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    line.number(1, 2)?;
    state.listener(source).proxy = Some(((), source.clone()));
    Ok(())
}

pub(super) fn websockets_origin(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let origin = line.text()?.to_owned();
    state.listener(source).origins.push((origin, source.clone()));
    Ok(())
}

pub(super) fn max_qos(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = line.number(0, 2)?;
    state.set_here("maximum_qos", value.to_string(), source);
    Ok(())
}

pub(super) fn max_topic_alias(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = line.number(0, 65_535)?;
    state.set_here("topic_alias_maximum", value.to_string(), source);
    Ok(())
}

/// mosquitto has it for each listener, RingMQ for all.
pub(super) fn max_topic_alias_broker(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = line.number(0, 65_535)?.to_string();
    let name = "topic_alias_outbound_max";
    match state.settings.iter().find(|setting| setting.name == name) {
        Some(other) if other.value != value => Err(format!(
            "max_topic_alias_broker cannot differ between listeners: {} at {}, {value} here",
            other.value, other.source
        )),
        _ => {
            state.set(name, value, source);
            Ok(())
        }
    }
}

pub(super) fn max_inflight_messages(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = match line.number(INT_MIN, 65_535)? {
        value if value <= 0 => 65_535,
        value => value,
    };
    state.set("inflight_messages_max", value.to_string(), source);
    Ok(())
}

pub(super) fn max_keepalive(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = line.number(0, 65_535)?;
    state.set("keep_alive_max", if value == 0 { 65_535 } else { value }.to_string(), source);
    state.set("keep_alive_none", (value == 0).to_string(), source);
    Ok(())
}

pub(super) fn max_queued_messages(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = match line.number(INT_MIN, INT_MAX)? {
        value if value <= 0 => String::from(QUEUE_MESSAGES_UNLIMITED),
        value => value.to_string(),
    };
    state.set("queue_messages_max", value, source);
    Ok(())
}

pub(super) fn max_queued_bytes(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = match line.number(INT_MIN, INT_MAX)? {
        value if value <= 0 => String::from(QUEUE_BYTES_UNLIMITED),
        value => value.to_string(),
    };
    state.set("queue_bytes_max", value, source);
    Ok(())
}

pub(super) fn memory_limit(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    state.set("memory_max", line.number(0, INT_MAX)?.to_string(), source);
    Ok(())
}

pub(super) fn max_packet_size(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = line.number(20, INT_MAX)?;
    if value < PACKET_MIN {
        let text = format!("max_packet_size: {PACKET_MIN} is taken instead, less is not possible");
        state.notes.add(source, Weight::Warning, &text);
    }
    packet_size(state, value.clamp(PACKET_MIN, PACKET_MAX), source);
    Ok(())
}

pub(super) fn message_size_limit(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let limit = line.number(0, PAYLOAD_MAX)?;
    if limit > 0 {
        let value = (limit + BESIDE_PAYLOAD).min(PACKET_MAX);
        let text =
            format!("message_size_limit: packets up to {value} bytes pass, topic and properties counted");
        state.notes.add(source, Weight::Warning, &text);
        packet_size(state, value, source);
    }
    Ok(())
}

/// The bound of the first packet may not be more than that of any packet.
fn packet_size(state: &mut State, value: i64, source: &Source) {
    state.set("packet_bytes_max", value.to_string(), source);
    if value < i64::from(Settings::default().connect_packet_bytes_max) {
        state.set("connect_packet_bytes_max", value.to_string(), source);
    }
}

/// A number and a unit: seconds, hours, days, weeks, months of 30 days, years of 365.
pub(super) fn persistent_client_expiration(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    const DAY: u64 = 86_400;
    /// The value above it means never.
    const LONGEST: u64 = u32::MAX as u64 - 1;
    let word = line.word();
    let units = [('s', 1), ('h', 3600), ('d', DAY), ('w', 7 * DAY), ('m', 30 * DAY), ('y', 365 * DAY)];
    let seconds = units.iter().find_map(|(unit, factor)| {
        let digits = word.strip_suffix(*unit)?;
        digits.parse::<u32>().ok().map(|number| u64::from(number) * factor)
    });
    match seconds {
        Some(seconds @ 1..) => {
            state.set("session_expiry_max", seconds.min(LONGEST).to_string(), source);
            Ok(())
        }
        _ => Err(format!(
            "persistent_client_expiration = `{word}` is not possible: it takes a number and s, h, d, w, m or y, like 14d"
        )),
    }
}

pub(super) fn retain_available(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = line.bool()?;
    state.set("retain_available", value.to_string(), source);
    Ok(())
}

pub(super) fn sys_interval(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let value = line.number(0, 65_535)?;
    state.set("sys_interval", value.to_string(), source);
    Ok(())
}

pub(super) fn log_type(state: &mut State, line: &Line<'_>, source: &Source) -> Done {
    let words = [
        "debug",
        "all",
        "none",
        "information",
        "notice",
        "warning",
        "error",
        "subscribe",
        "unsubscribe",
        "internal",
        "websockets",
    ];
    match line.one_of(&words)? {
        0 | 1 => state.set("log_packets", "true", source),
        2 => state.set("log_packets", "false", source),
        _ => {}
    }
    Ok(())
}

/// It is read where files are; here it only has a place in the table.
pub(super) fn include_dir(_: &mut State, _: &Line<'_>, _: &Source) -> Done {
    Ok(())
}
