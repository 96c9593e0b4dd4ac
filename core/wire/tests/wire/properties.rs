//! The table of properties, written down again from section 2.2.2.2 of the specification.

use ringmq_wire::{Place, Properties, PropertiesBuffer, Property, PropertyValue, Violation};

use crate::notation::bytes;

/// Number, a value that is fine, and the places where the property may stand.
const TABLE: &[(u8, &str, &[Place])] = {
    use Place::*;
    &[
        (0x01, "01", &[Publish, Will]),
        (0x02, "00000000", &[Publish, Will]),
        (0x03, "=text/plain", &[Publish, Will]),
        (0x08, "=a/b", &[Publish, Will]),
        (0x09, "0002 FF00", &[Publish, Will]),
        (0x0B, "FFFFFF7F", &[Publish, Subscribe]),
        (0x11, "FFFFFFFF", &[Connect, Connack, Disconnect]),
        (0x12, "=id", &[Connack]),
        (0x13, "0000", &[Connack]),
        (0x15, "=m", &[Connect, Connack, Auth]),
        (0x16, "=d", &[Connect, Connack, Auth]),
        (0x17, "00", &[Connect]),
        (0x18, "00000000", &[Will]),
        (0x19, "01", &[Connect]),
        (0x1A, "=r", &[Connack]),
        (0x1C, "=s", &[Connack, Disconnect]),
        (0x1F, "=why", &[Connack, Puback, Pubrec, Pubrel, Pubcomp, Suback, Unsuback, Disconnect, Auth]),
        (0x21, "FFFF", &[Connect, Connack]),
        (0x22, "0000", &[Connect, Connack]),
        (0x23, "0001", &[Publish]),
        (0x24, "00", &[Connack]),
        (0x25, "01", &[Connack]),
        (0x26, "= =", &Place::ALL),
        (0x27, "00000001", &[Connect, Connack]),
        (0x28, "00", &[Connack]),
        (0x29, "01", &[Connack]),
        (0x2A, "00", &[Connack]),
    ]
};

fn property(id: u8) -> Property {
    Property::from_id(u32::from(id)).expect("a property")
}

#[test]
fn every_property_in_every_place() {
    assert_eq!(TABLE.len(), Property::ALL.len());
    for &(id, value, places) in TABLE {
        for place in Place::ALL {
            // Authentication data wants a method beside it.
            let method = if id == 0x16 && places.contains(&place) { "15 =m " } else { "" };
            let once = bytes(&format!("{method}{id:02X} {value}"));
            let twice = bytes(&format!("{method}{id:02X} {value} {id:02X} {value}"));
            if !places.contains(&place) {
                assert_eq!(Properties::parse(place, &once), Err(Violation::PropertyNotAllowed), "{id:02X}");
                continue;
            }
            let parsed = Properties::parse(place, &once).expect("an allowed property");
            assert!(parsed.contains(property(id)));
            let repeats = id == 0x26 || (id == 0x0B && place == Place::Publish);
            let expected = if repeats { None } else { Some(Violation::PropertyRepeated) };
            assert_eq!(Properties::parse(place, &twice).err(), expected, "{id:02X} twice in {place:?}");
        }
    }
}

/// A property that ends early is never read past its end.
#[test]
fn every_property_cut_short() {
    for &(id, value, places) in TABLE {
        let whole = bytes(&format!("{id:02X} {value}"));
        for length in 1..whole.len() {
            let result = Properties::parse(places[0], &whole[..length]);
            assert_eq!(result, Err(Violation::Truncated), "{id:02X} cut to {length}");
        }
    }
}

#[test]
fn numbers_that_are_no_property() {
    let known: Vec<u32> = (0..=300).filter(|&id| Property::from_id(id).is_some()).collect();
    assert_eq!(known, TABLE.iter().map(|row| u32::from(row.0)).collect::<Vec<_>>());
    assert_eq!(Property::from_id(u32::MAX), None);
    for property in Property::ALL {
        assert_eq!(Property::from_id(u32::from(property.id())), Some(property));
        assert!(!property.name().is_empty());
    }
}

#[test]
fn values_are_read_by_their_kind() {
    let raw = bytes("01 01 02 0000003C 03 =json 09 0002 0102 23 0007 0B 8001 0B 02 26 =k =v 26 =a =b");
    let properties = Properties::parse(Place::Publish, &raw).expect("fine");
    assert_eq!(properties.u8(Property::PayloadFormatIndicator), Some(1));
    assert_eq!(properties.u32(Property::MessageExpiryInterval), Some(60));
    assert_eq!(properties.str(Property::ContentType), Some("json"));
    assert_eq!(properties.bytes(Property::CorrelationData), Some(&[1, 2][..]));
    assert_eq!(properties.u16(Property::TopicAlias), Some(7));
    assert_eq!(properties.u32(Property::SubscriptionIdentifier), Some(128));
    assert_eq!(properties.subscription_identifiers().collect::<Vec<_>>(), [128, 2]);
    assert_eq!(properties.user_properties().collect::<Vec<_>>(), [("k", "v"), ("a", "b")]);
    assert_eq!(properties.str(Property::ResponseTopic), None);
    assert_eq!(properties.u16(Property::MessageExpiryInterval), None);
    assert_eq!(properties.iter().count(), 9);
    assert_eq!(properties.raw(), raw);
}

#[test]
fn a_buffer_writes_what_is_read() {
    let mut buffer = PropertiesBuffer::new();
    buffer.push_u8(Property::PayloadFormatIndicator, 1);
    buffer.push_u32(Property::MessageExpiryInterval, 60);
    buffer.push_str(Property::ContentType, "json");
    buffer.push_bytes(Property::CorrelationData, &[1, 2]);
    buffer.push_u16(Property::TopicAlias, 7);
    buffer.push_variable(Property::SubscriptionIdentifier, 128);
    buffer.push_user("k", "v");
    let raw = bytes("01 01 02 0000003C 03 =json 09 0002 0102 23 0007 0B 8001 26 =k =v");
    assert_eq!(buffer.as_properties().raw(), raw);
    assert_eq!(buffer.check(Place::Publish).map(Properties::raw), Ok(&raw[..]));
    assert_eq!(buffer.check(Place::Will), Err(Violation::PropertyNotAllowed));
    assert_eq!(buffer.len(), raw.len());
    let mut copy = PropertiesBuffer::new();
    for (property, value) in buffer.as_properties().iter() {
        copy.push(property, value);
    }
    assert_eq!(copy, buffer);
    copy.clear();
    assert!(copy.is_empty());
    copy.push_raw(buffer.as_properties());
    assert_eq!(copy.as_properties(), buffer.as_properties());
}

#[test]
fn a_buffer_refuses_what_cannot_be_written() {
    let long = "x".repeat(65_536);
    let refused = [
        (Property::ReasonString, PropertyValue::Str(&long)),
        (Property::UserProperty, PropertyValue::Pair("k", &long)),
        (Property::UserProperty, PropertyValue::Pair(&long, "v")),
        (Property::AuthenticationData, PropertyValue::Bytes(long.as_bytes())),
        (Property::SubscriptionIdentifier, PropertyValue::Variable(268_435_456)),
        (Property::ReceiveMaximum, PropertyValue::U32(1)),
    ];
    for (property, value) in refused {
        let mut buffer = PropertiesBuffer::new();
        buffer.push(property, value);
        assert!(buffer.is_empty());
        assert_eq!(buffer.check(Place::Connack), Err(Violation::FieldTooLong), "{property}");
        buffer.clear();
        assert_eq!(buffer.check(Place::Connack), Ok(Properties::EMPTY));
    }
    let fits = "x".repeat(65_535);
    let mut buffer = PropertiesBuffer::new();
    buffer.push_str(Property::ReasonString, &fits);
    assert!(buffer.check(Place::Connack).is_ok());
}
