"""The fixtures for pytest, each in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ringmq import _topics

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(folder: Path, tests: str, *options: str) -> tuple[int, str]:
    """Runs these tests; the exit code and what was said."""
    (folder / "test_it.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-p", "pytest_ringmq", "-p", "no:cacheprovider", "-q", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_each_test_has_a_broker_that_is_as_good_as_new(tmp_path: Path) -> None:
    code, said = run(tmp_path, """
import pytest, ringmq

@pytest.mark.parametrize("number", range(5))
def test_one(mqtt_broker, mqtt_client, capmqtt, number):
    assert list(mqtt_broker.retained()) == []
    assert len(mqtt_broker.sessions) == 1
    mqtt_client.publish("a/b", str(number), qos=1, retain=True).wait()
    assert capmqtt.wait_for("a/+", payload=str(number)).topic == "a/b"
    assert [record[:2] for record in capmqtt.records] == [("a/b", str(number).encode())]
    kept = ringmq.Client(mqtt_broker.url, client_id="kept", session_expiry_interval=1000, reconnect=False)
    kept.connect()

def test_the_same_broker(mqtt_broker):
    test_the_same_broker.url = mqtt_broker.url

def test_the_same_broker_again(mqtt_broker):
    assert mqtt_broker.url == test_the_same_broker.url
""")
    assert code == 0, said
    assert "7 passed" in said


def test_messages_and_records_are_those_of_pytest_mqtt(tmp_path: Path) -> None:
    code, said = run(tmp_path, """
import dataclasses, pytest, socket

@dataclasses.dataclass
class MqttMessage:
    topic: str
    payload: object
    userdata: object

@pytest.mark.capmqtt_decode_utf8
def test_text(mosquitto, capmqtt):
    host, port = mosquitto
    socket.create_connection((host, int(port))).close()
    capmqtt.publish(topic="foo", payload="bar")
    capmqtt.publish(topic="foo", payload=42.5)
    assert capmqtt.messages == [MqttMessage("foo", "bar", None), MqttMessage("foo", "42.5", None)]
    assert capmqtt.records == [("foo", "bar", None), ("foo", "42.5", None)]

def test_bytes(capmqtt):
    capmqtt.publish(topic="foo", payload="bar")
    assert capmqtt.messages == [MqttMessage("foo", b"bar", None)]
    assert capmqtt.messages != [MqttMessage("foo", b"other", None)]
""")
    assert code == 0, said


def test_a_marker_makes_a_broker_of_its_own(tmp_path: Path) -> None:
    code, said = run(tmp_path, """
import pytest, ringmq

@pytest.mark.ringmq(users={"anna": "secret"}, maximum_qos=1)
def test_users(mqtt_broker, mqtt_client):
    assert mqtt_broker.clients[mqtt_client.client_id].username == "anna"
    assert mqtt_client.subscribe("t", qos=2) == [1]
    with pytest.raises(ringmq.ConnectError) as refused, ringmq.Client(mqtt_broker.url):
        pass
    assert refused.value.reason is ringmq.ReasonCode.BAD_USER_NAME_OR_PASSWORD or refused.value.reason == 0x87
""")
    assert code == 0, said


def test_a_message_that_a_fault_has_lost_does_not_hold_up_the_end(tmp_path: Path) -> None:
    code, said = run(tmp_path, """
import ringmq

def test_lost(mqtt_broker, mqtt_client, capmqtt):
    with mqtt_broker.faults.drop(ringmq.PacketType.PUBACK) as lost:
        mqtt_client.publish("t", "x", qos=1)
        capmqtt.wait_for("t")
    assert lost.hits == 1

def test_next(mqtt_broker):
    assert not mqtt_broker.clients
""")
    assert code == 0, said


def test_tls_with_a_certificate_of_the_run(tmp_path: Path) -> None:
    code, said = run(tmp_path, """
import socket, ssl
import pytest, ringmq

@pytest.mark.ringmq(tls=True, users={"anna": "secret"}, maximum_qos=1)
def test_users(mqtt_broker, mqtt_client, capmqtt, mqtt_ca_file):
    assert mqtt_broker.urls == [mqtt_broker.url] and mqtt_broker.url.startswith("mqtts://127.0.0.1:")
    assert mqtt_broker.clients[mqtt_client.client_id].username == "anna"
    mqtt_client.publish("t", "x", qos=1).wait()
    capmqtt.wait_for("t", payload="x")
    with ringmq.Client(f"mqtts://anna:secret@localhost:{mqtt_broker.port}", ca_file=mqtt_ca_file):
        pass
    for wrong in ({"ca_file": None}, {"ca_file": mqtt_ca_file, "tls_server_name": "example.org"}):
        with pytest.raises(ringmq.ConnectError):
            ringmq.Client(mqtt_broker.url, username="anna", password="secret", **wrong).connect()

@pytest.mark.ringmq(tls=True, listen="tcp://127.0.0.1:0")
def test_a_plain_listener_too(mqtt_broker, mqtt_client):
    assert [url.split(":")[0] for url in mqtt_broker.urls] == ["mqtts", "mqtt"]

@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
@pytest.mark.ringmq(tls=True)
def test_openssl_at_its_strictest(mqtt_broker, mqtt_ca_file, name):
    context = ssl.create_default_context(cafile=mqtt_ca_file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with socket.create_connection(("127.0.0.1", mqtt_broker.port)) as plain:
        context.wrap_socket(plain, server_hostname=name).close()
""")
    assert code == 0, said


def test_what_did_not_come_is_said_with_what_came_and_the_packets(tmp_path: Path) -> None:
    code, said = run(tmp_path, """
def test_it(mqtt_client, capmqtt):
    mqtt_client.publish("a/1", "one", qos=1).wait()
    capmqtt.wait_for("a/2", payload="two", timeout=0.1)
""")
    assert code == 1, said
    assert "no message on a/2 that says 'two' within 0.1 s" in said
    assert "a/1: b'one'" in said
    assert "MQTT packets of the broker" in said
    assert "PUBLISH" in said and "CONNECT" in said


def test_nothing_is_imported_until_a_fixture_is_used(tmp_path: Path) -> None:
    code, said = run(tmp_path, """
import sys

def test_it():
    assert "ringmq" not in sys.modules

def test_with(mqtt_broker):
    assert "ringmq" in sys.modules
""")
    assert code == 0, said


def test_with_many_workers(tmp_path: Path) -> None:
    code, said = run(tmp_path, """
import pytest

@pytest.mark.parametrize("number", range(40))
def test_it(mqtt_client, capmqtt, number):
    mqtt_client.publish(f"t/{number}", "x", qos=1).wait()
    assert [message.topic for message in capmqtt.messages] == [f"t/{number}"]
""", "-n", "3")
    assert code == 0, said
    assert "40 passed" in said


@pytest.mark.parametrize(
    ("filter", "topic", "matches"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a", "a/b", False),
        ("+", "", True),
    ],
)
def test_filters(filter: str, topic: str, matches: bool) -> None:
    assert _topics.matches(filter, topic) is matches


def test_the_example_of_a_device(tmp_path: Path) -> None:
    example = str(EXAMPLES / "test_device.py")
    command = [sys.executable, "-m", "pytest", "-p", "pytest_ringmq", "-p", "no:cacheprovider", "-q", example]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
