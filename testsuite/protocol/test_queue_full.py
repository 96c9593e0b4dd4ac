"""Full queues: who waits, who pays, and who does not notice."""

import array
import fcntl
import socket
import struct
import termios
import time

import pytest

import mqtt_bytes as mqtt
from raw_client import TIMEOUT, Peer

KEPT = {"session_expiry_interval": 60}
QUEUE = 5
WINDOW = 1
FLOOD = 20


def offline_session(peers, port, name, topic="full"):
    """A session that subscribed at QoS 1 and went away."""
    peer = peers(port, name, properties=KEPT)
    peer.subscribe(topic, qos=1)
    peer.disconnect()


def acknowledged(publisher, numbers, timeout):
    """How many of the publishes are acknowledged within `timeout` seconds."""
    count = 0
    deadline = time.monotonic() + timeout
    for number in numbers:
        try:
            publisher.expect("PUBACK", max(deadline - time.monotonic(), 0.001), packet_id=number)
        except TimeoutError:
            break
        count += 1
    return count


@pytest.mark.parametrize("version", [4, 5])
def test_drop_for_an_offline_session(start_broker, peers, ids, version):
    """Policy drop: an offline session keeps what fits, the publisher does not wait, and the loss is counted."""
    broker = start_broker("--queue-messages-max", QUEUE, "--sys-interval", 1)
    watcher, publisher, name = peers(broker.port, ids.one()), peers(broker.port, ids.one(), version), ids.one()
    offline_session(peers, broker.port, name)
    watcher.subscribe("$SYS/broker/publish/messages/dropped")
    started = time.monotonic()
    for number in range(FLOOD):
        publisher.publish("full", str(number), qos=1)
    assert time.monotonic() - started < 2, "nobody waits for an absent session"
    back = peers(broker.port, name, clean=False, properties=KEPT)
    assert back.connack.session_present
    found = [int(message.payload) for message in back.messages(QUEUE)]
    assert found == sorted(found) and len(found) == QUEUE
    back.ping()
    back.expect_silence()
    dropped = 0
    while dropped < FLOOD - QUEUE:
        dropped = int(watcher.message("$SYS/broker/publish/messages/dropped").payload)
    assert dropped == FLOOD - QUEUE


def test_end_for_an_offline_session(start_broker, peers, ids):
    """Policy end: the session ends; its client learns by session present 0 [MQTT-3.2.2-2]."""
    broker = start_broker("--queue-messages-max", QUEUE, "--queue-policy", "end")
    publisher, name, other = peers(broker.port, ids.one()), ids.one(), ids.one()
    offline_session(peers, broker.port, name)
    for number in range(QUEUE):
        publisher.publish("full", str(number), qos=1)
    offline_session(peers, broker.port, other)
    publisher.publish("full", b"over", qos=1)
    assert not peers(broker.port, name, clean=False).connack.session_present
    peers(broker.port, other, clean=False, properties=KEPT).message("full", b"over")


def test_refuse_for_an_offline_session(start_broker, peers, ids):
    """Policy refuse: a version 5 publisher gets 0x97 and nobody the message; the session keeps what it has."""
    broker = start_broker("--queue-messages-max", QUEUE, "--queue-policy", "refuse")
    publisher, name = peers(broker.port, ids.one()), ids.one()
    offline_session(peers, broker.port, name)
    for number in range(QUEUE):
        publisher.publish("full", str(number), qos=1, reason=0)
    publisher.publish("full", b"over", qos=1, reason=0x97)
    back = peers(broker.port, name, clean=False, properties=KEPT)
    assert [found.payload for found in back.messages(QUEUE)] == [b"%d" % number for number in range(QUEUE)]
    back.ping()
    publisher.publish("full", b"again", qos=1, reason=0)
    back.message("full", b"again")


@pytest.mark.parametrize("qos", [1, 2])
def test_refused_and_retained(start_broker, peers, ids, qos):
    """A retained publish that is refused has not replaced what the topic had, or cleared it."""
    broker = start_broker("--queue-messages-max", QUEUE, "--queue-policy", "refuse")
    publisher, name = peers(broker.port, ids.one()), ids.one()
    offline_session(peers, broker.port, name, topic="#")
    for number in range(QUEUE):
        publisher.publish("else", str(number), qos=1, reason=0)
    topics = [f"kept/{number}" for number in range(4)]
    for topic in topics:
        publisher.publish(topic, b"old", qos=0, retain=True)
        publisher.publish(topic, b"new", qos=qos, retain=True, reason=0x97)
        publisher.publish(topic, b"", qos=qos, retain=True, reason=0x97)
    publisher.publish("never/kept", b"new", qos=qos, retain=True, reason=0x97)
    for reader_name in ids.take(2):
        reader = peers(broker.port, reader_name)
        reader.subscribe("kept/#", "never/kept", qos=1)
        found = {message.topic: message.payload for message in reader.messages(len(topics))}
        assert found == {topic: b"old" for topic in topics}
        reader.ping()
        reader.expect_silence()


def test_refuse_in_older_versions(start_broker, peers, ids):
    """3.1.1 has no code for it: the publisher is closed without an acknowledgement."""
    broker = start_broker("--queue-messages-max", QUEUE, "--queue-policy", "refuse")
    publisher, name = peers(broker.port, ids.one(), 4), ids.one()
    offline_session(peers, broker.port, name)
    for number in range(QUEUE):
        publisher.publish("full", str(number), qos=1)
    publisher.send(mqtt.publish("full", b"over", 1, 99, version=4))
    assert publisher.expect_closed() == []


def full_receiver(peers, port, name):
    """A connected receiver that acknowledges nothing: one in flight, the rest must queue."""
    receiver = peers(port, name, properties={**KEPT, "receive_maximum": WINDOW})
    receiver.subscribe("full", qos=1)
    return receiver


def test_acknowledgements_wait_for_a_connected_session(start_broker, peers, ids):
    """While the receiver is connected, the publisher's acknowledgement waits until there is room; pings are
    answered meanwhile, nothing is lost and the order is kept [MQTT-4.6.0-2]."""
    broker = start_broker("--queue-messages-max", QUEUE, "--publish-hold", 20_000)
    publisher, name = peers(broker.port, ids.one()), ids.one()
    receiver = full_receiver(peers, broker.port, name)
    numbers = range(1, FLOOD + 1)
    publisher.send(*[mqtt.publish("full", str(number), 1, number) for number in numbers])
    first = acknowledged(publisher, numbers, 0.4)
    assert QUEUE <= first <= QUEUE + WINDOW, f"{first} acknowledged before there was room"
    publisher.ping()
    assert [found.payload for found in receiver.messages(FLOOD)] == [b"%d" % number for number in numbers]
    rest = range(first + 1, FLOOD + 1)
    assert acknowledged(publisher, rest, 3) == len(rest)


def test_hold_has_a_deadline(start_broker, peers, ids):
    """After publish_hold the session pays by its policy and the publisher goes on."""
    broker = start_broker("--queue-messages-max", QUEUE, "--publish-hold", 300)
    publisher, name = peers(broker.port, ids.one()), ids.one()
    receiver = full_receiver(peers, broker.port, name)
    for number in range(QUEUE):
        publisher.publish("full", str(number), qos=1)
    started = time.monotonic()
    while time.monotonic() - started < 0.2:
        before = time.monotonic()
        publisher.publish("full", b"held", qos=1)
    assert 0.15 < time.monotonic() - before < 2
    found = receiver.messages(QUEUE)
    assert [message.payload for message in found] == [b"%d" % number for number in range(QUEUE)]


def test_hold_ends_when_the_receiver_leaves(start_broker, peers, ids):
    """A receiver that goes is offline: its policy applies at once, no publisher waits on."""
    broker = start_broker("--queue-messages-max", QUEUE, "--publish-hold", 20_000)
    publisher, name = peers(broker.port, ids.one()), ids.one()
    receiver = full_receiver(peers, broker.port, name)
    numbers = range(1, 15)
    publisher.send(*[mqtt.publish("full", str(number), 1, number) for number in numbers])
    first = acknowledged(publisher, numbers, 0.3)
    assert first < len(numbers)
    receiver.drop()
    rest = range(first + 1, 15)
    assert acknowledged(publisher, rest, 3) == len(rest)


def test_held_publisher_does_not_hold_others(start_broker, peers, ids):
    """One full session delays the publishers that hit it, and nobody else."""
    broker = start_broker("--queue-messages-max", QUEUE, "--publish-hold", 20_000)
    publisher, name, other, reader = peers(broker.port, ids.one()), ids.one(), *[
        peers(broker.port, client) for client in ids.take(2)]
    full_receiver(peers, broker.port, name)
    reader.subscribe("free", "full", qos=1)
    publisher.send(*[mqtt.publish("full", str(number), 1, number) for number in range(1, FLOOD + 1)])
    assert acknowledged(publisher, range(1, FLOOD + 1), 0.2) < FLOOD
    started = time.monotonic()
    other.publish("free", b"quick", qos=1, reason=0)
    while reader.message().topic != "free":
        pass
    assert time.monotonic() - started < 1


def test_qos0_is_dropped_not_held(start_broker, peers, ids):
    """QoS 0 to a full queue is dropped; the publisher never waits, section 4.3.1."""
    broker = start_broker("--queue-messages-max", QUEUE, "--publish-hold", 20_000)
    publisher, name = peers(broker.port, ids.one()), ids.one()
    receiver = full_receiver(peers, broker.port, name)
    for number in range(QUEUE + WINDOW):
        publisher.send(mqtt.publish("full", str(number), 1, number + 1))
    assert acknowledged(publisher, range(1, QUEUE + 1), 3) == QUEUE
    publisher.publish("full", b"zero", qos=0)
    publisher.ping()
    found = receiver.messages(QUEUE + WINDOW)
    assert [message.payload for message in found if message.qos == 1] == [
        b"%d" % number for number in range(QUEUE + WINDOW)]


def test_slow_reader(broker, connect, ids):
    """A reader that does not read costs neither the publisher nor the other readers their time."""
    slow = Peer.connected(broker.port, ids.one(), receive_buffer_bytes=4096)
    quick, publisher = connect(ids.one()), connect(ids.one())
    for receiver in (slow, quick):
        receiver.subscribe("wide", qos=0)
    payload = bytes(100_000)
    for _ in range(5):
        publisher.send(*[mqtt.publish("wide", payload) for _ in range(40)])
        quick.messages(40)
    publisher.publish("else", b"", qos=1)
    quick.ping()
    slow.drop()


def test_unfinished_packet_of_many_megabytes(broker, connect, ids):
    """Someone who announces a large packet and sends little of it disturbs nobody."""
    stuck = Peer.connected(broker.port, ids.one())
    stuck.send(mqtt.publish("large", bytes(1_000_000))[:5000])
    peer = connect(ids.one())
    peer.subscribe("x", qos=1)
    peer.publish("x", b"y", qos=1)
    peer.message("x", b"y")
    stuck.drop()


def test_what_many_pipeline_and_leave_behind(start_broker, peers, ids):
    """3.1.1 has no Receive Maximum to keep to. Many publish at QoS 1 as fast as they can, say DISCONNECT and close without
    reading an answer: nothing is lost, whichever shards they are on, and no will is published [MQTT-3.14.4-3]."""
    each = 2500
    broker = start_broker()
    reader = peers(broker.port, ids.one())
    reader.subscribe("many/+", "will", qos=1)
    writers = [Peer(broker.port, 4) for _ in range(6)]
    for index, writer in enumerate(writers):
        writer.send(mqtt.connect(ids.one(), 4, will=mqtt.Will("will", b"lost")),
                    *[mqtt.publish(f"many/{index}", b"%d" % number, 1, number, version=4)
                      for number in range(1, each + 1)],
                    mqtt.disconnect(version=4))
    for writer in writers:
        writer.drop()
    found = {}
    for _ in range(each * len(writers)):
        message = reader.message()
        found.setdefault(message.topic, []).append(int(message.payload))
    assert found == {f"many/{index}": list(range(1, each + 1)) for index in range(len(writers))}
    reader.ping()
    reader.expect_silence()


def test_what_a_connection_that_breaks_had_sent_behind_its_window(start_broker, peers, ids):
    """A client whose publishes wait is not read; once its connection is reset, all of it that had come to the broker's
    socket counts, the DISCONNECT at its end too."""
    count = 2500
    broker = start_broker("--queue-messages-max", 20, "--publish-hold", 20_000, "--set", "inflight_messages_max=20",
                          "--set", "receive_maximum=100")
    reader, name = peers(broker.port, ids.one()), ids.one()
    reader.subscribe("many", "will", qos=1)
    writer = Peer(broker.port, 4)
    writer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    writer.send(mqtt.connect(name, 4, will=mqtt.Will("will", b"lost", qos=1)),
                *[mqtt.publish("many", b"%060d" % number, 1, number, version=4) for number in range(1, count + 1)],
                mqtt.disconnect(version=4))
    unsent = array.array("i", [1])
    deadline = time.monotonic() + TIMEOUT
    while unsent[0] and time.monotonic() < deadline:
        fcntl.ioctl(writer.socket, termios.TIOCOUTQ, unsent)
    assert not unsent[0], "a reset throws away what is still to be sent"
    # With no time to linger, closing resets the connection.
    writer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.drop()
    found = [reader.message() for _ in range(count)]
    assert [(message.topic, int(message.payload)) for message in found] == [
        ("many", number) for number in range(1, count + 1)]
    reader.ping()
    reader.expect_silence()
