"""Brokers with listeners of every kind, and the raw client of the tests at each of them.

A broker is started with a file as a user writes it; where its listeners came to is read from its log.
"""

import base64
import contextlib
import os
import socket
import ssl
import struct

import broker_process
from raw_client import TIMEOUT, Peer

READY = r"ringmq: ready;"


def toml(value):
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(one)}" for name, one in value.items()) + " }"
    return str(value) if isinstance(value, int) else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def toml_file(path, listeners, **keys):
    """Writes a configuration file: keys of the broker, with the tests' partition key, and a table for each listener."""
    keys = {"partition_key": broker_process.PARTITION_KEY, **keys}
    lines = [f"{name} = {toml(value)}" for name, value in keys.items()]
    for listener in listeners:
        lines += ["", "[[listener]]", *(f"{name} = {toml(value)}" for name, value in listener.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def certified(*pairs):
    """The keys of a listener with these certificates."""
    return {"certificate": [{"certificate": pair.certificate, "key": pair.key} for pair in pairs]}


class Served:
    """A broker with named listeners: `ports["tls"]` is a number, `paths["unix"]` a path."""

    def __init__(self, broker, listeners):
        self.broker = broker
        urls = [line.split("listening on ", 1)[1] for line in broker.lines if "listening on " in line]
        assert len(urls) == len(listeners), (urls, listeners)
        self.urls = dict(zip(listeners, urls, strict=True))
        self.ports = {name: int(url.rsplit(":", 1)[1]) for name, url in self.urls.items()
                      if not url.startswith("unix:")}
        self.paths = {name: url.removeprefix("unix:") for name, url in self.urls.items() if url.startswith("unix:")}


def start(option, folder, listeners, arguments=(), environment=None, **keys):
    """Starts a RingMQ with these listeners, `{name: {key: value}}`; their ports are 0 unless a test knows better."""
    file = toml_file(folder / "ringmq.toml", listeners.values(), **keys)
    command = [broker_process.ringmq_binary(), "serve", "-c", str(file), "--shards", str(option.shards), "--driver",
               option.driver, *(["--no-move"] if option.no_move else []), *map(str, arguments)]
    broker = broker_process.Broker(command, READY, port=1, environment=environment)
    try:
        served = Served(broker, listeners)
    except BaseException:
        broker.kill()
        raise
    served.file = file
    return served


def every_door(certificates, folder):
    """One listener of each kind, by name."""
    local = {"proxy_protocol": "required", "proxy_protocol_from": ["127.0.0.1"]}
    return {
        "tcp": {"address": "tcp://127.0.0.1:0"},
        "tls": {"address": "tls://127.0.0.1:0", **certified(certificates.one)},
        "ws": {"address": "ws://127.0.0.1:0/mqtt"},
        "wss": {"address": "wss://127.0.0.1:0/mqtt", **certified(certificates.one)},
        "unix": {"address": f"unix:{folder}/door.sock"},
        "proxy": {"address": "tcp://127.0.0.1:0", **local},
        "proxy-wss": {"address": "wss://127.0.0.1:0/mqtt", **certified(certificates.one), **local},
    }


DOORS = ["tcp", "tls", "ws", "wss", "unix", "proxy", "proxy-wss"]
PROXY_V1 = b"PROXY TCP4 192.0.2.77 192.0.2.1 4711 1883\r\n"


def client_tls(certificates, pair=None, version=None, authority=None):
    """The TLS of a client that trusts the tests' authority."""
    context = ssl.create_default_context(cafile=str(authority or certificates.ca))
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def secured(certificates, port, pair=None, version=None):
    """A connected socket with TLS."""
    return client_tls(certificates, pair, version).wrap_socket(connected(port), server_hostname="localhost")


def connected(port=None, path=None, receive_buffer_bytes=None, source=None):
    """A connected socket; `source` is an address of this machine to come from."""
    made = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer_bytes:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    if source:
        made.bind((source, 0))
    made.settimeout(TIMEOUT)
    made.connect(path or ("127.0.0.1", port))
    if not path:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class WebSocket:
    """As much of RFC 6455 as a test needs, with the face of a socket: what is sent becomes one binary frame, what is
    received is the data of such frames. A Close or the end of the connection is an end."""

    def __init__(self, inner, path="/mqtt", headers=(), subprotocol="mqtt"):
        self.inner = inner
        self.received = b""
        self.data = b""
        self.closed_with = None
        key = base64.b64encode(os.urandom(16)).decode()
        offered = [f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *offered, *headers]
        inner.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.received:
            more = inner.recv(65536)
            if not more:
                break
            self.received += more
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        self.status, *rest = head.decode().split("\r\n")
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in rest)}

    def send_frame(self, opcode, data, last=True):
        """Sends one masked frame."""
        head = bytes([(0x80 if last else 0) | opcode])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        elif len(data) < 65536:
            head += b"\xfe" + struct.pack(">H", len(data))
        else:
            head += b"\xff" + struct.pack(">Q", len(data))
        mask = os.urandom(4)
        masked = int.from_bytes(data, "big") ^ int.from_bytes((mask * (len(data) // 4 + 1))[: len(data)], "big")
        self.inner.sendall(head + mask + masked.to_bytes(len(data), "big"))

    def sendall(self, data):
        """Sends one binary message."""
        self.send_frame(2, data)

    def recv_frame(self):
        """The next frame as (opcode, data), or nothing at the end of the connection."""
        while True:
            frame = self.take_frame()
            if frame:
                return frame
            more = self.inner.recv(65536)
            if not more:
                return None
            self.received += more

    def take_frame(self):
        """A frame that has arrived as a whole."""
        if len(self.received) < 2:
            return None
        assert not self.received[1] & 0x80, "a server does not mask"
        length, start = self.received[1], 2
        for marker, size in ((126, 2), (127, 8)):
            if length == marker:
                if len(self.received) < 2 + size:
                    return None
                length, start = int.from_bytes(self.received[2 : 2 + size], "big"), 2 + size
                break
        if len(self.received) < start + length:
            return None
        opcode, data = self.received[0] & 0x0F, self.received[start : start + length]
        self.received = self.received[start + length :]
        return opcode, data

    def recv(self, _):
        """Data of the next binary frame."""
        frame = self.recv_frame()
        if frame is None:
            return b""
        opcode, data = frame
        if opcode == 8:
            self.closed_with = struct.unpack(">H", data[:2])[0] if data else None
            return b""
        assert opcode in (0, 2), frame
        return data

    def __getattr__(self, name):
        return getattr(self.inner, name)


def open_socket(served, door, certificates, receive_buffer_bytes=None, forwarded=PROXY_V1):
    """A socket at the door of this name, with every handshake done."""
    made = connected(served.ports.get(door), served.paths.get(door), receive_buffer_bytes)
    try:
        if door.startswith("proxy"):
            made.sendall(forwarded)
        if door in ("tls", "wss", "proxy-wss"):
            made = client_tls(certificates).wrap_socket(made, server_hostname="localhost")
        if door in ("ws", "wss", "proxy-wss"):
            made = WebSocket(made)
            assert made.status == "HTTP/1.1 101 Switching Protocols", made.status
    except BaseException:
        made.close()
        raise
    return made


class Visitors:
    """Raw clients at every door of one broker; all are closed at the end."""

    def __init__(self, served, certificates):
        self.served, self.certificates = served, certificates
        self.opened = []

    def __call__(self, door, client_id="", version=5, reason=0, receive_buffer_bytes=None, **options):
        """A client whose CONNECT was answered with `reason`."""
        made = open_socket(self.served, door, self.certificates, receive_buffer_bytes)
        return self.greet(made, client_id, version, reason, **options)

    def greet(self, made, client_id="", version=5, reason=0, **options):
        """The same over a socket that a test made in its own way."""
        peer = Peer.over(made, version)
        self.opened.append(peer)
        return peer.greet(client_id, reason, **options)

    def close(self):
        """Closes what is open."""
        for peer in self.opened:
            with contextlib.suppress(OSError):
                peer.drop()
