//! The one table of MQTT 5.0 properties: number, value, where each may stand, where it may repeat, and which
//! values are allowed.
//!
//! Decoding, the checks of builders and the buffers that encode all read this table; no packet has rules of
//! its own about a property, except where the rule depends on who sent the packet.

use crate::Violation;

/// Where properties stand: in a packet of some kind, or in the will inside CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "each place is the packet of that name")]
pub enum Place {
    Connect = 0,
    Will,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Disconnect,
    Auth,
}

impl Place {
    /// Every place, in the order of their packets.
    pub const ALL: [Place; 14] = [
        Place::Connect,
        Place::Will,
        Place::Connack,
        Place::Publish,
        Place::Puback,
        Place::Pubrec,
        Place::Pubrel,
        Place::Pubcomp,
        Place::Subscribe,
        Place::Suback,
        Place::Unsubscribe,
        Place::Unsuback,
        Place::Disconnect,
        Place::Auth,
    ];

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// How a property's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// One byte.
    U8,
    /// Two bytes, big endian.
    U16,
    /// Four bytes, big endian.
    U32,
    /// A variable byte integer of one to four bytes.
    Variable,
    /// Text in UTF-8 with a length of two bytes.
    Text,
    /// Bytes with a length of two bytes.
    Bytes,
    /// Two texts.
    Pair,
}

/// A property's value, borrowed from the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PropertyValue<'a> {
    /// One byte.
    U8(u8),
    /// Two bytes.
    U16(u16),
    /// Four bytes.
    U32(u32),
    /// A variable byte integer, at most 268,435,455.
    Variable(u32),
    /// Text.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Name and value of a user property.
    Pair(&'a str, &'a str),
}

impl PropertyValue<'_> {
    /// How this value is written.
    pub const fn kind(&self) -> ValueKind {
        match self {
            PropertyValue::U8(_) => ValueKind::U8,
            PropertyValue::U16(_) => ValueKind::U16,
            PropertyValue::U32(_) => ValueKind::U32,
            PropertyValue::Variable(_) => ValueKind::Variable,
            PropertyValue::Str(_) => ValueKind::Text,
            PropertyValue::Bytes(_) => ValueKind::Bytes,
            PropertyValue::Pair(..) => ValueKind::Pair,
        }
    }
}

/// What a value must satisfy beyond its form.
#[derive(Clone, Copy)]
enum Rule {
    Any,
    /// 0 or 1, else this violation.
    ZeroOrOne(Violation),
    /// Not 0, else this violation.
    NotZero(Violation),
    /// A topic name without wildcards.
    ResponseTopic,
}

struct Row {
    property: Property,
    name: &'static str,
    kind: ValueKind,
    places: u16,
    repeats: u16,
    rule: Rule,
}

const MESSAGE: u16 = Place::Publish.bit() | Place::Will.bit();
const OPENING: u16 = Place::Connect.bit() | Place::Connack.bit();
const CONNECT: u16 = Place::Connect.bit();
const CONNACK: u16 = Place::Connack.bit();
const WILL: u16 = Place::Will.bit();
const PUBLISH: u16 = Place::Publish.bit();
const EXCHANGE: u16 = OPENING | Place::Auth.bit();
const CLOSING: u16 = Place::Disconnect.bit();
const EVERYWHERE: u16 = (1 << Place::ALL.len()) - 1;
const ANSWERS: u16 = EVERYWHERE & !(CONNECT | MESSAGE | Place::Subscribe.bit() | Place::Unsubscribe.bit());
const BOOLEAN: Rule = Rule::ZeroOrOne(Violation::PropertyBooleanOutOfRange);

macro_rules! properties {
    ($($property:ident = $id:literal, $name:literal, $kind:ident, $places:expr, $repeats:expr, $rule:expr;)*) => {
        /// A property of MQTT 5.0, by its number on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Property {
            $(#[doc = concat!($name, " (", stringify!($id), ").")]
            $property = $id,)*
        }

        const TABLE: [Row; 27] = [$(Row {
            property: Property::$property,
            name: $name,
            kind: ValueKind::$kind,
            places: $places,
            repeats: $repeats,
            rule: $rule,
        }),*];

        impl Property {
            /// Every property, by number.
            pub const ALL: [Property; 27] = [$(Property::$property),*];
        }
    };
}

properties! {
    PayloadFormatIndicator = 0x01, "Payload Format Indicator", U8, MESSAGE, 0,
        Rule::ZeroOrOne(Violation::PayloadFormatIndicatorOutOfRange);
    MessageExpiryInterval = 0x02, "Message Expiry Interval", U32, MESSAGE, 0, Rule::Any;
    ContentType = 0x03, "Content Type", Text, MESSAGE, 0, Rule::Any;
    ResponseTopic = 0x08, "Response Topic", Text, MESSAGE, 0, Rule::ResponseTopic;
    CorrelationData = 0x09, "Correlation Data", Bytes, MESSAGE, 0, Rule::Any;
    SubscriptionIdentifier = 0x0B, "Subscription Identifier", Variable,
        PUBLISH | Place::Subscribe.bit(), PUBLISH, Rule::NotZero(Violation::SubscriptionIdentifierZero);
    SessionExpiryInterval = 0x11, "Session Expiry Interval", U32, OPENING | CLOSING, 0, Rule::Any;
    AssignedClientIdentifier = 0x12, "Assigned Client Identifier", Text, CONNACK, 0, Rule::Any;
    ServerKeepAlive = 0x13, "Server Keep Alive", U16, CONNACK, 0, Rule::Any;
    AuthenticationMethod = 0x15, "Authentication Method", Text, EXCHANGE, 0, Rule::Any;
    AuthenticationData = 0x16, "Authentication Data", Bytes, EXCHANGE, 0, Rule::Any;
    RequestProblemInformation = 0x17, "Request Problem Information", U8, CONNECT, 0, BOOLEAN;
    WillDelayInterval = 0x18, "Will Delay Interval", U32, WILL, 0, Rule::Any;
    RequestResponseInformation = 0x19, "Request Response Information", U8, CONNECT, 0, BOOLEAN;
    ResponseInformation = 0x1A, "Response Information", Text, CONNACK, 0, Rule::Any;
    ServerReference = 0x1C, "Server Reference", Text, CONNACK | CLOSING, 0, Rule::Any;
    ReasonString = 0x1F, "Reason String", Text, ANSWERS, 0, Rule::Any;
    ReceiveMaximum = 0x21, "Receive Maximum", U16, OPENING, 0, Rule::NotZero(Violation::ReceiveMaximumZero);
    TopicAliasMaximum = 0x22, "Topic Alias Maximum", U16, OPENING, 0, Rule::Any;
    TopicAlias = 0x23, "Topic Alias", U16, PUBLISH, 0, Rule::NotZero(Violation::TopicAliasZero);
    MaximumQos = 0x24, "Maximum QoS", U8, CONNACK, 0, Rule::ZeroOrOne(Violation::MaximumQosOutOfRange);
    RetainAvailable = 0x25, "Retain Available", U8, CONNACK, 0, BOOLEAN;
    UserProperty = 0x26, "User Property", Pair, EVERYWHERE, EVERYWHERE, Rule::Any;
    MaximumPacketSize = 0x27, "Maximum Packet Size", U32, OPENING, 0,
        Rule::NotZero(Violation::MaximumPacketSizeZero);
    WildcardSubscriptionAvailable = 0x28, "Wildcard Subscription Available", U8, CONNACK, 0, BOOLEAN;
    SubscriptionIdentifierAvailable = 0x29, "Subscription Identifier Available", U8, CONNACK, 0, BOOLEAN;
    SharedSubscriptionAvailable = 0x2A, "Shared Subscription Available", U8, CONNACK, 0, BOOLEAN;
}

/// The greatest property number, so that a set of properties fits the bits of a `u64`.
pub(crate) const ID_MAX: usize = 0x2A;

/// Position in the table by number; 0xFF where no property has it.
const POSITIONS: [u8; ID_MAX + 1] = {
    let mut positions = [0xFF; ID_MAX + 1];
    let mut position = 0;
    while position < TABLE.len() {
        positions[TABLE[position].property as usize] = position as u8;
        position += 1;
    }
    positions
};

impl Property {
    /// The property with this number, if there is one.
    pub fn from_id(id: u32) -> Option<Property> {
        let position = *POSITIONS.get(usize::try_from(id).ok()?)?;
        TABLE.get(usize::from(position)).map(|row| row.property)
    }

    /// The number on the wire.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The name in the specification.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// How its value is written.
    pub fn kind(self) -> ValueKind {
        self.row().kind
    }

    /// Whether it may stand in this place.
    pub fn is_allowed(self, place: Place) -> bool {
        self.row().places & place.bit() != 0
    }

    /// Whether it may stand more than once in this place.
    pub fn may_repeat(self, place: Place) -> bool {
        self.row().repeats & place.bit() != 0
    }

    /// Judges a value of the right kind by the property's rule.
    pub(crate) fn check(self, value: &PropertyValue<'_>) -> Result<(), Violation> {
        let number = match *value {
            PropertyValue::U8(number) => u32::from(number),
            PropertyValue::U16(number) => u32::from(number),
            PropertyValue::U32(number) | PropertyValue::Variable(number) => number,
            PropertyValue::Str(text) => return self.check_text(text),
            PropertyValue::Bytes(_) | PropertyValue::Pair(..) => return Ok(()),
        };
        match self.row().rule {
            Rule::ZeroOrOne(violation) if number > 1 => Err(violation),
            Rule::NotZero(violation) if number == 0 => Err(violation),
            _ => Ok(()),
        }
    }

    fn check_text(self, text: &str) -> Result<(), Violation> {
        if !matches!(self.row().rule, Rule::ResponseTopic) {
            return Ok(());
        }
        if text.is_empty() {
            return Err(Violation::TopicEmpty);
        }
        match memchr::memchr2(b'+', b'#', text.as_bytes()) {
            Some(_) => Err(Violation::ResponseTopicHasWildcard),
            None => Ok(()),
        }
    }

    fn row(self) -> &'static Row {
        // Every property of the enum has a row: both come from the same macro.
        &TABLE[usize::from(POSITIONS[self as usize])]
    }
}

impl core::fmt::Display for Property {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(self.name())
    }
}
