//! Every file that a configuration names.

use std::path::PathBuf;

use crate::Options;
use crate::config::listener::ListenerOptions;
use crate::config::{KEYS, Key, Range, Source};

/// A file that the configuration names.
#[derive(Debug)]
pub struct Named {
    /// The key that names it.
    pub key: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Where it is named.
    pub source: Source,
}

/// Every file that is read, by the broker's keys and the listeners'.
pub fn named_files(options: &Options, listeners: &[ListenerOptions]) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    // The file of the process number is written and not read.
    let read = |key: &&Key| key.name != "pid_file" && matches!(key.range, Range::Path(_) | Range::Paths(_));
    for key in KEYS.iter().filter(read) {
        let text = key.text(options);
        let paths = match key.range {
            Range::Paths(_) => text.split(',').collect(),
            _ => vec![&*text],
        };
        let paths = paths.into_iter().filter(|path| !path.is_empty());
        all.extend(paths.map(|path| Named { key: key.name, path: path.into(), source: options.source(key) }));
    }
    for listener in listeners {
        for (key, path) in listener.files() {
            // Keys of tokens are those of the broker, where a listener has none of its own.
            let is_known = |named: &Named| named.key == key && named.path == path;
            if !(key.starts_with("jwt_") && all.iter().any(is_known)) {
                all.push(Named { key, path: path.to_owned(), source: listener.source.clone() });
            }
        }
    }
    all
}
