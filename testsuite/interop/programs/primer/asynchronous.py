"""aiomqtt as its documentation begins: one task listens, one publishes."""

import asyncio
import os

import aiomqtt

HOST, PORT = os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"])


async def main():
    async with aiomqtt.Client(HOST, PORT) as client:
        await client.subscribe("temperature/#")
        await client.publish("temperature/outside", payload=28.4)
        async for message in client.messages:
            print(message.topic, message.payload.decode())
            break


asyncio.run(main())
