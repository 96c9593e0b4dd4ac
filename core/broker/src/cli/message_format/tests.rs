use jiff::tz::{Offset, TimeZone};
use ringmq_wire::PropertiesBuffer;

use super::*;

/// 2026-11-21 11:37:43.012345678 at two hours east.
fn moment() -> Zoned {
    let stamp = jiff::Timestamp::new(1_795_253_863, 12_345_678).expect("in range");
    stamp.to_zoned(TimeZone::fixed(Offset::constant(2)))
}

fn all_properties() -> PropertiesBuffer {
    let mut properties = PropertiesBuffer::new();
    properties.push_variable(Property::SubscriptionIdentifier, 7);
    properties.push_user("k", "v");
    properties.push_str(Property::ContentType, "tx");
    properties.push_bytes(Property::CorrelationData, b"co");
    properties.push_user("k", "v2");
    properties.push_str(Property::ResponseTopic, "re");
    properties.push_u8(Property::PayloadFormatIndicator, 1);
    properties.push_u32(Property::MessageExpiryInterval, 100);
    properties
}

fn printed(printer: &Printer, message: &Received<'_>) -> Result<String, NotJson> {
    let mut out = Vec::new();
    printer.print(message, &moment(), &mut out)?;
    Ok(String::from_utf8(out).expect("text"))
}

fn formatted(format: &str, message: &Received<'_>) -> String {
    let layout = Layout::Format(Format::parse(format).expect(format));
    printed(&Printer { layout, end_of_line: false, pretty: false }, message)
        .expect("no %J of other than JSON")
}

fn received<'a>(topic: &'a str, payload: &'a [u8]) -> Received<'a> {
    Received { topic, payload, qos: 0, retain: false, packet_id: 0, properties: Properties::EMPTY }
}

#[test]
fn plain_and_verbose_lines() {
    let rows = [
        (Layout::Payload, true, &b"hello"[..], "hello\n"),
        (Layout::Payload, false, b"hello", "hello"),
        (Layout::Payload, true, b"", ""),
        (Layout::Verbose, true, b"hello", "a/b hello\n"),
        (Layout::Verbose, false, b"hello", "a/b hello"),
        (Layout::Verbose, true, b"", "a/b (null)\n"),
        (Layout::Verbose, false, b"", ""),
    ];
    for (layout, end_of_line, payload, expected) in rows {
        let printer = Printer { layout, end_of_line, pretty: false };
        assert_eq!(printed(&printer, &received("a/b", payload)).as_deref(), Ok(expected), "{printer:?}");
    }
}

/// Compared with mosquitto_sub 2.0.11, but for one thing: it halves a hexadecimal payload shorter than the
/// width (`%8x` of five bytes shows two of them), which is taken for a mistake here.
#[test]
fn fields_as_mosquitto_prints_them() {
    let properties = all_properties();
    let message = Received {
        topic: "a/b",
        payload: b"hello",
        qos: 1,
        retain: true,
        packet_id: 1,
        properties: properties.as_properties(),
    };
    let rows = [
        ("%t|%10t|%-10t|%.2t|%10.2t|%-10.2t|", "a/b|       a/b|a/b       |a/|        a/|a/        |"),
        ("%p|%8p|%-8p|%08p|%3p|%.3p|", "hello|   hello|hello   |000hello|hel|hello|"),
        ("%x|%X|%8x|%08x|%4X", "68656c6c6f|68656C6C6F|68656c6c|68656c6c|6865"),
        ("l%l q%q r%r m%m|%5m|%05l|%-5l|%-05l|", "l5 q1 r1 m1|    1|00005|5    |5    |"),
        (
            "A%A|%5A|%05A|C%C|%5C|D%D|E%E|%08E|%-8E|F%F|",
            "A|     |00000|Ctx|   tx|Dco|E100|00000100|100     |F1|",
        ),
        ("P%P|R%R|%8R|S%S|%4S|", "Pk:v k:v2|Rre|      re|S7|   7|"),
        (r"\\|\a\e\n\r\t\v\0|@@|%%|", "\\|\x07\x1b\n\r\t\x0b\0|@|%|"),
        ("%010.3t|%5%|%5q", "       a/b|%|1"),
        ("ö%tö", "öa/bö"),
    ];
    for (format, expected) in rows {
        assert_eq!(formatted(format, &message), expected, "{format}");
    }
}

#[test]
fn absent_properties_take_their_width() {
    let rows = [(
        "A%A|%5A|%05A|C%C|%5C|D%D|E%E|%08E|F%F|P%P|R%R|%8R|S%S|%4S|",
        "A|     |00000|C|     |D|E|00000000|F|P|R||S|    |",
    )];
    for (format, expected) in rows {
        assert_eq!(formatted(format, &received("t", b"")), expected, "{format}");
    }
}

#[test]
fn times() {
    let rows = [
        ("%I", "2026-11-21T11:37:43+0200"),
        ("%30I|%.10I", "      2026-11-21T11:37:43+0200|2026-11-21"),
        ("%U", "1795253863.012345678"),
        ("@Y-@m-@dT@H:@M:@S@z @N @s", "2026-11-21T11:37:43+0200 012345678 1795253863"),
        ("@c|@x|@X|@r", "Sat Nov 21 11:37:43 2026|11/21/26|11:37:43|11:37:43 AM"),
    ];
    for (format, expected) in rows {
        assert_eq!(formatted(format, &received("t", b"")), expected, "{format}");
    }
}

#[test]
fn every_time_specifier_of_glibc_in_the_c_locale() {
    for letter in "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ".chars() {
        assert!(Format::parse(&format!("@{letter}")).is_ok(), "@{letter}");
    }
}

#[test]
fn json() {
    let properties = all_properties();
    let mut message = Received {
        topic: "a/b",
        payload: br#"{"x": 27.0}"#,
        qos: 1,
        retain: true,
        packet_id: 12,
        properties: properties.as_properties(),
    };
    let head = r#"{"tst":"2026-11-21T11:37:43.012345Z+0200","topic":"a/b","#;
    let listed = concat!(
        r#""properties":{"subscription-identifier":7,"user-properties":{"k":"v","k":"v2"},"content-type":"tx","#,
        r#""correlation-data":"co","response-topic":"re","payload-format-indicator":1,"message-expiry-interval":100},"#
    );
    let middle = format!(r#"{head}"qos":1,"retain":1,"payloadlen":11,"mid":12,{listed}"payload":"#);
    assert_eq!(formatted("%j", &message), format!(r#"{middle}"{{\"x\": 27.0}}"}}"#));
    assert_eq!(formatted("%J", &message), format!(r#"{middle}{{"x":27.0}}}}"#));

    message = received("a/b", b"");
    let empty = format!(r#"{head}"qos":0,"retain":0,"payloadlen":0,"payload":null}}"#);
    assert_eq!(formatted("%j", &message), empty);
    assert_eq!(formatted("%J", &message), empty);
}

#[test]
fn a_payload_that_is_no_json_leaves_the_rest_of_the_line() {
    let printer = Printer {
        layout: Layout::Format(Format::parse("<%J>").expect("valid")),
        end_of_line: true,
        pretty: false,
    };
    let mut out = Vec::new();
    assert_eq!(printer.print(&received("t", b"{\"a\":"), &moment(), &mut out), Err(NotJson));
    assert_eq!(out, b"<>\n");
}

#[test]
fn indented_json() {
    let printer = Printer {
        layout: Layout::Format(Format::parse("%j").expect("valid")),
        end_of_line: false,
        pretty: true,
    };
    let expected = "{\n\t\"tst\":\t\"2026-11-21T11:37:43.012345Z+0200\",\n\t\"topic\":\t\"t\",\n\t\"qos\":\t0,\n\
                    \t\"retain\":\t0,\n\t\"payloadlen\":\t1,\n\t\"payload\":\t\"x\"\n}";
    assert_eq!(printed(&printer, &received("t", b"x")).as_deref(), Ok(expected));
}

#[test]
fn wrong_formats_are_refused() {
    let rows = [
        ("%", "Incomplete format specifier."),
        ("%-", "Incomplete format specifier."),
        ("%05", "Incomplete format specifier."),
        ("%5.", "Incomplete format specifier."),
        ("%5.3", "Incomplete format specifier."),
        ("%z", "Invalid format specifier 'z'."),
        ("%ö", "Invalid format specifier 'ö'."),
        ("%999999t", "Field width 999999 is over 65535."),
        ("%99999999999999999999999t", "Field width 99999999999999999999999 is over 65535."),
        ("@", "Incomplete format specifier."),
        ("@!", "Invalid time specifier '@!'."),
        ("@5", "Invalid time specifier '@5'."),
        ("\\", "Incomplete escape specifier."),
        ("\\q", "Invalid escape specifier 'q'."),
    ];
    for (format, expected) in rows {
        assert_eq!(
            Format::parse(format).map_err(|error| error.to_string()),
            Err(expected.to_owned()),
            "{format}"
        );
    }
}
