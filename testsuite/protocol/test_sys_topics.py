"""$SYS/broker/...: names as mosquitto has them, values that are true."""

import pytest

NUMBERS = [
    "clients/connected", "clients/total", "clients/disconnected", "messages/received", "messages/sent",
    "publish/messages/received", "publish/messages/sent", "publish/messages/dropped", "publish/bytes/received",
    "publish/bytes/sent", "bytes/received", "bytes/sent", "subscriptions/count", "retained messages/count",
    "store/messages/count",
]


@pytest.fixture
def sys_broker(start_broker):
    """A broker that publishes its topics every second."""
    return start_broker("--sys-interval", 1)


def test_names_and_numbers(sys_broker, peers, ids):
    """The names a monitoring of mosquitto asks for are there, as retained numbers."""
    peer = peers(sys_broker.port, ids.one())
    peer.subscribe("$SYS/broker/#")
    seen = {}
    wanted = {f"$SYS/broker/{name}" for name in NUMBERS} | {"$SYS/broker/version", "$SYS/broker/uptime"}
    while not wanted <= set(seen):
        found = peer.message(timeout=4)
        seen[found.topic] = found.payload.decode()
    assert all(seen[f"$SYS/broker/{name}"].isdigit() for name in NUMBERS), seen
    assert "ringmq" in seen["$SYS/broker/version"].lower()
    assert seen["$SYS/broker/uptime"].split()[0].isdigit()


def test_values_over_all_shards(sys_broker, peers, ids):
    """Counts are of the whole broker, not of one shard."""
    crowd = [peers(sys_broker.port, name) for name in ids.take(8)]
    watcher = peers(sys_broker.port, ids.one())
    for number, peer in enumerate(crowd):
        peer.subscribe(f"a/{number}", "b")
        peer.publish(f"kept/{number}", b"x", qos=1, retain=True)
    wanted = {"clients/connected": 9, "subscriptions/count": 17, "publish/messages/received": 8}
    kept = "retained messages/count"
    watcher.subscribe("$SYS/broker/#")
    found = {}
    for _ in range(400):
        message = watcher.message(timeout=4)
        found[message.topic.removeprefix("$SYS/broker/")] = message.payload
        if all(found.get(name) == b"%d" % value for name, value in wanted.items()) and int(found.get(kept, 0)) >= 8:
            break
    assert {name: int(found[name]) for name in wanted} == wanted
    assert int(found[kept]) >= 8


def test_not_matched_by_hash(sys_broker, peers, ids):
    """Filters that begin with a wildcard do not see them [MQTT-4.7.2-1].

    Clauses: [MQTT-4.7.2-1 of 3.1.1]."""
    peer = peers(sys_broker.port, ids.one())
    peer.subscribe("#", "+/broker/version", "+/broker/#")
    peer.expect_silence(1.3)


def test_interval_zero_turns_it_off(start_broker, peers, ids):
    """An interval of 0: there are none."""
    peer = peers(start_broker("--sys-interval", 0).port, ids.one())
    peer.subscribe("$SYS/#")
    peer.expect_silence(0.5)


def test_clients_may_not_publish_there(sys_broker, peers, ids):
    """A client's publish to $SYS does not pass for the broker's."""
    peer, publisher = peers(sys_broker.port, ids.one()), peers(sys_broker.port, ids.one(), 4)
    publisher.publish("$SYS/broker/version", b"forged", qos=1, retain=True)
    peer.subscribe("$SYS/broker/version")
    assert peer.message("$SYS/broker/version", timeout=4).payload != b"forged"
