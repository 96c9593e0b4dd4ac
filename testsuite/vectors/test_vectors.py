"""Every packet of the vectors that a client sends, raw to the real broker, and the exact answer to it.

One broker serves all of them. Behind each packet goes a PINGREQ, so that no test waits to see that nothing
comes: what is there when the PINGRESP and the last answer are, or the end of the connection, is all.
"""

import tomllib
from pathlib import Path

import pytest

import mqtt_bytes as mqtt
from raw_client import Closed, Peer

FOLDER = Path(__file__).resolve().parent
KEYS = {"name", "version", "from", "bytes", "alone", "means", "again", "breaks", "reason", "answer"}


def read_all():
    """All vectors of all files."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        found += tomllib.loads(path.read_text(encoding="utf-8"))["vector"]
    return found


VECTORS = read_all()
FROM_CLIENT = [vector for vector in VECTORS if vector["from"] == "client"]


def packet_of(vector):
    """The bytes."""
    return bytes.fromhex(vector["bytes"])


def in_words(packet, version):
    """An answer of the broker as the vectors write it."""
    words = [packet.kind]
    if packet.packet_id is not None:
        words.append(str(packet.packet_id))
    codes = [packet.reason] if packet.reason is not None else packet.reasons
    if version == 5 or packet.kind in ("CONNACK", "SUBACK"):
        words += [f"0x{code:02X}" for code in codes]
    return " ".join(words)


def answers(peer, wanted):
    """What the broker says to a packet and the PINGREQ behind it, up to the end of the connection or to the
    last of it. An acknowledgement that waits for another shard may come behind the PINGRESP."""
    said, pongs = [], 1 + wanted.count("PINGRESP")
    try:
        while pongs or len(said) < len(wanted):
            packet = peer.receive()
            if packet.kind == "PINGRESP" and pongs:
                pongs -= 1
            if packet.kind != "PINGRESP" or pongs:
                said.append(in_words(packet, peer.version))
        return said
    except Closed:
        return [*said, "closed"]


def parser_version(vector):
    """The version in which the broker answers: to a CONNECT whose version it does not know, the one before
    5.0 for lower levels."""
    return 4 if vector["answer"].startswith("CONNACK 0x01") else vector["version"]


@pytest.mark.parametrize("vector", FROM_CLIENT, ids=[vector["name"] for vector in FROM_CLIENT])
def test_answer(shared_broker, vector):
    """The broker answers exactly what stands there [MQTT-4.13.1-1]; a bad packet ends the connection, in 5.0
    with its reason code."""
    data = packet_of(vector)
    first = data[0] >> 4 == mqtt.KINDS.index("CONNECT") or vector.get("alone")
    with Peer(shared_broker.port, parser_version(vector)) as peer:
        if not first:
            peer.send(mqtt.connect("vector", vector["version"]))
            peer.expect("CONNACK", reason=0)
        peer.send(data, mqtt.PINGREQ)
        wanted = vector["answer"].split(", ") if vector["answer"] else []
        assert answers(peer, wanted) == wanted, vector
    leave_nothing(shared_broker, vector)


def leave_nothing(broker, vector):
    """Clears what a good packet made the broker keep."""
    means = vector.get("means", "")
    if means.startswith("PUBLISH") and " retain " in means:
        topic = means.split('topic="')[1].split('"')[0]
        with Peer.connected(broker.port, "sweeper", 4) as peer:
            peer.publish(topic, b"", qos=1, retain=True)


def test_form():
    """The files say what the readers understand: known keys, whole packets, one verdict each."""
    assert len(VECTORS) >= 400 and len({vector["name"] for vector in VECTORS}) == len(VECTORS)
    for vector in VECTORS:
        assert set(vector) <= KEYS and ("means" in vector) != ("breaks" in vector), vector
        assert vector["from"] == "server" or "answer" in vector, vector
        assert frame_of(packet_of(vector))[2] == len(packet_of(vector)), vector


def frame_of(data):
    """The one packet that the bytes are, taken apart without asking for a minimal length."""
    length, at = 0, 1
    while at < 5:
        length |= (data[at] & 0x7F) << 7 * (at - 1)
        at += 1
        if not data[at - 1] & 0x80:
            return data[0], data[at : at + length], at + length
    return data[0], b"", len(data)


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if vector["from"] == "server" and "means" in vector],
                         ids=lambda vector: vector["name"])
def test_own_parser(vector):
    """The parser of these tests takes every good packet of a server for what it is."""
    packet = mqtt.parse(*frame_of(packet_of(vector))[:2], vector["version"])
    words = vector["means"].split(" ")
    assert packet.kind == words[0], vector
    for word in words[1:]:
        name, _, value = word.partition("=")
        if name == "id":
            assert packet.packet_id == int(value), vector
        elif name == "reason":
            assert packet.reason == int(value, 16), vector
        elif name == "codes" and value:
            assert packet.reasons == [int(code, 16) for code in value.split(",")], vector
