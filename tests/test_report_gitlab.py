"""GitLab's code quality report: every entry valid, none lost to another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.command import ROOT, Command
from tests.reports import hostile, run_of, sample
from tests.schemas import obeys
from tests.snapshot import agrees
from validator.checks.model import Status
from validator.report.formats import Style, render
from validator.report.model import RunReport


def entries(run: RunReport) -> Any:
    """The report, read back."""
    text = render("gitlab", run, Style())
    assert text.isascii()
    return json.loads(text)


def test_the_sample() -> None:
    agrees(render("gitlab", sample(), Style()), "report.gitlab.json")


@pytest.mark.parametrize("run", [sample(), hostile(), hostile(2**20)], ids=["sample", "hostile", "1 MiB"])
def test_every_entry_is_one(run: RunReport) -> None:
    """The server stops at the first that is not, keeps one of a fingerprint, and trips over no path."""
    found = entries(run)
    assert len({each["fingerprint"] for each in found}) == len(found) > 0
    for each in found:
        obeys(each, "gitlab-code-quality-item.schema.json")
        assert each["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert each["description"].startswith(f"{each['check_name']}: ")
        assert each["description"].isprintable()
        assert len(each["description"]) < 2000
        assert not each["location"]["path"].startswith(("/", "./", "../"))
        assert each["location"]["lines"] == {"begin": 1}


def test_nothing_wrong_is_an_empty_array() -> None:
    """An empty file is an error to the server."""
    good = run_of(sample().images[0])
    assert not [each for each in good.images[0].findings if each.status is Status.FAILED]
    assert render("gitlab", good, Style()) == "[]\n"
    assert render("gitlab", run_of(), Style()) == "[]\n"


def test_what_was_not_answered_is_there() -> None:
    (entry,) = entries(run_of(sample().images[3]))
    assert entry["severity"] == "critical"
    assert "region table" in entry["description"]
    assert f"{len(sample().images[3].findings) - 1} more checks" in entry["description"]


def test_what_failed_is_graver_than_what_was_not_answered() -> None:
    severities = [each["severity"] for each in entries(sample())]
    order = ["blocker", "critical", "major", "minor", "info"]
    assert severities == sorted(severities, key=order.index)
    assert {"blocker", "critical", "major", "info"} == set(severities)


def test_no_command_for_the_host() -> None:
    """Whoever prints the report in a job of another host runs nothing by it."""
    for run in (hostile(), sample()):
        text = render("gitlab", run, Style())
        assert "##" not in text
        assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]


def test_paths_are_those_below_the_working_directory(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command itself, for an image that is named by its whole path."""
    found = []
    for folder in (ROOT, ROOT / "sample_images", ROOT / "tests"):
        monkeypatch.chdir(folder)
        (entry,) = command("check", "--format", "gitlab", ROOT / "sample_images" / "corrupt.vhdx").json
        found.append(entry["location"]["path"])
    assert found == ["sample_images/corrupt.vhdx", "corrupt.vhdx", "corrupt.vhdx"]
