//! `ringmq-accept`: the bare server beside which the cost of a connection is measured.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

/// Accepts connections on loopback, answers with CONNACK and closes, at the least cost that threads with epoll have.
#[derive(Parser, Debug)]
#[command(name = "ringmq-accept", version)]
struct Arguments {
    /// Port to listen on.
    #[arg(short, long)]
    port: u16,
    /// Threads, each with a listener and connections of its own.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
}

fn main() -> ExitCode {
    let Arguments { port, threads } = Arguments::parse();
    match ringmq_bench::accept::serve(port, threads.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringmq-accept: {error}");
            ExitCode::FAILURE
        }
    }
}
