"""Clients with the blocking face."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import threading
import time
import types

import pytest

import ringmq
from ringmq import ReasonCode


@pytest.mark.parametrize("protocol", ["3.1", "3.1.1", "5.0"])
def test_every_version_and_quality_publishes_and_receives(broker: ringmq.Broker, protocol: str) -> None:
    with ringmq.Client(broker.url, protocol=protocol, client_id="one") as client:
        assert client.state == "connected"
        assert client.client_id == "one"
        assert client.subscribe({"a": 0, "b": 1, "c/#": 2}) == [0, 1, 2]
        assert client.send_subscribe([("a", 0, False, False, 0)]) == [0]
        for topic, qos in (("a", 0), ("b", 1), ("c/d", 2)):
            client.publish(topic, topic, qos=qos).wait()
            message = client.get()
            assert (message.topic, message.text, message.qos) == (topic, topic, qos)
        assert client.unsubscribe(["a", "b"])[0].is_error is False
        client.publish("a", "x", qos=1).wait()
        with pytest.raises(TimeoutError):
            client.get(timeout=0.05)
    assert client.state == "stopped"
    with pytest.raises(ringmq.StoppedError):
        client.publish("a")


def test_properties_reach_the_other_side(broker: ringmq.Broker) -> None:
    with ringmq.Client(broker.url) as client:
        client.subscribe("t", qos=1, subscription_identifier=9)
        client.publish(
            "t",
            b"1",
            qos=1,
            payload_format_indicator=True,
            message_expiry_interval=100,
            content_type="c",
            response_topic="r",
            correlation_data="d",
            user_properties={"k": "v"},
        )
        message = client.get()
    assert message.payload_format_indicator == 1
    assert message.message_expiry_interval in range(90, 101)
    assert (message.content_type, message.response_topic, message.correlation_data) == ("c", "r", b"d")
    assert message.user_properties == [("k", "v")]
    assert message.subscription_identifiers == [9]


def test_what_5_0_has_is_refused_before(broker: ringmq.Broker) -> None:
    with ringmq.Client(broker.url, protocol="3.1.1") as client, pytest.raises(ringmq.RequestError, match=r"5\.0"):
        client.publish("t", content_type="x")


def test_nobody_matches_and_that_is_an_answer(broker: ringmq.Broker) -> None:
    with ringmq.Client(broker.url) as client:
        receipt = client.publish("nobody", qos=1)
        assert receipt.wait() == ReasonCode.NO_MATCHING_SUBSCRIBERS
        assert receipt.done


def test_a_thousand_at_one_go_in_order(broker: ringmq.Broker) -> None:
    with ringmq.Client(broker.url) as client:
        client.subscribe("n", qos=1)
        client.publish_all([("n", str(n)) for n in range(1000)], qos=1)
        read: list[str] = []
        while len(read) < 1000:
            read += [message.text for message in client.get_many(300)]
    assert read == [str(n) for n in range(1000)]


def test_messages_and_events_by_callback(broker: ringmq.Broker) -> None:
    told: list[object] = []
    arrived = threading.Event()

    def on_message(client: ringmq.Client, message: ringmq.Message) -> None:
        told.append(message.text)
        if message.text == "first":
            client.publish("t", "second", qos=1)
            raise RuntimeError("is logged and does no harm")
        arrived.set()

    client = ringmq.Client(
        broker.url, on_message=on_message, on_event=lambda _, event: told.append(type(event).__name__)
    )
    with client:
        client.subscribe("t")
        client.publish("t", "first", qos=1)
        assert arrived.wait(5)
    assert told == ["Connected", "first", "second", "Stopped"]


def test_the_will_is_published_when_the_client_just_goes(broker: ringmq.Broker) -> None:
    with broker.subscribe("wills/#", qos=1) as wills:
        will = ringmq.Will(topic="wills/a", payload="gone", qos=1, user_properties=[("a", "b")])
        with ringmq.Client(broker.url, will=will) as client:
            client.disconnect(reason=4)
        message = wills.get()
        assert (message.text, message.qos, message.user_properties) == ("gone", 1, [("a", "b")])
        with ringmq.Client(broker.url, will=will):
            pass
        with pytest.raises(TimeoutError):
            wills.get(timeout=0.05)


def test_a_message_is_acknowledged_by_hand(broker: ringmq.Broker) -> None:
    options: ringmq.ClientOptions = {"client_id": "m", "clean_start": False, "session_expiry_interval": 60}
    by_hand: ringmq.ClientOptions = {**options, "acknowledge": "manual", "receive_maximum": 1}
    with ringmq.Client(broker.url, **by_hand) as client:
        client.subscribe("t", qos=1)
        for payload in ("one", "two"):
            client.publish("t", payload, qos=1)
        first = client.get()
        assert first.text == "one"
        with pytest.raises(TimeoutError):
            client.get(timeout=0.05)
        assert client.acknowledge(first)
        assert client.get().text == "two"
    with ringmq.Client(broker.url, **options) as client:
        assert client.session_present
        again = client.get()
        assert (again.text, again.dup) == ("two", True)


def test_it_connects_again_and_goes_on() -> None:
    broker = ringmq.Broker()
    broker.start()
    port = broker.port
    with ringmq.Client(broker.url, reconnect=(0.05, 0.2)) as client:
        assert isinstance(client.next_event(), ringmq.Connected)
        client.subscribe("t", qos=1)
        broker.stop()
        assert isinstance(client.next_event(), ringmq.Disconnected)
        receipt = client.publish("t", "kept", qos=1)
        with ringmq.Broker(port=port):
            receipt.wait()
            assert client.get().text == "kept"


def test_a_server_that_is_not_there_or_says_no(tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(ringmq.Timeout):
            ringmq.Client(f"mqtt://127.0.0.1:{port}").connect(timeout=0.2)
    with pytest.raises(ringmq.ConnectError) as gone:
        ringmq.Client(f"mqtt://127.0.0.1:{port}").connect()
    assert isinstance(gone.value, ConnectionError)
    assert gone.value.temporary
    users = tmp_path / "users"
    subprocess.run(["python3", "-m", "ringmq", "passwd", "-c", "-b", str(users), "anna", "secret"], check=True)
    with ringmq.Broker(password_file=users) as broker:
        with ringmq.Client(broker.url, username="anna", password="secret") as client:
            assert client.state == "connected"
        with pytest.raises(ringmq.ConnectError) as refused:
            ringmq.Client(broker.url, username="anna", password="wrong").connect()
        assert refused.value.reason is ReasonCode.BAD_USER_NAME_OR_PASSWORD
        assert not refused.value.temporary


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"protocol": "4.0"}, "protocol"),
        ({"acknowledge": "never"}, "acknowledge"),
        ({"keepalive": 5}, "keepalive"),
        ({"keep_alive": 70000}, "range"),
        ({"cert_file": "/dev/null"}, "key_file"),
        ({"will": ringmq.Will(topic="t", qos=7)}, "0, 1 or 2"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], what: str) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError), match=what):
        ringmq.Client("mqtt://127.0.0.1", **options)  # type: ignore[arg-type]


def test_a_url_says_what_is_wrong() -> None:
    for url, what in (("http://x", "begins with"), ("mqtt://h:x", "port"), ("unix:", "path")):
        with pytest.raises(ValueError, match=what):
            ringmq.Client(url)


def test_web_sockets_and_unix_sockets(tmp_path: pathlib.Path) -> None:
    with ringmq.Broker(listen=["ws://127.0.0.1:0", f"unix:{tmp_path}/socket"]) as broker:
        for url in broker.urls:
            with ringmq.Client(url) as client, broker.subscribe("t") as messages:
                client.publish("t", url, qos=1).wait()
                assert messages.get().text == url


def test_tls_with_a_certificate_of_ones_own(tmp_path: pathlib.Path) -> None:
    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=tmp_path)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout",
            "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-addext", "basicConstraints=critical,CA:FALSE")
    listen = f"tls://127.0.0.1:0?certificate={tmp_path}/cert.pem&certificate_key={tmp_path}/key.pem"
    with ringmq.Broker(listen=listen) as broker:
        url = f"mqtts://localhost:{broker.port}"
        with ringmq.Client(url, ca_file=tmp_path / "cert.pem", tls_version_min="1.3") as client:
            assert client.publish("t", qos=1).wait() == ReasonCode.NO_MATCHING_SUBSCRIBERS
        with pytest.raises(ringmq.ConnectError):
            ringmq.Client(url).connect()


def test_flush_waits_for_everything(broker: ringmq.Broker) -> None:
    with ringmq.Client(broker.url) as client:
        receipts = client.publish_many([("t", str(n)) for n in range(100)], qos=2)
        client.flush()
        assert client.unfinished == 0
        assert all(receipt.done for receipt in receipts)


def test_a_full_queue_is_an_error_in_time() -> None:
    client = ringmq.Client("mqtt://127.0.0.1:1", queue_messages_max=3, reconnect=(5, 5))
    client.start()
    for _ in range(3):
        client.publish("t", qos=1)
    began = time.monotonic()
    with pytest.raises(ringmq.QueueFullError):
        client.publish("t", qos=1, timeout=0.1)
    assert 0.09 < time.monotonic() - began < 3
    client.stop()
    assert client.state == "stopped"


def test_a_stop_ends_whoever_waits(broker: ringmq.Broker) -> None:
    client = ringmq.Client(broker.url, client_id="a")
    client.connect()
    client.subscribe("t")
    thread = threading.Thread(target=lambda: list(client))
    thread.start()
    time.sleep(0.1)
    client.stop()
    thread.join(5)
    assert not thread.is_alive()
    until = time.monotonic() + 5
    while list(broker.clients) and time.monotonic() < until:
        time.sleep(0.01)
    assert list(broker.clients) == []


def test_a_message_is_acknowledged_when_its_callback_has_returned(broker: ringmq.Broker) -> None:
    seen: list[int] = []
    done = threading.Event()

    def on_message(client: ringmq.Client, message: ringmq.Message) -> None:
        seen.append(broker.sessions["a"].inflight)
        done.set()

    with ringmq.Client(broker.url, client_id="a", on_message=on_message) as client:
        client.subscribe("t", qos=1)
        broker.publish("t", "x", qos=1)
        assert done.wait(5)
        until = time.monotonic() + 5
        while broker.sessions["a"].inflight and time.monotonic() < until:
            time.sleep(0.01)
        assert (seen, broker.sessions["a"].inflight) == ([1], 0)


def test_a_will_may_have_any_payload_and_pairs(broker: ringmq.Broker) -> None:
    pairs = types.MappingProxyType({"a": "b"})
    will = ringmq.Will(topic="w", payload=memoryview(b"gone"), user_properties=pairs)
    with broker.subscribe("w") as wills:
        with ringmq.Client(broker.url, will=will) as client:
            client.disconnect(reason=4)
        assert (wills.get().text, will.user_properties) == ("gone", pairs)
