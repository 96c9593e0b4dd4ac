//! Whether a shard looks a few microseconds longer before it sleeps, as hypervisors do with an idle guest ("halt
//! polling"). Who is answered at once mostly answers at once, and then sleeping and being woken costs both ends more
//! than looking would have. It decides by what came of its looks; it reads no clock and looks nowhere itself.

use crate::limits::{HALT_POLL_EVERY, HALT_POLL_SCORE_MAX};

/// How many finds it takes to make up for a look in vain. Looks go on while more than seven in eight find something: a
/// look in vain costs its whole time, one that finds saves a start of the thread less its own time, and who sleeps
/// finds more at once when he is started. With three in four, ten pairs at 50,000 messages a second cost 4 % more.
const IN_VAIN: u8 = 7;

/// What looking before a sleep has been worth lately.
#[derive(Debug, Default)]
pub(crate) struct HaltPoll {
    /// Raised by each look that found something, lowered by each that did not.
    score: u8,
    /// Sleeps since the last look of chance.
    sleeps: u8,
}

impl HaltPoll {
    /// Whether to look before this sleep: while that was worth it, and else now and then, to learn if it has become so.
    #[inline]
    pub(crate) fn is_worth_it(&mut self) -> bool {
        self.sleeps = (self.sleeps + 1) % HALT_POLL_EVERY;
        self.score > 0 || self.sleeps == 0
    }

    /// A look has found something, or not.
    pub(crate) fn learn(&mut self, found: bool) {
        self.score = if found {
            (self.score + 1).min(HALT_POLL_SCORE_MAX)
        } else {
            self.score.saturating_sub(IN_VAIN)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many sleeps are put off by a look, when looks find what `finds` says.
    fn looks(sleeps: usize, mut finds: impl FnMut(usize) -> bool) -> usize {
        let mut poll = HaltPoll::default();
        let mut looks = 0;
        for sleep in 0..sleeps {
            if poll.is_worth_it() {
                looks += 1;
                poll.learn(finds(sleep));
            }
        }
        looks
    }

    #[test]
    fn looks_that_find_nothing_become_rare() {
        let (sleeps, every) = (64_000, usize::from(HALT_POLL_EVERY));
        assert_eq!(looks(sleeps, |_| false), sleeps / every);
        // Every second one is not worth it either: those that follow a find soon end.
        let mut found = false;
        let half = looks(sleeps, |_| {
            found = !found;
            found
        });
        assert!(half <= sleeps / every * 2, "{half}");
    }

    #[test]
    fn looks_that_find_something_go_on_until_they_do_not() {
        let every = usize::from(HALT_POLL_EVERY);
        assert_eq!(looks(64_000, |_| true), 64_000 - every + 1);
        let turned = looks(64_000, |sleep| sleep < 32_000);
        let most = 32_000 - every + 1 + usize::from(HALT_POLL_SCORE_MAX.div_ceil(IN_VAIN)) + 32_000 / every;
        assert!(turned <= most, "{turned} of {most}");
    }
}
