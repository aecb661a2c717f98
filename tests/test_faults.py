"""Whatever fails under a check, at whatever moment: the answer is the right one or `indeterminate`.

The faults are injected where they come from in life: in the reads of the file, in its opening, in the
memory of the process, in the patience of the user.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from fuzz.seeds import seed
from tests.command import Command
from tests.images import (
    CHILDREN_KEY,
    SETUP_KEY,
    STATE_INI,
    STATE_KEY,
    SYSPREP_LOG,
    SYSPREP_STATUS_KEY,
    VERSION_KEY,
    MissingTool,
    Windows,
    generalized,
    state_ini,
    vhd,
)
from validator.checks import own_checks
from validator.checks.model import Severity, Status
from validator.evidence import Layer
from validator.facts import IMAGE_FACTS, INSTALLATION_FACTS
from validator.facts.model import parameters, takes_attempt
from validator.judging import Verdict
from validator.report.model import Report
from validator.source import Budget, Files, FileSource
from validator.validation import validate

SUBJECTS = {
    "generalized/vhdx-dynamic": Verdict.DEPLOYABLE,
    "generalized/vhd-dynamic": Verdict.DEPLOYABLE,
    "generalized/vhd-fixed": Verdict.DEPLOYABLE,
    "generalized/vhdx-4kn": Verdict.DEPLOYABLE,
    "undeployable/vhdx-dynamic": Verdict.UNDEPLOYABLE,
    "edited/vhd-dynamic": Verdict.UNDEPLOYABLE,
    "decoy/vhdx-dynamic": Verdict.UNDEPLOYABLE,
    "pending-sector": Verdict.UNDEPLOYABLE,
    "pending-bat": Verdict.UNDEPLOYABLE,
    "dirty-hive": Verdict.UNDEPLOYABLE,
    "child-vhdx": Verdict.UNDEPLOYABLE,
    "child-vhd": Verdict.UNDEPLOYABLE,
}
"""Images and the truth about them. What lies under a pending or dirty log says the opposite."""
MOST_READS = 400
"""No check of these images reads more often."""


def _image(name: str) -> Path:
    try:
        return seed(name).image
    except MissingTool as missing:
        pytest.skip(str(missing))


# --- reads that fail -----------------------------------------------------------------------------


class FaultyFile:
    """An open file one of whose reads fails."""

    def __init__(self, file: Any, plan: Plan) -> None:
        self._file = file
        self._plan = plan

    def read(self, size: int) -> bytes:
        """As the operating system answers it."""
        self._plan.done += 1
        if self._plan.done == self._plan.number or (self._plan.lasting and self._plan.hit):
            self._plan.hit = True
            return self._plan.fault(self._file, size)
        data: bytes = self._file.read(size)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


Fault = Callable[[Any, int], bytes]


class Plan:
    """Which read fails, counted over all files of a check, and how."""

    def __init__(self, fault: Fault, *, lasting: bool) -> None:
        self.fault = fault
        self.lasting = lasting
        self.begin(0)

    def begin(self, number: int) -> None:
        """Let the read of this number be the next that fails; 0 for none."""
        self.number, self.done, self.hit = number, 0, False


def _error(code: int) -> Fault:
    def fault(file: Any, size: int) -> bytes:
        raise OSError(code, os.strerror(code))

    return fault


def _raise(error: type[BaseException]) -> Fault:
    def fault(file: Any, size: int) -> bytes:
        raise error

    return fault


def _half(file: Any, size: int) -> bytes:
    data: bytes = file.read(max(1, size // 2))
    return data


FAULTS: dict[str, tuple[Fault, bool]] = {
    "a bad sector": (_error(errno.EIO), False),
    "a disk that is gone": (_error(errno.EIO), True),
    "a stale handle of a network file system": (_error(errno.ESTALE), True),
    "the end of the file": (lambda file, size: b"", False),
    "a file cut meanwhile": (lambda file, size: b"", True),
    "no memory": (_raise(MemoryError), False),
    "too deep": (_raise(RecursionError), False),
}
OF_OURS = ("no memory", "too deep")
"""Faults that are no layer's: they may be called a failure of the tool."""


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[Plan], None]:
    """Let every file that is opened follow a plan: its source is a `FaultyFile`'s."""

    def install(plan: Plan) -> None:
        begin = FileSource.__init__

        def opened(self: Any, *arguments: Any, **named: Any) -> None:
            begin(self, *arguments, **named)
            self._file = FaultyFile(self._file, plan)

        monkeypatch.setattr(FileSource, "__init__", opened)

    return install


def _runs(path: Path, plan: Plan) -> Iterator[Report]:
    """A check with the first read failing, one with the second, until one meets no fault any more."""
    for number in range(1, MOST_READS):
        plan.begin(number)
        report = validate(path, "generalized")
        if not plan.hit:
            assert number > 8, "the reads are not hooked"
            return
        yield report
    raise AssertionError(f"more than {MOST_READS} reads")


def _unanswered(report: Report) -> bool:
    return any(each.status is Status.UNKNOWN and each.severity is Severity.ERROR for each in report.findings)


def _blames_the_tool(report: Report) -> bool:
    return any(item.where.layer is Layer.TOOL for each in report.findings for item in each.evidence)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_any_read_may_fail(name: str, fault: str, faulty: Callable[[Plan], None]) -> None:
    """Each read of a whole check fails in its turn: never the wrong verdict, never a traceback.

    What was not needed may have failed. What was needed and failed is said, in the layer of the file.
    """
    path, truth = _image(name), SUBJECTS[name]
    assert validate(path, "generalized").verdict is truth
    what, lasting = FAULTS[fault]
    plan = Plan(what, lasting=lasting)
    faulty(plan)
    reports = list(_runs(path, plan))
    verdicts = {report.verdict for report in reports}
    assert verdicts <= {truth, Verdict.INDETERMINATE}, verdicts
    assert Verdict.INDETERMINATE in verdicts, "no read was needed"
    for report in reports:
        assert report.verdict is not Verdict.DEPLOYABLE or not _unanswered(report)
        assert fault in OF_OURS or not _blames_the_tool(report), report.summary


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_read_in_two_pieces_is_a_read(name: str, faulty: Callable[[Plan], None]) -> None:
    """A system call may return less than it was asked for; that alone is no fault."""
    path, truth = _image(name), SUBJECTS[name]
    plan = Plan(_half, lasting=True)
    faulty(plan)
    plan.begin(1)
    assert validate(path, "generalized").verdict is truth
    assert plan.hit


def test_a_fault_names_its_place(faulty: Callable[[Plan], None]) -> None:
    """The evidence says which bytes could not be had, and in whose words."""
    plan = Plan(_error(errno.EIO), lasting=True)
    faulty(plan)
    for report in _runs(_image("generalized/vhdx-dynamic"), plan):
        if report.verdict is Verdict.INDETERMINATE:
            said = " ".join(str(item) for each in report.findings for item in each.evidence)
            assert re.search(r"offset 0x\w+: expected \d+ bytes, found [^:]*" + os.strerror(errno.EIO), said)


@pytest.mark.parametrize("name", ["generalized/vhdx-dynamic", "pending-sector", "dirty-hive", "child-vhd"])
def test_a_budget_may_end_at_any_byte(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few bytes may be read, what comes of them is no other verdict."""
    path, truth = _image(name), SUBJECTS[name]
    total = validate(path, "generalized").io.bytes_read
    verdicts = []
    for limit in range(0, total + 4096, max(4096, total // 60)):
        budget = Budget(max_bytes=limit)
        monkeypatch.setattr("validator.validation.Files", lambda budget=budget: Files(budget))
        verdicts.append(validate(path, "generalized").verdict)
    assert set(verdicts) <= {truth, Verdict.INDETERMINATE}
    assert verdicts[0] is Verdict.INDETERMINATE


@pytest.mark.parametrize("name", ["generalized/vhdx-dynamic", "pending-sector", "dirty-hive", "child-vhd"])
def test_the_time_may_end_at_any_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock runs out in front of each read in its turn."""
    path, truth = _image(name), SUBJECTS[name]
    for reads in range(MOST_READS):
        ticks = [0.0] * (reads + 1)

        def clock(ticks: list[float] = ticks) -> float:
            return ticks.pop() if ticks else 100.0

        monkeypatch.setattr("validator.validation.Files", lambda: Files(Budget(clock=clock)))
        report = validate(path, "generalized")
        assert report.verdict in (truth, Verdict.INDETERMINATE)
        if ticks:
            return
    raise AssertionError("the clock is asked for ever")


# --- opening and closing -------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["open", "fstat", "stat"])
@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.EMFILE, errno.ESTALE])
def test_the_file_may_refuse(call: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses at the door or at the end is said; nothing was judged then."""
    path = _image("generalized/vhdx-dynamic")
    for number in range(1, 9):
        with monkeypatch.context() as patch:
            counted = Failing(getattr(os, call), number, code, path)
            patch.setattr(f"validator.source.os.{call}", counted)
            report = validate(path, "generalized")
            if not counted.hit:
                break
        assert report.verdict is Verdict.INDETERMINATE
        assert os.strerror(code) in report.summary
    assert number > 1, "it is never called"


class Failing:
    """A function of the system that fails at one call that is about the image."""

    def __init__(self, real: Callable[..., Any], number: int, code: int, path: Path) -> None:
        self._real, self._number, self._code, self._path = real, number, code, str(path)
        self.hit = False

    def __call__(self, subject: Any, *rest: Any, **named: Any) -> Any:
        if isinstance(subject, int) or os.fspath(subject) == self._path:
            self._number -= 1
            if not self._number:
                self.hit = True
                raise OSError(self._code, os.strerror(self._code))
        return self._real(subject, *rest, **named)


def test_no_file_stays_open(faulty: Callable[[Plan], None]) -> None:
    """After whatever fault, all files are closed again."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    path = _image("child-vhdx")
    plan = Plan(_error(errno.EIO), lasting=False)
    faulty(plan)
    before = len(os.listdir("/proc/self/fd"))
    for _ in _runs(path, plan):
        assert len(os.listdir("/proc/self/fd")) == before


# --- failures of our own -------------------------------------------------------------------------

FACTS = {**IMAGE_FACTS, **INSTALLATION_FACTS}


ASKED = "azure-generalized"
"""The profile that asks for most."""


def _needed() -> set[str]:
    """Facts without which a check of error severity has no answer."""
    needed: set[str] = set()
    waiting = [
        (name, annotation)
        for check in own_checks()
        if check.severity.get(ASKED) is Severity.ERROR
        for name, annotation in parameters(check.function)
    ]
    while waiting:
        name, annotation = waiting.pop()
        if name in FACTS and name not in needed and not takes_attempt(annotation):
            needed.add(name)
            waiting += parameters(FACTS[name])
    return needed


@pytest.mark.parametrize(("fact", "error"), list(zip(FACTS, cycle([MemoryError, RecursionError, OSError]))))
def test_any_fact_may_fail(
    fact: str,
    error: type[Exception],
    command: Command,
    image: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A defect or a lack of memory in any fact: an answer all the same, and no green on it."""

    def failing() -> None:
        raise error("injected")

    path = image(generalized())
    for table in (IMAGE_FACTS, INSTALLATION_FACTS):
        if fact in table:
            monkeypatch.setitem(table, fact, failing)
    outcome = command("check", "--profile", ASKED, "--will-convert", "--format", "json", path)
    verdict = outcome.json["images"][0]["verdict"]
    assert outcome.code == {"deployable": 0, "indeterminate": 3}[verdict]
    if fact in _needed():
        assert verdict == "indeterminate"
        assert f"image-validator failed ({error.__name__}: injected)" in outcome.stdout
        assert "Not answered, because image-validator itself failed." in outcome.stdout


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("fact", FACTS)
def test_an_interrupt_in_any_fact(
    fact: str,
    error: type[BaseException],
    command: Command,
    image: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is no failure is not taken for one: it ends the command, which says nothing of the image."""
    asked = False

    def interrupted() -> None:
        nonlocal asked
        asked = True
        raise error(7)

    for table in (IMAGE_FACTS, INSTALLATION_FACTS):
        if fact in table:
            monkeypatch.setitem(table, fact, interrupted)
    outcome = command("check", "--profile", ASKED, "--will-convert", image(generalized()))
    if asked:
        assert outcome.code == (130 if error is KeyboardInterrupt else 7)
        assert "DEPLOYABLE" not in outcome.stdout
    else:
        assert outcome.code == 0


@pytest.mark.parametrize("name", ["generalized/vhdx-dynamic", "generalized/vhd-fixed"])
def test_an_interrupt_leaves_the_library(name: str, faulty: Callable[[Plan], None]) -> None:
    """KeyboardInterrupt in any read comes out of `validate`, whichever engine was reading."""
    path = _image(name)
    plan = Plan(_raise(KeyboardInterrupt), lasting=False)
    faulty(plan)
    for number in range(1, MOST_READS):
        plan.begin(number)
        try:
            validate(path, "generalized")
        except KeyboardInterrupt:
            continue
        assert not plan.hit, f"read {number}: the interrupt was swallowed"
        return


# --- intent ---------------------------------------------------------------------------------------

LONG = "pwd" * 2500
VALUES: dict[str, Callable[[Windows], Windows]] = {
    "ImageState": lambda windows: windows.software(STATE_KEY, ImageState=LONG),
    "CmdLine": lambda windows: windows.system(SETUP_KEY, CmdLine=LONG),
    "ProductName": lambda windows: windows.software(VERSION_KEY, ProductName=LONG),
    "GeneralizationState": lambda windows: windows.system(SYSPREP_STATUS_KEY, GeneralizationState=LONG),
    "setup.exe": lambda windows: windows.system(CHILDREN_KEY, {"setup.exe": LONG}),
    "State.ini": lambda windows: windows.file(STATE_INI, state_ini(LONG)),
    "setupact.log": lambda windows: windows.file(
        SYSPREP_LOG, f"2024-01-01 10:00:00, Info SYSPRP {LONG}".encode()
    ),
}


@pytest.mark.parametrize("value", VALUES)
def test_a_long_text_makes_no_long_report(value: str, command: Command, image: Callable[..., Path]) -> None:
    """What people and CI logs get stays readable, and looking for secrets in it takes no time."""
    path = image(VALUES[value](generalized()))
    judged = command("check", "--format", "json", path)
    assert len(judged.stdout) < 128 * 1024
    assert judged.json["images"][0]["duration_ms"] < 5_000
    assert max(map(len, command("check", "--verbose", path).stdout.splitlines())) < 8 * 1024


def test_two_formats_in_one_file(command: Command, image: Callable[..., Path]) -> None:
    """A VHDX by its first bytes and a VHD by its last: another program may read the other disk."""
    path = image(generalized())
    with path.open("ab") as file:
        file.write(vhd.footer(path.stat().st_size, vhd.FIXED))
    judged = command.judge(path)
    assert judged.answer == ("indeterminate", 3)
    assert "signatures of two" in judged["summary"]


# --- what is written about it --------------------------------------------------------------------

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("page", ["reliability", "security"])
def test_the_tests_that_a_page_names_are_there(page: str) -> None:
    """Every `test_module::test_name` of a page is one of these tests."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)::(test_\w+)`", text))
    assert len(named) > 20
    missing = []
    for module, name in sorted(named):
        file = ROOT / "tests" / f"{module}.py"
        if not file.is_file() or f"def {name}(" not in file.read_text(encoding="utf-8"):
            missing.append(f"{module}::{name}")
    assert not missing, missing


def test_every_hazard_is_on_the_page() -> None:
    """H1 to H16, each with a test."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (H\d+) \|.*`test_\w+::test_\w+`", text, re.MULTILINE)
    assert rows == [f"H{number}" for number in range(1, 17)]
