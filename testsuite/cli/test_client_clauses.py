"""`ringmq pub` and `ringmq sub` against a server that is bytes: what they answer to what no server may send, and how
their QoS 1 and 2 go on over connections that break."""

import socket
import subprocess
import tomllib
from pathlib import Path

import pytest

import broker_process
import mqtt_bytes as mqtt

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
LEVEL = {3: "31", 4: "311", 5: "5"}
PATIENCE = 10.0


class Server:
    """Listens; what it says is what a test tells it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.programs = []

    def start(self, *arguments):
        """Runs a client program for this server."""
        port = str(self.listener.getsockname()[1])
        command = [broker_process.ringmq_binary(), arguments[0], "-p", port, *arguments[1:]]
        self.programs.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                              stderr=subprocess.PIPE, text=True))
        return self.programs[-1]

    def accept(self, version, present=False):
        """The next connection, its CONNECT answered."""
        connection = Connection(self.listener.accept()[0], version)
        first, _ = connection.frame()
        assert first == 0x10
        answer = [0x20, 3, present, 0, 0] if version == 5 else [0x20, 2, present and version == 4, 0]
        connection.send(bytes(answer))
        return connection

    def close(self):
        """Ends what still runs."""
        for program in self.programs:
            program.kill()
            program.communicate()
        self.listener.close()


class Connection:
    """One connection of a client."""

    def __init__(self, stream, version):
        self.stream, self.version, self.buffer = stream, version, bytearray()
        stream.settimeout(PATIENCE)

    def send(self, data):
        """Writes bytes."""
        self.stream.sendall(data)

    def frame(self):
        """The client's next packet as (first byte, body), or nothing when it has closed."""
        while not (frame := mqtt.take_frame(self.buffer)):
            data = self.stream.recv(4096)
            if not data:
                return None
            self.buffer += data
        first, body, used = frame
        del self.buffer[:used]
        return first, body

    def expect(self, first):
        """The next packet, which must begin so; its body."""
        found = self.frame()
        assert found and found[0] == first, (found, hex(first))
        return found[1]

    def expect_closed(self):
        """Nothing more comes."""
        assert self.frame() is None
        self.stream.close()


@pytest.fixture
def server():
    """A server of the test's own."""
    running = Server()
    yield running
    running.close()


def one_of_each():
    """One bad packet of a server for each clause and version."""
    found = {}
    for path in sorted(VECTORS.glob("*.toml")):
        for vector in tomllib.loads(path.read_text(encoding="utf-8"))["vector"]:
            data = bytes.fromhex(vector["bytes"])
            if vector["from"] == "server" and "breaks" in vector and data[0] >> 4 != mqtt.KINDS.index("CONNACK"):
                found.setdefault((vector["version"], vector["breaks"]), (vector, data))
    return list(found.values())


BAD = one_of_each()


@pytest.mark.parametrize(("vector", "data"), BAD, ids=[vector["name"] for vector, _ in BAD])
def test_bad_packet_of_a_server(server, vector, data):
    """The program tells a 5.0 server what is wrong, closes [MQTT-4.13.1-1] [MQTT-4.8.0-1 of 3.1.1], and ends with
    an error."""
    version = vector["version"]
    program = server.start("pub", "-V", LEVEL[version], "-i", "c", "-t", "t", "-m", "x", "-q", "1")
    connection = server.accept(version)
    connection.expect(0x32)
    connection.send(data)
    if version == 5:
        assert connection.expect(0xE0)[0] == vector["reason"]
    connection.expect_closed()
    assert program.wait(PATIENCE) != 0 and program.communicate()[1]


KEPT = {4: ["-c"], 5: ["-c", "-x", "60"]}


@pytest.mark.parametrize("version", [4, 5], ids=["v3.1.1", "v5"])
def test_published_over_broken_connections(server, version):
    """A line at QoS 2, with the connection lost at each step: PUBLISH again with DUP until PUBREC [MQTT-4.3.3-3]
    [MQTT-3.3.1-1], then PUBREL and nothing else until PUBCOMP [MQTT-4.3.3-5] [MQTT-4.3.3-6]."""
    program = server.start("pub", "-V", LEVEL[version], "-i", "c", *KEPT[version], "-t", "t", "-l", "-q", "2")
    program.stdin.write("line\n")
    program.stdin.close()
    connection = server.accept(version)
    body = connection.expect(0x34)
    packet_id = body[3:5]
    connection.stream.close()
    connection = server.accept(version, present=True)
    assert connection.expect(0x3C) == body
    connection.send(b"\x50\x02" + packet_id)
    assert connection.expect(0x62) == packet_id
    connection.stream.close()
    connection = server.accept(version, present=True)
    assert connection.expect(0x62) == packet_id
    connection.send(b"\x70\x02" + packet_id)
    connection.expect(0xE0)
    connection.expect_closed()
    program.stdin = None
    assert program.wait(PATIENCE) == 0


@pytest.mark.parametrize("version", [4, 5], ids=["v3.1.1", "v5"])
def test_received_once(server, version):
    """A subscriber acknowledges everything in order [MQTT-4.5.0-2] [MQTT-4.6.0-2] [MQTT-4.6.0-3] and prints a QoS 2
    message once, however often it comes before PUBREL [MQTT-4.3.3-10]."""
    program = server.start("sub", "-V", LEVEL[version], "-i", "c", *KEPT[version], "-t", "t", "-q", "2", "-C", "4")
    none = b"\0" if version == 5 else b""

    def publish(first, packet_id, payload):
        """A message of the server."""
        return mqtt.packet("PUBLISH", first, mqtt.binary("t") + bytes([0, packet_id]) + none + payload)

    connection = server.accept(version)
    connection.send(b"\x90" + bytes([3 + len(none)]) + connection.expect(0x82)[:2] + none + b"\x02")
    connection.send(publish(4, 7, b"once") + publish(2, 8, b"twice") + publish(2, 3, b"last"))
    assert [connection.expect(first) for first in (0x50, 0x40, 0x40)] == [b"\0\7", b"\0\x08", b"\0\3"]
    connection.send(publish(12, 7, b"once"))
    assert connection.expect(0x50) == b"\0\7"
    connection.send(b"\x62\2\0\7")
    assert connection.expect(0x70)[:2] == b"\0\7"
    connection.send(publish(2, 9, b"end"))
    assert connection.expect(0x40) == b"\0\x09"
    connection.expect(0xE0)
    connection.expect_closed()
    assert program.communicate(timeout=PATIENCE)[0] == "once\ntwice\nlast\nend\n"
    assert program.returncode == 0
