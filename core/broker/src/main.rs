//! The `ringmq` program. Everything it does is in the library's `cli`; here is what belongs to a process: its allocator.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Pages of 2 MiB would be counted whole for a few connections, and pay for it with nothing that could be measured.
    // A kernel that does not know the request has no such pages either.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    ringmq::cli::run(std::env::args_os()).into()
}
