//! Every directive of mosquitto 2.0 and 2.1 and what becomes of it. The translation, `ringmq import --list` and
//! MOSQUITTO.md all come from here.

use super::apply;
use super::lines::Line;
use super::translate::State;
use crate::config::Source;

/// One directive.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// Its name; a `*` at the end stands for any ending.
    pub name: &'static str,
    /// What becomes of it.
    pub meaning: Meaning,
}

/// What becomes of a directive.
#[derive(Clone, Copy, Debug)]
pub enum Meaning {
    /// RingMQ has the same.
    Becomes {
        /// The key, or what it is in RingMQ's file.
        key: &'static str,
        /// What differs; empty when nothing does.
        note: &'static str,
        /// Does it.
        apply: Apply,
    },
    /// The broker does without, with a warning.
    Ignored {
        /// The value that says nothing and is not warned of; empty when every value says something.
        harmless: &'static str,
        /// The directive that tells for the whole group; empty when it stands alone.
        group: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The broker does not start.
    Refused {
        /// The value that says nothing and is not refused; empty when every value says something.
        harmless: &'static str,
        /// The directive that tells for the whole group; empty when it stands alone.
        group: &'static str,
        /// Why, and what to do instead.
        why: &'static str,
    },
}

type Action = fn(&mut State, &Line<'_>, &Source) -> Result<(), String>;

/// What a directive that has a counterpart does.
#[derive(Clone, Copy, Debug)]
pub struct Apply(Action);

impl Apply {
    pub(super) fn to(self, state: &mut State, line: &Line<'_>, source: &Source) -> Result<(), String> {
        (self.0)(state, line, source)
    }
}

impl Directive {
    /// The value that says nothing, where there is one.
    pub(super) fn harmless(&self) -> Option<&'static str> {
        match self.meaning {
            Meaning::Becomes { .. } => None,
            Meaning::Ignored { harmless, .. } | Meaning::Refused { harmless, .. } => {
                (!harmless.is_empty()).then_some(harmless)
            }
        }
    }
    /// The directive that tells for the whole group, where there is one.
    pub(super) fn group(&self) -> Option<&'static str> {
        match self.meaning {
            Meaning::Becomes { .. } => None,
            Meaning::Ignored { group, .. } | Meaning::Refused { group, .. } => {
                (!group.is_empty()).then_some(group)
            }
        }
    }
}

/// The directive of this name.
pub(super) fn directive(name: &str) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|known| match known.name.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => known.name == name,
    })
}

const fn becomes(name: &'static str, key: &'static str, note: &'static str, apply: Action) -> Directive {
    Directive { name, meaning: Meaning::Becomes { key, note, apply: Apply(apply) } }
}
const fn ignored(name: &'static str, harmless: &'static str, why: &'static str) -> Directive {
    Directive { name, meaning: Meaning::Ignored { harmless, group: "", why } }
}
const fn stored(name: &'static str, harmless: &'static str) -> Directive {
    let why = "nothing is stored on disk yet: sessions and retained messages end with the process";
    Directive { name, meaning: Meaning::Ignored { harmless, group: "persistence", why } }
}
const fn refused(name: &'static str, harmless: &'static str, why: &'static str) -> Directive {
    Directive { name, meaning: Meaning::Refused { harmless, group: "", why } }
}
const fn plugin(name: &'static str, group: &'static str) -> Directive {
    let why = "there are no plugins; a program around RingMQ's library can decide by itself";
    Directive { name, meaning: Meaning::Refused { harmless: "", group, why } }
}
const fn bridge(name: &'static str) -> Directive {
    let why = "there are no bridges yet";
    Directive { name, meaning: Meaning::Refused { harmless: "", group: "connection", why } }
}
const fn engine(name: &'static str, harmless: &'static str) -> Directive {
    refused(name, harmless, "keys are files of PEM; there are no OpenSSL engines")
}
const fn psk(name: &'static str) -> Directive {
    refused(name, "", "there is no TLS with pre-shared keys: give the listener a certificate")
}

const SECURITY: &str = "for the whole broker, or for the listener with per_listener_settings";

/// Every directive, by name.
pub const DIRECTIVES: &[Directive] = &[
    becomes(
        "accept_protocol_versions",
        "versions",
        "3 is 3.1, 4 is 3.1.1, 5 is 5.0",
        apply::accept_protocol_versions,
    ),
    becomes("acl_file", "acl_file", SECURITY, apply::acl_file),
    bridge("address"),
    bridge("addresses"),
    becomes(
        "allow_anonymous",
        "allow_anonymous",
        "false once a listener is named, as in mosquitto 2; without one, this machine alone",
        apply::allow_anonymous,
    ),
    ignored(
        "allow_duplicate_messages",
        "true",
        "overlapping subscriptions give one message with the highest QoS and all identifiers",
    ),
    refused(
        "allow_zero_length_clientid",
        "true",
        "a client without a ClientID is given one, as 3.1.1 and 5.0 say; it cannot be forbidden yet",
    ),
    plugin("auth_opt_*", "auth_plugin"),
    plugin("auth_plugin", "auth_plugin"),
    ignored(
        "auth_plugin_deny_special_chars",
        "",
        "user names and ClientIDs with +, # or / are judged by the ACL alone",
    ),
    ignored("auto_id_prefix", "", "assigned ClientIDs have no prefix that could be chosen"),
    stored("autosave_interval", ""),
    stored("autosave_on_changes", "false"),
    becomes("bind_address", "[[listener]] address", "", apply::bind_address),
    refused(
        "bind_interface",
        "",
        "a listener cannot be bound to an interface yet: name the address of the interface",
    ),
    bridge("bridge_alpn"),
    bridge("bridge_attempt_unsubscribe"),
    bridge("bridge_bind_address"),
    bridge("bridge_cafile"),
    bridge("bridge_capath"),
    bridge("bridge_certfile"),
    bridge("bridge_ciphers"),
    bridge("bridge_ciphers_tls1.3"),
    bridge("bridge_identity"),
    bridge("bridge_insecure"),
    bridge("bridge_keyfile"),
    bridge("bridge_max_packet_size"),
    bridge("bridge_max_topic_alias"),
    bridge("bridge_outgoing_retain"),
    bridge("bridge_protocol_version"),
    bridge("bridge_psk"),
    bridge("bridge_receive_maximum"),
    bridge("bridge_reload_type"),
    bridge("bridge_require_ocsp"),
    bridge("bridge_session_expiry_interval"),
    bridge("bridge_tcp_keepalive"),
    bridge("bridge_tcp_user_timeout"),
    bridge("bridge_tls_use_os_certs"),
    bridge("bridge_tls_version"),
    becomes(
        "cafile",
        "client_ca",
        "with require_certificate; without it there is nothing to check",
        apply::cafile,
    ),
    refused(
        "capath",
        "",
        "certificates stand in one file: cat FOLDER/*.pem > ca.pem, and name that in cafile",
    ),
    becomes(
        "certfile",
        "certificate",
        "the whole chain stands in it: no certificate is added from cafile",
        apply::certfile,
    ),
    ignored("check_retain_source", "", "a retained message is checked when it is published"),
    ignored("ciphers", "", "only suites without known weakness are spoken"),
    ignored("ciphers_tls1.3", "", "only suites without known weakness are spoken"),
    bridge("cleansession"),
    bridge("clientid"),
    becomes("clientid_prefixes", "client_id_prefixes", SECURITY, apply::clientid_prefixes),
    bridge("connection"),
    ignored("connection_messages", "true", "connections and disconnections are logged"),
    becomes("crlfile", "client_crl", "with require_certificate", apply::crlfile),
    ignored("dhparamfile", "", "only key exchanges over elliptic curves are spoken"),
    ignored("disable_client_cert_date_checks", "false", "certificates that have expired are refused"),
    ignored("enable_control_api", "false", "there is no $CONTROL"),
    becomes(
        "enable_proxy_protocol",
        "proxy_protocol",
        "1 and 2 are both understood; proxy_protocol_from admits everybody until it is narrowed",
        apply::enable_proxy_protocol,
    ),
    ignored("global_max_clients", "-1", "not there yet; sessions_max bounds the sessions of each shard"),
    ignored(
        "global_max_connections",
        "-1",
        "not there yet; connections_max bounds the connections of each shard",
    ),
    plugin("global_plugin", "global_plugin"),
    refused("http_dir", "", "no files are served over HTTP"),
    bridge("idle_timeout"),
    becomes(
        "include_dir",
        "(read in place)",
        "files that end in .conf, in the order of their names",
        apply::include_dir,
    ),
    bridge("keepalive_interval"),
    becomes("keyfile", "certificate_key", "", apply::keyfile),
    becomes(
        "listener",
        "[[listener]] address",
        "without an address: every address, of both families",
        apply::listener,
    ),
    becomes(
        "listener_allow_anonymous",
        "allow_anonymous of the listener",
        "",
        apply::listener_allow_anonymous,
    ),
    ignored("listener_auto_id_prefix", "", "assigned ClientIDs have no prefix that could be chosen"),
    bridge("local_cleansession"),
    bridge("local_clientid"),
    bridge("local_password"),
    bridge("local_username"),
    ignored("log_dest", "stderr", "the log goes to stderr; systemd, docker or a shell put it elsewhere"),
    ignored("log_facility", "", "the log goes to stderr"),
    ignored("log_timestamp", "", "lines have mosquitto's time in front"),
    ignored("log_timestamp_format", "", "lines have mosquitto's time in front"),
    becomes(
        "log_type",
        "log_packets",
        "debug and all log each packet; other kinds are logged always",
        apply::log_type,
    ),
    ignored("max_connections", "-1", "not there yet; connections_max bounds the connections of each shard"),
    ignored(
        "max_inflight_bytes",
        "0",
        "not there yet; queue_bytes_max bounds what is sent and unacknowledged as well",
    ),
    becomes(
        "max_inflight_messages",
        "inflight_messages_max",
        "0 becomes 65535",
        apply::max_inflight_messages,
    ),
    becomes(
        "max_keepalive",
        "keep_alive_max",
        "above 0, clients without a keep alive have a longer one; 0 lets them in (keep_alive_none)",
        apply::max_keepalive,
    ),
    becomes(
        "max_packet_size",
        "packet_bytes_max",
        "at least 1024; connect_packet_bytes_max is lowered with it",
        apply::max_packet_size,
    ),
    becomes("max_qos", "maximum_qos", "", apply::max_qos),
    becomes("max_queued_bytes", "queue_bytes_max", "0 becomes the largest value", apply::max_queued_bytes),
    becomes(
        "max_queued_messages",
        "queue_messages_max",
        "0 becomes the largest value; without the line RingMQ's default holds",
        apply::max_queued_messages,
    ),
    becomes("max_topic_alias", "topic_alias_maximum", "", apply::max_topic_alias),
    becomes(
        "max_topic_alias_broker",
        "topic_alias_outbound_max",
        "the same for all listeners",
        apply::max_topic_alias_broker,
    ),
    becomes("maximum_qos", "maximum_qos", "", apply::max_qos),
    becomes("memory_limit", "memory_max", "of bytes that are counted, not of the heap", apply::memory_limit),
    becomes(
        "message_size_limit",
        "packet_bytes_max",
        "64 KiB more, for topic and properties",
        apply::message_size_limit,
    ),
    refused("mount_point", "", "topics cannot be moved below a prefix yet"),
    bridge("notification_topic"),
    bridge("notifications"),
    bridge("notifications_local_only"),
    ignored("packet_buffer_size", "", "buffers grow with what arrives"),
    bridge("password"),
    becomes("password_file", "password_file", SECURITY, apply::password_file),
    becomes("per_listener_settings", "(read in place)", "", apply::per_listener_settings),
    stored("persistence", "false"),
    stored("persistence_file", ""),
    stored("persistence_location", ""),
    becomes(
        "persistent_client_expiration",
        "session_expiry_max",
        "a month is 30 days, a year 365",
        apply::persistent_client_expiration,
    ),
    becomes("pid_file", "pid_file", "", apply::pid_file),
    plugin("plugin", "plugin"),
    plugin("plugin_load", "plugin_load"),
    plugin("plugin_opt_*", "plugin"),
    plugin("plugin_use", "plugin_load"),
    becomes("port", "[[listener]] address", "", apply::port),
    becomes(
        "protocol",
        "[[listener]] address",
        "websockets become ws:// or wss://; http_api is refused",
        apply::protocol,
    ),
    refused(
        "proxy_protocol_v2_require_tls",
        "false",
        "whether a proxy's client came over TLS is not checked yet",
    ),
    psk("psk_file"),
    psk("psk_hint"),
    ignored(
        "queue_qos0_messages",
        "false",
        "QoS 0 messages are not queued for sessions without a connection",
    ),
    bridge("remote_clientid"),
    bridge("remote_password"),
    bridge("remote_username"),
    becomes("require_certificate", "client_certificate", "", apply::require_certificate),
    bridge("restart_timeout"),
    becomes("retain_available", "retain_available", "", apply::retain_available),
    ignored(
        "retain_expiry_interval",
        "",
        "not there yet: retained messages end with the expiry that their publishers give them",
    ),
    stored("retained_persistence", "false"),
    ignored("retry_interval", "", "nothing is sent again while a connection lasts [MQTT-4.4.0-1]"),
    bridge("round_robin"),
    ignored("set_tcp_nodelay", "true", "it is always set"),
    becomes("socket_domain", "[[listener]] address", "0.0.0.0 or [::]", apply::socket_domain),
    bridge("start_type"),
    becomes("sys_interval", "sys_interval", "", apply::sys_interval),
    bridge("threshold"),
    engine("tls_engine", ""),
    engine("tls_engine_kpass_sha1", ""),
    engine("tls_keyform", "pem"),
    becomes("tls_version", "tls_version_min", "tlsv1.1 is refused", apply::tls_version),
    bridge("topic"),
    bridge("try_private"),
    ignored(
        "upgrade_outgoing_qos",
        "false",
        "a message has the lower QoS of publish and subscription, as the standard says",
    ),
    becomes("use_identity_as_username", "identity", "cn", apply::use_identity_as_username),
    becomes("use_subject_as_username", "identity", "subject", apply::use_subject_as_username),
    becomes("use_username_as_clientid", "client_id_from_user", "replace", apply::use_username_as_clientid),
    ignored("user", "", "the broker runs as whoever starts it"),
    bridge("username"),
    ignored("websockets_headers_size", "", "headers of an upgrade have a fixed bound"),
    ignored("websockets_log_level", "", "WebSocket is logged like everything else"),
    becomes("websockets_origin", "websocket_origins", "", apply::websockets_origin),
];
