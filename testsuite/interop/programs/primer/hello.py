"""First steps: subscribe in on_connect, publish, print."""

import os

import paho.mqtt.client as mqtt


def on_connect(client, userdata, flags, rc):
    print("Connected with result code " + str(rc))
    client.subscribe("home/+/temperature")
    client.publish("home/kitchen/temperature", "21.5")
    client.publish("home/cellar/humidity", "60")
    client.publish("home/attic/temperature", "17")


def on_message(client, userdata, msg):
    print(msg.topic + " " + str(msg.payload.decode()))
    if msg.topic == "home/attic/temperature":
        client.disconnect()


client = mqtt.Client()
client.on_connect = on_connect
client.on_message = on_message
client.connect(os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"]), 60)
client.loop_forever()
