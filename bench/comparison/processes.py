"""Brokers as processes: started on their cores, waited for, stopped."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OUTPUT = ROOT / "build" / "bench"
READY_SECONDS = 30.0
PORT_MIN = 10_000
STOP_SECONDS = 15.0


class Failed(Exception):
    """Something without which there is no comparison; the message says what, and what to do."""


def free_port():
    """A port nobody has just now, for a program that cannot choose one itself. Below those that the kernel gives to
    outgoing connections: one of theirs might be taken again before the program listens."""
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(100):
        port = random.randrange(PORT_MIN, max(first_given, PORT_MIN + 1000))
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port between {PORT_MIN} and {first_given}")


@contextlib.contextmanager
def running(name, command, environment, port, cores):
    """A broker that listens, pinned to its cores; stopped at the end."""
    log = OUTPUT / f"{name}.log"
    with log.open("w") as out:
        broker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                  env=environment, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    try:
        wait_listening(name, broker, port, log)
        yield broker
    finally:
        stop(name, broker)


def wait_listening(name, broker, port, log):
    """Waits until the broker takes connections."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        if broker.poll() is not None or time.monotonic() > deadline:
            last = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise Failed(f"{name} does not listen (exit code {broker.poll()}): " + " / ".join(last))
        time.sleep(0.02)


def stop(name, broker):
    """Asks the broker to stop; one that does not is ended and named."""
    if broker.poll() is None:
        broker.send_signal(signal.SIGTERM)
    try:
        broker.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"{name} did not stop within {STOP_SECONDS:.0f} s of SIGTERM and was killed", file=sys.stderr)
        broker.kill()
        broker.wait()


def build(*arguments):
    """A release build."""
    command = ["cargo", "build", "--release", *arguments]
    if subprocess.run(command, stdin=subprocess.DEVNULL, cwd=ROOT).returncode:
        raise Failed(" ".join(command))
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def first_line(command, environment):
    """The first line a program says about its version."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"
