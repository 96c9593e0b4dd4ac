"""What the tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ringmq


@pytest.fixture(params=["epoll", "uring"])
def broker(request: pytest.FixtureRequest) -> Iterator[ringmq.Broker]:
    """A running broker on each driver."""
    with ringmq.Broker(driver=request.param, shards=2) as broker:
        yield broker
