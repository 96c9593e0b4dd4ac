"""Forgotten sessions until the broker's memory budget is used up: who is there goes on, new ones wait outside, and all
is as before once the sessions have ended."""

import mqtt_bytes as mqtt
from hostile import MIB, Vitals, wait_until
from raw_client import Peer

BUDGET = 32 * MIB
PAYLOAD = 64 << 10
FORGOTTEN = 8
# Beyond what is counted: what an allocator keeps of what was given back, buffers for reading, lanes between shards.
BESIDE_BYTES = 48 * MIB


def forgotten(broker, name):
    """A session that is subscribed and left."""
    with Peer.connected(broker.port, name, clean=False, properties={"session_expiry_interval": 3600}) as peer:
        peer.subscribe(f"for/{name}", qos=1)
        peer.disconnect()


def test_forgotten_sessions(start_broker, peers, ids, honest, watcher):
    """Memory stays near the budget, honest clients are served through all of it, and the ladder goes up and down."""
    broker = start_broker("--sys-interval", 1, "--set", "memory_max=32MiB", "--set", "queue_bytes_max=1GiB",
                          "--set", "queue_messages_max=1000000")
    bystander, numbers, vitals = honest(broker.port), watcher(broker.port), Vitals(broker)
    names = ids.take(FORGOTTEN)
    for name in names:
        forgotten(broker, name)
    known, stranger, publisher = ids.one(), ids.one(), peers(broker.port, ids.one())
    before, peak = vitals.memory_bytes(), 0
    peers(broker.port, known).disconnect()
    # Three times the budget.
    for number in range(3 * BUDGET // PAYLOAD):
        publisher.publish(f"for/{names[number % FORGOTTEN]}", bytes(PAYLOAD), qos=1, timeout=10)
        if number % 50 == 0:
            bystander.served()
            peak = max(peak, vitals.memory_bytes() - before)
    bystander.served(3)
    assert peak < BUDGET + BESIDE_BYTES, f"{peak / MIB:.1f} MiB"
    broker.wait_for_line(r"Memory: \d+ bytes are held, memory_max is 33554432; rung [12] of 3")
    broker.wait_for_line("rung 2 of 3")
    with Peer(broker.port) as refused:
        refused.send(mqtt.connect(stranger))
        refused.expect("CONNACK", reason=0x97)
        refused.expect_closed()
    broker.wait_for_line(rf"Client disconnected, anonymous as '{stranger}' from 127\.0\.0\.1:\d+: .*memory_max")
    numbers.read(1.5)
    assert numbers.value("memory/clients refused") == 1 and numbers.value("memory/messages shed") > 0
    assert numbers.value("memory/rung") == 2
    assert 0.8 * BUDGET < numbers.value("memory/bytes") < BUDGET
    for name in names:
        with Peer.connected(broker.port, name) as peer:
            peer.disconnect()
    broker.wait_for_line("everything is served again")
    peers(broker.port, stranger)
    wait_until(lambda: (numbers.read(0.3), numbers.value("memory/rung"))[1] == 0, what="the first rung")
    bystander.served(3)
    vitals.expect_idle()
