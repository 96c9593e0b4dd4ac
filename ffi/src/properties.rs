//! Properties of MQTT 5.0 (2.2.2) on their way in, and values of them on their way out.

use std::sync::{Mutex, PoisonError};

use ringmq::{Properties, PropertiesBuffer, Property, PropertyValue};

use crate::entry::{enter, put};
use crate::error::{Failure, ringmq_error, ringmq_status};
use crate::handle::{self, Object, Origin};
use crate::text::{ringmq_bytes, ringmq_str};

/// Properties that go with a message. Any number of threads may use it.
pub struct ringmq_properties {
    buffer: Mutex<PropertiesBuffer>,
    origin: Origin,
}

impl Object for ringmq_properties {
    const NAME: &'static str = "ringmq_properties";
    fn origin(&self) -> Origin {
        self.origin
    }
}

impl ringmq_properties {
    pub(crate) fn buffer(&self) -> PropertiesBuffer {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn push(&self, property: Property, value: PropertyValue<'_>) -> Result<(), Failure> {
        if property.kind() != value.kind() {
            return Err(Failure::invalid(format!("property 0x{:02x} has another type", property.id())));
        }
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner).push(property, value);
        Ok(())
    }
}

/// The properties behind a pointer; none for NULL.
///
/// # Safety
/// As for [`handle::hold`].
pub(crate) unsafe fn of(properties: *const ringmq_properties) -> Result<PropertiesBuffer, Failure> {
    if properties.is_null() {
        return Ok(PropertiesBuffer::new());
    }
    // SAFETY: the caller's.
    Ok(unsafe { handle::hold(properties) }?.buffer())
}

fn property(identifier: u8) -> Result<Property, Failure> {
    let text = || format!("0x{identifier:02x} is no property (MQTT 5.0, 2.2.2.2)");
    Property::from_id(identifier.into()).ok_or_else(|| Failure::invalid(text()))
}

/// Makes properties, none so far. Free them with `ringmq_properties_free`.
#[unsafe(no_mangle)]
pub extern "C" fn ringmq_properties_new() -> *mut ringmq_properties {
    handle::give(ringmq_properties { buffer: Mutex::default(), origin: Origin::here() })
}

/// Adds a property whose value is a number, by its identifier (2.2.2.2): such as 0x01, payload format indicator, or 0x02,
/// message expiry interval in seconds.
///
/// Errors: RINGMQ_INVALID for an identifier that is none, has another type, or does not take this number.
///
/// # Safety
/// `properties` is NULL or one of them; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_properties_add_number(
    properties: *mut ringmq_properties,
    identifier: u8,
    number: u32,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let properties = handle::hold(properties)?;
            let property = property(identifier)?;
            let too_great = || Failure::invalid(format!("{number} is too great for 0x{identifier:02x}"));
            let value = match property.kind() {
                kind if kind == PropertyValue::U8(0).kind() => {
                    PropertyValue::U8(u8::try_from(number).map_err(|_| too_great())?)
                }
                kind if kind == PropertyValue::U16(0).kind() => {
                    PropertyValue::U16(u16::try_from(number).map_err(|_| too_great())?)
                }
                kind if kind == PropertyValue::Variable(0).kind() => PropertyValue::Variable(number),
                _ => PropertyValue::U32(number),
            };
            properties.push(property, value)
        })
    }
}

/// Adds a property whose value is text or data: 0x03 content type, 0x08 response topic, 0x09 correlation data. The bytes
/// are copied.
///
/// Errors: RINGMQ_INVALID for an identifier that is none or has another type, and for text that is not UTF-8 or more than
/// 65,535 bytes.
///
/// # Safety
/// As for `ringmq_properties_add_number`; `value` is there during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_properties_add_data(
    properties: *mut ringmq_properties,
    identifier: u8,
    value: ringmq_bytes,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let properties = handle::hold(properties)?;
            let (property, bytes) = (property(identifier)?, value.get("value")?);
            field(bytes)?;
            if property.kind() == PropertyValue::Bytes(&[]).kind() {
                return properties.push(property, PropertyValue::Bytes(bytes));
            }
            let text = std::str::from_utf8(bytes).map_err(|_| Failure::invalid("value is not UTF-8"))?;
            properties.push(property, PropertyValue::Str(text))
        })
    }
}

/// Adds a user property (3.3.2.3.7); a name may come again. The texts are copied.
///
/// Errors: RINGMQ_INVALID for what is not UTF-8 or more than 65,535 bytes.
///
/// # Safety
/// As for `ringmq_properties_add_data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_properties_add_user(
    properties: *mut ringmq_properties,
    name: ringmq_str,
    value: ringmq_str,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let properties = handle::hold(properties)?;
            let (name, value) = (name.get("name")?, value.get("value")?);
            field(name.as_bytes())?;
            field(value.as_bytes())?;
            properties.push(Property::UserProperty, PropertyValue::Pair(name, value))
        })
    }
}

fn field(bytes: &[u8]) -> Result<(), Failure> {
    match bytes.len() > usize::from(u16::MAX) {
        true => Err(Failure::invalid("a value of a property is at most 65,535 bytes")),
        false => Ok(()),
    }
}

/// Frees properties; NULL is allowed. What was published with them keeps its own.
///
/// # Safety
/// `properties` is NULL or one of them, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_properties_free(properties: *mut ringmq_properties) {
    // SAFETY: the caller's.
    unsafe { handle::end(properties) };
}

/// The number of a property among those of a message.
pub(crate) fn number(properties: Properties<'_>, identifier: u8) -> Result<u32, Failure> {
    let wanted = property(identifier)?;
    let found = properties.iter().find(|(property, _)| *property == wanted);
    match found.map(|(_, value)| value) {
        Some(PropertyValue::U8(value)) => Ok(value.into()),
        Some(PropertyValue::U16(value)) => Ok(value.into()),
        Some(PropertyValue::U32(value) | PropertyValue::Variable(value)) => Ok(value),
        Some(_) => Err(Failure::invalid(format!("property 0x{identifier:02x} is no number"))),
        None => Err(absent()),
    }
}

/// Text or data of a property.
pub(crate) fn data(properties: Properties<'_>, identifier: u8) -> Result<ringmq_bytes, Failure> {
    let wanted = property(identifier)?;
    let found = properties.iter().find(|(property, _)| *property == wanted);
    match found.map(|(_, value)| value) {
        Some(PropertyValue::Bytes(value)) => Ok(ringmq_bytes::new(value)),
        Some(PropertyValue::Str(value)) => Ok(ringmq_bytes::new(value.as_bytes())),
        Some(_) => Err(Failure::invalid(format!("property 0x{identifier:02x} is a number or a pair"))),
        None => Err(absent()),
    }
}

/// The `index`-th user property.
///
/// # Safety
/// `name` and `value` are NULL or can be written to.
pub(crate) unsafe fn user(
    properties: Properties<'_>,
    index: usize,
    name: *mut ringmq_str,
    value: *mut ringmq_str,
) -> Result<(), Failure> {
    let (key, text) = properties.user_properties().nth(index).ok_or_else(absent)?;
    crate::entry::check_place(value, "value")?;
    // SAFETY: the caller's.
    unsafe {
        put(name, ringmq_str::new(key), "name")?;
        put(value, ringmq_str::new(text), "value")
    }
}

fn absent() -> Failure {
    Failure::new(ringmq_status::RINGMQ_ABSENT, "the message has no such property")
}
