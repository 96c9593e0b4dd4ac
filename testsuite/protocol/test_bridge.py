"""The bridge bit that mosquitto's bridges set in the protocol level: 0x83 and 0x84."""

import pytest

import mqtt_bytes as mqtt
from broker_process import start_mosquitto
from raw_client import Fence, Peer


@pytest.mark.parametrize("version", [3, 4])
def test_bridge(connect, ids, version):
    """A bridge hears no echo of what it published, and retain flags as they were published."""
    bridge, other = connect(ids.one(), version, level=version | 0x80), connect(ids.one(), version)
    bridge.subscribe("b/#", qos=1)
    other.subscribe("b/#", qos=1)
    fence = Fence(bridge, qos=1)
    bridge.publish("b/mine", b"1", qos=1)
    other.message("b/mine", b"1")
    fence.nothing_more(other)
    other.publish("b/kept", b"2", qos=1, retain=True)
    other.publish("b/live", b"3", qos=1)
    found = bridge.message("b/kept", b"2")
    # Published right after SUBACK, it may come once more as a copy.
    while found.topic == "b/kept":
        assert found.retain
        found = bridge.message()
    assert found.topic == "b/live" and not found.retain
    other.live("b/kept", b"2")
    other.live("b/live", b"3")


def test_bridge_through_two_brokers(start_broker, peers, tmp_path):
    """Debian's mosquitto as a bridge, both directions, without a loop."""
    broker = start_broker()
    bridge = start_mosquitto(tmp_path, [
        "connection ringmq", f"address 127.0.0.1:{broker.port}", "topic # both 1", "restart_timeout 1",
        "try_private true", "notifications false"])
    try:
        here, there = peers(broker.port, "here", 4), peers(bridge.port, "there", 4)
        here.subscribe("h/#", "t/#", qos=1)
        there.subscribe("h/#", "t/#", qos=1)
        bridge.wait_for_line("Received SUBACK from")
        here.publish("h/x", b"out", qos=1)
        here.message("h/x", b"out")
        there.message("h/x", b"out")
        there.publish("t/x", b"back", qos=1)
        there.message("t/x", b"back")
        here.message("t/x", b"back")
        for peer in (here, there):
            peer.expect_silence(0.2)
    finally:
        bridge.stop()


def test_bridge_bit_in_version_5(broker):
    """Version 5 has subscription options instead: level 0x85 is not one [MQTT-3.1.2-2]."""
    peer = Peer(broker.port, 5)
    peer.send(mqtt.connect("bridge", 5, level=0x85))
    assert all(packet.reason for packet in peer.expect_closed())
