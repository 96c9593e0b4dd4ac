//! `ringmq-connections`: what a connection costs a server, from the command line to one line of JSON.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use ringmq_bench::connections::{Visits, run};
use ringmq_bench::{TlsPlan, TlsVersion};

/// Opens connections to a server on loopback, a few at a time: CONNECT, CONNACK, DISCONNECT, end. Prints one line of
/// JSON with the processor time that each cost the server.
#[derive(Parser, Debug)]
#[command(name = "ringmq-connections", version)]
struct Arguments {
    /// Port of the server.
    #[arg(short, long)]
    port: u16,
    /// Process of the server.
    #[arg(long)]
    server_pid: u32,
    /// Connections that are counted; a tenth of them come before.
    #[arg(short = 'n', long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    connections: u32,
    /// Connections at a time.
    #[arg(short, long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    concurrency: u32,
    /// Speaks TLS and trusts the authorities in this file (PEM); the certificate must be for `localhost`.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The version of TLS.
    #[arg(long, value_enum, default_value_t = Version::V1_3, requires = "tls_ca")]
    tls_version: Version,
    /// Resumes TLS sessions: the first connections are full handshakes, all that are counted should not be.
    #[arg(long, requires = "tls_ca")]
    resume: bool,
    /// Shows the certificate in this file (PEM).
    #[arg(long, value_name = "FILE", requires = "key", requires = "tls_ca")]
    cert: Option<PathBuf>,
    /// The key of --cert (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Version {
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.3")]
    V1_3,
}

impl Arguments {
    fn tls(&self) -> io::Result<Option<TlsPlan>> {
        let Some(authorities) = &self.tls_ca else { return Ok(None) };
        let version = match self.tls_version {
            Version::V1_2 => TlsVersion::V1_2,
            Version::V1_3 => TlsVersion::V1_3,
        };
        let pair =
            |(certificate, key): (&PathBuf, &PathBuf)| io::Result::Ok((read(certificate)?, read(key)?));
        let certificate = self.cert.as_ref().zip(self.key.as_ref()).map(pair).transpose()?;
        Ok(Some(TlsPlan { authorities: read(authorities)?, version, certificate, resumes: self.resume }))
    }

    fn run(&self) -> io::Result<String> {
        run(&Visits {
            port: self.port,
            server_pid: self.server_pid,
            connections: self.connections as usize,
            concurrency: self.concurrency as usize,
            tls: self.tls()?,
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| io::Error::other(format!("cannot read {}: {error}", path.display())))
}

fn main() -> ExitCode {
    match Arguments::parse().run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ringmq-connections: {error}");
            ExitCode::FAILURE
        }
    }
}
