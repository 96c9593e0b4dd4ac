"""Keep alive: who is too quiet is closed at one and a half times, and nobody else."""

import contextlib
import time

import mqtt_bytes as mqtt
from mqtt_bytes import Will
from raw_client import Peer


def test_silent_client_is_closed(connect, ids, version):
    """After 1.5 times the keep alive the connection is closed, as if the network failed [MQTT-3.1.2-22]
    [MQTT-3.1.2-24]; version 5 learns 0x8D, and the will is published.

    Clauses: [MQTT-3.2.2-22] [MQTT-3.1.2-24 of 3.1.1]."""
    watcher = connect(ids.one(), version)
    watcher.subscribe("will/+")
    quiet = connect(ids.one(), version, keep_alive=1, will=Will("will/quiet", b"gone"))
    started = time.monotonic()
    found = quiet.expect_closed()
    waited = time.monotonic() - started
    assert 1.3 < waited < 2.7, waited
    assert [(packet.kind, packet.reason) for packet in found] == ([("DISCONNECT", 0x8D)] if version == 5 else [])
    watcher.message("will/quiet", b"gone")


def test_pings_keep_alive(connect, ids):
    """Any packet from the client counts, and a packet to it does not [MQTT-3.1.2-20]."""
    pinging, fed, publisher = connect(ids.one(), keep_alive=1), connect(ids.one(), keep_alive=1), connect(ids.one())
    fed.subscribe("food")
    for number in range(12):
        time.sleep(0.2)
        if number % 3 == 0:
            pinging.ping()
        publisher.publish("food", b"x")
    pinging.ping()
    assert fed.expect_closed()[-1].reason == 0x8D


def test_zero_turns_it_off(connect):
    """Keep alive 0: no limit [MQTT-3.1.2-22], section 3.1.2.10.

    Clauses: [MQTT-3.2.2-22]."""
    peer = connect("patient", keep_alive=0)
    time.sleep(1.7)
    peer.ping()


def test_half_a_packet_is_not_a_packet(connect):
    """Bytes of a packet that never ends do not keep a connection alive for ever [MQTT-3.1.2-22]."""
    peer = connect("dribble", keep_alive=1)
    # The end may come before the last byte.
    with contextlib.suppress(ConnectionError):
        for byte in mqtt.publish("topic", bytes(40))[:9]:
            peer.send(bytes([byte]))
            time.sleep(0.2)
    found = peer.expect_closed(timeout=2)
    assert [packet.reason for packet in found] in ([0x8D], [])


def test_server_keep_alive(start_broker, peers):
    """A broker with a keep alive of its own says so in CONNACK and goes by it [MQTT-3.2.2-21]."""
    broker = start_broker("--set", "server_keep_alive=1")
    for wish in (600, 0):
        peer = peers(broker.port, "long", keep_alive=wish)
        assert peer.connack.properties["server_keep_alive"] == 1
    started = time.monotonic()
    assert peer.expect_closed()[-1].reason == 0x8D
    assert time.monotonic() - started < 2.7


def test_connect_must_come(start_broker):
    """A connection without CONNECT is closed after a while, section 4.8 of 3.1.1.

    Clauses: [MQTT-3.1.4-1]."""
    broker = start_broker("--set", "connect_timeout=300ms")
    idle = Peer(broker.port)
    half = Peer(broker.port)
    half.send(mqtt.connect("half")[:7])
    assert idle.expect_closed(timeout=3) == []
    assert half.expect_closed(timeout=3) == []
