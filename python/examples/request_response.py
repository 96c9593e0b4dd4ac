"""Request and response as MQTT 5.0 means them (4.10): a response topic and correlation data."""

from __future__ import annotations

import asyncio

from ringmq import aio


async def serve(url: str, ready: asyncio.Event) -> None:
    """Answers requests for squares until it is cancelled."""
    async with aio.Client(url, client_id="calculator") as client:
        await client.subscribe("calculator/square", qos=1)
        ready.set()
        async for request in client:
            if request.response_topic is None:
                continue
            answer = str(int(request.text) ** 2)
            await client.publish(
                request.response_topic, answer, qos=1, correlation_data=request.correlation_data
            )


async def square(client: aio.Client, number: int) -> int:
    """Asks and waits for the answer to this question."""
    mine = str(number).encode()
    await client.publish(
        "calculator/square", str(number), qos=1, response_topic="answers/me", correlation_data=mine
    )
    while True:
        answer = await client.get(timeout=5)
        if answer.correlation_data == mine:
            return int(answer.text)


async def main() -> None:
    """Both sides and the broker."""
    async with aio.Broker() as broker, aio.Client(broker.url, client_id="me") as client:
        ready = asyncio.Event()
        server = asyncio.create_task(serve(broker.url, ready))
        await ready.wait()
        await client.subscribe("answers/me", qos=1)
        for number in (7, 12):
            print(number, "squared is", await square(client, number))
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
