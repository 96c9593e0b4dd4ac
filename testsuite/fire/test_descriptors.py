"""No descriptor left: who is connected is served, nothing spins, the log says what to do, it heals by itself.

Each test runs on both drivers; the limit is the process's own RLIMIT_NOFILE, lowered while the broker runs or
before it starts.
"""

import os
import resource
import signal
import subprocess
import time

import pytest

import broker_process
import mqtt_bytes as mqtt
from raw_client import Closed, Peer

FREE = 12
CROWD = 60
CANNOT_ACCEPT = r"no connection can be accepted.*Too many open files.*ulimit -n.*LimitNOFILE="
# A shard that spins takes a core; ten looks a second take nearly nothing.
WATCHED_SECONDS = 2.0
CPU_SHARE_MAX = 0.15


@pytest.fixture(params=["uring", "epoll"])
def starving(request, start_broker):
    """A broker on this driver that may open no more than `FREE` descriptors beyond those it has."""
    broker = start_broker(driver=request.param)
    # Each shard has opened all its own before it said that it is ready.
    limit_descriptors(broker, len(os.listdir(f"/proc/{broker.process.pid}/fd")) + FREE)
    return broker


def limit_descriptors(broker, limit):
    """Changes the limit of a running broker; the hard limit stays, so that it may be raised again."""
    _, hard = resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, (limit, hard))


@pytest.fixture
def crowd():
    """`crowd(port, count)` opens sockets and sends CONNECT on each, without waiting; closed at the end."""
    opened = []

    def gather(port, count):
        peers = [Peer(port) for _ in range(count)]
        for number, peer in enumerate(peers, len(opened)):
            peer.send(mqtt.connect(f"crowd-{number}", 5))
        opened.extend(peers)
        return peers

    yield gather
    for peer in opened:
        peer.drop()


def cpu_seconds(pid):
    """What a process has used of its cores so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connacks(peers, wanted, timeout=10.0):
    """Waits until `wanted` of them have their CONNACK; gives those that have, and those that wait or were
    closed."""
    deadline = time.monotonic() + timeout
    served, others = [], list(peers)
    while len(served) < wanted and time.monotonic() < deadline:
        for peer in list(others):
            try:
                peer.expect("CONNACK", 0.01, reason=0)
            except TimeoutError:
                continue
            except Closed:
                others.remove(peer)
                continue
            others.remove(peer)
            served.append(peer)
    assert len(served) >= wanted, f"{len(served)} of {len(peers)} were accepted, not {wanted}"
    return served, others


def starve(broker, crowd):
    """Uses up all descriptors; gives the clients that got in, and those that wait outside."""
    peers = crowd(broker.port, CROWD)
    broker.wait_for_line(CANNOT_ACCEPT)
    return connacks(peers, FREE // 2)


def test_nothing_spins_and_who_is_in_is_served(starving, crowd, peers):
    """CPU time stays small while clients wait outside, and a publish gets through inside."""
    receiver, publisher = peers(starving.port, "receiver"), peers(starving.port, "publisher")
    receiver.subscribe("in/side", qos=1)
    served, _ = starve(starving, crowd)
    watch(starving, receiver, publisher)
    for peer in served:
        peer.ping()


def watch(broker, receiver, publisher):
    """Publishes now and then for a while, and judges what that has cost the broker."""
    before = cpu_seconds(broker.process.pid)
    until = time.monotonic() + WATCHED_SECONDS
    count = 0
    while time.monotonic() < until:
        publisher.publish("in/side", str(count), qos=1)
        receiver.message("in/side", str(count))
        count += 1
        time.sleep(0.1)
    used = cpu_seconds(broker.process.pid) - before
    assert used < CPU_SHARE_MAX * WATCHED_SECONDS, f"{used:.2f} s of CPU in {WATCHED_SECONDS} s"


def test_a_limit_below_what_is_open(starving, crowd, peers):
    """Not even a descriptor that was just closed can be had again, which is also what a shard sees whose
    descriptor another one took. Who is in is served, also one that reads slowly."""
    receiver, publisher = peers(starving.port, "receiver"), peers(starving.port, "publisher")
    receiver.subscribe("in/side", qos=1)
    slow = Peer.connected(starving.port, "slow", receive_buffer_bytes=4096)
    slow.subscribe("wide", qos=1)
    limit_descriptors(starving, 3)
    waiting = crowd(starving.port, 4)
    starving.wait_for_line(CANNOT_ACCEPT)
    for _ in range(20):
        publisher.publish("wide", bytes(200_000), qos=1)
    watch(starving, receiver, publisher)
    for _ in range(20):
        slow.message("wide", bytes(200_000))
    slow.drop()
    limit_descriptors(starving, 1000)
    connacks(waiting, len(waiting))


def test_free_descriptors_are_used_again(starving, crowd):
    """Each client that leaves makes room for one that waits, and the log says when it is over."""
    served, waiting = starve(starving, crowd)
    for _ in range(3):
        for peer in served:
            peer.drop()
        served, waiting = connacks(waiting, min(len(served), len(waiting)) // 2)
    for peer in [*served, *waiting]:
        peer.drop()
    late = Peer.connected(starving.port, "late")
    late.ping()
    late.drop()
    starving.wait_for_line("connections are accepted again")
    # Once for each listener, of which a shard has two, and not once for each attempt.
    assert starving.log.count("no connection can be accepted") <= 2 * 2 * 8, starving.log


def test_a_raised_limit_needs_no_restart(starving, crowd):
    """The operator does what the line says."""
    _, waiting = starve(starving, crowd)
    limit_descriptors(starving, 1000)
    connacks(waiting, len(waiting) - FREE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_stopping_while_starved(starving, crowd, number):
    """A stop needs no descriptor: farewells are said and the exit code is 0."""
    served, _ = starve(starving, crowd)
    starving.terminate(number)
    for peer in served:
        peer.expect_disconnect(0x8B)
    starving.wait_stopped()


@pytest.mark.parametrize("driver", ["uring", "epoll"])
def test_starting_with_too_few(driver, request):
    """Every limit that is too small is refused in words and with exit code 1, at whatever step it strikes; the
    first that suffices gives a broker that stops as always."""
    shards = request.config.option.shards
    for limit in range(4, 200):
        command = [broker_process.ringmq_binary(), "serve", "-p", "0", "--shards", str(shards), "--driver", driver]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
        said = []
        for line in process.stderr:
            said.append(line)
            if "ready" in line:
                process.send_signal(signal.SIGTERM)
        code = process.wait(broker_process.STOP_SECONDS)
        text = "".join(said)
        assert "panicked" not in text, (limit, text)
        if "ready" in text:
            assert code == 0, (limit, code, text)
            return
        if "error while loading shared libraries" in text:
            continue
        assert code == 1 and "ulimit -n" in text, (limit, code, text)
    raise AssertionError("no limit sufficed")
