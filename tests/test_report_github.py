"""GitHub's annotations: as many as the runner keeps, read back as they were meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ci_hosts import Found, github_commands
from tests.reports import hostile, run_of, sample
from tests.snapshot import agrees
from validator.checks.model import Severity, Status
from validator.evidence import Evidence, Layer, Location
from validator.report.annotations import annotations
from validator.report.formats import Style, render
from validator.report.model import RunReport

LEVELS = ["error", "warning", "notice"]


def commands(run: RunReport, style: Style | None = None) -> list[Found]:
    """The annotations as the runner reads them."""
    return github_commands(render("github", run, style or Style()))


def test_the_sample() -> None:
    agrees(render("github", sample(), Style()), "report.github.txt")


def test_the_text_comes_first_and_as_it_is() -> None:
    """What a person reads in the log is the report; the rest is for the page of the run."""
    shown = render("github", sample(), Style())
    text = render("text", sample(), Style())
    assert shown.startswith(text)
    assert github_commands(text) == []
    assert all(line.startswith("::") for line in shown.removeprefix(text).splitlines())


@pytest.mark.parametrize("run", [sample(), hostile(), hostile(2**20)], ids=["sample", "hostile", "1 MiB"])
def test_they_are_read_back_as_they_were_meant(run: RunReport) -> None:
    """Level, title and lines, and no property besides: neither file nor line, which an image has not."""
    meant = list(annotations(run, Style(), 10))
    read = commands(run)
    assert [(each.name, each.properties) for each in read] == [
        (each.level.value, {"title": each.title}) for each in meant
    ]
    for found, annotation in zip(read, meant):
        assert found.data == annotation.text or found.data[:-1] == annotation.text[: len(found.data) - 1]


@pytest.mark.parametrize("name", ["a,file=b.vhdx", "c:d%2Ce%0A.vhdx", "f::g.vhdx"])
def test_names_are_read_back(name: str) -> None:
    """A comma begins no property, a colon ends none."""
    for found in commands(run_of(replace(sample().images[1], path=name))):
        assert list(found.properties) == ["title"]
        assert found.properties["title"].endswith(f": {name}")


@pytest.mark.parametrize("run", [sample(), hostile()], ids=["sample", "hostile"])
def test_verdicts_first_then_by_severity(run: RunReport) -> None:
    read = commands(run)
    verdicts, rest = read[: len(run.images)], read[len(run.images) :]
    assert [each.properties["title"].split(":")[0] for each in verdicts] == [
        each.verdict.value for each in run.images
    ]
    ranks = [LEVELS.index(each.name) for each in rest]
    assert ranks == sorted(ranks)


def test_levels_of_verdicts() -> None:
    """Red is what is known to be bad; what could not be judged fails the command, and is not red."""
    levels = {each.properties["title"].split(":")[0]: each.name for each in commands(sample())[:4]}
    assert levels == {"deployable": "notice", "undeployable": "error", "indeterminate": "warning"}


def test_what_a_policy_accepts_is_not_red() -> None:
    """The verdict stays what it is; it fails nothing any more."""
    report = sample().images[1]
    accepted = tuple(
        each._replace(status=Status.WAIVED) if each.status is Status.FAILED else each
        for each in report.findings
    )
    run = run_of(replace(report, judgement=report.judgement._replace(findings=accepted)))
    assert [(each.name, each.properties["title"]) for each in commands(run)] == [
        ("warning", "undeployable: images/undeployable.vhdx")
    ]


def test_what_is_wrong_with_the_policy_is_a_warning() -> None:
    run = replace(run_of(sample().images[0]), warnings=("A waiver accepted nothing.",))
    assert [(each.name, each.properties["title"], each.data) for each in commands(run)[1:]] == [
        ("warning", "policy", "A waiver accepted nothing.")
    ]


def test_a_warning_that_fails_the_command_is_red() -> None:
    """With `--fail-on warning`, on the verdict that is no verdict any more."""
    report = sample().images[2]
    warned = tuple(each for each in report.findings if each.severity is not Severity.ERROR)
    run = run_of(replace(report, judgement=report.judgement._replace(findings=warned)))
    assert commands(run)[0].name == "warning"
    assert commands(replace(run, fail_on=Severity.WARNING))[0].name == "error"


def test_quiet_has_verdicts_only() -> None:
    assert len(commands(sample(), Style(quiet=True))) == len(sample().images)


@pytest.mark.parametrize("times", [1, 2, 3, 12])
def test_no_more_than_the_runner_keeps(times: int) -> None:
    """Ten of a level; where there are more, the tenth names the others, and nothing is counted twice."""
    images = [
        replace(image, path=f"{number}/{image.path}") for number in range(times) for image in sample().images
    ]
    run = run_of(*images)
    everything = list(annotations(run, Style(), 10**6))
    read = commands(run)
    for level in LEVELS:
        of_level = [each for each in read if each.name == level]
        wanted = sum(each.level.value == level for each in everything)
        assert len(of_level) == min(10, wanted)
        if wanted > 10:
            assert of_level[-1].properties["title"] == f"and {wanted - 9} more"
            assert of_level[-1].data.startswith("In the log: ")
    assert [each.properties["title"].split(":")[0] for each in read if each.name == "error"][
        : min(9, 2 * times)
    ] == ["undeployable"] * min(9, 2 * times)


@pytest.mark.parametrize("character", ["x", "\U0001f4be", "%", "\n"])
def test_no_message_is_longer_than_the_runner_takes(character: str) -> None:
    """Counted as the runner does, in code units of UTF-16; cut by us, with a sign that it was."""
    report = sample().images[1]
    where = Location(Layer.HIVE, path=character * 1000)
    findings = tuple(
        each._replace(evidence=(Evidence(where, character * 1000, character * 1000),) * 20)
        for each in report.findings
    )
    read = commands(run_of(replace(report, judgement=report.judgement._replace(findings=findings))))
    lengths = [len(each.data.encode("utf-16-le")) // 2 for each in read]
    assert max(lengths) <= 4096
    if character == "\U0001f4be":
        longest = read[lengths.index(max(lengths))]
        assert longest.data.endswith("…")
        assert "\U0001f4be" in longest.data


def test_what_was_not_answered_is_one_warning() -> None:
    """For one reason, however many checks wait for it."""
    verdict, rest = commands(run_of(sample().images[3]))
    assert (verdict.name, rest.name) == ("warning", "warning")
    assert (
        rest.properties["title"]
        == f"image-state and {len(sample().images[3].findings) - 1} more: images/corrupt.vhdx"
    )
    assert "region table" in rest.data
