"""JUnit XML: valid by both schemas in use, and read back by what reads it."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import junitparser
import pytest

from tests.reports import HOSTILE, hostile, run_of, sample
from tests.schemas import published
from tests.snapshot import agrees
from validator.checks.model import Severity, Status
from validator.evidence import Evidence, Layer, Location
from validator.judging import ExitCode
from validator.policy.model import Waiver
from validator.report.formats import Style, render
from validator.report.model import RunReport

SCHEMAS = ("JUnit.windyroad.xsd", "junit-10.jenkins-xunit.xsd")
OUTCOMES = {Status.UNKNOWN: "error", Status.NOT_APPLICABLE: "skipped", Status.WAIVED: "skipped"}
ATTACHMENT = "[[ATTACHMENT|/etc/passwd]]"

RUNS = {
    "sample": sample(),
    "none": run_of(),
    "hostile": hostile(),
    "1 MiB": hostile(2**20),
    "blank": run_of(replace(sample().images[0], path=" ")),
    "lacking": replace(
        run_of(sample().images[0]),
        exit_code=ExitCode.NOTHING_TO_CHECK,
        lacks=(
            "m.json: build “a” (null) has no files",
            "m.json: build “a” (null) has no files",
            HOSTILE,
            " ",
        ),
    ),
    "nothing": replace(run_of(), lacks=(HOSTILE + "A" * 2**20,)),
}


def xml(run: RunReport) -> Any:
    """The report, read back."""
    return ElementTree.fromstring(render("junit", run, Style()))


def outcomes(run: RunReport) -> list[str | None]:
    """What each case says, in their order."""
    return [case[0].tag if len(case) else None for case in xml(run).iter("testcase")]


def test_the_sample() -> None:
    agrees(render("junit", sample(), Style()), "report.junit.xml")


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_both_schemas(name: str, schema: str, tmp_path: Path) -> None:
    """By libxml2, which is what GitLab reads with, and with its limits."""
    path = published(schema)
    if shutil.which("xmllint") is None:
        pytest.skip("xmllint (libxml2-utils) is not installed")
    report = tmp_path / "TEST-image-validator.xml"
    report.write_text(render("junit", RUNS[name], Style()), encoding="utf-8")
    done = subprocess.run(
        ["xmllint", "--noout", "--nonet", "--schema", path, report], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_it_is_read_back(tmp_path: Path) -> None:
    """By a library that others use: a suite per image, a case per finding, and the sums of the suites."""
    report = tmp_path / "TEST-image-validator.xml"
    report.write_text(render("junit", sample(), Style()), encoding="utf-8")
    suites = list(junitparser.JUnitXml.fromfile(str(report)))
    assert len(suites) == len(sample().images)
    for suite, image in zip(suites, sample().images):
        wanted = Counter(
            "failure"
            if each.status is Status.FAILED and each.severity is Severity.ERROR
            else OUTCOMES.get(each.status, "passed")
            for each in image.findings
        )
        cases = list(suite)
        found = Counter(type(case.result[0]).__name__.lower() if case.result else "passed" for case in cases)
        assert found == wanted
        assert suite.tests == len(cases) == len(image.findings)
        sums = {"failure": suite.failures, "error": suite.errors, "skipped": suite.skipped}
        assert sums == {outcome: wanted[outcome] for outcome in sums}
        assert image.path in suite.name
        assert {each.name: each.value for each in suite.properties()}["verdict"] == image.verdict.value


def test_what_had_no_image_is_an_error() -> None:
    """A host that reads the report instead of the exit code sees that something is missing."""
    run = RUNS["lacking"]
    *_, suite = xml(run).findall("testsuite")
    names = [case.get("name") for case in suite.iter("testcase")]
    assert suite.get("tests") == suite.get("errors") == str(len(run.lacks)) == str(len(set(names)))
    errors = list(suite.iter("error"))
    assert errors[0].get("message") == errors[0].text == run.lacks[0]
    assert all(len(each.get("message")) < 5000 for each in xml(RUNS["nothing"]).iter("error"))
    assert not list(xml(run_of()).iter("testsuite"))


def test_what_was_found_stands_in_the_message_and_in_the_body() -> None:
    """GitLab shows the one, Azure the other."""
    seen = 0
    for case in xml(sample()).iter("testcase"):
        for outcome in case:
            seen += 1
            assert outcome.get("message")
            assert outcome.text.startswith(outcome.get("message"))
            if outcome.tag != "skipped":
                assert outcome.get("type")
    assert seen > 90
    failure = next(xml(sample()).iter("failure"))
    assert r"\Windows\System32\config\SOFTWARE" in failure.text
    assert "sysprep.exe /generalize" in failure.text


def test_a_warning_that_does_not_fail_is_told_all_the_same() -> None:
    """Its case has passed; the output of the suite has it."""
    suite = xml(sample()).findall("testsuite")[2]
    (case,) = [each for each in suite.iter("testcase") if each.get("name").startswith("setup-pending:")]
    assert len(case) == 0
    out = suite.find("system-out").text
    assert out.startswith("undeployable: ")
    assert "warning: setup-pending\nWindows Setup is not pending" in out
    assert "notice: recommended-settings" in out
    assert "error:" not in out


def test_a_warning_that_fails_the_command_is_a_failure() -> None:
    """With --fail-on warning; a notice never is."""
    run = sample()
    strict = replace(run, fail_on=Severity.WARNING)
    failed = [each for image in run.images for each in image.findings if each.status is Status.FAILED]
    counts = Counter(each.severity for each in failed)
    assert counts[Severity.WARNING] > 0 < counts[Severity.NOTICE]
    assert outcomes(run).count("failure") == counts[Severity.ERROR]
    assert outcomes(strict).count("failure") == counts[Severity.ERROR] + counts[Severity.WARNING]


def test_what_a_policy_accepts_is_skipped_with_its_reason() -> None:
    image = sample().images[1]
    waiver = Waiver("container-format", "converted by the next step", until=date(2031, 1, 31))
    findings = tuple(
        each._replace(waiver=waiver) if each.status is Status.WAIVED else each for each in image.findings
    )
    run = run_of(replace(image, judgement=image.judgement._replace(findings=findings)))
    shown = [each.get("message") for each in xml(run).iter("skipped")]
    (accepted,) = [each for each in shown if each.startswith("accepted until 2031-01-31 ")]
    assert "(converted by the next step): Azure takes VHD files only" in accepted


def test_every_case_has_a_name_of_its_own() -> None:
    """GitLab counts only the first of a name; of a check that found several things, all count."""
    image = sample().images[2]
    doubled = tuple(each for each in image.findings for _ in range(3))
    image = replace(image, judgement=image.judgement._replace(findings=doubled))
    run = run_of(*(replace(image, path=f"/{folder}/disk.x.vhdx") for folder in "ab"))
    names = [(each.get("classname"), each.get("name")) for each in xml(run).iter("testcase")]
    assert len(set(names)) == len(names) == 2 * len(doubled)
    assert names[0][1] == "image-state: ImageState is that of what is to be deployed."
    assert names[1][1] == f"{names[0][1]} (2)"


def test_a_dot_is_the_border_of_a_class() -> None:
    """Jenkins makes a package of what is before it: that is the image, and the class is the family."""
    classes = {each.get("classname") for each in xml(sample()).iter("testcase")}
    assert "images/undeployable_vhdx.generalization" in classes
    assert all(each.count(".") == 1 for each in classes)
    assert {each.partition(".")[0] for each in classes} == {
        each.get("package") for each in xml(sample()).iter("testsuite")
    }


@pytest.mark.parametrize("name", ["hostile", "1 MiB", "lacking", "nothing"])
def test_hostile_text(name: str) -> None:
    """Every character is one of XML, no line is a command, and no text is long."""
    text = render("junit", RUNS[name], Style())
    assert len(text) < 500_000
    assert all(line.isprintable() for line in text.splitlines())
    assert "##" not in text
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
    assert "<script" not in text
    assert "onerror" in "".join(ElementTree.fromstring(text).itertext())


def test_no_file_of_the_machine_is_attached() -> None:
    """By a mark that GitLab and Jenkins look for in what a test put out."""
    image = sample().images[2]
    findings = tuple(
        each._replace(
            message=ATTACHMENT,
            evidence=(each.evidence[0]._replace(found=ATTACHMENT),) if each.evidence else (),
        )
        for each in image.findings
    )
    judgement = image.judgement._replace(summary=ATTACHMENT, findings=findings)
    text = render("junit", run_of(replace(image, path=ATTACHMENT, judgement=judgement)), Style())
    assert "[[ATTACHMENT" not in text
    assert text.count("[ATTACHMENT|/etc/passwd]]") > 10


def test_times() -> None:
    """In seconds, never with an exponent; the suite's own without a zone, as a schema has it."""
    fast = replace(sample().images[0], duration_ms=0.004)
    slow = replace(sample().images[0], duration_ms=1_234_567.8, path="slow.vhd")
    suites = xml(run_of(fast, slow)).findall("testsuite")
    assert [each.get("time") for each in suites] == ["0.000", "1234.568"]
    assert {each.get("timestamp") for each in suites} == {"2024-05-15T08:30:00"}


def test_no_larger_than_a_host_takes() -> None:
    """The accounts of findings become short, none of them goes."""
    image = hostile().images[0]
    noisy = tuple(
        each._replace(
            status=Status.FAILED,
            severity=Severity.ERROR,
            evidence=(Evidence(Location(Layer.FILE), "&" * 2000),) * 10,
        )
        for each in image.findings
        for _ in range(10)
    )
    run = run_of(replace(image, judgement=image.judgement._replace(findings=noisy)))
    text = render("junit", run, Style())
    assert len(text.encode()) <= 30_000_000
    failures = list(ElementTree.fromstring(text).iter("failure"))
    assert len(failures) == len(noisy)
    assert all(each.text for each in failures)
    assert max(each.text.count("\n") for each in failures) == 2
