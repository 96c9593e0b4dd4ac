"""QoS 1 and 2 in both directions, stopped and resumed at each step."""

import mqtt_bytes as mqtt
from raw_client import Fence

KEPT = {"session_expiry_interval": 300}


def resume(connect, name, version=5):
    """Connects again to a session that is kept."""
    return connect(name, version, clean=False, **({"properties": KEPT} if version == 5 else {}))


def test_flows(connect, ids, version):
    """Every publish QoS to every subscribed QoS: delivered with the smaller one [MQTT-3.8.4-8].

    Clauses: [MQTT-3.8.4-6 of 3.1.1]."""
    receiver, publisher = connect(ids.one(), version), connect(ids.one(), version)
    for granted in range(3):
        receiver.subscribe(f"down/{granted}", qos=granted)
        for sent in range(3):
            publisher.publish(f"down/{granted}", str(sent), qos=sent)
            found = receiver.message(f"down/{granted}", str(sent))
            assert found.qos == min(granted, sent) and not found.dup and not found.retain


def test_no_matching_subscribers(connect):
    """Version 5 may say 0x10 when nobody subscribes, section 3.4.2.1; it never says it when somebody does."""
    peer = connect("lonely")
    assert peer.publish("nobody", qos=1).reason in (0, 0x10)
    peer.subscribe("somebody", qos=1)
    peer.publish("somebody", qos=1, reason=0)


def test_qos2_duplicate_is_delivered_once(connect, ids, version):
    """A second PUBLISH with the same identifier before PUBREL is not delivered again [MQTT-4.3.3-10]."""
    receiver, publisher = connect(ids.one(), version), connect(ids.one(), version)
    receiver.subscribe("once", qos=2)
    fence = Fence(receiver)
    publisher.send(mqtt.publish("once", b"1", 2, 7, version=version))
    publisher.expect("PUBREC", packet_id=7)
    publisher.send(mqtt.publish("once", b"1", 2, 7, dup=True, version=version))
    publisher.expect("PUBREC", packet_id=7)
    publisher.send(mqtt.acknowledge("PUBREL", 7, 0, version))
    publisher.expect("PUBCOMP", packet_id=7)
    receiver.message("once", b"1")
    fence.nothing_more(publisher)
    # The identifier is free again: the same one is a new message now.
    publisher.packet_id = 6
    publisher.publish("once", b"2", qos=2)
    receiver.message("once", b"2")


def test_qos2_inbound_survives_reconnect(connect, ids, version):
    """The identifiers of unfinished QoS 2 publishes belong to the session [MQTT-4.3.3-10] [MQTT-3.1.2-5]."""
    name, receiver = ids.one(), connect(ids.one(), version)
    receiver.subscribe("once", qos=2)
    fence = Fence(receiver)
    first = resume(connect, name, version)
    first.send(mqtt.publish("once", b"1", 2, 9, version=version))
    first.expect("PUBREC", packet_id=9)
    first.drop()
    second = resume(connect, name, version)
    second.send(mqtt.publish("once", b"1", 2, 9, dup=True, version=version))
    second.expect("PUBREC", packet_id=9)
    second.send(mqtt.acknowledge("PUBREL", 9, 0, version))
    second.expect("PUBCOMP", packet_id=9)
    receiver.message("once", b"1")
    fence.nothing_more(second)


def test_pubrel_for_an_unknown_identifier(connect):
    """PUBREL for nothing: PUBCOMP with 0x92, section 3.7.2.1; in 3.1.1 a plain PUBCOMP."""
    peer = connect("unknown")
    peer.send(mqtt.acknowledge("PUBREL", 99))
    assert peer.expect("PUBCOMP", packet_id=99).reason == 0x92
    older = connect("older", 4)
    older.send(mqtt.acknowledge("PUBREL", 99, 0, 4))
    older.expect("PUBCOMP", packet_id=99)


def test_pubrec_for_an_unknown_identifier(connect):
    """PUBREC for nothing: PUBREL with 0x92, section 3.6.2.1."""
    peer = connect("unknown")
    peer.send(mqtt.acknowledge("PUBREC", 99))
    assert peer.expect("PUBREL", packet_id=99).reason == 0x92


def test_qos1_is_sent_again_on_resume(connect, ids, version):
    """Unacknowledged QoS 1 is sent again with DUP, the same identifier and in the same order
    [MQTT-4.4.0-1] [MQTT-4.6.0-1].

    Clauses: [MQTT-4.6.0-1 of 3.1.1]."""
    name, publisher = ids.one(), connect(ids.one(), version)
    first = resume(connect, name, version)
    first.subscribe("again", qos=1)
    for number in range(3):
        publisher.publish("again", str(number), qos=1)
    seen = [first.expect("PUBLISH") for _ in range(3)]
    first.send(mqtt.acknowledge("PUBACK", seen[1].packet_id, 0, version))
    first.ping()
    first.drop()
    second = resume(connect, name, version)
    again = second.messages(2)
    assert [(found.payload, found.packet_id, found.dup) for found in again] == [
        (b"0", seen[0].packet_id, True), (b"2", seen[2].packet_id, True)]


def test_no_resend_while_connected(connect, ids):
    """Nothing is sent again on a living connection [MQTT-4.4.0-1]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("calm", qos=1)
    publisher.publish("calm", b"1", qos=1)
    receiver.expect("PUBLISH", payload=b"1")
    receiver.expect_silence(0.3)


def test_qos2_resume_before_pubrec(connect, ids, version):
    """Connection lost before PUBREC: PUBLISH again with DUP [MQTT-4.4.0-1]."""
    name, publisher = ids.one(), connect(ids.one(), version)
    first = resume(connect, name, version)
    first.subscribe("step", qos=2)
    publisher.publish("step", b"x", qos=2)
    seen = first.expect("PUBLISH", payload=b"x", dup=False)
    first.drop()
    second = resume(connect, name, version)
    again = second.message("step", b"x")
    assert again.dup and again.packet_id == seen.packet_id and again.qos == 2


def test_qos2_resume_before_pubcomp(connect, ids, version):
    """Connection lost after PUBREC: PUBREL again, never PUBLISH [MQTT-4.4.0-1] [MQTT-4.3.3-7]."""
    name, publisher = ids.one(), connect(ids.one(), version)
    first = resume(connect, name, version)
    first.subscribe("step", qos=2)
    publisher.publish("step", b"x", qos=2)
    seen = first.expect("PUBLISH", payload=b"x")
    first.send(mqtt.acknowledge("PUBREC", seen.packet_id, 0, version))
    first.expect("PUBREL", packet_id=seen.packet_id)
    first.drop()
    second = resume(connect, name, version)
    second.expect("PUBREL", packet_id=seen.packet_id)
    assert second.pending == []
    second.send(mqtt.acknowledge("PUBCOMP", seen.packet_id, 0, version))
    publisher.publish("step", b"y", qos=2)
    second.message("step", b"y")


def test_qos2_resume_when_pubrec_was_lost(connect, ids):
    """The broker missed the PUBREC: the PUBLISH comes again with DUP and the flow goes on [MQTT-4.3.3-9]."""
    name, publisher = ids.one(), connect(ids.one())
    first = resume(connect, name)
    first.subscribe("step", qos=2)
    publisher.publish("step", b"x", qos=2)
    first.expect("PUBLISH")
    for _ in range(3):
        first.drop()
        first = resume(connect, name)
        assert first.expect("PUBLISH", payload=b"x").dup
    second = resume(connect, name)
    second.message("step", b"x")


def test_pubrec_with_error_ends_the_flow(connect, ids):
    """PUBREC with 0x80 or more ends the flow and frees the identifier, section 4.3.3."""
    name, publisher = ids.one(), connect(ids.one())
    receiver = connect(name, clean=False, properties={**KEPT, "receive_maximum": 1})
    receiver.subscribe("no", qos=2)
    publisher.publish("no", b"1", qos=2)
    publisher.publish("no", b"2", qos=2)
    seen = receiver.expect("PUBLISH", payload=b"1")
    receiver.send(mqtt.acknowledge("PUBREC", seen.packet_id, 0x83))
    receiver.message("no", b"2")
    receiver.disconnect()
    again = resume(connect, name)
    assert again.connack.session_present
    again.expect_silence()


def test_puback_with_error_ends_the_flow(connect, ids):
    """PUBACK with 0x80 or more ends the flow too, section 4.3.2."""
    name, publisher = ids.one(), connect(ids.one())
    receiver = connect(name, clean=False, properties={**KEPT, "receive_maximum": 1})
    receiver.subscribe("no", qos=1)
    publisher.publish("no", b"1", qos=1)
    publisher.publish("no", b"2", qos=1)
    seen = receiver.expect("PUBLISH", payload=b"1")
    receiver.send(mqtt.acknowledge("PUBACK", seen.packet_id, 0x97))
    receiver.message("no", b"2")


def test_order_per_topic(connect, ids, version):
    """Messages of one publisher and one topic keep their order at each QoS [MQTT-4.6.0-6].

    Clauses: [MQTT-4.6.0-5] [MQTT-4.6.0-5 of 3.1.1] [MQTT-4.6.0-6 of 3.1.1]."""
    receiver, publisher = connect(ids.one(), version), connect(ids.one(), version)
    for qos in range(3):
        receiver.subscribe(f"order/{qos}", qos=qos)
        publisher.send(*[mqtt.publish(f"order/{qos}", str(number), qos, number + 1 if qos else None,
                                      version=version) for number in range(15)])
        for number in range(15 if qos else 0):
            publisher.expect("PUBACK" if qos == 1 else "PUBREC", packet_id=number + 1)
        for number in range(15 if qos == 2 else 0):
            publisher.send(mqtt.acknowledge("PUBREL", number + 1, 0, version))
            publisher.expect("PUBCOMP", packet_id=number + 1)
        assert [found.payload for found in receiver.messages(15)] == [b"%d" % number for number in range(15)]


def test_acknowledgements_keep_their_order(connect, ids):
    """PUBACKs come in the order of the publishes, PUBRECs too [MQTT-4.6.0-2] [MQTT-4.6.0-3]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("acks/#", qos=2)
    publisher.send(*[mqtt.publish(f"acks/{number % 5}", b"", 1, number) for number in range(1, 15)])
    assert [publisher.expect("PUBACK").packet_id for _ in range(14)] == list(range(1, 15))
    receiver.messages(14)


def test_packet_identifiers_are_unique_in_flight(connect, ids):
    """Two messages in flight never share an identifier [MQTT-2.2.1-4].

    Clauses: [MQTT-4.3.3-1] [MQTT-2.3.1-4 of 3.1.1]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("many", qos=1)
    for number in range(100):
        publisher.publish("many", str(number), qos=1)
    seen = [receiver.expect("PUBLISH") for _ in range(20)]
    assert len({found.packet_id for found in seen}) == 20


def test_acknowledgement_means_taken(connect, ids):
    """After the PUBACK the message is safe with every receiving session, also one that died meanwhile
    [MQTT-4.3.2-4].

    Clauses: [MQTT-4.5.0-1]."""
    name, publisher = ids.one(), connect(ids.one())
    receiver = resume(connect, name)
    receiver.subscribe("safe", qos=1)
    receiver.drop()
    publisher.publish("safe", b"kept", qos=1, reason=0)
    resume(connect, name).message("safe", b"kept")


def test_fan_out(connect, ids, version):
    """Every subscriber gets its copy with its own QoS, wherever it lives, section 4.3.

    Clauses: [MQTT-4.5.0-1] [MQTT-4.5.0-1 of 3.1.1]."""
    publisher = connect(ids.one(), version)
    receivers = [connect(ids.one(), version) for _ in range(9)]
    for number, receiver in enumerate(receivers):
        receiver.subscribe("all/+", qos=number % 3)
    publisher.publish("all/x", b"!", qos=2)
    for number, receiver in enumerate(receivers):
        assert receiver.message("all/x", b"!").qos == number % 3
