"""A lamp whose retained state says offline when it dies."""

import os
import time

import paho.mqtt.client as mqtt

HOST, PORT = os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"])

lamp = mqtt.Client("lamp")
lamp.will_set("lamp/state", "offline", qos=1, retain=True)
lamp.connect(HOST, PORT)
lamp.loop_start()
lamp.publish("lamp/state", "online", qos=1, retain=True).wait_for_publish()

seen = []


def on_connect(client, userdata, flags, rc):
    client.subscribe("lamp/state", qos=1)


def on_message(client, userdata, msg):
    seen.append(msg.payload.decode())
    print(f"{msg.payload.decode()} retained={msg.retain}", flush=True)


watcher = mqtt.Client("watcher")
watcher.on_connect = on_connect
watcher.on_message = on_message
watcher.connect(HOST, PORT)
watcher.loop_start()
while len(seen) < 1:
    time.sleep(0.01)
lamp.loop_stop()
lamp._sock_close()  # the lamp loses its power: no DISCONNECT
while len(seen) < 2:
    time.sleep(0.01)
watcher.disconnect()
watcher.loop_stop()

late = mqtt.Client("late")
late.on_connect = on_connect
late.on_message = on_message
late.connect(HOST, PORT)
late.loop_start()
while len(seen) < 3:
    time.sleep(0.01)
late.disconnect()
late.loop_stop()
