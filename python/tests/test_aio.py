"""Brokers and clients for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

import ringmq
from ringmq import _ringmq, aio


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own, at most 30 s."""

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await coroutine

    asyncio.run(bounded())


def test_broker_and_client_meet_over_tcp_and_web_sockets() -> None:
    async def main() -> None:
        async with aio.Broker(listen=["tcp://127.0.0.1:0", "ws://127.0.0.1:0"]) as broker:
            commands = broker.subscribe("cmd/+", qos=1)
            for url in broker.urls:
                async with aio.Client(url) as client:
                    assert client.state == "connected"
                    assert await client.subscribe("answer/#", qos=1) == [1]
                    assert await client.publish("cmd/go", "now", qos=1) == 0
                    command = await anext(commands)
                    published = await broker.publish("answer/go", command.payload, qos=1, content_type="x")
                    assert published.matched == 1
                    answer = await client.get(timeout=5)
                    assert (answer.text, answer.content_type) == ("now", "x")
                    assert await client.unsubscribe("answer/#") == [0]
        with pytest.raises(StopAsyncIteration):
            await anext(commands)

    run(main())


def test_many_wait_at_once_and_each_gets_its_own() -> None:
    async def main() -> None:
        async with aio.Broker(shards=2) as broker, asyncio.TaskGroup() as tasks:

            async def pair(number: int) -> None:
                async with aio.Client(broker.url) as client:
                    await client.subscribe(f"t/{number}", qos=1)
                    for n in range(20):
                        await asyncio.gather(client.publish(f"t/{number}", str(n), qos=n % 3))
                        assert (await client.get()).text == str(n)

            all_pairs = [tasks.create_task(pair(number)) for number in range(50)]
            await asyncio.gather(*all_pairs)

    run(main())


def test_a_wait_can_be_cancelled_and_loses_nothing() -> None:
    async def main() -> None:
        async with aio.Broker() as broker, broker.subscribe("t") as messages:
            with pytest.raises(TimeoutError):
                await messages.get(timeout=0.05)
            waiting = asyncio.create_task(messages.get())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await broker.publish("t", "x", qos=1)
            assert (await messages.get(timeout=5)).text == "x"

    run(main())


def test_failures_are_raised_where_they_are_awaited() -> None:
    async def main() -> None:
        with pytest.raises(ringmq.ConnectError):
            await aio.Client("mqtt://127.0.0.1:1").connect()
        async with aio.Broker() as broker:
            with pytest.raises(ringmq.PublishError):
                await broker.publish("#")
            async with aio.Client(broker.url, protocol="3.1.1") as client:
                with pytest.raises(ringmq.RequestError):
                    await client.publish("t", content_type="x")
            assert [message async for message in client] == []

    run(main())


def test_a_slow_reader_slows_its_server_down() -> None:
    async def main() -> None:
        async with aio.Broker() as broker:
            options: ringmq.ClientOptions = {"acknowledge": "manual", "receive_maximum": 2}
            async with aio.Client(broker.url, **options) as slow, aio.Client(broker.url) as fast:
                await slow.subscribe("t", qos=1)
                for n in range(10):
                    await fast.publish("t", str(n), qos=1)
                for n in range(10):
                    message = await slow.get()
                    assert message.text == str(n)
                    assert slow.acknowledge(message)

    run(main())


def test_each_loop_has_its_own_waits() -> None:
    for _ in range(3):
        test_a_wait_can_be_cancelled_and_loses_nothing()


def test_a_wait_that_is_given_up_is_forgotten(broker: ringmq.Broker) -> None:
    notifier = _ringmq.Notifier()
    waker = notifier.waker(7)
    with broker.subscribe("t") as messages, ringmq.Client(broker.url) as client:
        client.subscribe("t")
        for _ in range(1000):
            assert messages.poll(waker) is None
            assert client.poll(waker) is None
        broker.publish("t", "x", qos=1)
        assert messages.get().text == client.get().text == "x"
        named: list[int] = []
        until = time.monotonic() + 5
        # Whoever is woken may have the message before the waker has been called.
        while len(named) < 2 and time.monotonic() < until:
            named += notifier.take()
        assert named + notifier.take() == [7, 7]
