"""A service over HTTP and HTTPS that is asked who may come in, by the real process and a file as a user writes it."""

import contextlib
import http.server
import json
import ssl
import threading

import pytest
from open_doors import connected
from raw_client import Peer

import mqtt_bytes as mqtt

class Asked(http.server.BaseHTTPRequestHandler):
    """Allows whoever has the password `secret`, and denies all others."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """One question."""
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.headers["Authorization"], said))
        verdict = "allow" if said["password"] == "secret" else "deny"
        body = json.dumps({"result": verdict}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Says nothing."""


@contextlib.contextmanager
def service(pair=None):
    """A service on a free port; with a certificate it speaks TLS. `asked` has what it was asked."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asked)
    server.daemon_threads = True
    server.asked = []
    if pair:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.url = f"{'https' if pair else 'http'}://127.0.0.1:{server.server_address[1]}/auth"
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def code(served, password, client_id="visitor"):
    """What CONNACK says to somebody with this password."""
    with Peer.over(connected(served.ports["tcp"])) as peer:
        peer.send(mqtt.connect(client_id, username="anna", password=password))
        return peer.expect("CONNACK").reason


@pytest.fixture
def one_door(serve):
    """`one_door(**keys)` starts a broker with one TCP listener."""
    return lambda **keys: serve({"tcp": {"address": "tcp://127.0.0.1:0"}}, **keys)


def test_the_service_decides_and_is_remembered(one_door, tmp_path):
    """A file as a user writes it, the secret beside it; a second login is not asked about, and no secret is logged."""
    (tmp_path / "token").write_text("of-the-broker\n")
    with service() as here:
        served = one_door(http_auth_url=here.url, http_auth_token_file="token", http_auth_cache="1h")
        assert [code(served, "secret") for _ in range(3)] == [0, 0, 0]
        assert code(served, "guessed") == 0x86
        assert [(header, said["password"]) for header, said in here.asked] == [
            ("Bearer of-the-broker", "secret"), ("Bearer of-the-broker", "guessed")]
        assert here.asked[0][1] | {"address": ""} == {
            "client_id": "visitor", "user_name": "anna", "password": "secret", "address": "", "listener": 0}
    served.broker.wait_for_line(r"Authentication failed for user 'anna' as 'visitor' from 127\.0\.0\.1:\d+: the service")
    assert not [line for line in served.broker.lines if "guessed" in line or "of-the-broker" in line]


@pytest.mark.parametrize("failure,expected", [("deny", 0x89), ("allow", 0), ("ignore", 0x86)])
def test_a_service_that_is_gone(one_door, failure, expected):
    """What is configured holds, and the log says why."""
    with service() as here:
        url = here.url
    served = one_door(http_auth_url=url, http_auth_failure=failure)
    assert code(served, "secret") == expected
    served.broker.wait_for_line(r"http_auth_url http://127\.0\.0\.1:\d+/auth fails \(1 since")


@pytest.mark.parametrize("trusted", [True, False])
def test_https_by_an_authority_of_its_own(one_door, certificates, trusted):
    """Who is vouched for by the file is believed; another one is told nothing, and so no password."""
    authority = certificates.ca if trusted else certificates.other_ca
    with service(certificates.one) as here:
        served = one_door(http_auth_url=here.url, http_auth_ca_file=authority)
        assert code(served, "secret") == (0 if trusted else 0x89)
        assert len(here.asked) == (1 if trusted else 0)


def test_https_by_the_authorities_of_the_system(one_door, certificates):
    """Without a file of its own the tests' authority is a stranger."""
    with service(certificates.one) as here:
        served = one_door(http_auth_url=here.url)
        assert code(served, "secret") == 0x89
        assert not here.asked
