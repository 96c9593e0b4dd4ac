"""Password and ACL files beside Debian's mosquitto: the same files let in the same clients and let them read and write
the same topics; each program reads what the other's passwd writes; and what `ringmq passwd` and `explain` say."""

import os
import pty
import re
import select
import stat
import subprocess
import termios
import time

import pytest
from clients import client_environment

import broker_process
import debian_packages
import mqtt_bytes as mqtt
from raw_client import Closed, Peer

PASSWORDS = {"root": "the root", "anna": "secret", "bert": "hidden", "c d": "with space", "plus+": "p"}
ACL = """\
# in front of any user: anonymous clients
topic read news/#
topic deny news/internal
topic readwrite with space/x y

user root
topic readwrite #

user anna
topic home/+/temperature
topic write  cmd/anna
topic deny home/cellar/#
topic read inbox/anna
user bert
topic deny #
user anna
topic write outbox/#
user c d
topic a

pattern read dev/%c/in
pattern write dev/%c/out/#
pattern deny dev/%c/out/secret
pattern readwrite u/%u
pattern read x-%u-%c/+
pattern read public/+
"""
TOPICS = ["news/a", "news", "news/internal", "with space/x y", "home/attic/temperature", "home/cellar/temperature",
          "home/cellar", "cmd/anna", "inbox/anna", "inbox/bert", "outbox/1/2", "a", "dev/one/in", "dev/one/out",
          "dev/one/out/a/b", "dev/one/out/secret", "dev/two/in", "u/anna", "u/bert", "u/", "x-anna-one/y",
          "x-anna-two/y", "x-plus+-one/y".replace("+", ""), "public/x", "public/x/y", "nothing"]
WHO = [(None, "one"), ("anna", "one"), ("bert", "one"), ("c d", "one"), ("anna", "two"), ("plus+", "one"),
       ("anna", "one+"), ("anna", "#")]


def passwd(*arguments, stdin=None, expected=0):
    """Runs `ringmq passwd`; gives what it wrote."""
    command = [broker_process.ringmq_binary(), "passwd", *map(str, arguments)]
    done = subprocess.run(command, input=stdin or "", capture_output=True, text=True, timeout=30)
    assert done.returncode == expected, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def mosquitto_passwd(*arguments):
    """Runs Debian's mosquitto_passwd."""
    command = [debian_packages.program("mosquitto_passwd"), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=30, env=client_environment())


@pytest.fixture
def files(tmp_path):
    """A password file and an ACL file that the brokers' own users can read."""
    for number, (user, password) in enumerate(PASSWORDS.items()):
        mosquitto_passwd(*(["-c"] if number == 0 else []), "-b", tmp_path / "passwords", user, password)
    passwd("--hash", "pbkdf2", "-b", tmp_path / "passwords", "bert", PASSWORDS["bert"])
    (tmp_path / "acl").write_text(ACL)
    return tmp_path / "passwords", tmp_path / "acl"


@pytest.fixture(params=["on-ringmq", "on-mosquitto"])
def guarded(request, tmp_path, files):
    """The port of either broker with these files."""
    if request.param == "on-ringmq":
        start = request.getfixturevalue("start_broker")
        yield start("--password-file", files[0], "--acl-file", files[1], "--allow-anonymous").port
        return
    broker = broker_process.start_mosquitto(tmp_path, [f"password_file {files[0]}", f"acl_file {files[1]}"])
    yield broker.port
    broker.stop()


def log_in(port, user, client_id, version=5, password=None, reason=0):
    """A client with its user's password, or another."""
    options = {} if user is None else {"username": user, "password": password or PASSWORDS.get(user, "none")}
    return Peer.connected(port, client_id, version, reason=reason, **options)


def rights(port):
    """What each client may read and write, found out by trying."""
    found = {}
    for user, client_id in WHO:
        with log_in(port, "root", "root") as root:
            root.subscribe("#")
            for topic in TOPICS:
                write(port, user, client_id, topic)
            root.ping()
            written = {packet.topic for packet in root.pending if packet.kind == "PUBLISH"}
            with log_in(port, user, client_id) as client:
                client.subscribe("#")
                for topic in TOPICS:
                    # Acknowledged is queued for everybody, on whichever shard: a ping brings it.
                    root.publish(topic, qos=1)
                client.ping()
                found[user, client_id] = ({packet.topic for packet in client.pending}, written)
    return found


def write(port, user, client_id, topic):
    """Publishes, on a connection of its own, because mosquitto 2.0.11 closes it when that is denied."""
    with log_in(port, user, client_id, version=4) as client:
        try:
            client.publish(topic, qos=1)
        except Closed:
            pass


def test_the_same_files_mean_the_same(start_broker, tmp_path, files):
    """Everybody may read and write the same topics at both brokers."""
    ours = rights(start_broker("--password-file", files[0], "--acl-file", files[1], "--allow-anonymous").port)
    other = broker_process.start_mosquitto(tmp_path, [f"password_file {files[0]}", f"acl_file {files[1]}"])
    try:
        theirs = rights(other.port)
    finally:
        other.stop()
    assert ours == theirs
    assert ours["anna", "one"][1] == {"home/attic/temperature", "cmd/anna", "outbox/1/2", "dev/one/out",
                                      "dev/one/out/a/b", "u/anna"}
    assert ours["bert", "one"] == (set(), set())


@pytest.mark.parametrize("version,wrong,nobody", [(5, 0x86, 0x87), (4, 4, 5)])
def test_who_comes_in(guarded, version, wrong, nobody):
    """Right and wrong at both brokers; they differ in what they call it: mosquitto says 5 (0x87) to all."""
    for user in ["anna", "bert", None]:
        log_in(guarded, user, "c", version).drop()
    for user, password in [("anna", "Secret"), ("anna", "secret "), ("bert", "secret")]:
        peer = Peer(guarded, version)
        peer.send(mqtt.connect("c", version, username=user, password=password))
        assert peer.expect("CONNACK").reason in (wrong, nobody)
        peer.expect_closed()
        peer.drop()


@pytest.mark.parametrize("user", ["zoe", "", "Anna", "anna "])
def test_unknown_users_do_not_come_in(start_broker, files, user):
    """Also where anonymous clients do; mosquitto 2.0.11 lets them in there."""
    for flags, anonymous in [((), 0x87), (("--allow-anonymous",), 0)]:
        broker = start_broker("--password-file", files[0], *flags)
        log_in(broker.port, user, "c", password="secret", reason=0x86).drop()
        log_in(broker.port, None, "c", reason=anonymous).drop()


def test_each_reads_what_the_other_writes(start_broker, tmp_path):
    """mosquitto_passwd's files let in at RingMQ; its own file is the other test's."""
    path = tmp_path / "passwords"
    mosquitto_passwd("-c", "-b", path, "anna", "secret")
    mosquitto_passwd("-b", path, "bert", "hidden")
    mosquitto_passwd("-H", "sha512", "-b", path, "old", "ancient")
    passwd("-b", path, "carl", "argon")
    broker = start_broker("--password-file", path)
    for user, password in [("anna", "secret"), ("bert", "hidden"), ("old", "ancient"), ("carl", "argon")]:
        log_in(broker.port, user, "c", password=password).drop()
        log_in(broker.port, user, "c", password=password + "x", reason=0x86).drop()
    log_in(broker.port, None, "c", reason=0x87).drop()


def test_mosquittos_tools_with_a_password(guarded):
    """-u and -P, and what comes without."""
    base = ["-h", "127.0.0.1", "-p", str(guarded), "-t", "cmd/anna", "-m", "x"]

    def publish(*flags):
        return subprocess.run([debian_packages.program("mosquitto_pub"), *base, *flags], capture_output=True,
                              text=True, timeout=15, env=client_environment())

    assert publish("-u", "anna", "-P", "secret").returncode == 0
    refused = publish("-u", "anna", "-P", "wrong")
    assert refused.returncode in (4, 5) and "refused" in refused.stderr.lower(), refused


def test_failures_are_logged_for_who_acts_on_them(start_broker, files):
    """One line per failure, with the address last in front of the reason, and names that cannot forge one."""
    broker = start_broker("--password-file", files[0])
    log_in(broker.port, "anna", "c-1", password="wrong", reason=0x86).drop()
    line = broker.wait_for_line("Authentication failed").string
    assert re.search(r"Authentication failed for user 'anna' as 'c-1' from 127\.0\.0\.1:\d+: wrong password$", line), line
    log_in(broker.port, "x' as 'y' from 1.2.3.4:5: wrong password", "z\n", reason=0x86).drop()
    forged = broker.wait_for_line(r"Authentication failed for user 'x\\").string
    match = re.search(r"^\d+: Warning: Authentication failed for .* from \[?(\S+?)\]?:\d+: (wrong password|unknown user)$",
                      forged)
    assert match and match.group(1) == "127.0.0.1", forged
    log_in(broker.port, None, "c-2", reason=0x87).drop()
    broker.wait_for_line(r"Authentication failed for anonymous as 'c-2' from 127\.0\.0\.1:\d+: no user name$")
    assert "secret" not in broker.log and "'wrong'" not in broker.log


def test_denied_publishes_are_logged_once_in_a_while(start_broker, files):
    """A line for the first, and not one for each."""
    broker = start_broker("--password-file", files[0], "--acl-file", files[1])
    with log_in(broker.port, "anna", "c-3") as client:
        for _ in range(50):
            client.publish("forbidden", qos=1, reason=0x87)
        client.publish("u/anna", qos=1)
    broker.wait_for_line("Publish denied")
    lines = [line for line in broker.log.split("\n") if "Publish denied" in line]
    assert len(lines) == 1
    assert re.search(r"Publish denied for user 'anna' as 'c-3' from 127\.0\.0\.1:\d+: 1 message\(s\), "
                     r"the last to 'forbidden'$", lines[0]), lines


def test_a_storm_of_guesses_stops_nobody(start_broker, files, each_shard):
    """Guessing is refused before it costs anything; who was in before comes in again, and messages go on."""
    broker = start_broker("--password-file", files[0])
    watcher = log_in(broker.port, "anna", each_shard[-1])
    watcher.subscribe("t")
    codes = []
    for number in range(60):
        with Peer(broker.port) as guesser:
            guesser.send(mqtt.connect(f"g{number}", username="anna", password=f"guess{number}"))
            codes.append(guesser.expect("CONNACK").reason)
    assert set(codes) == {0x86, 0x9F} and codes.count(0x86) < 20, codes
    with log_in(broker.port, "anna", "back-again") as again:
        again.publish("t", b"still")
        watcher.message("t", b"still")
    watcher.drop()


def test_serve_names_what_is_wrong_with_its_files(tmp_path):
    """File, line and what was expected; exit code 2."""
    (tmp_path / "plain").write_text("# users\nanna:secret\n")
    (tmp_path / "acl").write_text("user anna\ntopic raed x\n")
    for flags, expected in [
            (["--password-file", tmp_path / "plain"], "plain:2: user \"anna\": the password is not hashed: `ringmq passwd"),
            (["--acl-file", tmp_path / "acl"], "acl:2: \"raed\" is no access: expected read, write"),
            (["--password-file", tmp_path / "none"], "`ringmq passwd -c")]:
        command = [broker_process.ringmq_binary(), "serve", "-p", "0", *map(str, flags)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=15, stdin=subprocess.DEVNULL)
        assert done.returncode == 2 and expected in done.stderr, done
        assert "secret" not in done.stderr


def test_passwd_makes_changes_and_deletes(tmp_path):
    """A file's life: made, added to, changed, mode kept, users deleted, wrong uses refused."""
    path = tmp_path / "passwords"
    assert "-c makes a new file" in passwd("-b", path, "anna", "a", expected=1)
    passwd("-c", path, "anna", stdin="secret\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("anna:$argon2id$v=19$m=19456,t=2,p=1$")
    path.write_text("# kept\n" + path.read_text())
    path.chmod(0o640)
    passwd("--hash", "sha512", path, "bert", stdin="hidden")
    first = path.read_text()
    passwd(path, "anna", stdin="other\n")
    assert path.read_text().split("\n")[0] == "# kept"
    assert path.read_text() != first and path.read_text().count("anna:") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    passwd("-D", path, "anna")
    assert "anna:" not in path.read_text() and "bert:$6$" in path.read_text()
    assert "no user \"anna\"" in passwd("-D", path, "anna", expected=1)
    assert "colon" in passwd("-b", path, "a:b", "x", expected=1)
    assert "1 to 65535 bytes" in passwd(path, "anna", stdin="\n", expected=1)
    passwd("-b", path, "anna", expected=2)
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"


def test_passwd_upgrades_plain_files(start_broker, tmp_path):
    """-U hashes what is plain and leaves what is hashed."""
    path = tmp_path / "passwords"
    mosquitto_passwd("-c", "-b", path, "anna", "secret")
    kept = path.read_text()
    path.write_text(f"# comment: with colon\n{kept}bert:hid:den\n")
    assert passwd("-U", "--hash", "pbkdf2", path) == "1 passwords hashed\n"
    assert path.read_text().startswith(f"# comment: with colon\n{kept}bert:$7$210000$")
    broker = start_broker("--password-file", path)
    log_in(broker.port, "bert", "c", password="hid:den").drop()
    log_in(broker.port, "anna", "c", password="secret").drop()


@pytest.mark.parametrize("second,code", [("secret", 0), ("Secret", 1)])
def test_passwd_asks_twice_without_showing(tmp_path, second, code):
    """On a terminal: two prompts, no echo, and both must be the same."""
    path = tmp_path / "passwords"
    child, terminal = pty.fork()
    if child == 0:
        os.execv(broker_process.ringmq_binary(), ["ringmq", "passwd", "-c", str(path), "anna"])
    seen = read_until(terminal, b"Password: ")
    answer(terminal, b"secret\n")
    seen += read_until(terminal, b"Again: ")
    answer(terminal, second.encode() + b"\n")
    seen += read_until(terminal, None)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code, seen
    assert b"ecret" not in seen
    assert path.exists() == (code == 0)


def answer(terminal, text):
    """Types, as soon as the terminal shows nothing of it."""
    deadline = time.monotonic() + 15
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        assert time.monotonic() < deadline, "what is typed would be shown"
        time.sleep(0.001)
    os.write(terminal, text)


def read_until(terminal, pattern):
    """What a program writes to its terminal, up to this, or to its end."""
    seen, deadline = b"", time.monotonic() + 15
    while pattern is None or pattern not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, seen
        try:
            data = os.read(terminal, 4096)
        except OSError:
            data = b""
        if not data:
            assert pattern is None, seen
            break
        seen += data
    return seen


@pytest.mark.parametrize("flags,code,expected", [
    (["--user", "anna", "--client", "one", "--topic", "home/cellar/x", "--access", "read"], 1,
     "read home/cellar/x: denied by {acl}:12: topic deny home/cellar/#"),
    (["--user", "anna", "--client", "one", "--topic", "dev/one/in", "--access", "read"], 0,
     "read dev/one/in: allowed by {acl}:21: pattern read dev/%c/in"),
    (["--client", "one", "--topic", "news/a"], 1,
     "read news/a: allowed by {acl}:2: topic read news/#\n"
     "write news/a: denied because no rule for anonymous clients and no pattern allows it\n"
     "subscribe news/a: allowed; subscribing is not restricted; each message is checked with read"),
    (["--user", "anna", "--client", "#", "--topic", "public/x", "--access", "read"], 1, "names with +, # or /"),
    (["--user", "zoe", "--password-file", "{passwords}", "--topic", "public/x", "--access", "read"], 0,
     "warning: there is no user \"zoe\""),
])
def test_explain_names_the_line(files, flags, code, expected):
    """Which rule decides, with file and line."""
    flags = [flag.format(passwords=files[0]) for flag in flags]
    command = [broker_process.ringmq_binary(), "explain", "--acl-file", str(files[1]), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15, stdin=subprocess.DEVNULL)
    assert done.returncode == code, done
    assert expected.format(acl=files[1]) in done.stdout, done.stdout


ROLES = """\
acl_file = "acl"
[[role]]
name = "operators"
members = ["anna"]
publish = ["cmd/#"]
deny = [
    "cmd/reactor/#",
]
[[role]]
name = "auditors"
subscribe = ["#"]
"""


@pytest.mark.parametrize("flags,code,expected", [
    (["--user", "anna", "--topic", "cmd/a", "--access", "write"], 0,
     "write cmd/a: allowed by {config}:5: role \"operators\", publish cmd/#"),
    (["--user", "anna", "--topic", "cmd/reactor/a", "--access", "read"], 1,
     "denied by {config}:7: role \"operators\", deny cmd/reactor/#"),
    (["--user", "zoe", "--topic", "x/y", "--access", "read", "--role", "auditors"], 0,
     "allowed by {config}:11: role \"auditors\", subscribe #"),
    (["--user", "zoe", "--topic", "x/y", "--access", "read", "--role", "nobody"], 1,
     "warning: there is no role \"nobody\""),
    (["--user", "anna", "--topic", "home/cellar/x", "--access", "read"], 1, "acl:12: topic deny home/cellar/#"),
    (["--user", "zoe", "--topic", "x/y", "--access", "read"], 1, "because no rule for user \"zoe\""),
])
def test_explain_knows_roles(files, flags, code, expected):
    """Roles are asked before the ACL file that the configuration names."""
    config = files[1].parent / "roles.toml"
    config.write_text(ROLES)
    command = [broker_process.ringmq_binary(), "explain", "--config", str(config), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15, stdin=subprocess.DEVNULL)
    assert done.returncode == code, done
    assert expected.format(config=config) in done.stdout, done.stdout
