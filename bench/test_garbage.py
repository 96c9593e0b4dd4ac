"""A broker that is sent garbage goes on serving, and its memory stays flat: a short run of `ringmq-garbage`.

RINGMQ_BINARY names the broker, else the one that `testsuite/run` builds is taken. A run of a million packets is
the program's default.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "testsuite"))
import broker_process  # noqa: E402

PACKETS = 30_000
# Garbage makes sessions and retained messages that are lawful: the broker's bounds keep them few.
BOUNDS = ["--set", "retained_messages_max=200", "--set", "sessions_max=300", "--set", "session_expiry_max=2",
          "--set", "queue_messages_max=50", "--set", "publish_hold=100"]


@pytest.fixture(scope="module")
def garbage():
    """The program, built as the broker under test is."""
    return broker_process.program_beside("ringmq-garbage")


@pytest.mark.parametrize("driver", ["epoll", "uring"])
def test_garbage(garbage, driver, monkeypatch):
    """30,000 damaged packets: an honest client is served all along, memory is flat, the broker stops as told."""
    # Huge pages would hide a leak: see ringmq-garbage --help.
    monkeypatch.setenv("MIMALLOC_ALLOW_THP", "0")
    broker = broker_process.start_ringmq(2, driver=driver, arguments=BOUNDS)
    try:
        done = subprocess.run(
            [garbage, "--port", str(broker.port), "--packets", str(PACKETS), "--honest-every", "1000",
             "--broker-pid", str(broker.process.pid)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert report["packets"] >= PACKETS and report["honest_rounds"] > PACKETS // 1000
        assert min(report["kinds"].values()) > PACKETS // 20, report["kinds"]
        assert report["closed_by_broker"] > 100 and report["received_bytes"] > 1000, report
        assert report["memory"]["flat"], report["memory"]
        broker.stop()
    finally:
        broker.kill()


def test_a_broker_that_goes_is_found_out(garbage):
    """Without a broker the honest client is not served: exit code 1 and the reason."""
    port = broker_process.free_port()
    done = subprocess.run([garbage, "--port", str(port), "--packets", "10"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "honest client was not served" in done.stderr, done.stderr
