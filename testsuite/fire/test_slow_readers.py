"""Clients that subscribe to everything and read nothing, while others publish much more than may be kept for them."""

import mqtt_bytes as mqtt
import pytest
from hostile import MIB, Vitals
from raw_client import Peer

READERS = 5
LIMIT = MIB
PAYLOAD = 100_000
MESSAGES = 500
# For each reader what is queued, what is in flight, what is held and what is encoded, and a message over each.
READER_BYTES = 3 * (LIMIT + PAYLOAD) + MIB
# What is on its way from one shard to another: 64 slots of one batch and one message, and 4 MiB that wait.
LANE_BYTES = 64 * ((64 << 10) + PAYLOAD) + 4 * MIB
# Everything else, such as the packet that is being read.
REST_BYTES = 8 * MIB


@pytest.mark.parametrize("subscribed", [0, 1])
@pytest.mark.parametrize("published", [0, 1])
def test_fifty_megabytes_to_readers_that_do_not_read(start_broker, peers, ids, honest, watcher, shard_names,
                                                     published, subscribed):
    """Memory stays under the sum of the limits, the publisher goes on, and the losses are counted."""
    broker = start_broker("--sys-interval", 1, "--queue-bytes-max", LIMIT, "--hold-bytes-max", LIMIT, "--publish-hold",
                          200)
    bystander, numbers, vitals = honest(broker.port), watcher(broker.port), Vitals(broker)
    shards = shard_names.shards
    bystander.served()
    readers = [Peer.connected(broker.port, name, receive_buffer_bytes=4096, keep_alive=0) for name in
               ids.take(READERS)]
    for reader in readers:
        reader.subscribe("#", qos=subscribed)
    publisher = peers(broker.port, ids.one())
    before, peak = vitals.memory_bytes(), 0
    for number in range(MESSAGES):
        payload = b"%08d" % number + bytes(PAYLOAD)
        publisher.publish("flood", payload, qos=published, timeout=10)
        if number % 100 == 0:
            bystander.served()
            peak = max(peak, vitals.memory_bytes() - before)
    publisher.ping()
    peak = max(peak, vitals.memory_bytes() - before)
    bystander.served()
    # To each other shard, to the publisher's home and to the sockets of readers elsewhere.
    lanes = shards + 1 if shards > 1 else 0
    assert peak < READERS * READER_BYTES + lanes * LANE_BYTES + REST_BYTES, f"{peak / MIB:.1f} MiB"
    vitals.expect_idle()
    numbers.read(2.5)
    print(f"{peak / MIB:.1f} MiB more, slowest round trip {bystander.slowest:.3f} s, dropped {numbers.dropped()}")
    got = sum(count_messages(reader) for reader in readers)
    numbers.expect(publish_messages_received=MESSAGES + bystander.count)
    # The honest client was served once before there was anybody to read everything.
    published_to = READERS * (MESSAGES + bystander.count - 1)
    dropped = numbers.dropped()
    # A QoS 0 message that finds the way to another shard full is counted once for all its readers there.
    handed_off = dropped.pop("mesh", 0)
    lost = sum(dropped.values())
    assert got + lost + handed_off <= published_to <= got + lost + handed_off * READERS
    assert not handed_off or published == 0


def count_messages(reader):
    """Reads and acknowledges all there is, until the broker answers a ping that stands behind it."""
    count = 0
    while True:
        reader.send(mqtt.PINGREQ)
        before = count
        while (found := reader.receive()).kind != "PINGRESP":
            reader.answer(found)
            count += 1
        if count == before:
            reader.drop()
            return count
