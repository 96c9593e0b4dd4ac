"""How long sessions and wills live: every combination of session expiry, will delay and farewell, all on one clock
so that the whole table takes two seconds."""

import time
from dataclasses import dataclass

import mqtt_bytes as mqtt
from mqtt_bytes import Will
from raw_client import Fence

NEVER = 0xFFFFFFFF


@dataclass
class Case:
    """One client that leaves."""

    expiry: int | None  # in CONNECT
    delay: int | None  # of its will
    farewell: str  # drop, normal, with will, or "normal SECONDS": DISCONNECT with another expiry
    will_at: float | None  # seconds after leaving at which the will comes, if it does
    lives: tuple  # whether the session is there at 0.5 and at 2 seconds


TABLE = [
    # Without a session, or with one that ends, the will does not wait for its delay [MQTT-3.1.2-8].
    Case(None, None, "drop", 0, (False, False)),
    Case(0, 600, "drop", 0, (False, False)),
    Case(1, 600, "drop", 1, (True, False)),
    Case(600, 1, "drop", 1, (True, True)),
    Case(NEVER, 1, "drop", 1, (True, True)),
    Case(NEVER, NEVER, "drop", None, (True, True)),
    Case(600, None, "drop", 0, (True, True)),
    Case(1, None, "drop", 0, (True, False)),
    # A normal farewell withdraws it [MQTT-3.14.4-3], one with the will does not.
    Case(600, 0, "normal", None, (True, True)),
    Case(1, 0, "normal", None, (True, False)),
    Case(None, 0, "normal", None, (False, False)),
    Case(600, 0, "with will", 0, (True, True)),
    Case(600, 1, "with will", 1, (True, True)),
    Case(None, 600, "with will", 0, (False, False)),
    # DISCONNECT changes the expiry, section 3.14.2.2.2.
    Case(600, 0, "normal 0", None, (False, False)),
    Case(600, 0, "normal 1", None, (True, False)),
    Case(1, 0, "normal 600", None, (True, True)),
    Case(1, 0, "normal 4294967295", None, (True, True)),
]


def connect(visit, name, case):
    """The client that will leave."""
    properties = {} if case.expiry is None else {"session_expiry_interval": case.expiry}
    delay = {} if case.delay is None else {"will_delay_interval": case.delay}
    return visit(5, name, properties=properties, will=Will(f"{visit.topic}/{name}", b"gone", properties=delay))


def leave(peer, farewell):
    """Says goodbye in the way of the case."""
    kind, _, seconds = farewell.partition(" ")
    if kind == "drop":
        peer.drop()
    elif kind == "with":
        peer.disconnect(reason=4)
    else:
        peer.disconnect(properties={"session_expiry_interval": int(seconds)} if seconds else None)


def lives(visit, name):
    """Whether the session is there; asking leaves it as it was, and a session that is not is not made."""
    with visit.raw() as probe:
        probe.send(mqtt.connect(name, clean=False, properties={"session_expiry_interval": 0}))
        return probe.expect("CONNACK", reason=0).session_present


def test_wills_come_when_they_should(visit):
    """Each will is published at its time, once, or never [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-10]
    [MQTT-3.14.4-3]."""
    watcher = visit()
    watcher.subscribe(visit.topic + "/#", qos=1)
    named = [(visit.name(), case) for case in TABLE]
    expected, started = {}, {}
    for name, case in named:
        peer = connect(visit, name, case)
        started[name] = time.monotonic()
        leave(peer, case.farewell)
        if case.will_at is not None:
            expected[f"{visit.topic}/{name}"] = (name, case.will_at)
    while expected:
        found = watcher.message()
        name, at = expected.pop(found.topic)
        waited = time.monotonic() - started[name]
        assert at - 0.3 < waited < at + 1.5, (found, waited)
    Fence(watcher).nothing_more(watcher)


def test_sessions_end_when_they_should(visit):
    """Each session is kept for its expiry [MQTT-3.1.2-23] and no longer [MQTT-4.1.0-2], however it was left."""
    for moment, column in ((0.5, 0), (2.0, 1)):
        named = [(visit.name(), case) for case in TABLE]
        for name, case in named:
            leave(connect(visit, name, case), case.farewell)
        time.sleep(moment)
        seen = [lives(visit, name) for name, _ in named]
        assert seen == [case.lives[column] for _, case in named]


def test_a_return_withdraws_the_will(visit):
    """Who comes back before the delay has passed has no will published [MQTT-3.1.3-9], whatever the new
    connection has; a clean start ends the session and publishes it."""
    watcher = visit()
    watcher.subscribe(visit.topic + "/#")
    fence = Fence(watcher)
    will = Will(f"{visit.topic}/late", b"old", properties={"will_delay_interval": 1})
    for clean in (False, True):
        name = visit.name()
        visit.kept(name, will=will).drop()
        visit(5, name, clean=clean, properties={"session_expiry_interval": 300})
        if clean:
            watcher.message(will.topic, b"old")
    time.sleep(1.4)
    fence.nothing_more(watcher)


def test_will_qos_and_retain(visit, version):
    """A will has its own QoS [MQTT-3.1.2-12] and is retained [MQTT-3.1.2-15] or not [MQTT-3.1.2-14]."""
    watcher = visit(version)
    watcher.subscribe(visit.topic + "/#", qos=2)
    for qos in (0, 1, 2):
        for retain in (False, True):
            topic = f"{visit.topic}/{qos}/{retain}"
            visit(version, will=Will(topic, b"gone", qos=qos, retain=retain)).drop()
            assert watcher.message(topic, b"gone").qos == qos
            late = visit(version)
            late.subscribe(topic, qos=2)
            if retain:
                assert late.message(topic, b"gone", qos=qos).retain
                watcher.publish(topic, b"", retain=True)
                watcher.message(topic, b"")
            else:
                late.expect_silence()


def test_will_properties(visit):
    """The will goes out with its properties [MQTT-3.1.2-9], the user's in their order [MQTT-3.1.3-10], without
    its delay, and with the expiry it was given."""
    watcher = visit()
    watcher.subscribe(visit.topic)
    properties = {"payload_format_indicator": 1, "content_type": "t", "response_topic": "r",
                  "correlation_data": b"\0\xff", "user_property": [("z", "1"), ("a", "2"), ("z", "1")]}
    timed = {**properties, "will_delay_interval": 0, "message_expiry_interval": 100}
    visit(will=Will(visit.topic, b"text", properties=timed)).drop()
    found = watcher.message(visit.topic, b"text").properties
    assert found.pop("message_expiry_interval") in (99, 100) and found == properties
