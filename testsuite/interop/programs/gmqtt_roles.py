"""gmqtt in the three roles of interop/clients.py."""

import asyncio
import sys

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

ROLE, HOST, PORT, VERSION, CLIENT_ID, *REST = sys.argv[1:]
PROTOCOL = MQTTv50 if VERSION == "5" else MQTTv311


def make_client(clean, will=None):
    """A client; gmqtt takes connect properties as keyword arguments."""
    properties = {"session_expiry_interval": 300} if VERSION == "5" and not clean else {}
    return gmqtt.Client(CLIENT_ID, clean_session=clean, will_message=will, **properties)


async def subscribe_role(clean, count, name, qos):
    """Prints messages until there were enough."""
    client, done, left = make_client(clean == "1"), asyncio.Event(), [int(count)]

    async def on_message(client, topic, payload, level, properties):
        print(f"MSG {topic} {level} {properties['retain']} {payload.decode()}", flush=True)
        left[0] -= 1
        if not left[0]:
            done.set()
        return 0

    def on_subscribe(*_):
        print("ready", flush=True)

    client.on_message, client.on_subscribe = on_message, on_subscribe
    await client.connect(HOST, int(PORT), version=PROTOCOL)
    client.subscribe(name, qos=int(qos))
    await done.wait()
    await asyncio.sleep(0.05)  # the last acknowledgement
    await client.disconnect()


async def publish_role(topic, qos, retain, *payloads):
    """Publishes; what is not acknowledged stays in the client's storage."""
    client = make_client(True)
    await client.connect(HOST, int(PORT), version=PROTOCOL)
    for payload in payloads:
        client.publish(topic, payload, qos=int(qos), retain=retain == "1")
    await asyncio.wait_for(client._persistent_storage.wait_empty(), 5)
    await client.disconnect()


async def will_role(topic, qos, retain, payload):
    """Connects with a will and waits to be killed."""
    client = make_client(True, gmqtt.Message(topic, payload, qos=int(qos), retain=retain == "1"))
    await client.connect(HOST, int(PORT), version=PROTOCOL)
    print("ready", flush=True)
    await asyncio.sleep(60)


asyncio.run({"sub": subscribe_role, "pub": publish_role, "will": will_role}[ROLE](*REST))
