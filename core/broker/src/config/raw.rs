//! What somebody typed, and where: key, text and source, not yet judged. Files, environment and flags all
//! end here; of several sources of one key the highest wins, within one source the last. Nothing here knows
//! what a value means.

use super::key::{Key, Source, key};
use super::listener::RawListener;
use super::resolved::Resolved;
use super::role::RoleOptions;
use super::{Addresses, ConfigError, ConfigErrors, Options};

/// One value as it was typed.
#[derive(Clone, Debug)]
struct Entry {
    key: &'static Key,
    text: String,
    source: Source,
}

/// Everything that was typed, in order, with what was wrong about it already.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    entries: Vec<Entry>,
    listeners: Vec<RawListener>,
    roles: Vec<RoleOptions>,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
}

impl Raw {
    /// Adds a value for the key of this name. That there is no such key is told with everything else.
    pub fn set(&mut self, name: &str, text: &str, source: Source) {
        match key(name) {
            Ok(key) => self.entries.push(Entry { key, text: text.to_owned(), source }),
            Err(nearest) => {
                self.errors.push(ConfigError::UnknownKey { name: name.to_owned(), nearest, source })
            }
        }
    }
    /// Adds `KEY=VALUE` from the command line.
    pub fn set_pair(&mut self, pair: &str) {
        match pair.split_once('=') {
            Some((name, text)) => {
                self.set(name.trim(), text.trim(), Source::Flag(format!("--set {pair}")));
            }
            None => self.errors.push(ConfigError::NoValue { text: pair.to_owned() }),
        }
    }
    pub(super) fn add_listener(&mut self, listener: RawListener) {
        self.listeners.push(listener);
    }
    pub(super) fn add_role(&mut self, role: RoleOptions) {
        self.roles.push(role);
    }
    pub(super) fn add_error(&mut self, error: ConfigError) {
        self.errors.push(error);
    }
    pub(super) fn add_warning(&mut self, warning: String) {
        self.warnings.push(warning);
    }
    /// What should be known and does not stop anything, one line each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
    /// Adds everything of `other` behind what is here.
    pub fn append(&mut self, other: Self) {
        self.entries.extend(other.entries);
        self.listeners.extend(other.listeners);
        self.roles.extend(other.roles);
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
    }
    /// Puts what was typed over `base`. When something is wrong, what else does not go together is told with it.
    ///
    /// # Errors
    /// Every unknown key and every value that its key does not take, in the order in which they were typed.
    pub fn over(&self, base: Options) -> Result<Options, ConfigErrors> {
        let (options, mut errors) = self.judge(base);
        if errors.is_empty() {
            return Ok(options);
        }
        if let Err(more) = Resolved::new(options.clone()) {
            let more: Vec<_> = more.into();
            errors.extend(more.into_iter().filter(|error| !matches!(error, ConfigError::Exposed { .. })));
        }
        ConfigErrors::none_of(errors, options)
    }
    /// The values that count over `base`, and everything that is wrong with any that was typed. Looks at no
    /// machine and resolves no name.
    #[must_use]
    pub fn judge(&self, base: Options) -> (Options, Vec<ConfigError>) {
        let mut errors = self.errors.clone();
        for entry in &self.entries {
            errors.extend(put(&mut base.clone(), entry.key, &entry.text, entry.source.clone()).err());
        }
        let mut options = base;
        for key in super::KEYS {
            if let Some((text, source)) = self.winner(key) {
                // What is wrong has been told already.
                let _ = put(&mut options, key, &text, source);
            }
        }
        self.put_listeners(&mut options);
        if !self.roles.is_empty() {
            options.roles = self.roles.clone();
        }
        errors.sort_by(ConfigError::by_place);
        (options, errors)
    }
    /// Tables of a file replace what `base` had. Who says on the command line where to listen means only there.
    fn put_listeners(&self, options: &mut Options) {
        let bind = key("bind").ok().and_then(|bind| self.winner(bind)).map_or(0, |(_, source)| rank(&source));
        if bind == 0 && !self.listeners.is_empty() {
            options.bind = Addresses::default();
        }
        if bind > FILE {
            options.listeners.clear();
        } else if !self.listeners.is_empty() {
            options.listeners = self.listeners.clone();
        }
    }
    /// The text that counts for a key. Lists from one source add up; of everything else the last counts.
    fn winner(&self, key: &Key) -> Option<(String, Source)> {
        let of_key = || self.entries.iter().filter(|entry| entry.key.name == key.name);
        let last = of_key().max_by_key(|entry| rank(&entry.source))?;
        if !key.is_list() {
            return Some((last.text.clone(), last.source.clone()));
        }
        let same = of_key().filter(|entry| rank(&entry.source) == rank(&last.source));
        Some((same.map(|entry| entry.text.as_str()).collect::<Vec<_>>().join(","), last.source.clone()))
    }
}

const FILE: u8 = 1;

/// Which kind of source outranks which.
fn rank(source: &Source) -> u8 {
    match source {
        Source::Default => 0,
        Source::File { .. } => FILE,
        Source::Environment(_) => 2,
        Source::Flag(_) => 3,
        Source::Program => 4,
    }
}

/// Puts a value into its place; one that its key does not take changes nothing.
fn put(options: &mut Options, key: &'static Key, text: &str, source: Source) -> Result<(), ConfigError> {
    let mut with = options.clone();
    if !(key.parse_into)(&mut with, text) || !key.holds(&with) {
        return Err(ConfigError::value(key.name, key.range, key.unit, text, source));
    }
    with.sources.insert(key.name, source);
    *options = with;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::key::Range;
    use super::*;
    use crate::config::KEYS;

    fn flag(name: &str) -> Source {
        Source::Flag(format!("--{name}"))
    }

    fn typed(name: &str, text: &str) -> Result<Options, ConfigErrors> {
        let mut raw = Raw::default();
        raw.set(name, text, flag(name));
        raw.over(Options::default())
    }

    #[test]
    fn every_default_is_in_range_and_can_be_typed() {
        let defaults = Options::default();
        for key in KEYS {
            assert!(key.holds(&defaults), "{}", key.name);
            let options = typed(key.name, &key.text(&defaults)).unwrap();
            assert_eq!(key.text(&options), key.text(&defaults), "{}", key.name);
            assert_eq!(options.source(key), flag(key.name), "{}", key.name);
        }
    }

    #[test]
    fn every_key_refuses_nonsense_by_name_value_and_range() {
        for key in KEYS {
            let nonsense = match (key.name, key.range) {
                // Any text may be an address or a path: what it means is judged at start.
                ("bind", _) | (_, Range::Path(_) | Range::Paths(_)) => continue,
                // And any text the name of a claim, or what one says.
                ("jwt_user_claim", _) => "",
                (name, Range::Form(_)) if name.starts_with("jwt_") => continue,
                (name, Range::List(_)) if name.starts_with("client_id") => continue,
                ("response_information", _) => "a/#",
                _ => "nonsense",
            };
            let text = typed(key.name, nonsense).unwrap_err().to_string();
            for part in [key.name, nonsense, &key.range.to_string(), &format!("--{}", key.name)] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn both_ends_of_every_numeric_range_hold_and_what_lies_beyond_does_not() {
        for key in KEYS {
            let (Range::Number(least, most) | Range::WordOrNumber(_, least, most)) = key.range else {
                continue;
            };
            let typed = |number: u64| typed(key.name, &number.to_string());
            assert!(typed(least).is_ok() && typed(most).is_ok(), "{}", key.name);
            assert!(typed(most + 1).is_err(), "{}", key.name);
            assert!(least == 0 || typed(least - 1).is_err(), "{}", key.name);
        }
    }

    #[test]
    fn every_switch_stands_for_a_value_of_its_key() {
        for key in KEYS {
            let Some(switch) = key.switch else { continue };
            assert_eq!(key.text(&typed(key.name, switch.value).unwrap()), switch.value);
        }
    }

    #[test]
    fn names_are_unique_and_every_key_is_described() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(key.doc.ends_with('.') && !key.doc.starts_with(' '), "{}", key.name);
            assert!(KEYS[..index].iter().all(|other| other.name != key.name), "{}", key.name);
            assert!(key.short.is_none() || KEYS[..index].iter().all(|other| other.short != key.short));
        }
    }

    #[test]
    fn the_highest_source_wins_and_within_it_the_last() {
        let file = Source::File { path: "ringmq.toml".into(), line: 3, column: 8 };
        let mut raw = Raw::default();
        raw.set("port", "1", flag("port"));
        raw.set("port", "2", flag("port"));
        raw.set("port", "3", Source::Environment(String::from("RINGMQ_CONFIG_PORT")));
        raw.set("port", "4", file.clone());
        raw.set("bind", "127.0.0.1", flag("bind"));
        raw.set("bind", "127.0.0.2", flag("bind"));
        raw.set("bind", "127.0.0.3", file.clone());
        let options = raw.over(Options::default()).unwrap();
        assert_eq!(options.port, 2);
        assert_eq!(options.bind.to_string(), "127.0.0.1,127.0.0.2");
        let mut raw = Raw::default();
        raw.set("queue_policy", "drpo", file);
        let text = raw.over(Options::default()).unwrap_err().to_string();
        assert!(text.starts_with("ringmq.toml:3:8: queue_policy = `drpo` is not possible"), "{text}");
    }

    #[test]
    fn errors_propose_what_was_probably_meant_and_all_are_told() {
        let mut raw = Raw::default();
        raw.set_pair("queue-message-max=3");
        raw.set_pair("port");
        raw.set_pair("queue_policy=Drop");
        raw.set_pair("maximum_qos=3");
        let errors = raw.over(Options::default()).unwrap_err();
        assert_eq!(errors.all().len(), 4);
        let text = errors.to_string();
        for part in ["queue_messages_max", "--set port=VALUE", "did you mean `drop`?", "0 to 2"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_a_higher_source_overrules_is_wrong_all_the_same() {
        let mut raw = Raw::default();
        raw.set("maximum_qos", "3", Source::File { path: "f".into(), line: 1, column: 1 });
        raw.set("maximum_qos", "1", flag("maximum-qos"));
        let (options, errors) = raw.judge(Options::default());
        assert_eq!(options.settings.offer.maximum_qos, 1);
        assert_eq!(errors.len(), 1);
    }
}
