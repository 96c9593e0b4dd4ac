"""Tests of a device's program, with pytest and the package's fixtures: pytest test_device.py

Each test has a broker of its own on a port of its own, and none sleeps.
"""

from __future__ import annotations

import threading

import ringmq
from pytest_ringmq import CapturedMessages


def thermostat(url: str) -> None:
    """The program under test: it heats when it is cold, until it is told to stop."""
    with ringmq.Client(url, client_id="thermostat") as client:
        client.subscribe(["celsius", "stop"], qos=1)
        client.publish("thermostat/ready", qos=1, retain=True)
        for message in client:
            if message.topic == "stop":
                return
            client.publish("heating", "on" if float(message.text) < 20 else "off", qos=1)


def test_it_heats_when_it_is_cold(mqtt_broker: ringmq.Broker, capmqtt: CapturedMessages) -> None:
    """From its messages alone."""
    device = threading.Thread(target=thermostat, args=(mqtt_broker.url,))
    device.start()
    capmqtt.wait_for("thermostat/ready")
    for celsius, heating in (("18.5", "on"), ("21", "off")):
        capmqtt.publish(topic="celsius", payload=celsius)
        capmqtt.wait_for("heating", payload=heating)
    assert list(mqtt_broker.clients) == ["thermostat"]
    capmqtt.publish(topic="stop", payload="")
    device.join(timeout=5)
    assert not device.is_alive()
