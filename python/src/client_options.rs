//! Options of a client from a URL and keyword arguments.

use std::net::IpAddr;
use std::path::PathBuf;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use ringmq::Qos;
use ringmq_client::{Acknowledgement, Backoff, Options, Tls, TlsVersion, Version, Will};

use crate::payload::Payload;
use crate::properties::{Quality, pairs, publish_properties};
use crate::wait;

/// Options of a client.
///
/// # Errors
/// `ValueError` and `TypeError`, with the argument's name.
pub fn from_keywords(url: &str, keywords: &Bound<'_, PyDict>) -> PyResult<Options> {
    let options =
        Options::from_url(url).map_err(|error| PyValueError::new_err(format!("{url:?}: {error}")))?;
    let mut security = Security::default();
    let mut user_name: Option<String> = None;
    let mut password: Option<Payload> = None;
    let mut is_scram = false;
    let mut options = options;
    for (name, value) in keywords {
        let name: String = name.extract()?;
        if value.is_none() && name != "reconnect" {
            continue;
        }
        match name.as_str() {
            "username" => user_name = Some(value.extract()?),
            "password" => password = Some(value.extract()?),
            "scram" => is_scram = value.is_truthy()?,
            _ if security.take(&name, &value)? => {}
            _ => options = one(options, &name, &value)?,
        }
    }
    if security.is_used() {
        options = options.tls(security.tls()?);
    }
    Ok(match (user_name, password) {
        (Some(user), Some(password)) if is_scram => options.scram(user, password.0),
        _ if is_scram => return Err(PyValueError::new_err("scram needs a username and a password")),
        (Some(user), Some(password)) => options.credentials(user, password.0),
        (Some(user), None) => options.user_name(user),
        (None, Some(password)) => options.password(password.0),
        (None, None) => options,
    })
}

fn one(options: Options, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Options> {
    Ok(match name {
        "protocol" => options.version(version(value)?),
        "client_id" => options.client_id(value.extract::<String>()?),
        "clean_start" => options.clean_start(value.is_truthy()?),
        "session_expiry_interval" => options.session_expiry_seconds(value.extract()?),
        "keep_alive" => options.keep_alive_seconds(value.extract()?),
        "will" => options.will(will(value)?),
        "receive_maximum" => options.receive_maximum(value.extract()?),
        "maximum_packet_size" => options.packet_bytes_max(value.extract()?),
        "topic_alias_maximum" => options.topic_alias_max(value.extract()?),
        "request_response_information" => options.request_response_information(value.is_truthy()?),
        "request_problem_information" => options.request_problem_information(value.is_truthy()?),
        "user_properties" => pairs(value)?
            .into_iter()
            .fold(options, |options, (name, value)| options.user_property(name, value)),
        "authentication_method" => options.authentication(value.extract::<String>()?, Vec::new()),
        "websocket_path" => options.websocket(value.extract::<String>()?),
        "bind" => options.bind(value.extract::<IpAddr>()?),
        "connect_timeout" => options.connect_timeout(wait::seconds(value.extract()?)?),
        "response_timeout" => options.response_timeout(wait::seconds(value.extract()?)?),
        "publish_timeout" => options.publish_timeout(wait::seconds(value.extract()?)?),
        "request_timeout" => options.request_timeout(wait::seconds(value.extract()?)?),
        "reconnect" => options.reconnect(backoff(value)?),
        "republish" => options.republish(value.is_truthy()?),
        "resubscribe" => options.resubscribe(value.is_truthy()?),
        "inflight_maximum" => options.in_flight_max(value.extract()?),
        "queue_messages_max" => options.queue_messages_max(value.extract()?),
        "queue_bytes_max" => options.queue_bytes_max(value.extract()?),
        "queue_qos0_offline" => options.queue_qos0_offline(value.is_truthy()?),
        "receive_queue_messages_max" => options.receive_queue_messages_max(value.extract()?),
        "acknowledge" => options.acknowledgement(acknowledgement(value)?),
        other => return Err(PyTypeError::new_err(format!("a client has no option `{other}`"))),
    })
}

fn version(value: &Bound<'_, PyAny>) -> PyResult<Version> {
    let text = value.str()?.to_string();
    match text.as_str() {
        "5" | "5.0" => Ok(Version::V5),
        "4" | "3.1.1" | "311" => Ok(Version::V311),
        "3" | "3.1" | "31" => Ok(Version::V31),
        other => {
            Err(PyValueError::new_err(format!("protocol is \"5.0\", \"3.1.1\" or \"3.1\", not {other:?}")))
        }
    }
}

fn acknowledgement(value: &Bound<'_, PyAny>) -> PyResult<Acknowledgement> {
    match value.extract::<String>()?.as_str() {
        "take" => Ok(Acknowledgement::OnTake),
        "receipt" => Ok(Acknowledgement::OnReceipt),
        "manual" => Ok(Acknowledgement::Manual),
        other => Err(PyValueError::new_err(format!(
            "acknowledge is \"take\", \"receipt\" or \"manual\", not {other:?}"
        ))),
    }
}

/// `False` or `None` never connects again, `True` does as usual, a pair has the first and the longest wait in seconds.
fn backoff(value: &Bound<'_, PyAny>) -> PyResult<Option<Backoff>> {
    if let Ok((min, max)) = value.extract::<(f64, f64)>() {
        return Ok(Some(Backoff { min: wait::seconds(min)?, max: wait::seconds(max)? }));
    }
    Ok(value.is_truthy()?.then(Backoff::default))
}

/// What a mapping with the fields of a will says.
fn will(value: &Bound<'_, PyAny>) -> PyResult<Will> {
    let fields = value.cast::<PyDict>()?.copy()?;
    let take = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
        let found = fields.get_item(name)?;
        if found.is_some() {
            fields.del_item(name)?;
        }
        Ok(found.filter(|found| !found.is_none()))
    };
    let topic: String =
        take("topic")?.ok_or_else(|| PyTypeError::new_err("a will has a topic"))?.extract()?;
    let payload =
        take("payload")?.map(|payload| payload.extract::<Payload>()).transpose()?.unwrap_or_default();
    let qos =
        take("qos")?.map(|qos| qos.extract::<Quality>()).transpose()?.map_or(Qos::AtMostOnce, |qos| qos.0);
    let retain = take("retain")?.map_or(Ok(false), |retain| retain.is_truthy())?;
    let delay: Option<u32> = take("delay_interval")?.map(|delay| delay.extract()).transpose()?;
    let will = Will::new(topic, payload.0).qos(qos).retain(retain);
    let will = delay.map_or(will.clone(), |seconds| will.delay_seconds(seconds));
    Ok(will.properties(&publish_properties(Some(&fields))?))
}

/// What was said about TLS.
#[derive(Default)]
struct Security {
    is_wanted: bool,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    server_name: Option<String>,
    any_name: bool,
    version_min: Option<String>,
}

impl Security {
    /// Whether it is one of these arguments.
    fn take(&mut self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        match name {
            "tls" => self.is_wanted = value.is_truthy()?,
            "ca_file" => self.ca_file = Some(value.extract()?),
            "cert_file" => self.cert_file = Some(value.extract()?),
            "key_file" => self.key_file = Some(value.extract()?),
            "tls_server_name" => self.server_name = Some(value.extract()?),
            "tls_any_name" => self.any_name = value.is_truthy()?,
            "tls_version_min" => self.version_min = Some(value.extract()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn is_used(&self) -> bool {
        let Self { is_wanted, ca_file, cert_file, key_file, server_name, any_name, version_min } = self;
        let files = ca_file.is_some() || cert_file.is_some() || key_file.is_some();
        *is_wanted || files || server_name.is_some() || *any_name || version_min.is_some()
    }

    fn tls(self) -> PyResult<Tls> {
        let mut tls = Tls::new();
        if let Some(file) = self.ca_file {
            tls = tls.authorities(std::fs::read(file)?);
        }
        if self.key_file.is_some() && self.cert_file.is_none() {
            return Err(PyValueError::new_err("key_file needs cert_file"));
        }
        if let Some(certificate) = self.cert_file {
            let key = self.key_file.ok_or_else(|| PyValueError::new_err("cert_file needs key_file"))?;
            tls = tls.certificate(std::fs::read(certificate)?, std::fs::read(key)?);
        }
        if let Some(name) = self.server_name {
            tls = tls.server_name(name);
        }
        if self.any_name {
            tls = tls.any_name();
        }
        match self.version_min.as_deref() {
            None | Some("1.2") => Ok(tls),
            Some("1.3") => Ok(tls.version_min(TlsVersion::V1_3)),
            Some(other) => {
                Err(PyValueError::new_err(format!("tls_version_min is \"1.2\" or \"1.3\", not {other:?}")))
            }
        }
    }
}
