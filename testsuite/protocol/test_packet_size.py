"""Maximum packet size, both ways."""

import mqtt_bytes as mqtt
from raw_client import Fence, Peer

SMALL_PACKETS = ("--set", "packet_bytes_max=4096", "--set", "connect_packet_bytes_max=4096")


def test_too_large_for_the_client(connect, ids):
    """The broker never sends what the client cannot take: it is as if it had been delivered
    [MQTT-3.1.2-24] [MQTT-3.1.2-25]."""
    small = connect(ids.one(), properties={"maximum_packet_size": 60})
    large, publisher = connect(ids.one()), connect(ids.one())
    for receiver in (small, large):
        receiver.subscribe("size", qos=1)
    publisher.publish("size", bytes(200), qos=1, reason=0)
    publisher.publish("size", b"fits", qos=1)
    found = small.message("size", b"fits")
    assert found.size <= 60
    large.message("size", bytes(200))
    large.message("size", b"fits")


def test_exact_size(connect, ids):
    """A packet of exactly the maximum is sent, one byte more is not [MQTT-3.1.2-24]."""
    receiver, publisher = connect(ids.one(), properties={"maximum_packet_size": 100}), connect(ids.one())
    receiver.subscribe("size", qos=0)
    overhead = len(mqtt.publish("size", b""))
    fence = Fence(receiver)
    publisher.publish("size", bytes(100 - overhead))
    assert receiver.message("size").size == 100
    publisher.publish("size", bytes(101 - overhead))
    fence.nothing_more(publisher)


def test_window_is_not_lost_to_large_packets(connect, ids):
    """What is too large does not use up the receive maximum [MQTT-3.1.2-25]."""
    receiver = connect(ids.one(), properties={"maximum_packet_size": 60, "receive_maximum": 2})
    publisher = connect(ids.one())
    receiver.subscribe("size", qos=1)
    for _ in range(5):
        publisher.publish("size", bytes(100), qos=1)
    for number in range(5):
        publisher.publish("size", str(number), qos=1)
    assert [found.payload for found in receiver.messages(5)] == [b"%d" % number for number in range(5)]


def test_retained_too_large(connect, ids):
    """A retained message that is too large is left out, the others come [MQTT-3.1.2-25]."""
    receiver, publisher = connect(ids.one(), properties={"maximum_packet_size": 60}), connect(ids.one())
    publisher.publish("size/a", bytes(100), qos=1, retain=True)
    publisher.publish("size/b", b"fits", qos=1, retain=True)
    receiver.subscribe("size/#", qos=1)
    receiver.message("size/b", b"fits")


def test_reason_strings_fit(connect):
    """A reason string is left out rather than exceed the client's maximum [MQTT-3.2.2-19] [MQTT-3.14.2-3]."""
    peer = connect("tiny", properties={"maximum_packet_size": 25})
    peer.send(b"\x00\x00")
    for found in peer.expect_closed():
        assert found.size <= 25


def test_too_large_for_the_broker(start_broker, peers):
    """A packet above the broker's maximum: 0x95, before it is read to its end [MQTT-3.2.2-15]."""
    broker = start_broker(*SMALL_PACKETS)
    peer = peers(broker.port, "large")
    assert peer.connack.properties["maximum_packet_size"] == 4096
    overhead = len(mqtt.publish("size", bytes(4000))) - 4000
    peer.publish("size", bytes(4096 - overhead), qos=0)
    peer.ping()
    peer.send(mqtt.publish("size", bytes(100_000))[:50])
    peer.expect_disconnect(0x95)


def test_too_large_in_older_versions(start_broker, peers):
    """3.1.1 has no code for it: the connection is closed."""
    broker = start_broker(*SMALL_PACKETS)
    peer = peers(broker.port, "large", 4)
    peer.send(mqtt.publish("size", bytes(100_000), version=4)[:50])
    assert peer.expect_closed() == []


def test_maximum_packet_size_zero(broker):
    """A maximum of 0 is a protocol error, section 3.1.2.11.4."""
    peer = Peer(broker.port)
    peer.send(mqtt.connect("zero", properties={"maximum_packet_size": 0}))
    assert [packet.reason for packet in peer.expect_closed()] in ([0x82], [])
