"""What a stranger can do to the layers in front of MQTT: floods that are not read, frames that announce much,
beginnings without end. Memory stays bounded, others are served, and it is over when the stranger is gone."""

import contextlib
import ssl
import struct
import subprocess

import pytest
from hostile import MIB, Vitals, wait_until
from open_doors import PROXY_V1, connected, every_door, open_socket
from raw_client import Closed

import mqtt_bytes as mqtt

LAYERED = ["tls", "ws", "wss", "proxy-wss"]


@pytest.fixture
def own(serve, certificates, tmp_path):
    """A broker of the test's own, with every door and small queues."""
    return serve(every_door(certificates, tmp_path), queue_bytes_max=4 * MIB)


@pytest.fixture
def honest(own, visitors):
    """Asks for service: a message from a client to itself."""
    peer = visitors(own)("tcp", "honest")
    peer.subscribe("honest", qos=1)

    def served():
        peer.publish("honest", b"x", qos=1)
        peer.message("honest", b"x")

    served()
    return served


@pytest.mark.parametrize("door", LAYERED)
def test_a_flood_that_is_not_read(own, visitors, honest, door):
    """Beyond what a queue and the kernel take, messages at QoS 0 are dropped; the layers keep little more."""
    visit, vitals = visitors(own), Vitals(own.broker)
    deaf = visit(door, "deaf", receive_buffer_bytes=4096)
    deaf.subscribe("flood")
    sender = visit("tcp", "sender")
    before = vitals.memory_bytes()
    payload = bytes(100_000)
    for _ in range(10):
        sender.send(*[mqtt.publish("flood", payload)] * 60)
        sender.ping()
    # 16 are the queue's; pieces of messages under way and what the allocator keeps come on top: 24.2 were seen.
    assert vitals.memory_bytes() - before < 28 * MIB
    honest()
    assert deaf.message("flood", payload)
    deaf.drop()
    vitals.expect_idle()


@pytest.mark.parametrize("door", ["ws", "wss"])
def test_pings_whose_answers_are_not_read(own, visitors, honest, door):
    """Only the last Ping must be answered (RFC 6455 5.5.3); answers do not pile up."""
    visit, vitals = visitors(own), Vitals(own.broker)
    deaf = visit(door, "deaf", receive_buffer_bytes=4096)
    before = vitals.memory_bytes()
    ping = b"\x89\xfd" + b"\0\0\0\0" + bytes(125)
    deaf.socket.inner.settimeout(2)
    with contextlib.suppress(OSError):
        for _ in range(600):
            deaf.socket.inner.sendall(ping * 500)
    assert vitals.memory_bytes() - before < 8 * MIB
    honest()
    deaf.drop()
    vitals.expect_idle()


@pytest.mark.parametrize("frame,code", [
    (b"\x82\xff" + struct.pack(">Q", 1 << 63) + bytes(4), 1002), (b"\x89\xfe\x00\x7e" + bytes(4), 1002),
    (b"\xc2\x80" + bytes(4), 1002), (b"\x83\x80" + bytes(4), 1002), (b"\x80\x80" + bytes(4), 1002),
    (b"\x09\x80" + bytes(4), 1002), (b"\x88\x81" + bytes(4) + b"\0", 1002)],
    ids=["length", "long ping", "reserved bit", "reserved opcode", "nothing to continue", "ping in parts",
         "half a code"])
def test_frames_that_no_client_sends(visit, name, frame, code):
    """A Close that says what is wrong."""
    peer = visit("ws", name)
    peer.socket.inner.sendall(frame)
    with pytest.raises(Closed):
        peer.receive()
    assert peer.socket.closed_with == code


def test_a_frame_that_announces_much_takes_no_room(own, visitors, honest):
    """Memory follows what has come, not what is announced."""
    visit, vitals = visitors(own), Vitals(own.broker)
    before = vitals.memory_bytes()
    for number in range(50):
        peer = visit("ws", f"large-{number}")
        peer.socket.inner.sendall(b"\x82\xff" + struct.pack(">Q", 200 * MIB) + bytes(4) + mqtt.PINGREQ)
        peer.expect("PINGRESP")
    assert vitals.memory_bytes() - before < 8 * MIB
    honest()


@pytest.mark.parametrize("door,beginning", [
    ("ws", b"GET /mqtt HTTP/1.1\r\nX: " + b"x" * 20_000), ("ws", b"GET /mqtt HTTP/1.1\r\n" + b"A: b\r\n" * 3000),
    ("tls", b"\x16\x03\x01\xff\xff" + bytes(70_000)), ("tls", b"\x80" * 70_000), ("proxy", b"PROXY " + b"x" * 5000),
    ("proxy", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff" + bytes(70_000))],
    ids=["head", "headers", "record", "no record", "v1", "v2"])
def test_beginnings_without_end(own, honest, door, beginning):
    """Are given up at a bound, long before the time for a handshake is over."""
    vitals = Vitals(own.broker)
    before, descriptors = vitals.memory_bytes(), vitals.descriptors()
    for _ in range(30):
        made = connected(own.ports[door])
        made.settimeout(5)
        with contextlib.suppress(ConnectionError):
            made.sendall(beginning)
            while made.recv(4096):
                pass
        made.close()
    wait_until(lambda: vitals.descriptors() <= descriptors, what="the end of all connections")
    assert vitals.memory_bytes() - before < 8 * MIB
    honest()


def test_many_half_handshakes(own, certificates, honest):
    """Hundreds that do not go on; who does is served at once."""
    hello = ssl.MemoryBIO()
    machine = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        machine.do_handshake()
    hello = hello.read()
    vitals = Vitals(own.broker)
    before, descriptors = vitals.memory_bytes(), vitals.descriptors()
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            made = stack.enter_context(connected(own.ports["tls"]))
            made.sendall(hello)
            assert made.recv(1)
        honest()
        open_socket(own, "tls", certificates).close()
        assert vitals.memory_bytes() - before < 300 * 100 * 1024
    wait_until(lambda: vitals.descriptors() <= descriptors, what="the end of all connections")


REQUEST = (b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")


def framed(packets):
    """A short binary frame."""
    return b"\x82" + bytes([0x80 | len(packets)]) + bytes(4) + packets


@pytest.mark.parametrize("door", ["ws", "tls", "proxy-wss"])
def test_everything_at_once(visit, served, certificates, name, door):
    """Header, request and CONNECT need not wait for answers: what comes in one segment is taken apart."""
    made = connected(served.ports[door])
    packets = mqtt.connect(name) + mqtt.PINGREQ
    if door == "ws":
        made.sendall(REQUEST + framed(packets))
        answer = made.recv(4096)
        while b"\xd0\x00" not in answer:
            answer += made.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101 ")
        made.close()
        return
    # The client's last handshake message goes out together with CONNECT.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(certificates.ca))
    machine = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    held = PROXY_V1 if door == "proxy-wss" else b""
    while True:
        try:
            machine.do_handshake()
            break
        except ssl.SSLWantReadError:
            made.sendall(held + outgoing.read())
            held = b""
            incoming.write(made.recv(65536))
    if door == "proxy-wss":
        packets = REQUEST + framed(packets)
    machine.write(packets)
    made.sendall(outgoing.read())
    answer = b""
    while b"\xd0\x00" not in answer:
        incoming.write(made.recv(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                answer += machine.read(65536)
    made.close()


@pytest.mark.parametrize("door", LAYERED)
def test_a_layers_own_end_is_no_disconnect(visit, name, door):
    """close_notify or Close without DISCONNECT: the will is published [MQTT-3.1.2-8]; with it, it is not."""
    watcher = visit("tcp", f"{name}-watcher")
    watcher.subscribe(f"{name}/#", qos=1)
    silent = visit(door, f"{name}-silent", will=mqtt.Will(f"{name}/silent", b"gone", 1))
    polite = visit(door, f"{name}-polite", will=mqtt.Will(f"{name}/polite", b"gone", 1))
    polite.disconnect()
    if door == "tls":
        with contextlib.suppress(OSError):
            silent.socket.unwrap()
    else:
        silent.socket.send_frame(8, struct.pack(">H", 1000))
    watcher.message(f"{name}/silent", b"gone")
    watcher.publish(f"{name}/end", b"", qos=1)
    watcher.message(f"{name}/end")


def test_a_key_update(own, honest):
    """openssl's K changes its key and asks for the broker's next one (RFC 8446 4.6.3)."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{own.ports['tls']}", "-tls1_3"]
    done = subprocess.run(command, input="K\n", capture_output=True, text=True, timeout=20)
    assert "KEYUPDATE" in done.stderr and done.returncode == 0, done
    honest()
