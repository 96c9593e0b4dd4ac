//! The `ringmq` program: reads the command line and hands over to one subcommand. Nothing here decides
//! anything about messages; the broker is in the library, the client commands are on `ringmq-client`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Pages of 2 MiB would be counted whole for a few connections, and pay for it with nothing that could be measured.
    // A kernel that does not know the request has no such pages either.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    cli::Command::parse().run()
}
