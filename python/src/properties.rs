//! Properties of messages, between MQTT's form and Python's.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use ringmq::{Property, Qos, RetainHandling};
use ringmq_client::PropertiesBuffer;

use crate::payload::Payload;

/// A quality of service as Python gives it: 0, 1 or 2.
#[derive(Clone, Copy)]
pub struct Quality(pub Qos);

impl Default for Quality {
    fn default() -> Self {
        Self(Qos::AtMostOnce)
    }
}

impl<'py> FromPyObject<'_, 'py> for Quality {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let number: u8 = value.extract()?;
        Qos::from_u8(number)
            .map(Self)
            .ok_or_else(|| PyValueError::new_err(format!("a quality of service is 0, 1 or 2, not {number}")))
    }
}

/// Properties of a PUBLISH or a will (MQTT 5.0, 3.3.2.3), from keyword arguments of the specification's names; one that is
/// `None` is not given.
///
/// # Errors
/// `TypeError` for a name that is none of a property, and what the values are refused for.
pub fn publish_properties(keywords: Option<&Bound<'_, PyDict>>) -> PyResult<PropertiesBuffer> {
    let mut properties = PropertiesBuffer::new();
    for (name, value) in keywords.into_iter().flatten() {
        let name = name.cast::<PyString>()?.to_cow()?.into_owned();
        if !(value.is_none() && NAMES.contains(&name.as_str())) {
            push(&mut properties, &name, &value)?;
        }
    }
    Ok(properties)
}

fn push(properties: &mut PropertiesBuffer, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    match name {
        "payload_format_indicator" => match value.extract()? {
            0u8 => {}
            1 => properties.push_u8(Property::PayloadFormatIndicator, 1),
            other => {
                let text = format!("payload_format_indicator is 0 or 1, not {other}");
                return Err(PyValueError::new_err(text));
            }
        },
        "message_expiry_interval" => properties.push_u32(Property::MessageExpiryInterval, value.extract()?),
        "content_type" => properties.push_str(Property::ContentType, &text(name, value)?),
        "response_topic" => properties.push_str(Property::ResponseTopic, &text(name, value)?),
        "correlation_data" => {
            let data = value.extract::<Payload>()?.0;
            bounded(name, &data)?;
            properties.push_bytes(Property::CorrelationData, &data);
        }
        "user_properties" => {
            for (key, value) in pairs(value)? {
                bounded(name, key.as_bytes())?;
                bounded(name, value.as_bytes())?;
                properties.push_user(&key, &value);
            }
        }
        other => {
            let names = NAMES.join(", ");
            let text = format!("`{other}` is no keyword here; the properties of a publish are {names}");
            return Err(PyTypeError::new_err(text));
        }
    }
    Ok(())
}

fn text(name: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    let text: String = value.extract()?;
    bounded(name, text.as_bytes())?;
    Ok(text)
}

/// What is longer would be left out of the message.
fn bounded(name: &str, value: &[u8]) -> PyResult<()> {
    match value.len() {
        0..=0xFFFF => Ok(()),
        bytes => Err(PyValueError::new_err(format!("{name} has at most 65,535 bytes, not {bytes}"))),
    }
}

const NAMES: [&str; 6] = [
    "payload_format_indicator",
    "message_expiry_interval",
    "content_type",
    "response_topic",
    "correlation_data",
    "user_properties",
];

/// When retained messages are sent, as Python gives it: 0, 1 or 2.
///
/// # Errors
/// `ValueError` for another number.
pub fn retain_handling(number: u8) -> PyResult<RetainHandling> {
    match number {
        0 => Ok(RetainHandling::SendAtSubscribe),
        1 => Ok(RetainHandling::SendIfNew),
        2 => Ok(RetainHandling::DoNotSend),
        other => Err(PyValueError::new_err(format!("retain_handling is 0, 1 or 2, not {other}"))),
    }
}

/// Pairs of texts: a list of them, or a mapping.
///
/// # Errors
/// `TypeError` for anything else.
pub fn pairs(value: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let pairs = if value.hasattr("items")? { value.call_method0("items")? } else { value.clone() };
    pairs.try_iter()?.map(|pair| pair?.extract()).collect()
}
