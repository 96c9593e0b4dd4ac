//! The `ringmq` program: reads the command line and hands over to one subcommand. Nothing here decides
//! anything about messages; the broker is in the library, the client commands are on `ringmq-client`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::Command::parse().run()
}
