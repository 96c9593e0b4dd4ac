//! What clients, handles and the time do to a broker, as a fuzzer can write it: a shape, then steps until the
//! bytes run out, so that every byte counts. Numbers are taken modulo what there is.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Steps of one script that are carried out.
const STEPS_MAX: usize = 120;

/// A broker and what happens to it.
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) setup: Shape,
    pub(crate) steps: Vec<Step>,
}

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let setup = Shape::arbitrary(bytes)?;
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < STEPS_MAX {
            steps.push(Step::arbitrary(bytes)?);
        }
        Ok(Self { setup, steps })
    }
}

/// What kind of broker it is.
#[derive(Arbitrary, Clone, Debug)]
pub struct Shape {
    pub(crate) shards: u8,
    pub(crate) seed: u16,
    pub(crate) moving: bool,
    pub(crate) ragged: bool,
    pub(crate) statistics: bool,
    pub(crate) late_percent: u8,
    pub(crate) denied: u8,
    pub(crate) lane_capacity: u8,
    pub(crate) policy: u8,
}

/// One thing that a client, a handle or the time does.
#[derive(Arbitrary, Clone, Debug)]
pub enum Step {
    Dial { shard: u8 },
    Raw { net: u8, bytes: [u8; 8], length: u8 },
    Connect { net: u8, hello: Greeting },
    Publish { net: u8, post: Letter },
    Subscribe { net: u8, id: u8, filter: u8, options: u8, identifier: u8 },
    Unsubscribe { net: u8, id: u8, filter: u8 },
    Ack { net: u8, kind: u8, id: u8, reason: u8 },
    Obey { net: u8 },
    Ping { net: u8 },
    Disconnect { net: u8, reason: u8 },
    HangUp { net: u8, lost: u8 },
    Stall { net: u8, stalled: bool },
    Open { handle: u8, room: u8, queue: u8 },
    Say { handle: u8, post: Letter, hold: u8 },
    Listen { handle: u8, filter: u8, options: u8 },
    Unlisten { handle: u8, filter: u8 },
    Fetch { handle: u8, room: u8 },
    Shut { handle: u8 },
    Steps { count: u8 },
    Settle { answering: bool },
    Pass { milliseconds: u16 },
}

/// A CONNECT.
#[derive(Arbitrary, Clone, Debug)]
pub struct Greeting {
    pub(crate) version: u8,
    pub(crate) client_id: u8,
    pub(crate) clean: bool,
    pub(crate) keep_alive_seconds: u8,
    pub(crate) expiry_seconds: u8,
    pub(crate) window: u8,
    pub(crate) packet_bytes_max: u8,
    pub(crate) aliases: u8,
    pub(crate) will: Option<Letter>,
    pub(crate) will_delay_seconds: u8,
}

/// A message.
#[derive(Arbitrary, Clone, Debug)]
pub struct Letter {
    pub(crate) topic: u8,
    pub(crate) qos: u8,
    pub(crate) id: u8,
    pub(crate) retain: bool,
    pub(crate) again: bool,
    pub(crate) payload_bytes: u16,
    pub(crate) expiry_seconds: u8,
    pub(crate) alias: u8,
}
