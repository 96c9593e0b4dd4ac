//! What can be wrong with a configuration. Every text names the key, the value, where it came from and what
//! would be right. Recovered by whoever typed it.

use super::Source;
use super::key::{Key, Range};

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such key.
    UnknownKey {
        /// What was typed.
        name: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
        /// Where it was typed.
        source: Source,
    },
    /// The value is not one the key takes.
    Value {
        /// The key's name.
        name: &'static str,
        /// What was typed.
        value: String,
        /// What the key takes.
        accepts: String,
        /// The nearest word the key takes, for keys that take words.
        nearest: Option<&'static str>,
        /// Where it was typed.
        source: Source,
    },
    /// `--set` without `=`.
    NoValue {
        /// What was typed.
        text: String,
    },
    /// Two values that do not go together, or one that this machine cannot serve.
    Conflict(String),
    /// The broker would listen beyond this machine and let in everybody.
    Exposed {
        /// The address beyond this machine.
        address: String,
    },
}

impl ConfigError {
    pub(super) fn value(key: &Key, value: &str, source: Source) -> Self {
        let nearest = match key.range {
            Range::Words(words) => words.iter().copied().find(|word| alike(word, value)),
            _ => None,
        };
        Self::Value { name: key.name, value: value.to_owned(), accepts: key.accepts(), nearest, source }
    }
}

/// Whether a word was probably meant: the same but for case, or one the beginning of the other.
fn alike(word: &str, typed: &str) -> bool {
    let typed = typed.to_ascii_lowercase();
    !typed.is_empty() && (word.starts_with(&typed) || typed.starts_with(word))
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownKey { name, nearest, source } => {
                write!(f, "there is no configuration key `{name}` (from {source})")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
                    None => write!(f, "; `ringmq serve --list-keys` shows all keys"),
                }
            }
            Self::Value { name, value, accepts, nearest, source } => {
                write!(f, "{name} = `{value}` (from {source}) is not possible: {name} takes {accepts}")?;
                nearest.map_or(Ok(()), |word| write!(f, "; did you mean `{word}`?"))
            }
            Self::NoValue { text } => {
                write!(f, "`--set {text}` names no value: write `--set {text}=VALUE`")
            }
            Self::Conflict(text) => f.write_str(text),
            Self::Exposed { address } => write!(
                f,
                "{address} can be reached from other machines and clients need no password: \
                 name a --password-file, \
                 say --allow-anonymous (allow_anonymous=true) if everybody may come in, \
                 or listen on 127.0.0.1 and [::1] only"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}
