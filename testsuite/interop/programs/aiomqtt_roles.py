"""aiomqtt and its predecessor asyncio-mqtt in the three roles of interop/clients.py."""

import asyncio
import sys

import paho.mqtt.client as paho

try:
    import aiomqtt

    NEW = True
except ImportError:
    import asyncio_mqtt as aiomqtt

    NEW = False

ROLE, HOST, PORT, VERSION, CLIENT_ID, *REST = sys.argv[1:]
VERSION = int(VERSION)


def make_client(clean, will=None):
    """A client of either library; they differ in two names."""
    options = {"port": int(PORT), "will": will, "protocol": aiomqtt.ProtocolVersion(VERSION)}
    options["identifier" if NEW else "client_id"] = CLIENT_ID
    if VERSION == paho.MQTTv5:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0 if clean else 300
        options["properties"] = properties
        options["clean_start"] = clean
    else:
        options["clean_session"] = clean
    return aiomqtt.Client(HOST, **options)


async def next_messages(client, count):
    """Prints so many messages."""

    async def show(messages):
        left = count
        async for message in messages:
            print(f"MSG {message.topic} {message.qos} {int(message.retain)} {message.payload.decode()}", flush=True)
            left -= 1
            if not left:
                return

    if NEW:
        await show(client.messages)
    else:
        await show(client.listener)


async def subscribe_role(clean, count, name, qos):
    """Prints messages until there were enough."""
    client = make_client(clean == "1")
    if NEW:
        async with client:
            await client.subscribe(name, qos=int(qos))
            print("ready", flush=True)
            await next_messages(client, int(count))
        return
    # asyncio-mqtt loses what comes before messages() is entered: with a kept session that is before CONNACK.
    async with client.messages() as messages, client:
        client.listener = messages
        await client.subscribe(name, qos=int(qos))
        print("ready", flush=True)
        await next_messages(client, int(count))


async def publish_role(topic, qos, retain, *payloads):
    """Publishes; each call returns when the flow is done."""
    async with make_client(True) as client:
        for payload in payloads:
            await client.publish(topic, payload, qos=int(qos), retain=retain == "1")


async def will_role(topic, qos, retain, payload):
    """Connects with a will and waits to be killed."""
    async with make_client(True, aiomqtt.Will(topic, payload, int(qos), retain == "1")):
        print("ready", flush=True)
        await asyncio.sleep(60)


asyncio.run({"sub": subscribe_role, "pub": publish_role, "will": will_role}[ROLE](*REST))
