//! The extension module of RingMQ's Python package: converts values, gives the interpreter away while it waits, and
//! lets everything else to the broker and the client. No thread of a broker ever touches the interpreter.
#![deny(unsafe_code)]
#![allow(clippy::too_many_arguments, reason = "a function has the keywords that Python has")]

mod broker;
mod certificates;
mod client;
mod client_options;
mod errors;
mod faults;
mod fork;
mod hooks;
mod logging;
mod message;
mod notifier;
mod options;
mod payload;
mod pending;
mod properties;
mod subscription;
mod wait;

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line of the `ringmq` program with these arguments, the first being its own name, and gives its exit
/// code, 0 to 255. Takes over the process's signals while it serves.
#[pyfunction]
fn run(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| ringmq::cli::run(arguments).value())
}

#[pymodule(gil_used = false)]
mod _ringmq {
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name that Python gives it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
    #[pymodule_export]
    use super::broker::{Broker, Published};
    #[pymodule_export]
    use super::certificates::local_certificates;
    #[pymodule_export]
    use super::client::{Client, Receipt};
    #[pymodule_export]
    use super::faults::{Fault, Faults};
    #[pymodule_export]
    use super::fork::forked;
    #[pymodule_export]
    use super::hooks::{Hooks, Question};
    #[pymodule_export]
    use super::logging::{after_fork, before_fork, flush_log, set_log_level};
    #[pymodule_export]
    use super::message::Message;
    #[pymodule_export]
    use super::notifier::{Notifier, NumberWaker};
    #[pymodule_export]
    use super::options::option_keys;
    #[pymodule_export]
    use super::pending::Pending;
    #[pymodule_export]
    use super::run;
    #[pymodule_export]
    use super::subscription::Subscription;
}
