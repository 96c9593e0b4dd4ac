"""Topic aliases, both ways."""

import mqtt_bytes as mqtt


def test_alias_towards_the_broker(connect, ids):
    """An alias set once stands for the topic afterwards [MQTT-3.3.2-7], until it is set anew."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    maximum = publisher.connack.properties.get("topic_alias_maximum", 0)
    assert maximum > 0, "the broker accepts aliases"
    receiver.subscribe("alias/#", qos=1)
    publisher.publish("alias/one", b"1", qos=1, properties={"topic_alias": maximum})
    publisher.publish("", b"2", qos=1, properties={"topic_alias": maximum})
    publisher.publish("alias/two", b"3", qos=1, properties={"topic_alias": maximum})
    publisher.publish("", b"4", qos=0, properties={"topic_alias": maximum})
    found = receiver.messages(4)
    assert [(one.topic, one.payload) for one in found] == [
        ("alias/one", b"1"), ("alias/one", b"2"), ("alias/two", b"3"), ("alias/two", b"4")]
    assert all("topic_alias" not in one.properties for one in found)


def test_alias_zero(connect):
    """Alias 0 is not allowed [MQTT-3.3.2-8]: 0x94."""
    peer = connect("zero")
    peer.send(mqtt.publish("alias", properties={"topic_alias": 0}))
    peer.expect_disconnect(0x94)


def test_alias_over_the_maximum(connect):
    """An alias above what CONNACK said: 0x94 [MQTT-3.3.2-9]."""
    peer = connect("over")
    above = peer.connack.properties.get("topic_alias_maximum", 0) + 1
    peer.send(mqtt.publish("alias", properties={"topic_alias": above}))
    peer.expect_disconnect(0x94)


def test_alias_unknown(connect):
    """An alias that was never set and no topic: a protocol error, 0x82."""
    peer = connect("unknown")
    peer.send(mqtt.publish("", properties={"topic_alias": 1}))
    packets = peer.expect_closed()
    assert [packet.reason for packet in packets if packet.kind == "DISCONNECT"][0] in (0x82, 0x94)


def test_alias_ends_with_the_connection(connect, ids):
    """Alias mappings are the connection's, not the session's [MQTT-3.3.2-7]."""
    name = ids.one()
    kept = {"session_expiry_interval": 60}
    first = connect(name, properties=kept)
    first.publish("alias", b"", qos=1, properties={"topic_alias": 1})
    first.disconnect()
    second = connect(name, clean=False, properties=kept)
    assert second.connack.session_present
    second.send(mqtt.publish("", properties={"topic_alias": 1}))
    assert second.expect_closed()[-1].kind == "DISCONNECT"


def test_alias_towards_the_client(connect, ids):
    """The broker uses aliases only as far as the client allows [MQTT-3.1.2-26], and correctly."""
    receiver, publisher = connect(ids.one(), properties={"topic_alias_maximum": 2}), connect(ids.one())
    receiver.subscribe("alias/#", qos=1)
    names = {}
    for number in range(30):
        topic = f"alias/{number % 3}"
        publisher.publish(topic, str(number), qos=1)
        found = receiver.message(payload=str(number))
        alias = found.properties.get("topic_alias")
        if alias is not None:
            assert 1 <= alias <= 2
            if found.topic:
                names[alias] = found.topic
        assert (found.topic or names[alias]) == topic


def test_no_alias_unless_allowed(connect, ids):
    """Without a maximum the broker sends none [MQTT-3.1.2-27]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("alias/#")
    for _ in range(10):
        publisher.publish("alias/x", b"")
        assert "topic_alias" not in receiver.message("alias/x").properties
