"""What systemd and a service tell each other: sockets that are handed over, and READY, RELOADING, STOPPING."""

import re
import socket
import subprocess
import sys
import time

import pytest
from open_doors import READY, certified, toml_file
from raw_client import Peer
from strangers import PROGRAMS, mosquitto_exchange

import broker_process


class Notifications:
    """The socket at which a service manager hears its services (sd_notify(3))."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(10)
        self.environment = {"NOTIFY_SOCKET": path}

    def next(self):
        """The next message, as a dictionary."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())


@pytest.fixture
def manager(tmp_path):
    """A service manager's ear at a path, which most have; abstract names are another's test."""
    found = Notifications(str(tmp_path / "notify"))
    yield found
    found.socket.close()


def test_ready_reloading_stopping(serve, visitors, manager, certificates):
    """READY=1 comes when clients can come, RELOADING=1 with a time before a reload and READY=1 behind it, STOPPING=1
    when it is told to stop."""
    served = serve({"tls": {"address": "tls://127.0.0.1:0", **certified(certificates.one)}},
                   environment=manager.environment)
    assert manager.next() == {"READY": "1"}
    visitors(served)("tls", "early")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    served.broker.terminate(broker_process.signal.SIGHUP)
    reloading = manager.next()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert reloading.pop("RELOADING") == "1" and before <= int(reloading.pop("MONOTONIC_USEC")) <= after
    assert not reloading and manager.next() == {"READY": "1"}
    served.broker.terminate()
    assert manager.next() == {"STOPPING": "1"}
    served.broker.wait_stopped()


def test_a_reload_that_fails_is_over_too(serve, manager):
    """The service is ready again, as it was; systemd would wait for ever otherwise."""
    served = serve({"tcp": {"address": "tcp://127.0.0.1:0"}}, environment=manager.environment)
    assert manager.next() == {"READY": "1"}
    served.file.write_text("nonsense = 1\n")
    served.broker.terminate(broker_process.signal.SIGHUP)
    assert manager.next()["RELOADING"] == "1" and manager.next() == {"READY": "1"}
    served.broker.wait_for_line("nothing was changed")


def test_an_abstract_name(serve):
    """`@NAME`: how containers are told."""
    ear = Notifications(f"\0ringmq-{time.monotonic_ns()}")
    serve({"tcp": {"address": "tcp://127.0.0.1:0"}},
          environment={"NOTIFY_SOCKET": "@" + ear.environment["NOTIFY_SOCKET"][1:]})
    assert ear.next() == {"READY": "1"}
    ear.socket.close()


@pytest.fixture
def activated(request, tmp_path):
    """`activated(sockets, listeners)` starts a broker as systemd does, with sockets that are open already."""
    option = request.config.option
    started = []

    def start(sockets, listeners):
        file = toml_file(tmp_path / "activated.toml", listeners, allow_anonymous=True)
        command = [sys.executable, str(PROGRAMS / "launcher.py"), *sockets, "--", broker_process.ringmq_binary(),
                   "serve", "-c", str(file), "--shards", str(option.shards), "--driver", option.driver,
                   *(["--no-move"] if option.no_move else [])]
        broker = broker_process.Broker(command, READY, port=1)
        started.append(broker)
        broker.places = dict(line.split(" ", 1) for line in broker.lines if re.fullmatch(r"\S+ (\d+|unix:\S+)", line))
        return broker

    yield start
    for broker in started:
        broker.stop()


class Place:
    """Where mosquitto's tools find a socket that was handed over."""

    def __init__(self, port=None, path=None):
        self.ports = {"here": port} if port else {}
        self.paths = {"here": path} if path else {}


def test_sockets_that_are_handed_over(activated, certificates, tmp_path):
    """By their names: plain, TLS, and a Unix socket, whose file stays the manager's when the broker goes."""
    path = tmp_path / "activated.sock"
    broker = activated(["plain=tcp", "secure=tcp", f"file=unix:{path}"], [
        {"address": "activated:secure", **certified(certificates.one)}, {"address": "activated:plain"},
        {"address": "activated:file"}])
    mosquitto_exchange(Place(int(broker.places["plain"])), "here", "plain")
    mosquitto_exchange(Place(int(broker.places["secure"])), "here", "secure", "--cafile", certificates.ca)
    mosquitto_exchange(Place(path=str(path)), "here", "file")
    broker.stop()
    assert path.exists(), "who made it removes it"


def test_clients_reach_every_shard(activated, shard_names):
    """One socket, all shards: sessions live at their homes as with any other listener."""
    broker = activated(["plain=tcp"], [{"address": "activated:plain"}])
    port = int(broker.places["plain"])
    peers = [Peer.connected(port, names[-1]) for names in shard_names.by_shard]
    for peer in peers:
        peer.subscribe("all", qos=1)
    peers[0].publish("all", b"x", qos=1)
    for peer in peers:
        peer.message("all", b"x")
        peer.drop()


def test_a_reload_keeps_the_socket(activated):
    """It is handed over once and is there for as long as the broker runs."""
    broker = activated(["plain=tcp"], [{"address": "activated:plain"}])
    port = int(broker.places["plain"])
    Peer.connected(port, "before").disconnect()
    broker.terminate(broker_process.signal.SIGHUP)
    broker.wait_for_line("reloaded;")
    Peer.connected(port, "behind").disconnect()


def test_a_socket_that_was_not_handed_over(tmp_path):
    """The message says which there are; exit code 2."""
    file = toml_file(tmp_path / "activated.toml", [{"address": "activated:mqtt"}], allow_anonymous=True)
    serve = [broker_process.ringmq_binary(), "serve", "-c", str(file), "--shards", "1"]
    launcher = [sys.executable, str(PROGRAMS / "launcher.py"), "web=tcp", "other=tcp", "--"]
    for command, expected in [(serve, "nor any other"), (launcher + serve, "there are web, other")]:
        done = subprocess.run(command, capture_output=True, text=True, timeout=15, stdin=subprocess.DEVNULL)
        assert done.returncode == 2 and "no socket `mqtt` was handed over" in done.stderr, done
        assert expected in done.stderr
