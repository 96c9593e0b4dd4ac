//! What passes between cores: a shared index of core masks, the flag that says a core sleeps, a count that
//! orders what must be ordered, and lanes of batches between two cores.
//!
//! This crate knows no MQTT, starts no thread, reads no clock and never blocks a reader. What is unsafe stands
//! in `segment.rs` alone. With `--cfg loom` every atomic is loom's, and the protocols are run through all their
//! interleavings: `RUSTFLAGS="--cfg loom" cargo test -p ringmq-sync --lib`.
#![no_std]

extern crate alloc;
#[cfg(any(test, loom))]
extern crate std;

mod atomics;
mod core_mask;
mod lane;
#[cfg(all(test, loom))]
mod loom_models;
mod mask_table;
mod segment;
mod sleep_flag;
mod stamps;
mod stripe;

pub use core_mask::{CORES_MAX, CoreMask, Cores};
pub use lane::{LaneReceiver, LaneSender, lane};
pub use mask_table::MaskTable;
pub use sleep_flag::SleepFlag;
pub use stamps::Stamps;
