//! Reading a configuration file. The only place where configuration comes from a disk.

use std::io::Read as _;
use std::path::Path;

use super::raw::Raw;
use super::{ConfigError, toml_file};

/// No file of settings is as large as this, and a device that never ends shall not fill the memory.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a file; whatever is wrong with it is in what comes back.
#[must_use]
pub fn read(path: &Path) -> Raw {
    match text(path) {
        Ok(text) => parse(path, &text),
        Err(error) => {
            let mut raw = Raw::default();
            raw.add_error(ConfigError::Conflict(error));
            raw
        }
    }
}

/// Reads the text of a file; `path` is for errors and for what is relative to it.
#[must_use]
pub fn parse(path: &Path, text: &str) -> Raw {
    toml_file::read(path, text)
}

/// The text of a file.
///
/// # Errors
/// What is wrong with the file, with its name.
fn text(path: &Path) -> Result<String, String> {
    let name = path.display();
    let failed = |error: std::io::Error| format!("{name}: {error}");
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{name}: larger than {FILE_BYTES_MAX} bytes, which no configuration is"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{name}:{line}: no UTF-8 from here on")
    })
}
