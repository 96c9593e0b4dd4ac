"""A broker in the process: publish and subscribe without a socket, options, start and stop."""

from __future__ import annotations

import datetime
import gc
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

import ringmq
from ringmq import QoS, ReasonCode, _ringmq


def test_what_is_published_arrives_with_all_it_has(broker: ringmq.Broker) -> None:
    with broker.subscribe("home/#", "other", maxlen=10) as messages:
        published = broker.publish(
            "home/kitchen",
            b"21.5",
            qos=1,
            retain=True,
            payload_format_indicator=1,
            message_expiry_interval=60,
            content_type="text/plain",
            response_topic="answer",
            correlation_data=b"\x00\x01",
            user_properties=[("unit", "C"), ("unit", "K")],
        )
        assert (published.matched, published.dropped) == (1, 0)
        message = messages.get(timeout=5)
    assert (message.topic, message.payload, message.text) == ("home/kitchen", b"21.5", "21.5")
    assert (message.qos, message.retain, message.dup) == (QoS.AT_LEAST_ONCE, False, False)
    assert message.payload_format_indicator == 1
    assert message.message_expiry_interval in range(50, 61)
    assert message.content_type == "text/plain"
    assert message.response_topic == "answer"
    assert message.correlation_data == b"\x00\x01"
    assert message.user_properties == [("unit", "C"), ("unit", "K")]
    assert repr(message) == "Message(topic=\"home/kitchen\", payload=b'21.5', qos=1)"


@pytest.mark.parametrize(
    "properties",
    [
        {"content_type": "x" * 65_536},
        {"response_topic": "x" * 65_536},
        {"correlation_data": bytes(65_536)},
        {"user_properties": [("x" * 65_536, "")]},
        {"user_properties": [("", "x" * 65_536)]},
    ],
)
def test_a_property_that_is_too_long_is_refused(
    broker: ringmq.Broker, properties: ringmq.PublishProperties
) -> None:
    with pytest.raises(ValueError, match="at most 65,535 bytes"):
        broker.publish("t", **properties)


@pytest.mark.parametrize(
    ("given", "payload"),
    [(b"a", b"a"), (bytearray(b"b"), b"b"), (memoryview(b"xcx")[1:2], b"c"), ("é", "é".encode()), (b"", b"")],
)
def test_payloads_are_bytes_buffers_or_text(broker: ringmq.Broker, given: bytes, payload: bytes) -> None:
    with broker.subscribe("t") as messages:
        broker.publish("t", given)
        assert messages.get().payload == payload


def test_a_view_of_a_payload_outlives_its_message(broker: ringmq.Broker) -> None:
    payload = os.urandom(100_000)
    with broker.subscribe("t") as messages:
        broker.publish("t", payload, qos=1)
        view = messages.get().payload_view
    gc.collect()
    assert view.readonly
    assert view == payload
    assert view[10:20].tobytes() == payload[10:20]


def test_many_are_published_and_read_at_one_go_in_order(broker: ringmq.Broker) -> None:
    with broker.subscribe("n/#", maxlen=10_000) as messages:
        sums = broker.publish_many(((f"n/{n % 7}", str(n)) for n in range(5000)), qos=1)
        assert (sums.matched, sums.dropped) == (5000, 0)
        read: list[int] = []
        while len(read) < 5000:
            read.extend(int(message.text) for message in messages.get_many(700, timeout=5))
    assert read == list(range(5000))


def test_a_full_queue_is_an_error_that_names_the_session(broker: ringmq.Broker) -> None:
    with broker.subscribe("t", maxlen=5) as messages:
        with pytest.raises(ringmq.QueueFullError) as full:
            for n in range(100):
                broker.publish("t", str(n), qos=1, timeout=0.01)
        assert full.value.subscription == messages.name
        assert (full.value.matched, full.value.dropped) == (1, 1)
        assert isinstance(full.value, ringmq.PublishError)


def test_what_mqtt_does_not_allow_has_the_code_of_its_clause(broker: ringmq.Broker) -> None:
    with pytest.raises(ringmq.PublishError, match=r"MQTT-3\.3\.2-2") as wildcard:
        broker.publish("a/#")
    assert wildcard.value.reason is ReasonCode.MALFORMED_PACKET
    with pytest.raises(ringmq.SubscribeError) as filters:
        broker.subscribe("good", "a/#/b")
    assert filters.value.filter == "a/#/b"
    with pytest.raises(ValueError, match="0, 1 or 2"):
        broker.publish("t", qos=3)
    with pytest.raises(TypeError, match="content_typ"):
        broker.publish("t", content_typ="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="bytes, bytearray"):
        broker.publish("t", 21.5)  # type: ignore[arg-type]


def test_retained_messages_and_subscription_options(broker: ringmq.Broker) -> None:
    broker.publish("r/1", b"kept", qos=1, retain=True)
    with broker.subscribe("r/#", subscription_identifier=7) as messages:
        assert messages.granted == [2]
        message = messages.get()
        assert (message.payload, message.retain, message.subscription_identifiers) == (b"kept", True, [7])
    with broker.subscribe("r/#", retain_handling=2, retain_as_published=True) as messages:
        broker.publish("r/2", b"live", retain=True)
        message = messages.get()
        assert (message.payload, message.retain) == (b"live", True)


def test_waiting_ends_at_its_deadline_and_at_the_end_of_the_broker() -> None:
    broker = ringmq.Broker()
    broker.start()
    messages = broker.subscribe("t")
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        messages.get(timeout=0.2)
    assert 0.19 < time.monotonic() - began < 5
    with pytest.raises(ValueError, match="from 0 on"):
        messages.get(timeout=-1)
    threading.Timer(0.1, broker.stop).start()
    with pytest.raises(ringmq.StoppedError):
        messages.get(timeout=30)
    assert list(messages) == []
    with pytest.raises(ringmq.StoppedError):
        broker.publish("t")
    messages.close()
    with pytest.raises(ringmq.StoppedError):
        messages.get()


def test_a_broker_starts_again_and_says_where() -> None:
    broker = ringmq.Broker(listen=["tcp://127.0.0.1:0", "ws://127.0.0.1:0"])
    assert not broker.is_running
    with pytest.raises(ringmq.StoppedError):
        _ = broker.port
    for _ in range(2):
        with broker:
            assert broker.is_running
            assert broker.url == f"mqtt://127.0.0.1:{broker.port}"
            assert broker.urls[1].startswith("ws://127.0.0.1:")
            assert broker.addresses[0] == ("127.0.0.1", broker.port)
            socket.create_connection(("127.0.0.1", broker.port)).close()
            with pytest.raises(ringmq.Error, match="runs already"):
                broker.start()
        broker.stop()


def test_every_key_is_a_keyword_and_a_wrong_one_names_the_nearest(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ringmq.ConfigError, match="packet_bytes_max") as unknown:
        ringmq.Broker(packet_byte_max=2000, maximum_qos=5)  # type: ignore[call-arg]
    assert len(unknown.value.errors) == 2
    assert isinstance(unknown.value, ValueError)
    acl = tmp_path / "acl"
    acl.write_text("topic write home/#\n")
    broker = ringmq.Broker(
        acl_file=acl,
        packet_bytes_max="1MiB",
        connect_timeout=datetime.timedelta(seconds=3),
        decision_timeout=2.5,
        linger=1,
        retain_available=False,
        client_ids_denied=["bad*", "worse"],
        password_file=None,
    )
    def publishes(topic: str) -> bool:
        with ringmq.Client(broker.url) as client:
            try:
                client.publish(topic, "x", qos=1).wait()
            except ringmq.RequestError as error:
                assert error.reason is ReasonCode.NOT_AUTHORIZED
                return False
            return True

    with broker:
        assert (publishes("home/a"), publishes("garden")) == (True, False)
        with pytest.raises(ringmq.ConnectError) as refused, ringmq.Client(broker.url, client_id="bad1"):
            pass
        assert refused.value.reason is ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
        acl.write_text("topic write garden\n")
        assert broker.reload(acl_file=acl, shards=3) == ["shards"]
        assert (publishes("home/a"), publishes("garden")) == (False, True)
        with pytest.raises(ringmq.ConfigError):
            broker.reload(acl_file=tmp_path / "nothing")
        assert (publishes("home/a"), publishes("garden")) == (False, True)


def test_a_configuration_file_and_its_text_are_options_too(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "ringmq.toml"
    file.write_text('maximum_qos = 1\n[[listener]]\naddress = "ws://127.0.0.1:0"\n')
    with ringmq.Broker(config_file=file) as broker:
        assert [url.split(":")[0] for url in broker.urls] == ["ws"]
    with ringmq.Broker(config_text="listener 0 127.0.0.1\nallow_anonymous true\n", shards=2) as broker:
        assert broker.shards == 2
    with pytest.raises(ringmq.ConfigError, match=r"config_text:2"):
        ringmq.Broker(config_text="maximum_qos = 1\nmaximum_quos = 2\n")
    with pytest.raises(ringmq.ConfigError, match="nothing.toml"):
        ringmq.Broker(config_file=tmp_path / "nothing.toml")


def test_counters_add_up(broker: ringmq.Broker) -> None:
    with ringmq.Client(broker.url) as client, broker.subscribe("t") as messages:
        client.publish("t", b"x" * 10, qos=1).wait()
        messages.get()
        counters = broker.counters()
        assert counters["publish_received"] == 1
        assert counters["sessions_connected"] >= 1
    assert broker.failed is None
    assert broker.driver in ("uring", "epoll")


def test_a_batch_waits_for_a_slow_reader(broker: ringmq.Broker) -> None:
    count = 5_000
    with broker.subscribe("t", maxlen=10) as messages:

        def read() -> None:
            time.sleep(0.3)
            for _ in range(count):
                messages.get()

        reader = threading.Thread(target=read)
        reader.start()
        published = broker.publish_many((("t", b"x") for _ in range(count)), qos=1, timeout=30)
        reader.join()
        assert (published.matched, published.dropped) == (count, 0)


def test_messages_are_acknowledged_by_hand(broker: ringmq.Broker) -> None:
    with broker.subscribe("t", unacknowledged_max=1) as by_hand, broker.subscribe("t") as taking:
        for text in (b"1", b"2"):
            broker.publish("t", text, qos=1)
        first = by_hand.get()
        with pytest.raises(TimeoutError):
            by_hand.get(timeout=0.05)
        assert by_hand.acknowledge(first)
        assert not by_hand.acknowledge(first)
        assert by_hand.get().payload == b"2"
        assert not taking.acknowledge(taking.get())
    with pytest.raises(OverflowError):
        broker.subscribe("t", unacknowledged_max=65_536)


def test_two_brokers_know_nothing_of_each_other() -> None:
    with ringmq.Broker() as one, ringmq.Broker() as two, two.subscribe("#") as messages:
        assert one.publish("t").matched == 0
        with pytest.raises(TimeoutError):
            messages.get(timeout=0.05)


def test_log_lines_go_to_python(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ringmq"):
        with ringmq.Broker() as broker, pytest.raises(ringmq.ConnectError):
            with socket.create_connection(("127.0.0.1", broker.port)) as link:
                link.sendall(b"\xff\xff\xff\xff\xff")
                link.recv(100)
            with ringmq.Client(broker.url, client_id="", protocol="3.1.1", clean_start=False):
                pass
    assert any(record.name.startswith("ringmq") and "127.0.0.1" in record.getMessage() for record in caplog.records)


PROGRAMS = {
    "ends with a running broker and client": """
broker = ringmq.Broker(); broker.start()
client = ringmq.Client(broker.url, on_message=lambda client, message: print("got", message.text))
client.connect(); client.subscribe("t")
broker.publish("t", "hello", qos=1)
time.sleep(0.3)
""",
    "ends while a thread waits": """
broker = ringmq.Broker(); broker.start()
messages = broker.subscribe("t")
threading.Thread(target=lambda: messages.get(timeout=60), daemon=True).start()
time.sleep(0.1)
print("got hello")
""",
    "ends with an exception": """
with ringmq.Broker() as broker:
    print("got hello")
""",
}


def run(program: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own."""
    program = "import os, signal, sys, threading, time, ringmq\n" + program
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_interpreter_ends_cleanly(name: str) -> None:
    began = time.monotonic()
    done = run(PROGRAMS[name])
    assert (done.returncode, done.stdout.strip()) == (0, "got hello"), done.stderr
    assert "Traceback" not in done.stderr or name == "ends while a thread waits"
    assert time.monotonic() - began < 10


def test_ctrl_c_ends_a_wait() -> None:
    # Who was started in the background by a shell may have been told to ignore it.
    done = run("""
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
began = time.monotonic()
try:
    with ringmq.Broker() as broker, broker.subscribe("t") as messages:
        messages.get(timeout=60)
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began < 5)
""")
    assert done.stdout.strip() == "interrupted True", done.stderr


def test_a_fork_gets_an_error_and_not_a_hang() -> None:
    done = run("""
broker = ringmq.Broker(); broker.start()
url = broker.url
messages = broker.subscribe("t")
client = ringmq.Client(url); client.connect()
child = os.fork()
if child == 0:
    for call in (lambda: broker.publish("t"), lambda: messages.get(), lambda: client.publish("t")):
        try:
            call()
        except ringmq.ForkError:
            os.write(1, b"error\\n")
    try:
        ringmq.Broker().start()
    except ringmq.ForkError:
        os.write(1, b"error\\n")
    del broker, messages, client
    with ringmq.Client(url) as own:
        own.publish("t", "child", qos=1).wait()
    os._exit(0)
os.waitpid(child, 0)
print(messages.get().text, broker.publish("t").matched)
""")
    assert done.stdout.split() == ["error"] * 4 + ["child", "1"], done.stderr


def test_cycles_leave_no_descriptor_and_no_thread() -> None:
    done = run("""
def held():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

def cycle():
    with ringmq.Broker() as broker, ringmq.Client(broker.url) as client, broker.subscribe("t") as messages:
        client.publish("t", "x", qos=1).wait()
        messages.get()

for _ in range(3):
    cycle()
time.sleep(0.5)
before = held()
for _ in range(50):
    cycle()
until = time.monotonic() + 10
while held()[1] > before[1] and time.monotonic() < until:
    time.sleep(0.05)
after = held()
print(after[0] <= before[0], after[1] <= before[1], before, after)
""")
    assert done.stdout.split()[:2] == ["True", "True"], done.stdout + done.stderr


def test_the_program_is_the_same() -> None:
    command = [sys.executable, "-m", "ringmq"]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
    assert version.stdout.split() == ["ringmq", ringmq.__version__]
    wrong = subprocess.run([*command, "serve", "--no-such-flag"], capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2
    with subprocess.Popen([*command, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "listening on mqtt://127.0.0.1:" in line)
        port = line.strip().rsplit(":", 1)[1]
        sent = subprocess.run([*command, "pub", "-p", port, "-t", "t", "-m", "x", "-q", "1"], timeout=60)
        assert sent.returncode == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_clients_and_sessions_are_mappings(broker: ringmq.Broker) -> None:
    options: ringmq.ClientOptions = {
        "client_id": "a",
        "username": "anna",
        "session_expiry_interval": 60,
        "keep_alive": 33,
        "reconnect": False,
    }
    with ringmq.Client(broker.url, **options) as client:
        client.subscribe({"t/#": 1, "u": 0})
        with ringmq.Client(broker.url, client_id="b", protocol="3.1.1"):
            assert list(broker.clients) == ["a", "b"]
            assert len(broker.sessions) == 2
            assert broker.clients["b"].protocol == "3.1.1"
        seen = broker.clients["a"]
        assert (seen.connected, seen.username, seen.protocol, seen.keep_alive) == (True, "anna", "5.0", 33)
        assert seen.session_expiry_interval == 60
        assert seen.subscriptions == {"t/#": 1, "u": 0}
        assert seen.address is not None and seen.address.startswith("127.0.0.1:")
        assert seen.kick()
        event = client.next_event()
        while not isinstance(event, ringmq.Disconnected):
            event = client.next_event()
        assert event.error.reason is ReasonCode.ADMINISTRATIVE_ACTION
    assert list(broker.clients) == []
    broker.publish("t/1", "waits", qos=1)
    kept = broker.sessions["a"]
    assert (kept.connected, kept.address, kept.protocol, kept.queued, kept.inflight) == (False, None, None, 1, 0)
    assert kept.end()
    assert not kept.end()
    assert "a" not in broker.sessions
    with pytest.raises(KeyError):
        broker.sessions["a"]


def test_retained_messages_are_a_mapping_and_a_reset_forgets_all(broker: ringmq.Broker) -> None:
    for topic in ("r/b", "r/a", "s"):
        broker.publish(topic, topic, qos=1, retain=True, content_type="c", message_expiry_interval=100)
    assert list(broker.retained("r/#")) == ["r/a", "r/b"]
    message = broker.retained()["s"]
    assert (message.text, message.qos, message.retain, message.content_type) == ("s", 1, True, "c")
    assert message.message_expiry_interval in range(90, 101)
    with pytest.raises(ringmq.SubscribeError):
        broker.retained("a/#/b")
    options: ringmq.ClientOptions = {
        "client_id": "c",
        "session_expiry_interval": 60,
        "clean_start": False,
        "reconnect": False,
    }
    with ringmq.Client(broker.url, **options), broker.subscribe("own") as messages:
        broker.reset()
        assert (dict(broker.sessions), broker.retained()) == ({}, {})
        assert broker.publish("own", "stays").matched == 1
        assert messages.get().text == "stays"
    with ringmq.Client(broker.url, **options) as client:
        assert not client.session_present


def test_one_wrong_message_of_many_keeps_none_of_the_others_back(broker: ringmq.Broker) -> None:
    with broker.subscribe("#") as messages:
        with pytest.raises(ringmq.PublishError, match=r"MQTT-3\.3\.2-2"):
            broker.publish_many([("a", "1"), ("b/#", "2"), ("c", "3")], qos=1)
        assert [message.text for message in messages.get_many()] == ["1", "3"]
        with pytest.raises(ringmq.QueueFullError):
            broker.publish_many([("a", str(number)) for number in range(2500)], qos=1, timeout=0.05)
        with pytest.raises(TypeError):
            broker.publish_many([("a", 5)])  # type: ignore[list-item]


def test_many_threads_use_one_broker_at_once() -> None:
    """Start, stop and everything else from eight threads: an error or an answer each time, and no hang."""
    broker = ringmq.Broker()
    until = time.monotonic() + 1.5
    failures: list[BaseException] = []

    def use(number: int) -> None:
        while time.monotonic() < until:
            try:
                match number % 4:
                    case 0:
                        broker.start()
                    case 1:
                        broker.stop()
                    case 2:
                        broker.publish("t", "x", qos=1, timeout=0.2)
                        list(broker.clients)
                    case _:
                        _ = (broker.is_running, broker.urls, broker.port)
                        broker.subscribe("t").close()
            except ringmq.Error:
                pass
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=use, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    broker.stop()
    assert failures == []


def test_one_that_nobody_holds_any_more_stops() -> None:
    broker = ringmq.Broker()
    broker.start()
    address = broker.addresses[0]
    socket.create_connection(address).close()
    del broker
    gc.collect()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_a_stop_is_a_stop_though_calls_are_under_way() -> None:
    broker = ringmq.Broker()
    broker.start()
    address = broker.addresses[0]
    full = broker.subscribe("t", maxlen=1)
    for _ in range(2):
        broker.publish("t", "x", qos=1)
    outcomes: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            outcomes.append(error)

    empty = broker.subscribe("nothing")
    threads = [
        threading.Thread(target=run, args=(call,))
        for call in (lambda: broker.publish("t", "x", qos=1, timeout=60), lambda: empty.get(timeout=60))
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    broker.stop()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert time.monotonic() - began < 8
    assert [type(error) for error in outcomes] == [ringmq.StoppedError] * 2
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    full.close()


def test_closing_a_subscription_ends_whoever_reads(broker: ringmq.Broker) -> None:
    messages = broker.subscribe("t")
    read: list[str] = []
    thread = threading.Thread(target=lambda: read.extend(message.text for message in messages))
    thread.start()
    broker.publish("t", "x", qos=1)
    time.sleep(0.1)
    messages.close()
    thread.join(5)
    assert not thread.is_alive()
    assert read == ["x"]
    assert broker.publish("t", "y", qos=1).matched == 0


def test_the_log_level_can_change_at_any_time(caplog: pytest.LogCaptureFixture) -> None:
    def lines() -> int:
        with ringmq.Client(broker.url, client_id="seen"):
            pass
        _ringmq.flush_log()
        return sum("seen" in record.getMessage() for record in caplog.records)

    with ringmq.Broker() as broker:
        assert lines() == 0
        with caplog.at_level(logging.INFO, logger="ringmq"):
            _ringmq.set_log_level(logging.INFO)
            assert lines() > 0
        _ringmq.set_log_level(logging.WARNING)
        caplog.clear()
        assert lines() == 0


def test_where_io_uring_is_denied_it_is_epoll() -> None:
    done = run("""
import ctypes, struct

# seccomp: io_uring_setup (425 on every architecture) gives EPERM, everything else is allowed.
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
program = b"".join(
    struct.pack("HBBI", *line)
    for line in [(LOAD, 0, 0, 0), (EQUAL, 0, 1, 425), (RETURN, 0, 0, 0x00050001), (RETURN, 0, 0, 0x7FFF0000)]
)
buffer = ctypes.create_string_buffer(program)
filter = struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(filter), 0, 0) == 0
for driver in ("auto", "epoll"):
    with ringmq.Broker(driver=driver) as broker, ringmq.Client(broker.url) as client:
        with broker.subscribe("t") as messages:
            client.publish("t", driver, qos=1).wait()
            print(broker.driver, messages.get().text)
try:
    ringmq.Broker(driver="uring").start()
except ringmq.StartError as error:
    print("io_uring" in str(error))
""")
    assert done.stdout.split() == ["epoll", "auto", "epoll", "epoll", "True"], done.stdout + done.stderr


def test_forks_under_traffic_leave_children_that_can_connect() -> None:
    done = run("""
import logging
logging.basicConfig(level=logging.DEBUG, stream=open(os.devnull, "w"))
broker = ringmq.Broker(log_packets=True)
broker.start()

def traffic():
    with ringmq.Client(broker.url) as client:
        while going:
            client.publish_many([("t", "x")] * 50, qos=1)

going = True
thread = threading.Thread(target=traffic)
thread.start()
ended = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        with ringmq.Client(broker_url) as client:
            client.publish("child", "x", qos=1).wait()
        os._exit(0)
    ended.append(os.waitpid(child, 0)[1])
going = False
thread.join()
print(sum(ended))
""".replace("thread = threading", "broker_url = broker.url\nthread = threading", 1))
    assert done.stdout.strip() == "0", done.stdout + done.stderr
