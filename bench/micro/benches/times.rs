//! Every workload under criterion. One iteration is a whole run of a workload, which is many operations; what is
//! not measured, such as putting things back in place, happens outside of the clock.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use ringmq_micro::{Prepared, Scale, workloads};
use rustix::time::{ClockId, clock_gettime};

/// What the broker runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// CPU time of this thread: other programs that get the CPU in between do not count, although what they leave in the
/// caches does.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn timed(iterations: u64, prepared: &mut Prepared) -> Duration {
    let started = now();
    if prepared.restore.is_none() {
        (0..iterations).for_each(|_| (prepared.run)());
        return now() - started;
    }
    let mut sum = Duration::ZERO;
    for _ in 0..iterations {
        let started = now();
        (prepared.run)();
        sum += now() - started;
        prepared.restore();
    }
    sum
}

fn main() {
    // `cargo bench` says so; without it criterion runs everything once, and small is enough.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let scale = if is_measured { Scale::FULL } else { Scale::TINY };
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    for workload in workloads() {
        // Prepared only if the filter of the command line lets it through.
        let mut prepared = None;
        let mut group = criterion.benchmark_group(workload.name);
        group.bench_function(BenchmarkId::from_parameter("run"), |bencher| {
            let prepared = prepared.get_or_insert_with(|| (workload.prepare)(&scale));
            bencher.iter_custom(|iterations| timed(iterations, prepared));
        });
        group.finish();
        // criterion knows times of whole runs; bench/parts divides.
        if let Some(prepared) = prepared.filter(|_| is_measured) {
            println!("operations {} {}", workload.name, prepared.operations);
        }
    }
    criterion.final_summary();
}
