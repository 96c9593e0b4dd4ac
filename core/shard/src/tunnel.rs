//! Connections whose session lives at another shard: usually the socket moves there; where moving is not
//! possible, the socket stays and its bytes travel. Either way connection and session stand at one shard,
//! and what crosses is a closed set: open, bytes, taken, output, written, end, close.

use ringmq_proto::time::Now;

use crate::authz::PeerAddress;
use crate::effect::Parcel;
use crate::input::{ConnId, ShardId};
use crate::links::{Relay, Way};
use crate::mesh::frame::Frame;
use crate::stop::Stopping;
use crate::{Effect, LogLevel, Shard};

/// What the session's shard knows of a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct TunnelEnd {
    /// The connection here.
    pub conn: ConnId,
    /// Bytes of the client received and not yet reported as used up.
    pub untold: usize,
}

impl Shard {
    /// CONNECT names a session of another shard: the connection goes there with all it has sent. One that came
    /// through a tunnel should have come to its home; it has no socket that could go on from here.
    pub(crate) fn depart(&mut self, id: ConnId, home: ShardId, bytes: &[u8]) {
        let Some(link) = self.links.at_mut(id) else { return };
        if link.way != Way::Socket {
            self.log(LogLevel::Error, || {
                format!("A tunnel was opened for a session that lives at shard {}.", home.0)
            });
            return self.link_drop(self.now, id);
        }
        if self.settings.moving {
            let (peer, connect_stamp) = (link.peer.clone(), link.connect_stamp);
            let parcel = Box::new(Parcel { bytes: bytes.to_vec(), peer, connect_stamp });
            self.link_take(id);
            let counters = self.counters();
            counters.connections.sub(1);
            counters.moved.add(1);
            return self.effects.push(Effect::Move { conn: id, to: home, parcel });
        }
        link.relay = Some(Relay { home, untaken: bytes.len() as u32 });
        link.conn.inbox = Vec::new();
        let PeerAddress { socket: address, listener, user_name } = &link.peer;
        let (listener, address, user_name) = (*listener, *address, user_name.as_deref());
        let connect_stamp = link.connect_stamp;
        let frame = Frame::TunnelOpen { conn: id, listener, address, user_name, connect_stamp, bytes };
        self.peers.send(home, &frame);
    }

    /// More bytes of a client whose connection has departed and has not gone yet: a read may come in pieces, as from TLS.
    pub(crate) fn follow(&mut self, id: ConnId, bytes: &[u8]) {
        let parcel = self.effects.iter_mut().rev().find_map(|effect| match effect {
            Effect::Move { conn, parcel, .. } if *conn == id => Some(parcel),
            _ => None,
        });
        if let Some(parcel) = parcel {
            parcel.bytes.extend_from_slice(bytes);
        }
    }

    /// More bytes of a client whose session is elsewhere.
    pub(crate) fn relay_bytes(&mut self, id: ConnId, bytes: &[u8]) {
        let window = self.settings.tunnel_window_bytes;
        let Some(link) = self.links.at_mut(id) else { return };
        let Some(relay) = &mut link.relay else { return };
        relay.untaken += bytes.len() as u32;
        let (home, full) = (relay.home, relay.untaken as usize >= window);
        self.peers.send(home, &Frame::TunnelBytes { conn: id, bytes });
        if full {
            self.set_paused(id, true);
        }
    }

    /// The session's shard has used up bytes.
    pub(crate) fn relay_taken(&mut self, id: ConnId, bytes: usize) {
        let window = self.settings.tunnel_window_bytes;
        let Some(link) = self.links.at_mut(id) else { return };
        let Some(relay) = &mut link.relay else { return };
        relay.untaken = relay.untaken.saturating_sub(bytes as u32);
        if (relay.untaken as usize) < window && self.stopping == Stopping::No {
            self.set_paused(id, false);
        }
    }

    /// The session's shard has something for the client.
    pub(crate) fn relay_output(&mut self, id: ConnId, bytes: &[u8]) {
        if let Some(link) = self.links.at_mut(id).filter(|l| l.relay.is_some()) {
            link.out.extend(&mut self.buffers, bytes);
            self.mark_link_dirty(id);
        }
    }

    /// A connection that stays at `from` comes to its session.
    pub(crate) fn tunnel_open(
        &mut self,
        now: Now,
        from: ShardId,
        remote: ConnId,
        peer: PeerAddress,
        connect_stamp: u64,
        bytes: &[u8],
    ) {
        let conn = self.link_open(now, peer, Way::Tunnel { shard: from, remote, unwritten: 0 });
        if let Some(link) = self.links.at_mut(conn) {
            link.connect_stamp = connect_stamp;
        }
        self.tunnels.insert((from, remote), TunnelEnd { conn, untold: 0 });
        if self.stopping != Stopping::No {
            return self.link_drop(now, conn);
        }
        self.tunnel_bytes(now, from, remote, bytes);
    }

    pub(crate) fn tunnel_bytes(&mut self, now: Now, from: ShardId, remote: ConnId, bytes: &[u8]) {
        let Some(end) = self.tunnels.get_mut(&(from, remote)) else { return };
        end.untold += bytes.len();
        let conn = end.conn;
        self.feed(now, conn, bytes);
        self.tunnel_taken(conn);
    }

    pub(crate) fn tunnel_ended(&mut self, now: Now, from: ShardId, remote: ConnId) {
        if let Some(end) = self.tunnels.get(&(from, remote)).copied() {
            self.ended(now, end.conn);
        }
    }

    /// The other shard has written output of this tunnel.
    pub(crate) fn tunnel_written(&mut self, from: ShardId, remote: ConnId, bytes: usize) {
        let Some(end) = self.tunnels.get(&(from, remote)).copied() else { return };
        if let Some(Way::Tunnel { unwritten, .. }) = self.links.at_mut(end.conn).map(|l| &mut l.way) {
            *unwritten = unwritten.saturating_sub(bytes as u32);
        }
        self.mark_link_dirty(end.conn);
    }

    /// Sends output of a tunnelled connection on its way, as far as its window goes; how much it was.
    pub(crate) fn tunnel_output(&mut self, id: ConnId) -> usize {
        let window = self.settings.tunnel_window_bytes;
        let Some(link) = self.links.at_mut(id) else { return 0 };
        let Way::Tunnel { shard, remote, unwritten } = &mut link.way else { return 0 };
        let room = window.saturating_sub(*unwritten as usize);
        if room == 0 || link.out.is_empty() {
            return 0;
        }
        let bytes = link.out.take(&mut self.buffers, room);
        *unwritten += bytes.len() as u32;
        let (shard, conn) = (*shard, *remote);
        self.peers.send(shard, &Frame::TunnelOutput { conn, bytes: &bytes });
        bytes.len()
    }
}
