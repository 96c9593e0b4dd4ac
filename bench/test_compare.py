"""The comparison works as a whole: small, short, and with no fault found in any broker.

It says nothing about speed. `python -m pytest bench/test_compare.py` runs it; RINGMQ_BINARY names the broker,
else the one that `testsuite/run` builds is taken. Peers beside mosquitto are compared where they are installed.
"""

import json
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "testsuite"))
import broker_process  # noqa: E402

PEERS = {"mosquitto", "relay-epoll", "relay-uring"}


@pytest.fixture(scope="module", name="compared")
def fixture_compared(tmp_path_factory):
    """One quick comparison: its figures and the folder with the rest."""
    folder = tmp_path_factory.mktemp("compare")
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "compare", "--quick", "--binary", broker_process.ringmq_binary(),
         "--relay-binary", broker_process.program_beside("ringmq-relay"), "--brokers", "ringmq", *sorted(PEERS), "--json", folder / "figures.json", "--markdown", folder / "table.md",
         "--plots", folder / "plots"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "figures.json").read_text()), folder


def test_every_scenario_runs_against_everybody_who_can(compared):
    """Each message arrives once and in order, and the relay takes part where it can."""
    figures, _ = compared
    runs = figures["runs"]
    assert {run["broker"] for run in runs} == {"ringmq", "ringmq-1-shard", "ringmq-2-shards", *PEERS}
    scenarios = {run["scenario"] for run in runs}
    assert len(scenarios) == 16
    for run in runs:
        work = max(run.get(name, 0) for name in ("delivered_in_all", "delivered", "connects", "latency_count"))
        assert work > 0, run
    relayed = {run["scenario"] for run in runs if run["broker"] == "relay-uring"}
    assert relayed == {run["scenario"] for run in runs if run["broker"] == "relay-epoll"}
    assert len(relayed) == 4, relayed


def test_costs_are_set_in_relation_to_the_cheaper_relay(compared):
    """The limit is one of the two relays', and every cost has a ratio to it."""
    figures, _ = compared
    for scenario in {row["scenario"] for row in figures["rows"]}:
        rows = {row["broker"]: row for row in figures["rows"] if row["scenario"] == scenario}
        if "relay-epoll" not in rows or not all(row.get("cost") for row in rows.values()):
            continue
        limit = min(rows["relay-epoll"]["cost"], rows["relay-uring"]["cost"])
        for row in rows.values():
            assert row["to_relay"] == pytest.approx(row["cost"] / limit)
            assert row["ringmq_to_this"] == pytest.approx(rows["ringmq"]["cost"] / row["cost"])


def test_an_open_loop_keeps_its_rate_and_measures_every_latency(compared):
    """The rate is the share of the weakest broker's limit, and each publish that was due has a latency."""
    figures, _ = compared
    (scenario, limit), = figures["limits"].items()
    runs = [run for run in figures["runs"] if run["scenario"] == scenario]
    assert {run["broker"] for run in runs} == {"ringmq", "mosquitto"}
    for run in runs:
        assert run["rate"] == pytest.approx(0.2 * limit, abs=0.001)
        # Measured for 0.2 seconds; one publish may lie on either border.
        expected = run["rate"] * 0.2
        assert expected - 2 <= run["latency_count"] + run["not_published_in_time"] <= expected + 2, run
        assert 0 < run["latency_p50_us"] <= run["latency_p99_us"] <= run["latency_p999_us"] <= run["latency_max_us"]


def test_table_and_pictures_show_every_row(compared):
    """A line of Markdown and a bar for each broker."""
    figures, folder = compared
    table = (folder / "table.md").read_text()
    pictures = [xml.dom.minidom.parse(str(path)) for path in (folder / "plots").glob("*.svg")]
    texts = [{node.firstChild.data for node in picture.getElementsByTagName("text")} for picture in pictures]
    for row in figures["rows"]:
        assert any(row["scenario"] in line and f"| {row['broker']} |" in line for line in table.splitlines()), row
        assert any({row["scenario"], row["broker"]} <= text for text in texts), row
