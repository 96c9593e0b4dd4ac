"""Every door with clients that we did not write: mosquitto's tools, paho, mqtt.js."""

import pytest
from strangers import mosquitto_exchange, succeeds


@pytest.mark.parametrize("door", ["tcp", "tls", "ws", "wss", "unix"])
def test_paho(served, certificates, door):
    """TLS, WebSocket and Unix sockets by paho."""
    succeeds("paho", served, door, certificates)


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("door", ["tls", "ws", "wss"])
def test_mqttjs(served, certificates, door, version):
    """mqtts, ws and wss by mqtt.js, in every version."""
    old = {"client_id": f"js-{door}-{version}", "topic": f"js/{door}/{version}", "version": version}
    succeeds("mqtt.js", served, door, certificates, **old)


@pytest.mark.parametrize("door", ["tcp", "tls", "unix"])
def test_mosquittos_tools(served, certificates, door, name):
    """--cafile and --unix."""
    mosquitto_exchange(served, door, name, *(["--cafile", certificates.ca] if door == "tls" else []))
