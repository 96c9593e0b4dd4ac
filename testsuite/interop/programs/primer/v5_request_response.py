"""MQTT 5: ask and answer with response topic and correlation data."""

import os
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT = os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"])
serving, asking, answered = threading.Event(), threading.Event(), threading.Event()


def serve(client, userdata, msg):
    answer = Properties(PacketTypes.PUBLISH)
    answer.CorrelationData = msg.properties.CorrelationData
    answer.UserProperty = ("unit", "celsius")
    client.publish(msg.properties.ResponseTopic, "21.5", qos=1, properties=answer)


server = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "server", protocol=mqtt.MQTTv5)
server.on_connect = lambda client, *rest: client.subscribe("temperature/get", qos=1)
server.on_subscribe = lambda *rest: serving.set()
server.on_message = serve
server.connect(HOST, PORT)
server.loop_start()
assert serving.wait(5)


def on_answer(client, userdata, msg):
    print(msg.payload.decode(), msg.properties.CorrelationData.decode(), msg.properties.UserProperty)
    answered.set()


asker = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "asker", protocol=mqtt.MQTTv5)
asker.on_connect = lambda client, *rest: client.subscribe("answers/asker", qos=1)
asker.on_subscribe = lambda *rest: asking.set()
asker.on_message = on_answer
asker.connect(HOST, PORT)
asker.loop_start()
assert asking.wait(5)
question = Properties(PacketTypes.PUBLISH)
question.ResponseTopic = "answers/asker"
question.CorrelationData = b"42"
asker.publish("temperature/get", "?", qos=1, properties=question)
assert answered.wait(5)
for client in (asker, server):
    client.disconnect()
    client.loop_stop()
