"""A broker that offers less than all: it says so in CONNACK and answers each attempt with the code for it."""

import pytest

import broker_process
import mqtt_bytes as mqtt
from mqtt_bytes import Will
from raw_client import Peer

SETTINGS = {"maximum_qos": 1, "retain_available": "false", "wildcard_available": "false", "shared_available": "false",
            "subscription_identifiers_available": "false", "subscriptions_per_session_max": 2, "topic_levels_max": 5,
            "receive_maximum": 2, "topic_alias_maximum": 0, "packet_bytes_max": 4096, "connect_packet_bytes_max": 4096,
            "session_expiry_max": 100, "server_keep_alive": 77}


@pytest.fixture(scope="module")
def limited(request):
    """The broker, one for the module."""
    option = request.config.option
    flags = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    broker = broker_process.start_ringmq(option.shards, option.no_move, option.driver, flags)
    yield broker
    broker.stop()


@pytest.fixture
def meet(limited, fresh_names):
    """Connects a raw client to it."""
    opened = []

    def connect(**options):
        opened.append(Peer.connected(limited.port, options.pop("name", None) or fresh_names.one(), **options))
        return opened[-1]

    yield connect
    for peer in opened:
        peer.drop()


def test_connack_says_what_is_not_offered(meet):
    """What is not offered stands in CONNACK [MQTT-3.2.2-9], and what the broker decides otherwise than asked:
    keep alive [MQTT-3.2.2-21] [MQTT-3.1.2-21] and session expiry, section 3.2.2.3."""
    properties = meet(properties={"session_expiry_interval": 1000}).connack.properties
    assert properties == {
        "maximum_qos": 1, "retain_available": 0, "wildcard_subscription_available": 0,
        "subscription_identifier_available": 0, "shared_subscription_available": 0, "receive_maximum": 2,
        "maximum_packet_size": 4096, "session_expiry_interval": 100, "server_keep_alive": 77}


REFUSED = [
    ("QoS above the maximum [MQTT-3.2.2-11]", mqtt.publish("a", b"", 2, 1), 0x9B),
    ("RETAIN where it is not offered [MQTT-3.2.2-14]", mqtt.publish("a", b"x", retain=True), 0x9A),
    ("a subscription identifier, section 3.2.2.3.12",
     mqtt.subscribe(1, [("a", 0)], properties={"subscription_identifier": 1}), 0xA1),
    ("an alias above a maximum of 0 [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-9]",
     mqtt.publish("a", properties={"topic_alias": 1}), 0x94),
    ("a packet above the maximum [MQTT-3.2.2-15]", mqtt.publish("a", bytes(5000)), 0x95),
]


@pytest.mark.parametrize(("data", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused_with_its_code(meet, data, reason):
    """Whoever asks for it all the same is disconnected with the code for it [MQTT-4.13.1-1]."""
    peer = meet()
    peer.send(data)
    peer.expect_disconnect(reason)


@pytest.mark.parametrize("maximum", [1, 2, 65_535])
def test_receive_maximum_is_enforced(start_broker, peers, maximum):
    """More unfinished publishes than the broker said: 0x93 [MQTT-3.3.4-7]. What is finished does not count, nor
    the same one again."""
    broker = start_broker("--set", f"receive_maximum={maximum}")
    peer = peers(broker.port, "greedy")
    assert peer.connack.properties["receive_maximum"] == maximum
    for number in (1, 2, 3):
        peer.publish("a", b"", qos=1)
        peer.publish("a", b"", qos=2)
    for start in range(1, maximum + 1, 1000):
        numbers = range(start, min(start + 1000, maximum + 1))
        peer.send(*[mqtt.publish("a", b"", 2, number) for number in numbers])
        assert [peer.expect("PUBREC").packet_id for _ in numbers] == list(numbers)
    peer.send(mqtt.publish("a", b"", 2, maximum, dup=True))
    peer.expect("PUBREC", packet_id=maximum)
    peer.ping()
    peer.send(mqtt.publish("a", b"", 1, maximum + 1 if maximum < 65_535 else 1))
    peer.expect_disconnect(0x93)


@pytest.mark.parametrize(("filters", "codes"), [
    ([("a/+", 0)], [0xA2]), ([("#", 0)], [0xA2]), ([("$share/g/a", 0)], [0x9E]), ([("1/2/3/4/5/6", 0)], [0x8F]),
    ([("a", 2)], [1]), ([("a", 0), ("b", 1), ("c", 0), ("a", 1)], [0, 1, 0x97, 1]),
    ([("a/#", 0), ("b", 0), ("$share/g/x", 0)], [0xA2, 0, 0x9E])], ids=str)
def test_subscriptions_are_answered_one_by_one(meet, filters, codes):
    """Each filter has its own code [MQTT-3.9.3-2] [MQTT-3.8.4-7]: 0xA2, 0x9E, 0x8F, 0x97, or the QoS that the
    broker has, as QoS 2 may be asked for where 1 is the most [MQTT-3.2.2-10]."""
    peer = meet()
    peer.send(mqtt.subscribe(1, filters))
    peer.expect("SUBACK", packet_id=1, reasons=codes)
    peer.ping()


WILLS = [(Will("w", qos=2), 0x9B), (Will("w", retain=True), 0x9A), (Will("1/2/3/4/5/6"), 0x87), (Will("$SYS/w"), 0x87)]


@pytest.mark.parametrize(("will", "reason"), WILLS, ids=str)
def test_wills_that_cannot_be(meet, will, reason):
    """A will that the broker cannot serve is refused at CONNECT: QoS [MQTT-3.2.2-12], RETAIN [MQTT-3.2.2-13],
    or its topic [MQTT-3.1.4-2]."""
    assert meet(will=will, reason=reason).expect_closed() == []


def test_wills_in_older_versions(meet):
    """3.1.1 learns the nearest return code, and is closed all the same."""
    for will in (Will("w", qos=2), Will("w", retain=True), Will("$SYS/w")):
        reason = 5 if will.topic.startswith("$") else 3
        assert meet(version=4, will=will, reason=reason).expect_closed() == []


def test_topics_too_deep(meet):
    """A topic with more levels than may be is denied, not fatal, section 3.4.2.1: 0x87."""
    peer = meet()
    peer.publish("1/2/3/4/5/6", b"", qos=1, reason=0x87)
    peer.publish("1/2/3/4/5", b"", qos=1, reason=0x10)


def test_shutting_down(start_broker, peers):
    """A broker that stops says 0x8B [MQTT-3.14.2-1] and closes [MQTT-3.14.4-2]."""
    broker = start_broker()
    new, old = peers(broker.port, "new"), peers(broker.port, "old", 4)
    broker.terminate()
    new.expect_disconnect(0x8B)
    assert old.expect_closed() == []
    broker.wait_stopped()


def test_too_many_sessions(start_broker, peers):
    """With as many sessions as may be, a new client is refused with 0x97, an old one comes back
    [MQTT-3.2.2-8]."""
    broker = start_broker("--set", "sessions_max=1", "--shards", "1")
    kept = {"session_expiry_interval": 60}
    peers(broker.port, "one", properties=kept).disconnect()
    peers(broker.port, "two", reason=0x97).expect_closed()
    peers(broker.port, "old", version=4, reason=3).expect_closed()
    assert peers(broker.port, "one", clean=False, properties=kept).connack.session_present
