"""CONNECT, SUBSCRIBE and PUBLISH in one write and at any split, to every shard."""

import time

import pytest

import mqtt_bytes as mqtt
from raw_client import Peer


def opening(client_id, version):
    """CONNECT, SUBSCRIBE to a topic of one's own, PUBLISH to it, and its acknowledgement to come."""
    topic = f"split/{client_id}"
    return [mqtt.connect(client_id, version), mqtt.subscribe(1, [(topic, 1)], version),
            mqtt.publish(topic, b"early", 1, 2, version=version)]


def check_answers(peer):
    """All of it was done, in order, and the message came back."""
    peer.expect("CONNACK", reason=0)
    peer.expect("SUBACK", packet_id=1, reasons=[1])
    peer.expect("PUBACK", packet_id=2)
    peer.message(payload=b"early")


def test_one_write(broker, each_shard, version):
    """Packets that came behind CONNECT are processed after acceptance [MQTT-3.1.4-6]; whichever shard took the
    connection."""
    for client_id in each_shard:
        for _ in range(4):  # the kernel picks the accepting shard; four tries meet several
            with Peer(broker.port, version) as peer:
                peer.send(*opening(client_id, version))
                check_answers(peer)


def test_every_split(broker, each_shard, version):
    """Two writes with a pause between them, split at every byte [MQTT-3.1.4-6].

    Clauses: [MQTT-4.2-1] [MQTT-7.1.1-1 of 3.1.1]."""
    client_id = each_shard[-1]
    whole = b"".join(opening(client_id, version))
    for position in range(1, len(whole)):
        with Peer(broker.port, version) as peer:
            peer.send(whole[:position])
            time.sleep(0.0005)
            peer.send(whole[position:])
            check_answers(peer)


def test_byte_by_byte(broker, each_shard, version):
    """One byte per write."""
    for client_id in each_shard:
        with Peer(broker.port, version) as peer:
            for byte in b"".join(opening(client_id, version)):
                peer.send(bytes([byte]))
                time.sleep(0.0002)
            check_answers(peer)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 300_000, 2_100_000])
def test_payload_sizes(connect, ids, size):
    """Every length of the remaining length field, through both directions, section 2.1.4."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("size/#", qos=1)
    payload = bytes(size)
    publisher.publish("size/x", payload, qos=1)
    assert receiver.message("size/x").payload == payload


def test_many_packets_in_one_write(connect, ids):
    """A thousand publishes in one write arrive in order [MQTT-4.6.0-6].

    Clauses: [MQTT-4.2-1] [MQTT-4.6.0-5]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("burst", qos=0)
    publisher.send(*[mqtt.publish("burst", str(number)) for number in range(1000)])
    assert [found.payload for found in receiver.messages(1000)] == [b"%d" % number for number in range(1000)]


def test_disconnect_behind_publish(connect, ids):
    """What came before DISCONNECT in the same write is done."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe("last", qos=1)
    publisher.send(mqtt.publish("last", b"word", 1, 1), mqtt.disconnect())
    receiver.message("last", b"word")


def test_rejected_connect_runs_nothing(broker, connect, ids):
    """What came behind a refused CONNECT is not processed [MQTT-3.1.4-6]."""
    receiver = connect(ids.one())
    receiver.subscribe("refused/#")
    peer = Peer(broker.port, 4)
    peer.send(mqtt.connect("", 4, clean=False), mqtt.publish("refused/x", b"no", version=4))
    assert [packet.reason for packet in peer.expect_closed()] == [2]
    receiver.publish("refused/end", b"end")
    receiver.message("refused/end", b"end")
