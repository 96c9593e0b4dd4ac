"""What no client may send: the connection is closed, in version 5 with the clause's reason code, and the broker
lives on."""

import pytest

import mqtt_bytes as mqtt
from raw_client import Peer

TOPIC = mqtt.binary("a/b")
NONE = b"\x00"  # an empty property section

# name, version, bytes behind CONNECT, reason codes that fit
BAD = [
    ("reserved packet type 0, section 2.1.2", 5, b"\x00\x00", {0x81, 0x82}),
    ("CONNACK from a client", 5, b"\x20\x03\x00\x00\x00", {0x81, 0x82}),
    ("SUBACK from a client", 4, b"\x90\x03\x00\x01\x00", set()),
    ("PINGRESP from a client", 5, b"\xd0\x00", {0x81, 0x82}),
    ("PUBLISH with QoS 3 [MQTT-3.3.1-4]", 5, mqtt.packet("PUBLISH", 6, TOPIC + b"\x00\x01" + NONE), {0x81}),
    ("PUBLISH with QoS 3 [MQTT-3.3.1-4]", 4, mqtt.packet("PUBLISH", 6, TOPIC + b"\x00\x01"), set()),
    ("PUBLISH QoS 0 with DUP [MQTT-3.3.1-2]", 5, mqtt.packet("PUBLISH", 8, TOPIC + NONE), {0x81, 0x82}),
    ("PUBLISH packet identifier 0 [MQTT-2.2.1-3]", 5, mqtt.publish("a", b"", 1, 0), {0x81, 0x82}),
    ("PUBLISH packet identifier 0 [MQTT-2.3.1-1]", 4, mqtt.publish("a", b"", 1, 0, version=4), set()),
    ("PUBLISH to a wildcard [MQTT-3.3.2-2]", 5, mqtt.publish("a/#"), {0x81, 0x82, 0x90}),
    ("PUBLISH to a wildcard [MQTT-3.3.2-2]", 4, mqtt.publish("a/+", version=4), set()),
    ("PUBLISH to no topic and no alias [MQTT-4.7.3-1]", 5, mqtt.publish(""), {0x81, 0x82, 0x90}),
    ("PUBLISH to no topic [MQTT-4.7.3-1]", 4, mqtt.publish("", version=4), set()),
    ("topic with U+0000 [MQTT-1.5.4-2]", 5, mqtt.publish("a\0b"), {0x81, 0x90}),
    ("topic with U+0000 [MQTT-1.5.3-2]", 4, mqtt.publish("a\0b", version=4), set()),
    ("topic not UTF-8 [MQTT-1.5.4-1]", 5, mqtt.packet("PUBLISH", 0, b"\x00\x02\xc0\x80" + NONE), {0x81, 0x90}),
    ("topic with a surrogate [MQTT-1.5.3-1]", 4, mqtt.packet("PUBLISH", 0, b"\x00\x03\xed\xa0\x80"), set()),
    ("topic longer than the packet", 5, mqtt.packet("PUBLISH", 0, b"\x00\x20abc"), {0x81}),
    ("remaining length of five bytes", 5, b"\x30\xff\xff\xff\xff\x01", {0x81, 0x95}),
    ("property unknown", 5, mqtt.packet("PUBLISH", 0, TOPIC + b"\x02\x7f\x00"), {0x81, 0x82}),
    ("property of another packet", 5, mqtt.publish("a", properties={"receive_maximum": 1}), {0x81, 0x82}),
    ("property twice", 5, mqtt.packet("PUBLISH", 0, TOPIC + b"\x04\x01\x00\x01\x00"), {0x81, 0x82}),
    ("property length past the end", 5, mqtt.packet("PUBLISH", 0, TOPIC + b"\x20\x01"), {0x81}),
    ("payload format indicator 2", 5, mqtt.publish("a", properties={"payload_format_indicator": 2}), {0x81, 0x82}),
    ("response topic with wildcard [MQTT-3.3.2-14]", 5, mqtt.publish("a", properties={"response_topic": "x/#"}),
     {0x81, 0x82, 0x90}),
    ("subscription identifier from a client [MQTT-3.3.4-6]", 5,
     mqtt.publish("a", properties={"subscription_identifier": 1}), {0x81, 0x82}),
    ("SUBSCRIBE flags [MQTT-3.8.1-1]", 5, mqtt.packet("SUBSCRIBE", 0, b"\x00\x01\x00" + TOPIC + b"\x00"), {0x81}),
    ("SUBSCRIBE flags [MQTT-3.8.1-1]", 4, mqtt.packet("SUBSCRIBE", 0, b"\x00\x01" + TOPIC + b"\x00"), set()),
    ("SUBSCRIBE without a filter [MQTT-3.8.3-2]", 5, mqtt.subscribe(1, []), {0x81, 0x82}),
    ("SUBSCRIBE without a filter [MQTT-3.8.3-3]", 4, mqtt.subscribe(1, [], 4), set()),
    ("SUBSCRIBE reserved option bits [MQTT-3.8.3-5]", 5, mqtt.subscribe(1, [("a", 0x40)]), {0x81, 0x82}),
    ("SUBSCRIBE QoS 3 [MQTT-3.8.3-4]", 4, mqtt.subscribe(1, [("a", 3)], 4), set()),
    ("SUBSCRIBE QoS 3", 5, mqtt.subscribe(1, [("a", 3)]), {0x81, 0x82}),
    ("SUBSCRIBE retain handling 3", 5, mqtt.subscribe(1, [("a", 0x30)]), {0x81, 0x82}),
    ("SUBSCRIBE packet identifier 0 [MQTT-2.2.1-3]", 5, mqtt.subscribe(0, [("a", 0)]), {0x81, 0x82}),
    ("SUBSCRIBE subscription identifier 0", 5,
     mqtt.subscribe(1, [("a", 0)], properties={"subscription_identifier": 0}), {0x81, 0x82}),
    ("no local on a shared subscription [MQTT-3.8.3-4]", 5, mqtt.subscribe(1, [("$share/g/a", 4)]), {0x82}),
    ("UNSUBSCRIBE flags [MQTT-3.10.1-1]", 4, mqtt.packet("UNSUBSCRIBE", 0, b"\x00\x01" + TOPIC), set()),
    ("UNSUBSCRIBE without a filter [MQTT-3.10.3-2]", 5, mqtt.unsubscribe(1, []), {0x81, 0x82}),
    ("PUBREL flags [MQTT-3.6.1-1]", 5, mqtt.packet("PUBREL", 0, b"\x00\x01"), {0x81}),
    ("PINGREQ flags", 5, b"\xc1\x00", {0x81}),
    ("PINGREQ with a body", 5, b"\xc0\x01\x00", {0x81}),
    ("DISCONNECT flags [MQTT-3.14.1-1]", 5, b"\xe1\x00", {0x81}),
    ("AUTH without a method [MQTT-4.12.0-7]", 5, mqtt.auth(0x18), {0x81, 0x82}),
    ("AUTH in 3.1.1", 4, b"\xf0\x00", set()),
    ("PUBACK too short", 5, b"\x40\x01\x00", {0x81}),
    ("PUBACK reason unknown", 5, b"\x40\x03\x00\x01\x55", {0x81, 0x82}),
]


@pytest.mark.parametrize(("version", "data", "reasons"), [row[1:] for row in BAD],
                         ids=[f"v{row[1]} {row[0]}" for row in BAD])
def test_bad_packet(broker, version, data, reasons):
    """The offender is told why, in version 5, and closed [MQTT-4.13.1-1]; others do not notice."""
    other = Peer.connected(broker.port, "other", version)
    peer = Peer.connected(broker.port, "offender", version)
    peer.send(data)
    packets = peer.expect_closed()
    assert all(packet.kind == "DISCONNECT" and packet.reason in reasons for packet in packets), packets
    assert version == 5 or not packets
    other.ping()
    other.drop()


BAD_FILTERS = ["a/b#", "a/#/b", "#/", "a+", "+a", "a/+b", "", "a\0b"]


@pytest.mark.parametrize("name", BAD_FILTERS)
def test_bad_filter(broker, version, name):
    """A filter that is none is refused: by closing, or in version 5 by 0x8F in SUBACK [MQTT-4.7.1-1]
    [MQTT-4.7.1-2] [MQTT-4.7.3-1]."""
    peer = Peer.connected(broker.port, "filter", version)
    peer.send(mqtt.subscribe(1, [(name, 0)], version), mqtt.PINGREQ)
    try:
        answer = peer.receive()
    except Exception as closed:  # noqa: BLE001 - the class is checked by name below
        assert type(closed).__name__ == "Closed"
        return
    if answer.kind == "SUBACK":
        assert answer.reasons[0] >= 0x80
        peer.expect("PINGRESP")
    else:
        assert answer.kind == "DISCONNECT" and answer.reason in (0x81, 0x82, 0x8F)
    peer.drop()


BAD_SHARES = ["$share/", "$share/g", "$share//a", "$share/g/", "$share/g+/a", "$share/#/a"]


@pytest.mark.parametrize("name", BAD_SHARES)
def test_bad_share_name(broker, name):
    """A share name is at least one character, without wildcards, and a filter follows [MQTT-4.8.2-1]
    [MQTT-4.8.2-2]."""
    peer = Peer.connected(broker.port, "share")
    peer.send(mqtt.subscribe(1, [(name, 0)]))
    answer = peer.receive()
    assert (answer.kind == "SUBACK" and answer.reasons[0] >= 0x80) or answer.kind == "DISCONNECT", answer
    peer.drop()
