//! Goes through the lines of a mosquitto.conf and its included folder, and collects what they say.

use std::path::Path;

use super::lines::{Line, lines};
use super::listener::{Listener, Place};
use super::table::{DIRECTIVES, Directive, Meaning, directive};
use super::{Included, Note, Setting, Translation, Weight, entry};
use crate::config::Source;
use crate::config::key::nearest;

const DEFAULT_PORT: u16 = 1883;
/// A line about a listener makes mosquitto 2.0.11 open port 1883 to everybody when no line names a listener. Tried.
const STAYS_HERE: &str = "is about a listener and none is named: mosquitto opens port 1883 to everybody then, RingMQ \
                          to this machine alone; write a listener line above it";
const NOT_OPENED: &str = "stands before the first listener and is about mosquitto's default one at port 1883, which \
                          is not opened: move it behind a listener line";

/// Whether the text is a mosquitto.conf rather than TOML: more of its lines are directives than are `key =` or
/// `[table]`.
#[must_use]
pub fn looks_like(text: &str) -> bool {
    let (mut mosquitto, mut toml) = (0_usize, 0_usize);
    for line in lines(text) {
        if line.name.starts_with('[') || line.name.contains('=') || line.value.starts_with('=') {
            toml += 1;
        } else if directive(line.name).is_some() {
            mosquitto += 1;
        }
    }
    mosquitto > toml
}

/// Gives the files of a folder that a file includes, in order.
pub type Folder<'a> = dyn FnMut(&Path) -> Result<Vec<Included>, String> + 'a;

/// Translates the text of a file; `folder` gives the files of an included folder, in order.
pub fn translate(path: &Path, text: &str, folder: &mut Folder<'_>) -> Translation {
    let mut state = State::default();
    state.file(path, text, folder);
    state.finish()
}

/// What is to be told, in order.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    pub fn add(&mut self, source: &Source, weight: Weight, text: &str) {
        self.0.push(Note { source: source.clone(), weight, text: text.to_owned() });
    }
}

/// What has been read so far.
#[derive(Default)]
pub(super) struct State {
    pub settings: Vec<Setting>,
    pub notes: Notes,
    /// The listener that mosquitto makes for lines before the first `listener`.
    pub default: Option<Listener>,
    /// Whether `port` or `bind_address` opened it.
    pub default_is_open: bool,
    pub listeners: Vec<Listener>,
    pub per_listener_settings: bool,
    /// Whether anybody said who may come in without a name, for the whole broker.
    pub anonymous_is_said: bool,
    /// Directives whose whole group has been told about.
    told: Vec<&'static str>,
}

impl State {
    fn file(&mut self, path: &Path, text: &str, folder: &mut Folder<'_>) {
        for line in lines(text) {
            let source = Source::File { path: path.to_owned(), line: line.number, column: line.column };
            if line.name == "include_dir" {
                self.include(&line, &source, folder);
                continue;
            }
            match directive(line.name) {
                Some(known) => self.line(known, &line, &source),
                None => self.unknown(&line, &source),
            }
        }
    }
    fn include(&mut self, line: &Line<'_>, source: &Source, folder: &mut Folder<'_>) {
        let mut no_folder = |_: &Path| Err(String::from("it stands in the main file alone"));
        let files = line.text().and_then(|path| folder(Path::new(path)));
        match files {
            Err(text) => self.notes.add(source, Weight::Refused, &format!("include_dir: {text}")),
            Ok(files) => {
                for (path, text) in files {
                    match text {
                        Ok(text) => self.file(&path, &text, &mut no_folder),
                        Err(text) => self.notes.add(source, Weight::Refused, &format!("include_dir: {text}")),
                    }
                }
            }
        }
    }
    fn line(&mut self, known: &'static Directive, line: &Line<'_>, source: &Source) {
        match known.meaning {
            Meaning::Becomes { apply, .. } => {
                if let Err(text) = apply.to(self, line, source) {
                    self.notes.add(source, Weight::Refused, &text);
                }
            }
            Meaning::Ignored { why, .. } => self.not_taken(known, line, source, Weight::Warning, why),
            Meaning::Refused { why, .. } => self.not_taken(known, line, source, Weight::Refused, why),
        }
    }
    fn not_taken(
        &mut self,
        known: &'static Directive,
        line: &Line<'_>,
        source: &Source,
        weight: Weight,
        why: &str,
    ) {
        if known.harmless() == Some(line.word()) {
            return;
        }
        if let Some(group) = known.group() {
            let is_first = !self.told.contains(&group);
            if is_first && known.name == group {
                self.told.push(group);
            } else if !is_first && known.name != group {
                return;
            }
        }
        self.notes.add(source, weight, &format!("{}: {why}", line.name));
    }
    fn unknown(&mut self, line: &Line<'_>, source: &Source) {
        let near = nearest(line.name, DIRECTIVES.iter().map(|known| known.name));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let name: String = line.name.chars().take(64).collect();
        self.notes.add(source, Weight::Refused, &format!("mosquitto has no directive `{name}`{near}"));
    }
    /// Sets a key of the whole broker; the last line counts.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>, source: &Source) {
        self.settings.retain(|setting| setting.name != name);
        self.settings.push(Setting { name, value: value.into(), source: source.clone() });
    }
    /// The listener that a line is about: the last one, or mosquitto's default one.
    pub fn listener(&mut self, source: &Source) -> &mut Listener {
        match self.listeners.last_mut() {
            Some(last) => last,
            None => self
                .default
                .get_or_insert_with(|| Listener::new(source.clone(), Place::Port(DEFAULT_PORT, None))),
        }
    }
    /// Sets a key of the listener that a line is about.
    pub fn set_here(&mut self, name: &'static str, value: impl Into<String>, source: &Source) {
        let entries = &mut self.listener(source).entries;
        entries.retain(|(other, ..)| other != name);
        entries.push(entry(name, value, source));
    }
    /// Sets what belongs to the listener with `per_listener_settings`, else to the whole broker.
    pub fn set_security(&mut self, name: &'static str, value: impl Into<String>, source: &Source) {
        if self.per_listener_settings {
            self.set_here(name, value, source);
        } else {
            self.set(name, value, source);
        }
    }
    fn finish(mut self) -> Translation {
        let only_local = self.listeners.is_empty() && !self.default_is_open;
        let mut listeners = Vec::new();
        match self.default.take() {
            Some(default) if self.default_is_open => listeners.push(default),
            Some(default) if !default.is_touched() => {}
            Some(default) if only_local => {
                let at = |host: &str| {
                    let place = Place::Port(DEFAULT_PORT, Some(String::from(host)));
                    Listener { place, ..default.clone() }
                };
                listeners.extend([at("127.0.0.1"), at("::1")]);
                self.notes.add(&default.source, Weight::Warning, STAYS_HERE);
            }
            Some(default) => self.notes.add(&default.source, Weight::Warning, NOT_OPENED),
            None => {}
        }
        listeners.append(&mut self.listeners);
        // Whoever names a listener and nothing else lets in nobody without a name.
        if !only_local && !self.anonymous_is_said {
            let source = listeners.first().map(|listener| listener.source.clone()).unwrap_or_default();
            self.set("allow_anonymous", "false", &source);
        }
        let listeners = listeners.into_iter().map(|listener| listener.finish(&mut self.notes)).collect();
        Translation { settings: self.settings, listeners, notes: self.notes.0 }
    }
}
