"""Which topic matches which filter, asked over the wire."""

import pytest

# filter, topics that match, topics that do not
ROWS = [
    ("sport/tennis/player1/#", ["sport/tennis/player1", "sport/tennis/player1/ranking",
                                "sport/tennis/player1/score/wimbledon"], ["sport/tennis/player2", "sport/tennis"]),
    ("sport/#", ["sport", "sport/", "sport/a/b"], ["sports", "/sport"]),
    ("#", ["a", "/a", "a/b/c", "/"], ["$other/a", "$"]),
    ("sport/tennis/+", ["sport/tennis/player1", "sport/tennis/"], ["sport/tennis", "sport/tennis/a/b"]),
    ("+", ["finance"], ["/finance", "a/b", "$finance"]),
    ("/+", ["/finance", "/"], ["finance", "/a/b"]),
    ("+/+", ["/finance", "a/b", "/"], ["a", "a/b/c", "$a/b"]),
    ("+/a/#", ["x/a", "x/a/b", "/a"], ["a", "x/b", "$x/a"]),
    ("a//b", ["a//b"], ["a/b", "a/x/b"]),
    ("a/+/b", ["a//b", "a/x/b"], ["a/b", "a/x/y/b"]),
    ("$other/#", ["$other", "$other/a"], ["other/a"]),
    ("$other/+", ["$other/a"], ["$other"]),
    ("A", ["A"], ["a"]),
    ("a b/c d", ["a b/c d"], ["a b/c"]),
    ("ä/+/😀", ["ä/ö/😀"], ["a/ö/😀"]),
    ("a/", ["a/"], ["a"]),
    ("\ufeffa", ["\ufeffa"], ["a"]),
]


@pytest.mark.parametrize(("filter_", "matching", "others"), ROWS, ids=[row[0] for row in ROWS])
def test_matching(connect, ids, filter_, matching, others):
    """Levels, wildcards and the $ rule [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT-4.7.3-4]
    [MQTT-1.5.4-3].

    Clauses: [MQTT-3.3.2-3] [MQTT-3.3.2-3 of 3.1.1] [MQTT-4.7.2-1 of 3.1.1] [MQTT-4.7.3-4 of 3.1.1]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    receiver.subscribe(filter_, "fence", qos=1)
    for topic in [*others, *matching]:
        publisher.publish(topic, b"x", qos=1)
    publisher.publish("fence", b"end", qos=1)
    wanted = [*matching, "fence"] + (["fence"] if filter_ in ("#", "+") else [])
    found = [one.topic for one in receiver.messages(len(set(wanted)))]
    assert found == [*matching, "fence"]


@pytest.mark.parametrize(("filter_", "matching", "others"), ROWS, ids=[row[0] for row in ROWS])
def test_matching_retained(connect, ids, filter_, matching, others):
    """The same for retained messages, which another structure finds [MQTT-4.7.1-1] [MQTT-4.7.2-1]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    for topic in [*others, *matching]:
        publisher.publish(topic, b"x", qos=1, retain=True)
    receiver.subscribe(filter_, qos=1)
    assert sorted(one.topic for one in receiver.messages(len(matching))) == sorted(matching)
    receiver.ping()
    receiver.expect_silence()


def test_long_topics(connect, ids):
    """Topics up to 65,535 bytes [MQTT-4.7.3-3], or refused with a reason: never a broken broker.

    Clauses: [MQTT-4.7.3-3 of 3.1.1]."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    topic = "x/" * 30 + "y" * 10_000
    receiver.subscribe("x/#")
    publisher.publish(topic, b"long")
    receiver.message(topic, b"long")


def test_deep_topics(connect, ids):
    """A topic with a hundred levels matches # and itself."""
    receiver, publisher = connect(ids.one()), connect(ids.one())
    topic = "/".join("l" * 100)
    receiver.subscribe("l/l/#", qos=1)
    publisher.publish(topic, b"deep", qos=1)
    receiver.message(topic, b"deep")
