"""Many clients in one thread, each publishing at QoS 1 to itself at a steady pace, over TCP and TLS, with an account of
every message: acknowledged, received once and in order, and how long the acknowledgement took.

A crowd never reconnects: a connection that ends is a failure, which the account names.
"""

import asyncio
import threading
import time

import mqtt_bytes as mqtt

# All connections in the crowd's first seconds, and no more handshakes at once than a listener's queue takes.
HANDSHAKES_AT_ONCE = 64
TOGETHER_PER_SECOND = 1000


class Member:
    """One client."""

    def __init__(self, name, user, password, port, tls):
        self.name, self.user, self.password, self.port, self.tls = name, user, password, port, tls
        self.topic = f"crowd/{name}"
        self.sent = self.acknowledged = self.received = 0
        self.under_way = {}
        self.ended = None
        self.buffer = bytearray()

    async def connect(self):
        """Comes in and subscribes to its topic."""
        where = {"ssl": self.tls, "server_hostname": "localhost"} if self.tls else {}
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, **where)
        self.writer.write(mqtt.connect(self.name, username=self.user, password=self.password, keep_alive=0))
        await self.expect("CONNACK", 0)
        self.writer.write(mqtt.subscribe(1, [(self.topic, 1)]))
        suback = await self.packet()
        assert suback.kind == "SUBACK" and suback.reasons == [1], suback

    async def packet(self):
        """The next packet."""
        while True:
            frame = mqtt.take_frame(self.buffer)
            if frame:
                first, body, used = frame
                del self.buffer[:used]
                return mqtt.parse(first, body, 5)
            data = await self.reader.read(65536)
            if not data:
                raise ConnectionError("closed")
            self.buffer += data

    async def expect(self, kind, reason):
        """The next packet is this."""
        found = await self.packet()
        assert found.kind == kind and found.reason == reason, (self.name, found)

    async def listen(self, times):
        """Takes everything in until the connection ends."""
        try:
            while True:
                found = await self.packet()
                if found.kind == "PUBACK":
                    assert found.reason == 0, found
                    times.append((time.monotonic(), time.monotonic() - self.under_way.pop(found.packet_id)))
                    self.acknowledged += 1
                elif found.kind == "PUBLISH":
                    self.received += 1
                    assert (found.topic, found.payload) == (self.topic, str(self.received).encode()), found
                    self.writer.write(mqtt.acknowledge("PUBACK", found.packet_id))
                else:
                    raise AssertionError(f"{found}")
        except (OSError, AssertionError, mqtt.Malformed) as error:
            self.ended = self.ended or f"{self.name}: {type(error).__name__} {error}"

    def publish(self):
        """The next message."""
        self.sent += 1
        number = self.sent % 65535 + 1
        self.under_way[number] = time.monotonic()
        self.writer.write(mqtt.publish(self.topic, str(self.sent).encode(), 1, number))


class Crowd:
    """All of them, in a thread of their own so that the test can act meanwhile."""

    def __init__(self, members):
        self.members = members
        self.times = []
        self.is_here, self.leave = threading.Event(), threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        """The thread."""
        try:
            asyncio.run(self.main())
        except BaseException as error:  # pylint: disable=broad-except
            self.failure = error
        self.is_here.set()

    async def main(self):
        """Everybody comes, publishes until told to leave, and waits for what is under way."""
        gate = asyncio.Semaphore(HANDSHAKES_AT_ONCE)

        async def come(member):
            async with gate:
                await member.connect()

        await asyncio.gather(*map(come, self.members))
        listening = [asyncio.create_task(member.listen(self.times)) for member in self.members]
        self.is_here.set()
        pause = len(self.members) / TOGETHER_PER_SECOND
        publishing = [asyncio.create_task(self.publish(member, pause * number / len(self.members), pause))
                      for number, member in enumerate(self.members)]
        await asyncio.gather(*publishing)
        deadline = time.monotonic() + 10
        while any(not one.ended and one.received < one.sent for one in self.members) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for member in self.members:
            member.ended = member.ended or "left"
            member.writer.close()
        await asyncio.gather(*listening)

    async def publish(self, member, first, pause):
        """One client's pace."""
        await asyncio.sleep(first)
        while not self.leave.is_set() and not member.ended:
            member.publish()
            await asyncio.sleep(pause)

    def wait_until_here(self, timeout=60):
        """Everybody is connected and publishes."""
        assert self.is_here.wait(timeout) and not self.failure, self.failure

    def wait_for_messages(self, count, timeout=30):
        """So many more messages are acknowledged, from now on; the moments of beginning and end."""
        since, began = len(self.times), time.monotonic()
        while len(self.times) < since + count:
            assert time.monotonic() < began + timeout and self.thread.is_alive(), self.account()
            time.sleep(0.01)
        return began, time.monotonic()

    def end(self):
        """Everybody leaves."""
        self.leave.set()
        self.thread.join(60)
        assert not self.thread.is_alive() and not self.failure, self.failure

    def account(self):
        """What is not as it should be, by client; empty when all is."""
        wrong = [one.ended for one in self.members if one.ended not in (None, "left")]
        wrong += [f"{one.name}: {one.sent} sent, {one.acknowledged} acknowledged, {one.received} received"
                  for one in self.members if one.ended == "left" and not one.sent == one.acknowledged == one.received]
        return wrong[:20]

    def percentile(self, began, ended, share=0.99):
        """This share of the acknowledgements that came between two moments took no longer, in milliseconds."""
        taken = sorted(took for at, took in self.times if began <= at <= ended)
        return 1000 * taken[min(int(len(taken) * share), len(taken) - 1)]
