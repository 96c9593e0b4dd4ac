"""The comparison works as a whole: small, short, and with no fault found in either broker.

It says nothing about speed. `python -m pytest bench/test_compare.py` runs it; RINGMQ_BINARY names the broker,
else the one that `testsuite/run` builds is taken.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = Path(os.environ.get("RINGMQ_BINARY", TARGET / "tests" / "ringmq"))


def test_quick_comparison(tmp_path):
    """Every scenario runs against every broker; each message arrives once and in order."""
    assert BINARY.is_file(), f"{BINARY} is missing: run testsuite/run, or name the binary in RINGMQ_BINARY"
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "compare", "--quick", "--binary", BINARY,
         "--json", figures],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = json.loads(figures.read_text())["runs"]
    assert {run["broker"] for run in runs} == {"ringmq", "mosquitto"}
    assert len(runs) == 12
    for run in runs:
        assert run["delivered_in_all"] > 0, run
