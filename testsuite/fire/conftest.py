"""Fixtures of the attacks: the kernel's limit that crowds need, and the honest client beside each of them."""

import broker_process
import hostile
import pytest


@pytest.fixture(autouse=True)
def descriptor_limit():
    """Crowds fit into the descriptor limit; the broker that a test starts inherits it."""
    hostile.raise_descriptor_limit()


@pytest.fixture
def own_ids(shard_names):
    """ClientIDs that no test takes, with one shard after the other as their homes."""
    ids = broker_process.Ids(shard_names, spread=True)
    for queue in ids.queues:
        # From the other end than a test takes its own.
        queue.reverse()
    return ids


@pytest.fixture
def honest(peers, own_ids):
    """`honest(port)`: clients that an attack must not disturb, with different shards as their homes."""
    return lambda port: hostile.Honest(peers, port, own_ids)


@pytest.fixture
def watcher(peers, own_ids):
    """`watcher(port)`: the broker's own counts."""
    return lambda port: hostile.Numbers(peers, port, own_ids)
