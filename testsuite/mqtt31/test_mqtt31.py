"""What 3.1 has otherwise than 3.1.1. It has no numbered clauses; each test says which difference it is about, by the
name it has in the list of differences."""

import pytest

import mqtt_bytes as mqtt
from mqtt_bytes import Will
from raw_client import Fence


def connect_bytes(flags, *fields, level=3, name="MQIsdp"):
    """A CONNECT with any flags and fields."""
    body = mqtt.binary(name) + bytes([level, flags, 0, 60]) + b"".join(mqtt.binary(field) for field in fields)
    return mqtt.packet("CONNECT", 0, body)


def test_name_and_level(visit):
    """It is called MQIsdp and has level 3 [MQTT31-name]; MQTT with level 3 and MQIsdp with level 4 are nothing
    and get return code 1 [MQTT31-level]."""
    visit(3).ping()
    for name, level in (("MQTT", 3), ("MQIsdp", 4), ("MQIsdp", 2)):
        peer = visit.raw(3)
        peer.send(connect_bytes(2, visit.name(), level=level, name=name))
        assert [packet.reason for packet in peer.expect_closed()] == [1]


def test_client_identifier(visit):
    """A ClientID has at least one character: an empty one gets return code 2, clean or not
    [MQTT31-client-id-empty]; longer than 23 are taken as well [MQTT31-client-id-long]."""
    for clean in (True, False):
        assert visit(3, "", clean=clean, reason=2).expect_closed() == []
    for length in (1, 23, 24, 100):
        visit(3, "x" * length).ping()


def test_client_identifier_strict(start_broker, peers):
    """With the strict option it has at most 23 characters, not bytes [MQTT31-client-id-strict]."""
    broker = start_broker("--strict-client-ids")
    peers(broker.port, "\u00e4" * 23, 3).ping()
    peers(broker.port, "\u00e4" * 24, 3, reason=2).expect_closed()
    peers(broker.port, "x" * 24, 4).ping()


FLAGS = [(0x03, ()), (0x0A, ()), (0x1A, ()), (0x22, ()), (0x42, ("p",)), (0x82, ()), (0xC2, ("u",)), (0xC2, ())]


@pytest.mark.parametrize(("flags", "fields"), FLAGS, ids=str)
def test_flags_are_not_judged(visit, flags, fields):
    """The lowest flag is unused, will QoS and will retain without a will are ignored [MQTT31-connect-flags], a
    password may come without a user [MQTT31-password-alone], and user and password may be missing although
    their flags are set [MQTT31-credentials-missing]."""
    peer = visit.raw(3)
    peer.send(connect_bytes(flags, visit.name(), *fields))
    peer.expect("CONNACK", reason=0)
    peer.ping()


def test_will(visit):
    """The will is as in 3.1.1, with a QoS of 0 to 2; 3 is none [MQTT31-will-qos]."""
    watcher = visit(3)
    watcher.subscribe(visit.topic, qos=2)
    for qos in (0, 1, 2):
        visit(3, will=Will(visit.topic, b"gone", qos=qos)).drop()
        watcher.message(visit.topic, b"gone", qos=qos)
    peer = visit.raw(3)
    peer.send(connect_bytes(0x1E, visit.name(), "w", "m"))
    assert peer.expect_closed() == []


def test_no_session_present(visit):
    """CONNACK's first byte is not used: a session that is there is not told [MQTT31-session-present], but it is
    resumed."""
    name, publisher = visit.name(), visit(3)
    first = visit.kept(name, 3)
    first.subscribe(visit.topic, qos=1)
    first.disconnect()
    publisher.publish(visit.topic, b"kept", qos=1)
    second = visit.kept(name, 3)
    assert second.connack.session_present is False
    second.message(visit.topic, b"kept")


def test_return_codes(visit, start_broker, peers):
    """Return codes are 0 to 5 [MQTT31-return-codes]: 0 in, 1 level, 2 ClientID, 3 unavailable, 5 not
    authorised."""
    visit(3)
    visit(3, will=Will("$SYS/w"), reason=5).expect_closed()
    broker = start_broker("--set", "sessions_max=1", "--shards", "1")
    peers(broker.port, "one", 3)
    peers(broker.port, "two", 3, reason=3).expect_closed()


def test_suback_has_no_failure(start_broker, peers):
    """SUBACK knows no failure: a filter that is refused is answered with QoS 0 [MQTT31-suback] and gets
    nothing."""
    broker = start_broker("--set", "topic_levels_max=3")
    peer = peers(broker.port, "old", 3)
    fence = Fence(peer)
    peer.send(mqtt.subscribe(1, [("1/2/3/4", 1), ("b", 2)], 3))
    peer.expect("SUBACK", reasons=[0, 2])
    fence.nothing_more(peer)


@pytest.mark.parametrize("flags", [0x2, 0x3, 0xA, 0xB])
def test_dup_of_requests(visit, flags):
    """SUBSCRIBE, UNSUBSCRIBE and PUBREL have a DUP of their own, and QoS 1 [MQTT31-dup-of-requests]."""
    peer = visit(3)
    peer.send(mqtt.packet("SUBSCRIBE", flags, b"\0\1" + mqtt.binary(visit.topic) + b"\0"))
    peer.expect("SUBACK", packet_id=1)
    peer.send(mqtt.packet("UNSUBSCRIBE", flags, b"\0\2" + mqtt.binary(visit.topic)))
    peer.expect("UNSUBACK", packet_id=2)
    peer.send(mqtt.packet("PUBREL", flags, b"\0\3"))
    peer.expect("PUBCOMP", packet_id=3)
    peer.send(mqtt.packet("SUBSCRIBE", flags & ~2, b"\0\1" + mqtt.binary(visit.topic) + b"\0"))
    assert peer.expect_closed() == []


def test_unused_bits(visit):
    """Bits that are not used are not looked at [MQTT31-unused-bits]: flags of PINGREQ and PUBACK, the bits beside
    the QoS of a filter, and DUP of a QoS 0 message."""
    peer = visit(3)
    peer.send(b"\xcf\x00")
    peer.expect("PINGRESP")
    peer.send(b"\x4f\x02\x00\x01", mqtt.subscribe(1, [(visit.topic, 0xFD)], 3))
    peer.expect("SUBACK", reasons=[1])
    peer.send(mqtt.publish(visit.topic, b"x", dup=True, version=3))
    assert peer.message(visit.topic, b"x").dup is False


def test_text(visit):
    """Text is UTF-8 [MQTT31-utf8]: what is not ends the connection, as in 3.1.1."""
    peer = visit(3)
    peer.publish("\u00e4/\U0001f600", b"")
    peer.ping()
    for bad in (b"\xff", b"\xed\xa0\x80", b"a\0"):
        peer = visit(3)
        peer.send(mqtt.publish(bad, version=3))
        assert peer.expect_closed() == []


def test_no_answer_but_closing(visit):
    """There is no DISCONNECT from the server and no word for an error [MQTT31-errors]."""
    for bad in (b"\x00\x00", b"\xf0\x00", mqtt.publish("a/#", version=3), mqtt.publish("a", b"", 3, 1, version=3)):
        peer = visit(3)
        peer.send(bad)
        assert peer.expect_closed() == []


def test_denied_publish_is_acknowledged(visit):
    """A publish that may not be is acknowledged as if it had been done [MQTT31-publish-denied]."""
    peer = visit(3)
    for qos in (1, 2):
        peer.publish("$SYS/mine", b"no", qos=qos)


def test_bridge_bit(visit):
    """The level's upper bit says that a bridge connects [MQTT31-bridge]: it hears nothing of what it sends."""
    bridge = visit.raw(3)
    bridge.send(connect_bytes(2, visit.name(), level=0x83))
    bridge.expect("CONNACK", reason=0)
    fence = Fence(bridge)
    bridge.subscribe(visit.topic)
    bridge.publish(visit.topic, b"own")
    fence.nothing_more(visit(3))
