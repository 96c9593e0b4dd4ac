//! Runs one workload so that callgrind can count it: everything below `counted_region` and nothing else.
//! `bench/instructions` calls this; by itself it says nothing.

use std::process::ExitCode;

use ringmq_micro::{Scale, workloads};

/// An allocator in Rust, compiled with the rest: counts hang neither on the C library's nor on a C compiler.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Runs before the one that is counted, until all memory that is used again has its size.
const RUNS_BEFORE: usize = 3;

/// callgrind is told to count inside of this function.
#[inline(never)]
fn counted_region(run: &mut dyn FnMut()) {
    run();
}

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    let Some(wanted) = wanted else {
        for workload in workloads().iter().filter(|workload| workload.is_counted) {
            println!("{}", workload.name);
        }
        return ExitCode::SUCCESS;
    };
    let Some(workload) = workloads().into_iter().find(|workload| workload.name == wanted) else {
        eprintln!("There is no workload {wanted}; without an argument all names are printed.");
        return ExitCode::FAILURE;
    };
    let mut prepared = (workload.prepare)(&Scale::COUNTED);
    for _ in 0..RUNS_BEFORE {
        (prepared.run)();
        prepared.restore();
    }
    counted_region(&mut *prepared.run);
    println!("{}", prepared.operations);
    ExitCode::SUCCESS
}
