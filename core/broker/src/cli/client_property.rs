//! `-D COMMAND IDENTIFIER VALUE`: the properties that a user gives to the packets of a client command.
//! Names, kinds and places come from the codec's one table; nothing here knows a property by itself.

use ringmq_wire::{Place, PropertiesBuffer, Property, PropertyValue, ValueKind};

use super::message_format::option_name;

/// The properties given, by the packet they go into.
#[derive(Debug, Default)]
pub struct PropertyOptions {
    /// Into CONNECT.
    pub connect: PropertiesBuffer,
    /// Into each PUBLISH.
    pub publish: PropertiesBuffer,
    /// Into SUBSCRIBE.
    pub subscribe: PropertiesBuffer,
    /// Into UNSUBSCRIBE.
    pub unsubscribe: PropertiesBuffer,
    /// Into DISCONNECT.
    pub disconnect: PropertiesBuffer,
    /// Into the will of CONNECT.
    pub will: PropertiesBuffer,
}

/// The commands that take properties, with where they go.
const COMMANDS: [(&str, Place); 6] = [
    ("connect", Place::Connect),
    ("publish", Place::Publish),
    ("subscribe", Place::Subscribe),
    ("unsubscribe", Place::Unsubscribe),
    ("disconnect", Place::Disconnect),
    ("will", Place::Will),
];

impl PropertyOptions {
    /// Reads the words of all `-D` in order: three for each, four for a `user-property`.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.iter().map(String::as_str);
        while let Some(command) = words.next() {
            let place = place_of(command)?;
            let identifier = words.next().ok_or("-D needs a command, an identifier and a value.")?;
            let property = property_of(identifier, command, place)?;
            let value = words.next().ok_or_else(|| format!("-D {command} {identifier} has no value."))?;
            let buffer = options.buffer(place);
            if property.kind() == ValueKind::Pair {
                let name = value;
                let value = words.next().ok_or("-D with user-property needs a name and a value.")?;
                buffer.push_user(name, value);
            } else {
                push(buffer, property, value).ok_or_else(|| {
                    format!("Property value {value} of {identifier} is no {}.", kind_name(property.kind()))
                })?;
            }
            // Checked each time, so that the message can name what was just given.
            buffer.check(place).map_err(|violation| format!("In -D {command} {identifier}: {violation}."))?;
        }
        Ok(options)
    }

    fn buffer(&mut self, place: Place) -> &mut PropertiesBuffer {
        match place {
            Place::Connect => &mut self.connect,
            Place::Subscribe => &mut self.subscribe,
            Place::Unsubscribe => &mut self.unsubscribe,
            Place::Disconnect => &mut self.disconnect,
            Place::Will => &mut self.will,
            _ => &mut self.publish,
        }
    }
}

fn place_of(command: &str) -> Result<Place, String> {
    let found = COMMANDS.iter().find(|(name, _)| *name == command.to_ascii_lowercase());
    found.map(|(_, place)| *place).ok_or_else(|| {
        let names = COMMANDS.map(|(name, _)| name).join(", ");
        format!("Invalid command '{command}' given in -D; it is one of {names}.")
    })
}

fn property_of(identifier: &str, command: &str, place: Place) -> Result<Property, String> {
    let property = Property::ALL.into_iter().find(|property| option_name(*property) == identifier);
    if let Some(property) = property.filter(|property| property.is_allowed(place)) {
        return Ok(property);
    }
    let allowed: Vec<_> = Property::ALL.into_iter().filter(|property| property.is_allowed(place)).collect();
    let names = allowed.into_iter().map(option_name).collect::<Vec<_>>().join(", ");
    Err(format!("Property '{identifier}' is not allowed for {command} in -D; allowed are {names}."))
}

fn push(buffer: &mut PropertiesBuffer, property: Property, value: &str) -> Option<()> {
    let value = match property.kind() {
        ValueKind::U8 => PropertyValue::U8(value.parse().ok()?),
        ValueKind::U16 => PropertyValue::U16(value.parse().ok()?),
        ValueKind::U32 => PropertyValue::U32(value.parse().ok()?),
        ValueKind::Variable => PropertyValue::Variable(value.parse().ok().filter(|id| *id <= 268_435_455)?),
        ValueKind::Text => PropertyValue::Str(value),
        ValueKind::Bytes => PropertyValue::Bytes(value.as_bytes()),
        ValueKind::Pair => return None,
    };
    buffer.push(property, value);
    Some(())
}

fn kind_name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::U8 => "number from 0 to 255",
        ValueKind::U16 => "number from 0 to 65535",
        ValueKind::U32 => "number from 0 to 4294967295",
        ValueKind::Variable => "number from 0 to 268435455",
        ValueKind::Text | ValueKind::Bytes | ValueKind::Pair => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PropertyOptions, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        PropertyOptions::parse(&words)
    }

    #[test]
    fn properties_reach_their_packet() {
        let options = parse(
            "publish content-type text publish user-property a 1 publish user-property a 2 \
             PUBLISH message-expiry-interval 60 publish correlation-data xyz subscribe subscription-identifier 7 \
             connect receive-maximum 10 will will-delay-interval 5 disconnect user-property x y \
             unsubscribe user-property u v",
        )
        .expect("all allowed");
        let publish = options.publish.as_properties();
        assert_eq!(publish.str(Property::ContentType), Some("text"));
        assert_eq!(publish.u32(Property::MessageExpiryInterval), Some(60));
        assert_eq!(publish.bytes(Property::CorrelationData), Some(&b"xyz"[..]));
        assert_eq!(publish.user_properties().collect::<Vec<_>>(), [("a", "1"), ("a", "2")]);
        assert_eq!(options.subscribe.as_properties().u32(Property::SubscriptionIdentifier), Some(7));
        assert_eq!(options.connect.as_properties().u16(Property::ReceiveMaximum), Some(10));
        assert_eq!(options.will.as_properties().u32(Property::WillDelayInterval), Some(5));
        assert_eq!(options.disconnect.as_properties().user_properties().count(), 1);
        assert_eq!(options.unsubscribe.as_properties().user_properties().count(), 1);
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_name() {
        let rows = [
            ("send content-type x", "'send'"),
            ("publish", "identifier"),
            ("publish content-type", "no value"),
            ("publish user-property a", "name and a value"),
            ("publish colour red", "'colour'"),
            ("publish receive-maximum 5", "'receive-maximum'"),
            ("connect receive-maximum 70000", "70000"),
            ("connect receive-maximum 0", "receive-maximum"),
            ("publish payload-format-indicator 2", "payload-format-indicator"),
            ("publish response-topic a/#", "response-topic"),
            ("publish content-type a publish content-type b", "content-type"),
            ("subscribe subscription-identifier 268435456", "268435456"),
        ];
        for (text, named) in rows {
            let error = parse(text).expect_err(text);
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
