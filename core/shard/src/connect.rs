//! CONNECT: who it is, where its session lives, whether it may come in; then takeover, session and CONNACK.
//! In this order, so that a client that may not come in takes nothing over, and nothing behind CONNECT is
//! processed before it is accepted [MQTT-3.1.4-6].

use ringmq_proto::conn::ClientLimits;
use ringmq_proto::session::{Change, NEVER, Will};
use ringmq_proto::time::{Mono, Now};
use ringmq_wire::message::{Message, MessageParts, Payload};
use ringmq_wire::{
    Connack, Connect, Disconnect, Packet, PropertiesBuffer, Property, Qos, ReasonCode, Version,
};

use crate::authz::Question;
use crate::budget::Rung;
use crate::exchange::Response;
use crate::fault::{self, Fault};
use crate::input::ConnId;
use crate::limits::Settings;
use crate::links::{Denial, Link, Park, Said};
use crate::local::LOCAL_PREFIX;
use crate::log::quoted;
use crate::message_pool::MessagePool;
use crate::offer::Offer;
use crate::receive::Step;
use crate::sessions::{Attached, SessionId};
use crate::timer::{TIMER_AHEAD_MAX, Timer};
use crate::{LogLevel, Shard};

/// Longest ClientID of 3.1 in characters, where that rule is kept.
const CLIENT_ID_V31_CHARACTERS_MAX: usize = 23;

impl Shard {
    /// CONNECT for the first time, or again after it waited. `raw` is the packet with its fixed header.
    pub(crate) fn connect(&mut self, now: Now, id: ConnId, connect: &Connect<'_>, raw: &[u8]) -> Step {
        if let Some(link) = self.links.at_mut(id) {
            link.conn.version = connect.version;
            link.conn.limits = ClientLimits::of(connect);
            if link.connect_stamp == 0 {
                link.connect_stamp = self.common.stamps.next();
            }
        }
        self.half_open_leave(id);
        if let Err(fault) = check(&self.settings, self.offer_to(id), connect) {
            self.note_received(id, &Packet::Connect(*connect));
            return self.refuse(now, id, connect, fault);
        }
        match connect.properties.str(Property::AuthenticationMethod) {
            None => self.admit(now, id, connect, None),
            Some(method) => {
                let data = connect.properties.bytes(Property::AuthenticationData);
                self.admit(now, id, connect, Some(Response { method, data, connect: Some(raw) }))
            }
        }
    }

    /// A CONNECT that is as it should be. `response` is what the client says in the exchange of the method it named.
    pub(crate) fn admit(
        &mut self,
        now: Now,
        id: ConnId,
        connect: &Connect<'_>,
        response: Option<Response<'_>>,
    ) -> Step {
        // A name that the transport has proved counts, whatever CONNECT says.
        let proved = self.links.at(id).and_then(|link| link.peer.user_name.clone());
        let connect = &Connect { user_name: proved.as_deref().or(connect.user_name), ..*connect };
        let assigned = connect.client_id.is_empty();
        let named_after = connect.user_name.filter(|_| self.offer_to(id).client_id_is_user_name);
        let client_id = match (named_after, assigned) {
            (Some(user_name), _) => user_name.to_owned(),
            (None, true) => self.assigned_id(id),
            (None, false) => connect.client_id.to_owned(),
        };
        if client_id.starts_with(LOCAL_PREFIX) {
            return self.refuse(now, id, connect, fault::CLIENT_ID_OF_HANDLE);
        }
        let home = self.owner_of(&client_id);
        if home != self.id {
            return Step::Away(home);
        }
        let of_connect = response.is_none_or(|response| response.connect.is_some());
        if of_connect {
            self.note_received(id, &Packet::Connect(*connect));
        }
        let said = match &response {
            None => self.ask_connect(now, id, connect, &client_id),
            Some(response) => self.ask_exchange(now, id, connect, &client_id, response),
        };
        let said = said.and(|| self.ask_will(now, id, connect, &client_id));
        match said.and(|| self.show_will(now, id, connect, &client_id)) {
            Said::Open => return Step::Wait(Park::Decision),
            Said::Continue => {
                self.challenge(now, id, response.and_then(|response| response.connect));
                return Step::Done;
            }
            Said::Allow if self.must_hear_out(now, id, &client_id) => return Step::Wait(Park::Hearing),
            Said::Allow if !self.may_still_come(id, &client_id, connect.user_name) => {
                return self.refuse(now, id, connect, fault::NOT_AUTHORIZED);
            }
            Said::Allow => {}
            Said::Deny(denial) => return self.refuse(now, id, connect, connect_fault(denial)),
            Said::Nothing => return self.refuse(now, id, connect, fault::UNDECIDED),
        }
        match self.take_rewritten(id).zip(connect.will) {
            None => {
                self.asked_enough(id);
                self.accept_connect(now, id, connect, &client_id, assigned);
            }
            Some((new, will)) => {
                if self.is_spoilt(id, &new) {
                    return self.refuse(now, id, connect, fault::UNDECIDED);
                }
                self.asked_enough(id);
                let properties = new.will_properties(&will);
                let connect = &Connect { will: Some(new.will(&will, &properties)), ..*connect };
                self.accept_connect(now, id, connect, &client_id, assigned);
            }
        }
        Step::Done
    }

    fn ask_connect(&mut self, now: Now, id: ConnId, connect: &Connect<'_>, client_id: &str) -> Said {
        if let Some(said) = self.said_before(id, 0) {
            return said;
        }
        let Some(link) = self.links.at(id) else { return Said::Nothing };
        let ticket = Self::next_ticket(&mut self.tickets);
        let (peer, user_name, password) = (&link.peer, connect.user_name, connect.password);
        let question = Question::Connect { peer, client_id, user_name, password };
        let answer = self.decider.decide(ticket, &question);
        self.note_answer(now, id, ticket, answer)
    }

    /// A will is a publish that comes later: it needs the same permission.
    fn ask_will(&mut self, now: Now, id: ConnId, connect: &Connect<'_>, client_id: &str) -> Said {
        let Some(will) = &connect.will else { return Said::Allow };
        if let Some(said) = self.said_before(id, 1) {
            return said;
        }
        let ticket = Self::next_ticket(&mut self.tickets);
        let Some(listener) = self.links.at(id).map(|link| link.peer.listener) else { return Said::Nothing };
        let (user_name, topic, retain) = (connect.user_name, will.topic.as_str(), will.retain);
        let identity = self.links.at(id).and_then(Link::identity);
        let user_name = identity.and_then(|identity| identity.user_name.as_deref()).or(user_name);
        let question = Question::Publish { client_id, user_name, identity, listener, topic, retain };
        let answer = self.decider.decide(ticket, &question);
        self.note_answer(now, id, ticket, answer)
    }

    fn accept_connect(
        &mut self,
        now: Now,
        id: ConnId,
        connect: &Connect<'_>,
        client_id: &str,
        assigned: bool,
    ) {
        let connect_stamp = self.links.at(id).map_or(0, |link| link.connect_stamp);
        let known_as = self.links.at(id).and_then(|link| link.identity()?.user_name.clone());
        let connect = &Connect { user_name: known_as.as_deref().or(connect.user_name), ..*connect };
        let keep_alive = self.keep_alive_of(id, connect);
        let expiry_seconds = expiry_of(connect).min(self.offer_to(id).session_expiry_seconds_max);
        let assigned_id = if assigned { Some(client_id) } else { None };
        let answer = self.connack_properties(id, connect, assigned_id, keep_alive, expiry_seconds);
        let bytes = connack(false, &answer).encoded_bytes(connect.version);
        if bytes > ClientLimits::of(connect).packet_bytes_max as usize {
            self.refuse(now, id, connect, fault::ANSWER_TOO_LARGE);
            return;
        }
        if let Err(fault) = self.has_room_for(client_id) {
            self.refuse(now, id, connect, fault);
            return;
        }
        if let Some(session) = self.session_of(client_id) {
            if self.sessions.at(session).is_some_and(|home| home.connect_stamp > connect_stamp) {
                return self.come_too_late(now, id, connect, session, &answer);
            }
            self.take_over(now, session, connect.clean_start);
        }
        let existing = self.session_of(client_id);
        let session_id = existing.unwrap_or_else(|| self.session_open(client_id));
        let (alias_in, alias_out) =
            (self.offer_to(id).topic_alias_maximum, self.settings.topic_alias_outbound_max);
        let Some(link) = self.links.at_mut(id) else { return };
        link.conn.accept(connect, keep_alive, alias_in, alias_out);
        link.conn.keep_alive.last_packet = now.mono;
        link.session = Some(session_id);
        let window = link.conn.limits.receive_maximum.min(self.settings.inflight_messages_max);
        let (deadline, listener) = (link.conn.keep_alive.deadline(), link.peer.listener);
        let identity = link.login.as_ref().and_then(|login| login.identity.clone());
        let will = connect.will.map(|will| will_of(&self.messages, &will, self.uid_of(session_id)));
        self.epochs += 1;
        let epoch = self.epochs;
        // The epoch is raised under the longer of the old and the new life, so that the store hears of it.
        if let Some(home) = self.sessions.at_mut(session_id) {
            home.attached = Attached::Link(id);
            home.connect_stamp = connect_stamp;
            home.know(connect.user_name, identity, listener);
            home.overflow.iter_mut().for_each(|overflow| overflow.full_since = None);
            home.session.expiry_seconds = home.session.expiry_seconds.max(expiry_seconds);
        }
        self.change(session_id, Change::Attached { epoch, expiry_seconds, will });
        if let Some(home) = self.sessions.at_mut(session_id) {
            home.session.attach(window);
        }
        self.counters().sessions_connected.add(1);
        self.arm_keep_alive(now, id, deadline);
        self.end_exchange(now, id);
        // 3.1 has no session present flag: its reserved byte stays zero.
        let session_present = existing.is_some() && connect.version != Version::V31;
        self.send(id, &connack(session_present, &answer));
        self.announce_member(session_id);
        self.log_connected(id, connect, client_id);
        self.tell_connected(id, session_id);
        self.mark_link_dirty(id);
    }

    /// Whether the client may come in as far as room goes: who has a session may.
    fn has_room_for(&self, client_id: &str) -> Result<(), Fault> {
        if self.session_of(client_id).is_some() {
            return Ok(());
        }
        if self.rung >= Rung::Refuse {
            self.counters().memory_refused.add(1);
            return Err(fault::MEMORY_SHORT);
        }
        // The program's own sessions are no clients'.
        if self.sessions.len().saturating_sub(self.locals.len()) >= self.settings.sessions_max {
            self.counters().sessions_refused.add(1);
            return Err(fault::SESSIONS_FULL);
        }
        Ok(())
    }

    fn arm_keep_alive(&mut self, now: Now, id: ConnId, deadline: Option<Mono>) {
        match deadline {
            Some(at) => self.arm_link(id, at.min(now.mono.plus(TIMER_AHEAD_MAX)), Timer::KeepAlive(id)),
            None => self.disarm_link(id),
        }
    }

    fn log_connected(&mut self, id: ConnId, connect: &Connect<'_>, client_id: &str) {
        let from = self.address_of(id);
        let (clean, keep_alive) = (u8::from(connect.clean_start), connect.keep_alive);
        // mosquitto's numbers: 1 for 3.1, 2 for 3.1.1, 5 for 5.0.
        let protocol = if connect.version == Version::V5 { 5 } else { connect.version as u8 - 2 };
        let user = connect.user_name.map_or_else(String::new, |user| format!(", u{}", quoted(user)));
        self.log(LogLevel::Info, || {
            format!("New client connected from {from} as {client_id} (p{protocol}, c{clean}, k{keep_alive}{user}).")
        });
    }

    /// A CONNECT was under way, or waited for a decision, while a later one of the same ClientID was accepted. What
    /// its client sees is that it was accepted and that the later one took over [MQTT-3.1.4-3], as if both had come
    /// to the session in their order; its will is due. The session and what the later one did to it stay. The client
    /// may be long gone.
    fn come_too_late(
        &mut self,
        now: Now,
        id: ConnId,
        connect: &Connect<'_>,
        session: SessionId,
        answer: &PropertiesBuffer,
    ) {
        let client_id = self.client_id(session).unwrap_or_default().to_owned();
        self.log(LogLevel::Info, || {
            format!("Client {client_id} has connected again since, closing the older connection.")
        });
        self.counters().takeovers.add(1);
        let session_present = !connect.clean_start && connect.version != Version::V31;
        self.send(id, &connack(session_present, answer));
        self.say_taken_over(id);
        if let Some(will) = connect.will.map(|will| will_of(&self.messages, &will, self.uid_of(session)))
            && will.delay_seconds == 0
        {
            self.publish_will_now(now, &will);
        }
        self.link_finish(now, id);
    }

    /// Seconds of keep alive that hold for a client.
    fn keep_alive_of(&self, id: ConnId, connect: &Connect<'_>) -> u16 {
        let offer = self.offer_to(id);
        match offer.server_keep_alive_seconds {
            Some(seconds) if connect.version == Version::V5 => seconds,
            _ if offer.grants_keep_alive(connect.keep_alive) => connect.keep_alive,
            _ => offer.keep_alive_seconds_max,
        }
    }

    /// Tells a client of 5.0 that another connection has its session now.
    fn say_taken_over(&mut self, id: ConnId) {
        let Some(link) = self.links.at_mut(id).filter(|link| link.conn.is_open()) else { return };
        link.said = Some(ReasonCode::SESSION_TAKEN_OVER);
        if link.conn.version == Version::V5 {
            let mut buffer = PropertiesBuffer::new();
            let text = "Another client connected with this ClientID.";
            let properties = self.explain(id, &mut buffer, text);
            let reason = ReasonCode::SESSION_TAKEN_OVER;
            self.send(id, &Packet::Disconnect(Disconnect { reason, properties }));
        }
    }

    /// A client comes back to a session, or starts it anew. A connection it still has is closed with 0x8E
    /// [MQTT-3.1.4-3]; what its end means for will and session is decided as for any lost connection.
    fn take_over(&mut self, now: Now, session: SessionId, clean_start: bool) {
        let attached = self.sessions.at(session).map(|home| home.attached);
        if let Some(Attached::Link(old)) = attached {
            self.counters().takeovers.add(1);
            let name = self.name_of(old);
            self.log(LogLevel::Info, || format!("Client {name} already connected, closing old connection."));
            if clean_start {
                // The session ends now, so a delayed will is due now [MQTT-3.1.3-9].
                self.change(session, Change::ExpirySet { expiry_seconds: 0 });
            }
            self.say_taken_over(old);
            self.link_finish(now, old);
        }
        if clean_start && self.sessions.at(session).is_some() {
            self.publish_will(now, session);
            self.session_end(session);
        }
    }

    /// What CONNACK of success tells a client; nothing before 5.0.
    fn connack_properties(
        &self,
        id: ConnId,
        connect: &Connect<'_>,
        assigned: Option<&str>,
        keep_alive: u16,
        expiry_seconds: u32,
    ) -> PropertiesBuffer {
        let mut buffer = PropertiesBuffer::new();
        if connect.version < Version::V5 {
            return buffer;
        }
        if expiry_seconds != expiry_of(connect) {
            buffer.push_u32(Property::SessionExpiryInterval, expiry_seconds);
        }
        if keep_alive != connect.keep_alive {
            buffer.push_u16(Property::ServerKeepAlive, keep_alive);
        }
        if let Some(client_id) = assigned {
            buffer.push_str(Property::AssignedClientIdentifier, client_id);
        }
        self.push_exchange(id, &mut buffer);
        announce(self.offer_to(id), &mut buffer);
        self.push_response_information(id, &mut buffer);
        buffer
    }

    /// Response information, for who asks for it [MQTT-3.1.2-28] and takes a CONNACK that long.
    fn push_response_information(&self, id: ConnId, buffer: &mut PropertiesBuffer) {
        // Fixed header, flags, code, the length of the properties and of this one: at most as many bytes.
        const AROUND_BYTES_MAX: usize = 16;
        let Some(limits) = self.links.at(id).map(|link| &link.conn.limits) else { return };
        let Some(information) = &self.settings.response_information else { return };
        let bytes = AROUND_BYTES_MAX + buffer.len() + information.len();
        if limits.response_information && bytes <= limits.packet_bytes_max as usize {
            buffer.push_str(Property::ResponseInformation, information);
        }
    }

    /// A CONNECT that is not accepted: CONNACK with the code of its version, then the connection closes.
    fn refuse(&mut self, now: Now, id: ConnId, connect: &Connect<'_>, fault: Fault) -> Step {
        if self.links.at(id).is_some_and(|l| l.conn.version != Version::V5) {
            let (session_present, properties) = (false, ringmq_wire::Properties::EMPTY);
            self.send(id, &Packet::Connack(Connack { session_present, reason: fault.reason, properties }));
        }
        let who = self.who_connects(id, connect);
        self.fault_of(now, id, fault, &who);
        Step::Done
    }

    /// A ClientID for a client that sent none, placed so that its session lives here. The same for the same
    /// connection as long as its CONNECT waits.
    fn assigned_id(&mut self, id: ConnId) -> String {
        for attempt in 0u64.. {
            let number = u64::from(id.slot) << 32 | u64::from(id.generation);
            let random = mix(self.seed ^ mix(number ^ mix(u64::from(self.id.0) << 48 | attempt)));
            let candidate = format!("auto-{random:016x}");
            if self.owner_of(&candidate) == self.id {
                return candidate;
            }
        }
        unreachable!("every shard owns a partition")
    }
}

/// Why a client may not connect.
const fn connect_fault(denial: Denial) -> Fault {
    match denial {
        Denial::NotAuthorized | Denial::Refused(_) => fault::NOT_AUTHORIZED,
        Denial::BadCredentials => fault::BAD_CREDENTIALS,
        Denial::ClientId => fault::CLIENT_ID_DENIED,
        Denial::BadMethod => fault::BAD_METHOD,
        Denial::Busy => fault::BUSY,
        Denial::TooOften => fault::TOO_OFTEN,
    }
}

/// A CONNACK of success.
fn connack(session_present: bool, properties: &PropertiesBuffer) -> Packet<'_> {
    let properties = properties.as_properties();
    Packet::Connack(Connack { session_present, reason: ReasonCode::SUCCESS, properties })
}

/// SplitMix64's finaliser: spreads a counter over all bits.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What CONNECT says against the choices of this broker.
fn check(settings: &Settings, offer: &Offer, connect: &Connect<'_>) -> Result<(), Fault> {
    if !offer.versions.contains(connect.version) {
        return Err(fault::VERSION_NOT_SERVED);
    }
    let id = connect.client_id;
    let id_not_valid = |clause, text| Fault::new(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, clause, text);
    match connect.version {
        Version::V31 if id.is_empty() => return Err(id_not_valid("MQTT-3.1", "An empty ClientID.")),
        Version::V31 if settings.strict_client_ids && id.chars().count() > CLIENT_ID_V31_CHARACTERS_MAX => {
            return Err(id_not_valid("MQTT-3.1", "A ClientID of more than 23 characters."));
        }
        Version::V311 if id.is_empty() && !connect.clean_start => {
            return Err(id_not_valid("MQTT-3.1.3-8", "An empty ClientID without clean session."));
        }
        _ => {}
    }
    // A client of 5.0 is told what holds instead [MQTT-3.1.2-21]; one of 3.x cannot be.
    if connect.version != Version::V5 && !offer.grants_keep_alive(connect.keep_alive) {
        return Err(id_not_valid("", "The keep alive is longer than keep_alive_max, or none."));
    }
    let Some(will) = &connect.will else { return Ok(()) };
    let topic = will.topic.as_str();
    if topic.starts_with("$SYS/")
        || topic.len() > settings.topic_bytes_max
        || topic.split('/').count() > settings.topic_levels_max
    {
        return Err(Fault::new(
            ReasonCode::NOT_AUTHORIZED,
            "MQTT-3.1.4-2",
            "The will's topic is not allowed.",
        ));
    }
    if will.qos as u8 > offer.maximum_qos {
        return Err(Fault { clause: "MQTT-3.2.2-12", ..crate::fault::QOS_NOT_SUPPORTED });
    }
    if will.retain && !offer.retain_available {
        return Err(Fault { clause: "MQTT-3.2.2-13", ..crate::fault::RETAIN_NOT_SUPPORTED });
    }
    Ok(())
}

/// Seconds the session outlives its connection, as the client asks: 3.x keeps it for ever or not at all.
fn expiry_of(connect: &Connect<'_>) -> u32 {
    match connect.version {
        Version::V5 => connect.properties.u32(Property::SessionExpiryInterval).unwrap_or(0),
        _ if connect.clean_start => 0,
        _ => NEVER,
    }
}

fn will_of(messages: &MessagePool, will: &ringmq_wire::Will<'_>, publisher: u64) -> Will {
    let message = Message::new(MessageParts {
        topic: will.topic.as_str(),
        qos: will.qos,
        retain: will.retain,
        properties: will.properties,
        payload: Payload::Copy(will.payload),
        expires_at: None,
        publisher,
        stamp: 0,
    });
    Will {
        message: messages.entered(message),
        delay_seconds: will.properties.u32(Property::WillDelayInterval).unwrap_or(0),
        expiry_seconds: will.properties.u32(Property::MessageExpiryInterval),
    }
}

/// What a 5.0 client must know of this broker's choices, where they are not the protocol's defaults.
fn announce(offer: &Offer, buffer: &mut PropertiesBuffer) {
    buffer.push_u16(Property::ReceiveMaximum, offer.receive_maximum.max(1));
    if offer.maximum_qos < Qos::ExactlyOnce as u8 {
        buffer.push_u8(Property::MaximumQos, offer.maximum_qos);
    }
    if !offer.retain_available {
        buffer.push_u8(Property::RetainAvailable, 0);
    }
    if offer.packet_bytes_max < Settings::PACKET_BYTES_PROTOCOL_MAX {
        buffer.push_u32(Property::MaximumPacketSize, offer.packet_bytes_max);
    }
    if offer.topic_alias_maximum > 0 {
        buffer.push_u16(Property::TopicAliasMaximum, offer.topic_alias_maximum);
    }
    if !offer.wildcard_available {
        buffer.push_u8(Property::WildcardSubscriptionAvailable, 0);
    }
    if !offer.subscription_identifiers_available {
        buffer.push_u8(Property::SubscriptionIdentifierAvailable, 0);
    }
    if !offer.shared_available {
        buffer.push_u8(Property::SharedSubscriptionAvailable, 0);
    }
}
