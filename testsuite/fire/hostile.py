"""What the attacks have in common: the broker's memory, processor time and descriptors as the kernel counts them,
an honest client that is served meanwhile, and crowds of sockets that belong to nobody.

It never looks into the broker and never decides what is too much: the tests state their bounds.
"""

import errno
import os
import resource
import select
import socket
import struct
import time

import mqtt_bytes as mqtt
from raw_client import TIMEOUT, Peer

MIB = 1 << 20
# A crowd needs one descriptor for each of its sockets here, and one in the broker, which inherits the limit.
DESCRIPTORS = 8192
# Processor seconds in one second of a broker that has nothing to do: timers, and a tenth for a busy machine.
IDLE_CPU_SECONDS_MAX = 0.1


def raise_descriptor_limit():
    """As many descriptors as a crowd needs, if the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def wait_until(condition, timeout=TIMEOUT, what="the condition"):
    """Asks again and again until `condition()` is true; what it gave. `what` may be a function that tells more."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what() if callable(what) else what} not within {timeout} s"
        time.sleep(0.02)


class Vitals:
    """What the kernel says of a broker's process."""

    def __init__(self, broker):
        self.pid = broker.process.pid
        self.ticks = os.sysconf("SC_CLK_TCK")
        self.page = os.sysconf("SC_PAGE_SIZE")

    def memory_bytes(self):
        """Resident memory now."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * self.page

    def cpu_seconds(self):
        """Processor time of all threads since the start."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / self.ticks

    def descriptors(self):
        """How many are open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_of_a_second(self):
        """Processor time within one second; the one wait here that is itself the measurement."""
        before = self.cpu_seconds()
        time.sleep(1.0)
        return self.cpu_seconds() - before

    def expect_idle(self, timeout=10.0):
        """The broker comes to rest, with whatever is still connected to it doing nothing."""
        wait_until(lambda: self.cpu_of_a_second() <= IDLE_CPU_SECONDS_MAX, timeout, "an idle broker")


class Honest:
    """Two clients that have nothing to do with an attack: one publishes, the other receives, at QoS 1."""

    TOPIC = "honest/topic"

    def __init__(self, peers, port, ids):
        self.reader, self.writer = peers(port, ids.one()), peers(port, ids.one())
        self.reader.subscribe(self.TOPIC, qos=1)
        self.count = 0
        self.slowest = 0.0

    def served(self, times=1):
        """A message from one to the other, acknowledged by everybody to everybody."""
        for _ in range(times):
            self.count += 1
            started = time.monotonic()
            payload = str(self.count).encode()
            self.writer.publish(self.TOPIC, payload, qos=1, reason=0)
            self.reader.message(self.TOPIC, payload)
            self.slowest = max(self.slowest, time.monotonic() - started)


class Numbers:
    """The broker's own counts, read from its `$SYS` topics; it needs `--sys-interval 1`."""

    def __init__(self, peers, port, ids):
        self.peer = peers(port, ids.one(), keep_alive=0)
        self.values = {}
        self.peer.subscribe("$SYS/broker/#")

    def read(self, seconds):
        """Takes in what comes within this time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                found = self.peer.message(timeout=max(deadline - time.monotonic(), 0.001))
            except TimeoutError:
                return
            self.values[found.topic.removeprefix("$SYS/broker/")] = found.payload.decode()

    def value(self, name):
        """One count as last published; what was never published is 0."""
        return int(self.values.get(name, "0"))

    def expect(self, timeout=4.0, **wanted):
        """The counts come to what is wanted; `_` in a name stands for `/` and `__` for a space."""
        names = {name.replace("__", " ").replace("_", "/"): value for name, value in wanted.items()}
        deadline = time.monotonic() + timeout
        while any(self.value(name) != value for name, value in names.items()):
            found = {name: self.value(name) for name in names}
            assert time.monotonic() < deadline, f"{found}, wanted {names}"
            self.read(0.25)

    def dropped(self):
        """Why deliveries were not made, without what is zero."""
        head = "publish/messages/dropped/"
        return {name.removeprefix(head): int(value) for name, value in self.values.items()
                if name.startswith(head) and value != "0"}


class Feeder:
    """A client that writes everything it has at once, and reads and acknowledges only when a test says so."""

    def __init__(self, peer, topic, qos):
        self.peer, self.qos = peer, qos
        self.published = 0
        self.ended = False
        self.answers = []
        self.got = []
        self.unsent = b""
        self.unanswered = []
        peer.subscribe(topic, qos=qos)
        peer.socket.setblocking(False)

    def flood(self, topic, count, payload_bytes):
        """Publishes `count` messages, numbered by their packet ids, as fast as the broker takes them."""
        first, payload = self.published + 1, bytes(payload_bytes)
        self.published += count
        self.unsent += b"".join(mqtt.publish(topic, b"%08d" % number + payload, self.qos, number)
                                for number in range(first, first + count))
        self.write()

    def write(self):
        """Writes what the socket takes."""
        while self.unsent:
            try:
                done = self.peer.socket.send(self.unsent[: 1 << 20])
            except BlockingIOError:
                return
            except ConnectionError:
                self.unsent = b""
                return
            self.unsent = self.unsent[done:]

    def read(self, acknowledges=True):
        """Reads what is there; acknowledgements go behind everything that is not written yet. False at the end
        of the connection."""
        try:
            data = self.peer.socket.recv(1 << 20)
        except BlockingIOError:
            return True
        except ConnectionError:
            data = b""
        self.ended = not data
        self.peer.buffer += data
        used = 0
        view = memoryview(self.peer.buffer)
        while True:
            frame = mqtt.take_frame(view[used : used + 5]) or self.whole(view, used)
            if not frame:
                break
            self.take(mqtt.parse(frame[0], frame[1], 5))
            used += frame[2]
        view.release()
        del self.peer.buffer[:used]
        if acknowledges:
            self.acknowledge()
        return bool(data)

    def acknowledge(self):
        """Acknowledges everything that was read and is not acknowledged yet."""
        self.unsent += b"".join(self.unanswered)
        self.unanswered.clear()
        self.write()

    @staticmethod
    def whole(view, used):
        """The next frame when all of it is there."""
        return mqtt.take_frame(view[used:]) if len(view) > used else None

    def take(self, packet):
        """Notes one packet and what it is to be answered with."""
        number = packet.packet_id
        reply = {"PUBREL": "PUBCOMP"}.get(packet.kind)
        if packet.kind == "PUBLISH":
            self.got.append((packet.topic, int(packet.payload[:8])))
            reply = "PUBACK" if self.qos == 1 else "PUBREC"
        elif packet.kind in ("PUBACK", "PUBREC"):
            self.answers.append((number, packet.reason))
            reply = "PUBREL" if packet.kind == "PUBREC" and packet.reason < 0x80 else None
        if reply:
            self.unanswered.append(mqtt.acknowledge(reply, number))


def run_feeders(feeders, until, timeout=TIMEOUT, acknowledges=True):
    """Lets feeders write and read until `until()`; how long that took. Those whose connection ended drop out."""
    started = time.monotonic()
    live = list(feeders)
    for feeder in feeders if acknowledges else []:
        feeder.acknowledge()
    while not until():
        assert time.monotonic() - started < timeout, [
            (len(feeder.answers), len(feeder.got), len(feeder.unsent)) for feeder in feeders]
        assert live, "all connections ended"
        sockets = [feeder.peer.socket for feeder in live]
        writing = [feeder.peer.socket for feeder in live if feeder.unsent]
        readable, writable, _ = select.select(sockets, writing, [], 0.1)
        for feeder in list(live):
            if feeder.peer.socket in writable:
                feeder.write()
            if feeder.peer.socket in readable and not feeder.read(acknowledges):
                live.remove(feeder)
    return time.monotonic() - started


class Crowd:
    """Many sockets that send what they are told and read nothing unless asked."""

    def __init__(self, port, count, receive_buffer_bytes=None):
        self.sockets = []
        for _ in range(count):
            one = socket.socket()
            if receive_buffer_bytes:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            one.settimeout(TIMEOUT)
            connect(one, port)
            self.sockets.append(one)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.sockets:
            one.close()

    def send(self, data):
        """The same bytes from each, or `data(index)`; how many sockets the broker had closed."""
        closed = 0
        for index, one in enumerate(self.sockets):
            try:
                one.sendall(data(index) if callable(data) else data)
            except ConnectionError:
                closed += 1
        return closed

    def count_closed(self):
        """How many the broker has closed; what it said before is read and forgotten."""
        return sum(1 for one in self.sockets if is_closed(one))

    def expect_closed(self, timeout=TIMEOUT):
        """All are closed by the broker."""
        wait_until(lambda: self.count_closed() == len(self.sockets), timeout, "the end of all connections")


def connect(one, port):
    """Connects, waiting while the broker's backlog is full."""
    wait_until(lambda: one.connect_ex(("127.0.0.1", port)) in (0, errno.EISCONN), what="a connection")


def is_closed(one):
    """Whether the peer has ended the connection."""
    one.setblocking(False)
    try:
        while True:
            if not one.recv(65536):
                return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def reset(one):
    """Closes with a RST and whatever was unsent lost."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
