"""What 3.1.1 says otherwise than 5.0, or with other words: return codes, silence instead of codes, the session that
lives as long as clean session says. Rules that both share are tested for both in the folder mqtt5."""

import pytest

import mqtt_bytes as mqtt
from mqtt_bytes import Will
from mqtt_bytes import binary as text
from raw_client import Fence, Peer


def test_first_packet_is_connack(visit):
    """The first packet is CONNACK with code 0 [MQTT-3.2.0-1 of 3.1.1] [MQTT-3.1.4-4 of 3.1.1], also when
    messages wait for the session."""
    name, publisher = visit.name(), visit(4)
    visit.kept(name, 4).subscribe(visit.topic, qos=1)
    publisher.publish(visit.topic, b"x", qos=1)
    again = visit.raw(4)
    again.send(mqtt.connect(name, 4, clean=False))
    assert [again.receive().kind for _ in range(2)] == ["CONNACK", "PUBLISH"]


def test_session_present_flag(visit):
    """Clean session says no session [MQTT-3.2.2-1 of 3.1.1]; otherwise the flag says what there is
    [MQTT-3.2.2-2 of 3.1.1] [MQTT-3.2.2-3 of 3.1.1], and clean session is looked at first
    [MQTT-3.1.4-3 of 3.1.1].

    Clauses: [MQTT-3.1.3-2 of 3.1.1]."""
    name, seen = visit.name(), []
    for clean in (False, False, True, False):
        peer = visit(4, name, clean=clean)
        seen.append(peer.connack.session_present)
        peer.disconnect()
    assert seen == [False, True, False, False]


def test_clean_session_leaves_nothing(visit):
    """A clean session begins with nothing and nothing of it is used again [MQTT-3.1.2-6 of 3.1.1]; one that is
    not is kept and resumed [MQTT-3.1.2-4 of 3.1.1], with the QoS 1 and 2 messages that came meanwhile
    [MQTT-3.1.2-5 of 3.1.1].

    Clauses: [MQTT-4.5.0-1 of 3.1.1]."""
    name, publisher = visit.name(), visit(4)
    for clean in (True, False):
        peer = visit(4, name, clean=clean)
        peer.subscribe(visit.topic, qos=2)
        peer.disconnect()
        for qos in (1, 2):
            publisher.publish(visit.topic, str(qos), qos=qos)
        again = visit(4, name, clean=False)
        fence = Fence(again)
        found = [] if clean else again.messages(2)
        assert [one.payload for one in found] == ([] if clean else [b"1", b"2"])
        fence.nothing_more(publisher)
        again.disconnect()
        visit(4, name, clean=True).disconnect()


def test_retained_outlives_the_session(visit):
    """Retained messages are no part of a session and stay when it ends [MQTT-3.1.2-7 of 3.1.1]."""
    visit(4).publish(visit.topic, b"kept", qos=1, retain=True)
    name = visit.name()
    peer = visit(4, name, clean=True)
    peer.publish(visit.topic + "/own", b"kept", qos=1, retain=True)
    peer.disconnect()
    late = visit(4)
    late.subscribe(visit.topic + "/#", qos=1)
    assert {found.topic for found in late.messages(2)} == {visit.topic, visit.topic + "/own"}
    for topic in (visit.topic, visit.topic + "/own"):
        late.publish(topic, b"", retain=True)


@pytest.mark.parametrize(("name", "clean"), [("", False)])
def test_refused_client_identifier(visit, name, clean):
    """A ClientID that is refused gets return code 2 and is closed [MQTT-3.1.3-8 of 3.1.1]
    [MQTT-3.1.3-9 of 3.1.1], with session present 0 [MQTT-3.2.2-4 of 3.1.1] [MQTT-3.2.2-5 of 3.1.1]."""
    peer = visit(4, name, clean=clean, reason=2)
    assert peer.connack.session_present is False and peer.expect_closed() == []


def test_empty_client_identifier_is_its_own(visit):
    """An empty ClientID gets a session of its own each time [MQTT-3.1.3-6 of 3.1.1]."""
    first, second = visit(4, ""), visit(4, "")
    first.subscribe(visit.topic)
    fence = Fence(second)
    second.publish(visit.topic, b"x")
    first.message(visit.topic, b"x")
    fence.nothing_more(second)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_unacceptable_level(visit, level):
    """A level that the broker does not have: return code 1, then closed [MQTT-3.1.2-2 of 3.1.1]."""
    peer = visit.raw(4)
    peer.send(mqtt.connect(visit.name(), 4, level=level))
    assert [packet.reason for packet in peer.expect_closed()] == [1]


def head(flags):
    """Level, flags and keep alive of a CONNECT."""
    return bytes([4, flags, 0, 60])


BAD_CONNECTS = [
    ("reserved flag [MQTT-3.1.2-3 of 3.1.1]", head(3) + text("c")),
    ("will QoS without a will [MQTT-3.1.2-13 of 3.1.1] [MQTT-3.1.2-11 of 3.1.1]", head(0x0A) + text("c")),
    ("will QoS 3 [MQTT-3.1.2-14 of 3.1.1]", head(0x1E) + text("c") + text("w") * 2),
    ("will retain without a will [MQTT-3.1.2-15 of 3.1.1]", head(0x22) + text("c")),
    ("will fields missing [MQTT-3.1.2-9 of 3.1.1]", head(6) + text("c")),
    ("a user without its flag [MQTT-3.1.2-18 of 3.1.1]", head(2) + text("c") + text("u")),
    ("a user flag without a user [MQTT-3.1.2-19 of 3.1.1]", head(0x82) + text("c")),
    ("a password without its flag [MQTT-3.1.2-20 of 3.1.1]", head(0x82) + text("c") + text("u") * 2),
    ("a password flag without a password [MQTT-3.1.2-21 of 3.1.1]", head(0xC2) + text("c") + text("u")),
    ("a password without a user [MQTT-3.1.2-22 of 3.1.1]", head(0x42) + text("c") + text("p")),
    ("no ClientID [MQTT-3.1.3-3 of 3.1.1]", head(2)),
    ("a ClientID that is not UTF-8 [MQTT-3.1.3-4 of 3.1.1]", head(2) + text(b"\xff")),
    ("a will topic that is not UTF-8 [MQTT-3.1.3-10 of 3.1.1]", head(6) + text("c") + text(b"\xff") * 2),
    ("a user that is not UTF-8 [MQTT-3.1.3-11 of 3.1.1]", head(0x82) + text("c") + text(b"\xff")),
]


@pytest.mark.parametrize("body", [row[1] for row in BAD_CONNECTS], ids=[row[0] for row in BAD_CONNECTS])
def test_bad_connect_is_closed_without_connack(visit, body):
    """A CONNECT that breaks the form is closed without a CONNACK [MQTT-3.1.4-1 of 3.1.1]
    [MQTT-3.2.2-6 of 3.1.1]."""
    peer = visit.raw(4)
    peer.send(mqtt.packet("CONNECT", 0, mqtt.binary("MQTT") + body), mqtt.PINGREQ)
    assert peer.expect_closed() == []


def test_whole_connect_payload_in_order(visit):
    """ClientID, will topic, will message, user and password in this order [MQTT-3.1.3-1 of 3.1.1]: the will
    comes as it was."""
    watcher = visit(4)
    watcher.subscribe(visit.topic)
    visit(4, will=Will(visit.topic, b"message"), username="user", password=b"pass").drop()
    watcher.message(visit.topic, b"message")


def test_refused_connect_runs_nothing(visit):
    """Behind a CONNECT that is refused nothing is processed [MQTT-3.1.4-5 of 3.1.1]."""
    watcher, peer = visit(4), visit.raw(4)
    watcher.subscribe(visit.topic)
    fence = Fence(watcher)
    peer.send(mqtt.connect("", 4, clean=False) + mqtt.publish(visit.topic, b"late", version=4))
    peer.expect_closed()
    fence.nothing_more(watcher)


@pytest.mark.parametrize("farewell", ["drop", "disconnect", "silence of a bad packet"])
def test_will(visit, farewell):
    """Without DISCONNECT the will is published [MQTT-3.1.2-8 of 3.1.1], with it not [MQTT-3.14.4-3 of 3.1.1]
    [MQTT-3.1.2-10 of 3.1.1], and without a will none is [MQTT-3.1.2-12 of 3.1.1]; it is retained
    [MQTT-3.1.2-17 of 3.1.1] or not [MQTT-3.1.2-16 of 3.1.1]."""
    watcher = visit(4)
    watcher.subscribe(visit.topic + "/#", qos=1)
    fence = Fence(watcher)
    for retain in (False, True):
        peer = visit(4, will=Will(f"{visit.topic}/{retain}", b"gone", qos=1, retain=retain))
        bare = visit(4)
        if farewell == "drop":
            peer.drop()
            bare.drop()
        elif farewell == "disconnect":
            peer.disconnect()
        else:
            peer.send(b"\x00\x00")
            assert peer.expect_closed() == []
        if farewell != "disconnect":
            watcher.message(f"{visit.topic}/{retain}", b"gone", qos=1)
        late = visit(4)
        late.subscribe(f"{visit.topic}/{retain}", qos=1)
        if retain and farewell != "disconnect":
            assert late.message(payload=b"gone").retain
            late.publish(f"{visit.topic}/{retain}", b"", retain=True)
            watcher.message(payload=b"")
        else:
            late.expect_silence()
    fence.nothing_more(watcher)


def test_second_connect(visit):
    """A second CONNECT is closed [MQTT-3.1.0-2 of 3.1.1]; anything else first too [MQTT-3.1.0-1 of 3.1.1]."""
    peer = visit(4)
    peer.send(mqtt.connect(visit.name(), 4))
    assert peer.expect_closed() == []
    early = visit.raw(4)
    early.send(mqtt.subscribe(1, [("a", 0)], 4))
    assert early.expect_closed() == []


def test_takeover(visit):
    """A ClientID that connects again closes the connection it had [MQTT-3.1.4-2 of 3.1.1], without a word."""
    name = visit.name()
    old = visit(4, name)
    visit(4, name).ping()
    assert old.expect_closed() == []


def test_denied_publish_is_acknowledged(visit):
    """A publish that may not be is acknowledged all the same [MQTT-3.3.5-2 of 3.1.1]; nobody gets it."""
    watcher, peer = visit(4), visit(4)
    watcher.subscribe("$SYS/mine", qos=2)
    fence = Fence(watcher)
    for qos in (1, 2):
        peer.publish("$SYS/mine", b"no", qos=qos)
    fence.nothing_more(peer)


def test_suback_has_only_its_codes(start_broker, peers):
    """A filter that is refused gets 0x80 and no code of 5.0 [MQTT-3.9.3-2 of 3.1.1], the others their QoS
    [MQTT-3.8.4-5 of 3.1.1] in their order [MQTT-3.9.3-1 of 3.1.1]; without wildcards, every filter with one is
    refused [MQTT-3.8.3-2 of 3.1.1]."""
    broker = start_broker("--set", "wildcard_available=false", "--set", "topic_levels_max=3")
    peer = peers(broker.port, "old", 4)
    peer.send(mqtt.subscribe(1, [("a", 2), ("a/+", 1), ("b/#", 0), ("1/2/3/4", 1), ("c", 1)], 4))
    peer.expect("SUBACK", packet_id=1, reasons=[2, 0x80, 0x80, 0x80, 1])


def test_live_messages_are_not_retained(visit):
    """RETAIN is set for what was kept [MQTT-3.3.1-8 of 3.1.1] [MQTT-3.3.1-6 of 3.1.1] and never for what is
    live [MQTT-3.3.1-9 of 3.1.1]; the last one is kept with its QoS [MQTT-3.3.1-5 of 3.1.1], QoS 0 as well
    [MQTT-3.3.1-7 of 3.1.1], a message without RETAIN changes nothing [MQTT-3.3.1-12 of 3.1.1], and an empty
    one goes to live subscribers [MQTT-3.3.1-10 of 3.1.1] and is not kept [MQTT-3.3.1-11 of 3.1.1]."""
    live, publisher = visit(4), visit(4)
    live.subscribe(visit.topic, qos=2)
    for payload, qos, retain, kept in ((b"1", 1, True, (b"1", 1)), (b"2", 0, True, (b"2", 0)),
                                       (b"3", 1, False, (b"2", 0)), (b"", 1, True, None)):
        publisher.publish(visit.topic, payload, qos=qos, retain=retain)
        assert live.message(visit.topic, payload).retain is False
        late = visit(4)
        late.subscribe(visit.topic, qos=2)
        if kept:
            found = late.message(visit.topic)
            assert (found.payload, found.qos, found.retain) == (*kept, True)
        late.expect_silence()


def test_protocol_violations_are_closed_without_a_word(visit):
    """Whatever breaks the protocol ends the connection [MQTT-4.8.0-1 of 3.1.1] [MQTT-2.2.2-2 of 3.1.1]; there is
    no DISCONNECT from a server.

    Clauses: [MQTT-3.14.1-1 of 3.1.1]."""
    for data in (b"\x00\x00", b"\xf0\x00", b"\xc1\x00", mqtt.packet("PUBLISH", 6, mqtt.binary("a") + b"\0\1"),
                 mqtt.subscribe(0, [("a", 0)], 4), mqtt.publish("a/#", version=4), mqtt.packet("PUBREL", 0, b"\0\1"),
                 mqtt.packet("DISCONNECT", 1, b""), mqtt.packet("SUBSCRIBE", 2, b"\0\1")):
        peer = visit(4)
        peer.send(data)
        assert peer.expect_closed() == []


def test_refused_in_the_middle(start_broker, peers):
    """A message that cannot be taken for want of room ends its publisher's connection
    [MQTT-4.8.0-2 of 3.1.1]."""
    broker = start_broker("--set", "queue_messages_max=1", "--queue-policy", "refuse", "--publish-hold", "0")
    kept = peers(broker.port, "kept", 4, clean=False)
    kept.subscribe("full", qos=1)
    kept.disconnect()
    peer = peers(broker.port, "publisher", 4)
    peer.publish("full", b"fits", qos=1)
    peer.send(mqtt.publish("full", b"does not", 1, 2, version=4))
    assert peer.expect_closed() == []


def test_disconnect_ends_the_connection(visit):
    """After DISCONNECT the broker closes and processes nothing that follows [MQTT-3.14.4-1 of 3.1.1]
    [MQTT-3.14.4-2 of 3.1.1]."""
    watcher, peer = visit(4), visit(4)
    watcher.subscribe(visit.topic)
    fence = Fence(watcher)
    peer.send(mqtt.disconnect(version=4) + mqtt.publish(visit.topic, b"late", version=4))
    assert peer.expect_closed() == []
    fence.nothing_more(watcher)


def test_session_lasts_as_its_connection(visit):
    """A session lasts at least as long as its connection [MQTT-4.1.0-2 of 3.1.1] and keeps its state all the
    while [MQTT-4.1.0-1 of 3.1.1]."""
    receiver, publisher = visit(4), visit(4)
    receiver.subscribe(visit.topic, qos=2)
    for number in range(20):
        publisher.publish(visit.topic, str(number), qos=number % 3)
        receiver.message(visit.topic, str(number), qos=number % 3)


def test_wrong_name_is_no_311(shared_broker):
    """A CONNECT with another protocol's name is not taken for 3.1.1 [MQTT-3.1.2-1 of 3.1.1]."""
    peer = Peer(shared_broker.port, 4)
    peer.send(mqtt.packet("CONNECT", 0, mqtt.binary("MQTx") + b"\x04\x02\x00\x3c" + mqtt.binary("x")), mqtt.PINGREQ)
    assert all(packet.kind == "CONNACK" and packet.reason for packet in peer.expect_closed())
    peer.drop()
