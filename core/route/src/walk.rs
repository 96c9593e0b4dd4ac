//! Where a match that is made in parts still has to go. It holds numbers of nodes and never a node, so the tree
//! may change between two parts; a number that was given to another node since is told by that node's birth.

use alloc::vec::Vec;

/// How a part of a match ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Everything that matches was handed out.
    Done,
    /// There may be more.
    More,
}

/// A match under way. It takes 12 bytes for each place it still has to go to: at most one more than the topic has
/// levels.
#[derive(Clone, Debug, Default)]
pub struct MatchWalk {
    begun: bool,
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    number: u32,
    birth: u32,
    /// Where the topic's next level begins.
    start: u32,
}

impl MatchWalk {
    /// A match that has not begun.
    pub const fn new() -> Self {
        Self { begun: false, places: Vec::new() }
    }

    pub(crate) const fn is_fresh(&self) -> bool {
        !self.begun
    }

    /// True the first time.
    pub(crate) fn begin(&mut self) -> bool {
        !core::mem::replace(&mut self.begun, true)
    }

    pub(crate) fn push(&mut self, number: u32, birth: u32, start: u32) {
        self.places.push(Place { number, birth, start });
    }

    pub(crate) fn pop(&mut self) -> Option<(u32, u32, u32)> {
        self.places.pop().map(|place| (place.number, place.birth, place.start))
    }
}
