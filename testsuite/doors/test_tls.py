"""TLS by openssl, mosquitto's tools, paho and mqtt.js: versions, names, ALPN, resumption, and what is refused."""

import re
import ssl
import subprocess

import pytest
from open_doors import certified, client_tls, connected, secured
from strangers import is_refused, mosquitto_exchange, mosquitto_tool, succeeds

import mqtt_bytes as mqtt

VERSIONS = ["1.2", "1.3"]


def s_client(port, ca, *flags, code=0):
    """openssl s_client, which ends at once; gives what it says."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(ca), *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=20,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def port(served):
    """The TLS listener of the module's broker, which has one certificate."""
    return served.ports["tls"]


@pytest.mark.parametrize("version", VERSIONS)
def test_mosquittos_tools(served, certificates, version):
    """--tls-version and --tls-alpn mqtt."""
    mosquitto_exchange(served, "tls", f"mosquitto/{version}", "--cafile", certificates.ca, "--tls-version",
                       f"tlsv{version}", "--tls-alpn", "mqtt")


@pytest.mark.parametrize("client", ["paho", "mqtt.js"])
@pytest.mark.parametrize("version", VERSIONS)
def test_libraries(served, certificates, client, version):
    """The same by libraries, in exactly this version of TLS."""
    topic = f"library/{client}/{version}"
    succeeds(client, served, "tls", certificates, tls=version, topic=topic, client_id=f"{client}-{version}")


@pytest.mark.parametrize("client", ["paho", "mqtt.js"])
def test_libraries_refuse_another_authority(served, certificates, client):
    """Who trusts another authority does not go on. OpenSSL says so, and then the log does; node finds it out when the
    handshake is over, and says nothing."""
    start = len(served.broker.lines)
    said = is_refused(client, served, "tls", certificates, ca=str(certificates.other_ca), client_id="distrust")
    assert re.search("certificate", said, re.IGNORECASE), said
    if client == "paho":
        served.broker.wait_for_line(r"127\.0\.0\.1:\d+ .*does not trust the issuer", start=start)


def test_mosquittos_tool_refuses_another_authority(served, certificates):
    """An exit code that is not 0; it says no more than that it is TLS."""
    code, said = mosquitto_tool("pub", served, "tls", "--cafile", certificates.other_ca, "-t", "x", "-m", "x")
    assert code != 0 and "TLS error" in said


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_verifies_and_agrees_on_mqtt(port, certificates, version):
    """The chain is good, the version the one asked for, the application protocol mqtt (RFC 7301)."""
    said = s_client(port, certificates.ca, f"-tls{version.replace('.', '_')}", "-verify_return_error", "-verify_ip",
                    "127.0.0.1", "-alpn", "mqtt")
    assert "Verify return code: 0 (ok)" in said and "ALPN protocol: mqtt" in said
    assert re.search(rf"New, TLSv{re.escape(version)}, Cipher is ", said), said


@pytest.mark.parametrize("flags", [["-tls1_1"], ["-tls1"]])
def test_old_versions_are_refused(served, port, certificates, flags):
    """RFC 8996. A hello of these says nothing of signatures, which is what the log finds first."""
    start = len(served.broker.lines)
    said = s_client(port, certificates.ca, *flags, "-cipher", "DEFAULT@SECLEVEL=0", code=1)
    assert "alert protocol version" in said or "alert handshake failure" in said
    assert "Cipher is (NONE)" in said
    served.broker.wait_for_line(r"127\.0\.0\.1:\d+ .*closed before CONNECT: TLS: ", start=start)


def test_tls_1_2_is_refused_where_1_3_is_the_oldest(serve, certificates):
    """tls_version_min."""
    served = serve({"tls": {"address": "tls://127.0.0.1:0", "tls_version_min": "1.3", **certified(certificates.one)}})
    assert "alert protocol version" in s_client(served.ports["tls"], certificates.ca, "-tls1_2", code=1)
    assert "Verify return code: 0 (ok)" in s_client(served.ports["tls"], certificates.ca, "-tls1_3")


def test_another_application_protocol_is_refused(port, certificates):
    """Who asks for HTTP alone is at the wrong door; who asks for nothing is not."""
    assert "alert no application protocol" in s_client(port, certificates.ca, "-alpn", "h2,http/1.1", code=1)
    assert "No ALPN negotiated" in s_client(port, certificates.ca)


@pytest.mark.parametrize("asked,subject", [
    ("one.test", "one.test"), ("two.test", "two.test"), ("a.two.test", "two.test"), ("TWO.test", "two.test"),
    ("unknown.test", "one.test"), (None, "one.test")])
def test_the_name_chooses_the_certificate(serve, certificates, asked, subject):
    """SNI (RFC 6066): the certificate of the name, with wildcards, else the first."""
    served = serve({"tls": {"address": "tls://127.0.0.1:0", **certified(certificates.one, certificates.two)}})
    flags = ["-servername", asked] if asked else ["-noservername"]
    assert f"subject=CN = {subject}\n" in s_client(served.ports["tls"], certificates.ca, *flags)


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_resumes(port, certificates, tmp_path, version):
    """The ticket of one connection shortens the next."""
    flags = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(certificates.ca), "-alpn", "mqtt",
             f"-tls{version.replace('.', '_')}", "-sess_out", str(tmp_path / "session")]
    # Under 1.3 the ticket comes behind the handshake.
    first = subprocess.Popen(flags, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = []
    for line in first.stdout:
        lines.append(line)
        if line.startswith("    Verify return code"):
            break
    first.stdin.close()
    first.stdout.close()
    first.wait(10)
    assert any(line.startswith("New, ") for line in lines), lines
    said = s_client(port, certificates.ca, f"-tls{version.replace('.', '_')}", "-alpn", "mqtt", "-sess_in",
                    tmp_path / "session")
    assert f"Reused, TLSv{version}," in said and "ALPN protocol: mqtt" in said


def test_openssl_reconnects_five_times(port, certificates):
    """-reconnect: the first is new, the five that follow are not."""
    said = s_client(port, certificates.ca, "-tls1_2", "-reconnect")
    assert len(re.findall("^New, TLSv1.2", said, re.MULTILINE)) == 1
    assert len(re.findall("^Reused, TLSv1.2", said, re.MULTILINE)) == 5


def test_plain_mqtt_at_a_tls_listener_gets_an_alert(served, name):
    """Its CONNECT is no ClientHello; the log says so."""
    start = len(served.broker.lines)
    made = connected(served.ports["tls"])
    made.sendall(mqtt.connect(name))
    alert = made.recv(100)
    assert alert[:2] == b"\x15\x03" and alert[5] == 2, alert
    assert made.recv(100) == b""
    made.close()
    served.broker.wait_for_line(r"127\.0\.0\.1:\d+ .*TLS", start=start)


def test_the_end_is_a_close_notify(visit, name):
    """A client that disconnects gets TLS's own end, which tells it from a connection that was cut (RFC 8446 6.1)."""
    peer = visit("tls", name)
    # An end without close_notify would be an SSLEOFError.
    peer.socket.suppress_ragged_eofs = False
    peer.disconnect()


def test_a_handshake_has_its_time(serve, certificates):
    """Who says nothing, or half of it, is closed after handshake_timeout; who is in stays."""
    served = serve({"tls": {"address": "tls://127.0.0.1:0", "handshake_timeout": "500ms",
                            **certified(certificates.one)}})
    port = served.ports["tls"]
    inside = secured(certificates, port)
    for beginning in (b"", b"\x16\x03\x01\x02\x00\x01"):
        silent = connected(port)
        silent.sendall(beginning)
        assert silent.recv(100) == b""
        silent.close()
    served.broker.wait_for_line(r"127\.0\.0\.1:\d+: .*(handshake|time)")
    inside.sendall(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03abc")
    assert inside.recv(100) == b"\x20\x02\x00\x00"
    inside.close()


def test_renegotiation_is_refused(port, certificates):
    """openssl's R asks for it (TLS 1.2); it is not there."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(certificates.ca), "-tls1_2"]
    done = subprocess.run(command, input="R\n", capture_output=True, text=True, timeout=20)
    assert "RENEGOTIATING" in done.stderr and "no renegotiation" in done.stderr, done


def test_a_context_of_python_verifies_the_name(served, certificates):
    """Python's ssl with the name of the certificate, and with another."""
    context = client_tls(certificates)
    made = context.wrap_socket(connected(served.ports["tls"]), server_hostname="one.test")
    assert made.version() == "TLSv1.3"
    made.close()
    with pytest.raises(ssl.SSLCertVerificationError), connected(served.ports["tls"]) as plain:
        context.wrap_socket(plain, server_hostname="two.test")
