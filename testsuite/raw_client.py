"""A client that does only what a test tells it: one blocking socket and the packets of mqtt_bytes.

It never acknowledges, pings or reconnects by itself unless the called method says so, so that a test
can stop a flow at any step.
"""

import socket
import time

import mqtt_bytes as mqtt

TIMEOUT = 20.0


class Closed(Exception):
    """The broker closed the connection while a packet was awaited."""


class Peer:
    """One connection to a broker; packets that were read but not asked for wait in `pending`."""

    def __init__(self, port, version=5, host="127.0.0.1", receive_buffer_bytes=None):
        self.port = port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.begin(socket.socket(family, socket.SOCK_STREAM), version)
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self, connection, version):
        """Nothing has been said yet."""
        self.socket, self.version = connection, version
        self.buffer = bytearray()
        self.pending = []
        self.packet_id = 0
        self.connack = None

    @classmethod
    def over(cls, connection, version=5):
        """A client over a socket, or what acts like one, that is connected already."""
        peer = cls.__new__(cls)
        peer.port = None
        peer.begin(connection, version)
        return peer

    # -------------------------------------------------------------- plumbing

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()

    def drop(self):
        """Closes the socket without a DISCONNECT: what a broker sees of a client that died."""
        self.socket.close()

    def send(self, *packets):
        """Writes the packets with one call."""
        self.socket.sendall(b"".join(packets))

    def next_id(self):
        """A packet identifier nobody used yet."""
        self.packet_id += 1
        return self.packet_id

    def read_packet(self, deadline):
        """The next packet from the socket."""
        while True:
            frame = mqtt.take_frame(self.buffer)
            if frame:
                first, body, used = frame
                del self.buffer[:used]
                return mqtt.parse(first, body, self.version)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no packet in time; pending: {self.pending}")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                raise TimeoutError(f"no packet in time; pending: {self.pending}") from None
            except ConnectionError:
                data = b""
            if not data:
                raise Closed(f"closed; pending: {self.pending}")
            self.buffer += data

    def receive(self, timeout=TIMEOUT):
        """The next packet of whatever kind."""
        return self.pending.pop(0) if self.pending else self.read_packet(time.monotonic() + timeout)

    def expect(self, kind, timeout=TIMEOUT, **fields):
        """The next packet of `kind`, whose named fields must be equal; other kinds stay pending."""
        deadline = time.monotonic() + timeout
        index = 0
        while True:
            while index == len(self.pending):
                self.pending.append(self.read_packet(deadline))
            if self.pending[index].kind == kind:
                found = self.pending.pop(index)
                break
            index += 1
        for name, wanted in fields.items():
            value = getattr(found, name)
            assert value == wanted, f"{name} is {value!r}, not {wanted!r}: {found}"
        return found

    def expect_closed(self, timeout=TIMEOUT):
        """Reads until the broker closes; gives the packets that came before."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self.pending.append(self.read_packet(deadline))
        except Closed:
            return self.pending

    def expect_disconnect(self, reason, timeout=TIMEOUT):
        """DISCONNECT with `reason` in version 5, then, as in every version, the end of the connection."""
        if self.version == 5:
            found = self.expect("DISCONNECT", timeout, reason=reason)
            self.expect_closed(timeout)
            return found
        return self.expect_closed(timeout)

    # ------------------------------------------------------------- exchanges

    @classmethod
    def connected(cls, port, client_id="", version=5, reason=0, host="127.0.0.1", receive_buffer_bytes=None,
                  **options):
        """A peer whose CONNECT was answered with `reason`."""
        return cls(port, version, host, receive_buffer_bytes).greet(client_id, reason, **options)

    def greet(self, client_id="", reason=0, **options):
        """Sends CONNECT, which is answered with `reason`; with whatever it is, if that is None."""
        self.send(mqtt.connect(client_id, self.version, **options))
        self.connack = self.expect("CONNACK", **({} if reason is None else {"reason": reason}))
        return self

    def disconnect(self, reason=0, properties=None):
        """Sends DISCONNECT and closes."""
        self.send(mqtt.disconnect(reason, self.version, properties))
        try:
            self.expect_closed()
        finally:
            self.drop()

    def subscribe(self, *filters, qos=0, identifier=None, granted=None, **options):
        """Subscribes to all filters with the same options; every reason code must be `granted`, or the QoS."""
        number = self.next_id()
        flags = mqtt.subscription_options(qos, **options)
        properties = {"subscription_identifier": identifier} if identifier else None
        self.send(mqtt.subscribe(number, [(name, flags) for name in filters], self.version, properties))
        code = qos if granted is None else granted
        return self.expect("SUBACK", packet_id=number, reasons=[code] * len(filters))

    def unsubscribe(self, *filters):
        """Unsubscribes; the UNSUBACK is returned."""
        number = self.next_id()
        self.send(mqtt.unsubscribe(number, filters, self.version))
        return self.expect("UNSUBACK", packet_id=number)

    def publish(self, topic, payload=b"", qos=0, reason=None, timeout=TIMEOUT, **options):
        """Publishes and plays the flow to its end. A `reason` is demanded of PUBACK or PUBREC; without one
        success is: 0x00, or 0x10 when nobody subscribes. Returns that packet."""
        number = self.next_id() if qos else None
        self.send(mqtt.publish(topic, payload, qos, number, version=self.version, **options))
        if not qos:
            return None
        answer = self.expect("PUBACK" if qos == 1 else "PUBREC", timeout, packet_id=number)
        assert answer.reason in ((0, 0x10) if reason is None else (reason,)), answer
        if qos == 2 and answer.reason < 0x80:
            self.send(mqtt.acknowledge("PUBREL", number, 0, self.version))
            self.expect("PUBCOMP", packet_id=number, reason=0)
        return answer

    def answer(self, message):
        """Acknowledges a received PUBLISH, to the end of its flow."""
        if message.qos == 1:
            self.send(mqtt.acknowledge("PUBACK", message.packet_id, 0, self.version))
        elif message.qos == 2:
            self.send(mqtt.acknowledge("PUBREC", message.packet_id, 0, self.version))
            self.expect("PUBREL", packet_id=message.packet_id)
            self.send(mqtt.acknowledge("PUBCOMP", message.packet_id, 0, self.version))

    def message(self, topic=None, payload=None, timeout=TIMEOUT, **fields):
        """The next PUBLISH, acknowledged."""
        found = self.expect("PUBLISH", timeout, **fields)
        self.answer(found)
        if topic is not None:
            assert found.topic == topic, found
        if payload is not None:
            assert found.payload == (payload.encode() if isinstance(payload, str) else payload), found
        return found

    def live(self, topic=None, payload=None):
        """The next PUBLISH without RETAIN, acknowledged. What is published right after SUBACK may be found by the
        reading of retained messages too, and comes as a copy before or after it comes live."""
        while True:
            found = self.message()
            if not found.retain:
                assert topic is None or found.topic == topic, found
                assert payload is None or found.payload == payload, found
                return found

    def messages(self, count, timeout=TIMEOUT):
        """The next `count` PUBLISH packets, acknowledged."""
        return [self.message(timeout=timeout) for _ in range(count)]

    def ping(self):
        """A ping and its answer: what the broker had for this peer before is now pending."""
        self.send(mqtt.PINGREQ)
        self.expect("PINGRESP")

    def expect_silence(self, seconds=0.05):
        """Nothing but what was already asked for arrives within `seconds`. Prefer `Fence` where a message
        can prove the same without waiting."""
        assert not self.pending, self.pending
        try:
            found = self.read_packet(time.monotonic() + seconds)
        except TimeoutError:
            return
        raise AssertionError(f"unexpected {found}")


class Fence:
    """Proves that nothing (more) was delivered: a marker published after the fact, on a topic the receiver
    subscribed before, is the next PUBLISH it gets."""

    TOPIC = "fence/marker"

    def __init__(self, *receivers, qos=0):
        self.receivers = receivers
        for receiver in receivers:
            receiver.subscribe(self.TOPIC, qos=qos)
        self.qos = qos
        self.count = 0

    def nothing_more(self, publisher):
        """The next PUBLISH of every receiver is the marker that `publisher` sends now."""
        self.count += 1
        marker = str(self.count).encode()
        publisher.publish(self.TOPIC, marker, qos=self.qos)
        for receiver in self.receivers:
            receiver.message(self.TOPIC, marker)
