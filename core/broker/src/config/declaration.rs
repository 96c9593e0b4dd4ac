//! Every configuration key, declared once: doc line, place, type, unit, range and when a change takes
//! effect. The default is what [`Options::default`] holds. The macro makes the builder of the library and
//! the table that flags, `--set`, help, checks and later the configuration file read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ringmq_net::faults::Faults;
use ringmq_rt::{Decisions, DriverChoice};
use ringmq_shard::{Decider, DenyPublish, Hooks, QueuePolicy, Settings, ShardId, Versions};

use super::key::{Change, Key, Range, Source, Switch, Unit};
use super::listener::RawListener;
use super::log::{LogFormat, LogLevel};
use super::role::RoleOptions;
use super::value::Value;
use super::{
    Addresses, ClaimText, ClientIdFromUser, ClientIdList, ClientIdRules, Cores, HttpFailure, HttpRules,
    HttpUrl, JwtRules, KeyFiles, PartitionKey, Shards,
};

/// Who may connect without credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// Everybody, as long as the broker listens on this machine only; otherwise it does not start.
    #[default]
    Local,
    /// Everybody who reaches an address.
    Everybody,
    /// Nobody.
    Nobody,
}

/// Makes the decider of one shard, on that shard's thread. Late answers go in through the second argument.
pub type DeciderFactory = Arc<dyn Fn(ShardId, Decisions) -> Box<dyn Decider> + Send + Sync>;

/// Makes the hooks of one shard, on that shard's thread. Late answers go in through the second argument.
pub type HooksFactory = Arc<dyn Fn(ShardId, Decisions) -> Box<dyn Hooks> + Send + Sync>;

/// How a broker is to be. [`Options::default`] is one shard on this machine's loopback addresses.
#[derive(Clone)]
pub struct Options {
    pub(super) settings: Settings,
    pub(super) port: u16,
    pub(super) bind: Addresses,
    /// Listeners of a file, beside those of `bind`.
    pub(super) listeners: Vec<RawListener>,
    pub(super) anonymous: Anonymous,
    pub(super) password_file: Option<PathBuf>,
    pub(super) acl_file: Option<PathBuf>,
    pub(super) roles: Vec<RoleOptions>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) log_level: LogLevel,
    pub(super) log_format: LogFormat,
    pub(super) log_lines_per_second_max: u32,
    pub(super) jwt: JwtRules,
    pub(super) client_ids: ClientIdRules,
    pub(super) reload_kicks: bool,
    pub(super) watch_files: bool,
    pub(super) http: HttpRules,
    pub(super) cores: Cores,
    pub(super) shards: Shards,
    pub(super) driver: DriverChoice,
    pub(super) partition_key: Option<PartitionKey>,
    pub(super) sources: BTreeMap<&'static str, Source>,
    pub(crate) decider: Option<DeciderFactory>,
    pub(crate) hooks: Option<HooksFactory>,
    pub(crate) faults: Option<Arc<Faults>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            port: 1883,
            bind: Addresses::default(),
            listeners: Vec::new(),
            anonymous: Anonymous::Local,
            password_file: None,
            acl_file: None,
            roles: Vec::new(),
            pid_file: None,
            log_level: LogLevel::default(),
            log_format: LogFormat::Human,
            log_lines_per_second_max: 10_000,
            jwt: JwtRules::default(),
            client_ids: ClientIdRules::default(),
            reload_kicks: false,
            watch_files: false,
            http: HttpRules::default(),
            cores: Cores::Unpinned,
            shards: Shards::Auto,
            driver: DriverChoice::Auto,
            partition_key: None,
            sources: BTreeMap::new(),
            decider: None,
            hooks: None,
            faults: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        for key in KEYS.iter().filter(|key| key.name != "partition_key") {
            map.entry(&key.name, &key.text(self));
        }
        map.finish()
    }
}

impl Options {
    /// Where the value of this key comes from.
    #[must_use]
    pub fn source(&self, key: &Key) -> Source {
        self.sources.get(key.name).cloned().unwrap_or_default()
    }
    /// Where the server is to write the number of its process.
    #[must_use]
    pub fn pid_file_wanted(&self) -> Option<&std::path::Path> {
        self.pid_file.as_deref()
    }
    /// The password file of listeners that name none of their own.
    #[must_use]
    pub fn password_file_wanted(&self) -> Option<&std::path::Path> {
        self.password_file.as_deref()
    }
    /// The ACL file of listeners that name none of their own.
    #[must_use]
    pub fn acl_file_wanted(&self) -> Option<&std::path::Path> {
        self.acl_file.as_deref()
    }
    /// Which lines the server's log is to have.
    #[must_use]
    pub const fn log_level_wanted(&self) -> &LogLevel {
        &self.log_level
    }
    /// How the server's log is to look.
    #[must_use]
    pub const fn log_format_wanted(&self) -> LogFormat {
        self.log_format
    }
    /// Lines that the server's log may have in a second.
    #[must_use]
    pub const fn log_lines_per_second_wanted(&self) -> u32 {
        self.log_lines_per_second_max
    }
    /// Whether the server is to follow its configuration file and the files that it names.
    #[must_use]
    pub const fn watch_files_wanted(&self) -> bool {
        self.watch_files
    }
    /// Whether a reload disconnects clients that would not be let in any more.
    #[must_use]
    pub const fn reload_kicks_wanted(&self) -> bool {
        self.reload_kicks
    }
    /// Asks this decider which clients may connect, publish and subscribe. Without one everybody may. The broker then
    /// starts on addresses beyond this machine without `allow_anonymous`, because somebody decides.
    #[must_use]
    pub fn decider(mut self, factory: DeciderFactory) -> Self {
        self.decider = Some(factory);
        self
    }
    /// Has these see which clients come and go, and the messages that they publish, which they may change or refuse.
    /// Who may do what is decided before that, by whatever decides.
    #[must_use]
    pub fn hooks(mut self, factory: HooksFactory) -> Self {
        self.hooks = Some(factory);
        self
    }
    /// Has these go wrong on all connections, on purpose and for tests. They may be changed while the broker runs. No
    /// configuration and no network gets here, and a broker without them has no part of it.
    #[must_use]
    pub fn faults(mut self, faults: Arc<Faults>) -> Self {
        self.faults = Some(faults);
        self
    }
}

macro_rules! keys {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $type:ty = $($field:ident).+, $unit:expr, $range:expr, $change:ident
        $(, short $short:literal)? $(, switch $switch:literal = $switch_value:literal)?;
    )*) => {
        impl Options {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\n\nUnit: ", stringify!($unit), "; accepted: `", stringify!($range), "`, checked at start.")]
                #[must_use]
                pub fn $name(mut self, value: $type) -> Self {
                    self.$($field).+ = value;
                    self.sources.insert(stringify!($name), Source::Program);
                    self
                }
            )*
        }

        /// All keys, in the order of declaration.
        pub const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            flag: {
                const NAME: &str = stringify!($name);
                const FLAG: [u8; NAME.len()] = dashed(NAME);
                match str::from_utf8(&FLAG) {
                    Ok(flag) => flag,
                    Err(_) => NAME,
                }
            },
            doc: concat!($($doc),+).trim_ascii(),
            unit: $unit,
            range: $range,
            change: Change::$change,
            place: stringify!($($field).+),
            short: keys!(@short $($short)?),
            switch: keys!(@switch $($switch = $switch_value)?),
            parse_into: |options, text| match <$type as Value>::parse(text, $unit) {
                Some(value) => {
                    options.$($field).+ = value;
                    true
                }
                None => false,
            },
            text: |options| options.$($field).+.text(),
            number: |options| options.$($field).+.number(),
        }),*];
    };
    (@short) => { None };
    (@short $short:literal) => { Some($short) };
    (@switch) => { None };
    (@switch $switch:literal = $value:literal) => { Some(Switch { long: $switch, value: $value }) };
}

/// A key's name with dashes for underscores.
const fn dashed<const BYTES: usize>(name: &str) -> [u8; BYTES] {
    let mut flag = [b'-'; BYTES];
    let mut index = 0;
    while index < BYTES {
        if name.as_bytes()[index] != b'_' {
            flag[index] = name.as_bytes()[index];
        }
        index += 1;
    }
    flag
}

const MESSAGES: Unit = Unit::Count("messages");
const U32_MAX: u64 = u32::MAX as u64;
/// No bound of memory or count is larger than this, so that sums of bounds cannot overflow.
const BOUND_MAX: u64 = 1 << 48;
/// No timeout is longer than a day, so that a mistyped one is noticed.
const DAY_MS: u64 = 86_400_000;
const PACKET_MAX: u64 = 268_435_460;

keys! {
    /// Port to listen on, for addresses that name none; 0 takes a free one, the same for all addresses.
    port: u16 = port, Unit::None, Range::Number(0, 65_535), Live, short 'p';
    /// Address to listen on: a host with or without a port, or a URL that says how: `tcp://`, `tls://`, `ws://`, `wss://`, `unix:PATH`.
    bind: Addresses = bind, Unit::None, Range::List("HOST, HOST:PORT or a URL, several separated by commas; ?KEY=VALUE&... behind one holds there alone"), Live;
    /// Who may connect without credentials: `local` accepts everybody but refuses to listen beyond this machine.
    allow_anonymous: Anonymous = anonymous, Unit::None, Range::Words(&["local", "true", "false"]), Live;
    /// Users and their passwords, as `ringmq passwd` and mosquitto_passwd write them; `local` of allow_anonymous then lets in nobody without.
    password_file: Option<PathBuf> = password_file, Unit::None, Range::Path("a file, or nothing"), Live;
    /// Which client may read and write which topics, in the form of mosquitto's ACL files.
    acl_file: Option<PathBuf> = acl_file, Unit::None, Range::Path("a file, or nothing"), Live;
    /// Keys of those who sign JSON Web Tokens (RFC 7519), which clients then give as password, with any user name: public keys as PEM, or sets of keys as JSON (RFC 7517).
    jwt_keys: KeyFiles = jwt.keys, Unit::None, Range::Paths("files, several separated by commas, or nothing"), Live;
    /// Where a set of public keys (RFC 7517) is fetched as well, as issuers publish it. It is fetched in the background, again when a token names a key that is not known, and what was fetched holds while it cannot be reached.
    jwt_keys_url: Option<HttpUrl> = jwt.keys_url, Unit::None, Range::Form("an http:// or https:// URL without credentials, or nothing"), Live;
    /// Certificates (PEM) that may vouch for an `https://` jwt_keys_url; without it those that the system trusts.
    jwt_keys_ca_file: Option<PathBuf> = jwt.keys_ca_file, Unit::None, Range::Path("a file, or nothing"), Live;
    /// How often jwt_keys_url is fetched.
    jwt_keys_refresh: u32 = jwt.keys_refresh_seconds, Unit::Seconds, Range::Number(10, 86_400), Live;
    /// Secret that tokens with HS256, HS384 or HS512 are signed with, 32 bytes or more; a line break at its end does not count.
    jwt_secret_file: Option<PathBuf> = jwt.secret_file, Unit::None, Range::Path("a file, or nothing"), Live;
    /// Who must be among the audience (`aud`) of a token; nothing takes tokens for anybody.
    jwt_audience: Option<ClaimText> = jwt.audience, Unit::None, Range::Form("a text, or nothing"), Live;
    /// Who must have issued a token (`iss`); nothing takes tokens of anybody who has a key.
    jwt_issuer: Option<ClaimText> = jwt.issuer, Unit::None, Range::Form("a text, or nothing"), Live;
    /// Claim of a token that is its client's user name, whatever CONNECT says.
    jwt_user_claim: ClaimText = jwt.user_claim, Unit::None, Range::Form("the name of a claim"), Live;
    /// Claim of a token that, where a token has it, is the only ClientID it is good for.
    jwt_client_id_claim: Option<ClaimText> = jwt.client_id_claim, Unit::None, Range::Form("the name of a claim, or nothing"), Live;
    /// Claim of a token that, where a token has it, says what its client may do, instead of acl_file: an object with lists of filters named `publish`, `subscribe`, `all` and `deny`.
    jwt_permissions_claim: Option<ClaimText> = jwt.permissions_claim, Unit::None, Range::Form("the name of a claim, or nothing"), Live;
    /// Claim of a token that, where a token has it, names roles that its client has beside those of its user name: a text, or a list of texts; names of no `[[role]]` give nothing.
    jwt_roles_claim: Option<ClaimText> = jwt.roles_claim, Unit::None, Range::Form("the name of a claim, or nothing"), Live;
    /// How much clocks may differ from those of the issuers; a client is disconnected so long after its token has expired.
    jwt_leeway: u32 = jwt.leeway_seconds, Unit::Seconds, Range::Number(0, 3600), Live;
    /// What a ClientID has to do with its client's user name, so that nobody takes over the session of another user: it is the name (`equal`), is it or begins with it and a colon (`prefix`), or becomes it, whatever the client says (`replace`); who has no user name is then refused.
    client_id_from_user: ClientIdFromUser = client_ids.from_user, Unit::None, Range::Words(&["none", "equal", "prefix", "replace"]), Live;
    /// Beginnings of ClientIDs, one of which every ClientID must have; nothing admits all.
    client_id_prefixes: ClientIdList = client_ids.prefixes, Unit::None, Range::List("beginnings, several separated by commas, or nothing"), Live;
    /// ClientIDs that are refused; `*` stands for any text.
    client_ids_denied: ClientIdList = client_ids.denied, Unit::None, Range::List("patterns, several separated by commas, or nothing"), Live;
    /// Whether a reload disconnects clients that would not be let in any more: whose user is gone or has another password, whose ClientID is refused, whose listener has closed. Whoever came in before this was on is judged without its password.
    reload_kicks: bool = reload_kicks, Unit::None, Range::Bool, Live;
    /// Whether `ringmq serve` follows its configuration file and the files that are named there, and reloads some seconds after one has changed; what a mosquitto.conf includes is not followed.
    watch_files: bool = watch_files, Unit::None, Range::Bool, Live;
    /// Service that is asked with a POST of JSON who may come in (`client_id`, `user_name`, `password`, `address`, `listener`), before password_file and tokens. It answers 200 with `{"result": "allow", "deny" or "ignore"}`, where `ignore` leaves it to the files, and perhaps `user_name`, `permissions` (as the claim of jwt_permissions_claim, instead of acl_file), `roles` (as that of jwt_roles_claim) and `expires_in` in seconds; 204 allows, 401 and 403 deny. Who is known by a certificate, or authenticates by AUTH, is not asked about.
    http_auth_url: Option<HttpUrl> = http.auth_url, Unit::None, Range::Form("an http:// or https:// URL without credentials, or nothing"), Live;
    /// Secret that the request of http_auth_url bears as `Authorization: Bearer`; a line break at its end does not count.
    http_auth_token_file: Option<PathBuf> = http.auth_token_file, Unit::None, Range::Path("a file, or nothing"), Live;
    /// Certificates (PEM) that may vouch for an `https://` http_auth_url; without it those that the system trusts.
    http_auth_ca_file: Option<PathBuf> = http.auth_ca_file, Unit::None, Range::Path("a file, or nothing"), Live;
    /// How long an answer of http_auth_url may take; decision_timeout holds for the whole decision, and should be longer.
    http_auth_timeout: u64 = http.auth_timeout, Unit::Milliseconds, Range::Number(1, 60_000), Live;
    /// How long an answer of http_auth_url is kept for the same client with the same credentials, at most; one that denies at most 5 seconds; 0 asks each time.
    http_auth_cache: u32 = http.auth_cache_seconds, Unit::Seconds, Range::Number(0, 86_400), Live;
    /// What holds when http_auth_url does not answer, or not as it should: `deny`, `allow`, or `ignore`, which leaves it to the files.
    http_auth_failure: HttpFailure = http.auth_failure, Unit::None, Range::Words(&["deny", "allow", "ignore"]), Live;
    /// Requests to http_auth_url under way at one time, each on a thread of its own.
    http_auth_parallel_max: u16 = http.auth_parallel_max, Unit::Count("requests"), Range::Number(1, 256), Restart;
    /// What a publish that is not allowed means where its acknowledgement cannot say so, at QoS 0 and before 5.0: it is acknowledged and dropped, or its client is disconnected.
    deny_publish: DenyPublish = settings.deny_publish, Unit::None, Range::Words(&["drop", "disconnect"]), Live;
    /// CPUs to run on, one shard each and pinned: how many, or which.
    cores: Cores = cores, Unit::None, Range::Form("all, unpinned, a number of CPUs, or a set like 0,2-5"), Restart;
    /// Number of shards, whatever the number of CPUs.
    shards: Shards = shards, Unit::None, Range::Form("auto, or 1 to 256"), Restart;
    /// Way to talk to the kernel: `uring` is io_uring, `epoll` works where that is forbidden.
    driver: DriverChoice = driver, Unit::None, Range::Words(&["auto", "uring", "epoll"]), Restart;
    /// Whether a connection may move to the shard of its session.
    moving: bool = settings.moving, Unit::None, Range::Bool, Live, switch "no-move" = "false";
    /// Whether each packet makes a log line.
    log_packets: bool = settings.log_packets, Unit::None, Range::Bool, Restart, short 'v', switch "verbose" = "true";
    /// File for the number of the server's process, removed when it stops.
    pid_file: Option<PathBuf> = pid_file, Unit::None, Range::Path("a file, or nothing"), Restart;
    /// Which lines the log has: a level for all, and levels for modules.
    log_level: LogLevel = log_level, Unit::None, Range::Form("off, error, warn, info, debug or trace, and MODULE=LEVEL behind commas, like info,ringmq::guard=debug"), Live;
    /// How a line of the log looks.
    log_format: LogFormat = log_format, Unit::None, Range::Words(&["human", "json"]), Restart;
    /// Lines of the log in a second; how many more there were is said in one line.
    log_lines_per_second_max: u32 = log_lines_per_second_max, Unit::Count("lines"), Range::Number(1, U32_MAX), Restart;
    /// Interval of the `$SYS` topics; 0 turns them off.
    sys_interval: u32 = settings.sys_interval_seconds, Unit::Seconds, Range::Number(0, 86_400), Restart;
    /// Key of the hash that places ClientIDs.
    partition_key: Option<PartitionKey> = partition_key, Unit::None, Range::Form("random, or 32 hexadecimal digits"), Restart;

    /// Versions of MQTT that are served.
    versions: Versions = settings.offer.versions, Unit::None, Range::Form("all, or 3.1, 3.1.1 and 5.0 joined by +, like 3.1.1+5.0"), Live;
    /// Largest packet a client may send.
    packet_bytes_max: u32 = settings.offer.packet_bytes_max, Unit::Bytes, Range::Number(1024, PACKET_MAX), Live;
    /// Largest packet before CONNECT was accepted.
    connect_packet_bytes_max: u32 = settings.connect_packet_bytes_max, Unit::Bytes, Range::Number(1024, PACKET_MAX), Live;
    /// How long a connection may take until its CONNECT is complete.
    connect_timeout: u64 = settings.connect_timeout, Unit::Milliseconds, Range::Number(1, DAY_MS), Live;
    /// How long a decider may take for one answer.
    decision_timeout: u64 = settings.decision_timeout, Unit::Milliseconds, Range::Number(1, DAY_MS), Live;
    /// How long a closing connection may take to accept its last bytes.
    linger: u64 = settings.linger, Unit::Milliseconds, Range::Number(0, DAY_MS), Live;
    /// How long a stop may take.
    stop_deadline: u64 = settings.stop_deadline, Unit::Milliseconds, Range::Number(0, DAY_MS), Live;
    /// Keep alive imposed on 5.0 clients; `client` leaves each its own.
    server_keep_alive: Option<u16> = settings.offer.server_keep_alive_seconds, Unit::Seconds, Range::WordOrNumber("client", 1, 65_535), Live;
    /// Longest keep alive granted. A 5.0 client is told; a 3.x client that asks for more is refused.
    keep_alive_max: u16 = settings.offer.keep_alive_seconds_max, Unit::Seconds, Range::Number(1, 65_535), Live;
    /// Whether a client may have no keep alive (0); else that counts as one that is longer than keep_alive_max.
    keep_alive_none: bool = settings.offer.keep_alive_none, Unit::None, Range::Bool, Live;
    /// Longest session expiry granted; the largest value grants sessions that never expire.
    session_expiry_max: u32 = settings.offer.session_expiry_seconds_max, Unit::Seconds, Range::Number(0, U32_MAX), Live;
    /// Whether MQTT 3.1 ClientIDs over 23 characters are refused.
    strict_client_ids: bool = settings.strict_client_ids, Unit::None, Range::Bool, Live;

    /// QoS 1 and 2 publishes a client may have unacknowledged towards the broker; 5.0 is told, what 3.x sends beyond it waits.
    receive_maximum: u16 = settings.offer.receive_maximum, MESSAGES, Range::Number(1, 65_535), Live;
    /// QoS 1 and 2 publishes the broker has unacknowledged towards one client.
    inflight_messages_max: u16 = settings.inflight_messages_max, MESSAGES, Range::Number(1, 65_535), Live;
    /// Topic aliases a client may use towards the broker.
    topic_alias_maximum: u16 = settings.offer.topic_alias_maximum, Unit::Count("aliases"), Range::Number(0, 65_535), Live;
    /// Topic aliases the broker uses towards a client that allows them.
    topic_alias_outbound_max: u16 = settings.topic_alias_outbound_max, Unit::Count("aliases"), Range::Number(0, 65_535), Live;

    /// Messages queued for one session.
    queue_messages_max: u32 = settings.queue_messages_max, MESSAGES, Range::Number(1, U32_MAX), Live;
    /// Bytes queued for one session; an empty queue takes one message of any size.
    queue_bytes_max: u64 = settings.queue_bytes_max, Unit::Bytes, Range::Number(1, BOUND_MAX), Live;
    /// How long a publisher's acknowledgement waits for a connected session with a full queue.
    publish_hold: u64 = settings.publish_hold, Unit::Milliseconds, Range::Number(0, DAY_MS), Live;
    /// Messages held beyond a full queue of one session, over all publishers.
    hold_messages_max: u32 = settings.hold_messages_max, MESSAGES, Range::Number(0, U32_MAX), Live;
    /// Bytes held beyond a full queue of one session.
    hold_bytes_max: u64 = settings.hold_bytes_max, Unit::Bytes, Range::Number(0, BOUND_MAX), Live;
    /// What a full queue means for a QoS 1 or 2 message: the session loses it, the session ends, or the publisher is refused.
    queue_policy: QueuePolicy = settings.queue_policy, Unit::None, Range::Words(&["drop", "end", "refuse"]), Live;
    /// Bytes a connection may leave unprocessed while it waits for an answer.
    park_bytes_max: usize = settings.park_bytes_max, Unit::Bytes, Range::Number(1024, BOUND_MAX), Live;
    /// Bytes that incomplete packets of one shard's clients may take together; beyond it, who has had one for longest is disconnected.
    unread_bytes_max: usize = settings.unread_bytes_max, Unit::Bytes, Range::Number(1024, BOUND_MAX), Live;

    /// Bytes that all clients may take together, as the broker counts them: from 80 % on new clients are refused, from 90 % what can be lost is dropped, from 97 % publishers wait for clients that lag. 0 is no bound.
    memory_max: u64 = settings.memory_max, Unit::Bytes, Range::Number(0, BOUND_MAX), Live;
    /// Sessions in one shard, connected or not.
    sessions_max: usize = settings.sessions_max, Unit::Count("sessions"), Range::Number(1, U32_MAX), Live;
    /// Connections of one shard.
    connections_max: usize = settings.connections_max, Unit::Count("connections"), Range::Number(1, U32_MAX), Live;
    /// Connections of one shard whose CONNECT is not complete; beyond it the oldest is closed.
    half_open_max: usize = settings.half_open_max, Unit::Count("connections"), Range::Number(1, U32_MAX), Live;
    /// The same from one address, or one /64 network of IPv6.
    half_open_per_address_max: usize = settings.half_open_per_address_max, Unit::Count("connections"), Range::Number(1, U32_MAX), Live;
    /// Connections one address may make in a second at one shard; 0 is no bound.
    connections_per_address_per_second_max: u32 = settings.connections_per_address_per_second_max, Unit::Count("connections"), Range::Number(0, U32_MAX), Live;
    /// Bytes one address may send in a second to one shard, a second's worth at once; what comes beyond waits unread. Behind a proxy that says whose a connection is, its first bytes count for the proxy. 0 is no bound.
    bytes_per_address_per_second_max: u32 = settings.bytes_per_address_per_second_max, Unit::Bytes, Range::Number(0, U32_MAX), Live;
    /// Filters of one SUBSCRIBE or UNSUBSCRIBE.
    filters_per_packet_max: usize = settings.filters_per_packet_max, Unit::Count("filters"), Range::Number(1, U32_MAX), Live;
    /// Bytes of a topic name or filter.
    topic_bytes_max: usize = settings.topic_bytes_max, Unit::Bytes, Range::Number(1, 65_535), Live;
    /// Subscriptions of one session.
    subscriptions_per_session_max: usize = settings.subscriptions_per_session_max, Unit::Count("subscriptions"), Range::Number(1, U32_MAX), Live;
    /// Subscriptions of one session whose filters have wildcards.
    wildcards_per_session_max: usize = settings.wildcards_per_session_max, Unit::Count("subscriptions"), Range::Number(0, U32_MAX), Live;
    /// Levels of a topic name or filter.
    topic_levels_max: usize = settings.topic_levels_max, Unit::Count("levels"), Range::Number(1, 65_535), Live;
    /// Levels of a filter with wildcards.
    wildcard_levels_max: usize = settings.wildcard_levels_max, Unit::Count("levels"), Range::Number(1, 65_535), Live;
    /// Nodes of wildcard filters that one match visits at once; a longer one is made in parts, of so many a turn.
    match_nodes_per_turn: usize = settings.match_nodes_per_turn, Unit::Count("nodes"), Range::Number(1, 1 << 30), Live;
    /// Retained messages of one shard.
    retained_messages_max: usize = settings.retained_messages_max, MESSAGES, Range::Number(0, U32_MAX), Live;
    /// Retained messages of one shard below one first level of topics, like `home` of `home/kitchen/lamp`, so that one tree leaves room for others.
    retained_per_root_max: usize = settings.retained_per_root_max, MESSAGES, Range::Number(0, U32_MAX), Live;
    /// Bytes of retained messages of one shard.
    retained_bytes_max: u64 = settings.retained_bytes_max, Unit::Bytes, Range::Number(0, BOUND_MAX), Live;
    /// Retained messages read from another shard at once.
    retained_page_messages: u32 = settings.retained_page_messages, MESSAGES, Range::Number(1, 65_535), Live;
    /// Bytes of retained messages read from another shard at once.
    retained_page_bytes: u64 = settings.retained_page_bytes, Unit::Bytes, Range::Number(1, 1 << 30), Live;
    /// Encoded output per connection above which its queue is not drained further; QoS 0 goes past the queue up to four times that.
    output_high_water_bytes: usize = settings.output_high_water_bytes, Unit::Bytes, Range::Number(1024, 1 << 30), Live;
    /// Size of a batch between shards at which it is sent before the turn's end.
    mesh_batch_bytes: usize = settings.mesh_batch_bytes, Unit::Bytes, Range::Number(64, 1 << 30), Restart;
    /// Bytes waiting in a shard for one other shard above which its publishers wait.
    mesh_spill_bytes_max: usize = settings.mesh_spill_bytes_max, Unit::Bytes, Range::Number(64, BOUND_MAX), Restart;
    /// Bytes under way for one connection whose session is on another shard.
    tunnel_window_bytes: usize = settings.tunnel_window_bytes, Unit::Bytes, Range::Number(1024, 1 << 30), Live;

    /// Highest QoS served.
    maximum_qos: u8 = settings.offer.maximum_qos, Unit::None, Range::Number(0, 2), Live;
    /// Whether retained messages are served.
    retain_available: bool = settings.offer.retain_available, Unit::None, Range::Bool, Live;
    /// Whether wildcard subscriptions are served.
    wildcard_available: bool = settings.offer.wildcard_available, Unit::None, Range::Bool, Live;
    /// Whether shared subscriptions are served.
    shared_available: bool = settings.offer.shared_available, Unit::None, Range::Bool, Live;
    /// Whether subscription identifiers are served.
    subscription_identifiers_available: bool = settings.offer.subscription_identifiers_available, Unit::None, Range::Bool, Live;
    /// Topic prefix given to 5.0 clients that ask for response information; empty gives none.
    response_information: Option<String> = settings.response_information, Unit::None, Range::Form("a topic prefix without wildcards, or nothing"), Live;
}
