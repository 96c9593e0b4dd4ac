//! Lines for the log: one per connection event, and one per packet where that is asked for, in the words
//! that mosquitto's operators know.

use ringmq_wire::message::Delivery;
use ringmq_wire::{Connect, Packet, PacketId};

use crate::input::ConnId;
use crate::sessions::{Attached, SessionId};
use crate::{Effect, LogLevel, Shard};

/// A name that a client chose, between quotes and with quotes and control characters of its own escaped, so that it
/// cannot pass for the rest of a line that somebody acts upon.
#[must_use]
pub fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('\'');
    for character in name.chars() {
        match character {
            '\'' | '\\' => text.extend(['\\', character]),
            // Line separators of Unicode are none for the kernel, but for some readers of logs.
            '\u{2028}' | '\u{2029}' => text.extend(character.escape_unicode()),
            _ if character.is_control() => text.extend(character.escape_default()),
            _ => text.push(character),
        }
    }
    text.push('\'');
    text
}

fn who(user_name: Option<&str>, client_id: &str, address: &str) -> String {
    let user = user_name.map_or_else(|| "anonymous".to_owned(), |name| format!("user {}", quoted(name)));
    format!("{user} as {} from {address}", quoted(client_id))
}

impl Shard {
    pub(crate) fn log(&mut self, level: LogLevel, line: impl FnOnce() -> String) {
        self.effects.push(Effect::Log(level, line()));
    }

    /// The client of a session for the log, in the form of lines that somebody acts upon: user name, ClientID, address.
    pub(crate) fn who_is(&self, session: SessionId) -> String {
        let Some(home) = self.sessions.at(session) else { return "<gone>".to_owned() };
        let address = match home.attached {
            Attached::Link(conn) => self.address_of(conn),
            _ => "nowhere, without a connection".to_owned(),
        };
        who(home.user_name(), &home.session.client_id, &address)
    }

    /// The same for the client of a connection; its address alone as long as no more is known.
    pub(crate) fn who_is_at(&self, id: ConnId) -> String {
        match self.links.at(id).and_then(|link| link.session) {
            Some(session)
                if self.sessions.at(session).is_some_and(|home| home.attached == Attached::Link(id)) =>
            {
                self.who_is(session)
            }
            _ => self.address_of(id),
        }
    }

    /// The same for a client that is about to connect.
    pub(crate) fn who_connects(&self, id: ConnId, connect: &Connect<'_>) -> String {
        who(connect.user_name, connect.client_id, &self.address_of(id))
    }

    /// Where a connection comes from.
    pub(crate) fn address_of(&self, id: ConnId) -> String {
        self.links.at(id).map_or_else(|| "<gone>".to_owned(), |link| link.peer.text())
    }

    /// `direction` is "Received" or "Sending".
    #[inline]
    pub(crate) fn log_packet(&mut self, direction: &str, id: ConnId, packet: &Packet<'_>) {
        if self.settings.log_packets {
            self.log_packet_line(direction, id, packet);
        }
    }

    #[cold]
    fn log_packet_line(&mut self, direction: &str, id: ConnId, packet: &Packet<'_>) {
        let name = self.name_of(id);
        self.log(LogLevel::Debug, || packet_line(direction, &name, packet));
    }

    pub(crate) fn log_delivery(&mut self, id: ConnId, d: &Delivery<'_>) {
        if !self.settings.log_packets {
            return;
        }
        let name = self.name_of(id);
        let (dup, qos, retain) = (u8::from(d.dup), d.qos as u8, u8::from(d.retain));
        let packet_id = d.packet_id.map_or(0, PacketId::value);
        let (topic, bytes) = (d.message.topic().to_owned(), d.message.payload().len());
        self.log(LogLevel::Debug, || {
            format!("Sending PUBLISH to {name} (d{dup}, q{qos}, r{retain}, m{packet_id}, '{topic}', ... ({bytes} bytes))")
        });
    }
}

fn packet_line(direction: &str, name: &str, packet: &Packet<'_>) -> String {
    let way = if direction == "Received" { "from" } else { "to" };
    let head = format!("{direction} {} {way} {name}", packet.kind().name());
    match packet {
        Packet::Publish(p) => {
            let (dup, qos, retain) = (u8::from(p.dup), p.qos as u8, u8::from(p.retain));
            let (packet_id, topic) = (p.packet_id.map_or(0, PacketId::value), p.topic.as_str());
            format!(
                "{head} (d{dup}, q{qos}, r{retain}, m{packet_id}, '{topic}', ... ({} bytes))",
                p.payload.len()
            )
        }
        Packet::Connack(c) => format!("{head} ({}, {})", u8::from(c.session_present), c.reason.value()),
        Packet::Puback(a) | Packet::Pubrec(a) | Packet::Pubrel(a) | Packet::Pubcomp(a) => {
            format!("{head} (m{}, rc{})", a.packet_id.value(), a.reason.value())
        }
        Packet::Subscribe(s) => {
            let filters: Vec<String> = s
                .filters
                .iter()
                .map(|f| format!("{} (QoS {})", f.filter.whole(), f.options.qos as u8))
                .collect();
            format!("{head} (m{}) {}", s.packet_id.value(), filters.join(", "))
        }
        Packet::Unsubscribe(u) => {
            let filters: Vec<&str> = u.filters.iter().map(ringmq_wire::TopicFilter::whole).collect();
            format!("{head} (m{}) {}", u.packet_id.value(), filters.join(", "))
        }
        Packet::Disconnect(d) => format!("{head} (rc{})", d.reason.value()),
        _ => head,
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn no_name_ends_its_quotes_or_its_line() {
        for (name, expected) in [
            ("anna", "'anna'"),
            ("", "''"),
            ("jörg x", "'jörg x'"),
            ("x' from 192.0.2.1:1: wrong", "'x\\' from 192.0.2.1:1: wrong'"),
            ("a\\", "'a\\\\'"),
            ("a\nb\u{1b}\u{2028}", "'a\\nb\\u{1b}\\u{2028}'"),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }
}
