"""Policies: what a team may change, what it may accept, and what it may not touch."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import validator
from tests.command import ROOT, Command, Judged
from tests.images import (
    Disk,
    Esp,
    Msr,
    Ntfs,
    Windows,
    damage,
    generalized,
    undeployable,
    vhdx,
)
from validator.checks import own_checks
from validator.checks.model import Finding, Remedy, Severity, Status, by_profile, check, failed
from validator.evidence import Evidence, Layer, Location
from validator.facts.model import Facts
from validator.judging import ExitCode, Verdict, exit_code, judge
from validator.policy import baseline
from validator.policy.acceptance import accept
from validator.policy.baseline import Baseline, entries
from validator.policy.model import NO_POLICY, PROMISED, Policy, Waiver
from validator.policy.search import MAX_SIZE
from validator.policy.toml import Table, Wrong, parsed

Image = Callable[..., Path]
Write = Callable[..., Path]

SCHEMA = json.loads((ROOT / "validator" / "policy" / "schema.json").read_text())
REPORT_SCHEMA = json.loads((ROOT / "validator" / "report" / "schema.json").read_text())
UNMET = """
[[expect]]
id = "agent"
title = "The agent is there."
remedy = "Install it."
file = {path = "C:/agent"}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A function that writes a file of a repository, in whose folder `work/here` the command is run."""
    here = tmp_path / "repository" / "work" / "here"
    here.mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    monkeypatch.chdir(here)

    def write(text: str, name: str = "image-validator.toml", above: int = 0) -> Path:
        folder = [here, here.parent, here.parent.parent, tmp_path][above]
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return write


def waiver(check: str, more: str = "", reason: str = "It is known.") -> str:
    """A waiver, as a policy has it."""
    return f'[[waiver]]\ncheck = "{check}"\nreason = "{reason}"\n{more}\n'


def warned() -> Windows:
    """Deployable, with a warning of `setup-pending` and one of `evidence-agrees`."""
    return generalized().system("Setup", CmdLine="cmd.exe /c tool.cmd")


def open_errors(judged: Judged) -> list[str]:
    """The checks that keep an image from being deployable."""
    return [
        each["check"]
        for each in judged["findings"]
        if each["severity"] == "error" and each["status"] in ("failed", "unknown")
    ]


# --- which file applies --------------------------------------------------------------------------

TOML, PROJECT = 'profile = "generalized"\n', '[tool.image-validator]\nprofile = "generalized"\n'


@pytest.mark.parametrize(
    ("files", "options", "source"),
    [
        ([], [], None),
        ([("image-validator.toml", TOML, 0)], [], "image-validator.toml"),
        ([("image-validator.toml", TOML, 2)], [], "../../image-validator.toml"),
        ([("image-validator.toml", TOML, 3)], [], None),
        ([("pyproject.toml", PROJECT, 0)], [], "pyproject.toml"),
        ([("pyproject.toml", PROJECT, 1)], [], "../pyproject.toml"),
        ([("pyproject.toml", '[tool."image-validator"]\nignore = []', 0)], [], "pyproject.toml"),
        ([("pyproject.toml", '[ tool ]\nimage-validator.ignore = []', 0)], [], "pyproject.toml"),
        ([("pyproject.toml", 'tool = {image-validator = {ignore = []}}', 0)], [], "pyproject.toml"),
        ([("pyproject.toml", '[[tool.image-validator.waiver]]\ncheck = "boot-files"\nreason = "x"', 0)], [],
         "pyproject.toml"),
        ([("pyproject.toml", '[project]\nname = "image-validator"', 0)], [], None),
        ([("pyproject.toml", "[tool]\nother = 1", 0)], [], None),
        ([("pyproject.toml", "# see [tool.image-validator]", 0)], [], None),
        ([("pyproject.toml", "[tool.x\nno TOML at all", 0)], [], None),
        ([("pyproject.toml", PROJECT, 0), ("image-validator.toml", TOML, 0)], [], "image-validator.toml"),
        ([("pyproject.toml", PROJECT, 0), ("image-validator.toml", TOML, 1)], [], "pyproject.toml"),
        ([("pyproject.toml", "[project]", 0), ("image-validator.toml", TOML, 1)], [],
         "../image-validator.toml"),
        ([("image-validator.toml", TOML, 0)], ["--no-policy"], None),
        ([("image-validator.toml", TOML, 0), ("own.toml", TOML, 1)], ["--policy", "../own.toml"],
         "../own.toml"),
    ],
)  # fmt: skip
def test_which_file_applies(
    command: Command, write: Write, files: list[tuple[str, str, int]], options: list[str], source: str | None
) -> None:
    """The nearest on the way up to the root of the repository; `policy show` says which and why."""
    for name, text, above in files:
        write(text, name, above)
    shown = command("policy", "show", "--format", "json", *options)
    assert shown.code == 0, shown.stderr
    assert shown.json["policy"]["source"] == source
    assert shown.json["policy"]["why"]


def test_the_folder_of_an_image_says_nothing(command: Command, image: Image, write: Write) -> None:
    """An image may come with files beside it; whoever runs the command has the say."""
    path = image(undeployable())
    (path.parent / "image-validator.toml").write_text(waiver("image-state"))
    assert command.judge(path).code == 1


def test_without_a_policy_nothing_is_loaded_for_it(command: Command, image: Image, write: Write) -> None:
    """No parser, no reader, though there is a pyproject.toml."""
    write('[project]\nname = "x"\n[tool.ruff]\nline-length = 100\n', "pyproject.toml")
    script = (
        "import sys\nfrom validator.cli import main\ntry:\n main()\nfinally:\n"
        " print(*{'tomllib', 'hashlib', 'difflib', 'validator.policy.file', 'validator.policy.acceptance',"
        " 'validator.checks.expectations', 'validator.policy.toml'} & set(sys.modules), file=sys.stderr)"
    )
    outcome = command.process(
        "check", image(generalized()), script=script, cwd=".", env={"PYTHONPATH": str(ROOT)}
    )
    assert (outcome.code, outcome.stderr) == (0, "\n")


# --- what is asked, and how grave it is ----------------------------------------------------------


def test_the_command_line_overrides_the_file(command: Command, write: Write) -> None:
    """Each option its key; what it does not name stays."""
    write('profile = "generalized"\nselect = ["boot"]\nignore = ["autologon"]\nfail-on = "warning"\n')
    shown = command("policy", "show", "--format", "json").json["settings"]
    assert {key: each["value"] for key, each in shown.items()} == {
        "profile": "generalized", "select": ["boot"], "ignore": ["autologon"], "fail-on": "warning",
        "baseline": None,
    }  # fmt: skip
    assert shown["profile"]["origin"] == "image-validator.toml"
    said = ["--profile", "azure-specialized", "--select", "system,layout", "--select", "boot-files"]
    said += ["--ignore", "vhd-fixed", "--fail-on", "error"]
    shown = command("policy", "show", "--format", "json", *said).json["settings"]
    assert {key: each["value"] for key, each in shown.items()} == {
        "profile": "azure-specialized", "select": ["system", "layout", "boot-files"],
        "ignore": ["vhd-fixed"], "fail-on": "error", "baseline": None,
    }  # fmt: skip
    assert shown["select"]["origin"] == "--select"
    assert shown["baseline"]["origin"] == "default"


def test_the_profile_of_the_file_is_asked(command: Command, image: Image, write: Write) -> None:
    """The whole command, without --profile."""
    write('profile = "generalized"\n')
    script = "import sys\nsys.argv.insert(1, 'check')\nfrom validator.cli import main\nmain()"
    outcome = command.process(
        "-f", "json", image(generalized()), script=script, cwd=".", env={"PYTHONPATH": str(ROOT)}
    )
    assert outcome.json["profile"] == outcome.json["images"][0]["profile"] == "generalized"


@pytest.mark.parametrize(
    ("text", "options", "present", "absent"),
    [
        ('ignore = ["sysprep-log"]', [], ["sysprep-tag"], ["sysprep-log"]),
        ('ignore = ["generalization"]', [], [], ["sysprep-log", "sysprep-tag", "audit-mode"]),
        ('select = ["sysprep-log"]', [], ["sysprep-log"], ["sysprep-tag", "audit-mode"]),
        ('select = ["generalization"]\nignore = ["audit-mode"]', [], ["sysprep-log"], ["audit-mode"]),
        ('ignore = ["sysprep-log"]', ["--ignore", "sysprep-tag"], ["sysprep-log"], ["sysprep-tag"]),
        (f'select = ["boot"]\n{UNMET}', [], ["expect/agent"], ["sysprep-log"]),
        (f'ignore = ["expect/agent"]\n{UNMET}', [], ["sysprep-log"], ["expect/agent"]),
        (f'ignore = ["expectation"]\n{UNMET}', [], ["sysprep-log"], ["expect/agent"]),
    ],
)
def test_what_is_asked(
    command: Command, image: Image, write: Write, text: str, options: list[str], present: list[str],
    absent: list[str],
) -> None:  # fmt: skip
    """By id and by family; the promised checks are asked in any case, and what was left out is said."""
    write(text)
    outcome = command("check", "-f", "json", *options, image(generalized()))
    data = outcome.json
    asked = {each["check"] for each in data["images"][0]["findings"]}
    assert {*present, *PROMISED} <= asked
    assert not set(absent) & asked
    assert set(absent) <= set(data["policy"]["left_out"])
    if outcome.code == 0:
        assert f"the policy left out {len(data['policy']['left_out'])} check" in data["images"][0]["summary"]
    jsonschema.validate(data, REPORT_SCHEMA)


@pytest.mark.parametrize(
    ("severity", "code", "found", "overridden"),
    [
        ("", 1, "error", None),
        ('container-format = "error"', 1, "error", None),
        ('container-format = "warning"', 0, "warning", "error"),
        ('container-format = "notice"', 0, "notice", "error"),
        ('container-format = {generalized = "notice"}', 1, "error", None),
        ('container-format = {azure-generalized = "notice"}', 0, "notice", "error"),
    ],
)
def test_severities_are_lowered(
    command: Command, image: Image, write: Write, severity: str, code: int, found: str, overridden: str | None
) -> None:
    """Of a VHDX for Azure; the verdict follows, and the report says that it was the policy."""
    write(f"[severity]\n{severity}\n")
    path = image(generalized())
    judged = command.judge(path, "--profile", "azure-generalized")
    finding = judged.finding("container-format")
    assert (judged.code, finding["severity"], finding["overridden_severity"]) == (code, found, overridden)
    text = command("check", "--profile", "azure-generalized", path).stdout
    assert (f"container-format ({overridden} without the policy)" in text) is (overridden is not None)


def test_severities_are_raised(command: Command, image: Image, write: Write) -> None:
    """What is set at or above the declared severity is what each finding has, also one that is less grave."""
    path = image(generalized())
    options = ["--profile", "azure-generalized", "--will-convert"]
    assert command.judge(path, *options).finding("container-format")["severity"] == "notice"
    write('[severity]\ncontainer-format = "error"\nrecommended-settings = "error"\n')
    judged = command.judge(path, *options)
    assert judged.answer == ("undeployable", 1)
    for name in ("container-format", "recommended-settings"):
        finding = judged.finding(name)
        assert (finding["severity"], finding["overridden_severity"]) == ("error", "notice")


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ('[severity]\nvhd-fixed = "notice"', [], ["severity: vhd-fixed"]),
        ('[severity]\nvhd-fixed = {generalized = "notice"}', [], ["severity: vhd-fixed"]),
        ('[severity]\nvhd-fixed = {azure-generalized = "notice"}', [], []),
        ('[severity]\nexpect/agent = "notice"\n'.replace("expect/agent", '"expect/agent"') + UNMET
         + 'severity = {azure-specialized = "error"}\n', [], ['severity: expect/agent']),
        ('select = ["reachability", "vhd-fixed", "boot"]', [], ["select: reachability", "select: vhd-fixed"]),
        ("", ["--select", "vhd-fixed"], ["select: vhd-fixed"]),
        ('ignore = ["vhd-fixed"]\nselect = ["sysprep-log"]\n[severity]\nsysprep-log = "notice"', [], []),
    ],
)  # fmt: skip
def test_what_the_profile_does_not_ask(
    command: Command, image: Image, write: Write, text: str, options: list[str], words: list[str]
) -> None:
    """What a policy says of it has no effect; that is a warning of the run, and shown."""
    write(text)
    expected = [f"{word} has no effect, since generalized does not ask it" for word in words]
    outcome = command("check", "-f", "json", *options, image(generalized()))
    assert outcome.code == 0
    assert outcome.json["warnings"] == expected
    assert outcome.stderr == "".join(f"warning: {word}\n" for word in expected)
    shown = command("policy", "show", "-f", "json", "--profile", "generalized", *options)
    assert shown.json["warnings"] == expected
    plain = " ".join(command("policy", "show", "--profile", "generalized", *options).stdout.split())
    assert all(f"warning {word}" in plain for word in expected)


def test_fail_on_of_the_file(command: Command, image: Image, write: Write) -> None:
    """A warning fails the run where the file says so, unless the command line says otherwise."""
    path = image(warned())
    assert command.judge(path).code == 0
    write('fail-on = "warning"\n')
    assert command.judge(path).answer == ("deployable", 1)
    assert command.judge(path, "--fail-on", "error").code == 0


# --- what nobody may touch -----------------------------------------------------------------------


@pytest.mark.parametrize("name", PROMISED)
def test_a_promise_cannot_be_switched_off(command: Command, write: Write, name: str) -> None:
    """Neither ignored nor lowered nor raised, in the file or on the command line; left out by nothing."""
    for text, options in (
        (f'ignore = ["{name}"]', []),
        (f'[severity]\n{name} = "notice"', []),
        (f'[severity]\n{name} = {{generalized = "error"}}', []),
        ("", ["--ignore", name]),
    ):
        write(text)
        outcome = command("policy", "show", *options)
        assert (outcome.code, outcome.stdout) == (2, ""), text
        assert name in outcome.stderr
        assert "waiver" in outcome.stderr
    (family,) = {check.family for check in own_checks() if check.id == name}
    write(f'select = ["container-format"]\nignore = ["{family}"]')
    assert name not in command("policy", "show", "-f", "json").json["left_out"]


def test_the_promised_checks_exist_and_are_documented() -> None:
    """One list in code, the same in the documentation; all profiles ask them, but for one."""
    asked = {check.id: set(check.severity) for check in own_checks()}
    assert {name for name in PROMISED if len(asked[name]) < 3} == {"evidence-agrees"}
    page = (ROOT / "docs" / "policy.md").read_text()
    listed = page.partition("## What no policy can switch off")[2].partition("\n## ")[0]
    rows = [line.split("`")[1] for line in listed.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(PROMISED)


def test_a_policy_made_by_hand_cannot_either(image: Image) -> None:
    """The library gets no more than the file."""
    severity = {"image-state": dict.fromkeys(("generalized",), Severity.NOTICE)}
    policy = Policy(select=("boot-files",), ignore=("image-state",), severity=severity)
    report = validator.validate(image(undeployable()), "generalized", policy=policy)
    assert report.verdict is Verdict.UNDEPLOYABLE


# --- waivers -------------------------------------------------------------------------------------


def test_a_waiver_changes_the_exit_code_and_no_verdict(command: Command, image: Image, write: Write) -> None:
    """All failed errors are accepted: 0. The report names what was, by whom nobody has to ask."""
    path = image(undeployable())
    before = command.judge(path)
    (name,) = open_errors(before)
    assert name == "image-state"
    write(waiver(name, "until = 2999-12-31", "We rebuild on Monday."))
    judged = command.judge(path)
    assert judged.answer == ("undeployable", 0)
    finding = judged.finding(name)
    assert (finding["status"], finding["severity"]) == ("waived", "error")
    assert finding["waiver"] == {
        "reason": "We rebuild on Monday.", "until": "2999-12-31", "expired": False, "accepts": "failed",
        "baseline": False,
    }  # fmt: skip
    assert finding["message"] == before.finding(name)["message"]
    assert judged["summary"] == f"{before['summary']} Accepted by the policy: image-state."
    text = " ".join(command("check", path).stdout.split())
    assert "UNDEPLOYABLE" in text
    assert "accepted until 2999-12-31: image-state (error): We rebuild on Monday." in text
    assert "Accepted by the policy: image-state." in text
    quiet = command("check", "--quiet", path)
    assert (quiet.code, quiet.stderr) == (0, "")
    assert "Accepted by the policy: image-state." in " ".join(quiet.stdout.split())


def test_one_of_two_errors_is_not_enough(command: Command, image: Image, write: Write) -> None:
    """What is left fails the run, and is the reason."""
    path = image(undeployable())
    options = ("--profile", "azure-generalized")
    first, *rest = open_errors(command.judge(path, *options))
    assert rest
    write(waiver(first))
    judged = command.judge(path, *options)
    assert judged.answer == ("undeployable", 1)
    assert judged["summary"] == judged.finding(rest[0])["message"]
    assert "Accepted" not in judged["summary"]
    write("".join(map(waiver, (first, *rest))))
    assert command.judge(path, *options).answer == ("undeployable", 0)


def test_an_indeterminate_image_needs_a_waiver_for_every_open_error(
    command: Command, image: Image, write: Write
) -> None:
    """One that is missing leaves 3."""
    path = image(generalized())
    for table in vhdx.REGION_TABLE_OFFSETS:
        damage.flip(path, table + 4)
    names = open_errors(command.judge(path))
    assert len(names) > 2
    write("".join(map(waiver, names[1:])))
    assert command.judge(path).answer == ("indeterminate", 3)
    write("".join(map(waiver, names)))
    judged = command.judge(path)
    assert judged.answer == ("indeterminate", 0)
    assert {judged.finding(name)["waiver"]["accepts"] for name in names} == {"unknown"}
    assert "Accepted by the policy" in judged["summary"]
    assert "(not answered)" in command("check", path).stdout


def test_an_undeployable_image_with_something_open_stays_open(
    command: Command, image: Image, write: Write
) -> None:
    """The failed error is accepted, the unknown one is not: 3, and why."""
    write(waiver("image-state"))
    path = image(undeployable().file(r"Windows\System32\config\SYSTEM", b""))
    judged = command.judge(path)
    assert open_errors(judged)
    assert judged.answer == ("undeployable", 3)
    assert "Accepted by the policy: image-state. Undecided:" in judged["summary"]


DAY = date(2025, 3, 31)


@pytest.mark.parametrize(
    ("today", "status", "code"),
    [(DAY - timedelta(1), "waived", 0), (DAY, "waived", 0), (DAY + timedelta(1), "failed", 1)],
)
def test_the_last_day_counts(image: Image, write: Write, today: date, status: str, code: int) -> None:
    """Afterwards the finding stands, with the reason that was given for it."""
    policy = validator.policy.load(write(waiver("image-state", f"until = {DAY}", "Till the fair is over.")))
    report = validator.validate(image(undeployable()), "generalized", policy=policy, today=today)
    (finding,) = (each for each in report.findings if each.check.id == "image-state")
    assert (finding.status.value, exit_code([report.judgement]).value) == (status, code)
    assert report.verdict is Verdict.UNDEPLOYABLE
    assert finding.waiver == policy.waivers[0]
    expired = "It was accepted until 2025-03-31, which is over: Till the fair is over."
    assert (expired in finding.message) is (expired in report.summary) is (status == "failed")


def test_an_expired_waiver_in_the_reports(command: Command, image: Image, write: Write) -> None:
    """By the clock of this machine; it matched, so that nothing is said of it otherwise."""
    write(waiver("image-state", "until = 2001-01-01", "Just this once."))
    path = image(undeployable())
    outcome = command("check", path)
    assert (outcome.code, outcome.stderr) == (1, "")
    shown = " ".join(outcome.stdout.split())
    assert "accepted until 2001-01-01, which is over: Just this once." in shown
    assert shown.count("Just this once.") == 1
    finding = command.judge(path).finding("image-state")
    assert (finding["waiver"]["expired"], finding["waiver"]["accepts"]) == (True, None)
    write(waiver("image-state", "until = 2001-01-01") + waiver("image-state", "until = 2999-01-01"))
    assert command.judge(path).code == 0


@pytest.mark.parametrize(
    ("pattern", "covers"),
    [
        ("disk.vhdx", True), ("*.vhdx", True), ("*/disk.vhdx", True), ("image*/*.vhdx", True),
        ("*.vhd", False), ("other/*.vhdx", False), ("isk.vhdx", False),
    ],
)  # fmt: skip
def test_a_waiver_for_some_images(
    command: Command, image: Image, write: Write, pattern: str, covers: bool
) -> None:
    """By the end of the path; one for others accepts nothing here, and that is said."""
    write(waiver("image-state", f'image = "{pattern}"'))
    outcome = command("check", "-f", "json", image(undeployable()))
    assert outcome.code == (0 if covers else 1)
    words = [] if covers else [f"the waiver of image-state for {pattern} matched nothing (It is known.)"]
    assert outcome.json["warnings"] == words
    assert outcome.stderr == "".join(f"warning: {word}\n" for word in words)


def test_a_waiver_that_matched_nothing(command: Command, image: Image, write: Write) -> None:
    """A warning of the run, on standard error and in the reports; it changes no exit code."""
    write(waiver("image-state") + waiver("boot-files", reason="Long gone."))
    paths = [image(generalized()), image(undeployable())]
    outcome = command("check", *paths)
    assert outcome.code == 0
    assert outcome.stderr == "warning: the waiver of boot-files matched nothing (Long gone.)\n"
    assert "warning   the waiver of boot-files matched nothing (Long gone.)" in outcome.stdout
    assert command("check", "--quiet", *paths).stderr == ""


def test_a_waived_warning_fails_nothing(command: Command, image: Image, write: Write) -> None:
    """Under --fail-on warning; the green summary says on what it stands."""
    path = image(warned())
    write(waiver("setup-pending"))
    assert command.judge(path, "--fail-on", "warning").code == 1
    write(waiver("setup-pending") + waiver("evidence-agrees"))
    judged = command.judge(path, "--fail-on", "warning")
    assert judged.answer == ("deployable", 0)
    assert judged["summary"].endswith(
        "with 2 warnings. Accepted by the policy: evidence-agrees, setup-pending."
    )


def test_the_format_changes_nothing(command: Command, image: Image, write: Write) -> None:
    """Every format takes what a policy accepts."""
    from validator.report.formats import FORMATS

    path = image(undeployable())
    write(waiver("image-state"))
    assert {name: command("check", "-f", name, path).code for name in FORMATS} == dict.fromkeys(FORMATS, 0)
    write(waiver("image-state", "until = 2001-01-01") + UNMET)
    assert {name: command("check", "-f", name, path).code for name in FORMATS} == dict.fromkeys(FORMATS, 1)


def test_what_is_not_shown_is_not_accepted(command: Command, image: Image, write: Write) -> None:
    """Of two bad installations one is reported; a waiver for what is wrong with it is not one for both."""
    sealed, disarmed = undeployable(), generalized().system("Setup", SetupType=0, CmdLine="")
    first, second = (open_errors(command.judge(image(each))) for each in (sealed, disarmed))
    assert (first, second) == (["image-state"], ["evidence-agrees"])
    for both in ((sealed, disarmed), (disarmed, sealed)):
        volumes = (Ntfs(each, label=f"Windows {index}") for index, each in enumerate(both))
        path = image(Disk((Esp(), Msr(), *volumes)))
        for names, code in ((first, 1), (second, 1), (first + second, 0)):
            write("".join(map(waiver, names)))
            assert command.judge(path).answer == ("undeployable", code)


# --- a failure of our own ------------------------------------------------------------------------


@check(
    "broken",
    family="tests",
    severity=by_profile(Severity.ERROR, Severity.ERROR, Severity.ERROR),
    remedy=Remedy("None."),
    references=("https://example.com",),
    since="0",
)
def broken() -> Iterator[Finding]:
    """It holds."""
    raise RuntimeError("a mistake of ours")
    yield failed("")


@check(
    "silent",
    family="tests",
    severity=by_profile(Severity.NOTICE, Severity.NOTICE, Severity.NOTICE),
    remedy=Remedy("None."),
    references=("https://example.com",),
    since="0",
)
def silent() -> Iterator[Finding]:
    """It holds."""
    return iter(())


@pytest.mark.parametrize("wrong", [broken, silent], ids=["broken", "silent"])
def test_a_failure_of_our_own_is_accepted_by_nobody(wrong: validator.checks.model.Check) -> None:
    """Whatever its severity: nothing is green that this program could not answer."""
    policy = Policy(waivers=(Waiver(wrong.id, "We do not care."),))
    judgement = accept(judge(Facts({}, {}), (wrong,), "generalized", policy), policy, "disk.vhd", DAY)
    assert [each.status for each in judgement.findings] == [Status.UNKNOWN]
    assert judgement.verdict is Verdict.INDETERMINATE
    assert exit_code([judgement]) is ExitCode.INDETERMINATE


# --- the baseline --------------------------------------------------------------------------------


def test_a_baseline_takes_on_what_there_is(command: Command, image: Image, write: Write) -> None:
    """Written once, a team starts green and sees only what is new."""
    path = image(warned())
    write('fail-on = "warning"\nbaseline = "accepted.json"\n', above=1)
    options = ["--profile", "azure-generalized", "--will-convert"]
    renew = ["--write-baseline", "../accepted.json"]
    assert command.judge(path, "--no-policy", "--fail-on", "warning", *options).code == 1
    written = command("check", "-f", "json", *renew, *options, path)
    assert written.code == 0, written.stderr
    again = command("check", "-f", "json", *options, path)
    assert (again.code, again.stderr) == (0, "")
    for outcome in (written, again):
        (report,) = outcome.json["images"]
        states = {each["status"] for each in report["findings"]}
        assert states == {"passed", "waived", "not applicable"}
        kinds = {each["waiver"]["baseline"] for each in report["findings"] if each["waiver"]}
        assert (report["verdict"], kinds) == ("deployable", {True})
    first = Path("../accepted.json").read_bytes()
    command("check", *renew, *options, path, watched=False)
    assert Path("../accepted.json").read_bytes() == first

    newer = image(warned().software(r"Microsoft\Windows NT\CurrentVersion\Winlogon", AutoAdminLogon="1"))
    judged = command.judge(newer, *options)
    failed = [each["check"] for each in judged["findings"] if each["status"] == "failed"]
    assert (judged.answer, failed) == (("deployable", 1), ["autologon"])

    better = command("check", "-f", "json", *options, image(generalized()))
    assert better.code == 0
    (word,) = better.json["warnings"]
    assert (
        word.startswith("2 entries of the baseline ../accepted.json matched nothing: ") or "entries" in word
    )
    assert "setup-pending" in word
    assert word in better.stderr
    assert "accepted: " in command("check", *options, path).stdout


def test_a_baseline_accepts_no_error(command: Command, image: Image, write: Write) -> None:
    """Neither when it is written nor when a warning has become one."""
    path = image(undeployable())
    outcome = command("check", "--write-baseline", "baseline.json", path)
    assert outcome.code == 1
    assert "image-state" not in json.loads(Path("baseline.json").read_text())["accepted"]
    write('[severity]\ncontainer-format = "warning"\n')
    options = ["--profile", "azure-generalized"]
    path = image(generalized())
    assert command("check", *options, "--write-baseline", "baseline.json", path, watched=False).code == 0
    judged = command.judge(path, *options, "--baseline", "baseline.json")
    assert judged.finding("container-format")["status"] == "waived"
    judged = command.judge(path, *options, "--no-policy", "--baseline", "baseline.json")
    assert judged.answer == ("undeployable", 1)


def test_an_expired_waiver_is_no_matter_for_a_baseline(command: Command, image: Image, write: Write) -> None:
    """The finding stands, though it is in the baseline; and a new one does not take it on."""
    path = image(warned())
    options = ["--fail-on", "warning"]
    assert command("check", *options, "--write-baseline", "baseline.json", path).code == 0
    write('baseline = "baseline.json"\n' + waiver("setup-pending", "until = 2001-01-01"))
    judged = command.judge(path, *options)
    assert judged.answer == ("deployable", 1)
    finding = judged.finding("setup-pending")
    assert (finding["status"], finding["waiver"]["expired"]) == ("failed", True)
    assert judged.finding("evidence-agrees")["waiver"]["baseline"]
    assert command("check", *options, "--write-baseline", "baseline.json", path, watched=False).code == 1
    assert list(json.loads(Path("baseline.json").read_text())["accepted"]) == ["evidence-agrees"]


def test_a_large_baseline(command: Command, image: Image, write: Write, monkeypatch: Any) -> None:
    """It may be larger than a policy; what would be too large to be read is not written."""
    many = {"format_version": 1, "accepted": {"build-files": [f"file {index:x}" for index in range(50_000)]}}
    Path("baseline.json").write_text(json.dumps(many))
    assert Path("baseline.json").stat().st_size > MAX_SIZE
    path = image(warned())
    assert command("check", "--baseline", "baseline.json", path, watched=False).code == 0
    monkeypatch.setattr(baseline, "MAX_SIZE", 100)
    outcome = command("check", "--write-baseline", "new.json", path, watched=False)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "at most 100 bytes" in outcome.stderr
    assert not Path("new.json").exists()


@pytest.mark.parametrize("target", ["image", "text"])
def test_a_baseline_replaces_nothing_else(command: Command, image: Image, write: Write, target: str) -> None:
    """Least of all an image (promise 1)."""
    path = image(generalized())
    text = write("My notes.", "notes.txt")
    outcome = command("check", "--write-baseline", path if target == "image" else text, path)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "overwrite" in outcome.stderr
    assert text.read_text() == "My notes."


WHERE = Location(Layer.FILE_SYSTEM, 4096, 3, r"\Windows\Temp\packer-66424f0a-1b2c-4d5e-8f90-a1b2c3d4e5f6.ps1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (WHERE, WHERE._replace(path=r"\Windows\Temp\packer-0badf00d-1b2c-4d5e-8f90-000000000000.ps1"), True),
        (WHERE, WHERE._replace(offset=8192, partition=4, line=17), True),
        (WHERE, WHERE._replace(path=r"\Windows\Temp\script-66424f0a-1b2c-4d5e-8f90-a1b2c3d4e5f6.ps1"), False),
        (WHERE, WHERE._replace(path=r"\Windows\Temp"), False),
        (Location(Layer.HIVE, key=r"ControlSet001\A", value="B"),
         Location(Layer.HIVE, key=r"ControlSet002\A", value="B"), True),
        (Location(Layer.HIVE, key=r"A\S-1-5-21-1-2-3-500"),
         Location(Layer.HIVE, key=r"A\S-1-5-21-9-8-7-1001"), True),
        (Location(Layer.HIVE, key="A", value="B"), Location(Layer.HIVE, key="A", value="C"), False),
        (Location(Layer.HIVE, key=r"Objects\{66424f0a-1b2c-4d5e-8f90-a1b2c3d4e5f6}\Elements\16000048"),
         Location(Layer.HIVE, key=r"Objects\{66424f0a-1b2c-4d5e-8f90-a1b2c3d4e5f6}\Elements\16000049"),
         False),
        (Location(Layer.CONTAINER), Location(Layer.VOLUME), False),
    ],
)  # fmt: skip
def test_what_a_finding_is_about_outlives_a_build(one: Location, other: Location, same: bool) -> None:
    """Identifiers, numbers, places on the disk and times change; names and what was found do not."""
    found = [Evidence(one, "script of 2024-05-14"), Evidence(other, "script of 2025-06-15", "none")]
    about = [entries("build-files", [each]) for each in found]
    assert (about[0] == about[1]) is same
    assert entries("build-files", [found[0]]) != entries("ssh-host-keys", [found[0]])
    assert entries("build-files", [found[0]]) != entries("build-files", [found[0]._replace(found="a key")])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("7 (REG_DWORD)", "3 (REG_DWORD)", False),
        ("a file of 136365211648 bytes", "a file of 136365277184 bytes", True),
        (
            "Microsoft.Bing_4.53.33420.0_x64__8wekyb3d8bbwe",
            "Microsoft.Bing_4.60.1.0_x64__8wekyb3d8bbwe",
            True,
        ),
        (
            "Microsoft.Bing_4.53.33420.0_x64__8wekyb3d8bbwe",
            "Microsoft.Xbox_4.53.33420.0_x64__8wekyb3d8bbwe",
            False,
        ),
        ("2024-05-14 16:21:00, Error", "2025-12-01 07:00:59, Error", True),
        ("05/14/2024 16:21, Error", "12/01/2025 07:00, Error", True),
        ("packer-5f3a9c0b77d1e", "packer-60aa11bb22cc3", True),
        ("{66424f0a-1b2c-4d5e-8f90-a1b2c3d4e5f6}", "{0BADF00D-1b2c-4d5e-8f90-a1b2c3d4e5f6}", True),
        ("System32", "System64", False),
        ("the user admin2024", "the user admin6666", False),
        ("2024admin", "6666admin", False),
        ("build 20240514", "build 20250615", True),
        ("DNS 10.0.0.53", "DNS 10.0.0.54", False),
        ("DNS 10.0.0.53, 10.0.0.54.", "DNS 10.0.0.53, 10.0.0.55.", False),
        ("DNS 999.0.0.53", "DNS 999.0.0.54", True),
        ("version 10.0.20348.1", "version 10.0.20348.2", True),
        ("agent-1.2.3.4", "agent-1.2.3.5", True),
        ("http://proxy:8080", "http://proxy:9090", False),
        ("http://10.0.0.1:8080/", "http://10.0.0.1:9090/", False),
        ("port 5985", "port 5986", False),
        ("ports 80, 5985", "ports 80, 5986", False),
        ("PortNumber > 3389", "PortNumber > 3390", False),
        ("|LPort=5985|", "|LPort=5986|", False),
        ("Date:2024-05-14 16:21:00", "Date:2025-06-15 17:22:01", True),
        ("report 20240514", "report 20250615", True),
        ("facade", "decade", False),
    ],
)
def test_what_was_found_outlives_a_build(one: str, other: str, same: bool) -> None:
    """Short numbers are settings; long ones, and what looks made, are not."""
    about = [entries("x", [Evidence(Location(Layer.HIVE), found)]) for found in (one, other)]
    assert (about[0] == about[1]) is same


def test_a_finding_with_anything_new_is_new() -> None:
    """It is accepted only where all that it shows is in the baseline."""
    old, new = (Evidence(Location(Layer.FILE_SYSTEM, path=path), "a file") for path in (r"\a", r"\b"))
    baseline = Baseline(entries("build-files", [old]), "baseline.json")
    assert baseline.accepts("build-files", [old])
    assert not baseline.accepts("build-files", [old, new])
    assert not baseline.accepts("build-files", [])
    assert not baseline.accepts("other", [old])


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"format_version": 2, "accepted": {}}', b'{"format_version": 1}',
     b'{"format_version": 1, "accepted": []}', b'{"format_version": 1, "accepted": {"a": "b"}}',
     b'{"format_version": 1, "accepted": {"a": [1]}}', b"[" * 100_000, b"\xff", b" " * (MAX_SIZE + 1)],
    ids=range(12),
)  # fmt: skip
def test_a_baseline_that_is_none(command: Command, image: Image, write: Write, content: bytes) -> None:
    """Refused, by the option and by the file's key; so is one that is not there."""
    path = image(generalized())
    Path("baseline.json").write_bytes(content)
    write('baseline = "baseline.json"\n')
    for options in ([], ["--no-policy", "--baseline", "baseline.json"]):
        outcome = command("check", *options, path)
        assert (outcome.code, outcome.stdout) == (2, "")
        assert "baseline.json" in outcome.stderr
    Path("baseline.json").unlink()
    outcome = command("check", path)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "baseline.json" in outcome.stderr


# --- what is wrong with a file -------------------------------------------------------------------

EXPECT = '[[expect]]\nid = "a"\ntitle = "A."\nremedy = "B."\n'
SOFTWARE = EXPECT + "registry = {{key = 'HKLM\\SOFTWARE\\{}}}"
WRONG: dict[str, tuple[str, list[str]]] = {
    "unknown key": ('\n\nigonre = ["a"]', ["line 3", "igonre", "did you mean ignore?"]),
    "unknown table": ("[sevrity]\n", ["line 1", "sevrity", "did you mean severity?"]),
    "unknown profile": ('profile = "azure-generalised"', ["line 1", "did you mean azure-generalized?"]),
    "unknown id": ('ignore = [\n  "boot-files",\n  "vhd-fixd",\n]', ["line 1", "did you mean vhd-fixed?"]),
    "unknown family": ('select = ["reachabilty"]', ["did you mean reachability?"]),
    "unknown check": ('\n[severity]\nvhd-fixed = "notice"\nvhd-foter = "notice"', ["line 4", "vhd-footer?"]),
    "unknown severity": (
        '[severity]\nvhd-fixed = "warn"',
        ["line 2", "did you mean warning? (there are error, warning, notice)"],
    ),
    "severity of a family": ('[severity]\nboot = "notice"', ["there is no check boot"]),
    "severity by no profile": ('[severity]\nvhd-fixed = {azure = "notice"}', ["line 2", "azure"]),
    "severity of another type": ("[severity]\nvhd-fixed = 1", ["one of error, warning, notice, found 1"]),
    "fail-on of another type": ("fail-on = 3", ["fail-on: expected one of error, warning, found 3"]),
    "unknown key, once": ('severities = "x"\nselect = []', ["(there are expect, profile, select, ignore, "]),
    "fail-on": ('fail-on = "notice"', ["fail-on", "notice"]),
    "list of another type": ("select = [1]", ["select 1", "expected a text, found 1"]),
    "no list": ("select = true", ["expected a list, found true"]),
    "no array of tables": ('[waiver]\ncheck = "boot-files"', ["waiver", "expected a list, found a table"]),
    "no table": ('severity = "error"', ["expected a table"]),
    "no reason": ('\n[[waiver]]\ncheck = "boot-files"', ["line 2", "waiver 1", "expected reason"]),
    "an empty reason": (waiver("boot-files", reason=" "), ["reason", "found an empty one"]),
    "no check": ('[[waiver]]\nreason = "x"', ["waiver 1", "expected check"]),
    "a family waived": (waiver("boot"), ["there is no check boot"]),
    "a date in quotes": (waiver("boot-files", 'until = "2030-01-01"'), ["line 4", "without quotes"]),
    "a time": (waiver("boot-files", "until = 2030-01-01T00:00:00Z"), ["until", "expected a date"]),
    "no day": (waiver("boot-files", "until = 2030-02-30"), ["line 4"]),
    "an empty pattern": (waiver("boot-files", 'image = ""'), ["image"]),
    "a pattern of nothing": (waiver("boot-files", 'image = "."'), ["image", "pattern"]),
    "the second": (waiver("boot-files") + waiver("vhd-fixed", "untill = 2030-01-01"), ["line 8", "waiver 2"]),
    "a control character": ('profile = "\\u001b[31m"', ["U+001B"]),
    "a direction": (waiver("boot-files", reason="\\u202e"), ["U+202E"]),
    "no TOML": ("ignore = ]", ["line 1"]),
    "twice": ('profile = "generalized"\nprofile = "generalized"\n', ["line 2"]),
    "an id that is none": ('[[expect]]\nid = "A b"\ntitle = "T."\nremedy = "R."', ["line 2", "A b"]),
    "an id twice": (2 * f'{EXPECT}file = {{path = "x"}}\n', ["line 7", "expect 2", "again"]),
    "nothing expected": (f"{EXPECT}", ["registry, file and service", "found 0"]),
    "two at once": (f'{EXPECT}file = {{path = "x"}}\nservice = {{name = "x"}}',
                    ["found 2"]),
    "no title": ('[[expect]]\nid = "a"\nremedy = "B."\nfile = {path = "x"}', ["expected title"]),
    "no remedy": ('[[expect]]\nid = "a"\ntitle = "B."\nfile = {path = "x"}', ["expected remedy"]),
    "no severity at all": (f'{EXPECT}severity = {{}}\nfile = {{path = "x"}}', ["severity"]),
    "another hive": (f"{EXPECT}registry = {{key = 'HKLM\\SAM\\x'}}", ["HKLM\\SOFTWARE", "found HKLM\\SAM"]),
    "a hive alone": (f"{EXPECT}registry = {{key = 'HKLM\\SOFTWARE'}}", ["HKLM\\SOFTWARE\\…"]),
    "an empty key": (SOFTWARE.format("\\a'"), ["HKLM\\SOFTWARE\\…"]),
    "equals of no value": (SOFTWARE.format("a', equals = 1"), ["equals: expected the name of a value"]),
    "equals of another type": (SOFTWARE.format("a', value = 'b', equals = true"), ["found true"]),
    "another drive": (f"{EXPECT}file = {{path = 'D:\\x'}}", ["volume of Windows"]),
    "a wildcard": (f"{EXPECT}file = {{path = 'C:\\*'}}", ["without wildcards"]),
    "a way up": (f"{EXPECT}file = {{path = 'C:\\a\\..\\b'}}", ["found C:"]),
    "the root": (f"{EXPECT}file = {{path = 'C:\\'}}", ["found C:"]),
    "no size": (f"{EXPECT}file = {{path = 'x', size = -1}}", ["found -1"]),
    "no digest": (f"{EXPECT}file = {{path = 'x', sha256 = 'abc'}}", ["64 hexadecimal", "abc"]),
    "a variable": (f"{EXPECT}file = {{path = '%SystemRoot%\\Temp\\a'}}", ["wildcards, variables", "%S"]),
    "a dot at the end": (f"{EXPECT}file = {{path = 'C:\\build.\\a'}}", ["end in a dot"]),
    "a blank at the end": (f"{EXPECT}file = {{path = 'C:\\build \\a'}}", ["end in a dot"]),
    "a number beyond all": (f"{EXPECT}file = {{path = 'x', size = 0x{'f' * 6000}}}", ["beyond 64 bits"]),
    "such a text": (f"profile = 0x{'f' * 6000}", ["line 1", "beyond 64 bits"]),
    "no start at all": (f"{EXPECT}service = {{name = 'a', start = []}}", ["start", "expected one at least"]),
    "no service": (f"{EXPECT}service = {{name = 'a\\b'}}", ["name of a service"]),
    "no start": (f"{EXPECT}service = {{name = 'a', start = 'auto'}}", ["did you mean automatic?"]),
    "a key too many": (f"{EXPECT}service = {{name = 'a', state = 1}}", ["service", "state", "start?"]),
    "no address": (f"{EXPECT}references = 'x'\nfile = {{path = 'x'}}", ["https://"]),
    "must-not": (f"{EXPECT}must-not = 1\nfile = {{path = 'x'}}", ["expected true or false, found 1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(command: Command, write: Write, name: str) -> None:
    """The file, the line, the key, what was expected and found, and the nearest name; also in a project."""
    text, words = WRONG[name]
    write(text)
    outcome = command("policy", "show")
    assert (outcome.code, outcome.stdout) == (2, "")
    for word in ("image-validator.toml", *words):
        assert word in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert command("checks").code == command("check", ROOT / "sample_images/corrupt.vhdx").code == 2


def test_what_is_wrong_in_a_project(command: Command, write: Write) -> None:
    """The line is that of the file, the key the one below the table."""
    text = '[project]\nname = "x"\n\n[tool.image-validator]\nselect = []\n'
    write(text + "[[tool.image-validator.waiver]]\nchek = 1\n", "pyproject.toml")
    outcome = command("policy", "show")
    assert outcome.code == 2
    assert outcome.stderr.startswith("Error: pyproject.toml, line 6: waiver 1: expected check")
    write("[tool.other]\n", "pyproject.toml")
    outcome = command("policy", "show", "--policy", "pyproject.toml")
    assert outcome.code == 2
    assert "[tool.image-validator]" in outcome.stderr


@pytest.mark.parametrize(
    "options",
    [["--policy", "none.toml"], ["--policy", "."], ["--policy", "image-validator.toml", "--no-policy"],
     ["--baseline", "none.json"], ["--select", "nonsense"], ["--ignore", "boot,nonsense"]],
    ids=" ".join,
)  # fmt: skip
def test_what_is_wrong_on_the_command_line(command: Command, write: Write, options: list[str]) -> None:
    """2, and a word."""
    write("")
    outcome = command("policy", "show", *options)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "Error: " in outcome.stderr


HOSTILE = {
    "too long": b"#" * (MAX_SIZE + 1),
    "no UTF-8": b'profile = "\xff"',
    "UTF-16": 'profile = "generalized"'.encode("utf-16"),
    "deep": b"a = " + b"[" * 100_000,
    "deep tables": b"[" + b"a." * 100_000 + b"a]",
    "dotted": b"a." * 20_000 + b"a = 1",
    "many digits": b"a = " + b"9" * 100_000,
    "many lines": b"a = [\n" + b"1,\n" * 50_000 + b"]\nselect = 1",
    "many keys": b"".join(b"k%d = 1\n" % number for number in range(20_000)),
    "many waivers": b'[[waiver]]\ncheck = "boot-files"\n' * 5_000,
    "NUL": b"\0",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_time(command: Command, write: Write, name: str) -> None:
    """One line, no traceback, within seconds."""
    Path("image-validator.toml").write_bytes(HOSTILE[name])
    started = time.perf_counter()
    outcome = command("policy", "show")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert len(outcome.stderr.splitlines()) == 1
    assert time.perf_counter() - started < 20


@pytest.mark.skipif(os.name != "posix", reason="as POSIX has it")
def test_a_file_without_end_is_refused(command: Command, write: Write) -> None:
    """No more of it is read than a policy may have."""
    outcome = command("policy", "show", "--policy", "/dev/zero", watched=False)
    assert outcome.code == 2
    assert f"expected at most {MAX_SIZE} bytes" in outcome.stderr


def test_editors_on_windows_write_more(command: Command, write: Write) -> None:
    """A byte order mark and CRLF are no fault."""
    Path("image-validator.toml").write_bytes(b'\xef\xbb\xbfprofile = "generalized"\r\nignore = []\r\n')
    assert command("policy", "show", "-f", "json").json["settings"]["profile"]["value"] == "generalized"


def test_a_reason_injects_nothing(command: Command, image: Image, write: Write) -> None:
    """It is text of a pull request."""
    evil = "##vso[task.complete result=Succeeded] ::error::x <b>y</b> `z`"
    write(waiver("image-state", reason=evil) + waiver("boot-files", reason=evil))
    path = image(undeployable())
    for options in (["check", path], ["check", "-f", "json", path], ["policy", "show"]):
        outcome = command(*options)
        assert outcome.code == 0
        assert "##vso" not in outcome.stdout + outcome.stderr


# --- properties ----------------------------------------------------------------------------------

ANY = settings(
    max_examples=150, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
VALID = f"""
profile = "azure-generalized"
select = ["boot", "vhd-fixed"]
ignore = "autologon"
fail-on = "warning"
[severity]
vhd-fixed = "notice"
size-aligned = {{azure-generalized = "warning"}}
{waiver("boot-files", 'image = "*.vhd"')}until = 2030-12-31
[[expect]]
id = "agent"
title = "The agent is there."
severity = {{generalized = "notice"}}
remedy = "Install it."
commands = ["msiexec /i agent.msi"]
references = ["https://example.com"]
must-not = false
registry = {{key = 'HKLM:\\SYSTEM\\CurrentControlSet\\Services\\agent', value = "Start", equals = 2}}
[[expect]]
id = "file"
title = "The file is there."
remedy = "Put it."
file = {{path = 'C:\\Windows\\a.txt', size = 3, sha256 = "{"0" * 64}"}}
[[expect]]
id = "service"
title = "The service is there."
remedy = "Install it."
service = {{name = "WinRM", start = ["manual", "disabled"]}}
"""


def reads(path: Path, data: bytes) -> Policy | None:
    """The policy, or None where the file is refused in one sentence."""
    path.write_bytes(data)
    try:
        return validator.policy.load(path)
    except ValueError as error:
        refusal = str(error)
    assert path.name in refusal
    assert "\n" not in refusal
    return None


@ANY
@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
)
def test_any_bytes_are_a_policy_or_refused(tmp_path: Path, data: bytes) -> None:
    """Nothing else comes of it."""
    reads(tmp_path / "policy.toml", data)


@settings(ANY, max_examples=250)
@given(st.data())
def test_a_valid_policy_with_a_slip_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """A word left out, doubled, or replaced by another of the file or by a value of another type."""
    words = VALID.replace("\n", " \n ").split(" ")
    index = data.draw(st.integers(0, len(words) - 1))
    values = ["", words[index] * 2, "1", "true", "2030-12-31", '""', "[]", "{}", "[[]]", "nan", '"\\u0000"']
    other = data.draw(st.sampled_from([*values, *words]))
    reads(tmp_path / "policy.toml", " ".join([*words[:index], other, *words[index + 1 :]]).encode())


KEYS = sorted(
    {"untill", "x"}
    | {key for part in (SCHEMA, *SCHEMA["$defs"].values()) for key in part.get("properties", {})}
    | {key for kind in ("registry", "file", "service")
       for key in SCHEMA["$defs"]["expectation"]["properties"][kind]["properties"]}
)  # fmt: skip
LEAVES = st.sampled_from(
    ["error", "warning", "notice", "generalized", "boot", "vhd-fixed", "image-state", "agent", "C:\\a",
     "*.vhd", "", 0, 1, True, date(2030, 1, 1), 1.5, "HKLM\\SOFTWARE\\a", "HKLM\\SAM\\a", "manual", "https://a",
     "a" * 64, "\0"]
)  # fmt: skip
NAMES = st.sampled_from(KEYS)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4)
)
KINDS = st.sampled_from(["registry", "file", "service", "severity"])
WAIVERS = st.fixed_dictionaries(
    {"check": LEAVES, "reason": LEAVES}, optional={"until": LEAVES, "image": LEAVES}
)


def dressed(kind: dict[str, Any]) -> dict[str, Any]:
    """An expectation around one of its kinds."""
    return {"expect": [{"id": "agent", "title": "The agent.", "remedy": "Install it.", **kind}]}


@settings(ANY, max_examples=400)
@example(dressed({"service": {"name": "a", "start": "manual"}}))
@example(dressed({"registry": {"key": "HKLM\\SOFTWARE\\a", "equals": 1}}))
@example({"waiver": [{"check": "vhd-fixed", "reason": "x", "until": date(2030, 1, 1)}]})
@given(
    st.dictionaries(NAMES, VALUES, max_size=4)
    | st.dictionaries(KINDS, VALUES, max_size=2).map(dressed)
    | WAIVERS.map(lambda each: {"waiver": [each]})
)
def test_the_reader_takes_nothing_that_the_schema_refuses(data: dict[str, Any]) -> None:
    """So that an editor complains at least where the command does not; and it raises nothing else."""
    from validator.policy.file import _policy

    try:
        _policy(Table(data))
    except Wrong:
        return
    jsonschema.validate(json.loads(json.dumps(data, default=str)), SCHEMA)


def test_the_schema_is_one(write: Write) -> None:
    """Closed everywhere; it takes the policy that has everything, and so does the reader."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(json.dumps(parsed(VALID), default=str)), SCHEMA)
    policy = validator.policy.load(write(VALID))
    assert len(policy.expectations) == 3
    assert policy.waivers[0].until == date(2030, 12, 31)
    used = set(parsed(VALID)) | {"baseline"}
    assert used == set(SCHEMA["properties"])


# --- digest, show, checks ------------------------------------------------------------------------


def test_the_digest_is_that_of_what_is_said(write: Write) -> None:
    """Not of how, nor where; and of all of it."""
    whole = validator.policy.load(write(VALID))
    assert len(whole.digest) == 64
    again = validator.policy.load(
        write("# other\n" + VALID.replace('["boot", "vhd-fixed"]', '["vhd-fixed", "boot"]'), "o.toml")
    )
    assert again.digest == whole.digest
    changes = [
        whole._replace(profile=None), whole._replace(select=()), whole._replace(ignore=()),
        whole._replace(severity={}), whole._replace(fail_on=None), whole._replace(waivers=()),
        whole._replace(waivers=(whole.waivers[0]._replace(until=None),)),
        whole._replace(expectations=whole.expectations[1:]),
        whole._replace(expectations=(whole.expectations[0]._replace(must_not=True), *whole.expectations[1:])),
        whole._replace(baseline=Baseline(frozenset(), "x")), NO_POLICY,
    ]  # fmt: skip
    assert len({whole.digest, *(each.digest for each in changes)}) == len(changes) + 1
    assert whole._replace(expectations=whole.expectations[::-1]).digest == whole.digest
    key, path = (
        EXPECT + entry
        for entry in (r"registry = {key = 'HKLM\SOFTWARE\a'}", r"file = {path = 'HKLM\SOFTWARE\a'}")
    )
    assert validator.policy.load(write(key)).digest != validator.policy.load(write(path)).digest


def test_without_a_working_directory(command: Command, write: Write, image: Image) -> None:
    """A pattern of a waiver is held against what there is of the path."""
    policy = write(waiver("image-state", 'image = "*.vhdx"')).resolve()
    path = image(undeployable())
    script = "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n" \
        "from validator.cli import main\nmain()"  # fmt: skip
    environment = {"PYTHONPATH": str(ROOT)}
    for arguments in (["policy", "show", "disk.vhdx"], ["check", "--profile", "generalized", path]):
        options = ["--policy", policy]
        assert command.process(*arguments, *options, script=script, cwd=".", env=environment).code == 0


def test_the_report_has_the_digest(command: Command, image: Image, write: Write) -> None:
    """That of all that applied, the command line included; no policy, no digest."""
    path = image(generalized())
    assert command("check", "-f", "json", path).json["policy"] is None
    write(VALID.replace("boot-files", "image-state"))
    told = [command("check", "-f", "json", *more, path).json["policy"] for more in ([], ["--ignore", "boot"])]
    shown = command("policy", "show", "-f", "json", "--profile", "generalized").json["policy"]
    assert told[0]["digest"] == shown["digest"] != told[1]["digest"]
    assert told[0]["source"] == "image-validator.toml"


def test_policy_show(command: Command, write: Write) -> None:
    """For a person: what applies and why, what it changes, what is accepted until when."""
    write(VALID.replace('["boot", "vhd-fixed"]', "[]") + waiver("vhd-fixed", "until = 2001-01-01"))
    outcome = command("policy", "show", "disk.vhdx")
    assert (outcome.code, outcome.stderr) == (0, "")
    shown = " ".join(outcome.stdout.split())
    for words in (
        "image-validator.toml (found in the working directory)",
        "profile azure-generalized (image-validator.toml)",
        "select everything (default)",
        "left out autologon",
        "severity vhd-fixed: notice instead of error",
        "waiver boot-files for *.vhd until 2030-12-31 (for other images): It is known.",
        "waiver vhd-fixed until 2001-01-01 (expired): It is known.",
        "expectation expect/agent (not asked under this profile)",
        "expectation expect/service (error): the service WinRM: manual or disabled",
        "always asked image-state, evidence-agrees",
    ):
        assert words in shown
    assert max(map(len, outcome.stdout.splitlines())) <= 80
    data = command("policy", "show", "-f", "json", "disk.vhd").json
    assert [each["state"] for each in data["waivers"]] == ["active", "expired"]


def test_the_documentation_is_right(write: Write) -> None:
    """Every example in it is a policy, for the reader and for editors."""
    page = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    examples = [part.partition("```")[0] for part in page.split("```toml\n")[1:]]
    assert len(examples) == 3
    for text in examples:
        policy = validator.policy.load(write(text))
        assert policy != NO_POLICY._replace(source=policy.source)
        jsonschema.validate(json.loads(json.dumps(parsed(text), default=str)), SCHEMA)


def test_policy_schema(command: Command) -> None:
    """As it lies in the package."""
    assert command("policy", "schema").json == SCHEMA


def test_the_library_takes_a_policy(image: Image, write: Write) -> None:
    """Read from a file, or made by hand; the profile of the call comes first."""
    policy = validator.policy.load(str(write('profile = "generalized"\n' + waiver("image-state"))))
    path = image(undeployable())
    report = validator.validate(path, policy=policy)
    assert report.profile == "generalized"
    assert exit_code([report.judgement]) is ExitCode.DEPLOYABLE
    assert validator.validate(path, "azure-specialized", policy=policy).profile == "azure-specialized"
    own = validator.Policy(waivers=(validator.Waiver("image-state", "A test."),))
    data = validator.as_dict(validator.validate(path, "generalized", policy=own))
    (finding,) = (each for each in data["findings"] if each["check"] == "image-state")
    assert finding["waiver"]["reason"] == "A test."
