"""The log on stderr, and what happens to the broker when nobody reads it."""

import os
import re
import signal
import socket
import subprocess

import pytest

import broker_process
from raw_client import Peer

# A pipe holds 64 KiB, and a refused connection makes more than 100 bytes of log.
REFUSALS = 1500


@pytest.fixture
def unread_log(pytestconfig):
    """A broker whose stderr is a pipe that nobody reads once it is ready: process, port and the pipe."""
    reading, writing = os.pipe()
    shards, driver = pytestconfig.getoption("--shards"), pytestconfig.getoption("--driver")
    command = [broker_process.ringmq_binary(), "serve", "-p", "0", "--shards", str(shards), "--driver", driver]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writing)
    os.close(writing)
    pipe = os.fdopen(reading, errors="replace")
    try:
        said = ""
        while "ready" not in said:
            line = pipe.readline()
            assert line, f"the broker ended: {said}"
            said += line
        yield process, int(broker_process.LISTENING.search(said).group(2)), pipe
    finally:
        process.kill()
        process.wait()
        pipe.close()


def refuse(port):
    """Connects and says what is no MQTT; the broker closes and writes a line."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
        stream.sendall(b"\xff" * 6)
        assert stream.recv(100) == b""


def test_a_log_that_nobody_reads_stops_no_service(unread_log):
    """With the pipe full the broker refuses, serves and stops as ever, and says how many lines are missing."""
    process, port, pipe = unread_log
    for _ in range(REFUSALS):
        refuse(port)
    peers = [Peer.connected(port, f"honest-{number}") for number in range(8)]
    for peer in peers:
        peer.subscribe("t", qos=1)
    peers[0].publish("t", b"served", qos=1)
    for peer in peers:
        peer.message("t", b"served")
        peer.drop()
    process.send_signal(signal.SIGTERM)
    assert process.wait(broker_process.STOP_SECONDS) == 0
    lines = pipe.read().splitlines()
    # What fitted into the pipe is there, line by line, up to where the pipe was full.
    assert len(lines) > 100
    assert all(re.match(r"\d+: |ringmq: ", line) for line in lines[:-1]), lines


def test_a_log_that_is_read_again_is_complete(unread_log):
    """Lines wait for a reader that comes late."""
    process, port, pipe = unread_log
    for _ in range(REFUSALS):
        refuse(port)
    process.send_signal(signal.SIGTERM)
    text = pipe.read()
    assert process.wait(broker_process.STOP_SECONDS) == 0
    assert text.count("disconnected") == REFUSALS
    assert text.splitlines()[-1].startswith("ringmq: stopped")
