"""Clients' certificates: required and optional; none, good, revoked, expired, another authority's; and the user name
that one proves, as permissions and the log see it."""

import ssl

import pytest
from open_doors import certified, secured
from raw_client import Closed
from strangers import is_refused, mosquitto_exchange, mosquitto_tool, succeeds

WRONG = {"revoked": "revoked", "expired": "expired", "other": "from nobody that is trusted"}


def asking(certificates, how="required", **more):
    """A listener that asks for a certificate."""
    return {"address": "tls://127.0.0.1:0", "client_certificate": how, "client_ca": certificates.ca,
            "client_crl": certificates.crl, **certified(certificates.one), **more}


@pytest.fixture
def two(serve, certificates):
    """A broker with a listener that requires a certificate, one that takes one, and a WebSocket that requires it."""
    return serve({"required": asking(certificates), "optional": asking(certificates, "optional"),
                  "wss": asking(certificates, address="wss://127.0.0.1:0/mqtt")})


def tool_flags(certificates, pair):
    """What mosquitto's tools want to know."""
    return ["--cafile", certificates.ca, "--cert", pair.certificate, "--key", pair.key]


def test_a_good_one(two, certificates):
    """By mosquitto's tools, paho and mqtt.js, over TLS and wss."""
    for door in ("required", "optional"):
        mosquitto_exchange(two, door, f"good/{door}", *tool_flags(certificates, certificates.good))
    for client in ("paho", "mqtt.js"):
        for door in ("required", "optional", "wss"):
            succeeds(client, two, door, certificates, pair=certificates.good, bytes=1024)


@pytest.mark.parametrize("which", WRONG)
@pytest.mark.parametrize("door", ["required", "optional"])
def test_a_wrong_one(two, certificates, which, door):
    """Nobody comes in by it, also where none is needed; the log names the reason."""
    pair = getattr(certificates, which)
    code, said = mosquitto_tool("pub", two, door, *tool_flags(certificates, pair), "-t", "x", "-m", "x")
    assert code != 0, said
    two.broker.wait_for_line(rf"(?i)127\.0\.0\.1:\d+ .*{WRONG[which]}")
    for client in ("paho", "mqtt.js"):
        is_refused(client, two, door, certificates, pair=pair)


def test_none(two, certificates):
    """Required means required; optional does not."""
    for client in ("paho", "mqtt.js"):
        is_refused(client, two, "required", certificates)
        is_refused(client, two, "wss", certificates)
        succeeds(client, two, "optional", certificates, bytes=1024)
    code, said = mosquitto_tool("pub", two, "required", "--cafile", certificates.ca, "-t", "x", "-m", "x")
    assert code != 0, said
    mosquitto_exchange(two, "optional", "none", "--cafile", certificates.ca)
    two.broker.wait_for_line(r"(?i)127\.0\.0\.1:\d+ .*certificate")


def test_without_a_list_nobody_is_revoked(serve, certificates):
    """client_crl is what revokes."""
    listener = asking(certificates)
    del listener["client_crl"]
    served = serve({"tls": listener})
    mosquitto_exchange(served, "tls", "free", *tool_flags(certificates, certificates.revoked))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("identity,user", [
    ("cn", "device-one"), ("san", "one.device.test"), ("subject", "CN=device-one,O=Tests")])
def test_it_is_the_user_name(serve, visitors, certificates, tmp_path, identity, user, version):
    """Before whatever CONNECT says: permissions go by it, and the log names it."""
    (tmp_path / "acl").write_text(f"user {user}\ntopic readwrite mine/#\npattern readwrite u/%u\n")
    served = serve({"tls": asking(certificates, identity=identity)}, acl_file=tmp_path / "acl")
    made = secured(certificates, served.ports["tls"], certificates.good, version)
    peer = visitors(served).greet(made, "device", username="somebody", password="anything")
    peer.publish("mine/1", qos=1)
    peer.publish(f"u/{user}", qos=1)
    peer.publish("u/somebody", qos=1, reason=0x87)
    peer.publish("theirs", qos=1, reason=0x87)
    served.broker.wait_for_line(rf"New client connected from 127\.0\.0\.1:\d+ as device .*u'{user}'")
    served.broker.wait_for_line(rf"Publish denied for user '{user}' as 'device'")


def test_by_mosquittos_tools_the_user_name_decides(serve, certificates, tmp_path):
    """What a subscriber gets is what the certificate's name may read."""
    (tmp_path / "acl").write_text("user device-one\ntopic readwrite mine/#\nuser device-two\ntopic write mine/#\n")
    listener = asking(certificates, identity="cn")
    del listener["client_crl"]
    served = serve({"tls": listener}, acl_file=tmp_path / "acl")
    one, two = (tool_flags(certificates, pair) for pair in (certificates.good, certificates.revoked))
    mosquitto_exchange(served, "tls", "mine/a", *one)
    assert mosquitto_tool("pub", served, "tls", *two, "-r", "-q", "1", "-t", "mine/kept", "-m", "kept")[0] == 0
    assert mosquitto_tool("sub", served, "tls", *one, "-t", "#", "-C", "1", "-W", "5") == (0, "kept\n")
    code, said = mosquitto_tool("sub", served, "tls", *two, "-t", "#", "-C", "1", "-W", "1")
    assert code == 27, said


def test_who_shows_none_is_nobody(serve, visitors, certificates, tmp_path):
    """Where a certificate is optional, CONNECT's user name needs its password as everywhere."""
    (tmp_path / "acl").write_text("user device-one\ntopic readwrite mine/#\n")
    served = serve({"tls": asking(certificates, "optional", identity="cn")}, acl_file=tmp_path / "acl")
    peer = visitors(served)("tls", "nobody")
    peer.publish("mine/1", qos=1, reason=0x87)


def test_a_certificate_needs_no_password(serve, visitors, certificates, tmp_path):
    """A proved name is let in where others need a password."""
    (tmp_path / "passwords").write_text("")
    served = serve({"tls": asking(certificates, "optional", identity="cn")}, password_file=tmp_path / "passwords",
                   allow_anonymous=False)
    visit = visitors(served)
    visit("tls", "nobody", reason=0x87)
    made = secured(certificates, served.ports["tls"], certificates.good)
    visit.greet(made, "device").publish("x", qos=1)


def test_python_gets_the_alert(two, certificates):
    """TLS 1.3: the handshake is done for the client before the server has seen its certificate; the alert follows."""
    made = secured(certificates, two.ports["required"], certificates.revoked)
    with pytest.raises((ssl.SSLError, Closed, ConnectionError), match="(?i)revoked"):
        made.recv(10)
    made.close()
