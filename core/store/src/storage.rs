//! What a store does: it takes commands in order and says, later, up to where they are durable. An
//! acknowledgement that promises durability waits for its ticket.

use crate::command::Command;

/// A place in the order of commands given to a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreTicket(pub u64);

/// Keeps commands.
pub trait Store {
    /// Takes a command; it is durable once [`Store::completed`] has reached the returned ticket. Must not
    /// block.
    fn submit(&mut self, command: &Command<'_>) -> StoreTicket;
    /// Everything up to this ticket is durable.
    fn completed(&self) -> StoreTicket;
}

/// Keeps nothing beyond the process: the state in memory is all there is, so each ticket is complete at
/// once and nothing is encoded.
#[derive(Debug, Default)]
pub struct Memory {
    taken: u64,
}

impl Store for Memory {
    fn submit(&mut self, _: &Command<'_>) -> StoreTicket {
        self.taken += 1;
        StoreTicket(self.taken)
    }
    fn completed(&self) -> StoreTicket {
        StoreTicket(self.taken)
    }
}
