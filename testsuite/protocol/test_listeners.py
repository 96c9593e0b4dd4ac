"""What the protocol leaves to the server may differ from listener to listener: each tells and keeps its own."""

import pytest

import mqtt_bytes as mqtt
from raw_client import Peer

OPEN, NARROW = "127.0.0.1", "127.0.0.2"
OWN = ("versions=3.1.1+5.0&maximum_qos=1&retain_available=false&wildcard_available=false&shared_available=false"
       "&subscription_identifiers_available=false&receive_maximum=3&packet_bytes_max=2048&topic_alias_maximum=0"
       "&server_keep_alive=7&session_expiry_max=60")


@pytest.fixture
def listeners(start_broker):
    """A broker with two listeners on one port, one of which offers little."""
    return start_broker("--bind", f"{OPEN},{NARROW}?{OWN}")


@pytest.fixture
def join(listeners, ids):
    """`join(host, version, ...)` connects a raw client; all are closed at the end."""
    opened = []

    def connect(host, version=5, **options):
        opened.append(Peer.connected(listeners.port, ids.one(), version, host=host, **options))
        return opened[-1]

    yield connect
    for peer in opened:
        peer.drop()


def test_connack_tells_what_holds_here(join):
    """CONNACK has the limits of the listener that accepted the connection [MQTT-3.2.2-9]."""
    asked = {"session_expiry_interval": 600}
    narrow = join(NARROW, properties=asked).connack.properties
    assert narrow == {"receive_maximum": 3, "maximum_qos": 1, "retain_available": 0, "maximum_packet_size": 2048,
                      "wildcard_subscription_available": 0, "subscription_identifier_available": 0,
                      "shared_subscription_available": 0, "server_keep_alive": 7, "session_expiry_interval": 60}
    wide = join(OPEN, properties=asked).connack.properties
    assert wide == {"receive_maximum": 1024, "topic_alias_maximum": 32}


def test_versions(listeners, join, ids):
    """A version that is not served here is refused with its code [MQTT-3.1.2-2], and served elsewhere."""
    join(OPEN, 3)
    join(NARROW, 4)
    with Peer(listeners.port, 3, host=NARROW) as peer:
        peer.send(mqtt.connect(ids.one(), 3))
        peer.expect("CONNACK", reason=1)
        peer.expect_closed()


@pytest.mark.parametrize(("packet", "reason"), [
    (mqtt.publish("t", b"x", 2, 1), 0x9B),
    (mqtt.publish("t", b"x", retain=True), 0x9A),
    (mqtt.publish("t", bytes(3000)), 0x95),
    (mqtt.publish("t", b"x", properties={"topic_alias": 1}), 0x94),
], ids=["qos", "retain", "size", "alias"])
def test_what_is_not_offered_is_refused_here_alone(join, packet, reason):
    """QoS [MQTT-3.2.2-11], retain [MQTT-3.2.2-14], packet size [MQTT-3.2.2-15] and alias [MQTT-3.3.2-9] of one
    listener bind its own clients and nobody else."""
    wide, narrow = join(OPEN), join(NARROW)
    wide.send(packet)
    wide.ping()
    narrow.send(packet)
    narrow.expect_disconnect(reason)


@pytest.mark.parametrize(("topic_filter", "code"), [("a/+", 0xA2), ("$share/g/a", 0x9E), ("a", 1)])
def test_filters(join, topic_filter, code):
    """Wildcards and shared subscriptions are refused where they are not offered, and a granted QoS is at most the
    listener's [MQTT-3.8.4-6]."""
    for host, expected in [(NARROW, code), (OPEN, 2)]:
        peer = join(host)
        peer.send(mqtt.subscribe(1, [(topic_filter, 2)]))
        assert peer.expect("SUBACK").reasons == [expected]


def test_messages_cross_listeners(join):
    """The topics are one broker's, wherever a client came in."""
    wide, narrow = join(OPEN), join(NARROW)
    narrow.subscribe("crossing", qos=1)
    wide.publish("crossing", b"over", qos=2)
    narrow.message("crossing", b"over")
