"""Receive maximum, both ways."""

import mqtt_bytes as mqtt


def test_receive_maximum_of_the_client(connect, ids):
    """At most so many unacknowledged PUBLISH at QoS 1 and 2 [MQTT-3.3.4-9]; QoS 0 is not counted."""
    receiver, publisher = connect(ids.one(), properties={"receive_maximum": 3}), connect(ids.one())
    receiver.subscribe("flow/#", qos=2)
    for number in range(10):
        publisher.publish("flow/x", str(number), qos=1 + number % 2)
    window = [receiver.expect("PUBLISH") for _ in range(3)]
    publisher.publish("flow/zero", b"free", qos=0)
    receiver.expect("PUBLISH", topic="flow/zero")
    receiver.expect_silence()
    for found in window:
        receiver.answer(found)
    assert [found.payload for found in window + receiver.messages(7)] == [b"%d" % number for number in range(10)]


def test_qos2_holds_its_place_until_pubcomp(connect, ids):
    """PUBREC does not free the window, PUBCOMP does [MQTT-3.3.4-9], section 4.9."""
    receiver, publisher = connect(ids.one(), properties={"receive_maximum": 1}), connect(ids.one())
    receiver.subscribe("flow", qos=2)
    publisher.publish("flow", b"1", qos=2)
    publisher.publish("flow", b"2", qos=2)
    first = receiver.expect("PUBLISH", payload=b"1")
    receiver.send(mqtt.acknowledge("PUBREC", first.packet_id))
    receiver.expect("PUBREL", packet_id=first.packet_id)
    receiver.expect_silence()
    receiver.send(mqtt.acknowledge("PUBCOMP", first.packet_id))
    receiver.message("flow", b"2")


def test_receive_maximum_holds_after_resume(connect, ids):
    """What is sent again on resume counts, against the new connection's maximum [MQTT-3.3.4-9]."""
    name, publisher = ids.one(), connect(ids.one())
    kept = {"session_expiry_interval": 60}
    first = connect(name, clean=False, properties={**kept, "receive_maximum": 10})
    first.subscribe("flow", qos=1)
    for number in range(10):
        publisher.publish("flow", str(number), qos=1)
    assert len([first.expect("PUBLISH") for _ in range(10)]) == 10
    first.drop()
    second = connect(name, clean=False, properties={**kept, "receive_maximum": 2})
    window = [second.expect("PUBLISH") for _ in range(2)]
    second.expect_silence()
    for found in window:
        second.answer(found)
    assert [found.payload for found in window + second.messages(8)] == [b"%d" % number for number in range(10)]


def test_receive_maximum_of_the_broker(connect):
    """A client that exceeds the broker's receive maximum is told 0x93, section 3.3.4."""
    peer = connect("greedy")
    maximum = peer.connack.properties.get("receive_maximum", 65535)
    assert maximum < 65535, "the broker bounds what it holds for one client"
    # QoS 2 without PUBREL keeps the place, so the one above the maximum is over it.
    peer.send(*[mqtt.publish("flow", b"", 2, number) for number in range(1, maximum + 1)])
    for number in range(1, maximum + 1):
        peer.expect("PUBREC", packet_id=number)
    peer.send(mqtt.publish("flow", b"", 2, maximum + 1))
    peer.expect_disconnect(0x93)


def test_default_window_of_older_versions(connect, ids):
    """3.1.1 has no receive maximum; a slow receiver still gets everything in order."""
    receiver, publisher = connect(ids.one(), 4), connect(ids.one(), 4)
    receiver.subscribe("flow", qos=1)
    for number in range(200):
        publisher.publish("flow", str(number), qos=1)
    assert [found.payload for found in receiver.messages(200)] == [b"%d" % number for number in range(200)]


def test_identifiers_run_out(start_broker, peers, ids):
    """With all 65,535 identifiers in flight the next message waits for one to become free [MQTT-2.2.1-4].

    Clauses: [MQTT-4.9.0-1]."""
    broker = start_broker("--set", "inflight_messages_max=65535", "--set", "queue_messages_max=70000")
    receiver = peers(broker.port, ids.one(), properties={"receive_maximum": 65535})
    publisher = peers(broker.port, ids.one())
    receiver.subscribe("all", qos=1)
    step = 500
    for start in range(0, 66_000, step):
        numbers = range(start, start + step)
        publisher.send(*[mqtt.publish("all", str(number), 1, number % 65_535 + 1) for number in numbers])
        for number in numbers:
            publisher.expect("PUBACK", packet_id=number % 65_535 + 1)
    flying = [receiver.expect("PUBLISH").packet_id for _ in range(65_535)]
    assert len(set(flying)) == 65_535
    receiver.expect_silence()
    for start in range(0, 65_535, 1000):
        receiver.send(*[mqtt.acknowledge("PUBACK", number) for number in flying[start : start + 1000]])
    assert [found.payload for found in receiver.messages(465)] == [
        b"%d" % number for number in range(65_535, 66_000)]
