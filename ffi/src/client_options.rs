//! How a client connects.

use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ringmq_client::{Acknowledgement, Backoff, Options, Tls, TlsVersion, Version, Will};

use crate::entry::{check_place, enter, put, read};
use crate::error::{Failure, ringmq_error, ringmq_status};
use crate::handle::{self, Object, Origin};
use crate::publish::{Ready, ringmq_publish};
use crate::text::{ringmq_bytes, ringmq_str};

/// How a client connects. It may be used for several, by any number of threads.
pub struct ringmq_client_options {
    parts: Mutex<Parts>,
    origin: Origin,
}

struct Parts {
    url: String,
    values: Vec<(String, String)>,
    password: Option<Bytes>,
    will: Option<Will>,
}

impl Object for ringmq_client_options {
    const NAME: &'static str = "ringmq_client_options";
    fn origin(&self) -> Origin {
        self.origin
    }
}

impl ringmq_client_options {
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        self.parts().options()
    }
}

impl Parts {
    fn options(&self) -> Result<Options, Failure> {
        let mut options = Options::from_url(&self.url)
            .map_err(|error| Failure::invalid(format!("{}: {error}", self.url)))?;
        let mut security = Security::default();
        let (mut user_name, mut scram) = (None, false);
        for (name, value) in &self.values {
            match name.as_str() {
                "username" => user_name = Some(value.clone()),
                "scram" => scram = number(name, value)?,
                _ if security.take(name, value)? => {}
                _ => options = one(options, name, value)?,
            }
        }
        if let Some(tls) = security.tls()? {
            options = options.tls(tls);
        }
        if let Some(will) = &self.will {
            options = options.will(will.clone());
        }
        Ok(match (user_name, self.password.clone()) {
            (Some(user), Some(password)) if scram => options.scram(user, password),
            _ if scram => return Err(Failure::invalid("scram needs a user name and a password")),
            (Some(user), Some(password)) => options.credentials(user, password),
            (Some(user), None) => options.user_name(user),
            (None, Some(password)) => options.password(password),
            (None, None) => options,
        })
    }
}

/// A number, or true or false.
fn number<T: FromStr>(name: &str, value: &str) -> Result<T, Failure> {
    value.parse().map_err(|_| Failure::invalid(format!("{name} does not take {value:?}")))
}

/// Seconds, perhaps with a fraction.
fn seconds(name: &str, value: &str) -> Result<Duration, Failure> {
    let seconds: f64 = number(name, value)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| Failure::invalid(format!("{name} is no time: {value}")))
}

fn one(options: Options, name: &str, value: &str) -> Result<Options, Failure> {
    Ok(match name {
        "protocol" => options.version(match value {
            "5.0" => Version::V5,
            "3.1.1" => Version::V311,
            "3.1" => Version::V31,
            _ => return Err(Failure::invalid("protocol is 5.0, 3.1.1 or 3.1")),
        }),
        "client_id" => options.client_id(value),
        "clean_start" => options.clean_start(number(name, value)?),
        "session_expiry_interval" => options.session_expiry_seconds(number(name, value)?),
        "keep_alive" => options.keep_alive_seconds(number(name, value)?),
        "receive_maximum" => options.receive_maximum(number(name, value)?),
        "maximum_packet_size" => options.packet_bytes_max(number(name, value)?),
        "topic_alias_maximum" => options.topic_alias_max(number(name, value)?),
        "websocket_path" => options.websocket(value),
        "bind" => options.bind(number(name, value)?),
        "connect_timeout" => options.connect_timeout(seconds(name, value)?),
        "response_timeout" => options.response_timeout(seconds(name, value)?),
        "request_timeout" => options.request_timeout(seconds(name, value)?),
        "reconnect" => options.reconnect(number::<bool>(name, value)?.then(Backoff::default)),
        "republish" => options.republish(number(name, value)?),
        "resubscribe" => options.resubscribe(number(name, value)?),
        "inflight_maximum" => options.in_flight_max(number(name, value)?),
        "queue_messages_max" => options.queue_messages_max(number(name, value)?),
        "queue_bytes_max" => options.queue_bytes_max(number(name, value)?),
        "queue_qos0_offline" => options.queue_qos0_offline(number(name, value)?),
        "receive_queue_messages_max" => options.receive_queue_messages_max(number(name, value)?),
        "acknowledge" => options.acknowledgement(match value {
            "take" => Acknowledgement::OnTake,
            "receipt" => Acknowledgement::OnReceipt,
            "manual" => Acknowledgement::Manual,
            _ => return Err(Failure::invalid("acknowledge is take, receipt or manual")),
        }),
        other => return Err(Failure::invalid(format!("a client has no option {other}"))),
    })
}

/// What was said about TLS.
#[derive(Default)]
struct Security {
    wanted: bool,
    tls: Tls,
    certificate: Option<String>,
    key: Option<String>,
}

impl Security {
    /// Whether it is one of these options.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, Failure> {
        let tls = self.tls.clone();
        self.tls = match name {
            "tls" => {
                self.wanted = number(name, value)?;
                return Ok(true);
            }
            "ca_file" => tls.authorities(file(value)?),
            "tls_server_name" => tls.server_name(value),
            "tls_any_name" if number(name, value)? => tls.any_name(),
            "tls_any_name" => tls,
            "tls_version_min" => tls.version_min(match value {
                "1.2" => TlsVersion::V1_2,
                "1.3" => TlsVersion::V1_3,
                _ => return Err(Failure::invalid("tls_version_min is 1.2 or 1.3")),
            }),
            "cert_file" => {
                self.certificate = Some(value.to_owned());
                tls
            }
            "key_file" => {
                self.key = Some(value.to_owned());
                tls
            }
            _ => return Ok(false),
        };
        self.wanted = true;
        Ok(true)
    }

    fn tls(self) -> Result<Option<Tls>, Failure> {
        let tls = match (self.certificate, self.key) {
            (None, None) => self.tls,
            (Some(certificate), Some(key)) => self.tls.certificate(file(&certificate)?, file(&key)?),
            _ => return Err(Failure::invalid("cert_file and key_file go together")),
        };
        Ok(self.wanted.then_some(tls))
    }
}

fn file(path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::new(ringmq_status::RINGMQ_SYSTEM, format!("{path}: {error}")))
}

/// Options of a client of this server: `mqtt://HOST[:PORT]`, `mqtts://...`, `ws://HOST[:PORT][/PATH]`, `wss://...` or
/// `unix:PATH`. Everything else has a default. Free them with `ringmq_client_options_free`.
///
/// Errors: RINGMQ_INVALID for what is no such URL.
///
/// # Safety
/// `url` is there during the call; `options` can be written to, `error` is NULL or can be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_options_new(
    url: ringmq_str,
    options: *mut *mut ringmq_client_options,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            check_place(options, "options")?;
            let url = url.get("url")?.to_owned();
            let parts = Parts { url, values: Vec::new(), password: None, will: None };
            let _ = parts.options()?;
            let made = ringmq_client_options { parts: Mutex::new(parts), origin: Origin::here() };
            put(options, handle::give(made), "options")
        })
    }
}

/// Sets an option; times are seconds, switches true or false:
/// client_id, username, scram, protocol (5.0, 3.1.1, 3.1), clean_start, session_expiry_interval, keep_alive,
/// receive_maximum, maximum_packet_size, topic_alias_maximum, websocket_path, bind, connect_timeout, response_timeout,
/// request_timeout, reconnect, republish, resubscribe, inflight_maximum, queue_messages_max, queue_bytes_max,
/// queue_qos0_offline, receive_queue_messages_max, acknowledge (take, receipt, manual), tls, ca_file, cert_file, key_file,
/// tls_server_name, tls_any_name, tls_version_min (1.2, 1.3).
///
/// Errors: RINGMQ_INVALID for an option that there is not, or a value it does not take; RINGMQ_SYSTEM for a file that cannot
/// be read. Then it stays as it was.
///
/// # Safety
/// `options` is NULL or options; the texts are there during the call; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_options_set(
    options: *mut ringmq_client_options,
    name: ringmq_str,
    value: ringmq_str,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let options = handle::hold(options)?;
            let (name, value) = (name.get("name")?.to_owned(), value.get("value")?.to_owned());
            if !matches!(name.as_str(), "username" | "scram" | "cert_file" | "key_file") {
                let alone = Parts {
                    url: options.parts().url.clone(),
                    values: vec![(name.clone(), value.clone())],
                    password: None,
                    will: None,
                };
                let _ = alone.options()?;
            }
            options.parts().values.push((name, value));
            Ok(())
        })
    }
}

/// Sets the password, which may be any bytes; copied.
///
/// # Safety
/// As for `ringmq_client_options_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_options_set_password(
    options: *mut ringmq_client_options,
    password: ringmq_bytes,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let options = handle::hold(options)?;
            let password = Bytes::copy_from_slice(password.get("password")?);
            options.parts().password = Some(password);
            Ok(())
        })
    }
}

/// Sets the will: what the server publishes when the connection ends without a goodbye, `delay_s` seconds later.
///
/// # Safety
/// As for `ringmq_client_options_set`; `will` as for `ringmq_broker_publish`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_options_set_will(
    options: *mut ringmq_client_options,
    will: *const ringmq_publish,
    delay_s: u32,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let Ready { topic, payload, qos, retain, properties, .. } = read(will, "will")?.ready()?;
            let options = handle::hold(options)?;
            let will = Will::new(topic, payload).qos(qos).retain(retain).properties(&properties);
            let will = if delay_s > 0 { will.delay_seconds(delay_s) } else { will };
            options.parts().will = Some(will);
            Ok(())
        })
    }
}

/// Frees options; NULL is allowed. Clients that were made with them are not concerned.
///
/// # Safety
/// `options` is NULL or options, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_client_options_free(options: *mut ringmq_client_options) {
    // SAFETY: the caller's.
    unsafe { handle::end(options) };
}
