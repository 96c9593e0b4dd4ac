//! What goes wrong on purpose, for tests.

use std::sync::Arc;
use std::time::Duration;

use ringmq::ReasonCode;
use ringmq::faults::{Direction, Fault, FaultRule, Faults, PacketKind};

use crate::entry::{Growing, enter, read};
use crate::error::{Failure, ringmq_error, ringmq_status};
use crate::handle::{self, Object, Origin};
use crate::text::ringmq_str;

/// What goes wrong between brokers and their clients. It may change while they run.
pub struct ringmq_faults {
    inner: Arc<Faults>,
    origin: Origin,
}

impl Object for ringmq_faults {
    const NAME: &'static str = "ringmq_faults";
    fn origin(&self) -> Origin {
        self.origin
    }
}

impl ringmq_faults {
    pub(crate) fn inner(&self) -> Arc<Faults> {
        Arc::clone(&self.inner)
    }
}

/// What happens to a packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ringmq_fault_kind {
    /// It does not arrive.
    RINGMQ_FAULT_DROP = 1,
    /// It arrives twice.
    RINGMQ_FAULT_DUPLICATE = 2,
    /// It arrives `delay_ms` later, and so does everything behind it.
    RINGMQ_FAULT_DELAY = 3,
    /// Instead of it the connection is reset.
    RINGMQ_FAULT_RESET = 4,
    /// A CONNECT is refused with `reason_code`.
    RINGMQ_FAULT_REFUSE = 5,
}

/// Which packets have which fault. Initialise it with RINGMQ_FAULT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ringmq_fault {
    /// sizeof(ringmq_fault).
    pub struct_size: usize,
    /// A ringmq_fault_kind.
    pub kind: u32,
    /// Those of the client with this ClientID; of all when `data` is NULL.
    pub client_id: ringmq_str,
    /// Those of this type, 1 to 15 (MQTT 5.0, 2.1.2); 0 for all.
    pub packet: u8,
    /// Those to the broker (1) or to the client (2); 0 for both.
    pub direction: u8,
    /// The first so many of them; 0 for all.
    pub times: u64,
    /// For RINGMQ_FAULT_DELAY.
    pub delay_ms: u64,
    /// For RINGMQ_FAULT_REFUSE.
    pub reason_code: u8,
}

impl Growing for ringmq_fault {
    const LEAST: usize = size_of::<Self>();
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            kind: ringmq_fault_kind::RINGMQ_FAULT_DROP as u32,
            client_id: ringmq_str { data: std::ptr::null(), length: 0 },
            packet: 0,
            direction: 0,
            times: 0,
            delay_ms: 0,
            reason_code: 0x88,
        }
    }
}

impl ringmq_fault {
    /// # Safety
    /// Its text is there.
    unsafe fn rule(&self) -> Result<FaultRule, Failure> {
        use ringmq_fault_kind as kind;
        let reason = ReasonCode::from_u8(self.reason_code).filter(|reason| reason.is_error());
        let fault = match self.kind {
            number if number == kind::RINGMQ_FAULT_DROP as u32 => Fault::Drop,
            number if number == kind::RINGMQ_FAULT_DUPLICATE as u32 => Fault::Duplicate,
            number if number == kind::RINGMQ_FAULT_DELAY as u32 => {
                Fault::Delay(Duration::from_millis(self.delay_ms))
            }
            number if number == kind::RINGMQ_FAULT_RESET as u32 => Fault::Reset,
            number if number == kind::RINGMQ_FAULT_REFUSE as u32 => {
                Fault::Refuse(reason.ok_or_else(|| Failure::invalid("the reason code does not refuse"))?)
            }
            other => return Err(Failure::invalid(format!("there is no fault {other}"))),
        };
        let packet = match self.packet {
            0 => None,
            number @ 1..=15 => PacketKind::from_first(number << 4),
            other => return Err(Failure::invalid(format!("a packet's number is 1 to 15, not {other}"))),
        };
        let direction = match self.direction {
            0 => None,
            1 => Some(Direction::ToBroker),
            2 => Some(Direction::ToClient),
            other => return Err(Failure::invalid(format!("a direction is 0, 1 or 2, not {other}"))),
        };
        let client_id = match self.client_id.data.is_null() {
            true => None,
            // SAFETY: the caller's.
            false => Some(unsafe { self.client_id.get("client_id") }?.to_owned()),
        };
        let times = (self.times > 0).then_some(self.times);
        Ok(FaultRule { client_id, packet, direction, times, fault })
    }
}

/// Makes faults, none so far. Free them with `ringmq_faults_free`.
#[unsafe(no_mangle)]
pub extern "C" fn ringmq_faults_new() -> *mut ringmq_faults {
    handle::give(ringmq_faults { inner: Faults::new(), origin: Origin::here() })
}

/// From now on packets have this fault, unless one that was added before is for them.
///
/// Errors: RINGMQ_INVALID.
///
/// # Safety
/// `faults` is NULL or faults; `fault` is NULL or such a struct; `error` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_faults_add(
    faults: *const ringmq_faults,
    fault: *const ringmq_fault,
    error: *mut *mut ringmq_error,
) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(error, || {
            let (faults, fault) = (handle::hold(faults)?, read(fault, "fault")?);
            let _ = faults.inner.add(fault.rule()?);
            Ok(())
        })
    }
}

/// No packet has a fault any more. What is late stays late.
///
/// # Safety
/// `faults` is NULL or faults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_faults_clear(faults: *const ringmq_faults) -> ringmq_status {
    // SAFETY: the caller's, for this and all below.
    unsafe {
        enter(std::ptr::null_mut(), || {
            handle::hold(faults)?.inner.clear();
            Ok(())
        })
    }
}

/// Frees faults; NULL is allowed. Brokers that have them go on with them.
///
/// # Safety
/// `faults` is NULL or faults, and nobody uses this reference any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringmq_faults_free(faults: *const ringmq_faults) {
    // SAFETY: the caller's.
    unsafe { handle::end(faults) };
}
