//! What the messages that somebody still keeps take together: each that was entered leaves the sum when its last
//! holder lets it go, wherever that is. A message that many queues share counts once.

use alloc::rc::Rc;
use core::cell::Cell;

/// A sum of bytes, of one thread.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Rc<Cell<u64>>);

impl Ledger {
    /// Bytes of all messages that were entered and are still there.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.get()
    }
    /// A part of it, which was `before`, is `after`.
    #[inline]
    fn follow(&self, before: usize, after: usize) {
        self.0.set(self.0.get().wrapping_add(after as u64).wrapping_sub(before as u64));
    }
}

/// What one message has entered.
#[derive(Debug, Default)]
pub(crate) struct Entered(Option<(Ledger, usize)>);

impl Entered {
    pub(crate) fn enter(&mut self, ledger: &Ledger, bytes: usize) {
        self.leave();
        ledger.follow(0, bytes);
        self.0 = Some((ledger.clone(), bytes));
    }
    /// The message takes other room than before.
    #[inline]
    pub(crate) fn change(&mut self, bytes: usize) {
        if let Some((ledger, entered)) = &mut self.0 {
            ledger.follow(*entered, bytes);
            *entered = bytes;
        }
    }
    fn leave(&mut self) {
        if let Some((ledger, bytes)) = self.0.take() {
            ledger.follow(bytes, 0);
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A copy is nobody's yet.
impl Clone for Entered {
    fn clone(&self) -> Self {
        Self::default()
    }
}
