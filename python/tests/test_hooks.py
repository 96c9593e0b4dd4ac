"""Rules of the program's own."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

import ringmq
from ringmq import (
    AccessQuestion,
    ClientConnected,
    ClientDisconnected,
    ConnectQuestion,
    PublishProperties,
    PublishQuestion,
    ReasonCode,
    Rewrite,
    aio,
)


def test_who_comes_in_and_as_whom() -> None:
    asked: list[ConnectQuestion] = []

    def authenticate(question: ConnectQuestion) -> bool | str:
        asked.append(question)
        if question.username == "alias":
            return "real-name"
        return question.username == "anna"

    with ringmq.Broker(authenticate=authenticate) as broker:
        with ringmq.Client(broker.url, client_id="a", username="anna", password="secret"):
            pass
        assert (asked[0].client_id, asked[0].username, asked[0].password) == ("a", "anna", b"secret")
        assert asked[0].address is not None and asked[0].address.startswith("127.0.0.1:")
        with ringmq.Client(broker.url, client_id="b", username="alias"):
            assert broker.clients["b"].username == "real-name"
        with pytest.raises(ringmq.ConnectError) as refused:
            ringmq.Client(broker.url, username="mallory").connect()
        assert refused.value.reason is ReasonCode.BAD_USER_NAME_OR_PASSWORD
        assert len(asked) == 3


@pytest.mark.parametrize(("cache", "times"), [(60.0, 1), (0.0, 5)])
def test_who_does_what_and_how_often_it_is_asked(cache: float, times: int) -> None:
    asked: list[AccessQuestion] = []

    def authorize(question: AccessQuestion) -> bool:
        asked.append(question)
        return question.topic.startswith("open/")

    with ringmq.Broker(authorize=authorize, hook_cache=cache) as broker:
        with ringmq.Client(broker.url, client_id="a", username="anna") as client:
            assert client.subscribe(["open/#", "closed"]) == [ReasonCode.GRANTED_QOS_2, ReasonCode.NOT_AUTHORIZED]
            assert [(question.action, question.topic) for question in asked] == [
                ("subscribe", "open/#"),
                ("subscribe", "closed"),
            ]
            asked.clear()
            for number in range(5):
                client.publish("open/1", str(number), qos=1).wait()
            assert asked == [AccessQuestion("a", "anna", "publish", "open/1")] * times
            with pytest.raises(ringmq.RequestError) as denied:
                client.publish("closed", qos=1).wait()
            assert denied.value.reason is ReasonCode.NOT_AUTHORIZED
            assert [client.get().text for _ in range(5)] == ["0", "1", "2", "3", "4"]


def test_one_that_raises_denies_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def authenticate(question: ConnectQuestion) -> bool:
        raise RuntimeError("no idea")

    def authorize(question: AccessQuestion) -> bool:
        raise RuntimeError("no idea either")

    with ringmq.Broker(authenticate=authenticate) as broker, pytest.raises(ringmq.ConnectError):
        ringmq.Client(broker.url).connect()
    with ringmq.Broker(authorize=authorize) as broker, ringmq.Client(broker.url) as client:
        assert client.subscribe("t") == [ReasonCode.NOT_AUTHORIZED]
    raised = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.exc_info is not None for record in raised] == [True, True]


def test_one_that_hangs_has_a_deadline_and_holds_nobody_else() -> None:
    release = threading.Event()

    def authenticate(question: ConnectQuestion) -> bool:
        if question.client_id == "slow":
            release.wait(10)
        return True

    with ringmq.Broker(authenticate=authenticate, decision_timeout=2, hook_threads=2) as broker:
        with ringmq.Client(broker.url, client_id="before"), broker.subscribe("t") as messages:
            slow = threading.Thread(target=lambda: pytest.raises(ringmq.ConnectError, late))
            late = ringmq.Client(broker.url, client_id="slow").connect
            slow.start()
            broker.publish("t", "goes on", qos=1)
            assert messages.get().text == "goes on"
            with ringmq.Client(broker.url, client_id="fast"):
                pass
            slow.join(5)
            assert not slow.is_alive()
            release.set()


def test_coroutines_run_on_the_loop_of_the_broker() -> None:
    async def main() -> None:
        loops: list[asyncio.AbstractEventLoop] = []

        async def authenticate(question: ConnectQuestion) -> bool:
            await asyncio.sleep(0.01)
            loops.append(asyncio.get_running_loop())
            return question.client_id != "b"

        async with aio.Broker(authenticate=authenticate) as broker:
            async with aio.Client(broker.url, client_id="a"):
                pass
            with pytest.raises(ringmq.ConnectError):
                await aio.Client(broker.url, client_id="b").connect()
        assert loops == [asyncio.get_running_loop()] * 2

    asyncio.run(main())


def test_a_coroutine_without_a_loop_has_its_own() -> None:
    async def authorize(question: AccessQuestion) -> bool:
        await asyncio.sleep(0)
        return question.topic == "a"

    with ringmq.Broker(authorize=authorize) as broker, ringmq.Client(broker.url) as client:
        assert client.subscribe(["a", "b"]) == [ReasonCode.GRANTED_QOS_2, ReasonCode.NOT_AUTHORIZED]


def test_files_beside_a_hook_would_be_ignored_and_are_refused() -> None:
    with pytest.raises(ringmq.ConfigError, match="acl_file"):
        ringmq.Broker(authorize=lambda question: True, acl_file="acl")


def test_a_stop_does_not_wait_for_a_hook_that_hangs() -> None:
    release = threading.Event()
    broker = ringmq.Broker(authenticate=lambda question: release.wait(20), decision_timeout=10)
    broker.start()
    thread = threading.Thread(target=lambda: pytest.raises(ringmq.Error, ringmq.Client(broker.url).connect))
    thread.start()
    time.sleep(0.1)
    began = time.monotonic()
    broker.stop()
    assert time.monotonic() - began < 8
    release.set()
    thread.join(10)


def test_a_reload_and_a_second_start_leave_the_rules_in_charge() -> None:
    broker = ringmq.Broker(authenticate=lambda question: question.username == "anna")

    def comes_in(username: str) -> bool:
        try:
            with ringmq.Client(broker.url, username=username):
                return True
        except ringmq.ConnectError:
            return False

    with broker:
        broker.reload(maximum_qos=1)
        with pytest.raises(ringmq.Error, match="runs already"):
            broker.start()
        assert (comes_in("anna"), comes_in("mallory")) == (True, False)
    with broker:
        assert (comes_in("anna"), comes_in("mallory")) == (True, False)


def test_permissions_alone_do_not_open_a_broker_to_the_network() -> None:
    def authorize(question: AccessQuestion) -> bool:
        return True

    reaching: list[ringmq.BrokerOptions] = [
        {"listen": "tcp://0.0.0.0:0"},
        {"bind": ["127.0.0.1", "*"]},
        {"config_text": "maximum_qos = 1"},
    ]
    for options in reaching:
        with pytest.raises(ringmq.ConfigError, match="authenticate"):
            ringmq.Broker(authorize=authorize, **options)
    with pytest.raises(ringmq.ConfigError, match="anonymous"):
        ringmq.Broker(authorize=authorize, allow_anonymous=False)
    ringmq.Broker(authorize=authorize, listen=["tcp://127.0.0.1:0", "ws://[::1]:0", "unix:/tmp/x"])


@pytest.mark.parametrize("answer", ["", "no"])
def test_a_text_where_none_belongs_is_no(answer: str) -> None:
    if answer:
        broker = ringmq.Broker(authorize=lambda question: answer)  # type: ignore[arg-type,return-value]
        with broker, ringmq.Client(broker.url) as client:
            assert client.subscribe("t") == [ReasonCode.NOT_AUTHORIZED]
        return
    with ringmq.Broker(authenticate=lambda question: answer) as broker, pytest.raises(ringmq.ConnectError):
        ringmq.Client(broker.url).connect()


def test_who_comes_and_goes_is_told() -> None:
    told: list[ClientConnected | ClientDisconnected] = []
    with ringmq.Broker(on_connect=told.append, on_disconnect=told.append) as broker:
        with ringmq.Client(broker.url, client_id="a", username="anna"):
            with ringmq.Client(broker.url, client_id="b", protocol="3.1.1"):
                broker.clients["b"].kick()
            until = time.monotonic() + 5
            while len(told) < 3 and time.monotonic() < until:
                time.sleep(0.005)
    assert isinstance(told[0], ClientConnected)
    assert told[0].address is not None and told[0].address.startswith("127.0.0.1:")
    gone = [event for event in told if isinstance(event, ClientDisconnected)]
    assert gone == [
        ClientDisconnected("b", None, ReasonCode.ADMINISTRATIVE_ACTION),
        ClientDisconnected("a", "anna", ReasonCode.SUCCESS),
    ]


def test_a_stop_tells_that_all_are_gone() -> None:
    told: list[ClientDisconnected] = []

    def slow(event: ClientDisconnected) -> None:
        # Some still wait when the broker has stopped.
        time.sleep(0.05)
        told.append(event)

    broker = ringmq.Broker(on_disconnect=slow)
    broker.start()
    clients = [ringmq.Client(broker.url, client_id=str(number)) for number in range(5)]
    for client in clients:
        client.connect()
    broker.stop()
    assert {event.client_id for event in told} == {"0", "1", "2", "3", "4"}
    assert {event.reason for event in told} == {ReasonCode.SERVER_SHUTTING_DOWN}
    for client in clients:
        client.disconnect()


def rewriting(question: PublishQuestion) -> bool | ReasonCode | Rewrite | None:
    message = question.message
    match message.text:
        case "refused":
            return False
        case "quota":
            return ReasonCode.QUOTA_EXCEEDED
        case "same":
            return True
        case "loud":
            return Rewrite(payload=message.text.upper(), properties={**PROPERTIES, "content_type": "loud"})
        case "bare":
            return Rewrite(topic=f"{message.topic}/{question.client_id}", retain=False, properties={})
        case "raises":
            raise RuntimeError("no idea")
        case "impossible":
            return Rewrite(topic="a/#")
        case "strange":
            return "strange"  # type: ignore[return-value]
        case _:
            return None


PROPERTIES: PublishProperties = {"content_type": "text", "user_properties": [("a", "b")]}


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("waits", [False, True])
def test_messages_pass_change_or_are_refused(
    shards: int, waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def waiting(question: PublishQuestion) -> bool | ReasonCode | Rewrite | None:
        await asyncio.sleep(0.001)
        return rewriting(question)

    expected: list[tuple[str, ReasonCode | None]] = [
        ("same", None),
        ("refused", ReasonCode.NOT_AUTHORIZED),
        ("quota", ReasonCode.QUOTA_EXCEEDED),
        ("loud", None),
        ("raises", ReasonCode.NOT_AUTHORIZED),
        ("impossible", ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR),
        ("strange", ReasonCode.NOT_AUTHORIZED),
        ("bare", None),
        ("other", None),
    ]
    hook = waiting if waits else rewriting
    with ringmq.Broker(on_publish=hook, shards=shards) as broker, broker.subscribe(
        "#", retain_as_published=True, retain_handling=2
    ) as sub:
        with ringmq.Client(broker.url, client_id="a") as client:
            for text, reason in expected:
                receipt = client.publish("t", text, qos=1, retain=True, **PROPERTIES)
                if reason is None:
                    receipt.wait()
                    continue
                with pytest.raises(ringmq.RequestError) as refused:
                    receipt.wait()
                assert refused.value.reason is reason, text
        got = [sub.get() for _ in range(4)]
        assert [(message.topic, message.text, message.retain) for message in got] == [
            ("t", "same", True),
            ("t", "LOUD", True),
            ("t/a", "bare", False),
            ("t", "other", True),
        ]
        assert [message.content_type for message in got] == ["text", "loud", None, "text"]
        assert [message.user_properties for message in got] == [[("a", "b")], [("a", "b")], [], [("a", "b")]]
        assert set(broker.retained()) == {"t"}
    assert sum(record.exc_info is not None for record in caplog.records) == 2


def test_a_will_is_shown_and_what_this_program_publishes_is_not() -> None:
    shown: list[tuple[str, bool]] = []

    def on_publish(question: PublishQuestion) -> Rewrite:
        shown.append((question.message.text, question.is_will))
        return Rewrite(payload="late " + question.message.text)

    with ringmq.Broker(on_publish=on_publish) as broker, broker.subscribe("#") as sub:
        broker.publish("t", "own")
        will = ringmq.Will(topic="w", payload="will")
        with ringmq.Client(broker.url, client_id="a", will=will, reconnect=False):
            broker.clients["a"].kick()
            assert [sub.get().text for _ in range(2)] == ["own", "late will"]
    assert shown == [("will", True)]


def test_files_decide_beside_hooks_that_only_watch(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic write open\ntopic read #\n")
    shown: list[str] = []

    def on_publish(question: PublishQuestion) -> None:
        shown.append(question.message.topic)

    with ringmq.Broker(acl_file=acl, on_publish=on_publish) as broker, ringmq.Client(broker.url) as client:
        client.publish("open", qos=1).wait()
        with pytest.raises(ringmq.RequestError):
            client.publish("closed", qos=1).wait()
    assert shown == ["open"]


def test_all_that_are_told_run_on_the_loop_of_the_broker() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def told(_: object) -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> None:
        async with aio.Broker(on_connect=told, on_disconnect=told, on_publish=told) as broker:
            async with aio.Client(broker.url) as client:
                await client.publish("t", qos=1)
            async with asyncio.timeout(5):
                while len(loops) < 3:
                    await asyncio.sleep(0.01)
        assert loops == [asyncio.get_running_loop()] * 3

    asyncio.run(main())


def test_a_hook_that_hangs_refuses_and_keeps_the_order() -> None:
    release = threading.Event()

    def on_publish(question: PublishQuestion) -> None:
        if question.message.text == "hangs":
            release.wait()

    with (
        ringmq.Broker(on_publish=on_publish, hook_threads=2, decision_timeout=0.3) as broker,
        broker.subscribe("#") as sub,
        ringmq.Client(broker.url) as client,
        ringmq.Client(broker.url) as other,
    ):
        hung = client.publish("t", "hangs", qos=1)
        behind = client.publish("t", "behind", qos=1)
        other.publish("t", "other", qos=1).wait()
        with pytest.raises(ringmq.RequestError) as refused:
            hung.wait()
        assert refused.value.reason is ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR
        behind.wait()
        assert [sub.get().text for _ in range(2)] == ["other", "behind"]
        release.set()
