//! Before a connection takes over a session, what the old connection's client has sent is heard: the runtime reads
//! what has arrived on the old socket. A client that publishes, says DISCONNECT and comes back at once under the
//! same name loses nothing by that, and its will is not published, wherever the two connections were accepted. What
//! arrives later is not waited for.

use ringmq_proto::time::Now;

use crate::input::{ConnId, ShardId};
use crate::links::{Park, Way};
use crate::mesh::frame::Frame;
use crate::sessions::Attached;
use crate::stop::Stopping;
use crate::window::Window;
use crate::{Effect, Shard};

impl Shard {
    /// Whether the CONNECT of `id` has to wait until the connection that its session has was heard out.
    pub(crate) fn must_hear_out(&mut self, now: Now, id: ConnId, client_id: &str) -> bool {
        let attached = self.session_of(client_id).and_then(|session| self.sessions.at(session));
        let Some((Attached::Link(old), newest)) = attached.map(|home| (home.attached, home.connect_stamp))
        else {
            return false;
        };
        // One that comes too late takes nothing over.
        if self.links.at(id).is_none_or(|link| link.heard == Some(old) || link.connect_stamp < newest) {
            return false;
        }
        self.lift_window(now, old);
        let Some(link) = self.links.at(old).filter(|link| link.conn.is_open() && !link.ended) else {
            return false;
        };
        match link.way {
            Way::Socket => self.effects.push(Effect::HearOut(old)),
            Way::Tunnel { shard, remote, .. } => {
                self.peers.send(shard, &Frame::TunnelHearOut { conn: remote });
            }
        }
        self.hearing.push((old, id));
        true
    }

    /// Everything that had arrived on a connection was handed in, or the connection is gone: who waits to take
    /// over goes on.
    pub(crate) fn heard_out(&mut self, now: Now, old: ConnId) {
        if let Some(relay) = self.links.at(old).and_then(|link| link.relay) {
            return self.peers.send(relay.home, &Frame::TunnelHeard { conn: old });
        }
        if let Some(link) = self.links.at_mut(old).filter(|link| link.window == Window::Lifted) {
            // Nobody may take over after all.
            link.window = Window::Open;
        }
        let waiting: Vec<ConnId> =
            self.hearing.extract_if(.., |(of, _)| *of == old).map(|(_, id)| id).collect();
        for id in waiting {
            if let Some(link) = self.links.at_mut(id).filter(|link| link.park == Some(Park::Hearing)) {
                link.heard = Some(old);
                link.park = None;
                self.resume_later(now, id);
            }
        }
    }

    /// The session's shard wants to know what has arrived here on the socket of a tunnel.
    pub(crate) fn tunnel_hear_out(&mut self, from: ShardId, conn: ConnId) {
        if self.links.at(conn).is_some_and(|link| link.relay.is_some()) {
            self.effects.push(Effect::HearOut(conn));
        } else {
            // Its end is on its way already; that may have been before the question.
            self.peers.send(from, &Frame::TunnelHeard { conn });
        }
    }

    /// The socket end of a tunnel has sent everything that had arrived.
    pub(crate) fn tunnel_heard(&mut self, now: Now, from: ShardId, remote: ConnId) {
        if let Some(end) = self.tunnels.get(&(from, remote)).copied() {
            self.heard_out(now, end.conn);
        }
    }

    /// Whether a connection that has broken is to be read to its end although it is not read: it only waits for others,
    /// and there is room.
    #[must_use]
    pub fn hears_last_words(&self, id: ConnId) -> bool {
        let choked = self.links.at(id).is_some_and(|link| link.choked && link.conn.is_open());
        choked && self.stopping == Stopping::No && !self.is_short_of_room()
    }
}
