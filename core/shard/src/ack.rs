//! The client's acknowledgements of what the broker sent, and its PUBREL.

use ringmq_proto::session::{Change, SentState};
use ringmq_proto::time::Now;
use ringmq_wire::{Ack, Packet, PacketId, Properties, ReasonCode};

use crate::Shard;
use crate::input::ConnId;
use crate::sessions::SessionId;

impl Shard {
    fn sent_state(&self, id: ConnId, packet_id: PacketId) -> Option<(SessionId, SentState)> {
        let session = self.links.at(id)?.session?;
        Some((session, self.sessions.at(session)?.session.inflight.get(packet_id)?.state))
    }

    pub(crate) fn on_puback(&mut self, _now: Now, id: ConnId, ack: &Ack<'_>) {
        if let Some((session, SentState::AwaitPuback)) = self.sent_state(id, ack.packet_id) {
            self.complete(id, session, ack);
        }
    }

    /// PUBREC: the client owns the message, or refuses it and the exchange is over [MQTT-4.3.3-4].
    pub(crate) fn on_pubrec(&mut self, _now: Now, id: ConnId, ack: &Ack<'_>) {
        let packet_id = ack.packet_id;
        let state = self.sent_state(id, packet_id);
        if let Some((session, SentState::AwaitPubrec)) = state {
            if ack.reason.is_error() {
                return self.complete(id, session, ack);
            }
            self.change(session, Change::Received { packet_id });
        }
        let reason = match state {
            Some((_, SentState::AwaitPubrec | SentState::AwaitPubcomp)) => ReasonCode::SUCCESS,
            // 3.1.1 has no word for an unknown id; the exchange is finished all the same.
            _ => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
        };
        self.send(id, &Packet::Pubrel(Ack { packet_id, reason, properties: Properties::EMPTY }));
    }

    pub(crate) fn on_pubcomp(&mut self, _now: Now, id: ConnId, ack: &Ack<'_>) {
        if let Some((session, SentState::AwaitPubcomp)) = self.sent_state(id, ack.packet_id) {
            self.complete(id, session, ack);
        }
    }

    /// PUBREL: the client will not send this message again [MQTT-4.3.3-11].
    pub(crate) fn on_pubrel(&mut self, id: ConnId, ack: &Ack<'_>) {
        let Some(session) = self.links.at(id).and_then(|l| l.session) else { return };
        let packet_id = ack.packet_id;
        let known = self.sessions.at(session).is_some_and(|home| home.session.incoming.contains(packet_id));
        if known {
            self.change(session, Change::IncomingReleased { packet_id });
        }
        let reason = if known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND };
        self.send(id, &Packet::Pubcomp(Ack { packet_id, reason, properties: Properties::EMPTY }));
    }

    /// An exchange is over: its id is free and the window has room for one more. With 0x80 or more the
    /// message is discarded, also one of a shared subscription [MQTT-4.8.2-6].
    fn complete(&mut self, id: ConnId, session: SessionId, ack: &Ack<'_>) {
        let packet_id = ack.packet_id;
        let Some(home) = self.sessions.at_mut(session) else { return };
        let Some(sent) = home.session.inflight.get(packet_id) else { return };
        let (here, shared) = (sent.on_this_connection, sent.shared);
        if here {
            home.session.window_give();
        }
        if ack.reason.is_error() {
            self.counters().refused_by_client.add(1);
        }
        self.change(session, Change::Completed { packet_id });
        if let Some(origin) = shared {
            self.shared_done(session, origin);
        }
        self.mark_link_dirty(id);
    }
}
