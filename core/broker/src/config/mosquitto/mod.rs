//! mosquitto's configuration file, versions 2.0 and 2.1: recognised, and translated into the values that
//! RingMQ's own file has. `table` says for each directive what becomes of it; nothing is dropped in silence.
//! Reads no file: whoever calls brings the text and those of an included folder.

mod apply;
mod lines;
mod listener;
mod table;
#[cfg(test)]
mod tests;
mod toml_text;
mod translate;

use std::path::PathBuf;

use super::listener::{Given, RawListener};
use super::raw::Raw;
use super::{ConfigError, Source};

pub use table::{DIRECTIVES, Directive, Meaning};
pub use translate::{Folder, looks_like, translate};

/// A file of an included folder: its path and its text, or why there is none.
pub type Included = (PathBuf, Result<String, String>);

/// A mosquitto.conf as RingMQ understands it.
#[derive(Clone, Debug, Default)]
pub struct Translation {
    settings: Vec<Setting>,
    listeners: Vec<RawListener>,
    notes: Vec<Note>,
}

/// A key of the whole broker with its value.
#[derive(Clone, Debug)]
struct Setting {
    name: &'static str,
    value: String,
    source: Source,
}

/// What is to be told about one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The line.
    pub source: Source,
    /// How much it matters.
    pub weight: Weight,
    /// What is told.
    pub text: String,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The broker works without the line.
    Warning,
    /// Without the line the broker would be another one: it does not start.
    Refused,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        ConfigError::at(&self.source, self.text.as_str()).fmt(f)
    }
}

impl Translation {
    /// What is to be told, line by line.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
    /// Whether every line was understood, or can be done without.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.notes.iter().all(|note| note.weight == Weight::Warning)
    }
    /// The same as a file of RingMQ's own form. What was not translated stands there as a comment.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml_text::write(self)
    }
    /// The values as if they had been read from RingMQ's own file.
    #[must_use]
    pub fn into_raw(self) -> Raw {
        let mut raw = Raw::default();
        for note in self.notes {
            match note.weight {
                Weight::Warning => raw.add_warning(note.to_string()),
                Weight::Refused => raw.add_error(ConfigError::at(&note.source, note.text)),
            }
        }
        for setting in self.settings {
            raw.set(setting.name, &setting.value, setting.source);
        }
        for listener in self.listeners {
            raw.add_listener(listener);
        }
        raw
    }
}

/// One value of a listener.
fn entry(name: &str, value: impl Into<String>, source: &Source) -> (String, Given, Source) {
    (String::from(name), Given::Text(value.into()), source.clone())
}
