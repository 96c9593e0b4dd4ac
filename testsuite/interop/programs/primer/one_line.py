"""The helpers for one message: publish.single, publish.multiple and subscribe.simple."""

import os

import paho.mqtt.publish as publish
import paho.mqtt.subscribe as subscribe

HOST, PORT = os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"])
publish.single("one/kept", "single", qos=1, retain=True, hostname=HOST, port=PORT)
publish.multiple([("one/more", "multiple", 2, True), {"topic": "one/most", "payload": "dictionary", "qos": 1,
                                                            "retain": True}], hostname=HOST, port=PORT)
for message in sorted(subscribe.simple("one/#", qos=1, msg_count=3, hostname=HOST, port=PORT),
                      key=lambda found: found.topic):
    print(message.topic, message.payload.decode(), message.qos, message.retain)
