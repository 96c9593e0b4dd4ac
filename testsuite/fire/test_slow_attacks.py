"""Connections that never get anywhere, many at once: silent ones, CONNECT byte by byte, a ClientHello that is never whole,
a request for a WebSocket that is never whole, and clients that may be silent for 18 hours. From one address, which is also
that of honest clients, and from 200. Honest clients come in meanwhile by each door, from attacked addresses and others.

Here 500 of them meet a broker with small bounds. By hand, 10,000 and the usual bounds:

    RINGMQ_SLOW_ATTACK=10000 testsuite/run --only python --rows shards-1 -- -k slow_attacks -rP -n 0

The table, of which each test prints a line, has the time to CONNACK, and the broker's memory and descriptors."""

import base64
import contextlib
import json
import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import broker_process
import certificates
import mqtt_bytes as mqtt
from hostile import MIB, Vitals, wait_until
from slow_attacker import ATTACKS

PROGRAM = Path(__file__).resolve().parent / "slow_attacker.py"
LONG = int(os.environ.get("RINGMQ_SLOW_ATTACK", "0"))
CROWD = LONG or 500
# The long form sees deadlines go by: a CONNECT may take 10 s.
SECONDS = 12.0 if LONG else 1.5
# Connections the attack makes in a second: so slow that an honest client is through before as many newer ones as one
# address may have put it out. Who floods faster than that from its address keeps others behind that address out.
PER_SECOND = 2500 if LONG else 500
# Over all shards.
HALF_OPEN_MAX, HALF_OPEN_PER_ADDRESS_MAX = 400, 300
# What a connection that is not through may hold on to in a broker: buffers of the layers, and the runtime's own.
BYTES_PER_CONNECTION_MAX = 64 << 10
SLACK_BYTES = 24 * MIB
ELSEWHERE = "127.0.0.9"
PATIENCE = 5.0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Certificates."""
    return certificates.make(tmp_path_factory.mktemp("certificates"))


class Doors:
    """A broker with a plain listener, one with TLS and one with WebSocket."""

    def __init__(self, start_broker, files, shards):
        tls = (f"mqtts://127.0.0.1:{broker_process.free_port()}?certificate={files.server}"
               f"&certificate_key={files.server_key}")
        ws = f"ws://127.0.0.1:{broker_process.free_port()}"
        bounds = [] if LONG else ["--set", f"half_open_max={HALF_OPEN_MAX // shards}", "--set",
                                  f"half_open_per_address_max={HALF_OPEN_PER_ADDRESS_MAX // shards}"]
        self.broker = start_broker("--bind", f"mqtt://127.0.0.1:0,{tls},{ws}", "--sys-interval", 0, *bounds)
        self.ports = {scheme: self.port(scheme) for scheme in ("mqtt", "mqtts", "ws")}
        self.context = ssl.create_default_context(cafile=files.ca)

    def port(self, scheme):
        """Where a listener got its port."""
        found = self.broker.wait_for_line(rf"listening on {re.escape(scheme)}://[^:\s]+:(\d+)")
        return int(found.group(1))

    def time_to_connack(self, scheme, host, client_id):
        """Seconds from the socket to CONNACK for an honest client from this address."""
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            link = stack.enter_context(socket.socket())
            link.settimeout(PATIENCE)
            link.bind((host, 0))
            link.connect(("127.0.0.1", self.ports[scheme]))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme == "mqtts":
                link = stack.enter_context(self.context.wrap_socket(link, server_hostname="localhost"))
            hello = mqtt.connect(client_id)
            if scheme == "ws":
                upgrade(link)
                hello = frame(hello)
            link.sendall(hello)
            answer = link.recv(4096)
            answer = answer[2:] if scheme == "ws" else answer
            assert answer[:1] == b"\x20" and answer[3] == 0, f"{answer!r} is no CONNACK with success"
            return time.monotonic() - started


def upgrade(link):
    """Asks for a WebSocket and gets it."""
    key = base64.b64encode(os.urandom(16)).decode()
    link.sendall(f"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = link.recv(4096)
        assert more, f"closed after {answer!r}"
        answer += more
    assert answer.startswith(b"HTTP/1.1 101 ") and answer.endswith(b"\r\n\r\n"), answer


def frame(payload):
    """One short binary message, masked with zeros."""
    assert len(payload) < 126
    return bytes([0x82, 0x80 | len(payload), 0, 0, 0, 0]) + payload


class Attack:
    """The attacking program."""

    def __init__(self, attack, port, addresses):
        self.process = subprocess.Popen([sys.executable, PROGRAM, attack, *map(str, (port, CROWD, addresses, PER_SECOND))],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        """Notes how it stands; runs in a thread of its own."""
        for line in self.process.stdout:
            self.told.append(json.loads(line))

    def __enter__(self):
        wait_until(lambda: self.told or self.process.poll() is not None, 60, "all connections of the attack")
        assert self.told, "the attacking program has ended"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)
        self.reader.join(5)
        self.process.stdout.close()


def attacked_port(doors, attack):
    """The door an attack is for."""
    return doors.ports[{"tls": "mqtts", "websocket": "ws"}.get(attack, "mqtt")]


def visit(doors, hosts, seconds):
    """Honest clients by every door and from these addresses in turn; seconds to CONNACK by door and address."""
    times, until, number = {}, time.monotonic() + seconds, 0
    while time.monotonic() < until or number < 6 * len(hosts):
        scheme, host = ("mqtt", "mqtts", "ws")[number % 3], hosts[number // 3 % len(hosts)]
        times.setdefault((scheme, host), []).append(doors.time_to_connack(scheme, host, f"honest-{number}"))
        number += 1
    return times


def words(times):
    """Median and maximum of each in milliseconds."""
    return ", ".join(f"{scheme} from {host} {1000 * statistics.median(some):.1f}/{1000 * max(some):.1f}"
                     for (scheme, host), some in sorted(times.items()))


@pytest.mark.parametrize("addresses", [1, 200])
@pytest.mark.parametrize("attack", ATTACKS)
def test_slow_attacks(request, start_broker, files, attack, addresses):
    """Everybody honest comes in, and the attack costs memory and descriptors within bounds, which come back."""
    doors = Doors(start_broker, files, request.config.option.shards)
    vitals = Vitals(doors.broker)
    hosts = ["127.0.0.1" if addresses == 1 else "127.3.0.1", ELSEWHERE]
    before = visit(doors, hosts, 0)
    memory, descriptors = vitals.memory_bytes(), vitals.descriptors()
    peak = [memory, descriptors]
    with Attack(attack, attacked_port(doors, attack), addresses) as running:
        cpu, began = vitals.cpu_seconds(), time.monotonic()
        during = {}
        while time.monotonic() - began < SECONDS:
            for key, some in visit(doors, hosts, SECONDS / 10).items():
                during.setdefault(key, []).extend(some)
            peak = [max(peak[0], vitals.memory_bytes()), max(peak[1], vitals.descriptors())]
        cpu = (vitals.cpu_seconds() - cpu) / (time.monotonic() - began)
        assert running.process.poll() is None, "the attack has ended early"
    told = running.told[-1]
    wait_until(lambda: vitals.descriptors() <= descriptors, 20, "the end of all connections")
    after = vitals.memory_bytes()
    print(f"\n{attack}, {CROWD} from {addresses}: {told['made']} made, {told['closed']} closed by the broker; "
          f"ms to CONNACK (median/max) before {words(before)}; during {words(during)}; memory MiB {memory / MIB:.1f}, "
          f"{peak[0] / MIB:.1f}, {after / MIB:.1f}; descriptors {descriptors}, {peak[1]}, {vitals.descriptors()}; "
          f"broker {100 * cpu:.0f} % of a core")
    assert peak[0] <= memory + CROWD * BYTES_PER_CONNECTION_MAX + SLACK_BYTES
    assert peak[1] <= descriptors + CROWD + 100
    assert attack == "keep-alive" or LONG or told["closed"] > 0, "the bounds were not met"
