//! Environment variables: `RINGMQ_CONFIG_` and the key's name in capitals. The longer prefix leaves other
//! variables that begin with `RINGMQ_` to whoever uses them: tests, scripts, and Kubernetes, which gives every
//! container `RINGMQ_PORT=tcp://...` where a service is called ringmq.

use super::KEYS;
use super::key::{Source, nearest};
use super::raw::Raw;

const PREFIX: &str = "RINGMQ_CONFIG_";
const SHORT_PREFIX: &str = "RINGMQ_";

impl Raw {
    /// Adds the values of environment variables, in any order. A variable that means no key is a warning: it may
    /// be there for somebody else.
    pub fn add_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let mut variables: Vec<_> = variables.into_iter().collect();
        variables.sort();
        for (variable, text) in variables {
            if let Some(name) = variable.strip_prefix(PREFIX) {
                self.add_variable(&variable, name, &text);
            } else if let Some(name) = variable.strip_prefix(SHORT_PREFIX) {
                self.warn_of_short(&variable, name);
            }
        }
    }
    fn add_variable(&mut self, variable: &str, name: &str, text: &str) {
        let name = name.to_ascii_lowercase();
        match KEYS.iter().find(|key| key.name == name) {
            Some(key) => self.set(key.name, text, Source::Environment(variable.to_owned())),
            None => {
                let near = nearest(&name, KEYS.iter().map(|key| key.name));
                let near = near.map(|near| format!("; did you mean {PREFIX}{}?", near.to_ascii_uppercase()));
                let near = near.unwrap_or_default();
                self.add_warning(format!("environment variable {variable} is ignored: no such key{near}"));
            }
        }
    }
    /// Somebody probably meant the key, but for `port`, which Kubernetes sets.
    fn warn_of_short(&mut self, variable: &str, name: &str) {
        let name = name.to_ascii_lowercase();
        if name != "port" && KEYS.iter().any(|key| key.name == name) {
            let meant = format!("{PREFIX}{}", name.to_ascii_uppercase());
            self.add_warning(format!("environment variable {variable} is ignored; did you mean {meant}?"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Options, key};

    fn read(variables: &[(&str, &str)]) -> Raw {
        let mut raw = Raw::default();
        raw.add_environment(variables.iter().map(|(name, text)| (String::from(*name), String::from(*text))));
        raw
    }

    #[test]
    fn every_key_has_a_variable() {
        for key in KEYS {
            let variable = format!("{PREFIX}{}", key.name.to_ascii_uppercase());
            let raw = read(&[(&variable, &key.text(&Options::default()))]);
            let options = raw.over(Options::default()).unwrap();
            assert_eq!(options.source(key), Source::Environment(variable));
        }
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        let raw = read(&[("RINGMQ_BINARY", "x"), ("RINGMQ_PORT", "tcp://10.0.0.1:1883"), ("PORT", "1")]);
        assert!(raw.warnings().is_empty());
        assert_eq!(raw.over(Options::default()).unwrap().source(key("port").unwrap()), Source::Default);
    }

    #[test]
    fn what_means_no_key_is_a_warning_with_what_was_meant() {
        let raw = read(&[("RINGMQ_CONFIG_QUEUE_POLCY", "drop"), ("RINGMQ_SHARDS", "2")]);
        assert_eq!(
            raw.warnings(),
            [
                "environment variable RINGMQ_CONFIG_QUEUE_POLCY is ignored: no such key; did you mean \
                 RINGMQ_CONFIG_QUEUE_POLICY?",
                "environment variable RINGMQ_SHARDS is ignored; did you mean RINGMQ_CONFIG_SHARDS?",
            ]
        );
    }

    #[test]
    fn a_wrong_value_names_its_variable() {
        let text =
            read(&[("RINGMQ_CONFIG_MAXIMUM_QOS", "3")]).over(Options::default()).unwrap_err().to_string();
        assert_eq!(
            text,
            "maximum_qos = `3` (from environment variable RINGMQ_CONFIG_MAXIMUM_QOS) is not possible: maximum_qos takes 0 to 2"
        );
    }
}
