"""Storms, short: every promise is kept while clients are killed, stalled and taken over, on both drivers, with
connections that move to their session's shard and with connections that do not.

By hand and for longer: `ringmq-storm soak --help`, and the same for `slow-reader`, `retained` and `logins`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

sys.path.insert(0, str(ROOT / "testsuite"))

import broker_process  # noqa: E402

SETTINGS = [{"driver": "uring"}, {"driver": "epoll"}, {"driver": "auto", "no_move": True}]


@pytest.fixture(scope="session")
def storm_binary():
    """`ringmq-storm`, built as the broker under test is."""
    return broker_process.program_beside("ringmq-storm")


@pytest.fixture(params=SETTINGS, ids=["uring", "epoll", "no-move"])
def storm(request, storm_binary):
    """`storm(name, *arguments)` runs a storm against a broker of two shards and gives its figures. `hold` is for how
    many milliseconds a full queue is waited for before its policy applies."""
    brokers = []

    def run(name, *arguments, hold=300):
        broker = broker_process.start_ringmq(shards=2, arguments=["--sys-interval", 1, "--publish-hold", hold],
                                             **{"no_move": False, **request.param})
        brokers.append(broker)
        done = subprocess.run(
            [storm_binary, name, "--port", str(broker.port), "--broker-pid", str(broker.process.pid),
             *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    yield run
    for broker in brokers:
        broker.stop()


def test_soak(storm):
    """QoS 1 none lost, QoS 2 none lost and none twice, order kept, sessions there when clients come back."""
    figures = storm("soak", "--connections", 200, "--seconds", 6, "--settling-seconds", 6, "--rate", 3000,
                    "--blows", 60)
    assert figures["kept"] == 1 and figures["lost_qos1"] == figures["lost_qos2"] == figures["faults"] == 0
    assert figures["delivered"] > figures["published"] > 1000 and figures["takeovers"] > 10


@pytest.mark.parametrize("qos", [0, 1])
def test_slow_reader(storm, qos):
    """One reader of `#` that does not read: the pairs lose nothing, and what it missed is counted exactly."""
    figures = storm("slow-reader", "--pairs", 20, "--rate", 4000, "--payload-bytes", 4096, "--seconds", 2,
                    "--rounds", 1, "--qos", qos)
    assert figures["received"] + figures["dropped"] == figures["published"] > 1000
    assert figures["dropped"] > 0 and figures["lost"] == 0


def test_retained(storm):
    """All retained messages arrive at a subscriber that takes twenty at a time, and nobody ends on an older
    value while values change."""
    # A reader may be as slow as the machine: what a policy drops is not what is asked here.
    figures = storm("retained", "--topics", 5000, "--seconds", 4, "--rate", 3000, hold=60_000)
    assert figures["kept"] == 1 and figures["behind"] == figures["went_back"] == 0
    assert figures["changes"] > 1000


def test_logins(storm_binary, tmp_path):
    """Everybody comes in, hashed and then remembered, and the pairs lose nothing meanwhile."""
    one, users = tmp_path / "one", tmp_path / "users"
    subprocess.run([broker_process.ringmq_binary(), "passwd", "-c", "-b", one, "storm", "secret"], check=True, timeout=30)
    name, stored = one.read_text().splitlines()[-1].split(":")
    users.write_text("".join(f"{name}-{number}:{stored}\n" for number in range(60)))
    broker = broker_process.start_ringmq(shards=2, arguments=["--password-file", users, "--allow-anonymous"])
    try:
        done = subprocess.run(
            [storm_binary, "logins", "--port", str(broker.port), "--broker-pid", str(broker.process.pid), "--clients", "60",
             "--pairs", "10", "--rate", "500", "--seconds", "1", "--addresses", "20"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        broker.stop()
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["lost"] == figures["faults"] == 0
    assert figures["first_attempts"] >= 60 and figures["again_attempts"] == 60 and figures["again_refused"] == 0
    assert figures["first_hashing_seconds"] > 0 and figures["again_hashing_seconds"] == 0
