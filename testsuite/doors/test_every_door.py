"""What holds at every door alike: flows of every QoS, large messages, slow readers, ends of every kind, wills, kept
sessions, takeovers, and that a connection's session may be on any shard."""

import contextlib
import random
import socket

import pytest
from hostile import Vitals, reset, wait_until
from open_doors import DOORS, PROXY_V1, connected, every_door, open_socket
from raw_client import Closed, Peer

import mqtt_bytes as mqtt

MIB = 1 << 20
KEPT = {"session_expiry_interval": 60}


def noise(size, seed=1):
    """Bytes that no compression and no luck makes right."""
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("version", [3, 4, 5])
def test_flows(visit, shard_names, door, name, version):
    """Every QoS, from every shard to every shard: the connection moves to its session, or is tunnelled."""
    homes = [shard_names.by_shard[shard].pop(0) for shard in range(shard_names.shards) for _ in range(2)]
    clients = [visit(door, home, version) for home in homes]
    for number, client in enumerate(clients):
        client.subscribe(f"{name}/{number}", qos=2)
    for number in range(len(clients)):
        sender = clients[(number + 1) % len(clients)]
        for qos in range(3):
            sender.publish(f"{name}/{number}", f"{qos}", qos=qos)
        got = [(found.qos, found.payload) for found in clients[number].messages(3)]
        assert sorted(got) == [(qos, f"{qos}".encode()) for qos in range(3)]
    for client in clients:
        client.ping()
        client.disconnect()


@pytest.mark.parametrize("size", [MIB, 5 * MIB + 13])
def test_large_messages(visit, shard_names, door, name, size):
    """Both ways, from one shard to another."""
    homes = [shard_names.by_shard[shard].pop(0) for shard in range(shard_names.shards)]
    receiver, sender = visit(door, homes[0]), visit(door, homes[-1] if len(homes) > 1 else f"{name}-sender")
    receiver.subscribe(name, qos=1)
    payload = noise(size)
    for qos in range(2):
        sender.publish(name, payload, qos=qos, timeout=20)
        assert receiver.message(name, timeout=20).payload == payload
    # And to itself, so that the same layers seal while they open.
    receiver.send(mqtt.publish(name, payload[:MIB]))
    assert receiver.message(name, timeout=20).payload == payload[:MIB]


def test_many_messages_at_once(visit, door, name):
    """A burst is one burst to the layers: nothing is lost, nothing comes out of its order."""
    receiver, sender = visit(door, f"{name}-r"), visit(door, f"{name}-s")
    receiver.subscribe(name, qos=1)
    numbers = range(1, 501)
    sender.send(*(mqtt.publish(name, str(number).encode() * 40, 1, number) for number in numbers))
    payloads = [found.payload for found in receiver.messages(500, timeout=20)]
    assert payloads == [str(number).encode() * 40 for number in numbers]
    for number in numbers:
        sender.expect("PUBACK", packet_id=number)


def test_a_slow_reader(served, visit, door, name):
    """Who does not read keeps what is for it, in order, and costs others nothing; when it reads, it gets it."""
    slow = visit(door, f"{name}-slow", receive_buffer_bytes=4096)
    slow.subscribe(name, qos=1)
    sender = visit(door, f"{name}-sender")
    payloads = [bytes([number]) + noise(100_000, number) for number in range(100)]
    for payload in payloads:
        sender.publish(name, payload, qos=1)
    sender.ping()
    assert [slow.message(name, timeout=20).payload for _ in payloads] == payloads


@pytest.mark.parametrize("way", ["no more writing", "reset", "closed"])
def test_ends_without_a_word(served, visit, certificates, door, name, way):
    """A client that dies has its will published once [MQTT-3.1.2-8], and its session is there when it comes back."""
    watcher = visit("tcp", f"{name}-watcher")
    watcher.subscribe(f"{name}/will", qos=1)
    mortal = visit(door, name, clean=False, properties=KEPT, will=mqtt.Will(f"{name}/will", b"gone", 1))
    mortal.subscribe(f"{name}/mail", qos=1)
    bottom = raw(mortal.socket)
    if way == "no more writing":
        bottom.shutdown(socket.SHUT_WR)
    elif way == "reset":
        reset(bottom)
    else:
        bottom.close()
    watcher.message(f"{name}/will", b"gone")
    watcher.publish(f"{name}/mail", b"waited", qos=1)
    back = visit(door, name, clean=False, properties=KEPT)
    assert back.connack.session_present
    back.message(f"{name}/mail", b"waited")
    back.disconnect()


def raw(connection):
    """The socket below TLS and WebSocket, whose end is not said in their words."""
    connection = getattr(connection, "inner", connection)
    return socket.socket(fileno=connection.detach())


@pytest.mark.parametrize("half", ["before everything", "in a handshake", "behind it"])
def test_half_closed(serve, certificates, tmp_path, half):
    """Connections whose client has said its last word, in any phase of their handshakes, are closed by the broker and
    leave nothing behind, at every door."""
    served = serve(every_door(certificates, tmp_path))
    vitals = Vitals(served.broker)
    descriptors = vitals.descriptors()
    for door in DOORS * 5:
        if half == "behind it":
            bottom = raw(open_socket(served, door, certificates))
        else:
            bottom = connected(served.ports.get(door), served.paths.get(door))
            bottom.sendall(b"" if half == "before everything" else BEGINNINGS[door])
        bottom.settimeout(5)
        bottom.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while bottom.recv(4096):
                pass
        bottom.close()
    wait_until(lambda: vitals.descriptors() <= descriptors, what="the end of all connections")
    vitals.expect_idle()


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
BEGINNINGS = {"tcp": b"\x10", "tls": HELLO, "ws": b"GET /mqtt HTTP/1.1\r\nHost:", "wss": HELLO, "unix": b"\x10\x10\x00",
              "proxy": b"PROXY TC", "proxy-wss": PROXY_V1 + HELLO}


def test_takeover_between_doors(visit, door, name):
    """The same ClientID at another door: the session goes there, the old connection is told [MQTT-3.1.4-3]."""
    doors = [door, DOORS[(DOORS.index(door) + 2) % len(DOORS)], door]
    peers = []
    for number, place in enumerate(doors):
        peer = visit(place, name, clean=False, properties=KEPT)
        assert peer.connack.session_present == (number > 0)
        if number == 0:
            peer.subscribe(name, qos=1)
        else:
            peers[-1].expect_disconnect(0x8E)
        peers.append(peer)
    peers[-1].publish(name, b"still subscribed", qos=1)
    peers[-1].message(name, b"still subscribed")
    peers[-1].disconnect()


def test_connect_in_pieces(served, visit, certificates, door, name):
    """A CONNECT byte by byte, with what follows it in the last piece, wherever the session's home is."""
    made = open_socket(served, door, certificates)
    packet = mqtt.connect(name)
    for at in range(len(packet) - 1):
        made.sendall(packet[at : at + 1])
    made.sendall(packet[-1:] + mqtt.subscribe(1, [(name, 1)]) + mqtt.publish(name, b"behind", 1, 2))
    peer = Peer.over(made)
    visit.opened.append(peer)
    peer.expect("CONNACK", reason=0)
    peer.expect("SUBACK", packet_id=1)
    peer.message(name, b"behind")
    peer.expect("PUBACK", packet_id=2)


def test_all_doors_at_one_topic(visit, name):
    """Subscribers at every door get what publishers at every door send."""
    clients = {place: visit(place, f"{name}-{place}") for place in DOORS}
    for client in clients.values():
        client.subscribe(f"{name}/+", qos=1)
    for place, client in clients.items():
        client.send(mqtt.publish(f"{name}/{place}", place.encode(), 1, 99))
    for client in clients.values():
        assert sorted(found.payload.decode() for found in client.messages(len(DOORS))) == sorted(DOORS)


def test_stop_says_goodbye(serve, visitors, certificates, tmp_path, door):
    """A broker that stops says so to 5.0 clients at every door, and closes as each layer wants it."""
    served = serve(every_door(certificates, tmp_path))
    peer = visitors(served)(door, "last")
    served.broker.terminate()
    peer.expect_disconnect(0x8B)
    served.broker.wait_stopped()
    with pytest.raises((Closed, OSError)):
        peer.receive()


def test_connections_go_to_their_sessions(serve, visitors, request, tmp_path, certificates):
    """A connection goes to its session's shard, or its bytes do where moving is forbidden; the broker counts that."""
    option = request.config.option
    served = serve(every_door(certificates, tmp_path), sys_interval=1)
    visit = visitors(served)
    clients = [visit(door, f"{door}-{number}") for door in DOORS for number in range(6)]
    reader = visit("tcp", "reader", keep_alive=0)
    reader.subscribe("$SYS/broker/connections/moved", "$SYS/broker/uptime")
    for client in clients:
        client.subscribe("all", qos=1)
    reader.publish("all", b"x", qos=1)
    for client in clients:
        client.message("all", b"x")
    seen = {found.topic: found.payload for found in reader.messages(4)}
    moved = int(seen.get("$SYS/broker/connections/moved", b"0"))
    assert (moved > 0) == (option.shards > 1 and not option.no_move), seen
