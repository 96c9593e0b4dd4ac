//! Reading a configuration file. The only place where configuration comes from a disk.

use std::io::Read as _;
use std::path::Path;

use super::mosquitto::{self, Included, Translation};
use super::raw::Raw;
use super::{ConfigError, toml_file};

/// No file of settings is as large as this, and a device that never ends shall not fill the memory.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// No folder of a service has more files of settings.
const FOLDER_FILES_MAX: usize = 1000;

/// Reads a file, RingMQ's own or a mosquitto.conf; whatever is wrong with it is in what comes back.
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

/// Reads the text of a file, RingMQ's own or a mosquitto.conf. `path` is for errors and, in RingMQ's own, for what
/// is relative to it; folders that a mosquitto.conf includes are read from disk.
#[must_use]
pub fn parse(path: &Path, text: &str) -> Raw {
    if mosquitto::looks_like(text) {
        return mosquitto::translate(path, text, &mut conf_files).into_raw();
    }
    toml_file::read(path, text)
}

/// Reads and translates a mosquitto.conf.
///
/// # Errors
/// What is wrong with the file, with its name.
pub fn import(path: &Path) -> Result<Translation, String> {
    let text = text(path)?;
    Ok(mosquitto::translate(path, &text, &mut conf_files))
}

/// Every file of a folder that ends in `.conf`, in the order of names.
fn conf_files(folder: &Path) -> Result<Vec<Included>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            paths.push(path);
        }
        if paths.len() > FOLDER_FILES_MAX {
            return Err(format!("{}: more than {FOLDER_FILES_MAX} files", folder.display()));
        }
    }
    paths.sort();
    Ok(paths.into_iter().map(|path| (path.clone(), text(&path))).collect())
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
