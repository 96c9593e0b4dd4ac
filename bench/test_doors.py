"""`bench/doors`, short: every door of RingMQ is measured, and sessions that should be resumed are."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

sys.path.insert(0, str(ROOT / "testsuite"))

import broker_process  # noqa: E402


def test_doors(tmp_path):
    """No run fails, nothing is lost, and all four doors have messages."""
    figures = tmp_path / "doors.json"
    tools = broker_process.program_beside("ringmq-connections").parent
    done = subprocess.run([ROOT / "bench" / "doors", "--quick", "--binary", broker_process.ringmq_binary(), "--tools", tools,
                           "--json", figures], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [run for run in json.loads(figures.read_text())["runs"] if run["broker"] == "RingMQ"]
    assert {run["row"] for run in runs if run["row"].startswith("message, 16 B")} == {
        f"message, 16 B, {door}" for door in ("tcp", "tls", "ws", "wss")}
    assert all(run["us"] > 0 for run in runs)
    resumed = {run["row"]: run["resumed"] for run in runs if run["row"].startswith("connection")}
    assert all((count > 0) == ("resumed" in row) for row, count in resumed.items()), resumed
