//! How many QoS 1 and 2 publishes a client may have unacknowledged. 5.0 is told and has to keep to it [MQTT-3.3.4-7];
//! 3.x knows of no such thing and is kept to the same: what it sends beyond it waits.

use ringmq_proto::time::Now;
use ringmq_wire::Version;

use crate::Shard;
use crate::input::ConnId;
use crate::links::{Link, Park};

/// How a client of 3.x, which knows of no window, is kept to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// It owes less than may be.
    Open,
    /// It owes as much as may be: that is one of its holds.
    Full,
    /// Another connection is to take over: all it has said is to be heard before, however much it is.
    Lifted,
}

impl Shard {
    /// A client of 3.x knows of no window. Once so many of its publishes are not acknowledged that a client of 5.0 could
    /// have no more, the next ones wait: what one connection has under way is bounded whatever its version.
    pub(crate) fn close_window(&mut self, id: ConnId) {
        let owes = |link: &Link| link.conn.version != Version::V5 && link.pending.len() > 0;
        if self.links.at(id).is_none_or(|link| !owes(link)) {
            return;
        }
        let window = usize::from(self.offer_to(id).receive_maximum);
        if let Some(link) = self.links.at_mut(id)
            && link.pending.len() >= window
            && link.window == Window::Open
        {
            link.window = Window::Full;
            self.hold_publisher(id);
        }
    }

    /// It goes on when half of them are, so that waiting and going on is not paid for each.
    pub(crate) fn open_window(&mut self, id: ConnId) {
        let window = usize::from(self.offer_to(id).receive_maximum);
        if let Some(link) = self.links.at_mut(id)
            && link.pending.len() <= window / 2
        {
            link.window = Window::Open;
            self.release_publisher(self.now, id);
        }
    }

    /// A client that comes back has no window on its old connection any more: what it has sent there is heard at once.
    /// One that only has gone is waited for: all of it at once might be more than may be held.
    pub(crate) fn lift_window(&mut self, now: Now, id: ConnId) {
        let Some(link) = self.links.at_mut(id) else { return };
        if std::mem::replace(&mut link.window, Window::Lifted) == Window::Full {
            link.holds -= 1;
            link.park.get_or_insert(Park::Turn);
        }
        // Nor need it wait for its turn to go on.
        if link.holds == 0 && link.park == Some(Park::Turn) {
            // A packet of another connection may be under way.
            let whole = self.whole.take();
            self.resume(now, id);
            self.whole = whole;
        }
    }
}
