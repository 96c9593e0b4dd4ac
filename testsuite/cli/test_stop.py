"""Stopping: wills, farewells, exit code 0, in time."""

import signal
import socket
import time

import pytest

from mqtt_bytes import Will
from raw_client import Closed, Peer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_farewell(broker, connect, ids, number):
    """Version 5 is told 0x8B [MQTT-3.14.0-1], older versions are closed; the exit code is 0."""
    crowd = [connect(name, 3 + index % 3) for index, name in enumerate(ids.take(9))]
    broker.terminate(number)
    for peer in crowd:
        peer.expect_disconnect(0x8B)
    started = time.monotonic()
    broker.wait_stopped()
    assert time.monotonic() - started < 3


def test_wills_are_published(broker, connect, ids):
    """The will of a client that the stop throws off is published, once, to those that are still there."""
    watcher = connect(ids.one())
    watcher.subscribe("will/+", qos=1)
    names = ids.take(4)
    for name in names:
        connect(name, will=Will(f"will/{name}", b"stopped", qos=1))
    broker.terminate()
    packets = watcher.expect_closed()
    topics = [packet.topic for packet in packets if packet.kind == "PUBLISH"]
    assert sorted(topics) == sorted(f"will/{name}" for name in names)
    assert packets[-1].kind == "DISCONNECT" and packets[-1].reason == 0x8B
    broker.wait_stopped()


def test_messages_on_the_way_are_flushed(broker, connect, ids):
    """What was acknowledged to a publisher before the stop is written to who is connected."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("last/#", qos=0)
    for number in range(200):
        publisher.publish("last/word", str(number), qos=1)
    broker.terminate()
    payloads = [packet.payload for packet in receiver.expect_closed() if packet.kind == "PUBLISH"]
    assert payloads == [b"%d" % number for number in range(200)]
    broker.wait_stopped()


def test_no_new_connections(broker, connect, ids):
    """After the stop nobody is accepted."""
    connect(ids.one())
    broker.terminate()
    broker.wait_stopped()
    with pytest.raises((ConnectionError, Closed, TimeoutError)):
        Peer.connected(broker.port, "late")


def test_stuck_reader_does_not_block_the_stop(start_broker, ids, peers):
    """A client that does not read is cut off at the deadline."""
    broker = start_broker("--set", "stop_deadline=500ms")
    stuck = Peer.connected(broker.port, ids.one(), receive_buffer_bytes=4096)
    stuck.subscribe("wide", qos=1)
    publisher = peers(broker.port, ids.one())
    for _ in range(50):
        publisher.publish("wide", bytes(100_000), qos=1)
    started = time.monotonic()
    broker.terminate()
    broker.wait_stopped()
    assert time.monotonic() - started < 3
    stuck.drop()


def test_half_open_connections_do_not_block_the_stop(broker):
    """Connections that never said anything do not delay the stop."""
    idle = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(5)]
    started = time.monotonic()
    broker.terminate()
    broker.wait_stopped()
    assert time.monotonic() - started < 3
    for connection in idle:
        connection.close()


def test_idle_stop_is_quick(broker):
    """With nobody connected the stop takes no time worth mentioning."""
    started = time.monotonic()
    broker.terminate()
    broker.wait_stopped()
    assert time.monotonic() - started < 2
