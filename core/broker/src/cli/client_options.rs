//! The flags that `ringmq pub`, `sub` and `rr` share: where to connect, as whom, with which will and
//! properties. Read with mosquitto's names, then resolved once into [`Target`], where nothing is left to
//! doubt. Opens no connection and prints nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use clap::{ArgAction, ValueEnum};
use ringmq_client::{Scheme, Tls};
use ringmq_wire::{Property, Qos, TopicFilter, TopicName, Version};

use super::client_property::PropertyOptions;
use super::client_tls::TlsFlags;

/// The flags of every client command, grouped as in `--help`.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Host to connect to: a name or an address [default: localhost]
    #[arg(short = 'h', long, value_name = "HOST", allow_hyphen_values = true)]
    host: Option<String>,
    /// Port to connect to [default: 1883; 8883 with TLS; 80 and 443 with WebSocket]
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
    /// Host, port, user, password and topic in one: mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC; also mqtts://
    /// with TLS, ws:// with WebSocket and wss:// with both
    #[arg(short = 'L', long, value_name = "URL")]
    url: Option<String>,
    /// Unix socket to connect to, instead of a host and a port
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port", "url", "bind_address"])]
    unix: Option<PathBuf>,
    /// Uses WebSocket, with the path /mqtt
    #[arg(long)]
    ws: bool,
    /// Version of the protocol [default: mqttv311; for rr and with -D: mqttv5]
    #[arg(short = 'V', long, value_enum, value_name = "VERSION")]
    protocol_version: Option<VersionOption>,
    /// Client id [default: the server makes one up]
    #[arg(short, long, value_name = "ID", conflicts_with = "id_prefix", allow_hyphen_values = true)]
    id: Option<String>,
    /// Makes a client id of this prefix and the process id
    #[arg(short = 'I', long, value_name = "PREFIX", allow_hyphen_values = true)]
    id_prefix: Option<String>,
    /// User name
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true)]
    username: Option<String>,
    /// Password. Other users of this machine can see it in the list of processes
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<OsString>,
    /// Proves the password by SCRAM-SHA-256 instead of sending it; the server must know it in that form. Implies MQTT 5
    #[arg(long)]
    scram: bool,
    /// Seconds between signs of life, 0 for none
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    keepalive: u16,
    /// Keeps the session: the server goes on storing messages while this client is away. Needs -i
    #[arg(short = 'c', long)]
    disable_clean_session: bool,
    /// Seconds for which the server keeps the session after the connection ends (MQTT 5); -1 or ∞: for ever
    #[arg(short = 'x', long, value_name = "SECONDS", value_parser = parse_expiry, allow_hyphen_values = true)]
    session_expiry_interval: Option<u32>,
    /// Address of this machine to connect from
    #[arg(short = 'A', value_name = "ADDRESS")]
    bind_address: Option<std::net::IpAddr>,
    /// Sends small packets at once; always so here, taken because scripts give it
    #[arg(long)]
    nodelay: bool,
    /// Messages of QoS 1 and 2 on their way at once
    #[arg(short = 'M', long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    max_inflight: u16,
    /// A property for a packet: -D publish content-type text/plain, -D publish user-property NAME VALUE.
    /// COMMAND is connect, publish, subscribe, unsubscribe, disconnect or will. Implies MQTT 5
    #[arg(short = 'D', long = "property", num_args = 3..=4, action = ArgAction::Append,
          value_names = ["COMMAND", "IDENTIFIER", "VALUE"], allow_negative_numbers = true)]
    properties: Vec<String>,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    will: WillOptions,
    #[command(flatten)]
    talk: Talk,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Will, which the server publishes when this client is lost")]
struct WillOptions {
    /// Topic of the will
    #[arg(long, value_name = "TOPIC", allow_hyphen_values = true)]
    will_topic: Option<String>,
    /// Payload of the will [default: empty]
    #[arg(long, value_name = "PAYLOAD", requires = "will_topic", allow_hyphen_values = true)]
    will_payload: Option<OsString>,
    /// QoS of the will: 0, 1 or 2
    #[arg(long, value_name = "QOS", value_parser = parse_qos, default_value = "0")]
    will_qos: Qos,
    /// Retains the will
    #[arg(long, requires = "will_topic")]
    will_retain: bool,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Talking")]
struct Talk {
    /// Prints what goes over the connection, to standard output
    #[arg(short, long)]
    debug: bool,
    /// Prints no errors
    #[arg(long)]
    quiet: bool,
    /// Prints this help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// A version as it is given to `-V`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VersionOption {
    #[value(name = "mqttv5", aliases = ["5", "5.0", "v5"])]
    V5,
    #[value(name = "mqttv311", aliases = ["311", "3.1.1", "v311"])]
    V311,
    #[value(name = "mqttv31", aliases = ["31", "3.1", "v31"])]
    V31,
}

/// Which of the client commands asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `ringmq pub`.
    Publish,
    /// `ringmq sub`.
    Subscribe,
    /// `ringmq rr`.
    Request,
}

impl Tool {
    /// The name of the subcommand.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Publish => "pub",
            Tool::Subscribe => "sub",
            Tool::Request => "rr",
        }
    }
}

/// Everything that the shared flags say, checked against each other.
#[derive(Debug)]
pub struct Target {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The Unix socket instead.
    pub unix: Option<PathBuf>,
    /// TLS, if it is to be used.
    pub tls: Option<Tls>,
    /// The path of the WebSocket, if there is to be one.
    pub websocket: Option<&'static str>,
    /// The topic of `-L`, not yet judged as a name or a filter.
    pub url_topic: Option<String>,
    /// The version to speak.
    pub version: Version,
    /// The client id; empty for the server to make one up.
    pub client_id: String,
    /// Whether an earlier session is to be forgotten.
    pub clean_start: bool,
    /// Seconds for which the session outlives the connection; `None` below MQTT 5.
    pub session_expiry: Option<u32>,
    /// Seconds between signs of life, 0 for none.
    pub keep_alive: u16,
    /// User name.
    pub user_name: Option<String>,
    /// Password.
    pub password: Option<Vec<u8>>,
    /// Whether the password is proved and not sent.
    pub scram: bool,
    /// The will.
    pub will: Option<Will>,
    /// Address to connect from.
    pub bind_address: Option<std::net::IpAddr>,
    /// Messages of QoS 1 and 2 under way at once, at least 1.
    pub inflight_max: u16,
    /// Properties by packet; all empty below MQTT 5.
    pub properties: PropertyOptions,
    /// Whether to print the packets.
    pub debug: bool,
    /// Whether to keep silent about errors.
    pub quiet: bool,
}

/// The will of the flags.
#[derive(Debug, PartialEq, Eq)]
pub struct Will {
    /// Its topic, a valid name.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its QoS.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
}

impl Connection {
    /// Whether errors are to be kept silent; known even when [`Connection::resolve`] fails.
    pub fn quiet(&self) -> bool {
        self.talk.quiet
    }

    /// Judges the flags together. The error is a sentence for the user.
    pub fn resolve(self, tool: Tool) -> Result<Target, String> {
        let properties = PropertyOptions::parse(&self.properties)?;
        let version = self.version(tool);
        let session_expiry = self.session_expiry(version, &properties)?;
        if version != Version::V5 && self.disable_clean_session && self.id.is_none() {
            return Err("You must provide a client id if you are using the -c option.".to_owned());
        }
        let client_id = self.client_id(version, tool);
        let url = self.url.as_deref().map(Url::parse).transpose()?;
        let scheme = self.scheme(url.as_ref());
        let (url_host, url_port, url_user, url_password, url_topic) = match url {
            Some(url) => (Some(url.host), url.port, url.user, url.password, Some(url.topic)),
            None => (None, None, None, None, None),
        };
        let user_name = self.username.or(url_user);
        let password = self.password.map(OsString::into_vec).or(url_password.map(String::into_bytes));
        if self.scram && (user_name.is_none() || password.is_none()) {
            return Err("--scram needs a user name (-u) and a password (-P).".to_owned());
        }
        Ok(Target {
            host: self.host.or(url_host).unwrap_or_else(|| "localhost".to_owned()),
            port: self.port.or(url_port).unwrap_or(scheme.port()),
            unix: self.unix,
            tls: self.tls.resolve(scheme.is_secure())?,
            websocket: scheme.is_websocket().then_some("/mqtt"),
            url_topic,
            version,
            client_id,
            clean_start: !self.disable_clean_session,
            session_expiry,
            keep_alive: self.keepalive,
            user_name,
            password,
            scram: self.scram,
            will: self.will.resolve()?,
            bind_address: self.bind_address,
            inflight_max: self.max_inflight,
            properties,
            debug: self.talk.debug,
            quiet: self.talk.quiet,
        })
    }

    /// How to go to the server, by the URL and the flags together.
    fn scheme(&self, url: Option<&Url>) -> Scheme {
        let is_secure = self.tls.is_asked() || url.is_some_and(|url| url.scheme.is_secure());
        let is_websocket = self.ws || url.is_some_and(|url| url.scheme.is_websocket());
        match (is_secure, is_websocket) {
            (false, false) => Scheme::Mqtt,
            (true, false) => Scheme::Mqtts,
            (false, true) => Scheme::Ws,
            (true, true) => Scheme::Wss,
        }
    }

    fn version(&self, tool: Tool) -> Version {
        match self.protocol_version {
            _ if !self.properties.is_empty() || self.scram => Version::V5,
            None if tool == Tool::Request => Version::V5,
            None => Version::V311,
            Some(VersionOption::V5) => Version::V5,
            Some(VersionOption::V311) => Version::V311,
            Some(VersionOption::V31) => Version::V31,
        }
    }

    fn session_expiry(&self, version: Version, properties: &PropertyOptions) -> Result<Option<u32>, String> {
        if version != Version::V5 {
            return Ok(None);
        }
        let kept = if self.disable_clean_session { u32::MAX } else { 0 };
        let given = properties.connect.as_properties().u32(Property::SessionExpiryInterval);
        let expiry = self.session_expiry_interval.or(given).unwrap_or(kept);
        if expiry == u32::MAX && self.id.is_none() {
            return Err("You must provide a client id if you are using an infinite session expiry interval."
                .to_owned());
        }
        Ok(Some(expiry))
    }

    /// MQTT 3.1 knows no empty client id, so one is made here [MQTT-3.1.3-6 is of 3.1.1].
    fn client_id(&self, version: Version, tool: Tool) -> String {
        match (&self.id, &self.id_prefix) {
            (Some(id), _) => id.clone(),
            (None, Some(prefix)) => format!("{prefix}{}", std::process::id()),
            (None, None) if version == Version::V31 => {
                format!("ringmq-{}-{}", tool.name(), std::process::id())
            }
            (None, None) => String::new(),
        }
    }
}

impl WillOptions {
    fn resolve(self) -> Result<Option<Will>, String> {
        let Some(topic) = self.will_topic else { return Ok(None) };
        if TopicName::new(&topic).is_err() {
            return Err(format!("Invalid will topic '{topic}', does it contain '+' or '#'?"));
        }
        let payload = self.will_payload.map(OsString::into_vec).unwrap_or_default();
        Ok(Some(Will { topic, payload, qos: self.will_qos, retain: self.will_retain }))
    }
}

/// What `-L` holds.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    scheme: Scheme,
    host: String,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    topic: String,
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("Unsupported URL scheme.")?;
        let scheme = Scheme::parse(scheme).ok_or("Unsupported URL scheme.")?;
        let (authority, topic) =
            rest.split_once('/').ok_or("Invalid URL for -L argument specified - topic missing.")?;
        let (login, address) = authority.rsplit_once('@').map_or((None, authority), |(a, b)| (Some(a), b));
        let (user, password) = match login.map(|login| login.split_once(':')) {
            Some(Some((user, password))) => (Some(user), Some(password)),
            Some(None) => (login, None),
            None => (None, None),
        };
        let (host, port) = split_address(address)?;
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
            topic: topic.to_owned(),
        })
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_address(address: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("Invalid URL for -L argument specified - host missing.".to_owned());
    }
    let port =
        port.map(|port| port.parse().map_err(|_| format!("Invalid port given: {port}"))).transpose()?;
    Ok((host, port))
}

fn parse_expiry(text: &str) -> Result<u32, String> {
    match text {
        "∞" | "-1" => Ok(u32::MAX),
        _ => text
            .parse()
            .map_err(|_| "session-expiry-interval is a number from 0 to 4294967295, -1 or ∞".to_owned()),
    }
}

/// Reads a QoS for a flag.
pub fn parse_qos(text: &str) -> Result<Qos, String> {
    text.parse().ok().and_then(Qos::from_u8).ok_or_else(|| "a QoS is 0, 1 or 2".to_owned())
}

/// Checks a topic to publish to.
pub fn check_name(topic: &str, purpose: &str) -> Result<(), String> {
    match TopicName::new(topic) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("Invalid {purpose} topic '{topic}', does it contain '+' or '#'?")),
    }
}

/// Checks a filter to subscribe to or to filter by.
pub fn check_filter(filter: &str, purpose: &str) -> Result<(), String> {
    match TopicFilter::new(filter) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("Invalid {purpose} topic '{filter}', are all '+' and '#' wildcards correct?")),
    }
}

#[cfg(test)]
mod tests;
