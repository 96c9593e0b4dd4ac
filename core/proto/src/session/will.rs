//! The will of a connection, kept with its session.

use alloc::rc::Rc;

use ringmq_wire::message::Message;

/// A message to be published when the connection ends without DISCONNECT 0x00 [MQTT-3.1.2-8].
#[derive(Clone, Debug)]
pub struct Will {
    /// What is published; its expiry, if any, is counted from the moment of publication.
    pub message: Rc<Message>,
    /// Seconds between the loss of the connection and the publication [MQTT-3.1.3-9].
    pub delay_seconds: u32,
    /// Seconds the message lives once published.
    pub expiry_seconds: Option<u32>,
}
