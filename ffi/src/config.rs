//! What a broker is to be like.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringmq::config::raw::Raw;
use ringmq::config::{ConfigErrors, Source, file, key};
use ringmq::questions::Questions;
use ringmq::{Options, faults};

use crate::entry::enter;
use crate::error::{Failure, ringmq_error, ringmq_status};
use crate::faults::ringmq_faults;
use crate::handle::{self, Object, Origin};
use crate::questions::ringmq_questions;
use crate::text::ringmq_str;

/// What a broker is to be like. It may be used for several, by any number of threads.
pub struct ringmq_config {
    parts: Mutex<Parts>,
    origin: Origin,
}

#[derive(Default)]
struct Parts {
    raw: Raw,
    questions: Option<Questions>,
    faults: Option<Arc<faults::Faults>>,
}

impl Object for ringmq_config {
    const NAME: &'static str = "ringmq_config";
    fn origin(&self) -> Origin {
        self.origin
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::new(ringmq_status::RINGMQ_CONFIG, errors)
    }
}

impl ringmq_config {
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The options, and the questions that the broker asks.
    pub(crate) fn options(&self) -> Result<(Options, Option<Questions>), Failure> {
        let parts = self.parts();
        let mut options = parts.raw.over(Options::default().port(0))?;
        if let Some(questions) = &parts.questions {
            options = options.questions(questions);
        }
        if let Some(faults) = &parts.faults {
            options = options.faults(Arc::clone(faults));
        }
        Ok((options, parts.questions.clone()))
    }
}

/// Makes a configuration: a broker of one shard on a free port of this machine's loopback addresses. Free it with
/// `ringmq_config_free`.
#[unsafe(no_mangle)]
pub extern "C" fn ringmq_config_new() -> *mut ringmq_config {
    handle::give(ringmq_config { parts: Mutex::default(), origin: Origin::here() })
}

/// Sets a key of the configuration file (`ringmq config doc` lists them) to a value as it would stand there. A value that
/// is wrong is told when the broker starts.
///
/// Errors: RINGMQ_CONFIG for a key that there is not; says which is nearest.
///
/// # Safety
/// `config` is NULL or a configuration; the texts are there during the call; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_config_set(
    config: *mut ringmq_config,
    name: ringmq_str,
    value: ringmq_str,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let config = handle::hold(config)?;
            let (name, value) = (name.get("name")?, value.get("value")?);
            key(name).map_err(|nearest| {
                let hint = nearest.map_or_else(String::new, |nearest| format!("; is it {nearest}?"));
                Failure::new(ringmq_status::RINGMQ_CONFIG, format!("there is no key {name}{hint}"))
            })?;
            config.parts().raw.set(name, value, Source::Program);
            Ok(())
        })
    }
}

/// Adds the text of a configuration file, RingMQ's own or a mosquitto.conf, as if it stood in a file called `name`. Keys
/// that were set by `ringmq_config_set` go before it. What is wrong with it is told when the broker starts.
///
/// # Safety
/// As for `ringmq_config_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_config_add_text(
    config: *mut ringmq_config,
    name: ringmq_str,
    text: ringmq_str,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let config = handle::hold(config)?;
            let (name, text) = (name.get("name")?, text.get("text")?);
            config.parts().raw.append(file::parse(Path::new(name), text));
            Ok(())
        })
    }
}

/// Adds a configuration file, as `ringmq_config_add_text` does its text. It is read now.
///
/// # Safety
/// As for `ringmq_config_set`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_config_add_file(
    config: *mut ringmq_config,
    path: ringmq_str,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let config = handle::hold(config)?;
            let read = file::read(Path::new(path.get("path")?));
            config.parts().raw.append(read);
            Ok(())
        })
    }
}

/// Has brokers ask and tell the program by these questions. NULL takes them away.
///
/// # Safety
/// `config` is NULL or a configuration; `questions` is NULL or questions; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_config_set_questions(
    config: *mut ringmq_config,
    questions: *const ringmq_questions,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let config = handle::hold(config)?;
            config.parts().questions = match questions.is_null() {
                true => None,
                false => Some(handle::hold(questions)?.inner()),
            };
            Ok(())
        })
    }
}

/// Has things go wrong on purpose between brokers and their clients, for tests. NULL takes that away.
///
/// # Safety
/// `config` is NULL or a configuration; `faults` is NULL or faults; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_config_set_faults(
    config: *mut ringmq_config,
    faults: *const ringmq_faults,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let config = handle::hold(config)?;
            config.parts().faults = match faults.is_null() {
                true => None,
                false => Some(handle::hold(faults)?.inner()),
            };
            Ok(())
        })
    }
}

/// Frees a configuration; NULL is allowed. Brokers that were started with it are not concerned.
///
/// # Safety
/// `config` is NULL or a configuration, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_config_free(config: *mut ringmq_config) {
    // SAFETY: the caller's.
    unsafe { handle::end(config) };
}
