//! One listening socket of a shard: when it may accept again after accept failed, and what is said about it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ringmq_net::Door;
use ringmq_proto::time::Mono;

use crate::error::remedy;
use crate::limits::{ACCEPT_REST, ACCEPT_WORD};

/// What stands behind a listening socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behind {
    pub(crate) door: Arc<Door>,
    /// Milliseconds that the handshakes of its layers may take together.
    pub(crate) handshake_timeout: u64,
}

/// A listening socket. After a failed accept it rests, for the next one would fail too.
pub(crate) struct Listener {
    pub(crate) fd: OwnedFd,
    /// What its connections have between their socket and MQTT.
    pub(crate) behind: Behind,
    pub(crate) rests_until: Option<Mono>,
    /// No line about failing before this moment.
    silent_until: Option<Mono>,
    /// The last line said that it fails.
    said_failing: bool,
}

impl Listener {
    pub(crate) fn new(fd: OwnedFd, behind: Behind) -> Self {
        Self { fd, behind, rests_until: None, silent_until: None, said_failing: false }
    }

    /// Accept failed: rests for a while, and gives the line for the log unless it was said lately.
    pub(crate) fn failed(&mut self, now: Mono, error: &io::Error) -> Option<String> {
        self.rest(now);
        if self.silent_until.is_some_and(|until| now < until) {
            return None;
        }
        self.silent_until = Some(now.plus(ACCEPT_WORD));
        self.said_failing = true;
        Some(format!(
            "no connection can be accepted, the next attempt is in {ACCEPT_REST} ms: {error}{}",
            remedy(error)
        ))
    }

    /// Accept succeeded: gives the line for the log if the last one said that it does not.
    pub(crate) fn succeeded(&mut self) -> Option<&'static str> {
        std::mem::take(&mut self.said_failing).then_some("connections are accepted again")
    }

    /// Accepts nothing for a while.
    pub(crate) fn rest(&mut self, now: Mono) {
        self.rests_until = Some(now.plus(ACCEPT_REST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starved_listener_says_once_what_to_do_and_once_that_it_is_over() {
        let mut listener = Listener::new(std::fs::File::open("/dev/null").unwrap().into(), Behind::default());
        let starved = io::Error::from_raw_os_error(libc::EMFILE);
        let begin = Mono(1_000);
        assert_eq!(listener.succeeded(), None);
        let line = listener.failed(begin, &starved).unwrap();
        for part in ["100 ms", "Too many open files", "ulimit -n", "LimitNOFILE="] {
            assert!(line.contains(part), "{part} is missing in: {line}");
        }
        assert_eq!(listener.rests_until, Some(begin.plus(ACCEPT_REST)));
        assert_eq!(listener.failed(begin.plus(ACCEPT_REST), &starved), None);
        assert_eq!(listener.succeeded(), Some("connections are accepted again"));
        assert_eq!(listener.succeeded(), None);
        assert_eq!(listener.failed(begin.plus(ACCEPT_WORD - 1), &starved), None, "it comes and goes");
        assert!(listener.failed(begin.plus(ACCEPT_WORD), &starved).is_some());
    }
}
