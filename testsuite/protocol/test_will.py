"""The will: when it is published, when not, and with what."""

import time

import pytest

import mqtt_bytes as mqtt
from mqtt_bytes import Will
from raw_client import Fence, Peer


def test_will_on_lost_connection(connect, ids, version):
    """Connection lost without DISCONNECT: the will is published [MQTT-3.1.2-8]."""
    watcher, mortal = connect(ids.one(), version), ids.one()
    watcher.subscribe("will/+", qos=2)
    connect(mortal, version, will=Will("will/x", b"gone", qos=1)).drop()
    found = watcher.message("will/x", b"gone")
    assert found.qos == 1 and not found.retain


def test_no_will_on_disconnect(connect, ids, version):
    """DISCONNECT discards the will [MQTT-3.1.2-10] [MQTT-3.14.4-3]."""
    watcher, mortal = connect(ids.one(), version), ids.one()
    watcher.subscribe("will/+")
    fence = Fence(watcher)
    connect(mortal, version, will=Will("will/x", b"gone")).disconnect()
    fence.nothing_more(watcher)


def test_will_on_disconnect_with_will(connect, ids):
    """DISCONNECT with 0x04 publishes the will all the same, section 3.14.2.1."""
    watcher, mortal = connect(ids.one()), ids.one()
    watcher.subscribe("will/+")
    connect(mortal, will=Will("will/x", b"gone")).disconnect(reason=4)
    watcher.message("will/x", b"gone")


def test_retained_will(connect, ids, version):
    """A will with retain is published as a retained message [MQTT-3.1.2-15]."""
    watcher, mortal = connect(ids.one(), version), ids.one()
    watcher.subscribe("will/+")
    connect(mortal, version, will=Will("will/x", b"gone", retain=True)).drop()
    watcher.message("will/x", b"gone")
    late = connect(ids.one(), version)
    late.subscribe("will/x")
    assert late.message("will/x", b"gone").retain


def test_will_on_protocol_error(connect, ids, version):
    """A protocol error closes the connection, and that publishes the will [MQTT-3.1.2-8], section 3.1.2.5."""
    watcher, mortal = connect(ids.one(), version), connect(ids.one(), version, will=Will("will/x", b"bad"))
    watcher.subscribe("will/+")
    mortal.send(b"\x00\x00")
    watcher.message("will/x", b"bad")


def test_will_on_takeover(connect, ids):
    """A takeover ends the old connection and with it publishes its will, without a delay [MQTT-3.1.4-3]."""
    watcher, name = connect(ids.one()), ids.one()
    watcher.subscribe("will/+")
    connect(name, will=Will("will/x", b"taken"))
    connect(name)
    watcher.message("will/x", b"taken")


def test_will_properties(connect, ids):
    """The will carries its properties, but not its delay, in the order of the user's [MQTT-3.1.3-10]."""
    properties = {"content_type": "text", "response_topic": "r", "correlation_data": b"c",
                  "payload_format_indicator": 1, "user_property": [("z", "1"), ("a", "2"), ("z", "1")]}
    watcher, mortal = connect(ids.one()), ids.one()
    watcher.subscribe("will/+")
    connect(mortal, will=Will("will/x", b"text", properties={**properties, "will_delay_interval": 0})).drop()
    assert watcher.message("will/x", b"text").properties == properties


def test_will_delay(connect, ids):
    """The will waits for its delay [MQTT-3.1.3-9]."""
    watcher, mortal = connect(ids.one()), ids.one()
    watcher.subscribe("will/+")
    will = Will("will/x", b"late", properties={"will_delay_interval": 1})
    peer = connect(mortal, will=will, properties={"session_expiry_interval": 60})
    started = time.monotonic()
    peer.drop()
    watcher.message("will/x", b"late")
    assert 0.7 < time.monotonic() - started < 2.5


def test_will_delay_is_cut_by_a_return(connect, ids):
    """A client that comes back within the delay has no will published [MQTT-3.1.3-9]."""
    watcher, mortal = connect(ids.one()), ids.one()
    watcher.subscribe("will/+")
    kept = {"session_expiry_interval": 60}
    connect(mortal, will=Will("will/x", b"late", properties={"will_delay_interval": 1}), properties=kept).drop()
    again = connect(mortal, clean=False, properties=kept)
    assert again.connack.session_present
    watcher.expect_silence(1.5)


def test_will_delay_ends_with_the_session(connect, ids):
    """The will is published when the session ends, if that is sooner than its delay [MQTT-3.1.2-8]."""
    watcher, mortal = connect(ids.one()), ids.one()
    watcher.subscribe("will/+")
    will = Will("will/x", b"ended", properties={"will_delay_interval": 600})
    started = time.monotonic()
    connect(mortal, will=will).drop()  # session expiry 0: it ends at once
    watcher.message("will/x", b"ended")
    connect(mortal, will=will, properties={"session_expiry_interval": 1}).drop()
    watcher.message("will/x", b"ended")
    assert time.monotonic() - started < 4


def test_will_delay_and_a_new_session(connect, ids):
    """A clean start ends the old session, and so publishes its waiting will [MQTT-3.1.2-8]."""
    watcher, mortal = connect(ids.one()), ids.one()
    watcher.subscribe("will/+")
    will = Will("will/x", b"old", properties={"will_delay_interval": 600})
    connect(mortal, will=will, properties={"session_expiry_interval": 60}).drop()
    connect(mortal, clean=True)
    watcher.message("will/x", b"old")


def test_will_reaches_own_session(connect, ids):
    """A session subscribed to its own will has it when it comes back."""
    name = ids.one()
    kept = {"session_expiry_interval": 60}
    peer = connect(name, properties=kept, will=Will("will/x", b"mine", qos=1))
    peer.subscribe("will/+", qos=1)
    peer.drop()
    again = connect(name, clean=False, properties=kept)
    again.message("will/x", b"mine")


def test_refused_connect_has_no_will(broker, connect, ids):
    """A CONNECT that is refused leaves no will behind [MQTT-3.1.4-6]."""
    watcher = connect(ids.one(), 4)
    watcher.subscribe("will/+")
    fence = Fence(watcher)
    connect("", 4, reason=2, clean=False, will=Will("will/x", b"never")).expect_closed()
    fence.nothing_more(watcher)


@pytest.mark.parametrize("topic", ["will/#", "a/+", ""])
def test_bad_will_topic(broker, topic):
    """A will topic with wildcards, or none, is refused and closed [MQTT-3.3.2-2] [MQTT-4.7.3-1]."""
    peer = Peer(broker.port)
    peer.send(mqtt.connect("bad", will=Will(topic, b"x")))
    assert [packet.reason for packet in peer.expect_closed()] in ([0x81], [0x82], [0x90], [])


def test_will_qos3(broker):
    """Will QoS 3 is malformed [MQTT-3.1.2-12]."""
    for version in (4, 5):
        peer = Peer(broker.port, version)
        peer.send(mqtt.connect("bad", version, will=Will("t", b"x", qos=3)))
        assert all(packet.reason for packet in peer.expect_closed())


def test_many_wills(connect, ids):
    """Twenty clients die at once: twenty wills, each once."""
    watcher = connect(ids.one())
    watcher.subscribe("will/+", qos=1)
    fence = Fence(watcher, qos=1)
    mortals = [connect(name, will=Will(f"will/{name}", b"", qos=1)) for name in ids.take(20)]
    for mortal in mortals:
        mortal.drop()
    assert len({found.topic for found in watcher.messages(20)}) == 20
    fence.nothing_more(watcher)
