"""`bench/c/run`, short: everybody gets everything."""

import sys

import broker_process
from conftest import ROOT, built_library, run


def test_every_client_is_measured_and_loses_nothing():
    command = [sys.executable, ROOT / "bench" / "c" / "run", "--messages", "2000", "--rounds", "1"]
    said = run(*command, "--archive", built_library(), "--binary", broker_process.ringmq_binary())
    rows = [line.split("|")[1].strip() for line in said.splitlines() if line.startswith("| ")]
    assert [row for row in rows if ", QoS" in row] == [
        f"{name}, QoS {qos}" for qos in (0, 1) for name in ("libringmq", "libmosquitto", "Paho C")]
    assert len([row for row in rows if row.startswith("in-process")]) == 12
