"""A program of its own, so that it takes no time from whoever measures: holds many connections to a broker that never
get anywhere, and makes each anew that the broker closes. Prints a line of JSON when all were made, and then one each
second; ends with its standard input.

    slow_attacker.py ATTACK PORT COUNT ADDRESSES PER_SECOND

ADDRESSES is 1 for 127.0.0.1, else so many from 127.3.0.1 on; PER_SECOND are the connections it makes at most. What each ATTACK says is in `script`."""

import contextlib
import errno
import json
import os
import resource
import select
import socket
import ssl
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import mqtt_bytes as mqtt  # noqa: E402  the path has to be known first

# Seconds from byte to byte: slow enough that no attack below is through before a broker loses its patience.
DRIP_SECONDS = 0.5
TURN_SECONDS = 0.02
KEEP_ALIVE_MAX = 65_535
ATTACKS = ["silent", "connect", "tls", "websocket", "keep-alive"]


def client_hello():
    """The first message of TLS without its last byte."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()[:-1]


def script(attack, number):
    """What a connection says at once, and what it says byte by byte."""
    hello = mqtt.connect(f"slow-{os.getpid()}-{number}", keep_alive=KEEP_ALIVE_MAX)
    return {
        "silent": (b"", b""),
        "connect": (b"", hello[:-1]),
        "tls": (b"", client_hello() if attack == "tls" else b""),
        "websocket": (b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\n", b"X-Slow: " + b"a" * 4000),
        "keep-alive": (hello, b""),
    }[attack]


def source(number, addresses):
    """Where a connection comes from."""
    if addresses == 1:
        return "127.0.0.1"
    place = number % addresses
    return f"127.3.{place // 250}.{place % 250 + 1}"


class Attacker:
    """The connections, by their descriptors."""

    def __init__(self, attack, port, count, addresses, per_second):
        self.attack, self.port, self.count, self.addresses = attack, port, count, addresses
        self.per_second, self.began = per_second, time.monotonic()
        self.links, self.made, self.closed, self.refused = {}, 0, 0, 0
        self.poll = select.epoll()
        # A hello is the same for all but keep-alive's, which needs a name of its own.
        self.drip = script(attack, 0)[1]

    def open_some(self):
        """Makes some of the connections that are missing."""
        allowed = int((time.monotonic() - self.began) * self.per_second) - self.made - self.refused
        for _ in range(min(allowed, self.count - len(self.links))):
            link = socket.socket()
            link.setblocking(False)
            link.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect
            link.bind((source(self.made, self.addresses), 0))
            if link.connect_ex(("127.0.0.1", self.port)) not in (0, errno.EINPROGRESS):
                self.refused += 1
                link.close()
                continue
            self.poll.register(link, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLOUT | select.EPOLLET)
            self.links[link.fileno()] = [link, script(self.attack, self.made)[0] if self.attack != "tls" else b"", 0]
            self.made += 1

    def hear(self, descriptor, events):
        """Says what is to be said at once, and notes what the broker has closed."""
        found = self.links.get(descriptor)
        if not found:
            return
        link, first, _ = found
        try:
            if events & select.EPOLLOUT and first:
                link.send(first)
                found[1] = b""
            while events & (select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                if not link.recv(4096):
                    raise ConnectionError
        except BlockingIOError:
            return
        except OSError:
            self.closed += 1
            del self.links[descriptor]
            link.close()

    def drip_once(self):
        """One more byte from everybody."""
        for found in self.links.values():
            if found[2] < len(self.drip) and not found[1]:
                # What the broker has closed is noticed when it is heard.
                with contextlib.suppress(OSError):
                    found[2] += found[0].send(self.drip[found[2] : found[2] + 1])

    def tell(self):
        """How it stands."""
        print(json.dumps({"open": len(self.links), "made": self.made, "closed": self.closed,
                          "refused": self.refused}), flush=True)

    def run(self):
        """Attacks until standard input ends."""
        self.poll.register(sys.stdin, select.EPOLLIN)
        dripped, told, was_full = time.monotonic(), time.monotonic(), False
        while True:
            for descriptor, events in self.poll.poll(TURN_SECONDS, 4096):
                if descriptor == sys.stdin.fileno():
                    return
                self.hear(descriptor, events)
            self.open_some()
            now = time.monotonic()
            if self.drip and now - dripped >= DRIP_SECONDS:
                dripped = now
                self.drip_once()
            if not was_full and self.made >= self.count or was_full and now - told >= 1.0:
                was_full, told = True, now
                self.tell()


def main():
    """Raises the limit and attacks."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Attacker(sys.argv[1], *map(int, sys.argv[2:])).run()


if __name__ == "__main__":
    main()
