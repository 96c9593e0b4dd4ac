"""`bench/crossing` works as a whole, small and short; places, ratios and the model are what they say.

It says nothing about speed. `python -m pytest bench/test_crossing.py` runs it; RINGMQ_BINARY names the binary, else the
one that `testsuite/run` builds is taken.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = Path(os.environ.get("RINGMQ_BINARY", TARGET / "tests" / "ringmq"))

sys.path.insert(0, str(ROOT / "bench"))

from comparison import crossing, crossing_model  # noqa: E402  the path has to be known first
from comparison.processes import Failed  # noqa: E402


def crosses(load, homes):
    """Of how many messages publisher and reader live on different shards."""
    if load.scenario == "p2p":
        return sum(a != b for a, b in zip(homes[:load.count], homes[load.count:], strict=True))
    hub, others = (homes[-1], homes[:-1]) if load.scenario == "fan-in" else (homes[0], homes[1:])
    return sum(home != hub for home in others)


@pytest.mark.parametrize("shards", [2, 3, 4, 64])
@pytest.mark.parametrize("load", crossing.loads(100), ids=lambda load: load.name)
def test_as_many_messages_cross_as_the_variant_says(load, shards):
    """None, half or all of them; pairs leave every shard the same share of publishers and of readers."""
    for name, share in crossing.CROSSINGS.items():
        homes = crossing.places(load, shards, name)
        assert crosses(load, homes) == round(share * load.count), name
        assert set(homes) <= set(range(shards))
        if load.scenario == "p2p" and load.count > 1 and load.count % shards == 0:
            publishers, readers = Counter(homes[:load.count]), Counter(homes[load.count:])
            assert max(publishers.values()) - min(publishers.values()) == 0
            # Readers of crossing pairs go round the other shards, and a round may end in the middle.
            assert max(readers.values()) - min(readers.values()) <= shards, name


def test_ratios_are_those_of_each_round():
    """A machine that is twice as slow in one round changes no ratio, and without a reference there is none."""
    def cell(variant, number, cost):
        return {"load": "x", "variant": variant.name, "shards": variant.shards, "cores": variant.cores,
                "crossing": variant.crossing, "batched": True, "round": number, "broker_us_per_message": cost,
                "broker_user_seconds": 1.0, "broker_system_seconds": 1.0, "delivered": 10, "messages_per_second": 5.0,
                "seconds": 2.0, "load_cpu_seconds": 1.0, "machine_busy_seconds": 4.0}

    none, full = crossing.Variant(2, 1, "none"), crossing.Variant(2, 1, "all")
    results = [cell(variant, number, slow * cost) for number, slow in enumerate((1.0, 2.0, 1.0))
               for variant, cost in ((crossing.ONE_SHARD, 1.0), (none, 1.02), (full, 1.3))]
    results.append({**cell(full, 3, 9.0), "lost": 2})
    one, without, crossed = crossing.rows(results)
    assert (one["to_one_shard"], one["to_none"]) == (1.0, None)
    assert (without["to_one_shard"], without["to_none"]) == (pytest.approx(1.02), 1.0)
    assert crossed["to_one_shard"] == pytest.approx(1.3)
    assert crossed["to_none"] == pytest.approx(1.3 / 1.02)
    assert (crossed["rounds"], crossed["wrong"]) == (4, ["lost 2"])
    table = crossing.markdown([one, without, crossed]).splitlines()
    assert "1.05: met" in table[3] and "1.25: missed" in table[4] and "**lost 2**" in table[4]


CONSTANTS = crossing_model.Constants(
    one_shard_us=1.0, start_us=6.0, wake_us=8.0, handoff_ns=100.0, batch_ns=40.0, idle_lane_ns=2.0,
    interest_hot_ns=5.0, interest_cold_ns=40.0, filter_bytes=34.0, turn_messages=400.0, burst=8.0, filters=1000.0,
    cache_bytes=1e9, answers=0.0)


def test_the_model_is_its_formula():
    """Two shards by hand: half crosses, every turn reaches the one peer."""
    found = crossing_model.predict(CONSTANTS, 2, 400.0, 1.0)
    reached = 1 - 0.5 ** 50
    by_hand = 1.0 + 0.5 * 0.1 + reached * 0.040 / 400 + (6.0 + reached * 8.0) / 400 + 0.002 / 400 + 0.005
    assert found.us == pytest.approx(by_hand)
    assert found.messages_per_second == pytest.approx(2e6 / by_hand)
    assert found.batch_messages == pytest.approx(200)
    both_ways = crossing_model.predict(replace(CONSTANTS, answers=1.0), 2, 400.0, 1.0)
    assert both_ways.us == pytest.approx(by_hand + reached * 0.040 / 400)


def test_the_model_has_one_shard_as_it_was_measured_and_grows_with_the_shards():
    """One shard neither crosses nor looks at interest; more shards cost more, each message, and never less than a burst
    is in a batch."""
    one = crossing_model.predict(CONSTANTS, 1, 400.0, 0.0)
    assert (one.us, one.crosses, one.to_one_shard) == (1.0, 0.0, 1.0)
    grown = [crossing_model.predict(CONSTANTS, shards, 400.0, 0.0) for shards in crossing_model.SHARDS]
    spread = [crossing_model.predict(CONSTANTS, shards, 400.0 / shards, 1.0) for shards in crossing_model.SHARDS[1:]]
    for some in (grown, spread):
        assert all(fewer.us < more.us for fewer, more in zip(some, some[1:]))
        assert all(found.batch_messages >= 7.8 for found in some if found.shards > 1)
    assert all(a.us < b.us for a, b in zip(grown[1:], spread, strict=True))


def test_interest_grows_cold_when_the_table_outgrows_the_cache():
    """Half of a table of twice the cache is cold."""
    constants = replace(CONSTANTS, cache_bytes=34.0 * 1000 * 4)
    assert crossing_model.interest_ns(constants, 1) == 0.0
    assert crossing_model.interest_ns(constants, 4) == 5.0
    assert crossing_model.interest_ns(constants, 8) == pytest.approx(25.0)
    assert crossing_model.lanes_bytes(2) == (2 * 2 * 64 * 48, 2 * (8 << 20))


def test_other_constants_are_taken_and_unknown_ones_refused():
    """`--set NAME=VALUE`."""
    assert crossing_model.adjusted(CONSTANTS, ["burst=4"]).burst == 4.0
    for wrong in ("speed=1", "burst", "burst=much"):
        with pytest.raises(Failed, match="NAME=NUMBER"):
            crossing_model.adjusted(CONSTANTS, [wrong])


def run(*arguments):
    """The command."""
    return subprocess.run([sys.executable, ROOT / "bench" / "crossing", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=300)


def test_every_variant_runs_and_nothing_is_lost(tmp_path):
    """All kinds of traffic with one shard and with two, on one CPU."""
    assert BINARY.is_file(), f"{BINARY} is missing: run testsuite/run, or name the binary in RINGMQ_BINARY"
    done = run("--quick", "--binary", BINARY, "--shards", "2", "--cores", "1", "--json", tmp_path / "figures.json",
               "--markdown", tmp_path / "table.md")
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures["runs"]) == sum(3 if "one pair" in load.name else 4 for load in crossing.loads(8))
    assert all(cell["delivered_in_all"] > 0 for cell in figures["runs"])
    table = (tmp_path / "table.md").read_text()
    assert len(table.splitlines()) == 2 + len(figures["rows"])
    assert all(row["to_one_shard"] > 0 for row in figures["rows"])


def test_the_model_needs_no_binary():
    """A table for each quality, with 64 shards in it."""
    done = run("--model", "--set", "wake_us=9")
    assert done.returncode == 0 and done.stdout.count("| 64 |") == 2 and "wake_us 9" in done.stdout
    done = run("--only", "nothing like it")
    assert done.returncode == 1 and "--list" in done.stderr
