"""SUBSCRIBE and UNSUBSCRIBE: answers, identifiers, overlap, no-local."""

import mqtt_bytes as mqtt
from raw_client import Fence


def test_suback_per_filter(connect, version):
    """One reason code per filter, in their order [MQTT-3.8.4-5] [MQTT-3.9.3-1]."""
    peer = connect("many", version)
    peer.send(mqtt.subscribe(9, [("a", 0), ("b/#", 2), ("c/+", 1)], version))
    peer.expect("SUBACK", packet_id=9, reasons=[0, 2, 1])


def test_unsuback(connect, version):
    """UNSUBSCRIBE is always answered [MQTT-3.10.4-4]; version 5 says 0x11 for a filter that was not there
    [MQTT-3.11.3-1]."""
    peer = connect("leaver", version)
    peer.subscribe("here")
    answer = peer.unsubscribe("here", "never")
    assert answer.reasons == ([0, 0x11] if version == 5 else [])


def test_nothing_after_unsubscribe(connect, ids, version):
    """After UNSUBACK nothing new is added for the client [MQTT-3.10.4-2].

    Clauses: [MQTT-3.10.4-2 of 3.1.1]."""
    receiver, publisher = connect(ids.one(), version), connect(ids.one(), version)
    receiver.subscribe("here", "here/+", qos=1)
    fence = Fence(receiver)
    receiver.unsubscribe("here")
    publisher.publish("here", b"no", qos=1)
    publisher.publish("here/still", b"yes", qos=1)
    receiver.message("here/still", b"yes")
    fence.nothing_more(publisher)


def test_subscription_is_replaced(connect, ids, version):
    """The same filter again replaces the subscription, it does not add one [MQTT-3.8.4-3].

    Clauses: [MQTT-3.8.4-3 of 3.1.1]."""
    receiver, publisher = connect(ids.one(), version), connect(ids.one(), version)
    receiver.subscribe("same", qos=0)
    receiver.subscribe("same", qos=2)
    fence = Fence(receiver)
    publisher.publish("same", b"x", qos=2)
    assert receiver.message("same").qos == 2
    fence.nothing_more(publisher)


def test_overlapping_subscriptions_give_one_copy(connect, ids):
    """Overlapping subscriptions: one copy, with the highest QoS [MQTT-3.3.4-2] and all the identifiers
    [MQTT-3.3.4-4]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("over/+", qos=0, identifier=1)
    receiver.subscribe("over/#", qos=2, identifier=268_435_455)
    receiver.subscribe("over/lap", qos=1, identifier=3)
    receiver.subscribe("#", qos=0)
    fence = Fence(receiver)
    publisher.publish("over/lap", b"x", qos=2)
    found = receiver.message("over/lap")
    assert found.qos == 2
    assert sorted(found.properties["subscription_identifier"]) == [1, 3, 268_435_455]
    fence.nothing_more(publisher)


def test_overlap_in_older_versions(connect, ids):
    """3.1.1: the message is delivered with the highest QoS of the matching subscriptions [MQTT-3.3.5-1].

    Clauses: [MQTT-3.3.5-1 of 3.1.1]."""
    receiver, publisher = connect(ids.one(), 4), connect(ids.one(), 4)
    receiver.subscribe("over/+", qos=0)
    receiver.subscribe("over/lap", qos=1)
    publisher.publish("over/lap", b"x", qos=2)
    assert receiver.message("over/lap").qos == 1


def test_subscription_identifier_is_replaced(connect, ids):
    """Subscribing again sets another identifier, or none, section 3.8.4."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    for identifier in (5, 6, None):
        receiver.subscribe("id", identifier=identifier)
        publisher.publish("id", b"")
        wanted = {"subscription_identifier": [identifier]} if identifier else {}
        assert receiver.message("id").properties == wanted


def test_no_local(connect, ids):
    """With no-local a client does not hear itself, others do [MQTT-3.8.3-3]."""
    both, other = connect(ids.one()), connect(ids.one())
    both.subscribe("talk", no_local=True)
    other.subscribe("talk")
    both.publish("talk", b"mine")
    other.publish("talk", b"theirs")
    both.message("talk", b"theirs")
    assert {found.payload for found in other.messages(2)} == {b"mine", b"theirs"}


def test_own_messages_without_no_local(connect, version):
    """Without it a client hears itself, in every version."""
    peer = connect("echo", version)
    peer.subscribe("talk", qos=2)
    peer.publish("talk", b"mine", qos=2)
    peer.message("talk", b"mine")


def test_duplicate_filters_in_one_packet(connect, ids):
    """A filter twice in one SUBSCRIBE is as if it came in two [MQTT-3.8.4-5]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.send(mqtt.subscribe(1, [("twice", 0), ("twice", 1)]))
    receiver.expect("SUBACK", reasons=[0, 1])
    fence = Fence(receiver)
    publisher.publish("twice", b"x", qos=2)
    assert receiver.message("twice").qos == 1
    fence.nothing_more(publisher)


def test_subscribe_works_at_once(connect, ids):
    """What is published after SUBACK reaches the subscriber, from whichever shard, every time."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    for number in range(50):
        receiver.subscribe(f"at/{number}", qos=1)
        publisher.publish(f"at/{number}", b"x", qos=1, reason=0)
        receiver.message(f"at/{number}")
        receiver.unsubscribe(f"at/{number}")


def test_many_subscriptions(connect, ids):
    """A thousand filters of one client, each found."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    for start in range(0, 1000, 100):
        receiver.subscribe(*[f"lots/{number}" for number in range(start, start + 100)], qos=0)
    for number in (0, 1, 499, 999):
        publisher.publish(f"lots/{number}", b"x")
        receiver.message(f"lots/{number}")
