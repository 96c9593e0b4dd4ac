"""QoS 1 and 2 of every version, packet by packet: which identifier, which flag, what after each lost packet."""

import pytest

import mqtt_bytes as mqtt
from raw_client import Fence

STEPS = ["before PUBREC", "after PUBREC", "after PUBREL", "after PUBCOMP"]


@pytest.mark.parametrize("step", STEPS)
def test_receiving_qos2_interrupted(visit, version, step):
    """A publisher loses its connection at each step of a QoS 2 exchange, twice, and goes on where it was. It
    gets PUBREC [MQTT-4.3.3-8] and PUBCOMP [MQTT-4.3.3-11] with its identifier, and the message arrives once
    [MQTT-4.3.3-10]; afterwards the identifier is new [MQTT-4.3.3-12].

    Clauses: [MQTT-4.3.3-2 of 3.1.1] [MQTT31-qos-flows]."""
    receiver, name = visit(version), visit.name()
    receiver.subscribe(visit.topic, qos=2)
    fence = Fence(receiver)
    publisher = visit.kept(name, version)
    publish = mqtt.publish(visit.topic, b"once", 2, 7, version=version)
    again = mqtt.publish(visit.topic, b"once", 2, 7, dup=True, version=version)
    publisher.send(publish)
    if step != STEPS[0]:
        publisher.expect("PUBREC", packet_id=7)
    for _ in range(2 if step in STEPS[:2] else 0):
        publisher.drop()
        publisher = visit.kept(name, version)
        publisher.send(again)
        publisher.expect("PUBREC", packet_id=7)
    for _ in range({STEPS[2]: 3}.get(step, 1)):
        publisher.send(mqtt.acknowledge("PUBREL", 7, 0, version))
        if step == STEPS[2]:
            publisher.ping()
            publisher.drop()
            publisher = visit.kept(name, version)
    if step != STEPS[2]:
        publisher.expect("PUBCOMP", packet_id=7)
    if step == STEPS[3]:
        publisher.drop()
        publisher = visit.kept(name, version)
    receiver.message(visit.topic, b"once", qos=2)
    fence.nothing_more(receiver)
    publisher.packet_id = 6
    publisher.publish(visit.topic, b"another", qos=2)
    receiver.message(visit.topic, b"another")


@pytest.mark.parametrize("step", STEPS)
def test_sending_qos2_interrupted(visit, version, step):
    """The broker as the sender: PUBLISH without DUP and with an identifier [MQTT-4.3.3-2], again with DUP and
    the same one while PUBREC is missing [MQTT-4.3.3-3] [MQTT-3.3.1-1], PUBREL [MQTT-4.3.3-4] and nothing but
    PUBREL until PUBCOMP [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1].

    Clauses: [MQTT-2.3.1-4 of 3.1.1] [MQTT-4.3.3-1 of 3.1.1] [MQTT-4.4.0-1 of 3.1.1] [MQTT31-qos-flows]."""
    publisher, name = visit(version), visit.name()
    receiver = visit.kept(name, version)
    receiver.subscribe(visit.topic, qos=2)
    publisher.publish(visit.topic, b"x", qos=2)
    first = receiver.expect("PUBLISH", payload=b"x", qos=2, dup=False)
    for _ in range(2 if step == STEPS[0] else 0):
        receiver.drop()
        receiver = visit.kept(name, version)
        receiver.expect("PUBLISH", payload=b"x", qos=2, dup=True, packet_id=first.packet_id)
    receiver.send(mqtt.acknowledge("PUBREC", first.packet_id, 0, version))
    if step != STEPS[1]:
        receiver.expect("PUBREL", packet_id=first.packet_id)
    else:
        receiver.ping()
    for _ in range(2 if step in STEPS[1:3] else 0):
        receiver.drop()
        receiver = visit.kept(name, version)
        receiver.expect("PUBREL", packet_id=first.packet_id)
        assert receiver.pending == []
    receiver.send(mqtt.acknowledge("PUBCOMP", first.packet_id, 0, version))
    receiver.ping()
    receiver.pending.clear()
    receiver.drop()
    receiver = visit.kept(name, version)
    publisher.publish(visit.topic, b"next", qos=2)
    receiver.message(visit.topic, b"next", dup=False)


def test_qos1_until_puback(visit, version):
    """QoS 1: an identifier that is free [MQTT-4.3.2-1], no DUP at first [MQTT-4.3.2-2], and sent again with DUP
    until PUBACK [MQTT-4.3.2-3] [MQTT-3.3.1-1] under the same identifier [MQTT-4.4.0-1].

    Clauses: [MQTT-2.3.1-4 of 3.1.1] [MQTT-3.3.1-1 of 3.1.1] [MQTT-4.3.2-1 of 3.1.1] [MQTT-4.4.0-1 of 3.1.1]."""
    publisher, name = visit(version), visit.name()
    receiver = visit.kept(name, version)
    receiver.subscribe(visit.topic, qos=1)
    for payload in (b"1", b"2"):
        publisher.publish(visit.topic, payload, qos=1)
    seen = [receiver.expect("PUBLISH", dup=False, qos=1) for _ in range(2)]
    assert seen[0].packet_id != seen[1].packet_id
    for _ in range(2):
        receiver.drop()
        receiver = visit.kept(name, version)
        again = [receiver.expect("PUBLISH", dup=True) for _ in range(2)]
        assert [one.packet_id for one in again] == [one.packet_id for one in seen]
    for one in seen:
        receiver.send(mqtt.acknowledge("PUBACK", one.packet_id, 0, version))
    receiver.ping()
    receiver.drop()
    receiver = visit.kept(name, version)
    publisher.publish(visit.topic, b"3", qos=1)
    receiver.message(visit.topic, b"3", dup=False)


def test_qos1_identifier_is_free_after_puback(visit, version):
    """After PUBACK the same identifier is a new message, DUP or not [MQTT-4.3.2-5] [MQTT-4.3.2-4].

    Clauses: [MQTT-4.3.2-2 of 3.1.1]."""
    receiver, publisher = visit(version), visit(version)
    receiver.subscribe(visit.topic, qos=1)
    for number, dup in enumerate((False, True, True, False)):
        publisher.send(mqtt.publish(visit.topic, str(number), 1, 5, dup=dup, version=version))
        publisher.expect("PUBACK", packet_id=5)
    assert [found.payload for found in receiver.messages(4)] == [b"0", b"1", b"2", b"3"]


def test_dup_is_not_passed_on(visit, version):
    """DUP of what came in says nothing about what goes out [MQTT-3.3.1-3]; QoS 0 never has it [MQTT-3.3.1-2]
    [MQTT-4.3.1-1] and no identifier [MQTT-2.2.1-2].

    Clauses: [MQTT-2.3.1-5 of 3.1.1] [MQTT-3.3.1-2 of 3.1.1] [MQTT-3.3.1-3 of 3.1.1] [MQTT-4.3.1-1 of 3.1.1]."""
    receiver, publisher = visit(version), visit(version)
    receiver.subscribe(visit.topic, qos=2)
    for number, qos in enumerate((1, 2), 1):
        publisher.send(mqtt.publish(visit.topic, str(qos), qos, number, dup=True, version=version))
        assert receiver.message(visit.topic, str(qos), qos=qos).dup is False
    publisher.publish(visit.topic, b"0", qos=0)
    zero = receiver.message(visit.topic, b"0", qos=0)
    assert not zero.dup and zero.packet_id is None


def test_answers_carry_the_identifier(visit, version):
    """Every answer has the identifier of what it answers [MQTT-2.2.1-5] [MQTT-2.2.1-6] [MQTT-3.8.4-2], and
    every QoS gets its own [MQTT-3.3.4-1].

    Clauses: [MQTT-3.10.4-5] [MQTT-2.3.1-6 of 3.1.1] [MQTT-2.3.1-7 of 3.1.1] [MQTT-3.3.4-1 of 3.1.1]
    [MQTT-3.8.4-2 of 3.1.1] [MQTT-3.10.4-4 of 3.1.1]."""
    peer = visit(version)
    for number in (1, 2, 255, 256, 65_535):
        peer.send(mqtt.publish(visit.topic, b"", 1, number, version=version))
        peer.expect("PUBACK", packet_id=number)
        peer.send(mqtt.publish(visit.topic, b"", 2, number, version=version))
        peer.expect("PUBREC", packet_id=number)
        peer.send(mqtt.acknowledge("PUBREL", number, 0, version))
        peer.expect("PUBCOMP", packet_id=number)
        peer.send(mqtt.subscribe(number, [("a", 0)], version))
        peer.expect("SUBACK", packet_id=number)
        peer.send(mqtt.unsubscribe(number, ["a"], version))
        peer.expect("UNSUBACK", packet_id=number)
    peer.publish(visit.topic, b"nothing comes back", qos=0)
    peer.ping()
    assert peer.pending == []


def test_refused_qos2_frees_its_identifier(visit):
    """After a PUBREC with an error the identifier is a new message [MQTT-4.3.3-9]."""
    receiver, publisher = visit(), visit()
    receiver.subscribe(visit.topic, qos=2)
    publisher.send(mqtt.publish("$SYS/no", b"", 2, 3))
    assert publisher.expect("PUBREC", packet_id=3).reason == 0x87
    publisher.send(mqtt.publish(visit.topic, b"yes", 2, 3))
    assert publisher.expect("PUBREC", packet_id=3).reason == 0
    receiver.message(visit.topic, b"yes")
    publisher.send(mqtt.acknowledge("PUBREL", 3))
    assert publisher.expect("PUBCOMP", packet_id=3).reason == 0


@pytest.mark.parametrize(("qos", "answer"), [(1, "PUBACK"), (2, "PUBREC")])
@pytest.mark.parametrize("reason", [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
def test_refused_delivery_is_not_repeated(visit, qos, answer, reason):
    """A delivery that the client refuses, with any of the codes, is over: it is not sent again
    [MQTT-4.4.0-2], and the session goes on."""
    publisher, name = visit(), visit.name()
    receiver = visit.kept(name, properties={"receive_maximum": 1})
    receiver.subscribe(visit.topic, qos=qos)
    publisher.publish(visit.topic, b"refused", qos=qos)
    publisher.publish(visit.topic, b"taken", qos=qos)
    found = receiver.expect("PUBLISH", payload=b"refused")
    receiver.send(mqtt.acknowledge(answer, found.packet_id, reason))
    receiver.expect("PUBLISH", payload=b"taken")
    receiver.drop()
    receiver = visit.kept(name)
    receiver.message(visit.topic, b"taken", dup=True)
    assert receiver.pending == []


def test_expiry_does_not_stop_what_was_sent(visit):
    """A message that was sent is sent again after its expiry [MQTT-4.3.3-7], and a flow that began goes on
    [MQTT-4.3.3-13]."""
    publisher, name = visit(), visit.name()
    receiver = visit.kept(name)
    receiver.subscribe(visit.topic, qos=2)
    short = {"message_expiry_interval": 1}
    publisher.send(mqtt.publish(visit.topic, b"short", 2, 1, properties=short))
    publisher.expect("PUBREC", packet_id=1)
    first = receiver.expect("PUBLISH", payload=b"short")
    with pytest.raises(TimeoutError):
        receiver.receive(1.2)
    receiver.drop()
    receiver = visit.kept(name)
    receiver.message(visit.topic, b"short", packet_id=first.packet_id, dup=True)
    publisher.send(mqtt.acknowledge("PUBREL", 1))
    assert publisher.expect("PUBCOMP", packet_id=1).reason == 0


def test_everything_else_goes_on_with_a_full_window(visit):
    """With the window used up, the broker still answers whatever else comes [MQTT-3.3.4-10] [MQTT-4.9.0-3] and
    sends QoS 0; at QoS 1 and 2 nothing [MQTT-4.9.0-2]. A receive maximum of 1 is one at a time
    [MQTT-3.3.4-9] [MQTT-4.9.0-1].

    Clauses: [MQTT-4.1.0-1]."""
    receiver, publisher = visit(properties={"receive_maximum": 1}), visit()
    receiver.subscribe(visit.topic, qos=2)
    for number in range(4):
        publisher.publish(visit.topic, str(number), qos=1 + number % 2, reason=0)
    first = receiver.expect("PUBLISH", payload=b"0")
    receiver.ping()
    receiver.subscribe(visit.topic + "/other")
    receiver.unsubscribe(visit.topic + "/other")
    receiver.publish(visit.topic + "/nobody", b"", qos=2)
    publisher.publish(visit.topic, b"free", qos=0)
    receiver.expect("PUBLISH", payload=b"free", qos=0)
    receiver.ping()
    assert receiver.pending == []
    receiver.answer(first)
    for number in (1, 2, 3):
        receiver.message(visit.topic, str(number))


def test_acknowledgements_in_order_across_qos(visit, version):
    """Answers to publishes come in the order of the publishes, of QoS 1 [MQTT-4.6.0-2] and 2 [MQTT-4.6.0-3].

    Clauses: [MQTT-4.6.0-2 of 3.1.1] [MQTT-4.6.0-3 of 3.1.1]."""
    peer = visit(version)
    peer.subscribe(visit.topic, qos=0)
    for qos, kind in ((1, "PUBACK"), (2, "PUBREC")):
        numbers = [9, 3, 200, 1, 77, 4]
        peer.send(*[mqtt.publish(visit.topic, b"", qos, number, version=version) for number in numbers])
        assert [peer.expect(kind).packet_id for _ in numbers] == numbers
    for number in numbers:
        peer.send(mqtt.acknowledge("PUBREL", number, 0, version))
    assert [peer.expect("PUBCOMP").packet_id for _ in numbers] == numbers
