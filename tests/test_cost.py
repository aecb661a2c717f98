"""What a judgement costs, held to counters: they are the same on every machine, seconds are not.

The images are small twins of the one that `python -m benchmarks` measures: the same shape (wide
keys, deep folders, folders whose index fills nodes of its own), in two sizes.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks.image import MiB, Shape, path_of
from validator import validate
from validator.checks import MODULES as CHECK_MODULES
from validator.report.model import Report

SMALL = Shape(
    disk_size=160 * MiB, block_size=MiB, folders=60, programs=150, classes=400, vendors=40, versions=20,
    devices=400, log_lines=100,
)  # fmt: skip
BIG = replace(SMALL, folders=600, programs=1_500, classes=8_000, vendors=400, versions=200, devices=8_000)
LONG_LOGS = replace(SMALL, log_lines=6_000)
"""Logs of 700 KB: longer than they are searched."""

MAX_READS = 60
MAX_BYTES = 512 * 1024
MAX_GROWTH = 24, 96 * 1024
"""Reads and bytes that the big twin may cost more: a node more in a folder, a few pages of a hive."""

MAX_MODULES = {"generalized": 209, "azure-generalized": 230}
"""By profile, beside those that a bare Python loads."""
MAX_MODULES_OF_WORDS = {"--version": 73, "--help": 83}

FORBIDDEN = {
    "asyncio", "benchmarks", "concurrent", "ctypes.util", "defusedxml", "dissect.database",
    "dissect.eventlog", "dissect.evidence", "dissect.fat", "dissect.hypervisor", "dissect.target",
    "dissect.volume", "doctest", "email", "flow", "http", "msgpack", "multiprocessing", "pdb",
    "pkg_resources", "pydoc", "rich", "setuptools", "socket", "sqlite3", "ssl", "structlog", "tests",
    "unittest", "urllib.request", "xml",
}  # fmt: skip
"""Modules, with all below them, that judging has no use for: slow to load, or a way to the network."""
ENGINES = {"dissect", "pyvhdi", "validator.validation"}
"""What only the opening of an image needs."""
NOT_OF_GENERALIZED = {
    *(f"validator.checks.{name}" for name, asking in CHECK_MODULES.items() if "generalized" not in asking),
    "validator.checks.expectations", "validator.facts.boot", "validator.facts.diagnosis",
    "validator.facts.disk_answers", "validator.facts.drivers", "validator.facts.leftovers",
    "validator.facts.picture", "validator.facts.provisioning", "validator.facts.reachability",
    "validator.facts.registry", "validator.facts.servicing", "validator.facts.target",
    "validator.facts.timeline", "validator.windows.answer_file", "validator.windows.boot_store",
    "validator.windows.firewall", "validator.windows.sam", "validator.windows.sysprep_failures",
    "validator.windows.target",
}  # fmt: skip
"""What answers other questions, or explains what is not wrong with a generalized image."""

LIST_MODULES = """
import sys
before = set(sys.modules)
try:
    from validator.cli import main
    main()
except SystemExit as ending:
    assert not ending.code, ending.code
finally:
    print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


class Cost(NamedTuple):
    """What was read of an image."""

    reads: int
    bytes_read: int


@pytest.fixture(scope="module")
def small() -> Path:
    """The small twin."""
    return path_of(SMALL)


@pytest.fixture(scope="module")
def big() -> Path:
    """The big twin."""
    return path_of(BIG)


def cost(image: Path) -> Cost:
    """Judge an image, which has to come out right, and count."""
    report: Report = validate(image, "generalized")
    unknown = [finding.message for finding in report.findings if finding.status.value == "unknown"]
    assert (report.verdict.value, unknown) == ("deployable", [])
    assert report.io.files == 1
    return Cost(report.io.reads, report.io.bytes_read)


def modules(*arguments: object) -> list[str]:
    """What a run of the command loads beside what a bare Python has."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.split()


def among(loaded: list[str], unwanted: set[str]) -> list[str]:
    """Those loaded modules that are unwanted, or lie below one."""
    return [name for name in loaded if any(f"{name}.".startswith(f"{each}.") for each in unwanted)]


def test_reads_of_the_small_twin(small: Path) -> None:
    assert cost(small).reads <= MAX_READS


def test_bytes_of_the_small_twin(small: Path) -> None:
    assert cost(small).bytes_read <= MAX_BYTES


def test_the_same_image_costs_the_same_again(small: Path) -> None:
    assert cost(small) == cost(small)


def test_cost_does_not_grow_with_files_and_hives(small: Path, big: Path) -> None:
    growth = [after - before for before, after in zip(cost(small), cost(big))]
    assert all(more <= limit for more, limit in zip(growth, MAX_GROWTH)), growth


def test_long_logs_stay_below_one_mebibyte() -> None:
    assert cost(path_of(LONG_LOGS)).bytes_read < MiB


def test_a_judgement_loads_nothing_that_it_has_no_use_for(small: Path) -> None:
    loaded = modules("check", small, "--profile", "generalized", "--format", "json")
    assert among(loaded, FORBIDDEN) == []


@pytest.mark.parametrize("profile", MAX_MODULES)
def test_modules_of_a_judgement(small: Path, profile: str) -> None:
    loaded = modules("check", small, "--profile", profile, "--format", "json", "--exit-zero")
    assert len(loaded) <= MAX_MODULES[profile], loaded


def test_a_profile_loads_nothing_of_others(small: Path) -> None:
    loaded = modules("check", small, "--profile", "generalized", "--format", "json")
    assert among(loaded, NOT_OF_GENERALIZED) == []


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("check", "--help"), ("checks",)])
def test_no_engine_is_loaded_without_an_image(arguments: tuple[str, ...]) -> None:
    shown = {"rich"} if arguments == ("checks",) else set()
    assert among(modules(*arguments), (FORBIDDEN | ENGINES) - shown) == []


@pytest.mark.parametrize("option", MAX_MODULES_OF_WORDS)
def test_modules_without_a_command(option: str) -> None:
    loaded = modules(option)
    assert len(loaded) <= MAX_MODULES_OF_WORDS[option], loaded


def test_the_library_costs_nothing_until_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, validator; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    ours: list[Any] = [name for name in done.stdout.split() if name.startswith("validator.")]
    assert (ours, among(done.stdout.split(), FORBIDDEN | ENGINES)) == ([], [])
