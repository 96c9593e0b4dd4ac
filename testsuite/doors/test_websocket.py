"""WebSocket at the wire: requests that are refused, fragments, pings, the end; origins; addresses from proxies."""

import struct

import pytest
from open_doors import WebSocket, certified, connected
from raw_client import Closed
from strangers import is_refused, succeeds

import mqtt_bytes as mqtt


def request(served, door="ws", **options):
    """A WebSocket of which the head of the answer is known."""
    return WebSocket(connected(served.ports[door]), **options)


@pytest.mark.parametrize("options,status", [
    ({"path": "/other"}, 404), ({"path": "/mqtt/"}, 404), ({"path": "/mqtt?token=1"}, 101),
    ({"subprotocol": None}, 400), ({"subprotocol": "chat"}, 400), ({"subprotocol": "mqttv3.1"}, 101),
    ({"subprotocol": "chat, mqtt"}, 101), ({"headers": ["Origin: https://anywhere.test"]}, 101),
    ({"headers": ["Sec-WebSocket-Extensions: permessage-deflate"]}, 101)])
def test_requests(served, options, status):
    """The status of the answer; extensions are not agreed on, the subprotocol is one that was offered."""
    made = request(served, **options)
    assert made.status.startswith(f"HTTP/1.1 {status} "), made.status
    assert "sec-websocket-extensions" not in made.headers
    if status == 101:
        offered = options.get("subprotocol", "mqtt").split(", ")
        assert made.headers["sec-websocket-protocol"] in offered
    made.close()


def test_no_subprotocol_where_it_is_optional(serve, visitors, certificates):
    """websocket_subprotocol: a client that offers none is served, and is told none (RFC 6455 4.2.2)."""
    served = serve({"ws": {"address": "ws://127.0.0.1:0", "websocket_subprotocol": "optional"}})
    made = request(served, subprotocol=None)
    assert made.status.startswith("HTTP/1.1 101 ") and "sec-websocket-protocol" not in made.headers
    visitors(served).greet(made, "modest").ping()
    assert request(served).headers["sec-websocket-protocol"] == "mqtt"


def test_packets_need_not_be_frames(visit, served, name):
    """A packet in several frames, several packets in one frame, frames of no bytes, fragments [MQTT-6.0.0-2]."""
    peer = visit("ws", name)
    peer.subscribe(name)
    packet = mqtt.publish(name, b"first") + mqtt.publish(name, b"second")
    for piece in (packet[:1], packet[1:9], b"", packet[9:]):
        peer.send(piece)
    peer.message(name, b"first")
    peer.message(name, b"second")
    peer.socket.send_frame(2, packet[:5], last=False)
    peer.socket.send_frame(9, b"between fragments")
    peer.socket.send_frame(0, packet[5:7], last=False)
    peer.socket.send_frame(0, packet[7:])
    assert peer.socket.recv_frame() == (10, b"between fragments")
    peer.message(name, b"first")
    peer.message(name, b"second")


def test_text_is_refused(visit, name):
    """[MQTT-6.0.0-1]: Close 1003."""
    peer = visit("ws", name)
    peer.socket.send_frame(1, b"text")
    with pytest.raises(Closed):
        peer.receive()
    assert peer.socket.closed_with == 1003


@pytest.mark.parametrize("code", [1000, 1001, None])
def test_a_close_is_answered(visit, name, code):
    """With the same code, and then the end (RFC 6455 5.5.1)."""
    peer = visit("ws", name)
    peer.socket.send_frame(8, struct.pack(">H", code) if code else b"")
    with pytest.raises(Closed):
        peer.receive()
    assert peer.socket.closed_with == code
    assert peer.socket.inner.recv(10) == b""


@pytest.mark.parametrize("door", ["ws", "wss"])
def test_disconnect_is_followed_by_a_close(visit, name, door):
    """The broker says Close when it ends the connection."""
    peer = visit(door, name)
    peer.send(mqtt.disconnect())
    peer.expect_closed()
    assert peer.socket.closed_with == 1000


def test_unmasked_frames_are_refused(visit, name):
    """RFC 6455 5.1: Close 1002."""
    peer = visit("ws", name)
    peer.socket.inner.sendall(b"\x82\x02\xc0\x00")
    with pytest.raises(Closed):
        peer.receive()
    assert peer.socket.closed_with == 1002


ORIGINS = ["https://good.test", "http://localhost:3000"]


@pytest.fixture
def choosy(serve, certificates):
    """A broker whose WebSockets are for some pages alone."""
    return serve({"ws": {"address": "ws://127.0.0.1:0/mqtt", "websocket_origins": ORIGINS},
                  "wss": {"address": "wss://127.0.0.1:0/mqtt", "websocket_origins": ORIGINS,
                          **certified(certificates.one)}})


def test_origins(choosy, certificates):
    """403 for other pages; programs that say no origin come in."""
    for origin, status in [*((origin, 101) for origin in ORIGINS), ("https://evil.test", 403), ("null", 403),
                           ("https://good.test.evil.test", 403), ("http://good.test", 403)]:
        made = request(choosy, headers=[f"Origin: {origin}"])
        assert made.status.startswith(f"HTTP/1.1 {status} "), (origin, made.status)
        made.close()
    choosy.broker.wait_for_line(r"127\.0\.0\.1:\d+ .*origin")
    for door in ("ws", "wss"):
        succeeds("mqtt.js", choosy, door, certificates, headers={"Origin": "https://good.test"}, bytes=1024)
        is_refused("mqtt.js", choosy, door, certificates, headers={"Origin": "https://evil.test"})


@pytest.mark.parametrize("header,seen", [
    ("198.51.100.7", r"198\.51\.100\.7:0"), ("2001:db8::1", r"\[2001:db8::1\]:0"),
    ("203.0.113.9, 198.51.100.7, 127.0.0.1", r"198\.51\.100\.7:0"), ("198.51.100.7:99", r"198\.51\.100\.7:99"),
    ("nonsense", r"127\.0\.0\.1:\d+")])
def test_forwarded_addresses(serve, visitors, header, seen):
    """From a proxy that is trusted, the last address that is no such proxy is the client's; the log names it."""
    served = serve({"ws": {"address": "ws://127.0.0.1:0", "forwarded_from": ["127.0.0.0/8"]}})
    visit = visitors(served)
    visit.greet(request(served, headers=[f"X-Forwarded-For: {header}"]), "forwarded")
    served.broker.wait_for_line(f"New client connected from {seen} as forwarded ")


def test_forwarded_addresses_of_strangers(visit, served, name):
    """Nobody is trusted unless it is said."""
    visit.greet(request(served, headers=["X-Forwarded-For: 198.51.100.7"]), name)
    served.broker.wait_for_line(rf"New client connected from 127\.0\.0\.1:\d+ as {name} ")


def test_paho_behind_a_proxy(serve, certificates):
    """A client's own library with the header that a proxy adds."""
    served = serve({"ws": {"address": "ws://127.0.0.1:0", "forwarded_from": ["127.0.0.1"]}})
    headers = {"X-Forwarded-For": "192.0.2.9"}
    succeeds("paho", served, "ws", certificates, headers=headers, client_id="behind", bytes=256)
    served.broker.wait_for_line(r"New client connected from 192\.0\.2\.9:0 as behind ")
