"""bench/instructions says so when something got worse: the check that everything else relies on is checked itself.

RINGMQ_INSTRUCTIONS_BINARY names a ringmq-instructions that is built already; else it is built.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent
BASELINES = BENCH / "micro" / "instructions.toml"
BINARY = os.environ.get("RINGMQ_INSTRUCTIONS_BINARY")
NAME = "wire-decode-puback"


def instructions(*arguments):
    """Runs the command; its exit code and what it printed."""
    command = [sys.executable, BENCH / "instructions", *arguments, *(["--binary", BINARY] if BINARY else [])]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def baselines(tmp_path):
    """A copy of the baselines in which one workload's is changed by a factor."""
    def make(factor):
        def change(found):
            return f"{found[1]}{float(found[2]) * factor:.1f}"
        text, changed = re.subn(rf"^({NAME} = )([\d.]+)$", change, BASELINES.read_text(), flags=re.MULTILINE)
        assert changed == 1
        path = tmp_path / "instructions.toml"
        path.write_text(text)
        return path
    return make


def test_worse_by_more_than_the_bound_fails_and_is_named(baselines):
    """A baseline that is 8 % lower makes today's count 8.7 % worse."""
    code, said = instructions("--only", f"^{NAME}$", "--baselines", baselines(0.92))
    assert code == 1
    assert f"{NAME} got worse" in said


def test_worse_within_the_bound_passes(baselines):
    """A baseline that is 3 % lower is within the bound."""
    code, said = instructions("--only", f"^{NAME}$", "--baselines", baselines(0.97))
    assert code == 0, said


def test_better_passes_and_says_how_to_keep_it(baselines):
    """A baseline that is much higher is no failure."""
    code, said = instructions("--only", f"^{NAME}$", "--baselines", baselines(1.5))
    assert code == 0, said
    assert "1 got better" in said


def test_a_workload_without_baseline_fails_until_it_is_accepted(tmp_path):
    """From no baselines at all to accepted ones that agree with themselves."""
    path = tmp_path / "new.toml"
    code, said = instructions("--only", f"^{NAME}$", "--baselines", path)
    assert (code, f"{NAME} has no baseline" in said) == (1, True), said
    code, said = instructions("--only", f"^{NAME}$", "--baselines", path, "--accept")
    assert code == 0, said
    code, said = instructions("--only", f"^{NAME}$", "--baselines", path)
    assert (code, "1.000" in said) == (0, True), said


def test_accepting_some_keeps_the_others(baselines):
    """--only with --accept replaces what it measured and nothing else."""
    path = baselines(1.5)
    code, said = instructions("--only", f"^{NAME}$", "--baselines", path, "--accept")
    assert code == 0, said
    committed, accepted = (tomllib.loads(file.read_text()) for file in (BASELINES, path))
    for architecture, counts in committed.items():
        if architecture != "rustc":
            assert set(accepted[architecture]) == set(counts)


def test_a_baseline_without_workload_fails(baselines):
    """What is measured no longer is not forgotten in the table."""
    path = baselines(1)
    path.write_text(path.read_text() + "wire-decode-forgotten = 1.0\n")
    code, said = instructions("--only", "^wire-decode-", "--baselines", path)
    assert (code, "wire-decode-forgotten is no workload any more" in said) == (1, True), said
