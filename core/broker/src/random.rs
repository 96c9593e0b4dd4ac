//! Random bytes of the system, for salts and keys.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Bytes that nobody can guess. Waits for the system's generator to be ready, which it is once a machine has started.
///
/// # Errors
/// The system has no generator.
pub fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}
