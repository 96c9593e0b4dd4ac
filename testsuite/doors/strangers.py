"""Clients we did not write at a door: each subscribes, publishes to itself at every QoS and something large."""

import json
import subprocess
import sys
from pathlib import Path

from clients import Running, client_environment

import debian_packages

PROGRAMS = Path(__file__).resolve().parent / "programs"
LARGE_BYTES = 3 << 20


def exchange(client, served, door, certificates, **more):
    """Runs `client` ("paho" or "mqtt.js") at the door of this name to its end; gives its exit code and its lines."""
    url = served.urls[door]
    wanted = {"client_id": f"{client}-{door}", "version": 5, "topic": f"exchange/{client}/{door}", "bytes": LARGE_BYTES}
    if url.startswith("unix:"):
        wanted["unix"] = served.paths[door]
    else:
        scheme = url.split("://")[0]
        path = more.pop("path", "/mqtt") if scheme.startswith("ws") else None
        wanted |= {"host": "localhost", "port": served.ports[door], **({"path": path} if path else {}),
                   "url": f"{scheme}://localhost:{served.ports[door]}{path or ''}"}
        if scheme in ("mqtts", "wss"):
            wanted["ca"] = str(certificates.ca)
    pair = more.pop("pair", None)
    if pair:
        wanted |= {"certificate": str(pair.certificate), "key": str(pair.key)}
    wanted |= more
    program = {"paho": [sys.executable, PROGRAMS / "paho_exchange.py"],
               "mqtt.js": ["node", PROGRAMS / "mqttjs_exchange.js"]}[client]
    done = subprocess.run([*map(str, program), json.dumps(wanted)], capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, env=client_environment())
    return done.returncode, done.stdout.splitlines(), done.stderr


def succeeds(client, served, door, certificates, **more):
    """The exchange comes to its end."""
    code, lines, errors = exchange(client, served, door, certificates, **more)
    assert code == 0 and lines[-1:] == ["done"], (client, door, code, lines, errors[-2000:])


def is_refused(client, served, door, certificates, **more):
    """The client is not let in; what it says."""
    code, lines, errors = exchange(client, served, door, certificates, **more)
    assert code in (2, 3) and "refused" in "".join(lines), (client, door, code, lines, errors[-2000:])
    return "".join(lines)


def mosquitto_flags(served, door):
    """Where a tool of mosquitto's finds the door."""
    if door in served.paths:
        return ["--unix", served.paths[door]]
    return ["-h", "127.0.0.1", "-p", str(served.ports[door])]


def mosquitto_tool(tool, served, door, *flags):
    """Runs mosquitto_pub or mosquitto_sub to its end: exit code and all it wrote."""
    command = [debian_packages.program(f"mosquitto_{tool}"), *mosquitto_flags(served, door), *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL,
                          env=client_environment())
    return done.returncode, done.stdout + done.stderr


def mosquitto_exchange(served, door, topic, *flags):
    """mosquitto_pub to mosquitto_sub at the same door, a message of each QoS and one from a large file."""
    command = ["stdbuf", "-oL", debian_packages.program("mosquitto_sub"), *mosquitto_flags(served, door),
               *map(str, flags), "-d", "-q", "2", "-t", topic, "-C", "3", "-F", "MSG %q %p"]
    subscriber = Running("mosquitto_sub", command)
    try:
        subscriber.wait_for("Subscribed")
        for qos in range(3):
            code, said = mosquitto_tool("pub", served, door, *flags, "-q", qos, "-t", topic, "-m", f"{qos} came")
            assert code == 0, said
        lines = [line for line in subscriber.finish() if line.startswith("MSG ")]
        assert sorted(lines) == [f"MSG {qos} {qos} came" for qos in range(3)]
    finally:
        if subscriber.process.poll() is None:
            subscriber.kill()
        subscriber.process.stdout.close()
