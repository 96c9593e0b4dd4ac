"""A subscriber that is away misses nothing: clean_session=False and QoS 1."""

import os
import threading

import paho.mqtt.client as mqtt

HOST, PORT = os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"])
subscribed, done = threading.Event(), threading.Event()


def on_connect(client, userdata, flags, rc):
    print("session present:", flags["session present"])
    if not flags["session present"]:
        client.subscribe("news/#", qos=1)


def on_message(client, userdata, msg):
    print(msg.payload.decode())
    if msg.payload == b"3":
        done.set()


first = mqtt.Client("reader", clean_session=False)
first.on_connect = on_connect
first.on_subscribe = lambda *args: subscribed.set()
first.connect(HOST, PORT)
first.loop_start()
assert subscribed.wait(5)
first.disconnect()
first.loop_stop()

writer = mqtt.Client("writer")
writer.connect(HOST, PORT)
writer.loop_start()
for number in "123":
    info = writer.publish("news/today", number, qos=1)
    info.wait_for_publish()
    assert info.is_published()
writer.disconnect()
writer.loop_stop()

second = mqtt.Client("reader", clean_session=False)
second.on_connect = on_connect
second.on_message = on_message
second.connect(HOST, PORT)
second.loop_start()
assert done.wait(5)
second.disconnect()
second.loop_stop()
