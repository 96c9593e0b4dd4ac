"""Sockets that announce much and send little: a broker that believed them would be out of memory or out of
connections."""

import mqtt_bytes as mqtt
import pytest
from hostile import MIB, Crowd, Vitals, wait_until

CROWD = 1000
# What one connection may cost while it has sent next to nothing: its state, its buffer, its part of the tables.
CONNECTION_BYTES = 32 << 10
ALL_THERE_IS = b"\xff\xff\xff\x7f"


def claims(kind):
    """A fixed header that announces 268,435,455 bytes."""
    return bytes([kind << 4]) + ALL_THERE_IS


@pytest.mark.parametrize("kind", ["CONNECT", "PUBLISH"])
def test_a_claim_before_connect(start_broker, honest, kind):
    """256 MiB announced a thousand times by strangers: all are closed at once, and nothing is kept ready."""
    broker = start_broker("--sys-interval", 0)
    bystander, vitals = honest(broker.port), Vitals(broker)
    bystander.served()
    before, descriptors = vitals.memory_bytes(), vitals.descriptors()
    with Crowd(broker.port, CROWD) as crowd:
        crowd.send(claims(mqtt.KINDS.index(kind)))
        bystander.served(3)
        crowd.expect_closed()
        grown = vitals.memory_bytes() - before
        assert grown < CROWD * CONNECTION_BYTES, f"{grown / MIB:.1f} MiB"
    wait_until(lambda: vitals.descriptors() <= descriptors, what="the end of all connections")
    bystander.served()
    vitals.expect_idle()


def test_a_claim_after_connect(start_broker, honest):
    """The same from clients that were let in, where such a packet is allowed: what arrives is kept, what is
    announced is not; and dripping costs what drips."""
    broker = start_broker("--sys-interval", 0)
    bystander, vitals = honest(broker.port), Vitals(broker)
    bystander.served()
    descriptors = vitals.descriptors()
    with Crowd(broker.port, CROWD) as crowd:
        crowd.send(lambda index: mqtt.connect(f"claims-{index}", keep_alive=0))
        wait_until(lambda: vitals.descriptors() >= descriptors + CROWD, what="all connections")
        bystander.served()
        before = vitals.memory_bytes()
        crowd.send(claims(3))
        bystander.served(3)
        for _ in range(10):
            assert crowd.send(bytes(100)) == 0
            bystander.served()
        grown = vitals.memory_bytes() - before
        assert grown < CROWD * CONNECTION_BYTES, f"{grown / MIB:.1f} MiB"
        vitals.expect_idle()
        assert crowd.count_closed() == 0, "a packet may take its time, for as long as the keep alive allows"
    wait_until(lambda: vitals.descriptors() <= descriptors, what="the end of all connections")
    bystander.served()


def test_a_connect_that_is_never_finished(start_broker, honest):
    """Half a CONNECT a thousand times: after connect_timeout all are gone, and the broker is as it was."""
    broker = start_broker("--sys-interval", 0, "--set", "connect_timeout=1000")
    bystander, vitals = honest(broker.port), Vitals(broker)
    bystander.served()
    before, descriptors = vitals.memory_bytes(), vitals.descriptors()
    with Crowd(broker.port, CROWD) as crowd:
        crowd.send(lambda index: mqtt.connect(f"half-{index}" * 20)[: 8 + index % 100])
        bystander.served(3)
        crowd.expect_closed(timeout=10)
        assert vitals.memory_bytes() - before < CROWD * CONNECTION_BYTES
        wait_until(lambda: vitals.descriptors() <= descriptors, what="the end of all connections")
    bystander.served()
    vitals.expect_idle()


def test_most_of_a_large_packet_from_everybody(start_broker, honest):
    """Two hundred clients that each send 256 KiB of a packet whose end never comes take what all may take together,
    and no more; those that kept the broker waiting for longest go, and others are served meanwhile."""
    bound = 8 * MIB
    broker = start_broker("--sys-interval", 0, "--shards", 1, "--set", f"unread_bytes_max={bound}",
                          "--set", "packet_bytes_max=4MiB")
    bystander, vitals = honest(broker.port), Vitals(broker)
    bystander.served()
    descriptors = vitals.descriptors()
    with Crowd(broker.port, 200) as crowd:
        crowd.send(lambda index: mqtt.connect(f"most-{index}", keep_alive=0))
        wait_until(lambda: vitals.descriptors() >= descriptors + 200, what="all connections")
        before = vitals.memory_bytes()
        beginning = bytes([0x30, 0xFF, 0xFF, 0xFF, 0x01]) + b"\0\1t" + bytes(64 << 10)
        crowd.send(beginning)
        for _ in range(3):
            crowd.send(bytes(64 << 10))
            bystander.served()
        # Buffers for reading, what the allocator keeps of those that went, and 200 connections come on top.
        grown = vitals.memory_bytes() - before
        assert grown < 2 * bound, f"{grown / MIB:.1f} MiB"
        wait_until(lambda: crowd.count_closed() >= 150, what="the end of those that held most")
        bystander.served(3)
        vitals.expect_idle()
    wait_until(lambda: vitals.descriptors() <= descriptors, what="the end of all connections")
    bystander.served()
