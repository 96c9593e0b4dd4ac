//! Records of a store.

use ringmq_store::record::{VERSION, decode, encode};

/// Reads the bytes as a record, and as the body of a record whose checksums are right.
pub fn stored(bytes: &[u8]) {
    read(bytes);
    read(&sealed(bytes));
}

/// What can be read takes no more than there is, and is written as it was.
fn read(bytes: &[u8]) {
    let Ok((command, taken)) = decode(bytes) else { return };
    let mut again = Vec::new();
    encode(&command.as_command(), &mut again);
    assert_eq!(again, bytes[..taken]);
    assert!(!format!("{command:?}").is_empty(), "everything in it can be read");
}

/// The header as the format describes it: version, length, checksum of the body, checksum of the header.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut record = vec![VERSION];
    record.extend_from_slice(&(body.len() as u32).to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    let checksum = crc32fast::hash(&record);
    record.extend_from_slice(&checksum.to_le_bytes());
    record.extend_from_slice(body);
    record
}
