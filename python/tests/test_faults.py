"""Things that go wrong on purpose."""

from __future__ import annotations

import socket
import time

import pytest

import ringmq
from ringmq import PacketType, ReasonCode

DRIVERS = ("epoll", "uring")


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("shards", [1, 2])
def test_an_acknowledgement_that_is_lost_is_made_good_by_a_new_connection(driver: str, shards: int) -> None:
    with (
        ringmq.Broker(faults=True, driver=driver, shards=shards) as broker,
        broker.subscribe("#") as sub,
        ringmq.Client(broker.url, client_id="a", clean_start=False, session_expiry_interval=60) as client,
    ):
        with broker.faults.drop(PacketType.PUBACK, client="a", to="client", times=1) as lost:
            receipt = client.publish("t", "once", qos=1)
            assert sub.get().text == "once"
            with pytest.raises(ringmq.Timeout):
                receipt.wait(0.2)
            assert lost.hits == 1
            broker.clients["a"].kick()
            receipt.wait()
            again = sub.get()
            assert again.text == "once", "at least once [MQTT-4.4.0-1]"


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_late_comes_in_its_order(driver: str) -> None:
    with (
        ringmq.Broker(faults=True, driver=driver) as broker,
        broker.subscribe("#") as sub,
        ringmq.Client(broker.url, client_id="a") as client,
    ):
        broker.faults.delay(0.2, PacketType.PUBLISH, to="broker", times=1)
        began = time.monotonic()
        for number in range(3):
            client.publish("t", str(number), qos=1)
        assert [sub.get().text for _ in range(3)] == ["0", "1", "2"]
        assert time.monotonic() - began >= 0.2
        client.subscribe("back")
        broker.faults.delay(0.2, PacketType.PUBLISH, to="client", times=1)
        began = time.monotonic()
        for number in range(3):
            broker.publish("back", str(number))
        assert [client.get().text for _ in range(3)] == ["0", "1", "2"]
        assert time.monotonic() - began >= 0.2


def test_what_comes_twice_is_published_twice_at_qos_1_and_once_at_qos_2() -> None:
    with (
        ringmq.Broker(faults=True) as broker,
        broker.subscribe("#") as sub,
        ringmq.Client(broker.url) as client,
    ):
        twice = broker.faults.duplicate(PacketType.PUBLISH, to="broker", times=2)
        client.publish("t", "one", qos=1).wait()
        client.publish("t", "two", qos=2).wait()
        client.publish("t", "end", qos=1).wait()
        assert twice.hits == 2
        assert [sub.get().text for _ in range(4)] == ["one", "one", "two", "end"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("packet", [PacketType.PINGREQ, PacketType.PINGRESP])
def test_a_reset_is_one(driver: str, packet: PacketType) -> None:
    with ringmq.Broker(faults=True, driver=driver) as broker:
        broker.faults.reset(packet)
        with socket.create_connection(("127.0.0.1", broker.port)) as raw:
            raw.settimeout(5)
            raw.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a")
            assert raw.recv(4) == b"\x20\x02\x00\x00"
            raw.sendall(b"\xc0\x00")
            with pytest.raises(ConnectionResetError):
                raw.recv(1)


def test_a_refusal_has_its_reason_and_is_for_whom_it_is_meant() -> None:
    with ringmq.Broker(faults=True) as broker:
        broker.faults.refuse(ReasonCode.SERVER_BUSY, client="a", times=1)
        with ringmq.Client(broker.url, client_id="b"):
            pass
        with pytest.raises(ringmq.ConnectError) as refused:
            ringmq.Client(broker.url, client_id="a").connect()
        assert refused.value.reason is ReasonCode.SERVER_BUSY
        with ringmq.Client(broker.url, client_id="a"):
            pass
        assert not broker.clients
        with pytest.raises(ValueError, match="does not refuse"):
            broker.faults.refuse(ReasonCode.SUCCESS)


def test_a_client_that_is_never_answered_times_out() -> None:
    with ringmq.Broker(faults=True) as broker:
        with broker.faults.drop(PacketType.CONNACK), pytest.raises(ringmq.Timeout):
            ringmq.Client(broker.url).connect(0.3)
        with ringmq.Client(broker.url):
            pass


def test_without_the_option_nothing_goes_wrong() -> None:
    with ringmq.Broker() as broker, pytest.raises(ringmq.Error, match="faults=True"):
        broker.faults.clear()
    with pytest.raises(ValueError, match="the broker or the client"):
        ringmq.Faults().drop(to="nobody")  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ["tcp", "ws"])
def test_a_thousand_messages_pass_where_no_fault_is_for_them(scheme: str) -> None:
    with (
        ringmq.Broker(faults=True, bind=f"{scheme}://127.0.0.1:0", shards=2) as broker,
        ringmq.Client(broker.url) as client,
    ):
        broker.faults.drop(client="somebody else")
        client.subscribe("t", qos=2)
        for number in range(1000):
            client.publish("t", f"{number}" * (number // 2), qos=number % 3)
        got = [client.get() for _ in range(1000)]
        assert [message.payload for message in got] == [f"{n}".encode() * (n // 2) for n in range(1000)]
