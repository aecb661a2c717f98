"""The page about performance shows the figures that were measured, and limits are held to them."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from benchmarks import page
from benchmarks.limits import limits
from benchmarks.peers import GENERALIZED, PROGRAMS, counted
from benchmarks.process import Failed, run
from tests.command import ROOT


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """Of the last run."""
    measured: dict[str, Any] = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    return measured


def held(results: dict[str, Any], what: str) -> bool | None:
    """Whether a limit holds."""
    return next(each.held for each in limits(results) if each.what.startswith(what))


def test_page_shows_the_results(results: dict[str, Any]) -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text, results) == text


def test_page_has_every_table(results: dict[str, Any]) -> None:
    shown = re.findall(r"<!-- measured: (\w+) -->", page.PAGE.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(page.TABLES)
    assert all(page.table(name, results) for name in page.TABLES)


def test_what_was_not_measured_keeps_its_table() -> None:
    text = "<!-- measured: warm -->\nof last week\n<!-- end of warm -->\n"
    assert page.filled(text, {}) == text


def test_limits(results: dict[str, Any]) -> None:
    """A figure beyond its limit fails it; one that is missing holds nothing."""
    name = GENERALIZED.name
    worse = copy.deepcopy(results)
    ours = next(each for each in worse["peers"]["programs"] if each["name"] == name)
    ours["ratios"], ours["counted"], ours["memory"] = [0.1, 0.11, 0.2], [9, 1 << 20], 100 << 20
    for what in ("time", "reading", "peak memory"):
        assert held(worse, f"{name}: {what}") is False
        assert held({}, f"{name}: {what}") is None
    ours["ratios"], ours["counted"], ours["memory"] = [0.09, 0.1, 0.2], [9, 1 << 19], 99 << 20
    assert all(held(worse, f"{name}: {what}") for what in ("time", "reading", "peak memory"))


def test_picture_is_small() -> None:
    picture = ROOT / "docs" / "images" / "performance.svg"
    assert picture.stat().st_size < 100_000


def test_a_program_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = next(program for program in PROGRAMS if "vhdimount" in program.needs)
    monkeypatch.setattr("benchmarks.peers.found", lambda _: None)
    with pytest.raises(Failed, match=r"vhdimount, .* not installed"):
        mounted.command("disk.vhdx")


def test_our_program_is_measured() -> None:
    image = ROOT / "sample_images" / "generalized-gen2.vhdx"
    done = run(GENERALIZED.command(str(image)), GENERALIZED.answer)
    reads, read = counted(done.output)
    assert 0 < reads < read
    assert done.seconds > 0
    assert done.memory > 0


def test_a_wrong_answer_is_no_measurement() -> None:
    image = ROOT / "sample_images" / "undeployable.vhdx"
    with pytest.raises(Failed, match="exit code 1"):
        run(GENERALIZED.command(str(image)), GENERALIZED.answer)
