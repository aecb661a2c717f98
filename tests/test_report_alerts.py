"""What a host keeps track of: which alerts there are, and that the next run has the same ones."""

from __future__ import annotations

import ntpath
import posixpath
from collections import Counter
from dataclasses import replace
from types import ModuleType

import pytest

from tests.reports import hostile, run_of, sample
from validator.checks.model import Severity, Status
from validator.evidence import Evidence, Layer, Location
from validator.judging import Judged
from validator.report.account import LONGEST, account
from validator.report.alerts import Alert, alerts, below, image_names, told_apart
from validator.report.model import Report, RunReport

WANTED = (Status.FAILED, Status.UNKNOWN)


def changed(report: Report, **fields: object) -> Report:
    """The report with every finding changed."""
    findings = tuple(each._replace(**fields) for each in report.findings)
    return replace(report, judgement=report.judgement._replace(findings=findings))


def fingerprints(run: RunReport) -> set[tuple[str, str]]:
    """Check and fingerprint of all alerts."""
    return {(each.judged.check.id, each.fingerprint) for each in alerts(run)}


def test_whatever_failed_or_was_not_answered_is_in_an_alert() -> None:
    """Once; and nothing else is: what passed, was waived or does not apply."""
    run = sample()
    told = Counter(
        (each.image, check) for each in alerts(run) for check in (each.judged.check.id, *each.others)
    )
    wanted = Counter(
        (index, judged.check.id)
        for index, image in enumerate(run.images)
        for judged in image.findings
        if judged.status in WANTED
    )
    assert told == wanted
    assert len(wanted) > 80


def test_what_has_one_cause_is_one_alert() -> None:
    """A damaged container leaves every check unanswered, and is one problem."""
    (alert,) = alerts(run_of(sample().images[3]))
    assert (alert.judged.check.id, alert.judged.severity) == ("image-state", Severity.ERROR)
    assert len(alert.others) == len(sample().images[3].findings) - 1
    assert "evidence-agrees" in list(alert.account())[1]


def test_the_gravest_comes_first() -> None:
    """By severity, and what is known before what is not: a host that takes no more keeps what matters."""
    ranks = [(each.judged.severity.rank, each.judged.status is Status.UNKNOWN) for each in alerts(sample())]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) > 3
    levels = [each.level.rank for each in alerts(sample())]
    assert levels == sorted(levels)


@pytest.mark.parametrize(
    ("status", "severity", "level"),
    [
        (Status.FAILED, Severity.ERROR, Severity.ERROR),
        (Status.FAILED, Severity.NOTICE, Severity.NOTICE),
        (Status.UNKNOWN, Severity.ERROR, Severity.WARNING),
        (Status.UNKNOWN, Severity.WARNING, Severity.NOTICE),
        (Status.UNKNOWN, Severity.NOTICE, Severity.NOTICE),
    ],
)
def test_doubt_is_less_loud_than_knowledge(status: Status, severity: Severity, level: Severity) -> None:
    judged = sample().images[0].findings[0]._replace(status=status, severity=severity)
    assert Alert(0, judged, (), "").level is level


# --- fingerprints --------------------------------------------------------------------------------


def test_an_alert_is_known_again() -> None:
    """On another day, in another folder, by another version, with other evidence and severity."""
    run = sample()
    found = fingerprints(run)
    elsewhere = [replace(image, path=f"/build/4711/{image.path}") for image in run.images]
    later = replace(
        run,
        tool_version="9.9.9",
        started=run.started.replace(year=2030),
        folder="/build/4711",
        images=tuple(elsewhere),
    )
    assert fingerprints(later) == found
    where = Evidence(Location(Layer.HIVE, 77, 9, "\\other", key="{2f0a8e5c}"), "other")
    reworded = [changed(image, message="other", severity=Severity.NOTICE) for image in run.images]
    reworded = [
        changed(image, evidence=(where,)) if index != 3 else image for index, image in enumerate(reworded)
    ]
    assert fingerprints(run_of(*reworded)) == found


def test_no_two_alerts_are_taken_for_one() -> None:
    """Of one check in two images, of two checks in one, of one check twice in one."""
    run = sample()
    twice = run.images[2]
    findings = [each for each in twice.findings for _ in range(2)]
    twice = replace(twice, path="twice.vhdx", judgement=twice.judgement._replace(findings=tuple(findings)))
    found = [each.fingerprint for each in alerts(run_of(*run.images, twice))]
    assert len(set(found)) == len(found) > len(alerts(run))


def test_images_of_one_name_in_several_folders_are_told_apart() -> None:
    image = sample().images[2]
    run = run_of(*(replace(image, path=f"/{folder}/disk.vhdx") for folder in "abc"))
    assert image_names(run) == ["disk.vhdx", "disk.vhdx (2)", "disk.vhdx (3)"]
    assert len({each.fingerprint for each in alerts(run)}) == len(alerts(run))


def test_a_number_is_not_taken_for_a_name() -> None:
    assert list(told_apart(["a", "a (2)", "a", "a"])) == ["a", "a (2)", "a (3)", "a (4)"]


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "folder", "system", "name"),
    [
        ("disk.vhdx", "/build", posixpath, "disk.vhdx"),
        ("./out//x/../disk.vhdx", "/build", posixpath, "out/disk.vhdx"),
        ("/build/out/disk.vhdx", "/build", posixpath, "out/disk.vhdx"),
        ("/build/disk.vhdx", "/build/", posixpath, "disk.vhdx"),
        ("/disk.vhdx", "/", posixpath, "disk.vhdx"),
        ("/builder/disk.vhdx", "/build", posixpath, None),
        ("/mnt/disk.vhdx", "/build", posixpath, None),
        ("/mnt/disk.vhdx", "", posixpath, None),
        ("disk.vhdx", "", posixpath, "disk.vhdx"),
        ("../disk.vhdx", "/build", posixpath, None),
        ("/build/../mnt/disk.vhdx", "/build", posixpath, None),
        ("..disk.vhdx", "/build", posixpath, "..disk.vhdx"),
        (r"out\disk.vhdx", "/build", posixpath, r"out\disk.vhdx"),
        (r"out\disk.vhdx", r"C:\work", ntpath, "out/disk.vhdx"),
        (r"c:\WORK\out/disk.vhdx", r"C:\work", ntpath, "out/disk.vhdx"),
        (r"C:\disk.vhdx", "C:\\", ntpath, "disk.vhdx"),
        (r"D:\work\disk.vhdx", r"C:\work", ntpath, None),
        (r"D:disk.vhdx", r"C:\work", ntpath, None),
        (r"\disk.vhdx", r"C:\work", ntpath, None),
        (r"\\server\share\disk.vhdx", r"C:\work", ntpath, None),
        (r"\\server\share\out\disk.vhdx", r"\\server\share", ntpath, "out/disk.vhdx"),
    ],
)
def test_below_the_working_directory(path: str, folder: str, system: ModuleType, name: str | None) -> None:
    """Elsewhere is None; what a name looks like follows the system that the path is of."""
    assert below(path, folder, system) == name


@pytest.mark.parametrize("path", ["/", ".", "..", "/mnt/", " ", "\x00"])
def test_every_image_has_a_name(path: str) -> None:
    (name,) = image_names(run_of(replace(sample().images[0], path=path)))
    assert name
    assert not name.startswith("/")
    assert name.isprintable()


# --- what is told of a finding -------------------------------------------------------------------


def test_an_account_has_the_evidence_and_the_remedy() -> None:
    judged = sample().images[1].findings[0]
    text = "\n".join(account(judged))
    assert judged.remedy is not None
    for part in (judged.message, judged.remedy.text, *judged.remedy.commands, judged.references[0]):
        assert part in text
    assert r"\Windows\System32\config\SOFTWARE" in text
    assert "2024-05-14T16:20:16, local time of the machine" in text


def test_an_account_is_bounded() -> None:
    """However many and however long; what is left out is counted."""

    def long(judged: Judged) -> Judged:
        assert judged.remedy is not None
        remedy = judged.remedy._replace(commands=judged.remedy.commands * 1000)
        return judged._replace(evidence=judged.evidence * 1000, remedy=remedy)

    for judged in hostile(2**20).images[0].findings[:3]:
        lines = list(account(long(judged)))
        assert len(lines) < 30
        assert all(len(line) <= LONGEST and line.isprintable() for line in lines)
        assert f"and {len(judged.evidence) * 1000 - 10} more pieces of evidence" in lines
        assert "and 1990 more commands" in lines
