"""Every client by name, in every version it speaks: all QoS levels, retained, wills, kept sessions."""

import pytest
from clients import CLIENTS

ROWS = [pytest.param(client, version, id=f"{client.name}-v{version}") for client in CLIENTS
        for version in client.versions]




def pytest_generate_tests(metafunc):
    """One row per client and version."""
    if "client" in metafunc.fixturenames:
        metafunc.parametrize(("client", "version"), ROWS)


def test_all_qos_levels(broker, ids, start, client, version):
    """The client publishes to itself at QoS 0, 1 and 2, subscribed at 2 [MQTT-3.8.4-8] [MQTT-4.3.1-1]
    [MQTT-4.3.2-1] [MQTT-4.3.3-1].

    Clauses: [MQTT-7.0.0-2 of 3.1.1]."""
    receiver = start(client, "sub", broker.port, version, ids.one(), count=6, filter_="home/+/temperature", qos=2)
    for qos in range(3):
        publisher = start(client, "pub", broker.port, version, ids.one(), topic="home/kitchen/temperature", qos=qos,
                          payloads=[f"{qos}a", f"{qos}b"])
        publisher.finish()
        # Publishers on different shards have no order among each other: the next one waits for this one.
        receiver.wait_for(f"^MSG .* {qos}b$")
    assert receiver.messages() == [("home/kitchen/temperature", qos, False, f"{qos}{letter}")
                                   for qos in range(3) for letter in "ab"]


def test_retained(broker, ids, start, client, version):
    """A retained message waits for the subscriber [MQTT-3.3.1-6] and comes with the flag [MQTT-3.3.1-8]."""
    start(client, "pub", broker.port, version, ids.one(), topic="state/lamp", qos=1, retain=True,
          payloads=["off", "on"]).finish()
    receiver = start(client, "sub", broker.port, version, ids.one(), count=1, filter_="state/#", qos=1)
    assert receiver.messages() == [("state/lamp", 1, True, "on")]


def test_will(broker, ids, start, client, version):
    """A client that is killed has its will published [MQTT-3.1.2-8]."""
    receiver = start(client, "sub", broker.port, version, ids.one(), count=1, filter_="wills/#", qos=1)
    mortal = start(client, "will", broker.port, version, ids.one(), topic="wills/it", qos=1, payloads=["died"])
    mortal.kill()
    assert receiver.messages() == [("wills/it", 1, False, "died")]


def test_kept_session(broker, ids, start, client, version):
    """Messages published while the client was away are there when it comes back [MQTT-3.1.2-5]."""
    name = ids.one()
    first = start(client, "sub", broker.port, version, name, count=1, filter_="mail/#", qos=1, clean=False)
    start(client, "pub", broker.port, version, ids.one(), topic="mail/1", qos=1, payloads=["one"]).finish()
    assert [found[3] for found in first.messages()] == ["one"]
    start(client, "pub", broker.port, version, ids.one(), topic="mail/2", qos=1, payloads=["two", "three"]).finish()
    second = start(client, "sub", broker.port, version, name, count=2, filter_="mail/#", qos=1, clean=False,
                   wait=False)
    assert [found[3] for found in second.messages()] == ["two", "three"]
