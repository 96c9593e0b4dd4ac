"""The numbers that Python has names for are those of the broker."""

from __future__ import annotations

import re
from pathlib import Path

from ringmq import ReasonCode


def test_reason_codes_are_the_brokers() -> None:
    source = Path(__file__).resolve().parents[2] / "core" / "wire" / "src" / "reason.rs"
    rows = re.findall(r"^    ([A-Z_0-9]+) = (0x[0-9A-F]{2}), ", source.read_text(), re.MULTILINE)
    assert len(rows) > 40
    assert {name: int(value, 16) for name, value in rows} == {code.name: code.value for code in ReasonCode}
