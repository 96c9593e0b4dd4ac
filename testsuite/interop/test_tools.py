"""`ringmq pub`, `sub` and `rr` beside mosquitto's tools: the same flags, the same output, the same exit codes,
against RingMQ and against Debian's mosquitto."""

import subprocess

import pytest
from clients import HOST, Running, client_environment

import broker_process
import debian_packages


class Tools:
    """One family of the three tools."""

    def __init__(self, name):
        self.name = name

    def command(self, tool, port, *flags):
        """The command line of a tool: `pub`, `sub` or `rr`."""
        start = [broker_process.ringmq_binary(), tool] if self.name == "ringmq" else [
            debian_packages.program(f"mosquitto_{tool}")]
        return ["stdbuf", "-oL", *start, "-h", HOST, "-p", str(port), *map(str, flags)]

    def run(self, tool, port, *flags, stdin=None):
        """Runs a tool to its end: (exit code, standard output, whether it said something to standard error)."""
        done = subprocess.run(self.command(tool, port, *flags), input=stdin, capture_output=True, timeout=15,
                              env=client_environment(), **({} if stdin else {"stdin": subprocess.DEVNULL}))
        assert b"panic" not in done.stderr, done.stderr
        return done.returncode, done.stdout, bool(done.stderr.strip())

    def start(self, tool, port, *flags):
        """Starts a tool that is left running."""
        return Running(self.name, self.command(tool, port, *flags))


RINGMQ, MOSQUITTO = Tools("ringmq"), Tools("mosquitto")


@pytest.fixture(params=["on-ringmq", "on-mosquitto"])
def port(request, tmp_path):
    """The port of either broker: RingMQ, and the one whose tools are the measure."""
    if request.param == "on-ringmq":
        yield request.getfixturevalue("broker").port
        return
    broker = broker_process.start_mosquitto(tmp_path)
    yield broker.port
    broker.stop()


@pytest.fixture
def watcher(port, peers):
    """A raw client that sees everything as it was published."""
    peer = peers(port, "watcher")
    peer.subscribe("#", qos=2, retain_as_published=True)
    return peer


PUBLISHED = [
    ["-t", "a/b", "-m", "hello"],
    ["-t", "a/b", "-m", ""],
    ["-t", "a/b", "-n"],
    ["-t", "a/b", "-m", "one", "-q", "1"],
    ["-t", "a/b", "-m", "two", "-q", "2"],
    ["-t", "a/b", "-m", "kept", "-r"],
    ["-t", "ä/😀", "-m", "ü"],
    ["-t", "a", "-m", "thrice", "--repeat", "3", "--repeat-delay", "0.01"],
    ["-t", "a", "-m", "31", "-V", "mqttv31"],
    ["-t", "a", "-m", "311", "-V", "mqttv311", "-q", "2"],
    ["-t", "a", "-m", "5", "-V", "mqttv5", "-q", "1"],
    ["-t", "a", "-m", "5", "-V", "5", "-i", "named"],
    ["-t", "a", "-m", "p", "-V", "mqttv5", "-D", "publish", "user-property", "k", "v", "-D", "publish",
     "user-property", "k", "w"],
    ["-t", "a", "-m", "p", "-V", "mqttv5", "-D", "publish", "content-type", "text", "-D", "publish",
     "response-topic", "r", "-D", "publish", "correlation-data", "c", "-D", "publish", "payload-format-indicator",
     "1", "-D", "publish", "message-expiry-interval", "1000"],
    ["-t", "a", "-m", "x", "-I", "prefix-"],
    ["-t", "a", "-m", "x", "-k", "30", "-u", "user", "-P", "password"],
    ["-t", "a", "-m", "x", "--will-topic", "w", "--will-payload", "gone", "--will-qos", "1", "--will-retain"],
    ["-t", "a", "-m", "x", "-V", "mqttv5", "-x", "10", "-c", "-i", "kept-session"],
    ["-t", "a", "-m", "x", "--quiet"],
]


@pytest.mark.parametrize("flags", PUBLISHED, ids=[" ".join(row) for row in PUBLISHED])
def test_pub(port, watcher, flags):
    """What is published, and what is said, is what mosquitto_pub publishes and says."""
    seen = []
    for tools in (MOSQUITTO, RINGMQ):
        result = tools.run("pub", port, *flags)
        packets = watcher.messages(3 if "--repeat" in flags else 1)
        for found in packets:
            found.packet_id = None
            found.properties.pop("message_expiry_interval", None)
        seen.append((result, packets))
    assert seen[1] == seen[0]
    watcher.ping()
    watcher.expect_silence(0.02)
    assert seen[0][0][0] == 0 and seen[0][1]


def test_pub_from_file_and_standard_input(port, watcher, tmp_path):
    """-f a file, -s all of standard input, -l a message per line."""
    file = tmp_path / "payload"
    file.write_bytes(bytes(range(256)) * 20)
    for tools in (MOSQUITTO, RINGMQ):
        assert tools.run("pub", port, "-t", "file", "-f", file)[0] == 0
        watcher.message("file", bytes(range(256)) * 20)
        assert tools.run("pub", port, "-t", "all", "-s", stdin=b"one\ntwo\n")[0] == 0
        watcher.message("all", b"one\ntwo\n")
        assert tools.run("pub", port, "-t", "lines", "-l", "-q", "1", stdin=b"one\ntwo\n\nthree\n")[0] == 0
        lines = [watcher.message("lines").payload for _ in range(3)]
        if lines[2] == b"":
            lines[2] = watcher.message("lines").payload
        assert lines == [b"one", b"two", b"three"], tools.name


def test_pub_url(port, watcher):
    """-L takes a URL."""
    for tools in (MOSQUITTO, RINGMQ):
        command = tools.command("pub", port, "-m", "by url", "-L", f"mqtt://user:secret@{HOST}:{port}/url/topic")
        command = [part for part in command if part not in ("-h", HOST, "-p", str(port))]
        subprocess.run(command, check=True, timeout=10, env=client_environment(), stdin=subprocess.DEVNULL)
        watcher.message("url/topic", b"by url")


# Each -C is the number of retained messages that match, so that their order, which is the broker's own affair,
# does not matter.
SUBSCRIBED = [
    ["-t", "a/#", "-C", "2"],
    ["-t", "a/#", "-C", "2", "-v"],
    ["-t", "a/b", "-t", "c", "-C", "2", "-v"],
    ["-t", "#", "-C", "4", "-v", "-q", "1"],
    ["-t", "#", "-T", "a/b", "-C", "3", "-v"],
    ["-t", "a/b", "-C", "1", "-N"],
    ["-t", "#", "-R", "-W", "1"],
    ["-t", "a/#", "--retained-only", "-v", "-C", "2"],
    ["-t", "#", "-C", "4", "-F", "%t|%q|%r|%l|%p"],
    ["-t", "#", "-C", "4", "-F", "%x %X %% @@ \\t%t\\n"],
    ["-t", "a/b", "-C", "1", "-F", "%m %q", "-q", "2"],
    ["-t", "a/b", "-C", "1", "-V", "mqttv5", "-F", "%C|%R|%D|%P|%A|%S|%F|%p"],
    ["-t", "nothing", "-W", "1"],
    ["-t", "a/b", "-W", "1", "-C", "1"],
    ["-t", "#", "-C", "4", "-V", "mqttv31"],
    ["-t", "#", "-C", "4", "-V", "mqttv5", "-D", "subscribe", "subscription-identifier", "7", "-F", "%S %p"],
    ["-t", "a/b", "-C", "1", "-i", "me", "-k", "20", "-v"],
    ["-t", "nothing", "-U", "nothing", "-W", "1"],
    ["-t", "a/+", "-C", "2", "-V", "mqttv5", "--retain-as-published", "-F", "%r %p"],
]


@pytest.mark.parametrize("flags", SUBSCRIBED, ids=[" ".join(row) for row in SUBSCRIBED])
def test_sub(port, peers, flags):
    """What is printed of four retained messages, and the exit code, are mosquitto_sub's."""
    publisher = peers(port, "publisher")
    properties = {"content_type": "text", "response_topic": "r", "correlation_data": b"c",
                  "user_property": [("k", "v"), ("l", "w")], "payload_format_indicator": 1}
    publisher.publish("a/b", b"first", qos=1, retain=True, properties=properties)
    publisher.publish("a/c", b"second", qos=1, retain=True)
    publisher.publish("c", b"third\xff", qos=1, retain=True)
    publisher.publish("d", b"fourth", qos=1, retain=True)
    expected, found = (tools.run("sub", port, *flags) for tools in (MOSQUITTO, RINGMQ))
    assert (found[0], sorted(found[1].split(b"\n")), found[2]) == (
        expected[0], sorted(expected[1].split(b"\n")), expected[2])


def test_remove_retained(port, peers):
    """--remove-retained removes what it finds."""
    publisher = peers(port, "publisher")
    for tools in (MOSQUITTO, RINGMQ):
        for name in "abc":
            publisher.publish(f"rm/{name}", b"x", qos=1, retain=True)
        assert tools.run("sub", port, "-t", "rm/+", "--remove-retained", "-W", "1", "-q", "1")[0] == 27
        code, output, _ = tools.run("sub", port, "-t", "rm/+", "-W", "1")
        assert (code, output) == (27, b""), tools.name


ERRORS = [
    ("pub", ["-t", "a/#", "-m", "x"]),
    ("pub", ["-m", "x"]),
    ("pub", ["-t", "a"]),
    ("pub", ["-t", "a", "-m", "x", "-q", "3"]),
    ("pub", ["-t", "a", "-m", "x", "-V", "mqttv9"]),
    ("pub", ["-t", "a", "-m", "x", "--nonsense"]),
    ("pub", ["-t", "a", "-f", "no-such-file"]),
    ("pub", ["-t", "a", "-m", "x", "-f", "y"]),
    ("pub", ["-t", "a", "-m", "x", "-V", "mqttv5", "-D", "publish", "no-property", "1"]),
    ("pub", ["-t", "a", "-m", "x", "--will-payload", "y"]),
    ("sub", ["-t", "a/#/b"]),
    ("sub", []),
    ("sub", ["-t", "a", "-F", "%"]),
    ("sub", ["-t", "a", "-C", "0"]),
    ("sub", ["-t", "a", "-W", "0"]),
    ("sub", ["-t", "a", "-c"]),
    ("rr", ["-t", "a", "-m", "x"]),
    ("rr", ["-e", "a", "-m", "x"]),
]


@pytest.mark.parametrize(("tool", "flags"), ERRORS, ids=[" ".join([row[0], *row[1]]) for row in ERRORS])
def test_errors(broker, tool, flags):
    """What mosquitto's tool refuses is refused: an exit code that is not 0 and a word on standard error."""
    expected, found = (tools.run(tool, broker.port, *flags) for tools in (MOSQUITTO, RINGMQ))
    assert expected[0] != 0 and found[0] != 0, (expected, found)
    assert found[1] == b"" or expected[1], found
    assert found[2] or expected[1], "it says why"


def test_connection_refused():
    """Nobody listens: exit code and stream as mosquitto's."""
    port = broker_process.free_port()
    rows = [("pub", ["-t", "a", "-m", "x"]), ("sub", ["-t", "a"]), ("rr", ["-t", "a", "-e", "b", "-m", "x"])]
    for tool, flags in rows:
        expected, found = (tools.run(tool, port, *flags) for tools in (MOSQUITTO, RINGMQ))
        assert found[0] == expected[0] != 0 and found[2], (tool, expected, found)


def test_request_and_response(port, peers):
    """rr sends the request with a response topic and prints the answer."""
    server = peers(port, "server")
    server.subscribe("question", qos=1)
    for tools in (MOSQUITTO, RINGMQ):
        running = tools.start("rr", port, "-V", "mqttv5", "-t", "question", "-e", f"answer/{tools.name}", "-m", "?",
                              "-q", "1", "-v")
        request = server.message("question", b"?")
        assert request.properties["response_topic"] == f"answer/{tools.name}"
        properties = {name: value for name, value in request.properties.items() if name == "correlation_data"}
        server.publish(request.properties["response_topic"], b"!", qos=1, properties=properties)
        assert running.finish() == [f"answer/{tools.name} !"]
        running.process.stdout.close()


def test_will(port, peers):
    """A sub that is killed leaves its will."""
    watcher = peers(port, "watcher")
    watcher.subscribe("will/+", qos=1)
    for tools in (MOSQUITTO, RINGMQ):
        running = tools.start("sub", port, "-t", "x", "-d", "--will-topic", f"will/{tools.name}", "--will-payload",
                              "gone", "--will-qos", "1")
        running.wait_for("Subscribed|SUBACK")
        running.kill()
        watcher.message(f"will/{tools.name}", b"gone")


def test_disconnect_leaves_no_will(port, peers):
    """A sub that ends by -C says DISCONNECT: no will."""
    watcher = peers(port, "watcher")
    watcher.subscribe("will/+", "end", qos=1)
    for tools in (MOSQUITTO, RINGMQ):
        watcher.publish("kept", b"x", qos=1, retain=True)
        assert tools.run("sub", port, "-t", "kept", "-C", "1", "--will-topic", "will/x", "--will-payload",
                         "gone")[:2] == (0, b"x\n")
        watcher.publish("end", b"", qos=1)
        watcher.message("end")


def test_debug_lines(port):
    """-d says what is sent and received, in mosquitto's words."""
    wanted = ["sending CONNECT", "received CONNACK", "sending PUBLISH", "sending DISCONNECT"]
    for tools in (MOSQUITTO, RINGMQ):
        code, output, _ = tools.run("pub", port, "-d", "-i", "me", "-t", "a", "-m", "x", "-q", "1")
        assert code == 0
        assert all(f"Client me {words}" in output.decode() for words in wanted), (tools.name, output)


def test_home_temperature(port):
    """The line everybody tries first: mosquitto_sub -t 'home/+/temperature' -v, and a mosquitto_pub."""
    for listening in (MOSQUITTO, RINGMQ):
        for speaking in (MOSQUITTO, RINGMQ):
            running = listening.start("sub", port, "-t", "home/+/temperature", "-v", "-C", "2", "-d")
            running.wait_for("Subscribed|SUBACK")
            for room, value in (("kitchen", "21.5"), ("attic", "17")):
                assert speaking.run("pub", port, "-t", f"home/{room}/temperature", "-m", value)[0] == 0
                # Two publishers have no order between them before the first one's message is there.
                running.wait_for(f"home/{room}/temperature")
            lines = [line for line in running.finish() if line.startswith("home/")]
            assert lines == ["home/kitchen/temperature 21.5", "home/attic/temperature 17"]
            running.process.stdout.close()


def test_reconnect(start_broker, peers):
    """sub connects again when the broker comes back, and has its subscription."""
    first = start_broker()
    running = RINGMQ.start("sub", first.port, "-t", "back", "-C", "1", "-d", "-i", "stubborn")
    running.wait_for("Subscribed|SUBACK")
    first.stop()
    second = start_broker("-p", str(first.port))
    publisher = peers(second.port, "publisher")
    for _ in range(100):
        publisher.publish("back", b"again", qos=1)
        if running.process.poll() is not None:
            break
        publisher.expect_silence(0.05)
    assert "again" in running.finish()
    running.process.stdout.close()


def test_session_of_a_sub(port, peers):
    """-c keeps the session: what came meanwhile is printed the next time."""
    publisher = peers(port, "publisher")
    for tools in (MOSQUITTO, RINGMQ):
        name = f"session-{tools.name}"
        for version in (["-V", "mqttv311"], ["-V", "mqttv5", "-x", "100"]):
            flags = ["-i", name, "-c", *version, "-t", f"mail/{tools.name}", "-q", "1"]
            assert tools.run("sub", port, *flags, "-E")[0] == 0
            publisher.publish(f"mail/{tools.name}", b"waiting", qos=1)
            assert tools.run("sub", port, *flags, "-C", "1")[:2] == (0, b"waiting\n"), tools.name


def test_raw_bytes_pass_through(port, watcher):
    """A payload that is no text is printed as it is."""
    watcher.publish("raw", bytes(range(256)), qos=1, retain=True)
    for tools in (MOSQUITTO, RINGMQ):
        assert tools.run("sub", port, "-t", "raw", "-C", "1", "-N")[:2] == (0, bytes(range(256)))


def test_watcher_sees_flags(port, watcher):
    """The retain flag reaches a subscriber that asked to see it as published [MQTT-3.3.1-13]."""
    watcher.publish("flag", b"x", qos=1, retain=True)
    assert watcher.message("flag").retain
