//! What a peer can do wrong in one packet: one variant per rule, with its reason code and its clause.
//!
//! A violation is a value. Whoever owns the connection recovers it: by closing, after CONNACK or DISCONNECT
//! with [`Violation::reason`] where the version has such a packet [MQTT-4.13.1-1].

use crate::ReasonCode;

macro_rules! violations {
    ($($variant:ident, $reason:ident, $clause:literal, $clause_v311:literal, $text:literal;)*) => {
        /// A rule of the protocol that a packet breaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Violation {
            /// The protocol level is none that exists here. It carries the level byte, because the answer
            /// depends on it: 3.x wants CONNACK with return code 1 and later versions reason code 0x84.
            UnsupportedLevel(u8),
            $(#[doc = concat!($text, " [", $clause, "]")]
            $variant,)*
        }

        impl Violation {
            /// The reason code that tells the peer about it.
            pub const fn reason(self) -> ReasonCode {
                match self {
                    Violation::UnsupportedLevel(_) => ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
                    $(Violation::$variant => ReasonCode::$reason,)*
                }
            }

            /// The clause of MQTT 5.0 that is broken; for a rule without a number, `MQTT-` and its section.
            pub const fn clause(self) -> &'static str {
                match self {
                    Violation::UnsupportedLevel(_) => "MQTT-3.1.2-2",
                    $(Violation::$variant => $clause,)*
                }
            }

            /// The clause of MQTT 3.1.1 that is broken, or the section that comes nearest; `-` when 3.1.1 has
            /// no such rule because the thing does not exist there.
            pub const fn clause_v311(self) -> &'static str {
                match self {
                    Violation::UnsupportedLevel(_) => "MQTT-3.1.2-2",
                    $(Violation::$variant => $clause_v311,)*
                }
            }

            /// What is wrong, in words.
            pub const fn text(self) -> &'static str {
                match self {
                    Violation::UnsupportedLevel(_) => "The protocol level is not supported.",
                    $(Violation::$variant => $text,)*
                }
            }

            /// Every violation, with level 0 for the one that carries a level.
            pub const ALL: &'static [Violation] =
                &[Violation::UnsupportedLevel(0), $(Violation::$variant),*];
        }
    };
}

violations! {
    LengthOverlong, MALFORMED_PACKET, "MQTT-1.5.5-1", "MQTT-2.2.3",
        "A variable byte integer uses more bytes than its value needs.";
    LengthTooLong, MALFORMED_PACKET, "MQTT-1.5.5", "MQTT-2.2.3",
        "A variable byte integer has more than four bytes.";
    PacketTooLarge, PACKET_TOO_LARGE, "MQTT-3.2.2-15", "MQTT-2.2.3",
        "The packet is larger than the receiver accepts.";
    FieldTooLong, MALFORMED_PACKET, "MQTT-1.5.4", "MQTT-1.5.3",
        "A text or binary field is longer than 65,535 bytes.";
    PacketTypeReserved, MALFORMED_PACKET, "MQTT-2.1.2", "MQTT-2.2.1",
        "The packet type does not exist in this version.";
    PacketFromWrongSide, PROTOCOL_ERROR, "MQTT-2.1.2", "MQTT-2.2.1",
        "This side of the connection may not send packets of this type.";
    HeaderFlagsReserved, MALFORMED_PACKET, "MQTT-2.1.3-1", "MQTT-2.2.2-2",
        "Reserved flags of the fixed header are not as they must be.";
    PubrelFlagsReserved, MALFORMED_PACKET, "MQTT-3.6.1-1", "MQTT-3.6.1-1",
        "The flags of PUBREL are not 0010.";
    SubscribeFlagsReserved, MALFORMED_PACKET, "MQTT-3.8.1-1", "MQTT-3.8.1-1",
        "The flags of SUBSCRIBE are not 0010.";
    UnsubscribeFlagsReserved, MALFORMED_PACKET, "MQTT-3.10.1-1", "MQTT-3.10.1-1",
        "The flags of UNSUBSCRIBE are not 0010.";
    DisconnectFlagsReserved, MALFORMED_PACKET, "MQTT-3.14.1-1", "MQTT-3.14.1-1",
        "The flags of DISCONNECT are not 0000.";
    AuthFlagsReserved, MALFORMED_PACKET, "MQTT-3.15.1-1", "-",
        "The flags of AUTH are not 0000.";
    Truncated, MALFORMED_PACKET, "MQTT-2.1.4", "MQTT-2.2.3",
        "The packet ends inside a field.";
    TrailingBytes, MALFORMED_PACKET, "MQTT-2.1.4", "MQTT-2.2.3",
        "Bytes are left behind the last field.";
    TextNotUtf8, MALFORMED_PACKET, "MQTT-1.5.4-1", "MQTT-1.5.3-1",
        "Text is not well-formed UTF-8.";
    TextHasNul, MALFORMED_PACKET, "MQTT-1.5.4-2", "MQTT-1.5.3-2",
        "Text contains the null character.";
    PacketIdZero, PROTOCOL_ERROR, "MQTT-2.2.1-3", "MQTT-2.3.1-1",
        "The packet identifier is zero.";
    TopicEmpty, MALFORMED_PACKET, "MQTT-4.7.3-1", "MQTT-4.7.3-1",
        "A topic name or filter is empty.";
    TopicTooLong, MALFORMED_PACKET, "MQTT-4.7.3-3", "MQTT-4.7.3-3",
        "A topic name or filter is longer than 65,535 bytes.";
    TopicHasWildcard, MALFORMED_PACKET, "MQTT-3.3.2-2", "MQTT-3.3.2-2",
        "A topic name contains a wildcard.";
    TopicHasNul, MALFORMED_PACKET, "MQTT-4.7.3-2", "MQTT-4.7.3-2",
        "A topic name or filter contains the null character.";
    FilterMultiLevelMisplaced, MALFORMED_PACKET, "MQTT-4.7.1-1", "MQTT-4.7.1-2",
        "The wildcard # is not a whole level at the end of the filter.";
    FilterSingleLevelMisplaced, MALFORMED_PACKET, "MQTT-4.7.1-2", "MQTT-4.7.1-3",
        "The wildcard + is not a whole level of the filter.";
    ShareNameEmpty, MALFORMED_PACKET, "MQTT-4.8.2-1", "-",
        "The share name of a shared subscription is empty.";
    ShareNameInvalid, MALFORMED_PACKET, "MQTT-4.8.2-2", "-",
        "The share name has a wildcard, or no topic filter follows it.";
    PropertyUnknown, MALFORMED_PACKET, "MQTT-2.2.2.2", "-",
        "No property has this number.";
    PropertyNotAllowed, MALFORMED_PACKET, "MQTT-2.2.2.2", "-",
        "The property may not stand in this packet.";
    PropertyRepeated, PROTOCOL_ERROR, "MQTT-2.2.2.2", "-",
        "The property may stand only once.";
    PropertyBooleanOutOfRange, PROTOCOL_ERROR, "MQTT-2.2.2.2", "-",
        "A property that is 0 or 1 has another value.";
    PayloadFormatIndicatorOutOfRange, PROTOCOL_ERROR, "MQTT-3.3.2.3.2", "-",
        "The payload format indicator is neither 0 nor 1.";
    MaximumQosOutOfRange, PROTOCOL_ERROR, "MQTT-3.2.2.3.4", "-",
        "The maximum QoS is neither 0 nor 1.";
    SubscriptionIdentifierZero, PROTOCOL_ERROR, "MQTT-3.8.2.1.2", "-",
        "The subscription identifier is zero.";
    ReceiveMaximumZero, PROTOCOL_ERROR, "MQTT-3.1.2.11.3", "-",
        "The receive maximum is zero.";
    MaximumPacketSizeZero, PROTOCOL_ERROR, "MQTT-3.1.2.11.4", "-",
        "The maximum packet size is zero.";
    TopicAliasZero, TOPIC_ALIAS_INVALID, "MQTT-3.3.2-8", "-",
        "The topic alias is zero.";
    ResponseTopicHasWildcard, PROTOCOL_ERROR, "MQTT-3.3.2-14", "-",
        "The response topic contains a wildcard.";
    AuthenticationDataWithoutMethod, PROTOCOL_ERROR, "MQTT-3.1.2.11.10", "-",
        "There is authentication data but no authentication method.";
    AuthenticationMethodMissing, PROTOCOL_ERROR, "MQTT-3.15.2.2.2", "-",
        "AUTH has no authentication method.";
    SubscriptionIdentifierFromClient, PROTOCOL_ERROR, "MQTT-3.3.4-6", "-",
        "A client's PUBLISH contains a subscription identifier.";
    SessionExpiryFromServer, PROTOCOL_ERROR, "MQTT-3.14.2-2", "-",
        "A server's DISCONNECT contains a session expiry interval.";
    ProtocolNameUnknown, UNSUPPORTED_PROTOCOL_VERSION, "MQTT-3.1.2-1", "MQTT-3.1.2-1",
        "The protocol name is neither MQTT nor MQIsdp.";
    ConnectFlagReserved, MALFORMED_PACKET, "MQTT-3.1.2-3", "MQTT-3.1.2-3",
        "The reserved flag of CONNECT is set.";
    WillQosWithoutWill, MALFORMED_PACKET, "MQTT-3.1.2-11", "MQTT-3.1.2-13",
        "A will QoS is given without a will.";
    WillQosInvalid, MALFORMED_PACKET, "MQTT-3.1.2-12", "MQTT-3.1.2-14",
        "The will QoS is 3.";
    WillRetainWithoutWill, MALFORMED_PACKET, "MQTT-3.1.2-13", "MQTT-3.1.2-15",
        "Will retain is set without a will.";
    PasswordWithoutUserName, MALFORMED_PACKET, "MQTT-3.1.2-19", "MQTT-3.1.2-22",
        "There is a password without a user name.";
    ConnackFlagsReserved, MALFORMED_PACKET, "MQTT-3.2.2-1", "MQTT-3.2.2.1",
        "Reserved flags of CONNACK are set.";
    SessionPresentWithError, PROTOCOL_ERROR, "MQTT-3.2.2-6", "MQTT-3.2.2-4",
        "CONNACK refuses the connection and says that a session is present.";
    ConnackReasonUnknown, PROTOCOL_ERROR, "MQTT-3.2.2-8", "MQTT-3.2.2.3",
        "The reason code may not stand in CONNACK.";
    PublishQosInvalid, MALFORMED_PACKET, "MQTT-3.3.1-4", "MQTT-3.3.1-4",
        "The QoS of PUBLISH is 3.";
    PublishDupAtQos0, MALFORMED_PACKET, "MQTT-3.3.1-2", "MQTT-3.3.1-2",
        "DUP is set in a PUBLISH of QoS 0.";
    TopicEmptyWithoutAlias, PROTOCOL_ERROR, "MQTT-3.3.2.1", "MQTT-4.7.3-1",
        "The topic name is empty and there is no topic alias.";
    PubackReasonUnknown, PROTOCOL_ERROR, "MQTT-3.4.2-1", "-",
        "The reason code may not stand in PUBACK.";
    PubrecReasonUnknown, PROTOCOL_ERROR, "MQTT-3.5.2-1", "-",
        "The reason code may not stand in PUBREC.";
    PubrelReasonUnknown, PROTOCOL_ERROR, "MQTT-3.6.2-1", "-",
        "The reason code may not stand in PUBREL.";
    PubcompReasonUnknown, PROTOCOL_ERROR, "MQTT-3.7.2-1", "-",
        "The reason code may not stand in PUBCOMP.";
    SubscribeEmpty, PROTOCOL_ERROR, "MQTT-3.8.3-2", "MQTT-3.8.3-3",
        "SUBSCRIBE has no topic filter.";
    SubscriptionQosInvalid, PROTOCOL_ERROR, "MQTT-3.8.3.1", "MQTT-3.8.3-4",
        "The maximum QoS of a subscription is 3.";
    RetainHandlingInvalid, PROTOCOL_ERROR, "MQTT-3.8.3.1", "-",
        "The retain handling of a subscription is 3.";
    SubscriptionOptionsReserved, MALFORMED_PACKET, "MQTT-3.8.3-5", "MQTT-3.8.3-4",
        "Reserved bits of the subscription options are set.";
    NoLocalOnShared, PROTOCOL_ERROR, "MQTT-3.8.3-4", "-",
        "No local is set on a shared subscription.";
    SubackEmpty, MALFORMED_PACKET, "MQTT-3.8.4-6", "MQTT-3.8.4-5",
        "SUBACK has no reason code.";
    SubackReasonUnknown, PROTOCOL_ERROR, "MQTT-3.9.3-2", "MQTT-3.9.3-2",
        "A reason code may not stand in SUBACK.";
    UnsubscribeEmpty, PROTOCOL_ERROR, "MQTT-3.10.3-2", "MQTT-3.10.3-2",
        "UNSUBSCRIBE has no topic filter.";
    UnsubackEmpty, MALFORMED_PACKET, "MQTT-3.11.3-1", "-",
        "UNSUBACK has no reason code.";
    UnsubackReasonUnknown, PROTOCOL_ERROR, "MQTT-3.11.3-2", "-",
        "A reason code may not stand in UNSUBACK.";
    DisconnectReasonUnknown, PROTOCOL_ERROR, "MQTT-3.14.2-1", "-",
        "The reason code may not stand in DISCONNECT from this side.";
    AuthReasonUnknown, PROTOCOL_ERROR, "MQTT-3.15.2-1", "-",
        "The reason code may not stand in AUTH from this side.";
}

impl core::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Violation::UnsupportedLevel(level) = self {
            return write!(formatter, "The protocol level {level} is not supported. [{}]", self.clause());
        }
        write!(formatter, "{} [{}]", self.text(), self.clause())
    }
}

impl core::error::Error for Violation {}
