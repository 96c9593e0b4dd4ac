"""Starts and stops the broker under test: the real binary on a free port, as a user would start it.

It never reuses a broker between tests and never hides one that died: `stop` judges the exit code, the
time it took and the log.
"""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import debian_packages

ROOT = Path(__file__).resolve().parent.parent
PARTITION_KEY = "000102030405060708090a0b0c0d0e0f"
READY_SECONDS = 20.0
# Passwords are hashed after all else that the machine has to do, and tests give it much.
DECISION_MILLISECONDS = 20_000
PORT_MIN = 10_000
# The broker's own stop deadline is 5 s; one more second is for starting to stop.
STOP_SECONDS = 6.0
LISTENING = re.compile(r"listening on mqtt://(\S+):(\d+)")


def ringmq_binary():
    """The binary named by RINGMQ_BINARY, else the one that `testsuite/run` builds."""
    named = os.environ.get("RINGMQ_BINARY")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = Path(named) if named else target / "tests" / "ringmq"
    assert binary.is_file(), f"{binary} is missing: run testsuite/run, or name the binary in RINGMQ_BINARY"
    return str(binary)


def program_beside(name):
    """The program of this name that stands beside the binary: `testsuite/run` builds them all at once."""
    program = Path(ringmq_binary()).parent / name
    assert program.is_file(), f"{program} is missing: run testsuite/run, or build ringmq-bench as the named binary"
    return program


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


class Logged:
    """What a broker wrote so far."""

    def __init__(self):
        self.lines = []
        self.changed = threading.Condition()

    def add_line(self, line):
        """Takes a line, from whatever thread."""
        with self.changed:
            self.lines.append(line)
            self.changed.notify_all()

    @property
    def log(self):
        """Everything that was written so far."""
        return "\n".join(self.lines)

    def wait_for_line(self, pattern, timeout=5.0, start=0):
        """The match of the first line, from line `start` on, that contains `pattern`."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + timeout
        index = start
        with self.changed:
            while True:
                while index < len(self.lines):
                    match = expression.search(self.lines[index])
                    if match:
                        return match
                    index += 1
                ended = self.lines and self.lines[-1] == "(end of the log)"
                left = deadline - time.monotonic()
                assert left > 0 and not ended, (
                    f"no line like {expression.pattern!r}; {self.described()}; the log:\n{self.log}")
                self.changed.wait(left)


class Broker(Logged):
    """One running broker; `port` is where it listens, `log` what it wrote so far."""

    def __init__(self, command, ready_pattern=LISTENING, port=None, environment=None):
        super().__init__()
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace",
                                        env={**debian_packages.environment(), **(environment or {})})
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        self.stopped = False
        try:
            match = self.wait_for_line(ready_pattern, READY_SECONDS)
        except AssertionError:
            self.kill()
            raise
        self.port = port or int(match.group(2))

    def read_log(self):
        """Keeps every line; runs in a thread of its own until the broker ends."""
        for line in self.process.stdout:
            self.add_line(line.rstrip("\n"))
        self.add_line("(end of the log)")

    def described(self):
        """What a failed test says of it."""
        return f"exit code {self.process.poll()}; command {' '.join(self.command)}"

    def terminate(self, number=signal.SIGTERM):
        """Asks the broker to stop, without waiting."""
        self.process.send_signal(number)

    def wait_stopped(self):
        """Waits for the end that was asked for and judges it: in time, exit code 0, no panic in the log."""
        self.stopped = True
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {STOP_SECONDS} s after it was told to stop:\n{self.log}") from None
        self.reader.join(2.0)
        assert code == 0, f"exit code {code}:\n{self.log}"
        assert "panic" not in self.log, self.log

    def stop(self):
        """Stops the broker unless the test did, and judges how it went."""
        if not self.stopped:
            if self.process.poll() is None:
                self.terminate()
            self.wait_stopped()

    def kill(self):
        """Ends the process at once."""
        self.stopped = True
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def start_ringmq(shards, no_move=False, driver="auto", arguments=()):
    """A RingMQ with the tests' partition key. `arguments` come last and so have the last word."""
    command = [ringmq_binary(), "serve", "-p", "0", "--shards", str(shards), "--driver", driver,
               "--set", f"partition_key={PARTITION_KEY}", "--set", f"decision_timeout={DECISION_MILLISECONDS}"]
    if no_move:
        command.append("--no-move")
    return Broker(command + [str(argument) for argument in arguments])


def start_mosquitto(folder, extra_lines=()):
    """Debian's mosquitto on a free port, with no limits on what it queues."""
    port = free_port()
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "sys_interval 1",
             *extra_lines]
    if os.geteuid() == 0:
        lines.append("user root")
    configuration = Path(folder) / f"mosquitto-{port}.conf"
    configuration.write_text("\n".join(lines) + "\n")
    command = [debian_packages.program("mosquitto"), "-v", "-c", str(configuration)]
    return Broker(command, r"mosquitto version .* running", port)


class ShardNames:
    """Gives ClientIDs by the shard that is their home.

    Where a ClientID lives follows from the partition key alone, so the binary is asked once for a list of
    candidates."""

    def __init__(self, shards, candidates=256):
        self.shards = shards
        self.by_shard = [[] for _ in range(shards)]
        names = [f"client-{number}" for number in range(candidates)]
        if shards == 1:
            self.by_shard[0] = names
            return
        command = [ringmq_binary(), "shard-of", "--shards", str(shards), "--partition-key", PARTITION_KEY, *names]
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
        for line in output.splitlines():
            name, shard = line.split()
            self.by_shard[int(shard)].append(name)
        assert sum(map(len, self.by_shard)) == len(names) and all(self.by_shard), output


class Ids:
    """ClientIDs for one test: all with one home, or each with the next shard as its home."""

    def __init__(self, names, spread):
        self.queues = [list(shard) for shard in names.by_shard]
        self.spread = spread
        self.next_shard = 0

    def one(self):
        """The next ClientID."""
        shard = self.next_shard
        if self.spread:
            self.next_shard = (shard + 1) % len(self.queues)
        return self.queues[shard].pop(0)

    def take(self, count):
        """The next `count` ClientIDs."""
        return [self.one() for _ in range(count)]

    def for_each_shard(self):
        """One ClientID per shard."""
        return [queue.pop(0) for queue in self.queues]
