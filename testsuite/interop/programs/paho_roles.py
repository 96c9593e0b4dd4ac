"""paho-mqtt in the three roles of interop/clients.py: version 1.6, or 2 with either callback API."""

import sys
import time

import paho.mqtt.client as mqtt

STYLE, ROLE, HOST, PORT, VERSION, CLIENT_ID, *REST = sys.argv[1:]
PORT, VERSION = int(PORT), int(VERSION)


def make_client(clean):
    """A client as each generation makes one."""
    options = {"client_id": CLIENT_ID, "protocol": VERSION}
    if VERSION != mqtt.MQTTv5:
        options["clean_session"] = clean
    if STYLE == "callbacks-1":
        return mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, **options)
    if STYLE == "callbacks-2":
        return mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, **options)
    return mqtt.Client(**options)


def connect(client, clean):
    """Connects; a session that is to be kept needs an expiry interval in version 5."""
    if VERSION != mqtt.MQTTv5:
        client.connect(HOST, PORT, 60)
        return
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 0 if clean else 300
    client.connect(HOST, PORT, 60, clean_start=clean, properties=properties)


def check(code):
    """The result of a connect, whatever type it has."""
    failed = code.is_failure if hasattr(code, "is_failure") else code != 0
    if failed:
        print(f"refused: {code}", flush=True)
        sys.exit(1)


def subscribe_role(clean, count, name, qos):
    """Prints messages until there were enough."""
    client = make_client(clean)
    left = [int(count)]

    def on_connect(client, userdata, flags, code, properties=None):
        check(code)
        client.subscribe(name, int(qos))

    def on_subscribe(*_):
        print("ready", flush=True)

    def on_message(client, userdata, message):
        print(f"MSG {message.topic} {message.qos} {int(message.retain)} {message.payload.decode()}", flush=True)
        left[0] -= 1

    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    connect(client, clean)
    # paho acknowledges after on_message, in the same loop() call, and its disconnect() closes the socket under a
    # loop that runs in another thread: one thread does both, one after the other.
    while left[0]:
        code = client.loop(1.0)
        if code != mqtt.MQTT_ERR_SUCCESS:
            print(f"loop: {mqtt.error_string(code)}", flush=True)
            sys.exit(1)
    client.disconnect()
    while client.loop(1.0) == mqtt.MQTT_ERR_SUCCESS:
        pass


def publish_role(topic, qos, retain, *payloads):
    """Publishes and waits until each is done."""
    client = make_client(True)
    connect(client, True)
    client.loop_start()
    for payload in payloads:
        client.publish(topic, payload, int(qos), retain == "1").wait_for_publish(5)
    client.disconnect()
    client.loop_stop()


def will_role(topic, qos, retain, payload):
    """Connects with a will and waits to be killed."""
    client = make_client(True)
    client.will_set(topic, payload, int(qos), retain == "1")

    def on_connect(client, userdata, flags, code, properties=None):
        check(code)
        print("ready", flush=True)

    client.on_connect = on_connect
    connect(client, True)
    client.loop_start()
    time.sleep(60)


if ROLE == "sub":
    subscribe_role(REST[0] == "1", *REST[1:])
elif ROLE == "pub":
    publish_role(*REST)
else:
    will_role(*REST)
