//! Every bound of a layer, with its reason.

/// Networks in one list: every connection is compared with each.
pub const NETWORKS_MAX: usize = 1024;

/// A PROXY header of version 1 with its line end (PROXY protocol, section 2.1).
pub const PROXY_V1_BYTES_MAX: usize = 107;

/// A PROXY header of version 2: the fixed part, the longest address (two Unix paths), and room for what load
/// balancers add: a few identifiers of up to 128 bytes and a certificate's name.
pub const PROXY_V2_BYTES_MAX: usize = 16 + 216 + 512;

/// The head of a WebSocket request or of its answer: what web servers commonly allow, cookies included.
pub const WEBSOCKET_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Lines in the head of a WebSocket request: twice what a browser behind proxies sends.
pub const WEBSOCKET_HEADERS_MAX: usize = 64;

/// Plaintext in one WebSocket frame that is sent: keeps the frame's head at 4 bytes, and the other end, which
/// may collect whole messages, within what the smallest of them take by default.
pub const WEBSOCKET_FRAME_BYTES_MAX: usize = u16::MAX as usize;

/// Plaintext encrypted ahead of the socket at a time: four records, so that a large message does not cost a
/// system call for each record, and no more than a socket commonly takes at once.
pub const TLS_SEAL_BYTES_MAX: usize = 64 * 1024;

/// Received bytes of TLS that cannot be opened yet: rustls gives up at a handshake message of 64 KiB, which may
/// come in records of a byte each with 5 of head, encrypted some 22; anything longer is an attack.
pub const TLS_INCOMING_BYTES_MAX: usize = 256 * 1024;

/// Handshake bytes waiting to be sent: the longest chain of certificates, and far from what an other end that
/// asks and does not read may make wait.
pub const TLS_OWN_OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// A user name in MQTT (1.5.4); a certificate can have longer names.
pub const USER_NAME_BYTES_MAX: usize = u16::MAX as usize;

/// A packet that faults are for: tests have small ones, and a larger one passes.
pub const FAULT_PACKET_BYTES_MAX: usize = 1 << 20;

/// What faults hold back of one direction of a connection; for tests, and far from what one keeps late on purpose.
pub const FAULT_HELD_BYTES_MAX: usize = 4 << 20;

/// Plaintext held back until the introduction is taken: as much as the largest read before that brings.
pub const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;
