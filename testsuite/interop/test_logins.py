"""Logins beyond user name and password: tokens that PyJWT signed, and SCRAM-SHA-256 by a client of its own, through
the exchange of MQTT 5.0 and back into it."""

import base64
import hashlib
import hmac
import subprocess
import time

import jwt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

import broker_process
import mqtt_bytes as mqtt
from raw_client import Peer

SECRET = "a secret of thirty-two bytes, now"
SCRAM = "SCRAM-SHA-256"


def token(user="anna", seconds=60, secret=SECRET, **claims):
    """A token of a user."""
    return jwt.encode({"sub": user, "exp": int(time.time()) + seconds, **claims}, secret, algorithm="HS256")


@pytest.fixture
def guarded(start_broker, tmp_path):
    """The port of a broker with tokens and one user of SCRAM, zoe."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    command = [broker_process.ringmq_binary(), "passwd", "--hash", "scram-sha-256", "-c", "-b",
               str(tmp_path / "passwords"), "zoe", "pencil"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return start_broker("--jwt-secret-file", tmp_path / "secret", "--password-file", tmp_path / "passwords",
                        "--jwt-permissions-claim", "acl", "--jwt-leeway", "0").port


class Scram:
    """The client's side of one exchange (RFC 5802)."""

    def __init__(self, user, password, nonce="fyko+d2lbbFgONRv9qkxdawL"):
        self.password = password.encode()
        self.bare = f"n={user},r={nonce}"
        self.first = f"n,,{self.bare}".encode()
        self.signature = None

    def respond(self, challenge):
        """client-final-message."""
        fields = dict(field.split("=", 1) for field in challenge.decode().split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={fields['r']}"
        message = f"{self.bare},{challenge.decode()},{without_proof}".encode()
        self.signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        signed = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signed))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def is_server(self, last):
        """Whether the server knows the user too."""
        return last == b"v=" + base64.b64encode(self.signature)


def step(method, data):
    """The properties of one step."""
    return {"authentication_method": method, "authentication_data": data}


def challenged(port, scram):
    """A client that got its challenge, which names the method [MQTT-4.12.0-5] and says 0x18 [MQTT-4.12.0-2]."""
    peer = Peer(port)
    peer.send(mqtt.connect("c", properties=step(SCRAM, scram.first)))
    found = peer.expect("AUTH", reason=0x18)
    assert found.properties["authentication_method"] == SCRAM
    return peer, found.properties["authentication_data"]


def respond(peer, data):
    """Sends the response."""
    peer.send(mqtt.auth(0x18, step(SCRAM, data)))


def proved(port):
    """Zoe, in."""
    scram = Scram("zoe", "pencil")
    peer, challenge = challenged(port, scram)
    respond(peer, scram.respond(challenge))
    connack = peer.expect("CONNACK", reason=0)
    assert connack.properties["authentication_method"] == SCRAM
    assert scram.is_server(connack.properties["authentication_data"])
    return peer


def test_scram(guarded):
    """A password is proved and not sent, by which the server proves that it knows it; or it is sent, as others do. AUTH
    of the server says 0x18 [MQTT-4.12.0-2], and it and CONNACK name the method [MQTT-4.12.0-5]."""
    proved(guarded).disconnect()
    Peer.connected(guarded, username="zoe", password="pencil").disconnect()
    Peer.connected(guarded, username="zoe", password="Pencil", reason=0x86).expect_closed()


@pytest.mark.parametrize("user,password", [("zoe", "Pencil"), ("nobody", "pencil")])
def test_scram_with_a_wrong_password(guarded, user, password):
    """Who knows no password is challenged like anybody, and closed [MQTT-4.12.0-4]."""
    scram = Scram(user, password)
    peer, challenge = challenged(guarded, scram)
    respond(peer, scram.respond(challenge))
    peer.expect("CONNACK", reason=0x86)
    peer.expect_closed()


@pytest.mark.parametrize(("password", "code"), [("pencil", 0), ("wrong", 134)])
def test_scram_of_the_command_line(guarded, password, code):
    """`ringmq pub --scram` proves the password; a wrong one is refused with 0x86."""
    command = [broker_process.ringmq_binary(), "pub", "-p", str(guarded), "-u", "zoe", "-P", password, "--scram",
               "-t", "t", "-m", "x", "-q", "1", "-d"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15, stdin=subprocess.DEVNULL)
    assert done.returncode == code, done
    assert "pencil" not in done.stdout + done.stderr


def test_scram_anew(guarded):
    """A client authenticates anew; when that fails it is closed [MQTT-4.12.1-2]."""
    peer = proved(guarded)
    peer.subscribe("t")
    for password in ("pencil", "Pencil"):
        scram = Scram("zoe", password)
        peer.send(mqtt.auth(0x19, step(SCRAM, scram.first)))
        challenge = peer.expect("AUTH", reason=0x18).properties["authentication_data"]
        peer.publish("t", b"between")
        peer.message("t", b"between")
        respond(peer, scram.respond(challenge))
        if password == "pencil":
            last = peer.expect("AUTH", reason=0).properties
            assert last["authentication_method"] == SCRAM and scram.is_server(last["authentication_data"])
    peer.expect_disconnect(0x87)


def test_token_anew(guarded):
    """A new token moves the end of a connection, of the same user alone."""
    peer = Peer.connected(guarded, properties=step("jwt", token(seconds=2).encode()))
    assert peer.connack.properties["authentication_method"] == "jwt"
    peer.send(mqtt.auth(0x19, step("jwt", token(seconds=4).encode())))
    peer.expect("AUTH", reason=0)
    begin = time.monotonic()
    peer.expect_disconnect(0xA0)
    assert time.monotonic() - begin > 2.5
    peer = Peer.connected(guarded, properties=step("jwt", token().encode()))
    peer.send(mqtt.auth(0x19, step("jwt", token("bert").encode())))
    peer.expect_disconnect(0x87)


@pytest.mark.parametrize("version,wrong", [(5, 0x86), (4, 4), (3, 4)])
def test_token_as_password(guarded, version, wrong):
    """A good token comes in with any user name, and one that is not does not."""
    for user in ("", "whoever"):
        Peer.connected(guarded, "c", version, username=user, password=token()).disconnect()
    for bad in (token(seconds=-1), token(secret="another secret of thirty-two bytes"), "x.y.z"):
        Peer.connected(guarded, "c", version, reason=wrong, username="anna", password=bad).expect_closed()


def test_paho_with_a_token(guarded):
    """paho's client gives a token as its password, and may do what the token says."""
    connected, granted = [], {"publish": ["in/#"], "subscribe": ["in/+"]}
    client = paho.Client(CallbackAPIVersion.VERSION2, "c", protocol=paho.MQTTv311)
    client.username_pw_set("", token(acl=granted))
    client.on_connect = lambda _client, _data, _flags, reason, _properties: connected.append(reason)
    got = []
    client.on_message = lambda _client, _data, message: got.append(message.topic)
    client.connect("127.0.0.1", guarded)
    client.loop_start()
    try:
        while not connected:
            time.sleep(0.01)
        assert not connected[0].is_failure
        client.subscribe("#", qos=1)
        for topic in ("out/x", "in/x/y", "in/x"):
            client.publish(topic, qos=1).wait_for_publish(5)
        deadline = time.monotonic() + 5
        while not got and time.monotonic() < deadline:
            time.sleep(0.01)
        assert got == ["in/x"]
    finally:
        client.loop_stop()
