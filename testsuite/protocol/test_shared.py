"""Shared subscriptions: one member each, nothing lost, nothing twice."""

import pytest

import mqtt_bytes as mqtt
from raw_client import Closed

KEPT = {"session_expiry_interval": 60}


def members(connect, ids, count, qos=1, **properties):
    """Members of one group, each with a window of its own."""
    found = [connect(ids.one(), properties={**KEPT, **properties}) for _ in range(count)]
    for member in found:
        member.subscribe("$share/group/work/#", qos=qos)
    return found


def drain(group, quiet=0.3):
    """Acknowledges whatever comes to any member until all are quiet; gives (member index, payload) pairs."""
    found = []
    for index, member in enumerate(group):
        while True:
            try:
                message = member.message(timeout=quiet)
            except (TimeoutError, Closed):
                break
            found.append((index, message.payload))
    return found


def test_each_message_once(connect, ids):
    """Each message goes to exactly one member, section 4.8.2; everybody gets a part."""
    publisher, group = connect(ids.one()), members(connect, ids, 3)
    for number in range(60):
        publisher.publish("work/x", str(number), qos=1, reason=0)
    found = drain(group)
    assert sorted(int(payload) for _, payload in found) == list(range(60))
    shares = [sum(1 for index, _ in found if index == member) for member in range(3)]
    assert min(shares) >= 6, shares


def test_qos0_is_shared(connect, ids):
    """QoS 0 is balanced as well, section 4.8.2."""
    publisher, group = connect(ids.one()), members(connect, ids, 2, qos=0)
    for number in range(40):
        publisher.publish("work/x", str(number))
    found = drain(group)
    assert sorted(int(payload) for _, payload in found) == list(range(40))
    assert {index for index, _ in found} == {0, 1}


def test_groups_and_plain_subscribers(connect, ids):
    """Each group gets a copy, and each plain subscriber, section 4.8.2."""
    publisher, one, two, plain = (connect(ids.one()) for _ in range(4))
    one.subscribe("$share/one/work", qos=1)
    two.subscribe("$share/two/work", qos=1)
    plain.subscribe("work", qos=1)
    publisher.publish("work", b"x", qos=1)
    for receiver in (one, two, plain):
        receiver.message("work", b"x")


def test_member_gets_plain_and_shared(connect, ids):
    """A member with a plain subscription of its own gets what both entitle it to, section 4.8.2."""
    publisher, both = connect(ids.one()), connect(ids.one())
    both.subscribe("$share/group/work", qos=1, identifier=1)
    both.subscribe("work", qos=1, identifier=2)
    publisher.publish("work", b"x", qos=1)
    found = [both.message("work", b"x")]
    while len([n for one in found for n in one.properties["subscription_identifier"]]) < 2:
        found.append(both.message("work", b"x"))
    assert sorted(n for one in found for n in one.properties["subscription_identifier"]) == [1, 2]


def test_qos_of_the_member(connect, ids):
    """The QoS granted to the member bounds what it gets [MQTT-4.8.2-3]."""
    publisher, zero = connect(ids.one()), connect(ids.one())
    zero.subscribe("$share/group/work", qos=0)
    publisher.publish("work", b"x", qos=2)
    assert zero.message("work").qos == 0


def test_full_member_is_passed_over(connect, ids):
    """A member without room in its window is passed over while another has room."""
    publisher = connect(ids.one())
    stuck, free = members(connect, ids, 2, receive_maximum=2)
    for number in range(20):
        publisher.publish("work/x", str(number), qos=1)
        while True:
            try:
                free.message(timeout=0.02)
            except TimeoutError:
                break
    free.ping()
    held = [stuck.expect("PUBLISH") for _ in range(2)]
    stuck.expect_silence()
    for message in held:
        stuck.answer(message)


@pytest.mark.parametrize("farewell", ["drop", "disconnect"])
def test_lost_member_qos1(connect, ids, farewell):
    """What a member that goes had not acknowledged at QoS 1 reaches another, section 4.8.2."""
    publisher, stays = connect(ids.one()), connect(ids.one())
    goes = connect(ids.one())
    for member in (stays, goes):
        member.subscribe("$share/group/work/#", qos=1)
    for number in range(20):
        publisher.publish("work/x", str(number), qos=1, reason=0)
    goes.ping()
    assert goes.pending, "the one that goes had its part"
    goes.pending.clear()
    if farewell == "drop":
        goes.drop()
    else:
        goes.disconnect()
    assert {found.payload for found in stays.messages(20)} == {b"%d" % number for number in range(20)}


def test_offline_member_is_not_chosen(connect, ids):
    """With a member online, none that is offline is chosen."""
    publisher = connect(ids.one())
    away, here = members(connect, ids, 2)
    away.disconnect()
    for number in range(20):
        publisher.publish("work/x", str(number), qos=1)
    assert [found.payload for found in here.messages(20)] == [b"%d" % number for number in range(20)]


def test_all_offline_is_queued(connect, ids):
    """With nobody online the message waits at a member whose session lives; nothing is lost."""
    publisher = connect(ids.one())
    names = ids.take(2)
    for name in names:
        peer = connect(name, properties=KEPT)
        peer.subscribe("$share/group/work/#", qos=1)
        peer.disconnect()
    for number in range(10):
        publisher.publish("work/x", str(number), qos=1, reason=0)
    group = [connect(name, clean=False, properties=KEPT) for name in names]
    assert sorted(int(payload) for _, payload in drain(group)) == list(range(10))


def test_qos2_stays_with_its_member(connect, ids):
    """A QoS 2 message once sent stays with that member's session until it comes back [MQTT-4.8.2-4]."""
    publisher = connect(ids.one())
    names = ids.take(2)
    group = [connect(name, properties=KEPT) for name in names]
    for member in group:
        member.subscribe("$share/group/work/#", qos=2)
    held = None
    for number in range(10):  # until one lands at the first member
        publisher.publish("work/x", str(number), qos=2)
        for member in group:
            member.ping()
        if group[0].pending:
            held = group[0].expect("PUBLISH")
            break
        group[1].message()
    assert held is not None
    group[0].drop()
    group[1].expect_silence(0.2)
    back = connect(names[0], clean=False, properties=KEPT)
    again = back.message(payload=held.payload)
    assert again.dup and again.packet_id == held.packet_id


def test_qos2_ends_with_its_session(connect, ids):
    """If the session of the member ends before the flow does, the message is not given to another
    [MQTT-4.8.2-5]."""
    publisher, stays, goes = (connect(ids.one()) for _ in range(3))
    goes.subscribe("$share/group/work/#", qos=2)
    publisher.publish("work/x", b"lost", qos=2)
    goes.expect("PUBLISH", payload=b"lost")
    stays.subscribe("$share/group/work/#", qos=2)
    goes.drop()
    stays.expect_silence(0.2)


@pytest.mark.parametrize("qos", [1, 2])
def test_refused_message_is_discarded(connect, ids, qos):
    """An acknowledgement of 0x80 or more: the message is discarded and goes to nobody else [MQTT-4.8.2-6]."""
    publisher, other = connect(ids.one()), connect(ids.one())
    refuser = connect(ids.one(), properties={"receive_maximum": 1})
    refuser.subscribe("$share/group/work/#", qos=qos)
    publisher.publish("work/x", b"no", qos=qos)
    found = refuser.expect("PUBLISH", payload=b"no")
    other.subscribe("$share/group/work/#", qos=qos)
    refuser.send(mqtt.acknowledge("PUBACK" if qos == 1 else "PUBREC", found.packet_id, 0x80))
    refuser.ping()
    other.expect_silence(0.15)
    refuser.unsubscribe("$share/group/work/#")
    other.expect_silence(0.05)
    refuser.expect_silence(0.05)


def test_shared_in_older_versions(connect, ids):
    """3.1.1 clients may be members as well."""
    publisher, group = connect(ids.one(), 4), [connect(ids.one(), 4) for _ in range(2)]
    for member in group:
        member.subscribe("$share/group/work/#", qos=1)
    for number in range(30):
        publisher.publish("work/x", str(number), qos=1)
    assert sorted(int(payload) for _, payload in drain(group)) == list(range(30))


def test_unsubscribe_from_a_group(connect, ids):
    """Who left the group gets nothing, and the others everything [MQTT-3.10.4-2]."""
    publisher = connect(ids.one())
    left, stays = members(connect, ids, 2)
    left.unsubscribe("$share/group/work/#")
    for number in range(10):
        publisher.publish("work/x", str(number), qos=1)
    assert len(stays.messages(10)) == 10
    left.expect_silence()
