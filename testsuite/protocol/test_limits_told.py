"""Every limit that a client can go beyond is told: by a count, and by a log line with address, user name and ClientID
as far as they are known, so that somebody can act upon it."""

import time

import mqtt_bytes as mqtt
import pytest
from hostile import Numbers
from raw_client import Peer

ADDRESS = r"127\.0\.0\.1:\d+"
WHO = rf"user 'anna' as '{{name}}' from {ADDRESS}"


class Offender:
    """Whoever goes beyond a limit."""

    def __init__(self, port, name, others):
        self.port, self.name, self.others = port, name, others
        self.opened = []

    def stranger(self):
        """A connection that says nothing."""
        self.opened.append(Peer(self.port))
        return self.opened[-1]

    def client(self, name=None, **options):
        """A client by the name of anna."""
        peer = self.stranger()
        return peer.greet(self.name if name is None else name, username="anna", **options)

    def watch(self):
        """The broker's counts, by a client of another name."""
        return Numbers(lambda _, name, **options: self.client(name, **options), self.port, Watcher)


class Watcher:
    """The name of who looks at the counts."""

    @staticmethod
    def one():
        """It."""
        return "watcher"


def too_late(offender):
    offender.stranger().expect_closed()


def too_many_half_open(offender):
    for _ in range(3):
        offender.stranger()
    offender.opened[0].expect_closed()


def too_many_connections(offender):
    for name in offender.others[:3]:
        offender.client(name)
    offender.stranger().expect_closed()


def too_often(offender):
    for _ in range(12):
        offender.stranger()
    offender.opened[-1].expect_closed()


def too_many_sessions(offender):
    for name in offender.others[:2]:
        offender.client(name)
    offender.client(reason=0x97).expect_closed()


def too_short_of_memory(offender):
    # What one connection takes is known at the end of its turn.
    offender.client(offender.others[0], reason=None)
    offender.client(reason=0x97).expect_closed()


def silent(offender):
    offender.client(keep_alive=1).expect_closed()


def too_large(offender):
    peer = offender.client()
    peer.send(mqtt.publish("t", bytes(2000)))
    peer.expect_disconnect(0x95)


def too_many_in_flight(offender):
    peer = offender.client()
    # QoS 2 stays open until PUBREL.
    peer.send(*[mqtt.publish("t", b"", 2, number) for number in (1, 2, 3)])
    peer.expect_disconnect(0x93)


def too_many_filters(offender):
    peer = offender.client()
    peer.send(mqtt.subscribe(1, [(f"f/{number}", 0) for number in range(3)]))
    peer.expect_disconnect(0x97)


def topic_too_long(offender):
    offender.client().publish("x" * 50, qos=1, reason=0x87)


def topic_too_deep(offender):
    offender.client().publish("a/b/c/d/e", qos=1, reason=0x87)


def filter_too_long(offender):
    offender.client().subscribe("x" * 50, granted=0x8F)


def filter_too_deep(offender):
    offender.client().subscribe("a/b/c/d/e", granted=0x8F)


def too_many_subscriptions(offender):
    peer = offender.client()
    peer.subscribe("a", "b")
    peer.subscribe("c", granted=0x97)


def too_many_wildcards(offender):
    peer = offender.client()
    peer.subscribe("a/#")
    peer.subscribe("b/#", granted=0x97)


def queue_too_long(offender):
    peer = offender.client(properties={"session_expiry_interval": 60, "receive_maximum": 1})
    peer.subscribe("t", qos=1)
    writer = offender.client(offender.others[0])
    for _ in range(4):
        writer.publish("t", b"x", qos=1)


def too_much_retained(offender):
    peer = offender.client()
    for number in range(40):
        peer.send(mqtt.publish(f"kept/{number}", b"x", 1, number + 1, retain=True))
    reasons = [peer.expect("PUBACK").reason for _ in range(40)]
    assert 0x97 in reasons


def too_fast(offender):
    peer = offender.client()
    peer.send(*[mqtt.publish("t", bytes(500))] * 20)
    time.sleep(0.1)
    peer.send(mqtt.PINGREQ)
    peer.expect("PINGRESP")


FAULT = rf"Client disconnected, {WHO}: "
REFUSED = rf"A subscription to '[^']+' was refused to {WHO}: .*{{limit}}"
LIMITS = [
    ("connect_timeout", 300, too_late, "connections/timed out/connect", rf"Client disconnected, {ADDRESS}: "),
    ("half_open_per_address_max", 2, too_many_half_open, "connections/half open/closed",
     rf"Client disconnected, {ADDRESS}: .*not said who"),
    ("half_open_max", 2, too_many_half_open, "connections/half open/closed",
     rf"Client disconnected, {ADDRESS}: .*not said who"),
    ("connections_max", 4, too_many_connections, "connections/refused/too many",
     rf"A connection from {ADDRESS} was refused: .*connections_max"),
    ("connections_per_address_per_second_max", 4, too_often, "connections/refused/too often",
     r"A connection from 127\.0\.0\.1 was refused: .*{limit}"),
    ("bytes_per_address_per_second_max", 4000, too_fast, "connections/reads delayed",
     rf"Reading waits, {WHO}: .*{{limit}}"),
    ("sessions_max", 3, too_many_sessions, "clients/refused", FAULT),
    ("memory_max", 100, too_short_of_memory, "memory/clients refused", FAULT + ".*memory_max"),
    ("keep_alive_max", 60, silent, "connections/timed out/keep alive", FAULT),
    ("packet_bytes_max", 1024, too_large, "connections/closed/packet too large", FAULT),
    ("receive_maximum", 2, too_many_in_flight, "connections/closed/receive maximum", FAULT),
    ("filters_per_packet_max", 2, too_many_filters, "connections/closed/filters", FAULT + ".*{limit}"),
    ("topic_bytes_max", 40, topic_too_long, "publish/messages/denied", "Publish denied for {who}: "),
    ("topic_levels_max", 4, topic_too_deep, "publish/messages/denied", "Publish denied for {who}: "),
    ("topic_bytes_max", 40, filter_too_long, "subscriptions/refused", REFUSED),
    ("topic_levels_max", 4, filter_too_deep, "subscriptions/refused", REFUSED),
    ("subscriptions_per_session_max", 2, too_many_subscriptions, "subscriptions/refused", REFUSED),
    ("wildcards_per_session_max", 1, too_many_wildcards, "subscriptions/refused", REFUSED),
    ("queue_messages_max", 1, queue_too_long, "publish/messages/dropped/queue", rf"Queue is full of {WHO}: "),
    ("retained_per_root_max", 1, too_much_retained, "retained messages/refused",
     rf"A message was not retained, published by {WHO}: "),
    ("retained_messages_max", 1, too_much_retained, "retained messages/refused",
     rf"A message was not retained, published by {WHO}: "),
]


@pytest.mark.parametrize(("limit", "value", "go_beyond", "count", "line"), LIMITS,
                         ids=[f"{row[0]}-{row[2].__name__}" for row in LIMITS])
def test_it_is_counted_and_logged(start_broker, limit, value, go_beyond, count, line):
    """One limit, gone beyond by one client."""
    broker = start_broker("--sys-interval", 1, "--set", f"{limit}={value}", "--set", "publish_hold=0",
                          *(["--set", "connect_packet_bytes_max=1024"] if limit == "packet_bytes_max" else []), shards=1)
    offender = Offender(broker.port, "offender", [f"other-{number}" for number in range(4)])
    try:
        if limit == "memory_max":
            # Nobody comes in to read the count; the fire test of the budget does.
            go_beyond(offender)
            broker.wait_for_line(line.format(name="offender", limit=limit))
            return
        numbers = None if go_beyond in (too_many_half_open, too_often) else offender.watch()
        go_beyond(offender)
        who = WHO.format(name="offender")
        broker.wait_for_line(line.format(name="offender", limit=limit, who=who))
        if numbers is None:
            # The limit itself is on connections in a second.
            time.sleep(1.1)
            numbers = offender.watch()
        deadline = time.monotonic() + 5
        while numbers.value(count) == 0:
            assert time.monotonic() < deadline, numbers.values
            numbers.read(0.2)
    finally:
        for peer in offender.opened:
            peer.drop()
