//! The flags about TLS of `ringmq pub`, `sub` and `rr`, with mosquitto's names: which files, and how much is
//! checked. Reads the files and opens no connection.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ringmq_client::{Tls, TlsVersion};

/// A file of certificates or keys; the bundle of an operating system has a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Files in a folder of authorities; operating systems have some 300, with two names each.
const FILES_MAX: usize = 4096;

/// What `--help` has under TLS.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "TLS; each of these but --insecure, --tls-alpn and --tls-version turns it on")]
pub struct TlsFlags {
    /// Trusts the authorities in this file (PEM)
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// Trusts the authorities in all files of this folder (PEM)
    #[arg(long, value_name = "FOLDER")]
    capath: Option<PathBuf>,
    /// Trusts whom the operating system trusts; with mqtts:// and wss:// that is the default
    #[arg(long)]
    tls_use_os_certs: bool,
    /// Shows the certificate in this file (PEM, with its chain)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of --cert (PEM, not encrypted)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Takes a certificate of the server for any name: only for tests, as anybody who has a certificate of a
    /// trusted authority can then pretend to be the server
    #[arg(long)]
    insecure: bool,
    /// Oldest version [default: tlsv1.2]
    #[arg(long, value_enum, value_name = "VERSION")]
    tls_version: Option<VersionFlag>,
    /// Application protocol to offer to the server [default: mqtt; http/1.1 for WebSocket]
    #[arg(long, value_name = "PROTOCOL")]
    tls_alpn: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VersionFlag {
    #[value(name = "tlsv1.2", alias = "1.2")]
    V1_2,
    #[value(name = "tlsv1.3", alias = "1.3")]
    V1_3,
}

impl TlsFlags {
    /// Whether they ask for TLS.
    pub fn is_asked(&self) -> bool {
        self.cafile.is_some() || self.capath.is_some() || self.tls_use_os_certs || self.cert.is_some()
    }

    /// What they come to, if TLS is to be used. The error is a sentence for the user.
    pub fn resolve(self, is_secure: bool) -> Result<Option<Tls>, String> {
        if !is_secure {
            return match self.insecure || self.tls_alpn.is_some() || self.tls_version.is_some() {
                true => Err("--insecure, --tls-alpn and --tls-version need TLS: give --cafile, --capath, \
                             --tls-use-os-certs or a URL mqtts:// or wss://."
                    .to_owned()),
                false => Ok(None),
            };
        }
        let mut tls = Tls::new();
        if let Some(path) = &self.cafile {
            tls = tls.authorities(read(path, "--cafile")?);
        }
        if let Some(path) = &self.capath {
            tls = tls.authorities(read_folder(path)?);
        }
        if self.tls_use_os_certs {
            tls = tls.system_authorities();
        }
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            tls = tls.certificate(read(certificate, "--cert")?, read(key, "--key")?);
        }
        if self.insecure {
            tls = tls.any_name();
        }
        if self.tls_version == Some(VersionFlag::V1_3) {
            tls = tls.version_min(TlsVersion::V1_3);
        }
        if let Some(protocol) = self.tls_alpn {
            tls = tls.alpn([protocol]);
        }
        Ok(Some(tls))
    }
}

fn read(path: &Path, flag: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match file {
        Err(error) => Err(format!("Cannot read {} of {flag}: {error}.", path.display())),
        Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => {
            Err(format!("{} of {flag} is no file of certificates or keys: it is too large.", path.display()))
        }
        Ok(_) => Ok(bytes),
    }
}

/// All certificates of a folder, one behind the other.
fn read_folder(folder: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("Cannot read the folder {} of --capath: {error}.", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)?.take(FILES_MAX) {
        let path = entry.map_err(cannot)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let text = read(&path, "--capath")?;
        if text.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) {
            all.extend(text);
            all.push(b'\n');
        }
    }
    match all.is_empty() {
        true => {
            Err(format!("The folder {} of --capath has no file with a certificate (PEM).", folder.display()))
        }
        false => Ok(all),
    }
}

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";
