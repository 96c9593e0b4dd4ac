"""The rings between shards full in all directions at once, and the clients behind them not reading."""

import pytest
from hostile import MIB, Feeder, Vitals, run_feeders

KEPT = {"session_expiry_interval": 60}
MESSAGES = 80
PAYLOAD = 200_000
QUEUE_BYTES = MIB
# Per session: what is queued, what is in flight and what is held, each up to the bound and one message over it;
# the largest packet that is being read; and 4 MiB on the way to each other shard.
SESSION_BYTES = 3 * (QUEUE_BYTES + PAYLOAD) + 2 * MIB
SHARD_BYTES = 8 * MIB


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("policy", ["drop", "refuse"])
def test_large_payloads_around_all_shards(start_broker, peers, each_shard, honest, watcher, policy, qos):
    """One client at each shard floods both its neighbours and reads nothing. Others are served meanwhile, memory
    stays within its bounds, and when the clients read at last the account is right."""
    broker = start_broker("--queue-bytes-max", QUEUE_BYTES, "--hold-bytes-max", QUEUE_BYTES, "--queue-policy", policy,
                          "--publish-hold", 300, "--sys-interval", 1)
    bystander, vitals, shards = honest(broker.port), Vitals(broker), len(each_shard)
    numbers = watcher(broker.port)
    before = vitals.memory_bytes()
    feeders = [Feeder(peers(broker.port, name, properties=KEPT, receive_buffer_bytes=4096), f"to/{shard}/#", qos)
               for shard, name in enumerate(each_shard)]
    for shard, feeder in enumerate(feeders):
        for step in (1, shards - 1):
            feeder.flood(f"to/{(shard + step) % shards}/{shard}", MESSAGES // 2, PAYLOAD)
    peak = 0
    for _ in range(10):
        for feeder in feeders:
            feeder.write()
        bystander.served()
        peak = max(peak, vitals.memory_bytes() - before)
    total = MESSAGES * shards

    def seen():
        return sum(len(feeder.got) for feeder in feeders)

    def all_there():
        numbers.read(0.001)
        answered = all(len(feeder.answers) == MESSAGES for feeder in feeders)
        return answered and seen() + numbers.value("publish/messages/dropped/queue") == total

    run_feeders(feeders, all_there, timeout=20)
    peak = max(peak, vitals.memory_bytes() - before)
    bystander.served()
    assert peak < shards * (SESSION_BYTES + shards * SHARD_BYTES), f"{peak / MIB:.1f} MiB more than before"
    for feeder in feeders:
        assert [number for number, _ in feeder.answers] == list(range(1, MESSAGES + 1)), "[MQTT-4.6.0-2]"
        for topic in {topic for topic, _ in feeder.got}:
            order = [number for found, number in feeder.got if found == topic]
            assert order == sorted(set(order)), "in order, and none twice"
    refused = sum(1 for feeder in feeders for _, reason in feeder.answers if reason == 0x97)
    assert refused == (total - seen() if policy == "refuse" else 0)
    vitals.expect_idle()
