"""RingMQ: an MQTT broker and clients for 3.1, 3.1.1 and 5.0, in your own process.

    import ringmq

    with ringmq.Broker() as broker:                      # 127.0.0.1, a free port
        with broker.subscribe("home/#") as messages:     # no socket
            with ringmq.Client(broker.url) as client:
                client.publish("home/kitchen", "21.5", qos=1)
            print(messages.get(timeout=1).text)

`ringmq.aio` has the same for asyncio.
"""

from __future__ import annotations

import os as _os

from ringmq import _ringmq
from ringmq._broker import Broker
from ringmq._client import Client, ClientOptions
from ringmq._codes import PacketType, QoS, ReasonCode, RetainHandling
from ringmq._errors import (
    ConfigError,
    ConnectError,
    ConnectTimeout,
    Error,
    ForkError,
    PublishError,
    QueueFullError,
    RequestError,
    StartError,
    StoppedError,
    SubscribeError,
    Timeout,
)
from ringmq._events import Connected, Disconnected, Event, ResubscribeRefused, Stopped
from ringmq._faults import Fault, Faults
from ringmq._hooks import (
    AccessQuestion,
    ClientConnected,
    ClientDisconnected,
    ConnectQuestion,
    PublishQuestion,
    Rewrite,
)
from ringmq._options import BrokerOptions
from ringmq._properties import PublishProperties
from ringmq._ringmq import Message, Published, Receipt, Subscription, __version__
from ringmq._sessions import Session
from ringmq._will import Will

__all__ = [
    "AccessQuestion",
    "Broker",
    "BrokerOptions",
    "Client",
    "ClientConnected",
    "ClientDisconnected",
    "ClientOptions",
    "ConfigError",
    "ConnectError",
    "ConnectQuestion",
    "ConnectTimeout",
    "Connected",
    "Disconnected",
    "Error",
    "Event",
    "Fault",
    "Faults",
    "ForkError",
    "Message",
    "PacketType",
    "PublishError",
    "PublishProperties",
    "PublishQuestion",
    "Published",
    "QoS",
    "QueueFullError",
    "ReasonCode",
    "Receipt",
    "RequestError",
    "ResubscribeRefused",
    "RetainHandling",
    "Rewrite",
    "Session",
    "StartError",
    "Stopped",
    "StoppedError",
    "SubscribeError",
    "Subscription",
    "Timeout",
    "Will",
    "__version__",
]


def _in_the_child() -> None:
    _ringmq.after_fork()
    _ringmq.forked()


_os.register_at_fork(before=_ringmq.before_fork, after_in_parent=_ringmq.after_fork, after_in_child=_in_the_child)
