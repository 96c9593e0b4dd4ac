"""paho-mqtt's interface on our engine."""

# pyright: basic

from __future__ import annotations

import threading
from typing import Any

import pytest

import ringmq
import ringmq.paho as mqtt
from ringmq.paho import CallbackAPIVersion, PacketTypes, Properties

pytestmark = pytest.mark.filterwarnings("ignore:callbacks of version 1:DeprecationWarning")


class Told:
    """Everything that was called back, and a way to wait for it."""

    def __init__(self, client: mqtt.Client) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._changed = threading.Condition()
        for name in ("connect", "disconnect", "message", "publish", "subscribe", "unsubscribe"):
            setattr(client, f"on_{name}", self._teller(name))

    def _teller(self, name: str) -> mqtt.Callback:
        def told(_client: mqtt.Client, _userdata: object, *arguments: Any) -> None:
            with self._changed:
                self.calls.append((name, arguments))
                self._changed.notify_all()

        return told

    def wait(self, name: str, count: int = 1) -> tuple[Any, ...]:
        """The arguments of this call, the `count`-th of its name."""

        def found() -> list[tuple[Any, ...]]:
            return [arguments for called, arguments in self.calls if called == name]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, 5), f"no {name}, only {self.calls}"
            return found()[count - 1]


@pytest.mark.parametrize("protocol", [mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5])
@pytest.mark.parametrize("api", list(CallbackAPIVersion))
def test_a_life_of_a_client(broker: ringmq.Broker, api: CallbackAPIVersion, protocol: int) -> None:
    client = mqtt.Client(api, client_id="me", protocol=protocol)
    told = Told(client)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    is_v2, is_v5 = api is CallbackAPIVersion.VERSION2, protocol == mqtt.MQTTv5
    connected = told.wait("connect")
    assert connected[1] == 0
    assert len(connected) == (3 if is_v2 or is_v5 else 2)
    assert client.is_connected()
    result, mid = client.subscribe([("a", 0), ("b/#", 2)])
    assert result == mqtt.MQTT_ERR_SUCCESS
    subscribed = told.wait("subscribe")
    assert (subscribed[0], list(subscribed[1])) == (mid, [0, 2])
    for count, qos in enumerate((0, 1, 2), 1):
        info = client.publish("b/c", f"payload {qos}", qos=qos)
        info.wait_for_publish(5)
        assert info.is_published()
        assert told.wait("publish", count)[0] == info.mid
        (message,) = told.wait("message", count)
        assert (message.topic, message.payload, message.qos) == ("b/c", f"payload {qos}".encode(), qos)
    _, mid = client.unsubscribe("a")
    assert told.wait("unsubscribe")[0] == mid
    client.disconnect()
    gone = told.wait("disconnect")
    assert gone[1 if is_v2 else 0] == 0
    client.loop_stop()
    assert not client.is_connected()


def test_properties_go_both_ways(broker: ringmq.Broker) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    told = Told(client)
    connect = Properties(PacketTypes.CONNECT)
    connect.SessionExpiryInterval = 60
    client.connect("127.0.0.1", broker.port, properties=connect)
    client.loop_start()
    assert isinstance(told.wait("connect")[2].AssignedClientIdentifier, str)
    assert next(iter(broker.sessions.values())).session_expiry_interval == 60
    client.subscribe("t", options=mqtt.SubscribeOptions(qos=1))
    told.wait("subscribe")
    publish = Properties(PacketTypes.PUBLISH)
    publish.UserProperty = ("a", "1")
    publish.UserProperty = ("a", "2")
    publish.CorrelationData = b"\x01"
    client.publish("t", 21.5, qos=1, properties=publish)
    (message,) = told.wait("message")
    assert (message.payload, message.properties.UserProperty) == (b"21.5", [("a", "1"), ("a", "2")])
    assert message.properties.json()["CorrelationData"] == "01"
    client.disconnect()
    client.loop_stop()


def test_who_is_refused_is_told(broker: ringmq.Broker) -> None:
    with ringmq.Broker(authenticate=lambda question: question.username == "anna") as strict:
        for api, protocol, expected in (
            (CallbackAPIVersion.VERSION2, mqtt.MQTTv5, "Bad user name or password"),
            (CallbackAPIVersion.VERSION1, mqtt.MQTTv311, 4),
        ):
            client = mqtt.Client(api, protocol=protocol, reconnect_on_failure=False)
            told = Told(client)
            client.username_pw_set("mallory", "x")
            client.connect("127.0.0.1", strict.port)
            client.loop_start()
            assert told.wait("connect")[1] == expected
            client.loop_stop()
    with pytest.raises(OSError):
        mqtt.Client(CallbackAPIVersion.VERSION2).connect("127.0.0.1", 1)


def test_callbacks_by_filter_and_loops_of_the_program(broker: ringmq.Broker) -> None:
    got: list[tuple[str, str]] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, userdata="mine")
    client.on_connect = lambda c, userdata, *rest: c.subscribe("#")
    client.on_subscribe = lambda c, *rest: [c.publish(topic, "x") for topic in ("a/1", "b/1", "stop")]
    client.message_callback_add("a/+", lambda c, userdata, message: got.append(("a", userdata)))

    def on_message(c: mqtt.Client, userdata: str, message: mqtt.MQTTMessage) -> None:
        got.append((message.topic, userdata))
        if message.topic == "stop":
            c.disconnect()

    client.on_message = on_message
    client.connect("127.0.0.1", broker.port)
    assert client.loop_forever() == mqtt.MQTT_ERR_SUCCESS
    assert got == [("a", "mine"), ("b/1", "mine"), ("stop", "mine")]


def test_the_will_and_manual_acknowledgements(broker: ringmq.Broker) -> None:
    with broker.subscribe("will") as wills:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, manual_ack=True)
        told = Told(client)
        client.will_set("will", 5, qos=1)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        told.wait("connect")
        client.subscribe("t", 1)
        told.wait("subscribe")
        client.publish("t", "x", qos=1).wait_for_publish(5)
        (message,) = told.wait("message")
        assert next(iter(broker.sessions.values())).inflight == 1
        client.ack(message.mid, message.qos)
        client.publish("t", "y", qos=1).wait_for_publish(5)
        told.wait("message", 2)
        next(iter(broker.clients.values())).kick()
        assert told.wait("disconnect")[1] == "Administrative action"
        assert wills.get().text == "5"
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda client: client.publish("a/#"), "wildcards"),
        (lambda client: client.publish("a", qos=3), "QoS"),
        (lambda client: client.subscribe(""), "topic"),
        (lambda client: client.subscribe([]), "Empty"),
        (lambda client: client.connect(""), "host"),
        (lambda client: client.connect("h", 0), "port"),
        (lambda client: client.will_set(""), "topic"),
    ],
)
def test_wrong_arguments_raise_as_they_do_there(call: mqtt.Callback, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        call(mqtt.Client(CallbackAPIVersion.VERSION2))


def test_what_fails_is_told_and_the_loop_goes_on() -> None:
    with ringmq.Broker(authorize=lambda question: question.topic != "closed") as broker:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        told = Told(client)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        told.wait("connect")
        info = client.publish("closed", "x", qos=1)
        assert told.wait("publish")[1] == "Not authorized"
        assert not info.is_published()
        with pytest.raises(RuntimeError, match="authorized"):
            info.wait_for_publish(5)
        client.subscribe("open", 1)
        told.wait("subscribe")
        client.publish("open", "y", qos=1)
        assert told.wait("message")[0].payload == b"y"
        client.disconnect()
        client.loop_stop()


def test_a_disconnect_without_a_loop_is_sent(broker: ringmq.Broker) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="a")
    client.connect("127.0.0.1", broker.port)
    client.publish("t", "x", qos=1)
    client.disconnect()
    assert list(broker.clients) == []
