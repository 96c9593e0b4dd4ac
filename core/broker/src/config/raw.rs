//! What somebody typed, and where: key, text and source, not yet judged. Files, environment and flags all
//! end here; of several sources of one key the highest wins, within one source the last. Nothing here knows
//! what a value means.

use super::key::{Key, Range, Source, key};
use super::{ConfigError, Options};

/// One value as it was typed.
#[derive(Clone, Debug)]
struct Entry {
    key: &'static Key,
    text: String,
    source: Source,
}

/// Everything that was typed, in order.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    entries: Vec<Entry>,
}

impl Raw {
    /// Adds a value for the key of this name.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`].
    pub fn set(&mut self, name: &str, text: &str, source: Source) -> Result<(), ConfigError> {
        let key = key(name).map_err(|nearest| ConfigError::UnknownKey {
            name: name.to_owned(),
            nearest,
            source: source.clone(),
        })?;
        self.entries.push(Entry { key, text: text.to_owned(), source });
        Ok(())
    }
    /// Adds `KEY=VALUE` from the command line.
    ///
    /// # Errors
    /// [`ConfigError::NoValue`], [`ConfigError::UnknownKey`].
    pub fn set_pair(&mut self, pair: &str) -> Result<(), ConfigError> {
        let (name, text) =
            pair.split_once('=').ok_or_else(|| ConfigError::NoValue { text: pair.to_owned() })?;
        self.set(name.trim(), text.trim(), Source::Flag(format!("--set {pair}")))
    }
    /// Puts what was typed over `base`.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first value in the order of keys that its key does not take.
    pub fn over(&self, base: Options) -> Result<Options, ConfigError> {
        let mut options = base;
        for key in super::KEYS {
            if let Some((text, source)) = self.winner(key) {
                put(&mut options, key, &text, source)?;
            }
        }
        Ok(options)
    }
    /// The text that counts for a key. Lists from one source add up; of everything else the last counts.
    fn winner(&self, key: &Key) -> Option<(String, Source)> {
        let of_key = || self.entries.iter().filter(|entry| entry.key.name == key.name);
        let last = of_key().max_by_key(|entry| rank(&entry.source))?;
        if !matches!(key.range, Range::List(_)) {
            return Some((last.text.clone(), last.source.clone()));
        }
        let same = of_key().filter(|entry| rank(&entry.source) == rank(&last.source));
        Some((same.map(|entry| entry.text.as_str()).collect::<Vec<_>>().join(","), last.source.clone()))
    }
}

/// Which kind of source outranks which.
fn rank(source: &Source) -> u8 {
    match source {
        Source::Default => 0,
        Source::File { .. } => 1,
        Source::Environment(_) => 2,
        Source::Flag(_) => 3,
        Source::Program => 4,
    }
}

fn put(options: &mut Options, key: &'static Key, text: &str, source: Source) -> Result<(), ConfigError> {
    if !(key.parse_into)(options, text) || !key.holds(options) {
        return Err(ConfigError::value(key, text, source));
    }
    options.sources.insert(key.name, source);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    fn flag(name: &str) -> Source {
        Source::Flag(format!("--{name}"))
    }

    #[test]
    fn every_default_is_in_range_and_can_be_typed() {
        let defaults = Options::default();
        for key in KEYS {
            assert!(key.holds(&defaults), "{}", key.name);
            let mut raw = Raw::default();
            raw.set(key.name, &key.text(&defaults), flag("x")).unwrap();
            let options = raw.over(Options::default()).unwrap();
            assert_eq!(key.text(&options), key.text(&defaults), "{}", key.name);
            assert_eq!(options.source(key), flag("x"), "{}", key.name);
        }
    }

    #[test]
    fn every_key_refuses_nonsense_by_name_value_and_range() {
        for key in KEYS {
            let nonsense = match key.name {
                // Any text may be an address: what it means is judged at start.
                "bind" => continue,
                "response_information" => "a/#",
                "password_file" | "acl_file" => "null\0character",
                _ => "nonsense",
            };
            let mut raw = Raw::default();
            raw.set(key.name, nonsense, flag(key.name)).unwrap();
            let text = raw.over(Options::default()).unwrap_err().to_string();
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
            let typed = |number: u64| {
                let mut raw = Raw::default();
                raw.set(key.name, &number.to_string(), flag(key.name)).unwrap();
                raw.over(Options::default())
            };
            assert!(typed(least).is_ok() && typed(most).is_ok(), "{}", key.name);
            assert!(typed(most + 1).is_err(), "{}", key.name);
            assert!(least == 0 || typed(least - 1).is_err(), "{}", key.name);
        }
    }

    #[test]
    fn every_switch_stands_for_a_value_of_its_key() {
        for key in KEYS {
            let Some(switch) = key.switch else { continue };
            let mut raw = Raw::default();
            raw.set(key.name, switch.value, flag(switch.long)).unwrap();
            assert_eq!(key.text(&raw.over(Options::default()).unwrap()), switch.value);
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
        let file = Source::File { path: "ringmq.toml".into(), line: 3 };
        let mut raw = Raw::default();
        raw.set("port", "1", flag("port")).unwrap();
        raw.set("port", "2", flag("port")).unwrap();
        raw.set("port", "3", Source::Environment(String::from("RINGMQ_PORT"))).unwrap();
        raw.set("port", "4", file.clone()).unwrap();
        raw.set("bind", "127.0.0.1", flag("bind")).unwrap();
        raw.set("bind", "127.0.0.2", flag("bind")).unwrap();
        raw.set("bind", "127.0.0.3", file.clone()).unwrap();
        let options = raw.over(Options::default()).unwrap();
        assert_eq!(options.port, 2);
        assert_eq!(options.bind.to_string(), "127.0.0.1,127.0.0.2");
        let mut raw = Raw::default();
        raw.set("queue_policy", "drpo", file).unwrap();
        let text = raw.over(Options::default()).unwrap_err().to_string();
        assert!(text.contains("ringmq.toml:3"), "{text}");
    }

    #[test]
    fn errors_propose_what_was_probably_meant() {
        let mut raw = Raw::default();
        let text = raw.set_pair("queue-message-max=3").unwrap_err().to_string();
        assert!(text.contains("queue_messages_max"), "{text}");
        let text = raw.set_pair("port").unwrap_err().to_string();
        assert!(text.contains("--set port=VALUE"), "{text}");
        raw.set_pair("queue_policy=Drop").unwrap();
        let text = raw.over(Options::default()).unwrap_err().to_string();
        assert!(text.contains("did you mean `drop`?"), "{text}");
    }
}
