"""Every check on real images, by the whole command: the tables in `tests/catalogue`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

import pytest

import tests.catalogue
from tests.catalogue import CANNOT_TELL, FAILS, PASSES, Case
from tests.command import Command
from tests.images import FixedVhd, Windows, azure, disk_of, generalized, wim_applied
from validator.checks import own_checks
from validator.profiles import PROFILES

Image = Callable[..., Path]

CASES: tuple[Case, ...] = tuple(
    case
    for module in pkgutil.iter_modules(tests.catalogue.__path__)
    if module.name != "model"
    for case in importlib.import_module(f"tests.catalogue.{module.name}").CASES
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, command: Command, image: Image) -> None:
    """What the table says."""
    path = image(case.describe(), case.container)
    if case.damage is not None:
        case.damage(path)
    judged = command.judge(path, "--profile", case.profile, *case.options)
    finding = judged.finding(case.check)
    assert finding["status"] == case.status, finding
    if case.severity is not None:
        assert finding["severity"] == case.severity, finding
    assert case.says in finding["message"]
    shown = [" ".join(str(text) for text in each.values() if text) for each in finding["evidence"]]
    assert not case.shows or any(case.shows in text for text in shown), shown
    if case.verdict is not None:
        assert judged["verdict"] == case.verdict, judged["summary"]
    if case.kind == FAILS:
        assert finding["remedy"]["text"]
    if case.kind == CANNOT_TELL and finding["severity"] == "error":
        assert judged["verdict"] != "deployable"


@pytest.mark.parametrize("kind", [PASSES, FAILS, CANNOT_TELL])
def test_every_check_has_its_cases(kind: str) -> None:
    """One that passes, one that fails, one that cannot tell."""
    known = {case.check for case in CASES if case.kind == kind}
    assert [check.id for check in own_checks() if check.id not in known] == []


def test_cases_are_about_checks() -> None:
    """No table names a check that does not exist, or the same case twice."""
    ids = {check.id for check in own_checks()}
    assert {case.check for case in CASES} <= ids
    names = [str(case) for case in CASES]
    assert sorted(names) == sorted(set(names))


STOCK: dict[str, tuple[Callable[[], Windows], str]] = {
    "sysprep, UEFI": (generalized, "gpt"),
    "sysprep, BIOS": (generalized, "mbr"),
    "media, UEFI": (wim_applied, "gpt"),
    "media, BIOS": (wim_applied, "mbr"),
}


@pytest.mark.parametrize("generation", [1, 2])
def test_a_good_image_for_azure_passes_every_check(generation: int, command: Command, image: Image) -> None:
    """Prepared as Microsoft's article has it, it is not even worth a notice."""
    disk = azure.gen1(generalized()) if generation == 1 else azure.gen2(generalized())
    judged = command.judge(
        image(disk, FixedVhd()), "--profile", "azure-generalized", "--generation", str(generation)
    )
    assert [each for each in judged["findings"] if each["status"] in ("failed", "unknown")] == []
    assert judged.answer == ("deployable", 0)


@pytest.mark.parametrize("profile", [profile.id for profile in PROFILES if "specialized" not in profile.id])
@pytest.mark.parametrize("name", STOCK)
def test_stock_windows_is_no_fault(name: str, profile: str, command: Command, image: Image) -> None:
    """What healthy Windows contains is never an error (promise 3), nor even a warning."""
    make, scheme = STOCK[name]
    judged = command.judge(image(disk_of(make(), scheme), FixedVhd()), "--profile", profile)
    failed = [
        each for each in judged["findings"] if each["status"] == "failed" and each["severity"] != "notice"
    ]
    assert failed == []
    assert [each for each in judged["findings"] if each["status"] == "unknown"] == []
    assert judged.answer == ("deployable", 0)
