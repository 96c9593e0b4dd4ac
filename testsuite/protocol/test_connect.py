"""CONNECT and CONNACK: who is let in, who is not, and what is said."""

import pytest

import mqtt_bytes as mqtt
from raw_client import Peer


def test_connack_success(connect, version):
    """The first packet is CONNACK with success and no session [MQTT-3.2.0-1] [MQTT-3.2.2-2]."""
    peer = connect("first", version)
    assert peer.connack.session_present is False


def test_ping(connect, version):
    """PINGREQ is answered by PINGRESP [MQTT-3.12.4-1].

    Clauses: [MQTT-3.12.4-1 of 3.1.1]."""
    connect("pinger", version).ping()


def test_assigned_client_identifier(connect):
    """An empty ClientID gets a unique one, told in CONNACK [MQTT-3.1.3-6] [MQTT-3.2.2-16]."""
    first, second = connect(""), connect("")
    names = [peer.connack.properties["assigned_client_identifier"] for peer in (first, second)]
    assert all(names) and names[0] != names[1]


def test_assigned_client_identifier_is_usable(connect):
    """The assigned ClientID names a session that can be resumed by it [MQTT-3.1.3-7]."""
    first = connect("", properties={"session_expiry_interval": 60})
    name = first.connack.properties["assigned_client_identifier"]
    first.disconnect()
    assert connect(name, clean=False).connack.session_present


def test_given_client_identifier_is_not_echoed(connect):
    """Only an assigned ClientID is told [MQTT-3.2.2-16]."""
    assert "assigned_client_identifier" not in connect("mine").connack.properties


def test_empty_client_identifier_with_clean_session(connect):
    """3.1.1 accepts an empty ClientID with clean session [MQTT-3.1.3-6]."""
    connect("", 4, clean=True).ping()


def test_empty_client_identifier_without_clean_session(broker):
    """3.1.1 refuses an empty ClientID without clean session with 0x02 and closes [MQTT-3.1.3-8]."""
    Peer.connected(broker.port, "", 4, clean=False, reason=2).expect_closed()


def test_empty_client_identifier_in_31(broker):
    """MQTT 3.1 has no assigned ClientIDs: an empty one is refused with 0x02."""
    Peer.connected(broker.port, "", 3, clean=True, reason=2).expect_closed()


@pytest.mark.parametrize("length", [23, 24, 200])
def test_client_identifier_lengths(connect, version, length):
    """23 bytes must do [MQTT-3.1.3-5]; longer ones do as well, in 3.1 too.

    Clauses: [MQTT-3.1.3-5 of 3.1.1]."""
    connect("x" * length, version).ping()


def test_strict_client_ids(start_broker, peers):
    """With the strict option a 3.1 ClientID over 23 characters is refused with 0x02; 3.1.1 is not bound by it."""
    broker = start_broker("--strict-client-ids")
    peers(broker.port, "x" * 23, 3).ping()
    peers(broker.port, "x" * 24, 4).ping()
    peers(broker.port, "x" * 24, 3, reason=2).expect_closed()


def test_unknown_protocol_level(broker):
    """An unknown level is answered with 0x84 or 0x01 and the connection closed [MQTT-3.1.2-2]."""
    peer = Peer(broker.port, 5)
    peer.send(mqtt.connect("future", 4, level=6))
    packets = peer.expect_closed()
    assert [packet.reason for packet in packets] in ([1], [0x84], [])


@pytest.mark.parametrize("protocol", ["MQTTX", "HTTP", "", "mqtt"])
def test_unknown_protocol_name(broker, protocol):
    """Another protocol's name: the connection is closed [MQTT-3.1.2-1]."""
    peer = Peer(broker.port, 4)
    peer.send(mqtt.packet("CONNECT", 0, mqtt.binary(protocol) + b"\x04\x02\x00\x3c" + mqtt.binary("x")))
    peer.expect_closed()


def test_first_packet_must_be_connect(broker):
    """Anything else before CONNECT closes the connection [MQTT-3.1.0-1].

    Clauses: [MQTT-3.1.0-1 of 3.1.1]."""
    peer = Peer(broker.port, 4)
    peer.send(mqtt.PINGREQ)
    assert peer.expect_closed() == []


def test_second_connect(connect, version):
    """A second CONNECT is a protocol error [MQTT-3.1.0-2]."""
    peer = connect("twice", version)
    peer.send(mqtt.connect("twice", version))
    peer.expect_disconnect(0x82)


@pytest.mark.parametrize("version", [4, 5])
def test_reserved_connect_flag(broker, version):
    """The reserved flag set: closed, perhaps after a CONNACK that refuses [MQTT-3.1.2-3]. In 3.1 the bit is
    merely unused."""
    good = bytearray(mqtt.connect("flag", version))
    good[good.index(version, 4) + 1] |= 1
    peer = Peer(broker.port, version)
    peer.send(bytes(good))
    assert all(packet.kind == "CONNACK" and packet.reason for packet in peer.expect_closed())


def test_reason_string_is_not_forced(broker):
    """Without problem information only CONNACK, PUBLISH and DISCONNECT may carry a reason string
    [MQTT-3.1.2-29]."""
    with Peer.connected(broker.port, "quiet", properties={"request_problem_information": 0}) as peer:
        answer = peer.publish("nobody/there", qos=1)
        assert "reason_string" not in answer.properties and "user_property" not in answer.properties


def test_authentication_method_unknown(broker):
    """An authentication method that the broker does not have: 0x8C and closed [MQTT-4.12.0-1]."""
    peer = Peer(broker.port)
    peer.send(mqtt.connect("scram", properties={"authentication_method": "NOBODY-KNOWS"}))
    peer.expect("CONNACK", reason=0x8C)
    peer.expect_closed()


def test_authentication_data_without_method(broker):
    """Authentication data without a method is a protocol error, section 3.1.2.11.10."""
    peer = Peer(broker.port)
    peer.send(mqtt.connect("data", properties={"authentication_data": b"x"}))
    assert [packet.reason for packet in peer.expect_closed()] in ([0x82], [])


def test_receive_maximum_zero(broker):
    """Receive maximum 0 is a protocol error, section 3.1.2.11.3."""
    peer = Peer(broker.port)
    peer.send(mqtt.connect("zero", properties={"receive_maximum": 0}))
    assert [packet.reason for packet in peer.expect_closed()] in ([0x82], [])


def test_user_name_and_password_are_accepted(connect, version):
    """Anonymous brokers accept credentials that nobody asked for."""
    connect("named", version, username="user", password=b"secret").ping()


def test_password_without_user_name(broker):
    """Version 5 lets a password stand alone; 3.1.1 does not [MQTT-3.1.2-22]."""
    with Peer.connected(broker.port, "token", 5, password=b"token") as peer:
        peer.ping()
    peer = Peer(broker.port, 4)
    peer.send(mqtt.connect("token", 4, password=b"token"))
    peer.expect_closed()


def test_connack_announces_limits(connect):
    """What CONNACK announces is within the protocol's ranges, section 3.2.2.3."""
    properties = connect("limits").connack.properties
    assert properties.get("receive_maximum", 65535) > 0
    assert properties.get("maximum_packet_size", 1) > 0
    assert properties.get("maximum_qos", 1) in (0, 1)
    for name in ("retain_available", "wildcard_subscription_available", "subscription_identifier_available",
                 "shared_subscription_available"):
        assert properties.get(name, 1) == 1, name
