"""Time that a test lets pass."""

from __future__ import annotations

import pytest

import ringmq
from ringmq import ReasonCode


def test_sessions_expire_on_the_minute(broker: ringmq.Broker) -> None:
    with ringmq.Client(broker.url, client_id="a", session_expiry_interval=7200, reconnect=False):
        pass
    broker.clock.advance(hours=1, minutes=59)
    assert list(broker.sessions) == ["a"]
    broker.clock.advance(minutes=1, seconds=1)
    assert list(broker.sessions) == []
    assert broker.stats()["sessions_expired"] == 1


def test_messages_expire_kept_and_queued(broker: ringmq.Broker) -> None:
    options: ringmq.ClientOptions = {"client_id": "a", "clean_start": False, "session_expiry_interval": 10_000}
    with ringmq.Client(broker.url, **options) as client:
        client.subscribe("t", qos=1)
    for seconds in (60, 600):
        broker.publish("t", str(seconds), qos=1, message_expiry_interval=seconds)
        broker.publish(f"kept/{seconds}", "x", retain=True, message_expiry_interval=seconds)
    broker.clock.advance(seconds=100)
    assert list(broker.retained("kept/#")) == ["kept/600"]
    with ringmq.Client(broker.url, **options) as client:
        message = client.get()
        assert message.text == "600"
        assert message.message_expiry_interval in range(490, 501)
        with pytest.raises(ringmq.Timeout):
            client.get(timeout=0.05)


def test_a_will_comes_when_its_delay_is_over(broker: ringmq.Broker) -> None:
    will = ringmq.Will(topic="gone", payload="a", qos=1, delay_interval=3600)
    with broker.subscribe("gone") as wills:
        with ringmq.Client(broker.url, will=will, session_expiry_interval=10_000) as client:
            client.disconnect(reason=4)
        broker.clock.advance(minutes=59)
        with pytest.raises(ringmq.Timeout):
            wills.get(timeout=0.05)
        broker.clock.advance(minutes=2)
        assert wills.get().text == "a"


def test_connections_stay_unless_they_were_silent(broker: ringmq.Broker) -> None:
    with ringmq.Client(broker.url, client_id="a", keep_alive=60, reconnect=False) as client:
        broker.clock.advance(days=365)
        assert list(broker.clients) == ["a"]
        broker.clock.advance(seconds=80, keep_alive=True)
        assert list(broker.clients) == ["a"]
        broker.clock.advance(seconds=91, keep_alive=True)
        assert list(broker.clients) == []
        events = iter(client.next_event, None)
        lost = next(event for event in events if isinstance(event, ringmq.Disconnected))
        assert lost.error.reason is ReasonCode.KEEP_ALIVE_TIMEOUT


def test_time_does_not_go_back(broker: ringmq.Broker) -> None:
    with pytest.raises(ValueError, match="from 0 on"):
        broker.clock.advance(hours=-1)
