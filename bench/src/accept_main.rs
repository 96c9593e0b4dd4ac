//! `ringmq-accept`: the bare server beside which the cost of a connection is measured.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

/// Accepts connections on loopback, answers with CONNACK and closes, at the least cost that one thread with epoll has.
#[derive(Parser, Debug)]
#[command(name = "ringmq-accept", version)]
struct Arguments {
    /// Port to listen on.
    #[arg(short, long)]
    port: u16,
}

fn main() -> ExitCode {
    match ringmq_bench::accept::serve(Arguments::parse().port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringmq-accept: {error}");
            ExitCode::FAILURE
        }
    }
}
