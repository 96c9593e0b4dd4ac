//! The parts of RingMQ, each alone: one list of workloads that criterion times and callgrind counts.
//!
//! A workload is prepared once, then run again and again; each run does the same and leaves everything as it was.
//! Nothing here measures, and everything is the same on each run and machine: random numbers have fixed seeds.
#![forbid(unsafe_code)]

mod acl;
mod crowd;
mod handoff;
mod inflight;
mod interest;
pub mod routes;
pub mod shards;
mod timers;
pub mod topics;
mod turns;
mod wire;

/// How large the world is in which a workload runs.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Subscriptions in the trees and filters in the index.
    pub subscriptions: usize,
    /// Divides the number of sessions that get one message.
    pub crowd_divisor: usize,
}

impl Scale {
    /// What the goals speak of.
    pub const FULL: Scale = Scale { subscriptions: 1_000_000, crowd_divisor: 1 };
    /// For callgrind, under which everything takes fifty times as long.
    pub const COUNTED: Scale = Scale { subscriptions: 20_000, crowd_divisor: 10 };
    /// Only to see that it works.
    pub const TINY: Scale = Scale { subscriptions: 1_500, crowd_divisor: 100 };
}

/// One thing to measure.
#[derive(Clone, Copy)]
pub struct Workload {
    /// Its name, from which its part can be told.
    pub name: &'static str,
    /// What one operation is.
    pub operation: &'static str,
    /// Whether its instructions are counted; not where another of the same code differs in its size alone.
    pub is_counted: bool,
    /// Builds what it runs in.
    pub prepare: fn(&Scale) -> Prepared,
}

/// A workload that is ready.
pub struct Prepared {
    /// Operations in one run.
    pub operations: usize,
    /// What is measured.
    pub run: Box<dyn FnMut()>,
    /// What puts things back in place after each run, not measured.
    pub restore: Option<Box<dyn FnMut()>>,
}

impl Prepared {
    /// A workload whose run leaves everything as it was.
    pub fn steady(operations: usize, run: impl FnMut() + 'static) -> Self {
        Self { operations, run: Box::new(run), restore: None }
    }

    /// A workload that is put back in place after each run.
    pub fn restored(operations: usize, run: impl FnMut() + 'static, restore: impl FnMut() + 'static) -> Self {
        Self { operations, run: Box::new(run), restore: Some(Box::new(restore)) }
    }

    /// Puts things back in place.
    pub fn restore(&mut self) {
        if let Some(restore) = &mut self.restore {
            restore();
        }
    }
}

/// All workloads.
pub fn workloads() -> Vec<Workload> {
    let parts: [&[Workload]; 9] = [
        wire::WORKLOADS,
        routes::WORKLOADS,
        interest::WORKLOADS,
        inflight::WORKLOADS,
        timers::WORKLOADS,
        handoff::WORKLOADS,
        crowd::WORKLOADS,
        turns::WORKLOADS,
        acl::WORKLOADS,
    ];
    parts.into_iter().flatten().copied().collect()
}
