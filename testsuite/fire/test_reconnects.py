"""One ClientID that connects a thousand times and more, faster than it leaves: takeover after takeover, on whatever
shard its connections come in."""

import socket
import time

import mqtt_bytes as mqtt
import pytest
from hostile import MIB, Vitals, connect, reset, wait_until

ROUNDS = 1000
OPEN = 50
KEPT = {"session_expiry_interval": 60}
# How much a storm may add to what those before it have taken: the timers of its connections, which stay for ten
# seconds, and what an allocator keeps for each thread; a tenth of what leaking connections would come to.
FLAT_BYTES = 16 * MIB


def storm(port, name, clean, rounds):
    """Connections of one ClientID, each left behind: some closed at once, some reset, some open until the broker
    ends them. Returns those that are still open here."""
    left = []
    for number in range(rounds):
        one = socket.socket()
        one.settimeout(5)
        connect(one, port)
        start_clean = clean if clean is not None else number % 2 == 0
        one.sendall(mqtt.connect(name, clean=start_clean, keep_alive=0, properties=KEPT))
        if number % 3 == 0:
            one.close()
        elif number % 3 == 1:
            reset(one)
        else:
            left.append(one)
        if len(left) > OPEN:
            left.pop(0).close()
    return left


@pytest.mark.parametrize("clean", [True, False, None], ids=["clean", "persistent", "mixed"])
def test_a_storm_of_takeovers(start_broker, peers, ids, honest, watcher, clean):
    """Afterwards there is one session and no connection more than before, and its client is served."""
    broker = start_broker("--sys-interval", 1)
    bystander, numbers, vitals, name = honest(broker.port), watcher(broker.port), Vitals(broker), ids.one()
    bystander.served()
    owner = peers(broker.port, name, properties=KEPT)
    owner.subscribe("mine", qos=1)
    owner.drop()
    numbers.expect(clients_connected=3)
    descriptors = vitals.descriptors()
    started = time.monotonic()
    left = storm(broker.port, name, clean, ROUNDS)
    print(f"{ROUNDS / (time.monotonic() - started):.0f} connections a second")
    bystander.served()
    for one in left:
        one.close()
    for number in range(3):
        wait_until(lambda: vitals.descriptors() <= descriptors, what="the end of all connections")
        if number == 1:
            before = vitals.memory_bytes()
        for one in storm(broker.port, name, clean, ROUNDS):
            one.close()
        bystander.served()
    wait_until(lambda: vitals.descriptors() <= descriptors, what="the end of all connections")
    grown = vitals.memory_bytes() - before
    assert grown < FLAT_BYTES, f"{grown / MIB:.1f} MiB"
    numbers.expect(clients_connected=3, clients_total=4)
    back = peers(broker.port, name, clean=False, properties=KEPT)
    assert back.connack.session_present
    if clean is False:
        bystander.writer.publish("mine", b"still", qos=1, reason=0)
        back.message("mine", b"still")
    back.subscribe("other", qos=1)
    bystander.writer.publish("other", b"served", qos=1, reason=0)
    back.message("other", b"served")
    back.disconnect()
    vitals.expect_idle()
