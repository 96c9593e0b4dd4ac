"""SUBSCRIBE and UNSUBSCRIBE, and what the broker puts into the PUBLISH that follows from them."""

import pytest

import mqtt_bytes as mqtt
from mqtt_bytes import Will
from raw_client import Fence


def test_each_filter_its_answer(visit, version):
    """A hundred filters in one packet: one SUBACK [MQTT-3.8.4-1], a code for each [MQTT-3.8.4-6] in their
    order [MQTT-3.9.3-1], each the QoS granted [MQTT-3.8.4-7], as if they had come one by one [MQTT-3.8.4-5].

    Clauses: [MQTT-3.8.4-1 of 3.1.1] [MQTT-3.8.4-4 of 3.1.1]."""
    peer = visit(version)
    filters = [(f"{visit.topic}/{number}", number % 3) for number in range(100)]
    peer.send(mqtt.subscribe(1, filters, version))
    peer.expect("SUBACK", packet_id=1, reasons=[qos for _, qos in filters])
    for number in (0, 50, 99):
        peer.publish(f"{visit.topic}/{number}", b"", qos=2)
        assert peer.message(f"{visit.topic}/{number}").qos == number % 3


def test_unsubscribing_in_order(visit, version):
    """UNSUBACK answers every filter [MQTT-3.11.3-1] with a code of its own [MQTT-3.11.3-2] in one packet
    [MQTT-3.10.4-6], also when nothing was removed [MQTT-3.10.4-5] [MQTT-3.10.4-4].

    Clauses: [MQTT-3.10.4-4 of 3.1.1] [MQTT-3.10.4-5 of 3.1.1] [MQTT-3.10.4-6 of 3.1.1]."""
    peer = visit(version)
    peer.subscribe(visit.topic + "/a", visit.topic + "/b")
    for _ in range(2):
        answer = peer.unsubscribe(visit.topic + "/b", visit.topic + "/none", visit.topic + "/b")
        assert answer.reasons == ([0, 0x11, 0x11] if version == 5 else [])
        peer.subscribe(visit.topic + "/b")
    assert peer.unsubscribe(visit.topic + "/none").reasons == ([0x11] if version == 5 else [])


def test_unsubscribe_compares_characters(visit, version):
    """Only the very same filter is removed [MQTT-3.10.4-1]: not what it would match, nor what matches it.

    Clauses: [MQTT-3.10.4-1 of 3.1.1]."""
    receiver, publisher = visit(version), visit(version)
    kept = [visit.topic + end for end in ("/+", "/#", "/a", "/A")]
    receiver.subscribe(*kept, qos=1)
    receiver.unsubscribe(visit.topic + "/b", visit.topic + "/a/", visit.topic, visit.topic + "/+/#")
    publisher.publish(visit.topic + "/A", b"1", qos=1)
    receiver.message(visit.topic + "/A", b"1")
    receiver.unsubscribe(*kept)
    fence = Fence(receiver)
    publisher.publish(visit.topic + "/a", b"2", qos=1)
    fence.nothing_more(publisher)


def test_unsubscribe_finishes_what_began(visit, version):
    """A QoS 2 delivery under way is finished after UNSUBSCRIBE [MQTT-3.10.4-3], and sent again if need be,
    while nothing new is added [MQTT-3.10.4-2].

    Clauses: [MQTT-3.10.4-2 of 3.1.1] [MQTT-3.10.4-3 of 3.1.1]."""
    publisher, name = visit(version), visit.name()
    receiver = visit.kept(name, version)
    receiver.subscribe(visit.topic, qos=2)
    publisher.publish(visit.topic, b"began", qos=2)
    first = receiver.expect("PUBLISH", payload=b"began")
    receiver.unsubscribe(visit.topic)
    publisher.publish(visit.topic, b"new", qos=2)
    receiver.drop()
    receiver = visit.kept(name, version)
    fence = Fence(receiver, qos=2)
    receiver.message(visit.topic, b"began", packet_id=first.packet_id)
    fence.nothing_more(publisher)


def test_replacing_loses_nothing(visit, version):
    """While a subscription is replaced again and again [MQTT-3.8.4-3], no message is lost [MQTT-3.8.4-4].

    Clauses: [MQTT-3.8.4-3 of 3.1.1]."""
    receiver, publisher = visit(version), visit(version)
    receiver.subscribe(visit.topic, qos=1)
    for number in range(60):
        publisher.send(mqtt.publish(visit.topic, str(number), 1, number + 1, version=version))
        receiver.send(mqtt.subscribe(number + 2, [(visit.topic, 1 + number % 2)], version))
    for number in range(60):
        publisher.expect("PUBACK", packet_id=number + 1)
    assert [found.payload for found in receiver.messages(60)] == [b"%d" % number for number in range(60)]


def test_replacing_sends_retained_again(visit):
    """A subscription that replaces one gets retained messages again with retain handling 0 [MQTT-3.8.4-4]
    [MQTT-3.3.1-9], not with 1 [MQTT-3.3.1-10] or 2 [MQTT-3.3.1-11]."""
    publisher, receiver = visit(), visit()
    publisher.publish(visit.topic, b"kept", qos=1, retain=True)
    fence = Fence(receiver)
    for handling, comes in ((1, True), (1, False), (2, False), (0, True), (0, True)):
        receiver.subscribe(visit.topic, qos=1, retain_handling=handling)
        if comes:
            assert receiver.message(visit.topic, b"kept").retain
        fence.nothing_more(publisher)
    publisher.publish(visit.topic, b"", qos=1, retain=True)


def test_published_topics_match(visit, version):
    """What arrives has the topic it was published to, byte by byte, and matches the filter [MQTT-3.3.2-3]
    [MQTT-4.7.3-4].

    Clauses: [MQTT-1.5.4-3] [MQTT-1.5.3-3 of 3.1.1] [MQTT-3.3.2-3 of 3.1.1] [MQTT-4.7.3-4 of 3.1.1]."""
    receiver, publisher = visit(version), visit(version)
    receiver.subscribe(visit.topic + "/+/#", qos=1)
    for end in ("/a", "/A", "//", "/\u00e4/x", "/a\u0308/x", "/\ufeff", "/ ", "/a/b/c/"):
        publisher.publish(visit.topic + end, end, qos=1)
        assert receiver.message().topic == visit.topic + end


def test_identifiers_of_every_match(visit):
    """One copy with the identifiers of all matching subscriptions that have one [MQTT-3.3.4-3] [MQTT-3.3.4-4]
    at the highest QoS of them [MQTT-3.3.4-2]; never more copies [MQTT-3.3.4-5]."""
    receiver, publisher = visit(), visit()
    receiver.subscribe(visit.topic, qos=0, identifier=1)
    receiver.subscribe(visit.topic + "/#", qos=1, identifier=128)
    receiver.subscribe(visit.topic + "/+", qos=2)
    fence = Fence(receiver)
    publisher.publish(visit.topic, b"a", qos=2)
    assert sorted(receiver.message(visit.topic, qos=1).properties["subscription_identifier"]) == [1, 128]
    publisher.publish(visit.topic + "/b", b"b", qos=2)
    assert receiver.message(visit.topic + "/b", qos=2).properties["subscription_identifier"] == [128]
    fence.nothing_more(publisher)


def test_retain_flag_of_live_messages(visit):
    """Live messages have RETAIN as the subscription says: never [MQTT-3.3.1-12], or as published
    [MQTT-3.3.1-13]."""
    plain, faithful, publisher = visit(), visit(), visit()
    plain.subscribe(visit.topic)
    faithful.subscribe(visit.topic, retain_as_published=True)
    for retain in (True, False):
        payload = b"kept" if retain else b"live"
        publisher.publish(visit.topic, payload, qos=1, retain=retain)
        plain.live(visit.topic, payload)
        found = faithful.message(visit.topic)
        # Published right after SUBACK, the first may come once more as a copy.
        while not retain and found.payload == b"kept":
            found = faithful.message(visit.topic)
        assert (found.payload, found.retain) == (payload, retain)
    publisher.publish(visit.topic, b"", qos=1, retain=True)


def test_retained_is_replaced_and_removed(visit, version):
    """RETAIN replaces what is kept [MQTT-3.3.1-5], an empty payload removes it [MQTT-3.3.1-6] and is not kept
    [MQTT-3.3.1-7], and a message without RETAIN leaves it alone [MQTT-3.3.1-8]."""
    publisher = visit(version)

    def check(expected):
        """What a new subscriber gets."""
        receiver = visit(version)
        receiver.subscribe(visit.topic, qos=2)
        found = receiver.messages(len(expected))
        assert [(message.payload, message.qos, message.retain) for message in found] == expected
        receiver.expect_silence()

    for payload, qos, retain, expected in ((b"1", 1, True, [(b"1", 1, True)]), (b"2", 0, True, [(b"2", 0, True)]),
                                           (b"3", 2, False, [(b"2", 0, True)]), (b"", 1, False, [(b"2", 0, True)]),
                                           (b"", 0, True, []), (b"", 1, True, [])):
        publisher.publish(visit.topic, payload, qos=qos, retain=retain)
        publisher.ping()
        check(expected)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_properties_go_through_unaltered(visit, qos):
    """Payload format [MQTT-3.3.2-4], response topic [MQTT-3.3.2-15], correlation data [MQTT-3.3.2-16], content
    type [MQTT-3.3.2-20] and all user properties [MQTT-3.3.2-17] in their order [MQTT-3.3.2-18] go through; an
    alias and its maximum are of one hop."""
    receiver, publisher = visit(), visit()
    receiver.subscribe(visit.topic, qos=2)
    properties = {"payload_format_indicator": 1, "content_type": "a/b", "response_topic": "r/\u00e4",
                  "correlation_data": bytes(range(256)), "user_property": [("k", "1"), ("k", "0"), ("", "")]}
    publisher.publish(visit.topic, b"x", qos=qos, properties={**properties, "topic_alias": 1})
    assert receiver.message(visit.topic, b"x").properties == properties
    publisher.publish(visit.topic, b"y", qos=qos)
    assert receiver.message(visit.topic, b"y").properties == {}


def test_no_problem_information(visit):
    """Who asks for no problem information gets no reason string and no user property but in PUBLISH, CONNACK
    and DISCONNECT [MQTT-3.1.2-29]; who does not is told why."""
    for asked in (0, 1):
        peer = visit(properties={"request_problem_information": asked})
        answers = [peer.publish("$SYS/no", b"", qos=1, reason=0x87), peer.publish("$SYS/no", b"", qos=2, reason=0x87),
                   peer.unsubscribe("none")]
        peer.send(mqtt.acknowledge("PUBREL", 9), mqtt.subscribe(9, [("/".join("a" * 300), 0)]))
        answers += [peer.expect("PUBCOMP"), peer.expect("SUBACK")]
        told = any("reason_string" in answer.properties for answer in answers)
        assert told is bool(asked), answers
        assert all("user_property" not in answer.properties for answer in answers)


def test_answers_fit_a_small_client(visit):
    """No answer is longer than the client takes [MQTT-3.1.2-24]: reason strings are left out of PUBACK
    [MQTT-3.4.2-2], PUBREC [MQTT-3.5.2-2], SUBACK [MQTT-3.9.2-1], UNSUBACK [MQTT-3.11.2-1], PUBCOMP
    [MQTT-3.7.2-2] and DISCONNECT [MQTT-3.14.2-3]."""
    peer = visit(properties={"maximum_packet_size": 24})
    answers = [peer.publish("$SYS/no", b"", qos=1, reason=0x87), peer.publish("$SYS/no", b"", qos=2, reason=0x87),
               peer.unsubscribe("none"), peer.subscribe("/".join("a" * 300), granted=0x8F)]
    peer.send(mqtt.acknowledge("PUBREL", 9), b"\x00\x00")
    answers += [peer.expect("PUBCOMP"), peer.expect_disconnect(0x81)]
    assert all(answer.size <= 24 for answer in answers), answers


@pytest.mark.parametrize("kind", ["SUBACK", "UNSUBACK"])
def test_an_answer_that_cannot_fit(visit, kind):
    """An answer with more codes than the client takes bytes is not sent [MQTT-3.1.2-24] [MQTT-3.1.2-25]; the
    client is told 0x95."""
    peer = visit(properties={"maximum_packet_size": 24})
    names = [f"{number}" for number in range(30)]
    peer.send(mqtt.subscribe(1, [(name, 0) for name in names]) if kind == "SUBACK" else mqtt.unsubscribe(1, names))
    packets = peer.expect_closed()
    assert [(packet.kind, packet.reason) for packet in packets] == [("DISCONNECT", 0x95)]


def test_no_properties_is_a_length_of_zero(visit):
    """Where there are no properties their length is there and zero [MQTT-2.2.2-1]."""
    peer = visit()
    peer.subscribe(visit.topic)
    peer.publish(visit.topic, b"payload")
    while not mqtt.take_frame(peer.buffer):
        peer.buffer += peer.socket.recv(4096)
    first, body, _ = mqtt.take_frame(peer.buffer)
    assert (first, body) == (0x30, mqtt.binary(visit.topic) + b"\x00payload")


@pytest.mark.parametrize("bytes_", [0, 110, 127, 128, 16_250, 16_383, 16_384, 70_000])
def test_lengths_are_minimal(visit, bytes_):
    """The broker's lengths take the fewest bytes, around every border [MQTT-1.5.5-1]: the parser of these tests
    refuses others."""
    peer = visit()
    peer.subscribe(visit.topic)
    for payload in (bytes(bytes_), bytes(bytes_ + 1)):
        peer.publish(visit.topic, payload)
        peer.message(visit.topic, payload)


def test_every_alias_up_to_the_maximum(visit):
    """Every alias from 1 to the broker's maximum is accepted [MQTT-3.3.2-12], and each stands for its topic."""
    receiver, publisher = visit(), visit()
    receiver.subscribe(visit.topic + "/+")
    maximum = publisher.connack.properties["topic_alias_maximum"]
    for alias in range(1, maximum + 1):
        publisher.publish(f"{visit.topic}/{alias}", b"bind", properties={"topic_alias": alias})
        receiver.message(f"{visit.topic}/{alias}", b"bind")
    for alias in range(maximum, 0, -1):
        publisher.publish("", b"use", properties={"topic_alias": alias})
        receiver.message(f"{visit.topic}/{alias}", b"use")


@pytest.mark.parametrize("maximum", [0, 1, 3])
def test_aliases_stay_below_the_clients_maximum(visit, maximum):
    """The broker uses aliases from 1 [MQTT-3.3.2-8] to the client's maximum and none beyond [MQTT-3.1.2-26]
    [MQTT-3.3.2-11], none at all for 0 [MQTT-3.1.2-27], and each is bound before it is used."""
    receiver, publisher = visit(properties={"topic_alias_maximum": maximum}), visit()
    receiver.subscribe(visit.topic + "/#")
    bound, used = {}, set()
    for number in range(40):
        topic = f"{visit.topic}/{number % 5}"
        publisher.publish(topic, str(number))
        found = receiver.expect("PUBLISH", payload=b"%d" % number)
        alias = found.properties.get("topic_alias")
        if alias is not None:
            used.add(alias)
            bound[alias] = found.topic or bound[alias]
        assert (found.topic or bound[alias]) == topic
    assert used <= set(range(1, maximum + 1)) and bool(used) is bool(maximum)


def test_replacing_a_shared_subscription(visit):
    """A shared filter subscribed again has the new QoS [MQTT-4.8.2-3] and the new identifier, section 3.8.4; the
    plain filter of the same name is another subscription."""
    member, publisher = visit(), visit()
    shared = f"$share/{visit.topic.replace('/', '-')}/{visit.topic}"
    for qos, identifier in ((0, 1), (2, 7), (1, None)):
        member.subscribe(shared, qos=qos, identifier=identifier)
        publisher.publish(visit.topic, b"x", qos=2)
        found = member.message(visit.topic, b"x", qos=qos)
        assert found.properties.get("subscription_identifier") == ([identifier] if identifier else None)
    member.subscribe(visit.topic, qos=0)
    assert member.unsubscribe(shared, shared).reasons == [0, 0x11]
    publisher.publish(visit.topic, b"y", qos=2)
    member.message(visit.topic, b"y", qos=0)
    assert member.unsubscribe(visit.topic).reasons == [0]
    publisher.publish(visit.topic, b"z", qos=2)
    member.ping()
    assert member.pending == []


def test_will_of_its_own(visit):
    """With no local a client does not get its own will either [MQTT-3.8.3-3]; without it, it does."""
    for no_local in (True, False):
        name = visit.name()
        peer = visit.kept(name, will=Will(f"{visit.topic}/{no_local}", b"mine", qos=1))
        peer.subscribe(visit.topic + "/+", qos=1, no_local=no_local)
        peer.drop()
        again = visit.kept(name)
        if no_local:
            again.expect_silence()
        else:
            again.message(f"{visit.topic}/{no_local}", b"mine")
        again.unsubscribe(visit.topic + "/+")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_retained_with_no_local(visit, number):
    """With no local a client does not get what it had retained itself [MQTT-3.8.3-3], in this session or in one
    before; others do."""
    name = visit.name()
    first = visit(5, name)
    first.publish(visit.topic, b"own", qos=1, retain=True)
    for _ in range(number - 1):
        first.disconnect()
        first = visit(5, name, clean=True)
    other = visit()
    other.subscribe(visit.topic, no_local=True)
    other.message(visit.topic, b"own")
    first.subscribe(visit.topic, no_local=True)
    first.ping()
    first.expect_silence()
    first.publish(visit.topic, b"", retain=True)
