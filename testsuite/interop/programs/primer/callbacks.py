"""Every callback once, and one message at each QoS through message_callback_add."""

import os
import threading

import paho.mqtt.client as mqtt

finished = threading.Event()


def on_connect(client, userdata, flags, rc):
    print("on_connect", rc)
    client.subscribe([("sensor/a", 0), ("sensor/b", 1), ("sensor/c", 2)])


def on_subscribe(client, userdata, mid, granted_qos):
    print("on_subscribe", granted_qos)
    for qos, name in enumerate("abc"):
        client.publish(f"sensor/{name}", name, qos=qos)


def on_sensor(client, userdata, msg):
    print("on_sensor", msg.topic, msg.qos)
    userdata.append(msg.topic)
    if len(userdata) == 3:
        client.unsubscribe("sensor/a")


def on_unsubscribe(client, userdata, mid):
    print("on_unsubscribe")
    client.disconnect()


def on_disconnect(client, userdata, rc):
    print("on_disconnect", rc)
    finished.set()


client = mqtt.Client(userdata=[])
client.on_connect, client.on_subscribe, client.on_unsubscribe = on_connect, on_subscribe, on_unsubscribe
client.on_disconnect = on_disconnect
client.message_callback_add("sensor/+", on_sensor)
client.connect(os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"]), keepalive=10)
client.loop_forever()
assert finished.is_set()
