"""MQTT packets as bytes, for tests that want to say exactly what goes over the wire.

Knows versions 3.1 (3), 3.1.1 (4) and 5.0 (5). It builds what it is told, also what no client may
send, and it parses strictly: a packet of the broker that is malformed raises `Malformed`.
It never opens a socket (raw_client.py does) and never corrects what a test wrote.
"""

import struct
from dataclasses import dataclass, field

KINDS = [
    "RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
    "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
]
ACKS = ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP")

# name -> (identifier, encoding); the one table that building and parsing both read.
PROPERTIES = {
    "payload_format_indicator": (1, "byte"),
    "message_expiry_interval": (2, "u32"),
    "content_type": (3, "text"),
    "response_topic": (8, "text"),
    "correlation_data": (9, "bytes"),
    "subscription_identifier": (11, "varint"),
    "session_expiry_interval": (17, "u32"),
    "assigned_client_identifier": (18, "text"),
    "server_keep_alive": (19, "u16"),
    "authentication_method": (21, "text"),
    "authentication_data": (22, "bytes"),
    "request_problem_information": (23, "byte"),
    "will_delay_interval": (24, "u32"),
    "request_response_information": (25, "byte"),
    "response_information": (26, "text"),
    "server_reference": (28, "text"),
    "reason_string": (31, "text"),
    "receive_maximum": (33, "u16"),
    "topic_alias_maximum": (34, "u16"),
    "topic_alias": (35, "u16"),
    "maximum_qos": (36, "byte"),
    "retain_available": (37, "byte"),
    "user_property": (38, "pair"),
    "maximum_packet_size": (39, "u32"),
    "wildcard_subscription_available": (40, "byte"),
    "subscription_identifier_available": (41, "byte"),
    "shared_subscription_available": (42, "byte"),
}
BY_IDENTIFIER = {identifier: (name, coding) for name, (identifier, coding) in PROPERTIES.items()}
REPEATABLE = ("user_property", "subscription_identifier")


class Malformed(Exception):
    """What the broker sent is not an MQTT packet."""


# ------------------------------------------------------------------ building


def varint(value):
    """A Variable Byte Integer in the fewest bytes [MQTT-1.5.5-1]."""
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def binary(value):
    """Binary data or, for str, a UTF-8 string with its two-byte length."""
    data = value.encode() if isinstance(value, str) else bytes(value)
    return struct.pack("!H", len(data)) + data


def packet(kind, flags, body):
    """A whole control packet; `kind` is a name of KINDS or a number."""
    number = KINDS.index(kind) if isinstance(kind, str) else kind
    return bytes([number << 4 | flags]) + varint(len(body)) + body


def property_bytes(name, value):
    """One property: identifier and value."""
    identifier, coding = PROPERTIES[name]
    if coding == "byte":
        encoded = struct.pack("!B", value)
    elif coding == "u16":
        encoded = struct.pack("!H", value)
    elif coding == "u32":
        encoded = struct.pack("!I", value)
    elif coding == "varint":
        encoded = varint(value)
    elif coding == "pair":
        encoded = binary(value[0]) + binary(value[1])
    else:
        encoded = binary(value)
    return varint(identifier) + encoded


def properties_bytes(properties):
    """The property length and the properties, given as a dict; repeatable ones as lists."""
    body = b""
    for name, value in (properties or {}).items():
        for one in value if name in REPEATABLE and isinstance(value, list) else [value]:
            body += property_bytes(name, one)
    return varint(len(body)) + body


@dataclass
class Will:
    """What the broker publishes when the client dies."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: dict = field(default_factory=dict)


def connect(client_id="", version=5, clean=True, keep_alive=60, will=None, username=None, password=None,
            properties=None, level=None, protocol=None):
    """CONNECT; `level` and `protocol` override what `version` says."""
    protocol = protocol or ("MQIsdp" if version == 3 else "MQTT")
    flags = 0x02 if clean else 0
    if will:
        flags |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
    flags |= (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    body = binary(protocol) + bytes([version if level is None else level, flags])
    body += struct.pack("!H", keep_alive)
    if version == 5:
        body += properties_bytes(properties)
    body += binary(client_id)
    if will:
        if version == 5:
            body += properties_bytes(will.properties)
        body += binary(will.topic) + binary(will.payload)
    for credential in (username, password):
        if credential is not None:
            body += binary(credential)
    return packet("CONNECT", 0, body)


def publish(topic, payload=b"", qos=0, packet_id=None, retain=False, dup=False, version=5, properties=None):
    """PUBLISH."""
    payload = payload.encode() if isinstance(payload, str) else payload
    body = binary(topic)
    if packet_id is not None:
        body += struct.pack("!H", packet_id)
    if version == 5:
        body += properties_bytes(properties)
    return packet("PUBLISH", (8 if dup else 0) | qos << 1 | (1 if retain else 0), body + payload)


def acknowledge(kind, packet_id, reason=0, version=5, properties=None):
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""
    body = struct.pack("!H", packet_id)
    if version == 5 and (reason or properties):
        body += bytes([reason])
        if properties:
            body += properties_bytes(properties)
    return packet(kind, 2 if kind == "PUBREL" else 0, body)


def subscription_options(qos=0, no_local=False, retain_as_published=False, retain_handling=0):
    """The options byte of one filter."""
    return qos | (4 if no_local else 0) | (8 if retain_as_published else 0) | retain_handling << 4


def subscribe(packet_id, filters, version=5, properties=None):
    """SUBSCRIBE; `filters` is a list of (filter, options byte)."""
    body = struct.pack("!H", packet_id)
    if version == 5:
        body += properties_bytes(properties)
    for name, options in filters:
        body += binary(name) + bytes([options])
    return packet("SUBSCRIBE", 2, body)


def unsubscribe(packet_id, filters, version=5, properties=None):
    """UNSUBSCRIBE."""
    body = struct.pack("!H", packet_id)
    if version == 5:
        body += properties_bytes(properties)
    return packet("UNSUBSCRIBE", 2, body + b"".join(binary(name) for name in filters))


def disconnect(reason=0, version=5, properties=None):
    """DISCONNECT; the short form when there is nothing to say."""
    if version != 5 or (reason == 0 and not properties):
        return packet("DISCONNECT", 0, b"")
    body = bytes([reason]) + (properties_bytes(properties) if properties else b"")
    return packet("DISCONNECT", 0, body)


def auth(reason, properties=None):
    """AUTH."""
    return packet("AUTH", 0, bytes([reason]) + properties_bytes(properties))


PINGREQ = packet("PINGREQ", 0, b"")


# ------------------------------------------------------------------- parsing


@dataclass
class Packet:
    """One packet of the broker. Fields that the kind does not have keep their defaults."""

    kind: str
    flags: int = 0
    topic: str | None = None
    payload: bytes = b""
    packet_id: int | None = None
    reason: int | None = None
    reasons: list = field(default_factory=list)
    session_present: bool | None = None
    properties: dict = field(default_factory=dict)
    size: int = 0

    @property
    def qos(self):
        """Quality of service of a PUBLISH."""
        return self.flags >> 1 & 3

    @property
    def retain(self):
        """Whether a PUBLISH carries the retain flag."""
        return bool(self.flags & 1)

    @property
    def dup(self):
        """Whether a PUBLISH says it was sent before."""
        return bool(self.flags & 8)


class Reader:
    """A cursor over one packet's bytes."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        """The next `count` bytes."""
        if self.at + count > len(self.data):
            raise Malformed(f"{count} bytes wanted at {self.at} of {self.data!r}")
        self.at += count
        return self.data[self.at - count : self.at]

    def left(self):
        """How many bytes remain."""
        return len(self.data) - self.at

    def u8(self):
        """One byte."""
        return self.take(1)[0]

    def u16(self):
        """Two bytes."""
        return struct.unpack("!H", self.take(2))[0]

    def u32(self):
        """Four bytes."""
        return struct.unpack("!I", self.take(4))[0]

    def varint(self):
        """A Variable Byte Integer, refused if it is longer than need be."""
        value = 0
        for index in range(4):
            byte = self.u8()
            value |= (byte & 0x7F) << 7 * index
            if not byte & 0x80:
                if index and byte == 0:
                    raise Malformed("variable byte integer is not minimal")
                return value
        raise Malformed("variable byte integer over four bytes")

    def binary(self):
        """Bytes with a two-byte length."""
        return self.take(self.u16())

    def text(self):
        """A UTF-8 string."""
        return self.binary().decode("utf-8", "strict")

    def value(self, coding):
        """One property value."""
        if coding == "pair":
            return (self.text(), self.text())
        return {"byte": self.u8, "u16": self.u16, "u32": self.u32, "varint": self.varint, "text": self.text,
                "bytes": self.binary}[coding]()

    def properties(self):
        """A property section as a dict; repeatable properties as lists in their order."""
        section = Reader(self.take(self.varint()))
        found = {}
        while section.left():
            name, coding = BY_IDENTIFIER[section.varint()]
            value = section.value(coding)
            if name in REPEATABLE:
                found.setdefault(name, []).append(value)
            elif name in found:
                raise Malformed(f"property {name} twice")
            else:
                found[name] = value
        return found


def take_frame(buffer):
    """The first whole frame of `buffer` as (first byte, body, bytes used), or None when more is needed."""
    length = 0
    for index in range(4):
        if len(buffer) < 2 + index:
            return None
        byte = buffer[1 + index]
        length |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            start = 2 + index
            if len(buffer) < start + length:
                return None
            return buffer[0], bytes(buffer[start : start + length]), start + length
    raise Malformed("remaining length over four bytes")


def parse(first, body, version):
    """A packet of the broker, strictly."""
    kind, flags, reader = KINDS[first >> 4], first & 15, Reader(body)
    found = Packet(kind, flags, size=len(body) + 1 + len(varint(len(body))))
    expected_flags = {"PUBREL": 2}.get(kind, 0)
    if kind != "PUBLISH" and flags != expected_flags:
        raise Malformed(f"{kind} with flags {flags:04b}")
    if kind == "PUBLISH":
        parse_publish(found, reader, version)
    elif kind == "CONNACK":
        parse_connack(found, reader, version)
    elif kind in ACKS:
        found.packet_id = reader.u16()
        parse_reason(found, reader, version)
    elif kind in ("SUBACK", "UNSUBACK"):
        found.packet_id = reader.u16()
        if version == 5:
            found.properties = reader.properties()
        found.reasons = list(reader.take(reader.left()))
    elif kind in ("DISCONNECT", "AUTH"):
        parse_reason(found, reader, version)
    elif kind != "PINGRESP":
        raise Malformed(f"a broker never sends {kind}")
    if reader.left():
        raise Malformed(f"{reader.left()} bytes behind {found}")
    return found


def parse_publish(found, reader, version):
    """The body of a PUBLISH."""
    found.topic = reader.text()
    if found.qos == 3 or (found.qos == 0 and found.dup):
        raise Malformed(f"PUBLISH flags {found.flags:04b}")
    if found.qos:
        found.packet_id = reader.u16()
        if not found.packet_id:
            raise Malformed("packet identifier 0")
    if version == 5:
        found.properties = reader.properties()
    found.payload = reader.take(reader.left())


def parse_connack(found, reader, version):
    """The body of a CONNACK."""
    flags = reader.u8()
    if flags > 1:
        raise Malformed(f"CONNACK flags {flags:08b}")
    found.session_present = bool(flags)
    found.reason = reader.u8()
    if version == 5 and reader.left():
        found.properties = reader.properties()


def parse_reason(found, reader, version):
    """A reason code and properties, both of which may be left out."""
    found.reason = 0
    if version != 5 and reader.left():
        raise Malformed(f"{found.kind} of version {version} with more than its identifier")
    if reader.left():
        found.reason = reader.u8()
    if reader.left():
        found.properties = reader.properties()
