"""CONNECT, CONNACK and DISCONNECT of 5.0: what is said first and last, and how a refusal looks."""

import pytest

import mqtt_bytes as mqtt
from mqtt_bytes import Will

TOO_LATE = mqtt.publish("late", b"x")


def test_connack_is_first_and_only(visit):
    """With a message waiting for the session, the first packet is still CONNACK [MQTT-3.2.0-1], with success
    [MQTT-3.1.4-5], and no second one ever comes [MQTT-3.2.0-2]."""
    name, publisher = visit.name(), visit()
    first = visit.kept(name)
    first.subscribe(visit.topic, qos=1)
    first.drop()
    publisher.publish(visit.topic, b"waiting", qos=1, reason=0)
    second = visit.raw()
    second.send(mqtt.connect(name, clean=False, properties={"session_expiry_interval": 300}))
    connack, publish = second.receive(), second.receive()
    assert (connack.kind, connack.reason, publish.kind) == ("CONNACK", 0, "PUBLISH")
    second.answer(publish)
    second.subscribe(visit.topic)
    second.ping()
    assert second.pending == []


def test_session_present_tells_the_truth(visit):
    """Without a session 0, with one 1 [MQTT-3.2.2-3], after a clean start 0 again [MQTT-3.2.2-2]
    [MQTT-3.1.2-4]; a session that was not there is made [MQTT-3.1.2-6] and resumed [MQTT-3.1.2-5].

    Clauses: [MQTT-3.2.2-1]."""
    name, seen = visit.name(), []
    for clean in (False, False, True, False):
        peer = visit(5, name, clean=clean, properties={"session_expiry_interval": 300})
        seen.append(peer.connack.session_present)
        peer.disconnect()
    assert seen == [False, True, False, True]


def test_refusal_says_no_session_and_closes(visit):
    """A CONNACK with an error says session present 0 also where there is one [MQTT-3.2.2-6] and is the last
    packet [MQTT-3.2.2-7] [MQTT-4.13.2-1]; the session stays."""
    name = visit.name()
    visit.kept(name).disconnect()
    refused = visit(5, name, reason=0x8C, clean=False, properties={"authentication_method": "NONE"})
    assert refused.connack.session_present is False and refused.expect_closed() == []
    assert visit.kept(name).connack.session_present


def test_refused_connect_ends_everything_behind_it(visit):
    """What follows a CONNECT that is refused is not processed [MQTT-3.1.4-6], and the connection is closed
    [MQTT-3.1.4-2]."""
    watcher = visit()
    watcher.subscribe(visit.topic, "late")
    peer = visit.raw()
    peer.send(mqtt.connect(visit.name(), properties={"authentication_method": "NONE"}) + TOO_LATE)
    assert [packet.kind for packet in peer.expect_closed()] == ["CONNACK"]
    watcher.publish(visit.topic, b"fence")
    watcher.message(visit.topic, b"fence")


FIRST = [mqtt.PINGREQ, TOO_LATE, mqtt.disconnect(), mqtt.auth(0x18, {"authentication_method": "m"}), b"\x00\x00",
         b"\x30\xff\xff\xff\xff"]


@pytest.mark.parametrize("first", FIRST, ids=lambda data: data.hex())
def test_nothing_is_said_before_connect(visit, first):
    """Whatever comes first that is not CONNECT is closed [MQTT-3.1.0-1], without a DISCONNECT
    [MQTT-3.14.0-1]."""
    peer = visit.raw()
    peer.send(first)
    assert peer.expect_closed() == []


def test_client_identifier_names_the_session(visit):
    """The ClientID and nothing else names the session [MQTT-3.1.3-2]: upper and lower case, and what looks
    the same, are different.

    Clauses: [MQTT-1.5.4-3] [MQTT-3.1.3-2 of 3.1.1]."""
    names = [visit.name() + end for end in ("a", "A", "\u00e4", "a\u0308", "\ufeffa")]
    for name in names:
        peer = visit.kept(name)
        assert not peer.connack.session_present
        peer.disconnect()
    assert all(visit.kept(name).connack.session_present for name in names)


def test_assigned_client_identifier_is_new(visit):
    """An empty ClientID gets one that no other session has, told in CONNACK [MQTT-3.2.2-16] [MQTT-3.1.3-6],
    and from then on it is the session's name [MQTT-3.1.3-7]."""
    peers = [visit(5, "", properties={"session_expiry_interval": 300}) for _ in range(20)]
    names = {peer.connack.properties["assigned_client_identifier"] for peer in peers}
    assert len(names) == 20 and not any(peer.connack.session_present for peer in peers)
    peers[0].disconnect()
    name = peers[0].connack.properties["assigned_client_identifier"]
    assert visit(5, name, clean=False).connack.session_present


def test_disconnect_is_the_last_packet(visit):
    """Behind its DISCONNECT the broker sends nothing [MQTT-3.14.4-1] and closes [MQTT-3.14.4-2]
    [MQTT-4.13.1-1], although a subscription still matches."""
    peer, publisher = visit(), visit()
    peer.subscribe(visit.topic, qos=1)
    peer.send(b"\x00\x00" + mqtt.publish(visit.topic, b"too late"))
    publisher.publish(visit.topic, b"x", qos=1)
    packets = peer.expect_closed()
    assert packets[-1].kind == "DISCONNECT" and [packet.kind for packet in packets].count("DISCONNECT") == 1
    assert "session_expiry_interval" not in packets[-1].properties


def test_takeover_closes_the_old_connection(visit):
    """The old connection of a ClientID is told 0x8E and closed [MQTT-3.1.4-3]; the session goes on as clean
    start says [MQTT-3.1.4-4]."""
    name = visit.name()
    for clean in (False, True):
        old = visit.kept(name)
        new = visit(5, name, clean=clean, properties={"session_expiry_interval": 300})
        assert new.connack.session_present is not clean
        old.expect_disconnect(0x8E)


def test_session_expiry_is_never_sent_in_disconnect(visit):
    """A server's DISCONNECT has no session expiry [MQTT-3.14.2-2] and one of the codes that a server may say
    [MQTT-3.14.2-1]."""
    for bad, reason in ((b"\x00\x00", 0x81), (mqtt.publish("a/#"), 0x81),
                        (mqtt.publish("", properties={"topic_alias": 1}), 0x82),
                        (mqtt.publish("a", properties={"topic_alias": 65535}), 0x94)):
        peer = visit.kept(visit.name())
        peer.send(bad)
        assert "session_expiry_interval" not in peer.expect_disconnect(reason).properties


def test_response_information_only_when_asked(visit):
    """Response information comes only to whom asks for it [MQTT-3.1.2-28]."""
    for asked, there in ((None, False), (0, False), (1, True)):
        properties = {} if asked is None else {"request_response_information": asked}
        assert ("response_information" in visit(properties=properties).connack.properties) is there


def test_no_authentication_method_without_one(visit):
    """Without a method in CONNECT there is none in CONNACK and no AUTH [MQTT-4.12.0-6]; AUTH from the client
    is a protocol error [MQTT-4.12.0-7], also one that asks to begin again [MQTT-4.12.1-2]."""
    for reason in (0x18, 0x19):
        peer = visit()
        assert "authentication_method" not in peer.connack.properties
        peer.send(mqtt.auth(reason, {"authentication_method": "NONE"}))
        peer.expect_disconnect(0x82)


@pytest.mark.parametrize("step", ["method alone", "method and data"])
def test_unknown_authentication_method(visit, step):
    """A method the broker does not have: 0x8C and closed [MQTT-4.12.0-1] [MQTT-4.12.0-4]."""
    properties = {"authentication_method": "SCRAM-SHA-256"}
    if step == "method and data":
        properties["authentication_data"] = b"n,,n=user"
    visit(reason=0x8C, properties=properties).expect_closed()


def test_will_needs_its_fields(visit):
    """A will flag without topic and payload is malformed [MQTT-3.1.2-9], a will without its flag too."""
    whole = bytearray(mqtt.connect("will", will=Will("w", b"m")))
    for flags, cut in ((0x06, 3), (0x02, 0)):
        data = bytes([*whole[2:9], flags, *whole[10 : len(whole) - cut]])
        peer = visit.raw()
        peer.send(mqtt.packet("CONNECT", 0, data))
        assert [packet.reason for packet in peer.expect_closed()] == [0x81]


def test_connack_of_a_small_client(visit):
    """A client that takes few bytes gets no CONNACK that is longer [MQTT-3.1.2-24] [MQTT-3.2.2-19]
    [MQTT-3.2.2-20]; what only explains is left out."""
    for bytes_max in (11, 15, 20, 22, 23, 24, 30, 40, 100):
        peer = visit(properties={"maximum_packet_size": bytes_max, "request_response_information": 1})
        assert peer.connack.size <= bytes_max
        refused = visit(reason=0x8C, properties={"maximum_packet_size": bytes_max, "authentication_method": "m"})
        assert refused.connack.size <= bytes_max


def test_connack_that_cannot_fit(visit):
    """Who takes no CONNACK of this broker gets none, and nothing else [MQTT-3.1.2-24] [MQTT-3.14.0-1]: the
    connection closes."""
    peer = visit.raw()
    peer.send(mqtt.connect(visit.name(), properties={"maximum_packet_size": 4}), mqtt.subscribe(1, [("a", 0)]))
    assert peer.expect_closed() == []


def test_refused_client_identifier(visit):
    """A ClientID that the broker keeps for itself is refused with 0x85 and closed [MQTT-3.1.3-8]; in 3.1.1 with
    return code 2 [MQTT-3.1.3-9 of 3.1.1]."""
    for version, reason in ((5, 0x85), (4, 2), (3, 2)):
        assert visit(version, "$local/0/0", reason=reason).expect_closed() == []
