"""Clients that wait for themselves and for each other: where a broker that merely holds acknowledgements would
stand still for ever."""

import time

import mqtt_bytes as mqtt
import pytest
from hostile import Feeder, Vitals, run_feeders, wait_until

KEPT = {"session_expiry_interval": 60}
QUEUE = 20
WINDOW = 10
FLOOD = 600
PAYLOAD = 200
POLICIES = ["drop", "refuse", "end"]


def small_broker(start_broker, policy, hold, park=4096):
    """Bounds that a hundred messages fill."""
    return start_broker("--queue-messages-max", QUEUE, "--queue-policy", policy, "--publish-hold", hold,
                        "--sys-interval", 1, "--set", f"park_bytes_max={park}", "--set",
                        f"inflight_messages_max={WINDOW}")


def check_account(numbers, feeders, policy, honest):
    """Each publish was acknowledged in order, and reached its one subscriber or was counted as dropped."""
    total = FLOOD * len(feeders)
    got = sum(len(feeder.got) for feeder in feeders)
    for feeder in feeders:
        assert [number for number, _ in feeder.answers] == list(range(1, FLOOD + 1)), "[MQTT-4.6.0-2]"
        for topic in {topic for topic, _ in feeder.got}:
            order = [number for found, number in feeder.got if found == topic]
            assert order == sorted(set(order)), "in order, and none twice"
    numbers.expect(publish_messages_received=total + honest.count, publish_messages_dropped_queue=total - got,
                   store_messages_count=0)
    refused = sum(1 for feeder in feeders for _, reason in feeder.answers if reason == 0x97)
    assert refused == (total - got if policy == "refuse" else 0)


def check_ended(numbers, feeders, honest):
    """Policy end: a session whose queue was full is gone, and nothing is lost uncounted or counted twice."""
    got = sum(len(feeder.got) for feeder in feeders)
    unmatched = sum(1 for feeder in feeders for _, reason in feeder.answers if reason == 0x10)

    def numbers_now():
        """Published to somebody, delivered, dropped, queued."""
        return (numbers.value("publish/messages/received") - honest.count - unmatched, got,
                sum(numbers.dropped().values()), numbers.value("store/messages/count"))

    def adds_up():
        """What was in flight when its session ended may have arrived, and is counted as dropped all the same."""
        numbers.read(0.1)
        received, _, dropped, queued = numbers_now()
        return 0 < dropped and dropped + queued <= received <= got + dropped + queued

    wait_until(adds_up, what=lambda: f"an account that adds up: {numbers_now()}")


def fight(broker, feeders, numbers, policy, honest):
    """Reads and acknowledges late until everything is answered, an honest client being served meanwhile."""
    honest.served(3)
    wait_until(lambda: numbers.read(0.1) or numbers.dropped(), what="the first message dropped")
    honest.served(3)
    if policy == "end":
        run_feeders(feeders, lambda: all(feeder.ended or len(feeder.answers) == FLOOD for feeder in feeders))
        assert any(feeder.ended for feeder in feeders)
        honest.served()
        for feeder in feeders:
            feeder.peer.drop()
        return check_ended(numbers, feeders, honest)
    run_feeders(feeders, lambda: all(len(feeder.answers) >= FLOOD for feeder in feeders))
    honest.served()
    # What was queued to the last comes now that it is read and acknowledged.
    total = FLOOD * len(feeders)
    numbers.read(0)

    def all_there():
        numbers.read(0.01)
        lost = numbers.value("publish/messages/dropped/queue")
        return sum(len(feeder.got) for feeder in feeders) + lost == total

    run_feeders(feeders, all_there)
    return check_account(numbers, feeders, policy, honest)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("qos", [1, 2])
def test_its_own_topic_past_its_park_buffer(start_broker, peers, ids, honest, watcher, qos, policy):
    """Its acknowledgements stand behind publishes for which there is no room: waiting would be in vain, and with
    a hold of twenty seconds nobody waits at all."""
    broker = small_broker(start_broker, policy, 20_000)
    bystander, numbers = honest(broker.port), watcher(broker.port)
    feeder = Feeder(peers(broker.port, ids.one(), properties=KEPT), "own", qos)
    feeder.flood("own", FLOOD, PAYLOAD)
    bystander.served()
    if policy == "drop":
        Vitals(broker).expect_idle()
    fight(broker, [feeder], numbers, policy, bystander)


@pytest.mark.parametrize("qos", [1, 2])
def test_its_own_topic_within_its_park_buffer(start_broker, peers, ids, honest, watcher, qos):
    """The whole flood fits behind the publish that is held: one hold, and not one for each message."""
    broker = small_broker(start_broker, "drop", 300, park=1 << 20)
    bystander, numbers = honest(broker.port), watcher(broker.port)
    feeder = Feeder(peers(broker.port, ids.one(), properties=KEPT), "own", qos)
    feeder.flood("own", FLOOD, PAYLOAD)
    bystander.served()
    # It reads and acknowledges nothing; all the same every publish is answered.
    run_feeders([feeder], lambda: len(feeder.answers) >= WINDOW + QUEUE, acknowledges=False)
    if qos == 1:
        run_feeders([feeder], lambda: len(feeder.answers) == FLOOD, acknowledges=False)
        assert len(feeder.got) == WINDOW
    fight(broker, [feeder], numbers, "drop", bystander)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("qos", [1, 2])
def test_two_that_feed_each_other(start_broker, peers, ids, honest, watcher, qos, policy):
    """Each waits for the other's queue with its own acknowledgements unread behind what it published."""
    broker = small_broker(start_broker, policy, 200)
    bystander, numbers = honest(broker.port), watcher(broker.port)
    feeders = [Feeder(peers(broker.port, name, properties=KEPT), f"to/{number}", qos)
               for number, name in enumerate(ids.take(2))]
    for number, feeder in enumerate(feeders):
        feeder.flood(f"to/{1 - number}", FLOOD, PAYLOAD)
    fight(broker, feeders, numbers, policy, bystander)


def test_a_reader_that_takes_nothing_is_waited_for_once(start_broker, peers, ids, honest, watcher):
    """Connected, subscribed and silent: the publisher loses one hold to it, and not one for each message."""
    broker = small_broker(start_broker, "drop", 1_000)
    bystander, numbers = honest(broker.port), watcher(broker.port)
    silent, publisher = peers(broker.port, ids.one()), peers(broker.port, ids.one())
    silent.subscribe("t", qos=1)
    started = time.monotonic()
    for number in range(100):
        publisher.publish("t", str(number), qos=1)
    assert 0.9 < time.monotonic() - started < 5
    bystander.served()
    numbers.expect(publish_messages_dropped_queue=100 - WINDOW - QUEUE)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_forgotten_session_on_everything(start_broker, peers, ids, honest, watcher, qos):
    """Nobody waits for it, it keeps what its bound allows, and the rest is counted to the message."""
    broker = small_broker(start_broker, "drop", 20_000)
    name = ids.one()
    forgotten = peers(broker.port, name, properties=KEPT)
    forgotten.subscribe("#", qos=2)
    forgotten.disconnect()
    numbers, publishers = watcher(broker.port), [peers(broker.port, one) for one in ids.take(2)]
    started = time.monotonic()
    for number in range(100):
        for publisher in publishers:
            publisher.publish(f"t/{number}", b"x", qos=qos)
    for publisher in publishers:
        publisher.ping()
    assert time.monotonic() - started < 10, "nobody waits for the absent"
    if qos == 0:
        numbers.expect(publish_messages_dropped_offline__qos0=200, store_messages_count=0)
    else:
        numbers.expect(publish_messages_dropped_queue=200 - QUEUE, store_messages_count=QUEUE)
    back = peers(broker.port, name, clean=False, properties=KEPT)
    assert len(back.messages(QUEUE if qos else 0)) == (QUEUE if qos else 0)
    honest(broker.port).served()
    back.send(mqtt.PINGREQ)
    back.expect("PINGRESP")
