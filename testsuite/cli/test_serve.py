"""`ringmq serve`: ports, addresses, refusals and what it says."""

import re
import subprocess

import pytest

import broker_process
import mqtt_bytes as mqtt
from raw_client import Peer


def run_serve(*arguments, expected=1):
    """A `serve` that is to end by itself; gives what it wrote."""
    command = [broker_process.ringmq_binary(), "serve", *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=15)
    assert done.returncode == expected or (expected == 1 and done.returncode), (done.returncode, done.stderr)
    assert "panic" not in done.stderr
    return done.stdout + done.stderr


def test_port_zero_is_one_port_for_both_families(broker):
    """Port 0 gives one number, for IPv4 and IPv6 and every shard."""
    broker.wait_for_line(r"listening on mqtt://127\.0\.0\.1:%d" % broker.port)
    broker.wait_for_line(r"listening on mqtt://\[::1\]:%d" % broker.port)


def test_ipv6(broker, each_shard):
    """IPv6 and IPv4 clients talk to each other."""
    six = Peer.connected(broker.port, each_shard[0], host="::1")
    four = Peer.connected(broker.port, each_shard[-1] + "-four")
    six.subscribe("x", qos=1)
    four.publish("x", b"over", qos=1)
    six.message("x", b"over")
    six.drop()
    four.drop()


def test_many_connections_reach_every_shard(broker, peers):
    """The listeners of all shards answer on the one port."""
    crowd = [peers(broker.port, f"crowd-{number}") for number in range(64)]
    for peer in crowd:
        peer.ping()


def test_second_broker_on_the_port(broker):
    """A second broker on the same port is refused with a line that names the port."""
    said = run_serve("-p", broker.port)
    assert str(broker.port) in said and re.search(r"in use", said), said
    Peer.connected(broker.port, "still-here").drop()


def test_port_of_somebody_else(tmp_path):
    """Another program's port is refused in the same way."""
    other = broker_process.start_mosquitto(tmp_path)
    try:
        said = run_serve("-p", other.port)
        assert str(other.port) in said and "in use" in said
    finally:
        other.stop()


def test_two_brokers_at_once(start_broker, peers):
    """Brokers on ports of their own do not know each other."""
    first, second = start_broker(), start_broker()
    assert first.port != second.port
    here, there = peers(first.port, "same"), peers(second.port, "same")
    for peer in (here, there):
        peer.subscribe("x")
    here.publish("x", b"1")
    there.publish("x", b"2")
    here.message("x", b"1")
    there.message("x", b"2")


def test_addresses_beyond_this_machine_need_a_word(start_broker):
    """0.0.0.0 without credentials is refused, with what to do; with --allow-anonymous it works."""
    said = run_serve("-p", 0, "--bind", "0.0.0.0")
    assert "--allow-anonymous" in said
    said = run_serve("-p", 0, "--bind", "::")
    assert "--allow-anonymous" in said
    broker = start_broker("--bind", "0.0.0.0", "--allow-anonymous")
    Peer.connected(broker.port, "anyone").drop()


def test_bind_is_repeatable(start_broker):
    """Each --bind is an address to listen on, and only those."""
    broker = start_broker("--bind", "127.0.0.1", "--bind", "127.0.0.2")
    for host in ("127.0.0.1", "127.0.0.2"):
        Peer.connected(broker.port, "x", host=host).drop()
    with pytest.raises(ConnectionError):
        Peer(broker.port, host="::1")


def test_same_port_again_after_a_stop(start_broker):
    """A broker that was stopped with clients connected leaves its port usable at once."""
    first = start_broker()
    peer = Peer.connected(first.port, "left-open")
    first.stop()
    second = start_broker("-p", str(first.port))
    assert second.port == first.port
    peer.drop()


BAD_FLAGS = [
    ("--shards", "0"), ("--shards", "100000"), ("-p", "70000"), ("--bind", "nowhere.invalid"),
    ("--driver", "magic"), ("--queue-policy", "forget"), ("--set", "no_such_key=1"), ("--set", "publish_hold=soon"),
    ("--set", "partition_key=xyz"), ("--cores", "9999"), ("--cores", "5-1"), ("--nonsense",),
]


@pytest.mark.parametrize("flags", BAD_FLAGS, ids=[" ".join(row) for row in BAD_FLAGS])
def test_bad_flags(flags):
    """A flag or value that is none is refused at start and named."""
    said = run_serve("-p", 0, *flags)
    assert flags[-1].split("=")[0].strip("-") in said.lower() or flags[0].strip("-") in said, said


def test_verbose_lines(start_broker, peers):
    """-v writes a line per packet, with the words of mosquitto's."""
    broker = start_broker("-v")
    peer = peers(broker.port, "talker")
    peer.subscribe("v/#", qos=1)
    peer.publish("v/topic", b"12345", qos=1)
    peer.message("v/topic")
    peer.disconnect()
    for pattern in (r"talker.*p5", r"Sending CONNACK to talker", r"Received SUBSCRIBE from talker", r"v/#.*QoS 1",
                    r"Sending SUBACK to talker", r"Received PUBLISH from talker .*'v/topic'.*5 bytes",
                    r"Sending PUBACK to talker", r"Sending PUBLISH to talker .*'v/topic'",
                    r"Received PUBACK from talker", r"Received DISCONNECT from talker"):
        broker.wait_for_line(pattern)


def test_quiet_by_default(broker, connect):
    """Without -v no line per packet."""
    peer = connect("talker")
    peer.publish("v/topic", b"12345", qos=1)
    peer.disconnect()
    assert "PUBLISH" not in broker.log


def test_says_which_driver(start_broker):
    """`auto` says in one line which driver it took and why."""
    broker = start_broker(driver="auto")
    line = broker.wait_for_line(r".*driver.*").group(0)
    assert "uring" in line or "epoll" in line


@pytest.mark.parametrize("driver", ["uring", "epoll"])
def test_both_drivers(start_broker, peers, ids, driver):
    """The same broker on either driver."""
    broker = start_broker(driver=driver)
    receiver, publisher = peers(broker.port, ids.one()), peers(broker.port, ids.one())
    receiver.subscribe("x", qos=2)
    publisher.publish("x", bytes(50_000), qos=2)
    receiver.message("x", bytes(50_000))


def test_garbage_does_no_harm(broker, connect):
    """Bytes that are no MQTT close their connection and nothing else."""
    for data in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 8, b"\xff" * 100, b"\x10\x00", b"\x16\x03\x01\x02"):
        peer = Peer(broker.port)
        peer.send(data)
        peer.socket.shutdown(1)
        try:
            peer.expect_closed()
        except (mqtt.Malformed, ConnectionError) as error:
            raise AssertionError(f"{data!r}: {error}") from error
        finally:
            peer.drop()
    connect("fine").ping()


def test_version_and_help():
    """--version names program and version, --help is worth reading."""
    binary = broker_process.ringmq_binary()
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"ringmq \d+\.\d+\.\d+\S*\n", version)
    text = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout
    for word in ("serve", "pub", "sub", "rr"):
        assert re.search(rf"^\s+{word}\b", text, re.MULTILINE), word
    serve = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    for flag in ("--port", "--bind", "--cores", "--driver", "--allow-anonymous"):
        assert flag in serve


def test_reload_by_pid_file(start_broker, tmp_path):
    """--pid-file names the process while it runs, and `ringmq reload` finds it there."""
    path = tmp_path / "ringmq.pid"
    broker = start_broker("--pid-file", path)
    broker.wait_for_line("ready")
    assert int(path.read_text()) == broker.process.pid
    command = [broker_process.ringmq_binary(), "reload", "--pid-file", str(path)]
    assert subprocess.run(command, timeout=10, check=False).returncode == 0
    broker.wait_for_line("reloaded; changed: no key")
    broker.stop()
    assert not path.exists()
    failed = subprocess.run(command, capture_output=True, timeout=10, check=False, text=True)
    assert failed.returncode == 1 and "is the server running?" in failed.stderr
