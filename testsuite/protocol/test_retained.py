"""Retained messages: kept, found by every option, deleted, and complete however many match."""

import pytest

import mqtt_bytes as mqtt


def test_retained_is_delivered_on_subscribe(connect, ids, version):
    """A new subscription gets the last retained message, with the retain flag [MQTT-3.3.1-6] [MQTT-3.3.1-8].

    Clauses: [MQTT-3.3.1-6 of 3.1.1]."""
    publisher, receiver = connect(ids.one(), version), connect(ids.one(), version)
    publisher.publish("state/a", b"old", qos=1, retain=True)
    publisher.publish("state/a", b"new", qos=1, retain=True)
    receiver.subscribe("state/+", qos=1)
    found = receiver.message("state/a", b"new")
    assert found.retain and found.qos == 1


def test_live_copies_are_not_retained(connect, ids, version):
    """An established subscription gets the message without the flag [MQTT-3.3.1-12]."""
    publisher, receiver = connect(ids.one(), version), connect(ids.one(), version)
    receiver.subscribe("state/#", qos=1)
    publisher.publish("state/a", b"live", qos=1, retain=True)
    receiver.live("state/a", b"live")


def test_retain_as_published(connect, ids):
    """With retain-as-published the flag stays as it was [MQTT-3.3.1-13]."""
    publisher, receiver = connect(ids.one()), connect(ids.one())
    receiver.subscribe("state/#", retain_as_published=True)
    publisher.publish("state/a", b"kept", retain=True)
    publisher.publish("state/b", b"not")
    found = receiver.message("state/a", b"kept")
    # Published right after SUBACK, it may come once more as a copy.
    while found.topic == "state/a":
        assert found.retain
        found = receiver.message()
    assert found.topic == "state/b" and not found.retain


def test_empty_payload_deletes(connect, ids, version):
    """An empty retained message removes what was kept and is not kept itself [MQTT-3.3.1-6] [MQTT-3.3.1-7]; it
    is still delivered to those subscribed."""
    publisher, live, late = (connect(ids.one(), version) for _ in range(3))
    live.subscribe("state/a", qos=1)
    publisher.publish("state/a", b"there", qos=1, retain=True)
    publisher.publish("state/a", b"", qos=1, retain=True)
    live.live("state/a", b"there")
    live.live("state/a", b"")
    publisher.publish("state/z", b"marker", qos=1, retain=True)
    late.subscribe("state/#", qos=1)
    late.message("state/z", b"marker")
    late.ping()
    late.expect_silence()


def test_unretained_leaves_the_retained_alone(connect, ids):
    """A message without the flag neither replaces nor removes what is kept [MQTT-3.3.1-8]."""
    publisher, receiver = connect(ids.one()), connect(ids.one())
    publisher.publish("state/a", b"kept", qos=1, retain=True)
    publisher.publish("state/a", b"passing", qos=1)
    publisher.publish("state/a", b"", qos=1)
    receiver.subscribe("state/a")
    receiver.message("state/a", b"kept")


@pytest.mark.parametrize(("handling", "first", "second"), [(0, True, True), (1, True, False), (2, False, False)])
def test_retain_handling(connect, ids, handling, first, second):
    """0: always, 1: only for a new subscription, 2: never [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]."""
    publisher, receiver = connect(ids.one()), connect(ids.one())
    publisher.publish("state/a", b"kept", qos=1, retain=True)
    for wanted in (first, second):
        receiver.subscribe("state/a", qos=1, retain_handling=handling)
        if wanted:
            assert receiver.message("state/a", b"kept").retain
        receiver.ping()
        receiver.expect_silence()


def test_retained_and_resumed_session(connect, ids):
    """A resumed session gets no retained messages again: it did not subscribe."""
    name, publisher = ids.one(), connect(ids.one())
    kept = {"session_expiry_interval": 60}
    publisher.publish("state/a", b"kept", qos=1, retain=True)
    first = connect(name, properties=kept)
    first.subscribe("state/a", qos=1)
    first.message("state/a", b"kept")
    first.disconnect()
    second = connect(name, clean=False, properties=kept)
    assert second.connack.session_present
    second.ping()
    second.expect_silence()


def test_no_retained_for_shared_subscriptions(connect, ids):
    """A shared subscription gets no retained messages, section 4.8.2."""
    publisher, receiver = connect(ids.one()), connect(ids.one())
    publisher.publish("state/a", b"kept", qos=1, retain=True)
    receiver.subscribe("$share/group/state/a", qos=1)
    receiver.ping()
    receiver.expect_silence()


def test_retained_outlives_its_publisher(connect, ids):
    """Retained messages are not part of a session [MQTT-4.1.0-1], section 3.3.1.3."""
    publisher = connect(ids.one())
    publisher.publish("state/a", b"kept", qos=1, retain=True)
    publisher.disconnect()
    receiver = connect(ids.one())
    receiver.subscribe("state/a")
    receiver.message("state/a", b"kept")


def test_retained_qos0(connect, ids):
    """QoS 0 may be retained [MQTT-3.3.1-5]; the QoS delivered is the smaller one."""
    publisher, receiver = connect(ids.one()), connect(ids.one())
    publisher.publish("state/a", b"zero", retain=True)
    publisher.publish("state/b", b"two", qos=2, retain=True)
    receiver.subscribe("state/a", qos=2)
    assert receiver.message("state/a").qos == 0
    receiver.subscribe("state/b", qos=1)
    assert receiver.message("state/b").qos == 1


def test_retained_keeps_properties(connect, ids):
    """Properties are forwarded with a retained message as with a live one [MQTT-3.3.2-17]."""
    properties = {"content_type": "text/plain", "user_property": [("b", "1"), ("a", "2"), ("b", "3")],
                  "payload_format_indicator": 1, "response_topic": "answer", "correlation_data": b"\x00\xff"}
    publisher, receiver = connect(ids.one()), connect(ids.one())
    publisher.publish("state/a", "text", qos=1, retain=True, properties=properties)
    receiver.subscribe("state/a", identifier=77)
    found = receiver.message("state/a", "text")
    assert found.properties == {**properties, "subscription_identifier": [77]}


@pytest.mark.parametrize("window", [20, 65535])
def test_two_thousand_matches(connect, ids, window):
    """Every match is delivered, paced by the client's window and never cut short [MQTT-3.3.1-9]
    [MQTT-3.3.4-9]."""
    publisher = connect(ids.one())
    receiver = connect(ids.one(), properties={"receive_maximum": window})
    step = 100
    for start in range(0, 2000, step):
        publisher.send(*[mqtt.publish(f"many/{number}/x", str(number), 0, retain=True)
                         for number in range(start, start + step)])
    publisher.publish("many/last/x", b"last", qos=1, retain=True)
    receiver.subscribe("many/+/x", qos=1)
    found = {one.topic: one.payload for one in receiver.messages(2001, timeout=10)}
    assert len(found) == 2001 and found["many/1234/x"] == b"1234"


def test_two_thousand_matches_at_qos1(connect, ids):
    """The same at QoS 1, where the window of 20 binds, with live messages in between [MQTT-3.3.4-9]."""
    publisher, live = connect(ids.one()), connect(ids.one())
    receiver = connect(ids.one(), properties={"receive_maximum": 20})
    limit = publisher.connack.properties.get("receive_maximum", 65535)
    step = min(limit, 100)
    for start in range(0, 2000, step):
        numbers = range(start, min(start + step, 2000))
        publisher.send(*[mqtt.publish(f"many/{number}/x", str(number), 1, number + 1, retain=True)
                         for number in numbers])
        for number in numbers:
            publisher.expect("PUBACK", packet_id=number + 1)
    receiver.subscribe("many/+/x", qos=1)
    window = [receiver.expect("PUBLISH") for _ in range(20)]
    receiver.expect_silence()
    live.publish("many/live/x", b"live", qos=1)
    for found in window:
        receiver.answer(found)
    rest = receiver.messages(1981, timeout=10)
    topics = [found.topic for found in window + rest]
    assert len(set(topics)) == 2001 and "many/live/x" in topics


def test_retained_beside_live_traffic(connect, ids):
    """While retained messages change, a subscriber sees each topic's last value at the end [MQTT-3.3.1-5]."""
    publisher, receiver = connect(ids.one()), connect(ids.one())
    for number in range(200):
        publisher.publish(f"busy/{number % 10}", str(number), retain=True)
        if number == 100:
            receiver.subscribe("busy/#", qos=1)
    publisher.publish("busy/end", b"end", qos=1)
    last = {}
    while True:
        found = receiver.message()
        if found.topic == "busy/end":
            break
        last[found.topic] = found.payload
    assert last == {f"busy/{number % 10}": b"%d" % number for number in range(190, 200)}
