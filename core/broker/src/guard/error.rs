//! What can be wrong with the files of a guard. Recovered by whoever wrote them.

use std::io;
use std::path::{Path, PathBuf};

use ringmq_auth::FileError;

/// Why a guard cannot be made, or be made anew.
#[derive(Debug)]
#[non_exhaustive]
pub enum GuardError {
    /// A file cannot be read.
    Read {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line of a file is wrong.
    Line {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The line and what is wrong with it.
        error: FileError,
    },
    /// A file of keys for tokens is wrong.
    Key {
        /// The key of the configuration that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The system gives no random numbers.
    Random(io::Error),
    /// The threads that compare passwords or ask a service cannot be started.
    Threads(io::Error),
}

impl std::fmt::Display for GuardError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read { key, path, error } => {
                write!(f, "{key}: {} cannot be read: {error}", path.display())?;
                match error.kind() {
                    io::ErrorKind::NotFound if *key == "password_file" => write!(f, "; {}", create(path)),
                    io::ErrorKind::PermissionDenied => {
                        f.write_str("; the broker's own user must be able to read it")
                    }
                    _ => Ok(()),
                }
            }
            Self::Line { key, path, error } => {
                write!(f, "{key}: {}:{}: {}", path.display(), error.line, error.problem)
            }
            Self::Key { key, path, problem } => write!(f, "{key}: {}: {problem}", path.display()),
            Self::Random(error) => write!(f, "the system gives no random numbers: {error}"),
            Self::Threads(error) => write!(f, "no thread can be started to judge logins: {error}"),
        }
    }
}

fn create(path: &Path) -> String {
    format!("`ringmq passwd -c {} USER` makes one", path.display())
}

impl std::error::Error for GuardError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { error, .. } | Self::Random(error) | Self::Threads(error) => Some(error),
            Self::Line { error, .. } => Some(error),
            Self::Key { .. } => None,
        }
    }
}
