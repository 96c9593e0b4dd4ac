"""`ringmq bench` as people use it: its table, its histogram, its exit codes.

`python -m pytest bench/test_load.py` runs it; RINGMQ_BINARY names the binary, else the one that `testsuite/run`
builds is taken.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = Path(os.environ.get("RINGMQ_BINARY", TARGET / "tests" / "ringmq"))

sys.path.insert(0, str(ROOT / "bench"))

from comparison.processes import OUTPUT, free_port, running  # noqa: E402  the path has to be known first


@pytest.fixture(scope="module", name="port")
def fixture_port():
    """A broker's port."""
    assert BINARY.is_file(), f"{BINARY} is missing: run testsuite/run, or name the binary in RINGMQ_BINARY"
    OUTPUT.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [BINARY, "serve", "-p", str(port), "--shards", "2"]
    with running("test-load", command, dict(os.environ), port, os.sched_getaffinity(0)):
        yield port


def bench(port, *arguments):
    """One short run."""
    return subprocess.run([BINARY, "bench", *arguments, "-p", str(port), "-s", "0.2", "--warmup-seconds", "0"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def test_a_table_for_people_and_the_whole_histogram(port, tmp_path):
    """Both say how many latencies there are, and the last line that nothing is wrong."""
    file = tmp_path / "one.hgrm"
    done = bench(port, "depth-1", "--histogram", file)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    count = next(line.split()[-1].replace(",", "") for line in lines if line.startswith("latency count"))
    assert lines[-1].startswith("none lost, duplicated, reordered")
    text = file.read_text()
    assert text.split()[:4] == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert f"Total count    = {int(count):12}]" in text


@pytest.mark.parametrize("arguments", [
    ("fan-in", "-q", "2", "--mqtt", "3.1"),
    ("fan-out", "-q", "1", "--mqtt", "5.0", "--user-properties", "3", "-r", "300"),
    ("p2p", "-q", "1", "--bursts"),
    ("subscriptions", "--subscriptions", "600", "--churn", "2"),
    ("connects", "--persistent", "--mqtt", "5.0"),
    ("idle",),
    ("retained", "--retained", "300", "-q", "2"),
    ("slow-reader", "-r", "200"),
])
def test_every_scenario_has_figures_for_programs(port, arguments):
    """One line of JSON with what was run and what it found, on both shards."""
    done = bench(port, *arguments, "-c", "6", "--json", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    figures = json.loads(done.stdout)
    assert figures["count"] == 6
    assert max(figures.get(name, 0) for name in ("delivered", "connects", "latency_count")) > 0, figures


@pytest.mark.parametrize(("arguments", "code", "says"), [
    (("p2p", "--user-properties", "3"), 2, "--mqtt 5.0"),
    (("subscriptions", "-c", "2"), 3, "at least 3 clients"),
    (("p2p", "--json", "--histogram", "nowhere.hgrm"), 3, "add --rate"),
    (("p2p", "--client-ids", __file__), 2, "needs 200"),
    (("slow-reader", "--bursts"), 2, "closed"),
])
def test_what_does_not_work_says_what_to_do(port, arguments, code, says):
    """The exit code says whose fault it is."""
    done = bench(port, *arguments)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr


def test_no_broker_is_an_end_before_its_time():
    """Nobody listens there."""
    done = bench(free_port(), "p2p")
    assert done.returncode == 3
    assert "connecting" in done.stderr
