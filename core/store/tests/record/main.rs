//! Records: every command survives them, no other bytes pass for one, and the bytes never change unnoticed.

mod damage;
mod golden;
mod random;
mod replay;
mod round_trip;

use ringmq_store::OwnedCommand;
use ringmq_store::record::encode;

/// The record of one command.
fn record(command: &OwnedCommand) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&command.as_command(), &mut out);
    out
}
