"""What paho-mqtt's interface is about: versions, error codes, reason codes, properties, options."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import Any, cast

from ringmq._topics import matches

__all__ = [
    "CONNECT_KEYWORDS",
    "MQTT_CLEAN_START_FIRST_ONLY",
    "MQTT_ERR_CONN_LOST",
    "MQTT_ERR_CONN_REFUSED",
    "MQTT_ERR_INVAL",
    "MQTT_ERR_KEEPALIVE",
    "MQTT_ERR_NO_CONN",
    "MQTT_ERR_PROTOCOL",
    "MQTT_ERR_QUEUE_SIZE",
    "MQTT_ERR_SUCCESS",
    "PUBLISH_KEYWORDS",
    "TO_CONNACK",
    "VERSIONS",
    "CallbackAPIVersion",
    "ConnackCode",
    "ConnectFlags",
    "DisconnectFlags",
    "MQTTErrorCode",
    "MQTTProtocolVersion",
    "MQTTv5",
    "MQTTv31",
    "MQTTv311",
    "PacketTypes",
    "Properties",
    "ReasonCode",
    "SubscribeOptions",
    "connack_string",
    "error_string",
    "keywords_of",
    "properties_of",
    "topic_matches_sub",
]


class CallbackAPIVersion(Enum):
    """Which arguments callbacks get: those of paho-mqtt 1.x or of 2.x."""

    VERSION1 = 1
    VERSION2 = 2


class MQTTErrorCode(IntEnum):
    """What a call came to; paho-mqtt's numbers."""

    MQTT_ERR_AGAIN = -1
    MQTT_ERR_SUCCESS = 0
    MQTT_ERR_NOMEM = 1
    MQTT_ERR_PROTOCOL = 2
    MQTT_ERR_INVAL = 3
    MQTT_ERR_NO_CONN = 4
    MQTT_ERR_CONN_REFUSED = 5
    MQTT_ERR_NOT_FOUND = 6
    MQTT_ERR_CONN_LOST = 7
    MQTT_ERR_TLS = 8
    MQTT_ERR_PAYLOAD_SIZE = 9
    MQTT_ERR_NOT_SUPPORTED = 10
    MQTT_ERR_AUTH = 11
    MQTT_ERR_ACL_DENIED = 12
    MQTT_ERR_UNKNOWN = 13
    MQTT_ERR_ERRNO = 14
    MQTT_ERR_QUEUE_SIZE = 15
    MQTT_ERR_KEEPALIVE = 16


class MQTTProtocolVersion(IntEnum):
    """Versions of MQTT, as CONNECT has them (MQTT 5.0, 3.1.2.2)."""

    MQTTv31 = 3
    MQTTv311 = 4
    MQTTv5 = 5


class ConnackCode(IntEnum):
    """Return codes of CONNACK (MQTT 3.1.1, 3.2.2.3)."""

    CONNACK_ACCEPTED = 0
    CONNACK_REFUSED_PROTOCOL_VERSION = 1
    CONNACK_REFUSED_IDENTIFIER_REJECTED = 2
    CONNACK_REFUSED_SERVER_UNAVAILABLE = 3
    CONNACK_REFUSED_BAD_USERNAME_PASSWORD = 4
    CONNACK_REFUSED_NOT_AUTHORIZED = 5


MQTTv31, MQTTv311, MQTTv5 = MQTTProtocolVersion.MQTTv31, MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5
MQTT_ERR_SUCCESS = MQTTErrorCode.MQTT_ERR_SUCCESS
MQTT_ERR_PROTOCOL = MQTTErrorCode.MQTT_ERR_PROTOCOL
MQTT_ERR_INVAL = MQTTErrorCode.MQTT_ERR_INVAL
MQTT_ERR_NO_CONN = MQTTErrorCode.MQTT_ERR_NO_CONN
MQTT_ERR_CONN_REFUSED = MQTTErrorCode.MQTT_ERR_CONN_REFUSED
MQTT_ERR_CONN_LOST = MQTTErrorCode.MQTT_ERR_CONN_LOST
MQTT_ERR_QUEUE_SIZE = MQTTErrorCode.MQTT_ERR_QUEUE_SIZE
MQTT_ERR_KEEPALIVE = MQTTErrorCode.MQTT_ERR_KEEPALIVE
MQTT_CLEAN_START_FIRST_ONLY = 3

VERSIONS = {3: "3.1", 4: "3.1.1", 5: "5.0"}
_ERRORS = {
    MQTTErrorCode.MQTT_ERR_SUCCESS: "No error.",
    MQTTErrorCode.MQTT_ERR_INVAL: "Invalid function arguments provided.",
    MQTTErrorCode.MQTT_ERR_NO_CONN: "The client is not currently connected.",
    MQTTErrorCode.MQTT_ERR_CONN_REFUSED: "The connection was refused.",
    MQTTErrorCode.MQTT_ERR_CONN_LOST: "The connection was lost.",
    MQTTErrorCode.MQTT_ERR_PAYLOAD_SIZE: "Payload too large.",
    MQTTErrorCode.MQTT_ERR_QUEUE_SIZE: "Message queue full.",
    MQTTErrorCode.MQTT_ERR_KEEPALIVE: "Client or broker did not communicate in the keepalive interval.",
}
_CONNACK = {
    0: "Connection Accepted.",
    1: "Connection Refused: unacceptable protocol version.",
    2: "Connection Refused: identifier rejected.",
    3: "Connection Refused: broker unavailable.",
    4: "Connection Refused: bad user name or password.",
    5: "Connection Refused: not authorised.",
}


def error_string(error: int) -> str:
    """What an `MQTTErrorCode` means, in words."""
    return _ERRORS.get(cast(MQTTErrorCode, error), "Unknown error.")


def connack_string(code: int | ReasonCode) -> str:
    """What a return or reason code of CONNACK means, in words."""
    if isinstance(code, ReasonCode):
        return str(code)
    return _CONNACK.get(code, "Connection Refused: unknown reason.")


def topic_matches_sub(sub: str, topic: str) -> bool:
    """Whether a topic matches a topic filter (MQTT 5.0, 4.7)."""
    return matches(sub, topic)


class PacketTypes:
    """Numbers of packet types (MQTT 5.0, 2.1.2)."""

    CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
    SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)
    WILLMESSAGE = 99


_NAMES = {
    0x00: "Success",
    0x01: "Granted QoS 1",
    0x02: "Granted QoS 2",
    0x04: "Disconnect with will message",
    0x10: "No matching subscribers",
    0x11: "No subscription found",
    0x80: "Unspecified error",
    0x81: "Malformed packet",
    0x82: "Protocol error",
    0x83: "Implementation specific error",
    0x84: "Unsupported protocol version",
    0x85: "Client identifier not valid",
    0x86: "Bad user name or password",
    0x87: "Not authorized",
    0x88: "Server unavailable",
    0x89: "Server busy",
    0x8A: "Banned",
    0x8B: "Server shutting down",
    0x8C: "Bad authentication method",
    0x8D: "Keep alive timeout",
    0x8E: "Session taken over",
    0x8F: "Topic filter invalid",
    0x90: "Topic name invalid",
    0x91: "Packet identifier in use",
    0x92: "Packet identifier not found",
    0x93: "Receive maximum exceeded",
    0x94: "Topic alias invalid",
    0x95: "Packet too large",
    0x96: "Message rate too high",
    0x97: "Quota exceeded",
    0x98: "Administrative action",
    0x99: "Payload format invalid",
    0x9A: "Retain not supported",
    0x9B: "QoS not supported",
    0x9C: "Use another server",
    0x9D: "Server moved",
    0x9E: "Shared subscription not supported",
    0x9F: "Connection rate exceeded",
    0xA0: "Maximum connect time",
    0xA1: "Subscription identifiers not supported",
    0xA2: "Wildcard subscription not supported",
}
TO_CONNACK = {0x84: 1, 0x85: 2, 0x88: 3, 0x89: 3, 0x86: 4, 0x87: 5}


class ReasonCode:
    """A reason code of a packet (MQTT 5.0, 2.4): `packetType`, one of `PacketTypes`, and `value`, its number. Equal to its
    number and to its name."""

    def __init__(self, packetType: int, aName: str = "Success", identifier: int = -1) -> None:
        """By name, or by number where that is not -1. Raises `KeyError` for a name that there is not."""
        self.packetType = packetType
        if identifier == -1:
            found = [value for value, name in _NAMES.items() if name == aName]
            if not found and aName in ("Normal disconnection", "Granted QoS 0"):
                found = [0]
            if not found:
                raise KeyError(aName)
            identifier = found[0]
        self.value = identifier

    def getName(self) -> str:
        """What it is called in its packet."""
        if self.value == 0:
            zero = {PacketTypes.DISCONNECT: "Normal disconnection", PacketTypes.SUBACK: "Granted QoS 0"}
            return zero.get(self.packetType, "Success")
        return _NAMES.get(self.value, f"Reason code {self.value}")

    def getId(self, name: str) -> int:
        """The number of a name. Raises `KeyError` for a name that there is not."""
        return ReasonCode(self.packetType, name).value

    @property
    def is_failure(self) -> bool:
        """Whether it tells of a failure: from 0x80 on."""
        return self.value >= 0x80

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.value == other
        if isinstance(other, str):
            return other == self.getName()
        return getattr(other, "value", None) == self.value

    def __lt__(self, other: Any) -> bool:
        return self.value < int(getattr(other, "value", other))

    def __hash__(self) -> int:
        return hash(self.value)

    def __int__(self) -> int:
        return self.value

    def __str__(self) -> str:
        return self.getName()

    def __repr__(self) -> str:
        return f"ReasonCode({self.packetType}, {self.getName()!r})"

    def json(self) -> str:
        """Its name, as for JSON."""
        return self.getName()

    def pack(self) -> bytearray:
        """Its number as one byte."""
        return bytearray([self.value])


class Properties:
    """Properties of a packet: attributes with the specification's names without spaces, such as `MessageExpiryInterval`.
    `UserProperty` takes pairs, one at a time or a list."""

    def __init__(self, packetType: int) -> None:
        """None yet."""
        self.__dict__["packetType"] = packetType
        self.__dict__["_values"] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        values: dict[str, Any] = self.__dict__["_values"]
        if name in ("UserProperty", "SubscriptionIdentifier"):
            more: list[Any] = list(cast(Iterable[Any], value)) if isinstance(value, list) else [value]
            value = [*values.get(name, []), *more]
        values[name] = value

    def __getattr__(self, name: str) -> Any:
        values: dict[str, Any] = self.__dict__.get("_values", {})
        try:
            return values[name]
        except KeyError:
            raise AttributeError(name) from None

    def isEmpty(self) -> bool:
        """Whether there is none."""
        return not self.__dict__["_values"]

    def clear(self) -> None:
        """Removes all."""
        self.__dict__["_values"].clear()

    def json(self) -> dict[str, Any]:
        """All of them by name; bytes as hexadecimal text."""
        values: dict[str, Any] = self.__dict__["_values"]
        return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Properties) and self.json() == other.json()

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return "[" + ", ".join(f"{name} : {value}" for name, value in self.json().items()) + "]"


def properties_of(packet_type: int, pairs: Iterable[tuple[str, Any]]) -> Properties:
    properties = Properties(packet_type)
    for name, value in pairs:
        setattr(properties, name.replace(" ", ""), value)
    return properties


PUBLISH_KEYWORDS = {
    "PayloadFormatIndicator": "payload_format_indicator",
    "MessageExpiryInterval": "message_expiry_interval",
    "ContentType": "content_type",
    "ResponseTopic": "response_topic",
    "CorrelationData": "correlation_data",
    "UserProperty": "user_properties",
    "WillDelayInterval": "delay_interval",
}
CONNECT_KEYWORDS = {
    "SessionExpiryInterval": "session_expiry_interval",
    "ReceiveMaximum": "receive_maximum",
    "MaximumPacketSize": "maximum_packet_size",
    "TopicAliasMaximum": "topic_alias_maximum",
    "RequestResponseInformation": "request_response_information",
    "RequestProblemInformation": "request_problem_information",
    "UserProperty": "user_properties",
    "AuthenticationMethod": "authentication_method",
}


def keywords_of(properties: Properties | None, names: dict[str, str]) -> dict[str, Any]:
    """Properties, ours or paho's, as keyword arguments."""
    found: dict[str, Any] = {}
    for name, keyword in names.items():
        if properties is not None and hasattr(properties, name):
            found[keyword] = getattr(properties, name)
    return found


class SubscribeOptions:
    """Options of one subscription (MQTT 5.0, 3.8.3.1): `QoS`, `noLocal`, `retainAsPublished` and `retainHandling`."""

    RETAIN_SEND_ON_SUBSCRIBE, RETAIN_SEND_IF_NEW_SUB, RETAIN_DO_NOT_SEND = range(3)

    def __init__(
        self,
        qos: int = 0,
        noLocal: bool = False,
        retainAsPublished: bool = False,
        retainHandling: int = RETAIN_SEND_ON_SUBSCRIBE,
    ) -> None:
        """As given."""
        self.QoS = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.retainHandling = retainHandling


class ConnectFlags:
    """Flags of CONNACK (MQTT 5.0, 3.2.2.1): `session_present`, whether the server had kept the session."""

    def __init__(self, session_present: bool) -> None:
        """As given."""
        self.session_present = session_present

    def __repr__(self) -> str:
        return f"ConnectFlags(session_present={self.session_present})"


class DisconnectFlags:
    """How a connection ended: `is_disconnect_packet_from_server`, whether the server has sent DISCONNECT."""

    def __init__(self, is_disconnect_packet_from_server: bool) -> None:
        """As given."""
        self.is_disconnect_packet_from_server = is_disconnect_packet_from_server
