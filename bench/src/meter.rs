//! What a stretch of time cost: the broker, the load and the machine, before and after.

use std::io;
use std::time::Instant;

use crate::process::{self, CpuTime};
use crate::{Failure, Plan};

/// Where everything stood at one moment.
pub(crate) struct Mark {
    pub(crate) at: Instant,
    broker_cpu: Option<CpuTime>,
    broker_resident_bytes: Option<u64>,
    load_cpu: CpuTime,
    machine_busy_seconds: f64,
    machine_stolen_seconds: f64,
}

impl Mark {
    /// Errors: the broker's process is gone, or the kernel does not tell.
    pub(crate) fn now(plan: &Plan) -> Result<Mark, Failure> {
        Mark::read(plan).map_err(|error| Failure::Io("reading a process's figures", error))
    }

    fn read(plan: &Plan) -> io::Result<Mark> {
        let (machine_busy_seconds, machine_stolen_seconds) = process::machine_seconds()?;
        Ok(Mark {
            at: Instant::now(),
            broker_cpu: plan.broker_pid.map(process::cpu_time).transpose()?,
            broker_resident_bytes: plan.broker_pid.map(process::resident_bytes).transpose()?,
            load_cpu: process::cpu_time(std::process::id())?,
            machine_busy_seconds,
            machine_stolen_seconds,
        })
    }

    /// Seconds from an earlier moment to this one.
    pub(crate) fn seconds_since(&self, earlier: &Mark) -> f64 {
        (self.at - earlier.at).as_secs_f64()
    }

    /// The broker's CPU time since an earlier moment, in seconds.
    pub(crate) fn broker_seconds_since(&self, earlier: &Mark) -> Option<f64> {
        let (later, earlier) = self.broker_cpu.zip(earlier.broker_cpu)?;
        Some(later.since(earlier).total_seconds())
    }

    /// What the broker's memory has grown by since an earlier moment, in bytes.
    pub(crate) fn broker_growth_since(&self, earlier: &Mark) -> Option<f64> {
        let (later, earlier) = self.broker_resident_bytes.zip(earlier.broker_resident_bytes)?;
        Some(later as f64 - earlier as f64)
    }

    /// The figures of the time since an earlier moment, by their names.
    pub(crate) fn figures_since(&self, earlier: &Mark) -> Vec<(&'static str, f64)> {
        let mut figures = vec![("seconds", self.seconds_since(earlier))];
        if let Some((later, earlier)) = self.broker_cpu.zip(earlier.broker_cpu) {
            let cpu = later.since(earlier);
            figures.push(("broker_user_seconds", cpu.user_seconds));
            figures.push(("broker_system_seconds", cpu.system_seconds));
            figures.extend(cpu.starts.map(|starts| ("broker_thread_starts", starts as f64)));
        }
        if let Some(bytes) = self.broker_resident_bytes {
            figures.push(("broker_resident_bytes", bytes as f64));
        }
        figures.push(("load_cpu_seconds", self.load_cpu.since(earlier.load_cpu).total_seconds()));
        figures.push(("machine_busy_seconds", self.machine_busy_seconds - earlier.machine_busy_seconds));
        figures
            .push(("machine_stolen_seconds", self.machine_stolen_seconds - earlier.machine_stolen_seconds));
        figures
    }
}
