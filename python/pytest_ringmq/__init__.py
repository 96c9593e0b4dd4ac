"""RingMQ's fixtures for pytest: a real broker in the test's own process, on a free port, in milliseconds.

`mqtt_broker`   a running `ringmq.Broker`, one per worker process, as good as new for each test
`mqtt_client`   a `ringmq.Client` connected to it
`capmqtt`       everything that is published there, and a way to publish and to wait
`mosquitto`     host and port of `mqtt_broker`, for tests that were written for pytest-mqtt
`mqtt_ca_file`  the certificate of the authority that vouches for brokers with `tls=True`

`@pytest.mark.ringmq(users={"anna": "secret"}, tls=True, maximum_qos=1, ...)` gives a test a broker of its own: `users`
are user names with their passwords; with `tls=True` its first listener, the one of `url`, speaks TLS with a certificate
for localhost, 127.0.0.1 and ::1; everything else is an option of `ringmq.Broker`. When a test fails, the packets of its
broker are shown. Nothing of RingMQ is imported before a fixture is used.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import ringmq

__all__ = ["CapturedMessage", "CapturedMessages"]

PACKETS_MAX = 500
"""Packets that are shown of a test that failed: the last ones."""
CAPTURED_MAX = 100_000
"""Messages that `capmqtt` holds; beyond it publishers are held back and then told."""


@dataclass(eq=False)
class CapturedMessage:
    """A message as a test sees it. Equal to whatever has the same topic, payload and userdata, pytest-mqtt's too.

    Attributes:
        topic: The topic name.
        payload: Bytes; text where payloads are decoded (`capmqtt_decode_utf8`).
        userdata: Always `None`; pytest-mqtt has it.
    """

    topic: str
    payload: str | bytes
    userdata: None = None
    message: ringmq.Message | None = None
    """The whole message, with QoS, retain flag and properties."""
    given: bool = field(default=False, repr=False)
    """Whether `wait_for` has given it."""

    def _key(self) -> tuple[object, ...]:
        return (self.topic, self.payload, self.userdata)

    def __eq__(self, other: object) -> bool:
        try:
            return self._key() == (other.topic, other.payload, other.userdata)  # type: ignore[attr-defined]
        except AttributeError:
            return NotImplemented

    __hash__ = None  # type: ignore[assignment]


class CapturedMessages:
    """What was published at a broker since the test began."""

    def __init__(self, broker: ringmq.Broker, decode_utf8: bool) -> None:
        """Captures all topics but those that begin with `$`."""
        self._broker = broker
        self._decode = decode_utf8
        self._subscription = broker.subscribe("#", maxlen=CAPTURED_MAX, retain_as_published=True)
        self._messages: list[CapturedMessage] = []

    def _take(self, timeout: float) -> bool:
        """Takes what has arrived; with nothing there it waits. Whether something came."""
        import ringmq

        try:
            arrived = self._subscription.get_many(timeout=timeout)
        except ringmq.Timeout:
            return False
        for message in arrived:
            payload = message.text if self._decode else message.payload
            self._messages.append(CapturedMessage(message.topic, payload, None, message))
        return True

    @property
    def messages(self) -> list[CapturedMessage]:
        """All messages so far, in the order in which they came; at most 100,000 wait for the test to look."""
        while self._take(0):
            pass
        return self._messages

    @property
    def records(self) -> list[tuple[str, str | bytes, None]]:
        """The same as tuples of topic, payload and userdata."""
        return [(message.topic, message.payload, message.userdata) for message in self.messages]

    def publish(self, topic: str, payload: str | bytes | bytearray | float | None = None, **options: Any) -> object:
        """Publishes from the test. When it returns, every subscriber's session has the message.

        Args:
            topic: The topic name.
            payload: Numbers are sent as text, `None` (default) as nothing.
            **options: QoS, retain and all else, as for `ringmq.Broker.publish`, which says what is raised, too.

        Returns:
            A `ringmq.Published`.
        """
        if payload is None:
            payload = b""
        elif isinstance(payload, int | float):
            payload = str(payload)
        return self._broker.publish(topic, payload, **options)

    def wait_for(self, filter: str, payload: str | bytes | None = None, timeout: float = 5.0) -> CapturedMessage:
        """The first message that no `wait_for` has given yet, whose topic matches a topic filter (MQTT 5.0, 4.7), and which
        says `payload` where that is given.

        Args:
            filter: The topic filter, with or without wildcards.
            payload: Bytes, or text that stands for its UTF-8.
            timeout: Seconds to wait; default 5.

        A test in which none comes in time fails, and is shown what came instead.
        """
        from ringmq._topics import matches

        wanted = payload.encode() if isinstance(payload, str) else payload
        until = time.monotonic() + timeout
        looked_at = 0
        while True:
            for message in self.messages[looked_at:]:
                whole = message.message
                if whole is None or message.given or not matches(filter, message.topic):
                    continue
                if wanted is None or whole.payload == wanted:
                    message.given = True
                    return message
            looked_at = len(self._messages)
            left = until - time.monotonic()
            if left <= 0 or not self._take(left):
                if time.monotonic() >= until:
                    break
        said = f" that says {payload!r}" if payload is not None else ""
        seen = "\n".join(f"  {message.topic}: {message.payload!r}" for message in self._messages[-20:])
        pytest.fail(f"no message on {filter}{said} within {timeout} s; what came last:\n{seen or '  nothing'}")

    def clear(self) -> None:
        """Forgets what came so far, also what no `wait_for` has given."""
        self.messages.clear()

    def close(self) -> None:
        """Captures nothing any more; the fixture does so when the test ends."""
        self._subscription.close()


class _Packets(logging.Handler):
    """Keeps the last log lines of brokers, to show them when a test fails."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: deque[str] = deque(maxlen=PACKETS_MAX)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


_PACKETS = pytest.StashKey[_Packets]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one setting of the session."""
    group = parser.getgroup("ringmq")
    group.addoption(
        "--capmqtt-decode-utf8",
        dest="capmqtt_decode_utf8",
        action="store_true",
        default=False,
        help="capmqtt gives payloads as text",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Names the markers, and refuses to share fixtures' names with another plugin."""
    config.addinivalue_line("markers", "ringmq(**options): a broker of its own with these options")
    config.addinivalue_line("markers", "capmqtt_decode_utf8: capmqtt gives payloads as text")
    for _, distribution in config.pluginmanager.list_plugin_distinfo():
        if distribution.project_name == "pytest-mqtt":
            raise pytest.UsageError(
                "pytest-mqtt and ringmq are both installed, and both have a fixture `capmqtt`. Choose one: "
                "`-p no:capmqtt -p no:mosquitto` (or addopts in pytest.ini) leaves out pytest-mqtt, "
                "`-p no:ringmq` leaves out this one."
            )


def _password_file(folder: Path, users: dict[str, str]) -> Path:
    """Users as mosquitto's password file has them; hashed cheaply, because tests have no secrets."""
    lines: list[str] = []
    for name, password in users.items():
        salt = os.urandom(12)
        digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
        lines.append(f"{name}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n")
    file = folder / "passwords"
    file.write_text("".join(lines))
    return file


@pytest.fixture(scope="session")
def mqtt_ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the authority's certificate (PEM), made for this run; beside it are the broker's certificate and its
    key, `server.pem` and `server.key`."""
    from ringmq import _ringmq

    folder = tmp_path_factory.mktemp("ringmq")
    texts = _ringmq.local_certificates()
    for name, text in zip(("ca.pem", "server.pem", "server.key"), texts, strict=True):
        (folder / name).write_text(text)
    return folder / "ca.pem"


def _with_tls(listen: str | Sequence[str], ca_file: Path) -> list[str]:
    """These listeners behind one that speaks TLS."""
    certificate, key = ca_file.with_name("server.pem"), ca_file.with_name("server.key")
    others = listen.split(",") if isinstance(listen, str) else listen
    return [f"tls://127.0.0.1:0?certificate={certificate}&certificate_key={key}", *others]


@pytest.fixture(scope="session")
def _worker_broker() -> Iterator[ringmq.Broker]:
    """One broker for all tests of this process that want nothing special."""
    import ringmq

    with ringmq.Broker(log_packets=True, faults=True) as broker:
        yield broker


@pytest.fixture
def _mqtt_packets(request: pytest.FixtureRequest) -> Iterator[None]:
    """Follows the log while the test runs."""
    logger = logging.getLogger("ringmq")
    packets, level, spreads = _Packets(), logger.level, logger.propagate
    request.node.stash[_PACKETS] = packets
    logger.addHandler(packets)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield
    logger.removeHandler(packets)
    logger.setLevel(level)
    logger.propagate = spreads


@pytest.fixture
def mqtt_broker(
    request: pytest.FixtureRequest, _mqtt_packets: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ringmq.Broker]:
    """A running `ringmq.Broker` without clients, sessions and retained messages, on a free port of this machine: the one of
    this process, or one of the test's own with the options of its marker `ringmq`."""
    import ringmq
    from ringmq import _ringmq

    marker = request.node.get_closest_marker("ringmq")
    if marker is None:
        broker: ringmq.Broker = request.getfixturevalue("_worker_broker")
        _ringmq.set_log_level(logging.DEBUG)
        yield broker
        broker.faults.clear()
        broker.reset()
        return
    options: dict[str, Any] = {"log_packets": True, "faults": True, **marker.kwargs}
    users = options.pop("users", None)
    if users is not None:
        options["password_file"] = _password_file(tmp_path_factory.mktemp("ringmq"), users)
    if options.pop("tls", False):
        others = options.pop("bind", options.get("listen", ()))
        options["listen"] = _with_tls(others, request.getfixturevalue("mqtt_ca_file"))
    with ringmq.Broker(**options) as broker:
        yield broker


@pytest.fixture
def mqtt_client(request: pytest.FixtureRequest, mqtt_broker: ringmq.Broker) -> Iterator[ringmq.Client]:
    """A client of `mqtt_broker`, connected; where the marker has users, as the first of them."""
    import ringmq

    marker = request.node.get_closest_marker("ringmq")
    wanted: dict[str, Any] = dict(marker.kwargs) if marker is not None else {}
    options: ringmq.ClientOptions = {}
    if wanted.get("users"):
        options["username"], options["password"] = next(iter(wanted["users"].items()))
    if wanted.get("tls"):
        options["ca_file"] = request.getfixturevalue("mqtt_ca_file")
    client = ringmq.Client(mqtt_broker.url, **options)
    client.connect()
    yield client
    # What a fault has lost on purpose is not waited for.
    with contextlib.suppress(ringmq.Timeout):
        client.disconnect(timeout=0.5)


@pytest.fixture
def capmqtt(request: pytest.FixtureRequest, mqtt_broker: ringmq.Broker) -> Iterator[CapturedMessages]:
    """Everything that is published at `mqtt_broker`, from before the test begins, as `CapturedMessages`."""
    decode = (
        bool(getattr(request.config.option, "capmqtt_decode_utf8", False))
        or bool(getattr(request.node.getparent(pytest.Module).obj, "capmqtt_decode_utf8", False))
        or request.node.get_closest_marker("capmqtt_decode_utf8") is not None
    )
    captured = CapturedMessages(mqtt_broker, decode)
    yield captured
    captured.close()


@pytest.fixture
def mosquitto(mqtt_broker: ringmq.Broker) -> tuple[str, int]:
    """Host and port of `mqtt_broker`, as pytest-mqtt says it. Its fixture lives for the session, this one for the test."""
    return "127.0.0.1", mqtt_broker.port


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the packets of a test that failed."""
    report = yield
    packets = item.stash.get(_PACKETS, None)
    if packets is not None and report.outcome == "failed" and report.when == "call":
        from ringmq import _ringmq

        _ringmq.flush_log()
        report.sections = [*report.sections, ("MQTT packets of the broker", "\n".join(packets.lines) or "none")]
    return report
