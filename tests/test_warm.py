"""What a verdict costs in a process that gave some before, held to counts of calls: seconds are no measure.

Nearly all of it is Python that walks small structures, so calls follow the time closely.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from validator import validate

SAMPLES = Path(__file__).parent.parent / "sample_images"
MAX_CALLS = {
    ("generalized-gen2.vhdx", "generalized"): 11_000,
    ("generalized-gen2.vhdx", "azure-generalized"): 39_000,
    ("generalized-gen1.vhd", "azure-generalized"): 41_000,
    ("corrupt.vhdx", "generalized"): 1_500,
}
"""Of functions in Python. Before structures were kept that many look-ups go through, it was twice as many."""


@pytest.mark.parametrize(("name", "profile"), MAX_CALLS)
def test_calls_of_a_warm_verdict(name: str, profile: str) -> None:
    """The second time, when modules are loaded."""
    image = SAMPLES / name
    first = validate(image, profile)
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        again = validate(image, profile)
    finally:
        sys.setprofile(before)
    assert again.verdict is first.verdict
    assert 0 < calls <= MAX_CALLS[name, profile]
