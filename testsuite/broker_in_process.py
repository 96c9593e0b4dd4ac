"""Brokers of the Python package in the process of the tests, with the face of those that are processes of their own.

Options are given as command line flags of `ringmq serve`, so that a test does not know where its broker runs. The log's
lines are the program's too. Nothing here is imported unless the tests run with `--in-process`.
"""

import logging
import time

import ringmq
from ringmq import _ringmq

from broker_process import DECISION_MILLISECONDS, PARTITION_KEY, STOP_SECONDS, Logged

LOGGER = logging.getLogger("ringmq")


class Lines(logging.Handler):
    """Gives what the package logs to a broker of the tests, as the program writes it."""

    def __init__(self, broker):
        super().__init__()
        self.broker = broker

    def emit(self, record):
        """Takes a line."""
        self.broker.add_line(f"{record.created:.0f}: {record.levelname.title()}: {record.getMessage()}")


class BrokerInProcess(Logged):
    """One running broker; `log` has the lines of all brokers that ran in this process meanwhile."""

    def __init__(self, options):
        super().__init__()
        self.options = options
        self.broker = ringmq.Broker(**options)
        self.handler = Lines(self)
        LOGGER.setLevel(logging.INFO)
        LOGGER.addHandler(self.handler)
        self.broker.start()
        self.port = self.broker.port

    def described(self):
        """What a failed test says of it."""
        return f"ringmq.Broker(**{self.options}), running: {self.broker.is_running}"

    def stop(self):
        """Stops the broker unless the test did, and judges it: every shard was alive, and it stopped in time."""
        if self.handler not in LOGGER.handlers:
            return
        # Every shard answers, or this raises.
        len(self.broker.sessions)
        started = time.monotonic()
        self.broker.stop()
        seconds = time.monotonic() - started
        _ringmq.flush_log()
        LOGGER.removeHandler(self.handler)
        assert seconds < STOP_SECONDS, f"it took {seconds} s to stop:\n{self.log}"
        assert "panic" not in self.log, self.log


def options_of(arguments):
    """Flags of `ringmq serve` as keywords: `--acl-file FILE`, `--set KEY=VALUE`, `--allow-anonymous` without a value,
    `-p PORT`."""
    words = [str(argument) for argument in arguments]
    options = {}
    for word, value in zip(words, [*words[1:], "-"]):
        if word == "--set":
            name, value = value.split("=", 1)
        elif word.startswith("-"):
            name = "port" if word == "-p" else word.removeprefix("--").replace("-", "_")
        else:
            continue
        options[name] = "true" if value.startswith("-") else value
    return options


def start_in_process(shards, no_move=False, driver="auto", arguments=()):
    """A broker as `start_ringmq` starts one."""
    return BrokerInProcess({
        "port": "0", "shards": str(shards), "driver": driver, "moving": "false" if no_move else "true",
        "partition_key": PARTITION_KEY, "decision_timeout": str(DECISION_MILLISECONDS), **options_of(arguments)})
