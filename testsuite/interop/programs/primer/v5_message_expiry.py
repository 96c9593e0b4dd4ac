"""MQTT 5: a message that nobody fetched in time is gone; session expiry keeps the session."""

import os
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

HOST, PORT = os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"])
subscribed, done = threading.Event(), threading.Event()


def session():
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "sleeper", protocol=mqtt.MQTTv5)
    client.on_message = on_message
    client.on_subscribe = lambda *rest: subscribed.set()
    return client


def connect(client):
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 60
    client.connect(HOST, PORT, clean_start=False, properties=properties)
    client.loop_start()


def on_message(client, userdata, msg):
    print(msg.payload.decode(), getattr(msg.properties, "MessageExpiryInterval", 99) < 60)
    if msg.payload == b"long":
        done.set()


first = session()
connect(first)
time.sleep(0.1)
first.subscribe("offer", options=SubscribeOptions(qos=1))
assert subscribed.wait(5)
first.disconnect()
first.loop_stop()

shop = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "shop", protocol=mqtt.MQTTv5)
shop.connect(HOST, PORT)
shop.loop_start()
for payload, seconds in (("short", 1), ("long", 60)):
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = seconds
    shop.publish("offer", payload, qos=1, properties=properties).wait_for_publish(5)
shop.disconnect()
shop.loop_stop()

time.sleep(1.5)
second = session()
connect(second)
assert done.wait(5)
second.disconnect()
second.loop_stop()
