"""Azure Pipelines' issues: as many as the agent keeps, read back as they were meant, hiding no exit code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ci_hosts import Found, azure_commands
from tests.reports import HOSTILE, hostile, run_of, sample
from tests.snapshot import agrees
from validator.checks.model import Severity, Status
from validator.judging import ExitCode, Verdict
from validator.report.annotations import annotations
from validator.report.azure_devops import upload_summary
from validator.report.formats import Style, render
from validator.report.model import RunReport


def commands(run: RunReport, style: Style | None = None) -> list[Found]:
    """What the agent acts on."""
    return azure_commands(render("azure-devops", run, style or Style()))


def issues(run: RunReport) -> list[Found]:
    """The issues among it."""
    return [each for each in commands(run) if each.name == "task.logissue"]


def test_the_sample() -> None:
    agrees(render("azure-devops", sample(), Style()), "report.azure-devops.txt")


def test_the_text_comes_first_and_as_it_is() -> None:
    shown = render("azure-devops", sample(), Style())
    text = render("text", sample(), Style())
    assert shown.startswith(text)
    assert azure_commands(text) == []
    assert all(line.startswith("##vso[") for line in shown.removeprefix(text).splitlines())


@pytest.mark.parametrize("run", [sample(), hostile(), hostile(2**20)], ids=["sample", "hostile", "1 MiB"])
def test_they_are_read_back_as_they_were_meant(run: RunReport) -> None:
    """Errors and warnings, which is all that the agent knows, with the check as the code."""
    meant = [each for each in annotations(run, Style(), 10) if each.level is not Severity.NOTICE]
    read = issues(run)
    assert [(each.properties["type"], each.properties.get("code", ""), each.data) for each in read] == [
        (each.level.value, each.check, f"{each.title}\n{each.text}") for each in meant
    ]


@pytest.mark.parametrize("times", [1, 2, 12])
def test_no_more_than_the_agent_keeps(times: int) -> None:
    images = [
        replace(image, path=f"{number}/{image.path}") for number in range(times) for image in sample().images
    ]
    kinds = [each.properties["type"] for each in issues(run_of(*images))]
    assert set(kinds) == {"error", "warning"}
    assert max(map(kinds.count, kinds)) <= 10


def test_a_clean_run_says_nothing_to_the_agent() -> None:
    assert commands(run_of(sample().images[0])) == []
    assert commands(run_of()) == []


def test_what_had_no_image_is_an_issue() -> None:
    """The exit code is 4 though every image is good: the task says why."""
    lacks = ("m.json: build “a” (null) has no files", "no image matches *.vhd")
    for images in ((), sample().images[:1]):
        run = replace(run_of(*images), exit_code=ExitCode.NOTHING_TO_CHECK, lacks=lacks)
        found = [each.data for each in issues(run) if each.properties["type"] == "error"]
        assert found == [f"nothing to check\n{each}" for each in lacks]
        assert commands(run)[-1] == ("task.complete", {"result": "SucceededWithIssues"}, "")
    (issue,) = issues(replace(run_of(), lacks=(HOSTILE + "A" * 2**20,)))
    assert len(issue.data) < 5000
    assert issue.data.replace("\n", "").isprintable()


def _warned() -> RunReport:
    """Deployable, with warnings."""
    report = sample().images[2]
    findings = tuple(
        each._replace(status=Status.PASSED) if each.severity is Severity.ERROR else each
        for each in report.findings
    )
    judgement = report.judgement._replace(verdict=Verdict.DEPLOYABLE, findings=findings)
    return run_of(replace(report, judgement=judgement))


@pytest.mark.parametrize(
    ("run", "completed"),
    [
        (_warned(), ["SucceededWithIssues"]),
        (run_of(sample().images[3]), ["SucceededWithIssues"]),
        (run_of(sample().images[1]), []),
        (sample(), []),
        (hostile(), []),
    ],
    ids=["warnings", "indeterminate", "undeployable", "several", "hostile"],
)
def test_only_doubt_completes_the_task_and_never_as_good(run: RunReport, completed: list[str]) -> None:
    """The agent merges it with the exit code, the worse wins; where the command fails, nothing is said."""
    found = [each.properties["result"] for each in commands(run) if each.name == "task.complete"]
    assert found == completed


@pytest.mark.parametrize("path", ["/tmp/a b/x.md", "C:\\agent\\_temp\\x.md", "/t/a]b;c%d%3Be\r\nf.md"])
def test_the_summary_is_found_by_its_path(path: str) -> None:
    (command,) = azure_commands(upload_summary(path))
    assert command == ("task.uploadsummary", {}, path)
