"""What version 5 carries along: expiry, request and response, user properties, for every receiver."""

import time

import mqtt_bytes as mqtt


def test_message_expires_while_waiting(connect, ids):
    """A message whose expiry passed is not delivered [MQTT-3.3.2-5]."""
    name, publisher = ids.one(), connect(ids.one())
    kept = {"session_expiry_interval": 60}
    first = connect(name, properties=kept)
    first.subscribe("expiry", qos=1)
    first.disconnect()
    publisher.publish("expiry", b"short", qos=1, properties={"message_expiry_interval": 1})
    publisher.publish("expiry", b"long", qos=1, properties={"message_expiry_interval": 100})
    publisher.publish("expiry", b"ever", qos=1)
    time.sleep(1.3)
    second = connect(name, clean=False, properties=kept)
    found = second.messages(2)
    assert [one.payload for one in found] == [b"long", b"ever"]
    # [MQTT-3.3.2-6]: what was received, less the time it waited.
    assert found[0].properties["message_expiry_interval"] in (98, 99)
    assert "message_expiry_interval" not in found[1].properties


def test_expiry_of_a_live_message(connect, ids):
    """Delivered at once the interval is unchanged, within the second [MQTT-3.3.2-6]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("expiry")
    publisher.publish("expiry", properties={"message_expiry_interval": 50})
    assert receiver.message("expiry").properties["message_expiry_interval"] in (49, 50)


def test_retained_message_expires(connect, ids):
    """A retained message expires as well [MQTT-3.3.2-5]; until then it says what remains [MQTT-3.3.2-6]."""
    publisher, receiver = connect(ids.one()), connect(ids.one())
    publisher.publish("expiry/a", b"short", qos=1, retain=True, properties={"message_expiry_interval": 1})
    publisher.publish("expiry/b", b"long", qos=1, retain=True, properties={"message_expiry_interval": 100})
    time.sleep(1.3)
    receiver.subscribe("expiry/#")
    assert receiver.message("expiry/b").properties["message_expiry_interval"] in (98, 99)
    receiver.ping()
    receiver.expect_silence()


def test_expiry_zero(connect, ids):
    """An interval of 0 is over at once for whoever has to wait; nothing breaks."""
    name, publisher = ids.one(), connect(ids.one())
    kept = {"session_expiry_interval": 60}
    first = connect(name, properties=kept)
    first.subscribe("expiry", qos=1)
    first.disconnect()
    publisher.publish("expiry", b"zero", qos=1, properties={"message_expiry_interval": 0})
    publisher.publish("expiry", b"next", qos=1)
    connect(name, clean=False, properties=kept).message("expiry", b"next")


def test_request_and_response(connect, ids):
    """Response topic and correlation data reach the other side unchanged [MQTT-3.3.2-15] [MQTT-3.3.2-16]."""
    asker, server = connect(ids.one()), connect(ids.one())
    server.subscribe("service/add", qos=1)
    asker.subscribe("answers/asker", qos=1)
    asker.publish("service/add", b"1+1", qos=1,
                  properties={"response_topic": "answers/asker", "correlation_data": bytes(range(256))})
    request = server.message("service/add", b"1+1")
    server.publish(request.properties["response_topic"], b"2", qos=1,
                   properties={"correlation_data": request.properties["correlation_data"]})
    assert asker.message("answers/asker", b"2").properties == {"correlation_data": bytes(range(256))}


def test_response_information(connect):
    """Response information is only sent when asked for [MQTT-3.1.2-28]."""
    assert "response_information" not in connect("mute").connack.properties
    asked = connect("asks", properties={"request_response_information": 1}).connack.properties
    assert isinstance(asked.get("response_information", ""), str)


def test_user_properties_keep_their_order(connect, ids):
    """User properties are forwarded all, in their order, repetitions too [MQTT-3.3.2-17] [MQTT-3.3.2-18]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("user")
    pairs = [("b", "2"), ("a", "1"), ("b", "2"), ("", ""), ("ü", "😀"), ("b", "3")]
    publisher.publish("user", properties={"user_property": pairs})
    assert receiver.message("user").properties == {"user_property": pairs}


def test_payload_format_and_content_type(connect, ids):
    """Payload format indicator and content type are forwarded unchanged [MQTT-3.3.2-4] [MQTT-3.3.2-20]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("format")
    for properties in ({"payload_format_indicator": 1, "content_type": "application/json"},
                       {"content_type": ""}, {}):
        publisher.publish("format", "{}", properties=properties)
        assert receiver.message("format", "{}").properties == properties


def test_properties_towards_older_versions(connect, ids):
    """A 3.1.1 client gets the message without them, a version 5 one with them."""
    old, new, publisher = connect(ids.one(), 4), connect(ids.one(), 5), connect(ids.one(), 5)
    properties = {"content_type": "text", "user_property": [("a", "b")]}
    for receiver in (old, new):
        receiver.subscribe("mixed", qos=1)
    publisher.publish("mixed", b"x", qos=1, properties=properties)
    old.message("mixed", b"x")
    assert new.message("mixed", b"x").properties == properties


def test_messages_between_all_versions(connect, ids):
    """Every version's publish reaches every version's subscriber."""
    receivers = [connect(ids.one(), version) for version in (3, 4, 5)]
    publishers = [connect(ids.one(), version) for version in (3, 4, 5)]
    for receiver in receivers:
        receiver.subscribe("all", qos=2)
    for publisher in publishers:
        publisher.publish("all", str(publisher.version), qos=2)
        for receiver in receivers:
            receiver.message("all", str(publisher.version), qos=2)


def test_many_user_properties(connect, ids):
    """A hundred user properties, or a refusal with a reason: never a broken broker.

    Clauses: [MQTT-3.3.2-17]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("user")
    pairs = [(f"name-{number % 7}", f"value-{number}") for number in range(100)]
    publisher.send(mqtt.publish("user", properties={"user_property": pairs}))
    assert receiver.message("user").properties["user_property"] == pairs
