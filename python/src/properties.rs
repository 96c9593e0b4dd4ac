//! Properties of messages, between MQTT's form and Python's.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use ringmq::{PublishOptions, Qos};

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

/// One property of a PUBLISH (MQTT 5.0, 3.3.2.3), from a keyword argument of the specification's name.
pub enum PublishProperty {
    /// 1 says that the payload is UTF-8 text, 0 nothing.
    PayloadFormatIndicator(bool),
    /// Seconds.
    MessageExpiryInterval(u32),
    /// A text of at most 65,535 bytes.
    ContentType(String),
    /// A topic name.
    ResponseTopic(String),
    /// At most 65,535 bytes.
    CorrelationData(Payload),
    /// Names and values, in their order.
    UserProperties(Vec<(String, String)>),
}

impl PublishProperty {
    /// All that the keyword arguments have; one that is `None` is not given.
    ///
    /// # Errors
    /// `TypeError` for a name that is none of a property, and what the values are refused for.
    pub fn all(keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Vec<Self>> {
        let Some(keywords) = keywords else { return Ok(Vec::new()) };
        let mut properties = Vec::with_capacity(keywords.len());
        for (name, value) in keywords {
            let name = name.cast::<PyString>()?.to_cow()?.into_owned();
            let property = Self::named(&name, &value)?;
            properties.extend(property);
        }
        Ok(properties)
    }

    fn named(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let none = value.is_none();
        Ok(Some(match name {
            _ if none && NAMES.contains(&name) => return Ok(None),
            "payload_format_indicator" => Self::PayloadFormatIndicator(match value.extract()? {
                0u8 => false,
                1 => true,
                other => {
                    return Err(PyValueError::new_err(format!(
                        "payload_format_indicator is 0 or 1, not {other}"
                    )));
                }
            }),
            "message_expiry_interval" => Self::MessageExpiryInterval(value.extract()?),
            "content_type" => Self::ContentType(value.extract()?),
            "response_topic" => Self::ResponseTopic(value.extract()?),
            "correlation_data" => Self::CorrelationData(value.extract()?),
            "user_properties" => Self::UserProperties(pairs(value)?),
            other => {
                let text = format!(
                    "`{other}` is no keyword here; the properties of a publish are {}",
                    NAMES.join(", ")
                );
                return Err(PyTypeError::new_err(text));
            }
        }))
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

/// Pairs of texts: a list of them, or a mapping.
///
/// # Errors
/// `TypeError` for anything else.
pub fn pairs(value: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let pairs = if value.hasattr("items")? { value.call_method0("items")? } else { value.clone() };
    pairs.try_iter()?.map(|pair| pair?.extract()).collect()
}

/// Options of a publish of this program's own.
pub fn publish_options(
    qos: Qos,
    retain: bool,
    timeout: std::time::Duration,
    properties: Vec<PublishProperty>,
) -> PublishOptions {
    let options = PublishOptions::qos(qos).retain(retain).timeout(timeout);
    properties.into_iter().fold(options, |options, property| match property {
        PublishProperty::PayloadFormatIndicator(true) => options.utf8_payload(),
        PublishProperty::PayloadFormatIndicator(false) => options,
        PublishProperty::MessageExpiryInterval(seconds) => options.expiry_seconds(seconds),
        PublishProperty::ContentType(text) => options.content_type(&text),
        PublishProperty::ResponseTopic(topic) => options.response_topic(&topic),
        PublishProperty::CorrelationData(data) => options.correlation_data(&data.0),
        PublishProperty::UserProperties(pairs) => {
            pairs.iter().fold(options, |options, (name, value)| options.user_property(name, value))
        }
    })
}
