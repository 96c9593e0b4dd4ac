"""Sessions: what is kept past a connection, for how long, and who may have it."""

import time

import mqtt_bytes as mqtt
from raw_client import Peer

KEPT = {"session_expiry_interval": 300}


def persistent(connect, client_id, version, **options):
    """Connects to a session that is kept, in whatever way the version says it."""
    if version == 5:
        options["properties"] = {**KEPT, **options.get("properties", {})}
    return connect(client_id, version, clean=False, **options)


def test_session_is_kept(connect, ids, version):
    """Subscriptions and queued messages outlive the connection [MQTT-3.1.2-5]; CONNACK says so
    [MQTT-3.2.2-3].

    Clauses: [MQTT31-clean-session]."""
    name, publisher = ids.one(), connect(ids.one(), version)
    first = persistent(connect, name, version)
    assert not first.connack.session_present
    first.subscribe("kept", qos=1)
    first.disconnect()
    publisher.publish("kept", b"1", qos=1)
    publisher.publish("kept", b"2", qos=2)
    second = persistent(connect, name, version)
    # MQTT 3.1 has no session present flag.
    assert second.connack.session_present is (version != 3)
    assert [found.payload for found in second.messages(2)] == [b"1", b"2"]


def test_qos0_may_wait_but_never_twice(connect, ids):
    """A QoS 0 message for an absent session is delivered at most once, section 4.3.1."""
    name, publisher = ids.one(), connect(ids.one())
    first = persistent(connect, name, 5)
    first.subscribe("q", qos=1)
    first.disconnect()
    publisher.publish("q", b"zero", qos=0)
    publisher.publish("q", b"one", qos=1)
    second = persistent(connect, name, 5)
    payloads = [second.message().payload]
    if payloads[0] == b"zero":
        payloads.append(second.message().payload)
    assert payloads[-1] == b"one"
    second.ping()
    second.expect_silence()


def test_clean_start_discards(connect, ids, version):
    """Clean start removes the old session [MQTT-3.1.2-4]: no session present, no subscriptions, no messages.

    Clauses: [MQTT31-clean-session]."""
    name, publisher = ids.one(), connect(ids.one(), version)
    first = persistent(connect, name, version)
    first.subscribe("old", qos=1)
    first.disconnect()
    publisher.publish("old", b"lost", qos=1)
    second = connect(name, version, clean=True)
    assert not second.connack.session_present
    second.subscribe("new", qos=1)
    publisher.publish("old", b"lost too", qos=1)
    publisher.publish("new", b"seen", qos=1)
    second.message("new", b"seen")


def test_clean_session_ends_with_the_connection(connect, ids, version):
    """Without a session expiry the session ends with the connection [MQTT-3.1.2-6] [MQTT-4.1.0-2]."""
    name = ids.one()
    connect(name, version).disconnect()
    assert not persistent(connect, name, version).connack.session_present


def test_clean_start_with_expiry_is_kept(connect, ids):
    """Clean start says how a session begins, the expiry interval when it ends [MQTT-3.1.2-23]."""
    name = ids.one()
    connect(name, clean=True, properties=KEPT).disconnect()
    assert connect(name, clean=False).connack.session_present


def test_session_expires(connect, ids):
    """After the session expiry interval the session is gone [MQTT-3.1.2-23]."""
    name = ids.one()
    connect(name, properties={"session_expiry_interval": 1}).disconnect()
    time.sleep(0.3)
    again = connect(name, clean=False, properties={"session_expiry_interval": 1})
    assert again.connack.session_present
    again.drop()
    time.sleep(1.6)
    assert not connect(name, clean=False).connack.session_present


def test_disconnect_changes_the_expiry(connect, ids):
    """DISCONNECT may set another expiry interval, section 3.14.2.2.2."""
    name = ids.one()
    connect(name, properties=KEPT).disconnect(properties={"session_expiry_interval": 0})
    assert not connect(name, clean=False).connack.session_present


def test_disconnect_may_not_revive_the_expiry(connect, ids):
    """An expiry of 0 in CONNECT cannot become another one in DISCONNECT: a protocol error, section
    3.14.2.2.2."""
    name = ids.one()
    peer = connect(name)
    peer.send(mqtt.disconnect(properties={"session_expiry_interval": 60}))
    found = peer.expect_closed()
    assert [packet.reason for packet in found] in ([0x82], [])
    assert not connect(name, clean=False).connack.session_present


def test_takeover_tells_the_old_connection(connect, ids, version):
    """A second connection with the same ClientID takes over; version 5 learns 0x8E [MQTT-3.1.4-3]."""
    name = ids.one()
    old = connect(name, version)
    new = connect(name, version)
    old.expect_disconnect(0x8E)
    new.ping()


def test_takeover_keeps_the_session(connect, ids, version):
    """Takeover resumes a session that is kept, with what was not acknowledged [MQTT-4.4.0-1]."""
    name, publisher = ids.one(), connect(ids.one(), version)
    old = persistent(connect, name, version)
    old.subscribe("moving", qos=1)
    publisher.publish("moving", b"once more", qos=1)
    first = old.expect("PUBLISH", payload=b"once more")
    new = persistent(connect, name, version)
    assert new.connack.session_present is (version != 3)
    again = new.message("moving", b"once more")
    assert again.dup and again.packet_id == first.packet_id


def test_takeover_with_clean_start(connect, ids):
    """Takeover with clean start begins anew [MQTT-3.1.2-4]."""
    name = ids.one()
    old = connect(name, properties=KEPT)
    new = connect(name, clean=True)
    assert not new.connack.session_present
    old.expect_disconnect(0x8E)


def test_takeover_storm(broker, connect, ids):
    """Many connections with one ClientID at once, in whatever order they are accepted: each gets its CONNACK, and
    all but one are told of the takeover [MQTT-3.1.4-3]."""
    name = ids.one()
    crowd = [Peer(broker.port) for _ in range(20)]
    for peer in crowd:
        peer.send(mqtt.connect(name, properties=KEPT))
    for peer in crowd:
        peer.expect("CONNACK", reason=0)
    last = connect(name, properties=KEPT)
    for peer in crowd:
        peer.expect_disconnect(0x8E)
        peer.drop()
    last.subscribe("storm")
    last.publish("storm", b"over")
    last.message("storm", b"over")


def test_same_client_id_takes_turns(connect, ids):
    """Two clients fighting for one ClientID: each CONNECT gets its CONNACK, and the session is one."""
    name, publisher = ids.one(), connect(ids.one())
    peer = connect(name, clean=True, properties=KEPT)
    peer.subscribe("fight", qos=1)
    for number in range(10):
        publisher.publish("fight", str(number), qos=1)
        peer = connect(name, clean=False, properties=KEPT)
        assert peer.connack.session_present
        found = peer.message("fight")
        while found.payload != b"%d" % number:
            found = peer.message("fight")
        # An acknowledgement on the way when the next connection takes over may be lost: that is a resend.
        peer.ping()


def test_versions_share_a_session(connect, ids):
    """A session begun in 3.1.1 goes on in version 5, and back."""
    name, publisher = ids.one(), connect(ids.one())
    old = connect(name, 4, clean=False)
    old.subscribe("both", qos=1)
    old.disconnect()
    publisher.publish("both", b"5", qos=1, properties={"content_type": "text"})
    middle = connect(name, 5, clean=False, properties=KEPT)
    assert middle.connack.session_present
    assert middle.message("both", b"5").properties.get("content_type") == "text"
    middle.disconnect()
    publisher.publish("both", b"4", qos=1)
    last = connect(name, 4, clean=False)
    assert last.connack.session_present
    last.message("both", b"4")


def test_unsubscribe_of_a_kept_session(connect, ids, version):
    """UNSUBSCRIBE binds the session, not only the connection [MQTT-3.10.4-2]."""
    name, publisher = ids.one(), connect(ids.one(), version)
    peer = persistent(connect, name, version)
    peer.subscribe("gone", "stays", qos=1)
    peer.unsubscribe("gone")
    peer.disconnect()
    publisher.publish("gone", b"no", qos=1)
    publisher.publish("stays", b"yes", qos=1)
    persistent(connect, name, version).message("stays", b"yes")


def test_many_sessions_on_every_shard(connect, shard_names):
    """A hundred sessions spread over the shards, each found again by its name [MQTT-3.2.2-3]."""
    names = [name for shard in shard_names.by_shard for name in shard[:25]]
    for name in names:
        connect(name, properties=KEPT).disconnect()
    assert all(connect(name, clean=False).connack.session_present for name in names)


def test_what_was_sent_before_leaving_is_not_lost_to_the_next_connection(connect, ids, version):
    """A client publishes at QoS 0, leaves and comes back at once under the same name: its new connection takes
    over only after what the old one had sent was processed, wherever both were accepted [MQTT-3.14.4-1]."""
    receiver, name = connect(ids.one()), ids.one()
    receiver.subscribe("brief", qos=0)
    for number in range(100):
        peer = connect(name, version)
        peer.send(mqtt.publish("brief", str(number), version=version), mqtt.disconnect(version=version))
        peer.drop()
    assert [int(found.payload) for found in receiver.messages(100)] == list(range(100))
