//! Subscribing and unsubscribing, and the filters to subscribe to again when the server has lost them.

use super::outgoing::{Flight, Request};
use super::{Event, Peer, PeerViolation, RequestError, SubscribeRequest, Token, UnsubscribeRequest};
use crate::time::Mono;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use ringmq_wire::{
    Packet, PacketId, Place, PropertiesBuffer, Property, ReasonCode, Suback, Subscribe, SubscribeFilters,
    SubscriptionOptions, TopicFilter, Unsuback, Unsubscribe, UnsubscribeFilters, Version, Violation,
};

/// Requests that may wait for a connection.
const REQUESTS_MAX: usize = 10_000;

/// Filters in one SUBSCRIBE that the machine sends by itself: small enough for any server's packet limit in
/// practice, large enough that a thousand filters take ten packets.
const FILTERS_AGAIN_MAX: usize = 100;

/// Filters the server has granted, with all that is needed to ask again.
#[derive(Default)]
pub(super) struct Subscriptions {
    granted: BTreeMap<String, Granted>,
}

#[derive(Clone)]
struct Granted {
    options: SubscriptionOptions,
    subscription_id: Option<u32>,
}

impl Peer {
    /// Subscribes, now or when there is a connection. [`Event::Subscribed`] tells the server's answer.
    ///
    /// # Errors
    /// A filter or property is wrong or more than the server allows, or too many requests wait.
    pub fn subscribe(&mut self, request: SubscribeRequest) -> Result<Token, RequestError> {
        if self.options.version != Version::V5
            && (request.subscription_id.is_some() || !request.user_properties.is_empty())
        {
            return Err(RequestError::NeedsVersion5);
        }
        if request.filters.is_empty() {
            return Err(RequestError::NoFilters);
        }
        for (filter, options) in &request.filters {
            let filter = TopicFilter::new(filter).map_err(RequestError::Invalid)?;
            if filter.share_name().is_some() && options.no_local && self.options.version == Version::V5 {
                return Err(RequestError::Invalid(Violation::NoLocalOnShared));
            }
        }
        properties_of(&request).check(Place::Subscribe).map_err(RequestError::Invalid)?;
        if self.is_up() {
            self.check_subscribe(&request)?;
        }
        let token = self.next_token();
        self.enqueue(Request::Subscribe { token: Some(token), request })?;
        Ok(token)
    }

    /// Unsubscribes, now or when there is a connection. [`Event::Unsubscribed`] tells the server's answer.
    ///
    /// # Errors
    /// A filter or property is wrong, or too many requests wait.
    pub fn unsubscribe(&mut self, request: UnsubscribeRequest) -> Result<Token, RequestError> {
        if self.options.version != Version::V5 && !request.user_properties.is_empty() {
            return Err(RequestError::NeedsVersion5);
        }
        if request.filters.is_empty() {
            return Err(RequestError::NoFilters);
        }
        for filter in &request.filters {
            TopicFilter::new(filter).map_err(RequestError::Invalid)?;
        }
        users(&request.user_properties).check(Place::Unsubscribe).map_err(RequestError::Invalid)?;
        let token = self.next_token();
        self.enqueue(Request::Unsubscribe { token, request })?;
        Ok(token)
    }

    fn enqueue(&mut self, request: Request) -> Result<(), RequestError> {
        if self.outgoing.requests.len() >= REQUESTS_MAX {
            return Err(RequestError::QueueFull);
        }
        self.outgoing.requests.push_back(request);
        self.pump();
        Ok(())
    }

    /// Sends a request; false when it has to wait for a packet identifier.
    pub(super) fn send_request(&mut self, request: Request) -> bool {
        if !self.outgoing.flights.has_room(u16::MAX) {
            self.outgoing.requests.push_front(request);
            return false;
        }
        let mut flight = Flight::from(request);
        match self.encode_request(&flight) {
            Ok(bytes) => {
                if let Some(packet_id) = self.outgoing.flights.insert(u16::MAX, flight) {
                    self.send_encoded(packet_id, &bytes);
                }
            }
            Err(error) => self.events.extend(flight.ended(&error)),
        }
        true
    }

    /// The packet's filters, judged against the server's limits.
    fn encode_request(&self, flight: &Flight) -> Result<Vec<u8>, RequestError> {
        let mut filters = Vec::new();
        match flight {
            Flight::Subscribe { request, .. } => {
                self.check_subscribe(request)?;
                for (filter, options) in &request.filters {
                    let options = match self.options.version {
                        Version::V5 => *options,
                        _ => SubscriptionOptions::qos(options.qos),
                    };
                    SubscribeFilters::encode_one(filter, options, &mut filters)
                        .map_err(RequestError::Invalid)?;
                }
            }
            Flight::Unsubscribe { request, .. } => {
                for filter in &request.filters {
                    UnsubscribeFilters::encode_one(filter, &mut filters).map_err(RequestError::Invalid)?;
                }
            }
            Flight::Message { .. } | Flight::Release { .. } => {}
        }
        self.check_request_bytes(flight, &filters)?;
        Ok(filters)
    }

    fn check_request_bytes(&self, flight: &Flight, filters: &[u8]) -> Result<(), RequestError> {
        let bytes_max = self.limits.packet_bytes_max;
        let bytes = with_packet(flight, PacketId::MAX, self.options.version, filters, |packet| {
            packet.encoded_bytes(self.options.version)
        });
        match bytes.map_err(RequestError::Invalid)? {
            bytes if bytes > bytes_max as usize => Err(RequestError::PacketTooLarge { bytes, bytes_max }),
            _ => Ok(()),
        }
    }

    fn send_encoded(&mut self, packet_id: PacketId, filters: &[u8]) {
        let Some(flight) = self.outgoing.flights.get(packet_id) else { return };
        let version = self.options.version;
        let output = &mut self.output;
        // The filters were judged when the request was made.
        let _ = with_packet(flight, packet_id, version, filters, |packet| packet.encode(version, output));
    }

    fn check_subscribe(&self, request: &SubscribeRequest) -> Result<(), RequestError> {
        if request.subscription_id.is_some() && !self.limits.subscription_ids_available {
            return Err(RequestError::SubscriptionIdsNotSupported);
        }
        for (filter, _) in &request.filters {
            let filter = TopicFilter::new(filter).map_err(RequestError::Invalid)?;
            if filter.share_name().is_some() && !self.limits.shared_available {
                return Err(RequestError::SharedNotSupported);
            }
            if filter.has_wildcard() && !self.limits.wildcards_available {
                return Err(RequestError::WildcardsNotSupported);
            }
        }
        Ok(())
    }

    pub(super) fn on_suback(&mut self, now: Mono, suback: &Suback<'_>) {
        let packet_id = suback.packet_id;
        match self.outgoing.flights.get(packet_id) {
            Some(Flight::Subscribe { request, .. }) if request.filters.len() == suback.codes.len() => {}
            Some(Flight::Subscribe { .. }) => return self.fail(now, PeerViolation::CodesMismatched),
            Some(_) => return self.fail(now, PeerViolation::AckMismatched),
            None => return,
        }
        let Some(Flight::Subscribe { token, request }) = self.outgoing.flights.remove(packet_id) else {
            return;
        };
        let codes = reason_codes(suback.codes);
        let subscription_id = request.subscription_id;
        for ((filter, options), reason) in request.filters.into_iter().zip(&codes) {
            if !reason.is_error() {
                self.subscriptions.granted.insert(filter, Granted { options, subscription_id });
            } else if token.is_none() {
                self.subscriptions.granted.remove(&filter);
                self.events.push_back(Event::ResubscribeRefused { filter, reason: *reason });
            }
        }
        if let Some(token) = token {
            self.events.push_back(Event::Subscribed { token, outcome: Ok(codes) });
        }
    }

    pub(super) fn on_unsuback(&mut self, now: Mono, unsuback: &Unsuback<'_>) {
        let packet_id = unsuback.packet_id;
        let is_v5 = self.options.version == Version::V5;
        match self.outgoing.flights.get(packet_id) {
            Some(Flight::Unsubscribe { request, .. })
                if !is_v5 || request.filters.len() == unsuback.codes.len() => {}
            Some(Flight::Unsubscribe { .. }) => return self.fail(now, PeerViolation::CodesMismatched),
            Some(_) => return self.fail(now, PeerViolation::AckMismatched),
            None => return,
        }
        let Some(Flight::Unsubscribe { token, request }) = self.outgoing.flights.remove(packet_id) else {
            return;
        };
        let codes = match is_v5 {
            true => reason_codes(unsuback.codes),
            false => request.filters.iter().map(|_| ReasonCode::SUCCESS).collect(),
        };
        for (filter, reason) in request.filters.iter().zip(&codes) {
            if !reason.is_error() {
                self.subscriptions.granted.remove(filter);
            }
        }
        self.events.push_back(Event::Unsubscribed { token, outcome: Ok(codes) });
    }

    /// The server has lost the session: asks again for what it had granted, before all other requests.
    pub(super) fn subscribe_again(&mut self) {
        if !self.options.resubscribe {
            self.subscriptions.granted.clear();
            return;
        }
        // An earlier connection may have ended before it got as far as asking: ask once.
        self.outgoing.requests.retain(|request| !matches!(request, Request::Subscribe { token: None, .. }));
        let mut batches: BTreeMap<Option<u32>, Vec<(String, SubscriptionOptions)>> = BTreeMap::new();
        for (filter, granted) in &self.subscriptions.granted {
            batches.entry(granted.subscription_id).or_default().push((filter.clone(), granted.options));
        }
        for (subscription_id, filters) in batches.into_iter().rev() {
            for filters in filters.chunks(FILTERS_AGAIN_MAX).rev() {
                let filters = filters.to_vec();
                let request = SubscribeRequest { filters, subscription_id, user_properties: Vec::new() };
                self.outgoing.requests.push_front(Request::Subscribe { token: None, request });
            }
        }
    }
}

/// Hands the packet of a request to `with`; the filters are encoded already.
fn with_packet<R>(
    flight: &Flight,
    packet_id: PacketId,
    version: Version,
    filters: &[u8],
    with: impl FnOnce(&Packet<'_>) -> R,
) -> Result<R, Violation> {
    let buffer = match flight {
        Flight::Subscribe { request, .. } => properties_of(request),
        Flight::Unsubscribe { request, .. } => users(&request.user_properties),
        Flight::Message { .. } | Flight::Release { .. } => PropertiesBuffer::new(),
    };
    let properties = buffer.as_properties();
    let packet = match flight {
        Flight::Unsubscribe { .. } => {
            let filters = UnsubscribeFilters::from_encoded(version, filters)?;
            Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters })
        }
        _ => {
            let filters = SubscribeFilters::from_encoded(version, filters)?;
            Packet::Subscribe(Subscribe { packet_id, properties, filters })
        }
    };
    Ok(with(&packet))
}

fn properties_of(request: &SubscribeRequest) -> PropertiesBuffer {
    let mut buffer = PropertiesBuffer::new();
    if let Some(subscription_id) = request.subscription_id {
        buffer.push_variable(Property::SubscriptionIdentifier, subscription_id);
    }
    for (name, value) in &request.user_properties {
        buffer.push_user(name, value);
    }
    buffer
}

fn users(user_properties: &[(String, String)]) -> PropertiesBuffer {
    let mut buffer = PropertiesBuffer::new();
    for (name, value) in user_properties {
        buffer.push_user(name, value);
    }
    buffer
}

fn reason_codes(codes: &[u8]) -> Vec<ReasonCode> {
    // The decoder has refused codes without a meaning.
    codes.iter().map(|code| ReasonCode::from_u8(*code).unwrap_or(ReasonCode::UNSPECIFIED_ERROR)).collect()
}
