"""MQTT 5: two workers share the jobs of one group."""

import os
import threading
import time

import paho.mqtt.client as mqtt

HOST, PORT = os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"])
jobs, lock = {"one": [], "two": []}, threading.Lock()
workers = []
for name in jobs:
    ready = threading.Event()
    worker = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, userdata=name, protocol=mqtt.MQTTv5)
    worker.on_connect = lambda client, *rest: client.subscribe("$share/workers/jobs/#", qos=1)
    worker.on_subscribe = lambda *rest, ready=ready: ready.set()

    def on_message(client, userdata, msg):
        with lock:
            jobs[userdata].append(msg.payload)

    worker.on_message = on_message
    worker.connect(HOST, PORT)
    worker.loop_start()
    assert ready.wait(5)
    workers.append(worker)

boss = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "boss", protocol=mqtt.MQTTv5)
boss.connect(HOST, PORT)
boss.loop_start()
for number in range(20):
    boss.publish("jobs/print", str(number), qos=1).wait_for_publish(5)
deadline = time.monotonic() + 5
while sum(map(len, jobs.values())) < 20 and time.monotonic() < deadline:
    time.sleep(0.01)
print(sorted(int(job) for done in jobs.values() for job in done) == list(range(20)))
print(all(len(done) >= 3 for done in jobs.values()))
for client in (boss, *workers):
    client.disconnect()
    client.loop_stop()
