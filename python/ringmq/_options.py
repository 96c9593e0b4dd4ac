"""Keyword arguments of a broker: every key of the configuration. Written by python/options; do not edit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from os import PathLike
from typing import TypeAlias, TypedDict

__all__ = ["BrokerOptions"]

Path: TypeAlias = str | PathLike[str]
Seconds: TypeAlias = float | timedelta | str


class BrokerOptions(TypedDict, total=False):
    """Keyword arguments of a broker. `None` stands for the default of a key that can be without a value."""

    config_file: Path | None
    """A configuration file, RingMQ's own or a mosquitto.conf; keyword arguments outrank it."""
    config_text: str | None
    """The text of one."""
    listen: str | Sequence[str]
    """As `bind`."""
    port: int
    """Port to listen on, for addresses that name none; 0 takes a free one, the same for all addresses. Accepts 0 to
    65535. Default 0."""
    bind: str | Sequence[str]
    """Address to listen on: a host with or without a port, or a URL that says how: `tcp://`, `tls://`, `ws://`, `wss://`,
    `unix:PATH`. Accepts HOST, HOST:PORT or a URL, several separated by commas; ?KEY=VALUE&... behind one holds there
    alone. Default 127.0.0.1,[::1]."""
    allow_anonymous: bool | str
    """Who may connect without credentials: `local` accepts everybody but refuses to listen beyond this machine. Accepts
    local, true, false. Default local."""
    password_file: Path | None
    """Users and their passwords, as `ringmq passwd` and mosquitto_passwd write them; `local` of allow_anonymous then lets
    in nobody without. Accepts a file, or nothing."""
    acl_file: Path | None
    """Which client may read and write which topics, in the form of mosquitto's ACL files. Accepts a file, or nothing."""
    jwt_keys: Path | Sequence[Path]
    """Keys of those who sign JSON Web Tokens (RFC 7519), which clients then give as password, with any user name: public
    keys as PEM, or sets of keys as JSON (RFC 7517). Accepts files, several separated by commas, or nothing."""
    jwt_keys_url: str | None
    """Where a set of public keys (RFC 7517) is fetched as well, as issuers publish it. It is fetched in the background,
    again when a token names a key that is not known, and what was fetched holds while it cannot be reached. Accepts an
    http:// or https:// URL without credentials, or nothing."""
    jwt_keys_ca_file: Path | None
    """Certificates (PEM) that may vouch for an `https://` jwt_keys_url; without it those that the system trusts. Accepts
    a file, or nothing."""
    jwt_keys_refresh: Seconds
    """How often jwt_keys_url is fetched. Accepts 10 to 86400, in s. Default 300."""
    jwt_secret_file: Path | None
    """Secret that tokens with HS256, HS384 or HS512 are signed with, 32 bytes or more; a line break at its end does not
    count. Accepts a file, or nothing."""
    jwt_audience: str | None
    """Who must be among the audience (`aud`) of a token; nothing takes tokens for anybody. Accepts a text, or nothing."""
    jwt_issuer: str | None
    """Who must have issued a token (`iss`); nothing takes tokens of anybody who has a key. Accepts a text, or nothing."""
    jwt_user_claim: str
    """Claim of a token that is its client's user name, whatever CONNECT says. Accepts the name of a claim. Default
    sub."""
    jwt_client_id_claim: str | None
    """Claim of a token that, where a token has it, is the only ClientID it is good for. Accepts the name of a claim, or
    nothing."""
    jwt_permissions_claim: str | None
    """Claim of a token that, where a token has it, says what its client may do, instead of acl_file: an object with lists
    of filters named `publish`, `subscribe`, `all` and `deny`. Accepts the name of a claim, or nothing."""
    jwt_roles_claim: str | None
    """Claim of a token that, where a token has it, names roles that its client has beside those of its user name: a text,
    or a list of texts; names of no `[[role]]` give nothing. Accepts the name of a claim, or nothing."""
    jwt_leeway: Seconds
    """How much clocks may differ from those of the issuers; a client is disconnected so long after its token has expired.
    Accepts 0 to 3600, in s. Default 30."""
    client_id_from_user: str
    """What a ClientID has to do with its client's user name, so that nobody takes over the session of another user: it is
    the name (`equal`), is it or begins with it and a colon (`prefix`), or becomes it, whatever the client says
    (`replace`); who has no user name is then refused. Accepts none, equal, prefix, replace. Default none."""
    client_id_prefixes: str | Sequence[str]
    """Beginnings of ClientIDs, one of which every ClientID must have; nothing admits all. Accepts beginnings, several
    separated by commas, or nothing."""
    client_ids_denied: str | Sequence[str]
    """ClientIDs that are refused; `*` stands for any text. Accepts patterns, several separated by commas, or nothing."""
    reload_kicks: bool
    """Whether a reload disconnects clients that would not be let in any more: whose user is gone or has another password,
    whose ClientID is refused, whose listener has closed. Whoever came in before this was on is judged without its
    password. Accepts true, false. Default false."""
    watch_files: bool
    """Whether `ringmq serve` follows its configuration file and the files that are named there, and reloads some seconds
    after one has changed; what a mosquitto.conf includes is not followed. Accepts true, false. Default false."""
    http_auth_url: str | None
    """Service that is asked with a POST of JSON who may come in (`client_id`, `user_name`, `password`, `address`,
    `listener`), before password_file and tokens. It answers 200 with `{"result": "allow", "deny" or "ignore"}`, where
    `ignore` leaves it to the files, and perhaps `user_name`, `permissions` (as the claim of jwt_permissions_claim,
    instead of acl_file), `roles` (as that of jwt_roles_claim) and `expires_in` in seconds; 204 allows, 401 and 403 deny.
    Who is known by a certificate, or authenticates by AUTH, is not asked about. Accepts an http:// or https:// URL
    without credentials, or nothing."""
    http_auth_token_file: Path | None
    """Secret that the request of http_auth_url bears as `Authorization: Bearer`; a line break at its end does not count.
    Accepts a file, or nothing."""
    http_auth_ca_file: Path | None
    """Certificates (PEM) that may vouch for an `https://` http_auth_url; without it those that the system trusts. Accepts
    a file, or nothing."""
    http_auth_timeout: Seconds
    """How long an answer of http_auth_url may take; decision_timeout holds for the whole decision, and should be longer.
    Accepts 0.001 to 60, in s. Default 3."""
    http_auth_cache: Seconds
    """How long an answer of http_auth_url is kept for the same client with the same credentials, at most; one that denies
    at most 5 seconds; 0 asks each time. Accepts 0 to 86400, in s. Default 10."""
    http_auth_failure: str
    """What holds when http_auth_url does not answer, or not as it should: `deny`, `allow`, or `ignore`, which leaves it
    to the files. Accepts deny, allow, ignore. Default deny."""
    http_auth_parallel_max: int
    """Requests to http_auth_url under way at one time, each on a thread of its own. Accepts 1 to 256, in requests.
    Default 16. A reload does not change it."""
    deny_publish: str
    """What a publish that is not allowed means where its acknowledgement cannot say so, at QoS 0 and before 5.0: it is
    acknowledged and dropped, or its client is disconnected. Accepts drop, disconnect. Default drop."""
    cores: int | str
    """CPUs to run on, one shard each and pinned: how many, or which. Accepts all, unpinned, a number of CPUs, or a set
    like 0,2-5. Default unpinned. A reload does not change it."""
    shards: int | str
    """Number of shards, whatever the number of CPUs. Accepts auto, or 1 to 256. Default auto. A reload does not change
    it."""
    driver: str
    """Way to talk to the kernel: `uring` is io_uring, `epoll` works where that is forbidden. Accepts auto, uring, epoll.
    Default epoll. A reload does not change it."""
    moving: bool
    """Whether a connection may move to the shard of its session. Accepts true, false. Default true."""
    log_packets: bool
    """Whether each packet makes a log line. Accepts true, false. Default false. A reload does not change it."""
    pid_file: Path | None
    """File for the number of the server's process, removed when it stops. Accepts a file, or nothing. A reload does not
    change it."""
    log_level: str
    """Which lines the log has: a level for all, and levels for modules. Accepts off, error, warn, info, debug or trace,
    and MODULE=LEVEL behind commas, like info,ringmq::guard=debug. Default info."""
    log_format: str
    """How a line of the log looks. Accepts human, json. Default human. A reload does not change it."""
    log_lines_per_second_max: int
    """Lines of the log in a second; how many more there were is said in one line. Accepts 1 to 4294967295, in lines.
    Default 10000. A reload does not change it."""
    sys_interval: Seconds
    """Interval of the `$SYS` topics; 0 turns them off. Accepts 0 to 86400, in s. Default 10. A reload does not change
    it."""
    partition_key: str
    """Key of the hash that places ClientIDs. Accepts random, or 32 hexadecimal digits. A reload does not change it."""
    versions: str
    """Versions of MQTT that are served. Accepts all, or 3.1, 3.1.1 and 5.0 joined by +, like 3.1.1+5.0. Default all."""
    packet_bytes_max: int | str
    """Largest packet a client may send. Accepts 1024 to 268435460, in bytes. Default 268435460."""
    connect_packet_bytes_max: int | str
    """Largest packet before CONNECT was accepted. Accepts 1024 to 268435460, in bytes. Default 524288."""
    connect_timeout: Seconds
    """How long a connection may take until its CONNECT is complete. Accepts 0.001 to 86400, in s. Default 10."""
    decision_timeout: Seconds
    """How long a decider may take for one answer. Accepts 0.001 to 86400, in s. Default 5."""
    linger: Seconds
    """How long a closing connection may take to accept its last bytes. Accepts 0 to 86400, in s. Default 1."""
    stop_deadline: Seconds
    """How long a stop may take. Accepts 0 to 86400, in s. Default 5."""
    server_keep_alive: Seconds
    """Keep alive imposed on 5.0 clients; `client` leaves each its own. Accepts client, or 1 to 65535, in s. Default
    client."""
    keep_alive_max: Seconds
    """Longest keep alive granted. A 5.0 client is told; a 3.x client that asks for more is refused. Accepts 1 to 65535,
    in s. Default 65535."""
    keep_alive_none: bool
    """Whether a client may have no keep alive (0); else that counts as one that is longer than keep_alive_max. Accepts
    true, false. Default true."""
    session_expiry_max: Seconds
    """Longest session expiry granted; the largest value grants sessions that never expire. Accepts 0 to 4294967295, in s.
    Default 4294967295."""
    strict_client_ids: bool
    """Whether MQTT 3.1 ClientIDs over 23 characters are refused. Accepts true, false. Default false."""
    receive_maximum: int
    """QoS 1 and 2 publishes a client may have unacknowledged towards the broker; 5.0 is told, what 3.x sends beyond it
    waits. Accepts 1 to 65535, in messages. Default 1024."""
    inflight_messages_max: int
    """QoS 1 and 2 publishes the broker has unacknowledged towards one client. Accepts 1 to 65535, in messages. Default
    1024."""
    topic_alias_maximum: int
    """Topic aliases a client may use towards the broker. Accepts 0 to 65535, in aliases. Default 32."""
    topic_alias_outbound_max: int
    """Topic aliases the broker uses towards a client that allows them. Accepts 0 to 65535, in aliases. Default 32."""
    queue_messages_max: int
    """Messages queued for one session. Accepts 1 to 4294967295, in messages. Default 1000."""
    queue_bytes_max: int | str
    """Bytes queued for one session; an empty queue takes one message of any size. Accepts 1 to 281474976710656, in bytes.
    Default 16777216."""
    publish_hold: Seconds
    """How long a publisher's acknowledgement waits for a connected session with a full queue. Accepts 0 to 86400, in s.
    Default 5."""
    hold_messages_max: int
    """Messages held beyond a full queue of one session, over all publishers. Accepts 0 to 4294967295, in messages.
    Default 10240."""
    hold_bytes_max: int | str
    """Bytes held beyond a full queue of one session. Accepts 0 to 281474976710656, in bytes. Default 16777216."""
    queue_policy: str
    """What a full queue means for a QoS 1 or 2 message: the session loses it, the session ends, or the publisher is
    refused. Accepts drop, end, refuse. Default drop."""
    park_bytes_max: int | str
    """Bytes a connection may leave unprocessed while it waits for an answer. Accepts 1024 to 281474976710656, in bytes.
    Default 65536."""
    unread_bytes_max: int | str
    """Bytes that incomplete packets of one shard's clients may take together; beyond it, who has had one for longest is
    disconnected. Accepts 1024 to 281474976710656, in bytes. Default 536870912."""
    memory_max: int | str
    """Bytes that all clients may take together, as the broker counts them: from 80 % on new clients are refused, from 90
    % what can be lost is dropped, from 97 % publishers wait for clients that lag. 0 is no bound. Accepts 0 to
    281474976710656, in bytes. Default 0."""
    sessions_max: int
    """Sessions in one shard, connected or not. Accepts 1 to 4294967295, in sessions. Default 1000000."""
    connections_max: int
    """Connections of one shard. Accepts 1 to 4294967295, in connections. Default 1000000."""
    half_open_max: int
    """Connections of one shard whose CONNECT is not complete; beyond it the oldest is closed. Accepts 1 to 4294967295, in
    connections. Default 8192."""
    half_open_per_address_max: int
    """The same from one address, or one /64 network of IPv6. Accepts 1 to 4294967295, in connections. Default 1024."""
    connections_per_address_per_second_max: int
    """Connections one address may make in a second at one shard; 0 is no bound. Accepts 0 to 4294967295, in connections.
    Default 0."""
    bytes_per_address_per_second_max: int | str
    """Bytes one address may send in a second to one shard, a second's worth at once; what comes beyond waits unread.
    Behind a proxy that says whose a connection is, its first bytes count for the proxy. 0 is no bound. Accepts 0 to
    4294967295, in bytes. Default 0."""
    filters_per_packet_max: int
    """Filters of one SUBSCRIBE or UNSUBSCRIBE. Accepts 1 to 4294967295, in filters. Default 4096."""
    topic_bytes_max: int | str
    """Bytes of a topic name or filter. Accepts 1 to 65535, in bytes. Default 65535."""
    subscriptions_per_session_max: int
    """Subscriptions of one session. Accepts 1 to 4294967295, in subscriptions. Default 100000."""
    wildcards_per_session_max: int
    """Subscriptions of one session whose filters have wildcards. Accepts 0 to 4294967295, in subscriptions. Default
    4096."""
    topic_levels_max: int
    """Levels of a topic name or filter. Accepts 1 to 65535, in levels. Default 200."""
    wildcard_levels_max: int
    """Levels of a filter with wildcards. Accepts 1 to 65535, in levels. Default 32."""
    match_nodes_per_turn: int
    """Nodes of wildcard filters that one match visits at once; a longer one is made in parts, of so many a turn. Accepts
    1 to 1073741824, in nodes. Default 64."""
    retained_messages_max: int
    """Retained messages of one shard. Accepts 0 to 4294967295, in messages. Default 10000000."""
    retained_per_root_max: int
    """Retained messages of one shard below one first level of topics, like `home` of `home/kitchen/lamp`, so that one
    tree leaves room for others. Accepts 0 to 4294967295, in messages. Default 5000000."""
    retained_bytes_max: int | str
    """Bytes of retained messages of one shard. Accepts 0 to 281474976710656, in bytes. Default 4294967296."""
    retained_page_messages: int
    """Retained messages read from another shard at once. Accepts 1 to 65535, in messages. Default 64."""
    retained_page_bytes: int | str
    """Bytes of retained messages read from another shard at once. Accepts 1 to 1073741824, in bytes. Default 262144."""
    output_high_water_bytes: int | str
    """Encoded output per connection above which its queue is not drained further; QoS 0 goes past the queue up to four
    times that. Accepts 1024 to 1073741824, in bytes. Default 65536."""
    mesh_batch_bytes: int | str
    """Size of a batch between shards at which it is sent before the turn's end. Accepts 64 to 1073741824, in bytes.
    Default 65536. A reload does not change it."""
    mesh_spill_bytes_max: int | str
    """Bytes waiting in a shard for one other shard above which its publishers wait. Accepts 64 to 281474976710656, in
    bytes. Default 4194304. A reload does not change it."""
    tunnel_window_bytes: int | str
    """Bytes under way for one connection whose session is on another shard. Accepts 1024 to 1073741824, in bytes. Default
    262144."""
    maximum_qos: int
    """Highest QoS served. Accepts 0 to 2. Default 2."""
    retain_available: bool
    """Whether retained messages are served. Accepts true, false. Default true."""
    wildcard_available: bool
    """Whether wildcard subscriptions are served. Accepts true, false. Default true."""
    shared_available: bool
    """Whether shared subscriptions are served. Accepts true, false. Default true."""
    subscription_identifiers_available: bool
    """Whether subscription identifiers are served. Accepts true, false. Default true."""
    response_information: str | None
    """Topic prefix given to 5.0 clients that ask for response information; empty gives none. Accepts a topic prefix
    without wildcards, or nothing. Default response/."""
