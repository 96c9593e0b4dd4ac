//! `ringmq-connections`: what a connection costs a server, from the command line to one line of JSON.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use ringmq_bench::connections::{Visits, run};

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
}

fn main() -> ExitCode {
    let Arguments { port, server_pid, connections, concurrency } = Arguments::parse();
    let (connections, concurrency) = (connections as usize, concurrency as usize);
    match run(&Visits { port, server_pid, connections, concurrency }) {
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
