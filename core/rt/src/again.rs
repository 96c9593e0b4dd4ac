//! What is ready although no event will say so: sockets tell when something arrives, and not again when only
//! a part of it was taken.

use crate::limits::CONNECTIONS_PER_TURN_MAX;
use crate::sockets::{Event, Token};

/// Tokens to be served in the next turn as if an event had come; in order, at most a few for each socket.
#[derive(Default)]
pub(crate) struct Again(Vec<Token>);

impl Again {
    pub(crate) fn push(&mut self, token: Token) {
        self.0.push(token);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves at most half a turn's worth into `events`, so that those who wait for their first event come too.
    pub(crate) fn take(&mut self, events: &mut Vec<Event>) {
        let taken = self.0.len().min(CONNECTIONS_PER_TURN_MAX / 2);
        events.extend(self.0.drain(..taken).map(Event::readable));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_turn_is_left_for_others_and_order_is_kept() {
        let mut again = Again::default();
        let tokens: Vec<_> = (0..300).map(Token::Listener).collect();
        tokens.iter().for_each(|token| again.push(*token));
        let (mut events, mut seen) = (Vec::new(), Vec::new());
        while !again.is_empty() {
            again.take(&mut events);
            assert!(events.len() <= CONNECTIONS_PER_TURN_MAX / 2);
            seen.extend(events.drain(..).map(|event| event.token));
        }
        assert_eq!(seen, tokens);
    }
}
