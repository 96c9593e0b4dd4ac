//! When to send PINGREQ and when a silent server counts as gone. It keeps moments only and sends nothing.

use crate::time::Mono;

/// The keep-alive clock of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeepAlive {
    /// Silence after which PINGREQ is due, in milliseconds; 0 is never.
    interval_ms: u64,
    timeout_ms: u64,
    sent: Mono,
    /// Since when an answer is awaited; later traffic counts as a sign of life and moves it.
    waiting_since: Option<Mono>,
    /// While nobody reads the transport, the absence of an answer proves nothing.
    paused: bool,
}

impl KeepAlive {
    pub(super) fn start(&mut self, now: Mono, seconds: u16, timeout_ms: u64) {
        let paused = self.paused;
        *self = Self {
            interval_ms: u64::from(seconds) * 1000,
            timeout_ms,
            sent: now,
            waiting_since: None,
            paused,
        };
    }

    pub(super) fn stop(&mut self) {
        *self = Self { paused: self.paused, ..Self::default() };
    }

    pub(super) fn sent(&mut self, now: Mono) {
        self.sent = now;
    }

    pub(super) fn asked(&mut self, now: Mono) {
        self.sent = now;
        self.waiting_since.get_or_insert(now);
    }

    pub(super) fn received(&mut self, now: Mono) {
        if let Some(since) = &mut self.waiting_since {
            *since = now;
        }
    }

    pub(super) fn answered(&mut self) {
        self.waiting_since = None;
    }

    pub(super) fn pause(&mut self, now: Mono, paused: bool) {
        if self.paused && !paused {
            self.received(now);
        }
        self.paused = paused;
    }

    /// When PINGREQ is due.
    pub(super) fn ping_due(&self) -> Option<Mono> {
        (self.interval_ms > 0).then(|| self.sent.plus(self.interval_ms))
    }

    /// When the server counts as gone.
    pub(super) fn answer_due(&self) -> Option<Mono> {
        let since = self.waiting_since.filter(|_| !self.paused)?;
        Some(since.plus(self.timeout_ms))
    }
}
