//! Faults on purpose: what goes wrong with packets of a broker's clients, as tests want it.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use ringmq::ReasonCode;
use ringmq::faults::{self, Direction, FaultRule, PacketKind, PlacedFault};

use crate::wait;

/// All faults of one broker.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Faults(pub Arc<faults::Faults>);

/// One fault, as long as it holds.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Fault(PlacedFault);

#[pymethods]
impl Faults {
    #[new]
    fn new() -> Self {
        Self(faults::Faults::new())
    }
    /// Adds one. `what` is drop, duplicate, delay, reset or refuse; `packet` a packet's number; `seconds` is the
    /// delay's, `reason` the refusal's.
    fn add(
        &self,
        what: &str,
        packet: Option<u8>,
        client: Option<String>,
        to_broker: Option<bool>,
        times: Option<u64>,
        seconds: f64,
        reason: u8,
    ) -> PyResult<Fault> {
        let fault = match what {
            "drop" => faults::Fault::Drop,
            "duplicate" => faults::Fault::Duplicate,
            "delay" => faults::Fault::Delay(milliseconds(seconds)?),
            "reset" => faults::Fault::Reset,
            "refuse" => faults::Fault::Refuse(refusal(reason)?),
            other => return Err(PyValueError::new_err(format!("there is no fault {other:?}"))),
        };
        let packet = packet
            .map(|number| PacketKind::from_first(number.checked_mul(16).unwrap_or(0)))
            .map(|packet| packet.ok_or_else(|| PyValueError::new_err("a packet's number is 1 to 15")));
        let direction = to_broker.map(|to_broker| match to_broker {
            true => Direction::ToBroker,
            false => Direction::ToClient,
        });
        let rule = FaultRule { client_id: client, packet: packet.transpose()?, direction, times, fault };
        Ok(Fault(self.0.add(rule)))
    }
    /// No packet has a fault any more.
    fn clear(&self) {
        self.0.clear();
    }
}

/// A delay, which is in whole milliseconds.
fn milliseconds(seconds: f64) -> PyResult<Duration> {
    Ok(Duration::from_millis(wait::seconds(seconds)?.as_secs_f64().mul_add(1000.0, 0.999) as u64))
}

fn refusal(reason: u8) -> PyResult<ReasonCode> {
    ReasonCode::from_u8(reason)
        .filter(|reason| reason.is_error())
        .ok_or_else(|| PyValueError::new_err(format!("0x{reason:02x} does not refuse")))
}

#[pymethods]
impl Fault {
    /// How many packets had it so far.
    #[getter]
    fn hits(&self) -> u64 {
        self.0.hits()
    }
    /// No packet has it any more.
    fn remove(&self) {
        self.0.remove();
    }
}
