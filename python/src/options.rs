//! Options of a broker from keyword arguments: every key of the configuration file, and where files come in.

use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use ringmq::config::raw::Raw;
use ringmq::config::{KEYS, Source, Unit, file, key};
use ringmq::{DriverChoice, Options};

use crate::errors;

/// Options over the library's defaults: those of a file or of its text first, then the keyword arguments.
///
/// # Errors
/// `ringmq.ConfigError` with everything that is wrong, `TypeError` for a value of no type that a key takes.
pub fn from_keywords(py: Python<'_>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Options> {
    let mut raw = Raw::default();
    let mut typed = Raw::default();
    for (name, value) in keywords.into_iter().flatten() {
        let name: String = name.extract()?;
        match name.as_str() {
            _ if value.is_none() && (key(&name).is_ok() || FILES.contains(&name.as_str())) => {}
            "config_file" => {
                let file = path(&value)?;
                raw.append(py.detach(|| file::read(&file)));
            }
            "config_text" => raw.append(file::parse("config_text".as_ref(), value.extract()?)),
            "listen" => typed.set("bind", &text("listen", &value)?, Source::Program),
            name => typed.set(name, &text(name, &value)?, Source::Program),
        }
    }
    raw.append(typed);
    raw.over(defaults()).map_err(|error| errors::config(py, &error))
}

/// Keywords that are no keys.
const FILES: [&str; 3] = ["config_file", "config_text", "listen"];

/// The library's defaults, for a broker that is there at once: on a free port, and by readiness, because the first
/// executors of io_uring take five times as long to start.
fn defaults() -> Options {
    Options::default().port(0).driver(DriverChoice::Epoll)
}

fn path(value: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    value.extract()
}

/// A value as it could be typed in one line.
fn text(name: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    if value.is_instance_of::<PyBool>() {
        return Ok(value.is_truthy()?.to_string());
    }
    let counts_time = key(name).is_ok_and(|key| matches!(key.unit, Unit::Milliseconds | Unit::Seconds));
    let is_number = value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>();
    if (counts_time && is_number) || value.hasattr("total_seconds")? {
        return duration(name, value);
    }
    if is_number {
        return Ok(value.str()?.to_string());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_string());
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let parts: PyResult<Vec<_>> = value.try_iter()?.map(|part| text(name, &part?)).collect();
        return Ok(parts?.join(","));
    }
    match path(value) {
        Ok(path) => Ok(path.to_string_lossy().into_owned()),
        Err(_) => Err(PyTypeError::new_err(format!(
            "{name} is a text, a number, a bool, a path, a timedelta, or a list of texts, not {}",
            value.get_type()
        ))),
    }
}

/// Seconds as a number or a `timedelta`, for keys that count time.
fn duration(name: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    let seconds: f64 = match value.hasattr("total_seconds")? {
        true => value.call_method0("total_seconds")?.extract()?,
        false => value.extract()?,
    };
    Ok(match key(name).map(|key| key.unit) {
        Ok(Unit::Milliseconds) => (seconds * 1000.0).round().to_string(),
        _ => seconds.to_string(),
    })
}

/// Every key of the configuration: its name, what it does, its unit, which values it takes, its default, and whether a
/// reload changes it.
#[pyfunction]
pub fn option_keys() -> Vec<(&'static str, &'static str, &'static str, String, String, bool)> {
    let defaults = defaults();
    let describe = |key: &ringmq::config::Key| {
        let live = key.change == ringmq::config::Change::Live;
        (key.name, key.doc, key.unit.name(), key.range.to_string(), key.text(&defaults), live)
    };
    KEYS.iter().map(describe).collect()
}
