"""The PROXY protocol, versions 1 and 2: whose address the log and the guard see, and who is refused."""

import socket
import struct

import pytest
from open_doors import PROXY_V1, certified, client_tls, connected
from raw_client import Closed

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version_2(family=0x11, addresses=None, command=0x21, extension=b""):
    """A header of version 2."""
    if addresses is None:
        addresses = socket.inet_aton("198.51.100.4") + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 5000, 1883)
    body = addresses + extension
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(body)) + body


V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + struct.pack(">HH", 6000, 1)
HEADERS = {
    "v1": (PROXY_V1, r"192\.0\.2\.77:4711"),
    "v1-ipv6": (b"PROXY TCP6 2001:db8::5 2001:db8::6 77 1883\r\n", r"\[2001:db8::5\]:77"),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", r"127\.0\.0\.1:\d+"),
    "v2": (version_2(), r"198\.51\.100\.4:5000"),
    "v2-ipv6": (version_2(0x21, V6), r"\[2001:db8::7\]:6000"),
    "v2-local": (version_2(0, b"", 0x20), r"127\.0\.0\.1:\d+"),
    "v2-extended": (version_2(extension=b"\x04\x00\x05hello"), r"198\.51\.100\.4:5000"),
}


@pytest.mark.parametrize("pieces", ["whole", "bytewise"])
@pytest.mark.parametrize("which", HEADERS)
def test_the_address_is_the_clients(visit, served, name, which, pieces):
    """Whole or byte by byte, the log names the address of the header."""
    header, seen = HEADERS[which]
    made = connected(served.ports["proxy"])
    for piece in [header] if pieces == "whole" else [header[at : at + 1] for at in range(len(header))]:
        made.sendall(piece)
    visit.greet(made, name).ping()
    served.broker.wait_for_line(f"New client connected from {seen} as {name} ")


def test_in_front_of_tls(serve, visitors, certificates):
    """The header comes first, in the clear; then TLS."""
    served = serve({"tls": {"address": "tls://127.0.0.1:0", "proxy_protocol": "required",
                            "proxy_protocol_from": ["127.0.0.0/8"], **certified(certificates.one)}})
    made = connected(served.ports["tls"])
    made.sendall(version_2())
    made = client_tls(certificates).wrap_socket(made, server_hostname="localhost")
    visitors(served).greet(made, "inside").ping()
    served.broker.wait_for_line(r"New client connected from 198\.51\.100\.4:5000 as inside ")


def test_at_a_unix_socket(serve, visitors, tmp_path):
    """A proxy of the same machine."""
    served = serve({"unix": {"address": f"unix:{tmp_path}/proxied", "proxy_protocol": "required",
                             "proxy_protocol_from": ["127.0.0.1"]}})
    made = connected(path=served.paths["unix"])
    made.sendall(PROXY_V1)
    visitors(served).greet(made, "local").ping()
    served.broker.wait_for_line(r"New client connected from 192\.0\.2\.77:4711 as local ")


@pytest.mark.parametrize("sent", [b"", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 " + b"1" * 200,
                                  SIGNATURE + b"\x31\x11\0\0", version_2(addresses=b"\0\0")],
                         ids=["none", "short", "long", "version-3", "cut"])
def test_without_a_good_header_nobody_comes_in(visit, served, name, sent):
    """And the log says so."""
    start = len(served.broker.lines)
    made = connected(served.ports["proxy"])
    if sent:
        made.sendall(sent)
    with pytest.raises(Closed):
        visit.greet(made, name)
    served.broker.wait_for_line(r"127\.0\.0\.1:\d+ .*PROXY", start=start)
    assert f" as {name} " not in served.broker.log


def test_a_source_that_is_not_trusted_is_refused(serve, visitors):
    """Also with a good header."""
    served = serve({"proxy": {"address": "tcp://127.0.0.1:0", "proxy_protocol": "required",
                              "proxy_protocol_from": ["192.0.2.0/24", "::1"]}})
    made = connected(served.ports["proxy"])
    made.sendall(PROXY_V1)
    with pytest.raises(Closed):
        visitors(served).greet(made, "stranger")
    served.broker.wait_for_line(r"127\.0\.0\.1:\d+ .*not trusted")


def test_a_header_where_none_is_expected_is_no_mqtt(visit, served, name):
    """It is a protocol error like any other."""
    made = connected(served.ports["tcp"])
    made.sendall(PROXY_V1)
    with pytest.raises((Closed, ConnectionError)):
        visit.greet(made, name)


def test_failed_logins_are_of_the_address_in_the_header(serve, visitors, tmp_path):
    """Whoever blocks addresses by the log blocks the client's and not the proxy's."""
    (tmp_path / "passwords").write_text("")
    served = serve({"proxy": {"address": "tcp://127.0.0.1:0", "proxy_protocol": "required",
                              "proxy_protocol_from": ["127.0.0.1"]}}, password_file=tmp_path / "passwords")
    visitors(served)("proxy", "guesser", reason=0x86, username="anna", password="x")
    served.broker.wait_for_line(r"Authentication failed for user 'anna' as 'guesser' from 192\.0\.2\.77:4711: ")
