//! Whoever answers for the client in an enhanced authentication (MQTT 5.0, 4.12). The machine asks it; what a method
//! means is not known here.

use bytes::Bytes;

/// The client's side of one authentication method, for one connection after the other.
pub trait Authenticator: Send {
    /// The method's name.
    fn method(&self) -> &str;

    /// A connection begins: the data that goes with CONNECT. Forgets what came before.
    fn begin(&mut self) -> Bytes;

    /// The answer to what the server sent to go on with; none when the server is not to be believed, which ends the
    /// connection.
    fn answer(&mut self, data: &[u8]) -> Option<Bytes>;

    /// Whether the server, which has let the client in and sent this last, has proved what it has to prove. If not, the
    /// connection ends before anything is sent over it.
    fn is_proved(&mut self, data: &[u8]) -> bool;
}
