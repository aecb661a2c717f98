"""Mutants of real images keep every promise; `fuzz/` has the fuzzer and docs/reliability.md its figures.

Each test judges a share of a campaign whose numbers decide everything, so that a failure is repeated by
`python -m fuzz.run --seed 20348 --show NUMBER`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.images import MissingTool

if sys.platform == "win32":
    pytest.skip("the fuzzer judges in forked processes", allow_module_level=True)

from fuzz.mutate import Mutant, mutant
from fuzz.run import run_batch
from fuzz.seeds import NAMES, Seed, seed
from validator.source import FileSource
from validator.validation import validate

CAMPAIGN = 20348
MUTANTS = 2000
DISTINCT = tuple(dict.fromkeys(NAMES))
SHARE = -(-MUTANTS // len(DISTINCT))


def _seed(name: str) -> Seed:
    try:
        return seed(name)
    except MissingTool as missing:
        pytest.skip(str(missing))


def _run(subject: Seed, numbers: list[int], **more: Any) -> list[dict[str, Any]]:
    """What a child process, patched for the purpose, says of these mutants."""
    return list(run_batch([subject], numbers, CAMPAIGN, **more))


@pytest.mark.parametrize("name", DISTINCT)
def test_mutants_keep_the_promises(name: str) -> None:
    """No exception, no green that is not earned, no time or memory beyond the bounds, nothing opened."""
    subject = _seed(name)
    results = _run(subject, list(range(SHARE)))
    assert [each["number"] for each in results] == list(range(SHARE))
    broken = [each for each in results if each.get("broken")]
    assert not broken, broken[:3]
    failures = [each for each in results if each.get("tool")]
    assert not failures, failures[:3]
    verdicts = Counter(each["verdict"] for each in results)
    assert verdicts["indeterminate"], "no mutant did any harm: the fuzzer misses the structures"


@pytest.mark.parametrize("name", ["generalized/vhdx-shuffled", "undeployable/vhd-dynamic", "parent-vhdx"])
def test_the_command_says_the_same_of_a_real_file(name: str) -> None:
    """What is judged in memory is judged alike by the whole command, which leaves the file as it is."""
    results = _run(_seed(name), [100 * number for number in range(1, 9)], on_disk=True)
    assert len(results) == 8
    assert not [each for each in results if each.get("broken")]


@pytest.mark.parametrize("name", DISTINCT)
def test_an_image_that_nothing_changed_is_what_it_is(name: str) -> None:
    """The seeds are what their names say; one that is never green has not become so."""
    subject = _seed(name)
    (result,) = _run(subject, [0], unchanged=True)
    assert result["verdict"] == ("undeployable" if subject.never_green else "deployable")
    assert not result.get("broken")


def test_a_mutant_is_decided_by_its_numbers() -> None:
    """The same numbers give the same bytes, and every mutant differs from the image."""
    subject = _seed("generalized/vhdx-dynamic")
    pairs = [(mutant(subject, number, 7), mutant(subject, number, 7)) for number in range(50)]
    assert all(one.patches == other.patches and one.size == other.size for one, other in pairs)
    assert all(one.changed for one, _ in pairs)


def test_a_mutant_is_written_as_it_is_read(tmp_path: Path) -> None:
    """The file of a mutant has the bytes that were judged in memory."""
    subject = _seed("undeployable/vhd-dynamic")
    made = next(each for each in (mutant(subject, number, 1) for number in range(500)) if _is_longer(each))
    target = tmp_path / "mutant.vhd"
    made.write(target)
    assert os.path.getsize(target) == made.size
    assert target.read_bytes() == made.read(0, made.size)


def _is_longer(subject: Mutant) -> bool:
    return subject.size > subject.seed.size


def test_the_fuzzer_sees_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that believes what it should not is found out: the watchers watch."""
    subject = _seed("undeployable/vhd-fixed")
    good = _seed("generalized/vhd-fixed")

    def careless(path: str, profile: str) -> object:
        return validate(good.path, profile)

    def failing(path: str, profile: str) -> object:
        raise ZeroDivisionError("of no use")

    def opening(path: str, profile: str) -> object:
        with open(tmp_path / "made", "wb"):
            return validate(path, profile)

    for replacement, words in ((careless, "deployable"), (failing, "exception"), (opening, "opened")):
        with monkeypatch.context() as patch:
            patch.setattr("fuzz.run.validate", replacement)
            (result,) = _run(subject, [0], unchanged=True)
        assert any(words in each for each in result["broken"]), result


def test_this_process_stays_as_it_is() -> None:
    """Only children are patched to judge mutants: other tests run in this process."""
    _run(_seed("undeployable/vhd-fixed"), [0])
    assert FileSource._read.__name__ == "_read"
