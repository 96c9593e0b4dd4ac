"""paho over any door: subscribes, publishes to itself at every QoS and something large, says "done". One argument,
JSON: host, port, path (WebSocket), unix, ca, certificate, key, tls ("1.2"), headers, user, client_id, version, topic,
bytes."""

import json
import os
import ssl
import sys
import threading

import paho.mqtt.client as paho

wanted = json.loads(sys.argv[1])
transport = "unix" if "unix" in wanted else "websockets" if "path" in wanted else "tcp"
client = paho.Client(paho.CallbackAPIVersion.VERSION2, wanted["client_id"], transport=transport,
                     protocol=paho.MQTTProtocolVersion(wanted["version"]))
if "path" in wanted:
    client.ws_set_options(wanted["path"], wanted.get("headers"))
if "ca" in wanted:
    context = ssl.create_default_context(cafile=wanted["ca"])
    if "certificate" in wanted:
        context.load_cert_chain(wanted["certificate"], wanted["key"])
    if "tls" in wanted:
        context.minimum_version = context.maximum_version = ssl.TLSVersion[f"TLSv{wanted['tls'].replace('.', '_')}"]
    client.tls_set_context(context)
if "user" in wanted:
    client.username_pw_set(wanted["user"], "")

payloads = [b"zero", b"one", b"two", bytes(range(256)) * (wanted["bytes"] // 256)]
received, subscribed, complete = [], threading.Event(), threading.Event()


def on_connect(_client, _data, _flags, reason, _properties):
    """Subscribes, or says why not."""
    if reason.is_failure:
        print(f"refused: {reason}", flush=True)
        os._exit(3)
    client.subscribe(wanted["topic"], 2)


def on_message(_client, _data, message):
    """Keeps the payload."""
    received.append(message.payload)
    if len(received) == len(payloads):
        complete.set()


def on_disconnect(_client, _data, _flags, reason, _properties):
    """An end before the end."""
    if not complete.is_set():
        print(f"refused: {reason}", flush=True)
        os._exit(2)


client.on_connect = on_connect
client.on_disconnect = on_disconnect
client.on_subscribe = lambda *_: subscribed.set()
client.on_message = on_message
try:
    client.connect(wanted.get("unix", wanted.get("host")), wanted.get("port", 1883))
except OSError as error:
    print(f"refused: {error}", flush=True)
    sys.exit(2)
client.loop_start()
assert subscribed.wait(10), "no SUBACK"
for number, payload in enumerate(payloads):
    client.publish(wanted["topic"], payload, min(number, 2)).wait_for_publish(10)
assert complete.wait(10), [len(payload) for payload in received]
assert received == payloads
client.disconnect()
client.loop_stop()
print("done", flush=True)
