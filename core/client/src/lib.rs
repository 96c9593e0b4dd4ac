//! An MQTT client for 3.1, 3.1.1 and 5.0, with a blocking face ([`Client`]) and an async one
//! ([`AsyncClient`], for any executor) over the same machine.
//!
//! ```no_run
//! use ringmq_client::{Client, Options, Publish, Qos};
//!
//! let client = Client::connect(Options::new("localhost", 1883))?;
//! client.subscribe([("home/+/temperature", Qos::AtLeastOnce)])?;
//! client.publish(Publish::new("home/kitchen/temperature", "21.5").qos(Qos::AtLeastOnce))?.wait()?;
//! let message = client.recv().expect("the client was not stopped");
//! assert_eq!(message.topic(), "home/kitchen/temperature");
//! client.disconnect()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Servers are reached over TCP, TLS, WebSocket or both, and Unix sockets: [`Options::from_url`] takes `mqtt://`,
//! `mqtts://`, `ws://`, `wss://` and `unix:`, and [`Tls`] says whom to trust.
//!
//! All clients of a [`Context`] share one thread, which does the input and output and ends after the last of
//! them; unless told otherwise, a process has one context. Connections are made again by themselves, with
//! what was unfinished sent again, until [`Client::disconnect`]. Every queue has a bound: a full queue of
//! messages to send makes [`Client::publish`] wait, and a full queue of received ones stops reading the
//! socket. Nothing waits without a deadline unless its description says so.
//!
//! This crate never prints, never ends the process, never touches signal handlers, and needs no runtime.
#![forbid(unsafe_code)]

mod asynchronous;
mod backoff;
mod client;
mod completion;
mod context;
mod driver;
mod error;
mod event;
mod link;
mod message;
mod options;
mod readiness;
mod resolve;
mod scram;
mod security;
mod state;
mod subscription;
mod url;

pub use asynchronous::AsyncClient;
pub use backoff::Backoff;
pub use client::{Client, Messages};
pub use completion::Receipt;
pub use context::Context;
pub use error::{ConnectError, Error, RecvError};
pub use event::{ConnectionState, Event, Stopped};
pub use message::{Message, Publish};
pub use options::{Acknowledgement, Options, Will};
pub use security::{Tls, TlsVersion};
pub use subscription::{Subscribe, Unsubscribe};
pub use url::{InvalidUrl, Scheme};

pub use bytes::Bytes;
pub use ringmq_proto::peer::{Authentication, Connected, Goodbye, PeerViolation, RequestError, ServerLimits};
pub use ringmq_wire::{
    Properties, PropertiesBuffer, Property, PropertyValue, Qos, ReasonCode, RetainHandling,
    SubscriptionOptions, Version, Violation,
};
