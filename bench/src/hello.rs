//! How a connection of the load tells the relay what it is: sixteen bytes, answered with one, twice. From then on
//! everything on it is passed on as it is.
//!
//! Twice, because a client of a broker says CONNECT and SUBSCRIBE. A socket that has said something after it was
//! told something counts as interactive to Linux and acknowledges later; one that has not acknowledges each read. The
//! load then spends a segment more for each read, and what is compared are two states of TCP and not two programs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::Failure;

/// The bytes of a hello.
pub const HELLO_BYTES: usize = 16;
/// How often it is said.
pub const HELLO_TIMES: usize = 2;
/// What the relay answers, each time.
pub const HELLO_ANSWER: u8 = b'+';

/// What a connection at the relay is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What it sends goes to every reader of its channel.
    Publisher,
    /// Gets what the publishers of its channel send.
    Reader,
}

/// What a connection tells the relay about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Which end it is.
    pub role: Role,
    /// Which publishers and readers belong together.
    pub channel: u32,
    /// How many connections the run has; when all are there, the relay begins.
    pub connections: u32,
    /// The bytes of each message this publisher will send, at least 1. Where several publishers share a reader
    /// the relay passes on multiples of it only, so that it need not look for the ends of messages.
    pub message_bytes: u32,
}

impl Hello {
    /// The hello on the wire.
    pub fn to_bytes(self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        let role = u32::from(self.role == Role::Reader);
        let numbers = [role, self.channel, self.connections, self.message_bytes];
        for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// The hello of its bytes; nothing for what none of ours is.
    pub fn from_bytes(bytes: &[u8; HELLO_BYTES]) -> Option<Hello> {
        let mut numbers = bytes.as_chunks::<4>().0.iter().map(|number| u32::from_be_bytes(*number));
        let role = [Role::Publisher, Role::Reader].into_iter().nth(numbers.next()? as usize)?;
        let hello = Hello {
            role,
            channel: numbers.next()?,
            connections: numbers.next()?,
            message_bytes: numbers.next()?,
        };
        (hello.connections > 0 && hello.message_bytes > 0).then_some(hello)
    }

    /// Says it and waits for the answer.
    pub(crate) fn say(self, stream: &mut TcpStream) -> Result<(), Failure> {
        let talking = |error| Failure::Io("greeting the relay", error);
        for _ in 0..HELLO_TIMES {
            stream.write_all(&self.to_bytes()).map_err(talking)?;
            let mut answer = [0];
            stream.read_exact(&mut answer).map_err(talking)?;
            if answer != [HELLO_ANSWER] {
                return Err(talking(std::io::Error::other("this is no ringmq-relay")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_reads_back_and_nothing_else_does() {
        for role in [Role::Publisher, Role::Reader] {
            let hello = Hello { role, channel: 7, connections: 200, message_bytes: 0x0102_0304 };
            assert_eq!(Hello::from_bytes(&hello.to_bytes()), Some(hello));
        }
        let nobody = Hello { role: Role::Reader, channel: 0, connections: 0, message_bytes: 1 };
        assert_eq!(Hello::from_bytes(&nobody.to_bytes()), None);
        assert_eq!(Hello::from_bytes(b"GET / HTTP/1.1\r\n"), None);
    }
}
