"""`bench/python`, short: everybody gets everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench" / "python"


def test_every_client_is_measured_and_loses_nothing() -> None:
    command = [sys.executable, str(BENCH), "--messages", "500", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|")[1:3] for line in done.stdout.splitlines()[2:]]
    clients = ["ringmq.Client", "ringmq.aio.Client", "ringmq.paho", "paho-mqtt", "aiomqtt", "gmqtt", "amqtt"]
    names = [*clients, "in-process, epoll", "in-process, io_uring"]
    assert [(int(qos), name.strip()) for qos, name in rows] == [(qos, name) for qos in (0, 1) for name in names]
