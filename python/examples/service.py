"""An asyncio service with a broker in it: devices publish over MQTT, everything else asks over HTTP.

python service.py [SECONDS]

GET /devices          the last reading of each device, as JSON
POST /devices/NAME    the body becomes a command for the device
"""

from __future__ import annotations

import asyncio
import json
import sys

import ringmq
from ringmq import aio


class Service:
    """What the service knows."""

    def __init__(self, broker: aio.Broker) -> None:
        """Nothing yet."""
        self.broker = broker
        self.readings: dict[str, str] = {}

    async def follow(self, readings: aio.Subscription) -> None:
        """Notes what devices say, without a socket in between."""
        async for message in readings:
            self.readings[message.topic.split("/")[1]] = message.text

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One HTTP request. A real service has a framework here."""
        method, path, *_ = (await reader.readline()).decode().split()
        length = 0
        while (line := (await reader.readline()).decode().strip().lower()) != "":
            name, _, value = line.partition(":")
            length = int(value) if name == "content-length" else length
        body = await reader.readexactly(length)
        if method == "GET" and path == "/devices":
            status, text = "200 OK", json.dumps(self.readings)
        elif method == "POST" and path.startswith("/devices/"):
            sent = await self.broker.publish(f"command/{path[9:]}", body, qos=1)
            status, text = ("202 Accepted", "") if sent.matched else ("404 Not Found", "no such device")
        else:
            status, text = "404 Not Found", ""
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()


async def main() -> None:
    """Runs it."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else None
    async with aio.Broker(listen=["tcp://127.0.0.1:0", "ws://127.0.0.1:0"]) as broker:
        service = Service(broker)
        readings = broker.subscribe("reading/+", qos=1, maxlen=10_000)
        following = asyncio.create_task(service.follow(readings))
        http = await asyncio.start_server(service.answer, "127.0.0.1", 0)
        host, port = http.sockets[0].getsockname()[:2]
        print(f"MQTT at {', '.join(broker.urls)}; HTTP at http://{host}:{port}", flush=True)
        with_timeout = asyncio.timeout(seconds)
        try:
            async with with_timeout, http:
                await http.serve_forever()
        except TimeoutError:
            following.cancel()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (KeyboardInterrupt, ringmq.StoppedError):
        pass
