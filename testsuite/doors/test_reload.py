"""SIGHUP while many clients publish at QoS 1: a new certificate, revocation list, users, permissions and a new listener
hold for who comes; nobody who is there is dropped, and no message is lost. Then broken files: everything as before.

    testsuite/run --only python --rows doors-uring -- doors/test_reload.py --reload-clients 2000 -n 0 -s

is the long mode, and shows the figures."""

import shutil
import signal
import ssl
import subprocess

import pytest
from crowd import Crowd, Member
from hostile import raise_descriptor_limit
from open_doors import certified, client_tls, connected, secured, toml_file
from raw_client import Closed

import broker_process

USERS = 10
MESSAGES = 3000
RELOADS = 3


class Site:
    """The broker's files, each of which can be exchanged for another."""

    def __init__(self, folder, certificates):
        self.folder, self.certificates = folder, certificates
        self.ports = [broker_process.free_port() for _ in range(3)]
        self.listener = {"certificate": folder / "server.pem", "certificate_key": folder / "server.key"}
        self.mutual = {**self.listener, "client_certificate": "optional", "client_ca": certificates.ca,
                       "client_crl": folder / "clients.crl", "identity": "cn"}
        self.passwords({f"user-{number}": "secret" for number in range(USERS)} | {"gone": "secret", "other": "former"})
        self.keep = "".join(f"user user-{number}\ntopic readwrite crowd/#\n" for number in range(USERS))
        (folder / "acl").write_text(self.keep + "pattern readwrite before/#\n")
        self.certificate(certificates.one)
        shutil.copy(certificates.nobody_revoked, folder / "clients.crl")

    def listeners(self, third):
        """TCP, TLS, and a third when it is there."""
        all_ = {"tcp": {"address": f"tcp://127.0.0.1:{self.ports[0]}"},
                "tls": {"address": f"tls://127.0.0.1:{self.ports[1]}", **self.mutual}}
        return all_ | ({"third": {"address": f"tls://127.0.0.1:{self.ports[2]}", **self.listener}} if third else {})

    def keys(self):
        """The broker's keys."""
        return {"password_file": self.folder / "passwords", "acl_file": self.folder / "acl"}

    def passwords(self, users):
        """The password file with these users, made as a user makes it; SHA-512 because that is quick."""
        (self.folder / "passwords").write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
        command = [broker_process.ringmq_binary(), "passwd", "-U", "--hash", "sha512", str(self.folder / "passwords")]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def certificate(self, pair):
        """The server's certificate."""
        shutil.copy(pair.certificate, self.folder / "server.pem")
        shutil.copy(pair.key, self.folder / "server.key")

    def change(self):
        """Everything that can change."""
        self.certificate(self.certificates.two)
        shutil.copy(self.certificates.crl, self.folder / "clients.crl")
        self.passwords({f"user-{number}": "secret" for number in range(USERS)} | {"new": "secret", "other": "latter"})
        (self.folder / "acl").write_text(self.keep + "pattern readwrite after/#\n")
        toml_file(self.folder / "ringmq.toml", self.listeners(True).values(), **self.keys())


@pytest.fixture
def site(tmp_path, certificates):
    """The files before any reload."""
    raise_descriptor_limit()
    return Site(tmp_path, certificates)


def reload(broker, expected):
    """SIGHUP; waits for what the log is to say."""
    start = len(broker.lines)
    broker.terminate(signal.SIGHUP)
    broker.wait_for_line(expected, timeout=20, start=start)
    return broker.lines[start:]


def server_name(certificates, port, pair=None):
    """The name in the certificate that a listener shows."""
    with secured(certificates, port, pair) as made:
        return dict(part for (part,) in made.getpeercert()["subject"])["commonName"]


def crowd_of(count, site, certificates):
    """Half by TCP, half by TLS."""
    tls = client_tls(certificates)
    return Crowd([Member(f"member-{number}", f"user-{number % USERS}", "secret", site.ports[number % 2],
                         tls if number % 2 else None) for number in range(count)])


def enters(visit, port, certificates, user, password, tls=False):
    """What CONNACK says, and the client."""
    made = connected(port)
    if tls:
        made = client_tls(certificates).wrap_socket(made, server_hostname="localhost")
    peer = visit.greet(made, f"visitor-{user}", 5, None, username=user, password=password)
    return peer.connack.reason, peer


def test_under_load(request, serve, visitors, site, certificates):
    """The whole story."""
    count = request.config.option.reload_clients
    served = serve(site.listeners(False), **site.keys())
    broker, visit = served.broker, visitors(served)
    tcp, tls, third = site.ports
    crowd = crowd_of(count, site, certificates)
    try:
        crowd.wait_until_here()
        before = crowd.wait_for_messages(MESSAGES)
        # Somebody who is there before and whose rights change, and one who would not come in any more.
        _, stays = enters(visit, tcp, certificates, "user-0", "secret")
        _, gone = enters(visit, tcp, certificates, "gone", "secret")
        _, other = enters(visit, tcp, certificates, "other", "former")
        revoked = secured(certificates, tls, certificates.revoked)
        device = visit.greet(revoked, "device")
        stays.publish("before/x", qos=1)
        stays.publish("after/x", qos=1, reason=0x87)
        assert server_name(certificates, tls) == "one.test"
        with pytest.raises(ConnectionRefusedError):
            connected(third)

        site.change()
        began = crowd.wait_for_messages(1)[0]
        for number in range(RELOADS):
            lines = reload(broker, "reloaded; changed:")
            assert any(f"listening on mqtts://127.0.0.1:{third}" in line for line in lines) == (number == 0), lines
        during = (began, crowd.wait_for_messages(MESSAGES // 2)[1])

        expect_the_new(visit, site, certificates)
        # Who is there stays there, and is asked anew for what it does.
        for peer in (stays, gone, other, device):
            peer.ping()
        stays.publish("after/x", qos=1)
        stays.publish("before/x", qos=1, reason=0x87)

        for wreck, expected in wrecks(site):
            put_back = wreck()
            lines = reload(broker, "nothing was changed, the broker goes on as before")
            assert any(expected in line for line in lines), (expected, lines)
            expect_the_new(visit, site, certificates)
            put_back()
        after = crowd.wait_for_messages(MESSAGES)
    finally:
        crowd.end()
    assert crowd.account() == []
    assert sum(member.received for member in crowd.members) == len(crowd.times)
    figures = ", ".join(f"{name} {crowd.percentile(*span):.1f} ms" for name, span in
                        (("before", before), ("during", during), ("after", after)))
    print(f"\n{count} clients, {len(crowd.times)} messages, acknowledged within (99 %): {figures}")


def expect_the_new(visit, site, certificates):
    """What holds behind the reload, for whoever comes."""
    tcp, tls, third = site.ports
    assert server_name(certificates, tls) == server_name(certificates, third) == "two.test"
    assert enters(visit, tcp, certificates, "new", "secret")[0] == 0
    assert enters(visit, third, certificates, "new", "secret", tls=True)[0] == 0
    # Each from an address of its own would be needed for more: failures make their address wait.
    assert enters(visit, tcp, certificates, "user-1", "secret")[0] == 0
    with pytest.raises((Closed, ssl.SSLError, ConnectionError)):
        made = secured(certificates, tls, certificates.revoked)
        visit.greet(made, "device-again")
    made = secured(certificates, tls, certificates.good)
    visit.greet(made, "device-good").publish("after/y", qos=1)


def wrecks(site):
    """Ways to break a file, with what the log has to say of it."""
    def with_text(name, text):
        def wreck():
            file = site.folder / name
            former = file.read_bytes()
            file.write_text(text)
            return lambda: file.write_bytes(former)
        return wreck

    def missing(name):
        def wreck():
            file = site.folder / name
            former = file.read_bytes()
            file.unlink()
            return lambda: file.write_bytes(former)
        return wreck

    return [
        (with_text("ringmq.toml", "[[listener]\n"), "ringmq.toml:1:"),
        (with_text("ringmq.toml", "queue_policy = \"dorp\"\n"), "queue_policy"),
        (with_text("acl", "topic raed x\n"), "acl:1: \"raed\" is no access"),
        (with_text("passwords", "anna:plain\n"), "passwords:1: user \"anna\": the password is not hashed"),
        (with_text("server.pem", "no certificate"), "server.pem"),
        (with_text("server.key", "no key"), "server.key"),
        (missing("server.pem"), "server.pem: No such file"),
        (with_text("clients.crl", "no list"), "clients.crl"),
        (taken(site), "in use"),
    ]


def taken(site):
    """A new listener at a port that somebody else has."""
    def wreck():
        blocker = broker_process.socket.socket()
        blocker.bind(("127.0.0.1", 0))
        blocker.listen()
        file = site.folder / "ringmq.toml"
        former = file.read_text()
        file.write_text(f"{former}\n[[listener]]\naddress = \"tcp://127.0.0.1:{blocker.getsockname()[1]}\"\n")

        def put_back():
            blocker.close()
            file.write_text(former)
        return put_back
    return wreck


def test_who_may_not_come_any_more(serve, visitors, site, certificates):
    """Users that are gone and passwords that are former are refused, also of those who came in by them before."""
    served = serve(site.listeners(False), **site.keys())
    visit = visitors(served)
    tcp = site.ports[0]
    for user, password in (("gone", "secret"), ("other", "former")):
        assert enters(visit, tcp, certificates, user, password)[0] == 0
    site.change()
    reload(served.broker, "reloaded;")
    for user, password, reason in (("gone", "secret", 0x86), ("other", "former", 0x86), ("other", "latter", 0)):
        assert enters(visit, tcp, certificates, user, password)[0] == reason, user


def test_a_listener_that_goes_keeps_its_connections(serve, visitors, site, certificates):
    """It accepts nobody any more; who came by it stays. And it can come again."""
    served = serve(site.listeners(True), **site.keys())
    visit = visitors(served)
    third = site.ports[2]
    _, stays = enters(visit, third, certificates, "user-0", "secret", tls=True)
    stays.subscribe("crowd/x", qos=1)
    for there in (False, True, False):
        toml_file(site.folder / "ringmq.toml", site.listeners(there).values(), **site.keys())
        lines = reload(served.broker, "reloaded;")
        assert any(f"istening on mqtts://127.0.0.1:{third}" in line for line in lines), lines
        if there:
            assert enters(visit, third, certificates, "user-2", "secret", tls=True)[0] == 0
        else:
            with pytest.raises(ConnectionRefusedError):
                connected(third)
        stays.publish("crowd/x", b"here", qos=1)
        stays.message("crowd/x", b"here")


def test_a_listener_becomes_another(serve, visitors, site, certificates):
    """At the same address, TLS from now on: who came before goes on in the clear, who comes speaks TLS; and back."""
    served = serve(site.listeners(False), **site.keys())
    visit = visitors(served)
    tcp = site.ports[0]
    _, clear = enters(visit, tcp, certificates, "user-0", "secret")
    other = site.listeners(False)
    other["tcp"] = {"address": f"tls://127.0.0.1:{tcp}", **site.listener}
    toml_file(site.folder / "ringmq.toml", other.values(), **site.keys())
    reload(served.broker, "reloaded;")
    said, encrypted = enters(visit, tcp, certificates, "user-1", "secret", tls=True)
    assert said == 0
    toml_file(site.folder / "ringmq.toml", site.listeners(False).values(), **site.keys())
    reload(served.broker, "reloaded;")
    assert enters(visit, tcp, certificates, "user-2", "secret")[0] == 0
    for peer in (clear, encrypted):
        peer.publish("crowd/x", bytes(100_000), qos=1)
        peer.ping()


def test_free_ports_stay_with_their_kind(serve, visitors, certificates, tmp_path):
    """Of several listeners at port 0 the one that is taken out of the file closes, and no other takes its number."""
    listeners = {"tcp": {"address": "tcp://127.0.0.1:0"},
                 "tls": {"address": "tls://127.0.0.1:0", **certified(certificates.one)},
                 "ws": {"address": "ws://127.0.0.1:0"}}
    served = serve(listeners)
    visit = visitors(served)
    del listeners["tls"]
    toml_file(served.file, listeners.values())
    lines = reload(served.broker, "reloaded;")
    assert any("no longer listening on mqtts://127.0.0.1:" in line for line in lines), lines
    for door in listeners:
        visit(door, f"still-{door}").ping()
    with pytest.raises(ConnectionRefusedError):
        connected(served.ports["tls"])
