"""The clients we did not write, by name, each able to play three roles:

- sub HOST PORT VERSION CLIENTID CLEAN COUNT FILTER QOS: says "ready" once subscribed, prints
  `MSG topic qos retain payload` for each message and leaves after COUNT of them;
- pub HOST PORT VERSION CLIENTID TOPIC QOS RETAIN PAYLOAD...: publishes and leaves when all is acknowledged;
- will HOST PORT VERSION CLIENTID TOPIC QOS RETAIN PAYLOAD: connects with a will, says "ready", waits.

A client that is missing fails by its name.
"""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import debian_packages
from broker_process import ROOT, ringmq_binary

PROGRAMS = Path(__file__).resolve().parent / "programs"
BUILD = ROOT / "build"
HOST = "127.0.0.1"
TIMEOUT = 15.0


class Running:
    """A client program and what it printed so far."""

    def __init__(self, name, command, environment=None):
        self.name = name
        self.lines = []
        self.changed = threading.Condition()
        self.command = [str(part) for part in command]
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace",
                                        env=environment or client_environment())
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        """Keeps every line until the program ends."""
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append("(end)")
            self.changed.notify_all()

    def wait_for(self, pattern, timeout=TIMEOUT):
        """Waits for a line that contains `pattern`."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while not any(re.search(pattern, line) for line in self.lines):
                left = deadline - time.monotonic()
                ended = self.lines and self.lines[-1] == "(end)"
                assert left > 0 and not ended, f"{self.name}: no {pattern!r} from {self.command}: {self.lines}"
                self.changed.wait(left)

    def finish(self, code=0, timeout=TIMEOUT):
        """Waits for the end with this exit code; gives the lines."""
        try:
            ended = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name}: {self.command} does not end: {self.lines}") from None
        self.reader.join(5)
        lines = [line for line in self.lines if line != "(end)"]
        assert ended == code, f"{self.name}: exit code {ended}, not {code}: {lines}"
        return lines

    def messages(self):
        """The messages that were printed by a `sub` role that left, as (topic, qos, retain, payload)."""
        found = []
        for line in self.finish():
            if line.startswith("MSG "):
                topic, qos, retain, payload = line[4:].split(" ", 3)
                found.append((topic, int(qos), retain == "1", payload))
        return found

    def kill(self):
        """Ends the program without a word to the broker."""
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()


def client_environment():
    """Where the programs find libraries and modules."""
    environment = debian_packages.environment()
    environment["NODE_PATH"] = str(BUILD / "npm" / "node_modules")
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def role_arguments(role, port, version, client_id, **options):
    """The arguments of a role as the programs take them."""
    start = [role, HOST, port, version, client_id]
    if role == "sub":
        return [*start, int(options.get("clean", True)), options["count"], options["filter_"], options["qos"]]
    rest = [options["topic"], options["qos"], int(options.get("retain", False))]
    return [*start, *rest, *options["payloads"]]


class Script:
    """A client whose roles a program of ours plays with its library."""

    def __init__(self, name, versions, *command):
        self.name, self.versions, self.command_start = name, versions, command

    ready = "^ready$"

    def command(self, role, *arguments, **options):
        """The command line of a role."""
        return [*self.command_start, *role_arguments(role, *arguments, **options)]


class Compiled(Script):
    """The same for a C program, compiled when it is first needed."""

    def __init__(self, name, versions, source, libraries):
        super().__init__(name, versions)
        self.source, self.libraries = PROGRAMS / source, libraries

    def command(self, role, *arguments, **options):
        """The command line of a role, after compiling."""
        binary = BUILD / "programs" / self.source.stem
        if not binary.is_file() or binary.stat().st_mtime < self.source.stat().st_mtime:
            binary.parent.mkdir(parents=True, exist_ok=True)
            # Several test processes may get here at once: each makes its own, and the last rename wins.
            mine = binary.with_suffix(f".{os.getpid()}")
            command = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", mine, self.source, *self.libraries]
            done = subprocess.run(command, capture_output=True, text=True, env=client_environment())
            assert done.returncode == 0, f"{self.name} does not compile: {done.stderr}"
            mine.rename(binary)
        return [binary, *role_arguments(role, *arguments, **options)]


class MosquittoTools:
    """mosquitto_pub and mosquitto_sub, or what takes their flags."""

    VERSIONS = {3: "mqttv31", 4: "mqttv311", 5: "mqttv5"}
    ready = r"^Subscribed|SUBACK|^ready$"

    def __init__(self, name, publish, subscribe):
        self.name, self.versions = name, (3, 4, 5)
        self.publish_start, self.subscribe_start = publish, subscribe

    def command(self, role, port, version, client_id, **options):
        """The command line of a role; `pub` takes one payload. Lines are to come at once, also into a pipe."""
        return ["stdbuf", "-oL", *self.flags(role, port, version, client_id, **options)]

    def flags(self, role, port, version, client_id, **options):
        """The program of a role and its flags."""
        common = ["-h", HOST, "-p", port, "-V", self.VERSIONS[version], "-i", client_id]
        if role == "pub":
            (payload,) = options["payloads"]
            retain = ["-r"] if options.get("retain") else []
            return [*self.publish_start(), *common, "-t", options["topic"], "-q", options["qos"], *retain, "-m",
                    payload]
        if role == "will":
            retain = ["--will-retain"] if options.get("retain") else []
            return [*self.subscribe_start(), *common, "-d", "-t", "nothing", "--will-topic", options["topic"],
                    "--will-qos", options["qos"], *retain, "--will-payload", *options["payloads"]]
        kept = [] if options.get("clean", True) else ["-c"] + (["-x", "300"] if version == 5 else [])
        return [*self.subscribe_start(), *common, *kept, "-d", "-t", options["filter_"], "-q", options["qos"], "-C",
                options["count"], "-F", "MSG %t %q %r %p"]


def venv(name):
    """The Python of a virtual environment that testsuite/run made."""
    python = BUILD / name / "bin" / "python"
    assert python.exists(), f"{name} is missing: testsuite/run makes it"
    return python


OLD_PYTHON = BUILD / "venv-paho1" / "bin" / "python"

CLIENTS = [
    MosquittoTools("mosquitto-clients", lambda: [debian_packages.program("mosquitto_pub")],
                   lambda: [debian_packages.program("mosquitto_sub")]),
    Script("paho-mqtt-2-callbacks-1", (3, 4, 5), sys.executable, "-W", "ignore::DeprecationWarning",
           PROGRAMS / "paho_roles.py", "callbacks-1"),
    Script("paho-mqtt-2-callbacks-2", (3, 4, 5), sys.executable, PROGRAMS / "paho_roles.py", "callbacks-2"),
    Script("paho-mqtt-1.6", (3, 4, 5), OLD_PYTHON, PROGRAMS / "paho_roles.py", "plain"),
    Script("aiomqtt", (3, 4, 5), sys.executable, PROGRAMS / "aiomqtt_roles.py"),
    Script("asyncio-mqtt", (3, 4, 5), OLD_PYTHON, PROGRAMS / "aiomqtt_roles.py"),
    Script("gmqtt", (4, 5), sys.executable, PROGRAMS / "gmqtt_roles.py"),
    Script("mqtt.js", (3, 4, 5), "node", PROGRAMS / "mqttjs_roles.js"),
    Compiled("paho-c", (3, 4, 5), "paho_c_roles.c", ["-lpaho-mqtt3c"]),
    Compiled("libmosquitto", (3, 4, 5), "libmosquitto_roles.c", ["-lmosquitto"]),
    MosquittoTools("ringmq-cli", lambda: [ringmq_binary(), "pub"], lambda: [ringmq_binary(), "sub"]),
]
