"""The log on stderr, and what happens to the broker when nobody reads it."""

import json
import os
import re
import signal
import socket
import subprocess
import time

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


def connect_as(port, name):
    """Comes and goes, so that there is something to log."""
    Peer.connected(port, name).drop()


def test_a_line_of_json_each(start_broker):
    """--log-format json: each line is an object with time, level, target and message, whatever names say."""
    broker = start_broker("--log-format", "json")
    connect_as(broker.port, 'a "name"\x7f{}')
    broker.wait_for_line("New client connected")
    broker.stop()
    lines = [json.loads(line) for line in broker.lines if line != "(end of the log)"]
    assert {tuple(line) for line in lines} == {("time", "level", "target", "message")}
    assert any("ready" in line["message"] and line["target"] == "ringmq" for line in lines)
    assert any('a "name"' in line["message"] and line["level"] == "INFO" for line in lines)


def test_levels_hold_and_change_by_reload(start_broker, tmp_path):
    """--log-level: less is said, and a reload says more again without a restart."""
    config = tmp_path / "ringmq.toml"
    config.write_text('log_level = "warn"\nport = 0\n', encoding="ascii")
    broker = start_broker("-c", config)
    connect_as(broker.port, "unheard-of")
    refuse(broker.port)
    broker.wait_for_line("Warning: Client disconnected, 127.0.0.1")
    assert "unheard-of" not in broker.log
    config.write_text('log_level = "info"\nport = 0\n', encoding="ascii")
    broker.terminate(signal.SIGHUP)
    broker.wait_for_line("reloaded; changed: log_level")
    connect_as(broker.port, "heard-of")
    broker.wait_for_line("New client connected .* as heard-of")


def test_files_are_followed(start_broker, tmp_path):
    """watch_files: a file that has changed is read without a signal, and what is wrong with it changes nothing."""
    config = tmp_path / "ringmq.toml"
    text = 'watch_files = true\nport = 0\nacl_file = "acl"\n'
    config.write_text(text, encoding="ascii")
    (tmp_path / "acl").write_text("topic a\n", encoding="ascii")
    broker = start_broker("-c", config)
    (tmp_path / "acl").write_text("topic a\nnonsense\n", encoding="ascii")
    broker.wait_for_line("acl_file: .*acl:2: \"nonsense\" begins no line")
    broker.wait_for_line("nothing was changed, the broker goes on as before")
    (tmp_path / "acl").write_text("topic a\ntopic b\n", encoding="ascii")
    broker.wait_for_line("reloaded; changed: no key")
    config.write_text(text.replace('"acl"', '"other"'), encoding="ascii")
    broker.wait_for_line("acl_file: .*other cannot be read")
    (tmp_path / "other").write_text("topic c\n", encoding="ascii")
    broker.wait_for_line("reloaded; changed: acl_file")
    config.write_text(text + "maximum_qos = 1\n", encoding="ascii")
    broker.wait_for_line("reloaded; changed: acl_file, maximum_qos")
    assert broker.log.count("watch_files: files have changed: reading") == 5


def test_too_many_lines_are_counted(start_broker):
    """--log-lines-per-second-max: a flood is cut, and the log says by how much."""
    broker = start_broker("--log-lines-per-second-max", 20)
    for _ in range(200):
        refuse(broker.port)
    time.sleep(1.1)
    refuse(broker.port)
    match = broker.wait_for_line(r"(\d+) lines of the log were left out: more than 20 in a second")
    assert int(match.group(1)) > 50
