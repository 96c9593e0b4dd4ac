"""Sockets that are closed by halves, or torn off in the middle of a packet, in every phase of a client's life."""

import socket

import mqtt_bytes as mqtt
import pytest
from hostile import Vitals, is_closed, reset, wait_until
from raw_client import Peer

CLIENTS = 10
KEPT = {"session_expiry_interval": 60}
WAYS = ["no more writing", "no more reading", "reset"]
PART = mqtt.publish("never/whole", bytes(1000), 1, 77)[:300]


def tear(peer, way):
    """Ends a connection as `way` says; with a reset in the middle of a packet."""
    if way == "no more writing":
        peer.socket.shutdown(socket.SHUT_WR)
    elif way == "no more reading":
        peer.socket.shutdown(socket.SHUT_RD)
    else:
        peer.send(PART)
        reset(peer.socket)


def expect_end(peers_torn, way):
    """A half that only stops reading says nothing to the broker: it goes on until the client closes altogether.
    One that only stops writing is closed by the broker, and gets what was on its way."""
    for peer in peers_torn:
        if way == "no more reading":
            peer.drop()
        elif way == "no more writing":
            wait_until(lambda one=peer: is_closed(one.socket), what="the end of the connection")
            peer.drop()


@pytest.fixture(params=WAYS)
def way(request):
    """Each way to tear a connection."""
    return request.param


@pytest.fixture
def scene(start_broker, honest):
    """A broker that an honest client watches; afterwards it must be as it was."""
    broker = start_broker("--sys-interval", 0, "--set", "connect_timeout=60000")
    bystander, vitals = honest(broker.port), Vitals(broker)
    bystander.served()
    descriptors = vitals.descriptors()
    yield broker, bystander
    wait_until(lambda: vitals.descriptors() <= descriptors, what="the end of all connections")
    bystander.served()
    vitals.expect_idle()


def test_before_connect(scene, way):
    """Nobody has said who it is."""
    broker, bystander = scene
    torn = [Peer(broker.port) for _ in range(CLIENTS)]
    for index, peer in enumerate(torn):
        peer.send(mqtt.connect("torn")[: index + 1])
        tear(peer, way)
    bystander.served()
    expect_end(torn, way)


def test_with_a_will(scene, peers, ids, way):
    """Every one of them has a will, which is published once [MQTT-3.1.2-8]."""
    broker, bystander = scene
    watcher = peers(broker.port, ids.one())
    watcher.subscribe("will/#", qos=1)
    names = ids.take(CLIENTS)
    torn = [Peer.connected(broker.port, name, will=mqtt.Will(f"will/{name}", b"gone", 1)) for name in names]
    for peer in torn:
        tear(peer, way)
    bystander.served()
    expect_end(torn, way)
    assert sorted(message.topic for message in watcher.messages(CLIENTS)) == sorted(f"will/{one}" for one in names)
    watcher.ping()
    watcher.expect_silence()
    watcher.drop()


def test_with_queued_messages(scene, peers, ids, way):
    """Each has messages sent and not acknowledged, and more that wait: the next connection gets them all
    [MQTT-4.4.0-1]."""
    broker, bystander = scene
    publisher, names = peers(broker.port, ids.one()), ids.take(CLIENTS)
    torn = [Peer.connected(broker.port, name, properties={**KEPT, "receive_maximum": 2}) for name in names]
    for peer in torn:
        peer.subscribe("queued", qos=1)
    for number in range(5):
        publisher.publish("queued", str(number), qos=1)
    for peer in torn:
        tear(peer, way)
    bystander.served()
    expect_end(torn, way)
    for name in names:
        back = Peer.connected(broker.port, name, clean=False, properties={"receive_maximum": 100})
        assert back.connack.session_present
        assert [int(message.payload) for message in back.messages(5)] == list(range(5))
        back.disconnect()
    publisher.drop()


def test_in_the_middle_of_qos_2(scene, peers, ids, way):
    """Each has one exchange open as sender and one as receiver: both are completed on the next connection, and
    each message arrives exactly once [MQTT-4.3.3]."""
    broker, bystander = scene
    watcher, publisher, names = peers(broker.port, ids.one()), peers(broker.port, ids.one()), ids.take(CLIENTS)
    watcher.subscribe("up", qos=2)
    torn = [Peer.connected(broker.port, name, properties=KEPT) for name in names]
    for peer in torn:
        peer.subscribe("down", qos=2)
        peer.send(mqtt.publish("up", b"once", 2, 5))
        peer.expect("PUBREC", packet_id=5)
    publisher.publish("down", b"once", qos=2)
    for peer in torn:
        found = peer.expect("PUBLISH")
        peer.send(mqtt.acknowledge("PUBREC", found.packet_id))
        peer.expect("PUBREL")
        tear(peer, way)
    bystander.served()
    expect_end(torn, way)
    for name in names:
        back = Peer.connected(broker.port, name, clean=False)
        assert back.connack.session_present
        released = back.expect("PUBREL")
        back.send(mqtt.acknowledge("PUBCOMP", released.packet_id), mqtt.publish("up", b"once", 2, 5, dup=True))
        back.expect("PUBREC", packet_id=5)
        back.send(mqtt.acknowledge("PUBREL", 5))
        back.expect("PUBCOMP", packet_id=5, reason=0)
        back.ping()
        assert back.pending == []
        back.disconnect()
    assert [message.payload for message in watcher.messages(CLIENTS)] == [b"once"] * CLIENTS
    watcher.ping()
    watcher.expect_silence()
    watcher.drop()
    publisher.drop()
