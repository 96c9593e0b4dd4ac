//! Extended authentication (MQTT 5.0, 4.12): CONNECT names a method, challenges and responses pass as AUTH, and CONNACK
//! comes when the decider is content. Later the client may begin anew.
//!
//! ```text
//! CONNECT ──▶ asked ──▶ challenge ──▶ AUTH ──▶ asked ──▶ …          AUTH 0x19 ──▶ asked ──▶ challenge ──▶ AUTH ──▶ …
//!               └─▶ CONNACK, or its code and the end ◀─┘                            └─▶ AUTH 0x00, or the end ◀─┘
//! ```
//!
//! Before CONNACK the CONNECT is kept as it came and processed with each AUTH, so that accepting it has one way. A client
//! that was challenged counts as one that has not said who it is, and has `connect_timeout` for all its responses. While
//! it authenticates anew its traffic goes on; only while the decider thinks do its packets wait, as for any decision.

use ringmq_proto::conn::Phase;
use ringmq_proto::time::Now;
use ringmq_wire::{
    Auth, Connect, Packet, PropertiesBuffer, Property, ReasonCode, Sender, Version, decode, frame,
};

use crate::Shard;
use crate::authz::Question;
use crate::fault::{self, Fault};
use crate::input::ConnId;
use crate::links::{Denial, Park, Said};
use crate::receive::Step;
use crate::timer::Timer;

/// What a client says in one step.
#[derive(Clone, Copy)]
pub struct Response<'a> {
    /// The method it names.
    pub method: &'a str,
    /// Its data.
    pub data: Option<&'a [u8]>,
    /// CONNECT with its fixed header, where that is what says it.
    pub connect: Option<&'a [u8]>,
}

impl Shard {
    /// CONNECT, unless there was one that was answered with a challenge [MQTT-3.1.0-2].
    pub(crate) fn connect_or_fault(
        &mut self,
        now: Now,
        id: ConnId,
        connect: &Connect<'_>,
        raw: &[u8],
    ) -> Result<Step, Fault> {
        if self.links.at(id).is_some_and(|link| link.is_challenged()) {
            return Err(fault::SECOND_CONNECT);
        }
        Ok(self.connect(now, id, connect, raw))
    }

    /// Anything but CONNECT, while there was no CONNACK.
    pub(crate) fn before_connack(
        &mut self,
        now: Now,
        id: ConnId,
        packet: &Packet<'_>,
    ) -> Result<Step, Fault> {
        if self.links.at(id).is_none_or(|link| !link.is_challenged()) {
            return Err(fault::NOT_CONNECT);
        }
        match packet {
            Packet::Auth(auth) if auth.reason == ReasonCode::CONTINUE_AUTHENTICATION => {
                self.go_on_connecting(now, id, auth)
            }
            Packet::Auth(_) => Err(fault::AUTH_OUT_OF_TURN),
            Packet::Disconnect(_) => {
                self.link_finish(now, id);
                Ok(Step::Done)
            }
            _ => Err(fault::NOT_AUTH),
        }
    }

    /// The client responds to a challenge before CONNACK.
    fn go_on_connecting(&mut self, now: Now, id: ConnId, auth: &Auth<'_>) -> Result<Step, Fault> {
        let response = self.response(id, auth)?;
        let Some(login) = self.links.at_mut(id).and_then(|link| link.login.as_mut()) else {
            return Ok(Step::Done);
        };
        let raw = std::mem::take(&mut login.connect);
        self.half_open_leave(id);
        let frame = frame::split(&raw, u32::MAX).ok().flatten();
        let connect = frame.and_then(|frame| decode(Version::V5, Sender::Client, &frame).ok());
        let Some(Packet::Connect(connect)) = connect else {
            unreachable!("it was a CONNECT when it came");
        };
        let step = self.admit(now, id, &connect, Some(response));
        // It is kept until the connection is accepted, or over.
        if let Some(link) = self.links.at_mut(id).filter(|link| link.conn.phase == Phase::AwaitConnect)
            && let Some(login) = &mut link.login
        {
            login.connect = raw;
        }
        self.note_unread(now, id);
        Ok(step)
    }

    /// What AUTH says, where it names the method of CONNECT [MQTT-4.12.0-5] [MQTT-4.12.1-1].
    fn response<'a>(&self, id: ConnId, auth: &Auth<'a>) -> Result<Response<'a>, Fault> {
        let login = self.links.at(id).and_then(|link| link.login.as_ref());
        let method = login.and_then(|login| login.method.as_deref()).ok_or(fault::AUTH_UNEXPECTED)?;
        let named = auth.properties.str(Property::AuthenticationMethod);
        let named = named.filter(|named| *named == method).ok_or(fault::OTHER_METHOD)?;
        let data = auth.properties.bytes(Property::AuthenticationData);
        Ok(Response { method: named, data, connect: None })
    }

    /// Asks about one step before CONNACK.
    pub(crate) fn ask_exchange(
        &mut self,
        now: Now,
        id: ConnId,
        connect: &Connect<'_>,
        client_id: &str,
        response: &Response<'_>,
    ) -> Said {
        if let Some(said) = self.said_before(id, 0) {
            return said;
        }
        self.ask_step(now, id, client_id, connect.user_name, false, response)
    }

    fn ask_step(
        &mut self,
        now: Now,
        id: ConnId,
        client_id: &str,
        user_name: Option<&str>,
        again: bool,
        response: &Response<'_>,
    ) -> Said {
        let Some(link) = self.links.at_mut(id) else { return Said::Nothing };
        let login = link.login.get_or_insert_default();
        login.is_asking = true;
        login.proof = None;
        if login.method.is_none() {
            login.method = Some(response.method.into());
        }
        let challenge = login.challenge.take();
        let state = challenge.as_ref().and_then(|challenge| challenge.state.as_deref());
        let ticket = Self::next_ticket(&mut self.tickets);
        let question = Question::Authenticate {
            peer: &link.peer,
            client_id,
            user_name,
            again,
            method: response.method,
            data: response.data,
            state,
        };
        let answer = self.decider.decide(ticket, &question);
        self.note_answer(now, id, ticket, answer)
    }

    /// Challenges a client before CONNACK. `connect` is its CONNECT, where that is what is answered.
    pub(crate) fn challenge(&mut self, now: Now, id: ConnId, connect: Option<&[u8]>) {
        self.asked_enough(id);
        if let Some(raw) = connect
            && let Some(login) = self.links.at_mut(id).and_then(|link| link.login.as_mut())
        {
            login.connect = raw.into();
            self.arm_link(id, now.mono.plus(self.settings.connect_timeout), Timer::Connect(id));
            self.note_unread(now, id);
        }
        self.send_challenge(id);
        self.half_open_join(now, id);
    }

    /// AUTH with the data of the challenge: 0x18 [MQTT-4.12.0-2].
    fn send_challenge(&mut self, id: ConnId) {
        let login = self.links.at(id).and_then(|link| link.login.as_ref());
        let challenge = login.and_then(|login| login.challenge.clone());
        let data = challenge.as_ref().map_or(&[][..], |challenge| &challenge.data);
        self.send_auth(id, ReasonCode::CONTINUE_AUTHENTICATION, data);
    }

    fn send_auth(&mut self, id: ConnId, reason: ReasonCode, data: &[u8]) {
        let Some(login) = self.links.at(id).and_then(|link| link.login.as_ref()) else { return };
        let mut buffer = PropertiesBuffer::new();
        push(&mut buffer, login.method.as_deref(), data);
        self.send(id, &Packet::Auth(Auth { reason, properties: buffer.as_properties() }));
    }

    /// What CONNACK says of the exchange that led to it: its method [MQTT-4.12.0-5], and the last word.
    pub(crate) fn push_exchange(&self, id: ConnId, buffer: &mut PropertiesBuffer) {
        let Some(login) = self.links.at(id).and_then(|link| link.login.as_ref()) else { return };
        push(buffer, login.method.as_deref(), login.proof.as_ref().map_or(&[], |proof| &proof.data));
    }

    /// The client is accepted: what only the exchange needed goes.
    pub(crate) fn end_exchange(&mut self, now: Now, id: ConnId) {
        self.half_open_leave(id);
        let Some(login) = self.links.at_mut(id).and_then(|link| link.login.as_mut()) else { return };
        (login.challenge, login.proof) = (None, None);
        login.connect = Box::default();
        self.arm_login(now, id);
    }

    /// AUTH of a client that is connected: it begins anew, or responds to a challenge.
    pub(crate) fn on_auth(&mut self, now: Now, id: ConnId, auth: &Auth<'_>) -> Result<Step, Fault> {
        let response = self.response(id, auth)?;
        let said = match self.said_before(id, 0) {
            Some(said) => said,
            None => {
                let login = self.links.at(id).and_then(|link| link.login.as_ref());
                let is_challenged = login.is_some_and(|login| login.challenge.is_some());
                if is_challenged != (auth.reason == ReasonCode::CONTINUE_AUTHENTICATION) {
                    return Err(fault::AUTH_OUT_OF_TURN);
                }
                self.ask_again(now, id, &response)
            }
        };
        match said {
            Said::Open => return Ok(Step::Wait(Park::Decision)),
            Said::Continue => self.send_challenge(id),
            Said::Allow => self.renew(now, id)?,
            Said::Deny(denial) => return Err(fault_anew(denial)),
            Said::Nothing => return Err(fault::NOT_AUTHENTICATED_ANEW),
        }
        self.asked_enough(id);
        Ok(Step::Done)
    }

    fn ask_again(&mut self, now: Now, id: ConnId, response: &Response<'_>) -> Said {
        let session = self.links.at(id).and_then(|link| link.session);
        let Some(home) = session.and_then(|session| self.sessions.at(session)) else { return Said::Nothing };
        let client_id = home.session.client_id.to_string();
        let user_name = home.user_name().map(str::to_owned);
        self.ask_step(now, id, &client_id, user_name.as_deref(), true, response)
    }

    /// The client has proved anew who it is: the same user, with what holds from now on.
    fn renew(&mut self, now: Now, id: ConnId) -> Result<(), Fault> {
        let Some(link) = self.links.at_mut(id) else { return Ok(()) };
        let session = link.session;
        let Some((login, home)) =
            link.login.as_mut().zip(session.and_then(|session| self.sessions.at_mut(session)))
        else {
            return Ok(());
        };
        let proof = login.proof.take();
        if let Some(proof) = &proof {
            let name = proof.identity.user_name.as_deref();
            if name.is_some_and(|name| home.user_name() != Some(name)) {
                return Err(fault::SOMEBODY_ELSE);
            }
            login.identity = Some(std::sync::Arc::clone(&proof.identity));
            home.who().identity.clone_from(&login.identity);
        }
        self.arm_login(now, id);
        self.send_auth(id, ReasonCode::SUCCESS, proof.as_ref().map_or(&[], |proof| &proof.data));
        Ok(())
    }
}

fn push(buffer: &mut PropertiesBuffer, method: Option<&str>, data: &[u8]) {
    let Some(method) = method else { return };
    buffer.push_str(Property::AuthenticationMethod, method);
    if !data.is_empty() {
        buffer.push_bytes(Property::AuthenticationData, data);
    }
}

/// Why an authentication that began anew has failed, in codes that DISCONNECT may have.
const fn fault_anew(denial: Denial) -> Fault {
    match denial {
        Denial::Busy => fault::BUSY,
        Denial::TooOften => fault::TOO_OFTEN,
        Denial::BadMethod => fault::BAD_METHOD,
        Denial::NotAuthorized | Denial::BadCredentials | Denial::ClientId | Denial::Refused(_) => {
            fault::NOT_AUTHENTICATED_ANEW
        }
    }
}
