"""Configuration files, variables, `check`, `config` and `import`, as scripts and people use them."""

import json
import os
import subprocess
import tomllib

import jsonschema
import pytest

import broker_process
import debian_packages
import mqtt_bytes as mqtt
from raw_client import Peer

ROOT = broker_process.ROOT


def run(*arguments, code=0, **variables):
    """Runs the program to its end; gives stdout and stderr."""
    command = [broker_process.ringmq_binary(), *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=15,
                          env={**os.environ, **variables})
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "panic" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def write(tmp_path):
    """Writes a file and gives its path."""
    def written(text, name="ringmq.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path
    return written


def uncommented(example):
    """The example with every key in force."""
    lines = [line[1:] if line.startswith("#") and line[1:2] not in (" ", "-", "") else line
             for line in example.splitlines()]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------- serve -c


def test_the_file_is_what_the_broker_does(start_broker, write, peers):
    """Keys of the file hold, a listener has its own, and each answers."""
    path = write("""
        maximum_qos = 1
        retain_available = false
        [[listener]]
        address = "tcp://127.0.0.1"
        [[listener]]
        address = "127.0.0.2"
        maximum_qos = 0
    """)
    broker = start_broker("-c", path)
    for host, qos in (("127.0.0.1", 1), ("127.0.0.2", 0)):
        peer = peers(broker.port, f"at-{host}", host=host)
        assert peer.connack.properties["maximum_qos"] == qos
        assert peer.connack.properties["retain_available"] == 0
    with pytest.raises(ConnectionError):
        Peer(broker.port, host="::1")


def test_flags_go_before_variables_and_variables_before_the_file(start_broker, write, monkeypatch):
    """Each source outranks the next."""
    path = write('driver = "magic"\n')
    run("serve", "-p", "0", "-c", path, code=2)
    path = write("shards = 3\nversions = '5.0'\n")
    command = ["serve", "-c", path, "-p", "0", "--maximum-qos", "7"]
    for variables, expected in (({}, "--maximum-qos"), ({"RINGMQ_CONFIG_MAXIMUM_QOS": "8"}, "RINGMQ_CONFIG_MAXIMUM_QOS")):
        assert expected in run(*command, code=2, **variables)[1]
    monkeypatch.setenv("RINGMQ_CONFIG_SHARDS", "4")
    plain = broker_process.Broker([broker_process.ringmq_binary(), "serve", "-p", "0", "-c", str(path)])
    try:
        plain.wait_for_line("4 shards")
    finally:
        plain.stop()


def test_bind_replaces_the_listeners_of_the_file(start_broker, write):
    """Who says on the command line where to listen means only there."""
    path = write('[[listener]]\naddress = "127.0.0.2"\n')
    broker = start_broker("-c", path, "--bind", "127.0.0.3")
    Peer.connected(broker.port, "x", host="127.0.0.3").drop()
    with pytest.raises(ConnectionError):
        Peer(broker.port, host="127.0.0.2")


def test_all_mistakes_of_a_file_are_told_and_no_port_is_opened(write):
    """One line for each mistake, with file, line and column."""
    path = write('port = 0\nqueue_polcy = "end"\nmaximum_qos = 3\n[[listener]]\naddress = "tsl://127.0.0.1"\n'
                 '[[listener]]\nadress = "::1"\n')
    _, said = run("serve", "-c", path, code=2)
    expected = [
        f"{path}:2:1: there is no configuration key `queue_polcy`; did you mean `queue_policy`?",
        f"{path}:3:15: maximum_qos = `3` is not possible: maximum_qos takes 0 to 2",
        f"{path}:5:11: address: `tsl://127.0.0.1` is no address: a listener is tcp://, tls://, ws://, wss://, unix:PATH "
        "or activated:NAME; did you mean `tls`?",
        f"{path}:6:1: a listener needs an address: address = \"tcp://127.0.0.1:1883\"",
        f"{path}:7:1: there is no configuration key `adress`; did you mean `address`?",
    ]
    assert said.splitlines() == [f"ringmq: {line}" for line in expected]


def test_each_listener_beyond_this_machine_needs_a_word(write):
    """A listener that others reach is refused by its line, unless it says who may come in."""
    path = write('port = 0\n[[listener]]\naddress = "127.0.0.1"\n[[listener]]\naddress = "tcp://*"\n')
    _, said = run("serve", "-c", path, code=2)
    assert f"{path}:4:1: 0.0.0.0:0 can be reached from other machines" in said, said
    path = write('port = 0\nallow_anonymous = true\n[[listener]]\naddress = "tcp://*"\n')
    assert "good" in run("check", path)[0]


def test_a_variable_that_means_no_key_is_a_warning(start_broker, monkeypatch):
    """It names the key that was probably meant; variables of others are left alone."""
    monkeypatch.setenv("RINGMQ_CONFIG_QUEUE_POLCY", "end")
    monkeypatch.setenv("RINGMQ_MESSAGES", "5")
    broker = start_broker()
    broker.wait_for_line("warning: .*RINGMQ_CONFIG_QUEUE_POLCY.*did you mean RINGMQ_CONFIG_QUEUE_POLICY?")
    assert "RINGMQ_MESSAGES" not in broker.log


@pytest.mark.parametrize("content", [b"\xff\xfe", b"port = 1\n\n\xc3\x28 = 1\n", b"#" * 2_000_000],
                         ids=["binary", "not-utf8", "too-large"])
def test_what_is_no_text_is_refused(tmp_path, content):
    """A file that is something else is named."""
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    for command in ("check", "serve", "import"):
        arguments = ["-c", path, "-p", "0"] if command == "serve" else [path]
        assert str(path) in run(command, *arguments, code=2)[1]


# ------------------------------------------------------------------------------------------- check


def test_check_says_what_a_good_file_means(write):
    """Listeners, and what differs from the defaults."""
    path = write('queue_policy = "end"\n[[listener]]\naddress = "127.0.0.1:1884"\n')
    said, _ = run("check", path)
    assert said.splitlines() == [
        f"{path}: good", "", "listeners:", f"  mqtt://127.0.0.1:1884  ({path}:2:1)", "", "differs from the defaults:",
        "  queue_policy = end  (default drop)",
    ]


def test_check_of_a_file_that_is_not_there(tmp_path):
    """It is named, with the reason."""
    path = tmp_path / "none.toml"
    assert run("check", path, code=2)[1] == f"ringmq: {path}: No such file or directory (os error 2)\n"


def test_check_reads_a_mosquitto_conf(write):
    """Warnings and errors have the lines of that file."""
    path = write("listener 1884 127.0.0.1\nallow_anonymous true\npersistence true\nmax_qos 3\nbridge_psk 1\n", "m.conf")
    _, said = run("check", path, code=2)
    assert [line.split(": ")[1] for line in said.splitlines()] == ["warning", f"{path}:4:1", f"{path}:5:1"]


# ------------------------------------------------------------------------------------------- config


def test_the_example_starts_a_broker(start_broker, write):
    """As it is, and with every key in force."""
    example, _ = run("config", "example")
    start_broker("-c", write(example))
    head = uncommented(example).split("[[listener]]")[0]
    start_broker("-c", write(head))


def test_the_schema_knows_every_key_and_every_type(write):
    """The example is valid under it, with every key; what has a wrong type or name is not."""
    schema = json.loads(run("config", "schema")[0])
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    example = tomllib.loads(uncommented(run("config", "example")[0]))
    assert not list(validator.iter_errors(example))
    assert set(schema["properties"]) == set(example)
    good = {"publish_hold": "5s", "queue_bytes_max": "1_000 KiB", "allow_anonymous": True, "bind": "::1",
            "server_keep_alive": "client",
            "listener": [{"address": "tls://*", "certificate": [{"certificate": "a", "key": "b"}]}],
            "role": [{"name": "a", "members": ["*"], "publish": ["b/%u"]}, {"name": "c"}]}
    assert not list(validator.iter_errors(good))
    for bad in ({"queue_polcy": "end"}, {"queue_policy": "forget"}, {"maximum_qos": 3}, {"moving": "yes"},
                {"publish_hold": "5 parsecs"}, {"listener": {}}, {"listener": [{}]},
                {"listener": [{"address": "x", "queue_policy": "end"}]}, {"port": 1.5},
                {"listener": [{"address": "x", "certificate": [{"certificate": "a"}]}]},
                {"listener": [{"address": "x", "client_ca": [{"certificate": "a", "key": "b"}]}]},
                {"role": [{"members": ["a"]}]}, {"role": [{"name": "a", "publish": "b"}]}, {"role": {"name": "a"}}):
        assert list(validator.iter_errors(bad)), bad


def test_the_table_names_every_key():
    """One row for each."""
    table, _ = run("config", "doc")
    keys = json.loads(run("config", "schema")[0])["properties"]
    tables = [keys.pop(name)["items"]["properties"] for name in ("listener", "role")]
    for key in [*keys, *tables[0], *tables[1]]:
        assert f"\n| `{key}` | " in table, key


# ------------------------------------------------------------------------------------------- mosquitto.conf


def test_a_mosquitto_conf_runs_and_its_translation_too(write, peers):
    """Both serve, at the same port with the same settings, and warn of what is not there."""
    port = broker_process.free_port()
    path = write(f"# a\nper_listener_settings false\nallow_anonymous true\nmax_inflight_messages 5\n"
                 f"persistence true\nlistener {port} 127.0.0.1\nmax_qos 1\nmax_topic_alias 3\n", "mosquitto.conf")
    translated, notes = run("import", path)
    assert f"warning: {path}:5:1: persistence: nothing is stored on disk yet" in notes
    assert tomllib.loads(translated) == {
        "allow_anonymous": True, "inflight_messages_max": 5,
        "listener": [{"address": f"tcp://127.0.0.1:{port}", "maximum_qos": 1, "topic_alias_maximum": 3}],
    }
    for file in (path, write(translated, "translated.toml")):
        broker = broker_process.Broker([broker_process.ringmq_binary(), "serve", "-c", str(file)])
        try:
            assert broker.port == port
            properties = peers(port, "x").connack.properties
            assert (properties["maximum_qos"], properties["topic_alias_maximum"]) == (1, 3)
        finally:
            broker.stop()


def test_a_named_listener_lets_in_nobody_without_a_name(write):
    """As mosquitto since 2.0: without allow_anonymous nobody comes in."""
    port = broker_process.free_port()
    path = write(f"listener {port} 127.0.0.1\n", "mosquitto.conf")
    broker = broker_process.Broker([broker_process.ringmq_binary(), "serve", "-c", str(path)])
    try:
        with Peer(port) as peer:
            peer.send(mqtt.connect("x"))
            assert peer.expect("CONNACK").reason in (0x86, 0x87)
    finally:
        broker.stop()


def test_debians_own_file_is_understood(write):
    """What the package installs: every line is known, and what is missing is warned of."""
    text = (debian_packages.UNPACKED / "etc/mosquitto/mosquitto.conf").read_text(encoding="utf-8")
    folder = write("port 1884\nallow_anonymous true\n", "a.conf").parent
    path = write(text.replace("/etc/mosquitto/conf.d", str(folder)), "debian.txt")
    said, notes = run("check", path)
    assert "mqtt://0.0.0.0:1884" in said
    assert [line.split(": ")[3] for line in notes.splitlines()] == ["persistence", "log_dest"]


def test_what_cannot_be_translated_is_told_twice(write):
    """On stderr and as a comment; the exit code says so."""
    path = write("listener 1884 127.0.0.1\nallow_anonymous true\nplugin /x.so\nplugin_opt_a b\nconnection c\naddress d\n", "m.conf")
    translated, notes = run("import", path, code=2)
    assert len(notes.splitlines()) == 2
    for line, name in ((3, "plugin"), (5, "connection")):
        assert f"# REFUSED: {path}:{line}:1: {name}: " in translated
        assert f"ringmq: {path}:{line}:1: {name}: " in notes
    run("serve", "-c", path, code=2)
    tomllib.loads(translated)


def test_the_list_of_directives_is_the_one_that_users_read():
    """core/broker/MOSQUITTO.md is what the program prints."""
    assert run("import", "--list")[0] == (ROOT / "core/broker/MOSQUITTO.md").read_text(encoding="utf-8")
