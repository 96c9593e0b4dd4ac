//! What can be wrong with a configuration. Every text names the key, the value, where it came from and what
//! would be right. Recovered by whoever typed it.

use super::Source;
use super::key::{Range, Unit, accepts};

/// One thing that is wrong.
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
    /// What the text says, at a known place.
    At {
        /// Where it was typed.
        source: Source,
        /// What is wrong there and what would be right.
        text: String,
    },
    /// Two values that do not go together, or one that this machine cannot serve.
    Conflict(String),
    /// The broker would listen beyond this machine and let in everybody.
    Exposed {
        /// The address beyond this machine.
        address: String,
        /// Where it was typed.
        source: Source,
    },
}

impl ConfigError {
    pub(super) fn value(name: &'static str, range: Range, unit: Unit, value: &str, source: Source) -> Self {
        let nearest = match range {
            Range::Words(words) => words.iter().copied().find(|word| alike(word, value)),
            _ => None,
        };
        Self::Value { name, value: value.to_owned(), accepts: accepts(range, unit), nearest, source }
    }
    pub(crate) fn at(source: &Source, text: impl Into<String>) -> Self {
        Self::At { source: source.clone(), text: text.into() }
    }
    /// Where it was typed, if anybody knows.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::UnknownKey { source, .. }
            | Self::Value { source, .. }
            | Self::At { source, .. }
            | Self::Exposed { source, .. } => Some(source),
            Self::NoValue { .. } | Self::Conflict(_) => None,
        }
    }
}

impl ConfigError {
    /// Files line by line, then whatever else there is as it came.
    pub(super) fn by_place(&self, other: &Self) -> std::cmp::Ordering {
        fn place(error: &ConfigError) -> (bool, Option<(&std::path::Path, u32, u32)>) {
            match error.source() {
                Some(Source::File { path, line, column }) => (false, Some((path, *line, *column))),
                _ => (true, None),
            }
        }
        place(self).cmp(&place(other))
    }
}

/// Whether a word was probably meant: the same but for case, or one the beginning of the other.
fn alike(word: &str, typed: &str) -> bool {
    let typed = typed.trim_matches('"').to_ascii_lowercase();
    !typed.is_empty() && (word.starts_with(&typed) || typed.starts_with(word))
}

/// Something that was typed, for a line of a log: cut where it is long, control characters escaped.
struct Shown<'a>(&'a str, usize);

/// A name or a value.
const WORD_MAX: usize = 100;
/// A text with names and values in it.
const TEXT_MAX: usize = 2000;

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, character) in self.0.chars().enumerate() {
            match character {
                _ if number == self.1 => return f.write_str("..."),
                character if character.is_control() => write!(f, "{}", character.escape_default())?,
                character => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for ConfigError {
    /// A place in a file comes first, as compilers and editors have it; other places stand where they matter.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = self.source();
        let from = match source {
            Some(source @ Source::File { .. }) => {
                write!(f, "{source}: ")?;
                String::new()
            }
            Some(Source::Default) | None => String::new(),
            Some(source) => format!(" (from {source})"),
        };
        match self {
            Self::UnknownKey { name, nearest, .. } => {
                let name = Shown(name, WORD_MAX);
                write!(f, "there is no configuration key `{name}`{from}")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
                    None => write!(f, "; `ringmq config doc` shows all keys"),
                }
            }
            Self::Value { name, value, accepts, nearest, .. } => {
                let value = Shown(value, WORD_MAX);
                write!(f, "{name} = `{value}`{from} is not possible: {name} takes {accepts}")?;
                nearest.map_or(Ok(()), |word| write!(f, "; did you mean `{word}`?"))
            }
            Self::NoValue { text } => {
                let text = Shown(text, WORD_MAX);
                write!(f, "`--set {text}` names no value: write `--set {text}=VALUE`")
            }
            Self::At { text, .. } => write!(f, "{}{from}", Shown(text, TEXT_MAX)),
            Self::Conflict(text) => Shown(text, TEXT_MAX).fmt(f),
            Self::Exposed { address, .. } => write!(
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

/// Everything that is wrong with a configuration, at least one thing; written one to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The things that are wrong: those of files line by line, then the others.
    #[must_use]
    pub fn all(&self) -> &[ConfigError] {
        &self.0
    }
    /// The value, unless something is wrong.
    ///
    /// # Errors
    /// All of `errors`, when there are any.
    pub(crate) fn none_of<T>(mut errors: Vec<ConfigError>, value: T) -> Result<T, Self> {
        errors.sort_by(ConfigError::by_place);
        if errors.is_empty() { Ok(value) } else { Err(Self(errors)) }
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl From<ConfigErrors> for Vec<ConfigError> {
    fn from(errors: ConfigErrors) -> Self {
        errors.0
    }
}

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
