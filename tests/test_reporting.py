"""Where reports go, by whole commands: files, standard output, the CI host; and what never changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.ci_hosts import HOSTS, Found, azure_commands, github_commands, github_outputs
from tests.command import ROOT, Command, Outcome
from tests.images import installed, vhdx
from tests.reports import hostile, run_of
from tests.test_command_line import on_terminal, posix
from tests.test_report_markdown import is_inert
from validator.checks.model import Severity, Status
from validator.cli.reporting import JOURNAL, Reporting
from validator.report.formats import FORMATS, Style, render
from validator.report.model import RunReport

Image = Callable[..., Path]

GOOD = ROOT / "sample_images" / "generalized-gen1.vhd"
BAD = ROOT / "sample_images" / "undeployable.vhdx"
DOUBTFUL = ROOT / "sample_images" / "corrupt.vhdx"
GITHUB, AZURE, GITLAB = {"GITHUB_ACTIONS": "true"}, {"TF_BUILD": "True"}, {"GITLAB_CI": "true"}
AROUND = {"GitHub Actions": GITHUB, "Azure Pipelines": AZURE, "GitLab": GITLAB}


def dialect(text: str) -> str:
    """What standard output was made for."""
    kinds = {"github": github_commands(text), "azure-devops": azure_commands(text)}
    return next((kind for kind, found in kinds.items() if found), "text")


# --- the dialect of the host ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "spoken"),
    [
        ({}, "text"),
        ({"CI": "true"}, "text"),
        (GITHUB | {"CI": "true"}, "github"),
        ({"GITHUB_ACTIONS": "false"}, "text"),
        (AZURE, "azure-devops"),
        ({"TF_BUILD": "true"}, "azure-devops"),
        (GITLAB | {"CI": "true"}, "text"),
        ({"JENKINS_URL": "https://example.com", "BUILD_ID": "7"}, "text"),
        (GITHUB | {"PACKER_RUN_UUID": "4e40bd24"}, "text"),
        (AZURE | {"PACKER_RUN_UUID": "4e40bd24"}, "azure-devops"),
    ],
    ids=lambda value: "+".join(value) or "nothing" if isinstance(value, dict) else value,
)
def test_the_host_decides_what_is_printed(command: Command, env: dict[str, str], spoken: str) -> None:
    """Where standard output is a pipe, as on every host; inside Packer no line begins with `::` any more."""
    outcome = command.process("check", BAD, env=env)
    assert (outcome.code, dialect(outcome.stdout), outcome.stderr) == (1, spoken, "")
    assert outcome.stdout.startswith("UNDEPLOYABLE  ")
    assert "\x1b" not in outcome.stdout


@pytest.mark.parametrize("env", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("asked", ["text", "github", "azure-devops"])
def test_a_format_that_is_asked_for_is_the_one(command: Command, env: dict[str, str], asked: str) -> None:
    """On any host; `--format text` turns the dialect off."""
    assert dialect(command("check", "--format", asked, BAD, env=env).stdout) == asked


@pytest.mark.parametrize("env", AROUND.values(), ids=AROUND)
def test_a_file_gets_plain_text(command: Command, tmp_path: Path, env: dict[str, str]) -> None:
    """`> report.txt` is for people, and no host reads it."""
    with open(tmp_path / "report.txt", "w") as file:
        command.process("check", BAD, env=env, stdout=file)
    shown = (tmp_path / "report.txt").read_text()
    assert shown.startswith("UNDEPLOYABLE")
    assert dialect(shown) == "text"


@posix
@pytest.mark.parametrize("env", AROUND.values(), ids=AROUND)
def test_a_terminal_gets_plain_text(env: dict[str, str]) -> None:
    """Whatever somebody has in the environment."""
    shown = on_terminal(["check", str(BAD)], env)
    assert "UNDEPLOYABLE" in shown
    assert dialect(shown) == "text"


# --- what GitHub takes beside the log ------------------------------------------------------------


@pytest.fixture
def github(tmp_path: Path) -> dict[str, str]:
    """The environment of a step, with its files."""
    files = {"GITHUB_STEP_SUMMARY": tmp_path / "summary", "GITHUB_OUTPUT": tmp_path / "outputs"}
    for file in files.values():
        file.touch()
    return GITHUB | {name: str(file) for name, file in files.items()}


@pytest.mark.parametrize(
    ("images", "outputs"),
    [
        ([GOOD], ("deployable", "0", "1", "1", "0", "0")),
        ([GOOD, DOUBTFUL], ("indeterminate", "3", "2", "1", "0", "1")),
        ([BAD, GOOD, DOUBTFUL], ("undeployable", "1", "3", "1", "1", "1")),
        (["none*.vhd"], ("", "4", "0", "0", "0", "0")),
    ],
    ids=["good", "doubt", "bad", "none"],
)
def test_outputs_and_summary(
    command: Command, github: dict[str, str], images: list[Path], outputs: tuple[str, ...]
) -> None:
    """The gravest verdict, the code and counts; the summary is the report in Markdown."""
    outcome = command("check", "--exit-zero", *images, env=github)
    assert outcome.code == 0
    names = ("verdict", "exit-code", "images", "deployable", "undeployable", "indeterminate")
    found = github_outputs(Path(github["GITHUB_OUTPUT"]).read_text())
    assert found == {**dict(zip(names, outputs)), "reports": ""}
    summary = Path(github["GITHUB_STEP_SUMMARY"]).read_text()
    assert summary.startswith("## image-validator: ")
    assert summary.count("\n| ") == (len(images) + 1 if outputs[0] else 0)


def test_other_commands_of_the_step_write_there_too(command: Command, github: dict[str, str]) -> None:
    """Also those that end without a line feed, and this one twice."""
    Path(github["GITHUB_OUTPUT"]).write_text("before=1")
    Path(github["GITHUB_STEP_SUMMARY"]).write_text("before")
    for image in (GOOD, BAD):
        command("check", image, env=github)
    found = github_outputs(Path(github["GITHUB_OUTPUT"]).read_text())
    assert (found["before"], found["verdict"]) == ("1", "undeployable")
    summary = Path(github["GITHUB_STEP_SUMMARY"]).read_text()
    assert summary.startswith("before\n")
    assert summary.count("\n## image-validator: ") == 2


def test_reports_are_among_the_outputs(
    command: Command, github: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path a line, in the order of the options; no path makes an output of its own."""
    monkeypatch.chdir(tmp_path)
    odd = "x\nverdict=deployable"
    command("check", BAD, "--report", "json", "--report", f"text={odd}", env=github)
    found = github_outputs((tmp_path / "outputs").read_text())
    assert found["reports"] == f"image-validator.json\n{odd}"
    assert found["verdict"] == "undeployable"


def test_a_delimiter_is_never_in_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn again where it is."""
    drawn = iter([b"\xaa" * 16, b"\xbb" * 16])
    monkeypatch.setattr(os, "urandom", lambda count: next(drawn) if count == 16 else b"")
    from validator.cli.hosts import _entry

    value = f"{'aa' * 16}\nverdict=deployable"
    assert github_outputs(_entry("reports", value)) == {"reports": value}


@pytest.mark.parametrize("written", [0, 1, 2**20 - 3000, 2**20 - 1, 2**20, 2**21])
def test_a_summary_keeps_below_what_is_dropped(
    command: Command, github: dict[str, str], written: int
) -> None:
    """1 MiB for all commands of a step: what was there counts."""
    path = Path(github["GITHUB_STEP_SUMMARY"])
    path.write_text("x" * written)
    outcome = command("check", BAD, env=github)
    assert outcome.code == 1
    full = written >= 2**20 - 1
    assert path.stat().st_size == written if full else written < path.stat().st_size <= 2**20
    assert bool(outcome.stderr) is full


@pytest.mark.parametrize("env", [{}, AZURE, GITLAB], ids=["nobody", "Azure Pipelines", "GitLab"])
def test_only_for_its_own_format(command: Command, github: dict[str, str], env: dict[str, str]) -> None:
    """Nothing is written for another format, nor for another host."""
    inherited = {name: value for name, value in github.items() if name not in GITHUB}
    command("check", BAD, env=inherited | env)
    command("check", BAD, "--format", "json", env=github)
    assert not Path(github["GITHUB_OUTPUT"]).read_text() + Path(github["GITHUB_STEP_SUMMARY"]).read_text()
    command("check", BAD, "--format", "github", env=inherited | env)
    assert Path(github["GITHUB_OUTPUT"]).read_text()


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["", "quiet"])
@pytest.mark.parametrize("where", ["nowhere", "a folder", "empty", "not to be written"])
def test_files_that_cannot_be_had(command: Command, tmp_path: Path, where: str, quiet: list[str]) -> None:
    """What only acts like the host has no such files; one that cannot be written is a note, and no more."""
    unwritable = "/proc/self/stat"
    if where == "not to be written" and not os.path.exists(unwritable):
        pytest.skip("needs a file that nobody can write to")
    path = {"nowhere": str(tmp_path / "none"), "a folder": str(tmp_path), "empty": ""}.get(where, unwritable)
    outcome = command("check", BAD, *quiet, env=GITHUB | {"GITHUB_STEP_SUMMARY": path, "GITHUB_OUTPUT": path})
    assert outcome.code == 1
    assert dialect(outcome.stdout) == "github"
    noted = where == "not to be written" and not quiet
    assert outcome.stderr.count(f"cannot write to {path}: ") == 2 * noted
    assert bool(outcome.stderr) is noted


# --- what Azure Pipelines takes beside the log ---------------------------------------------------


def uploaded(outcome: Outcome) -> list[str]:
    """The files that the agent is asked to upload."""
    return [each.data for each in azure_commands(outcome.stdout) if each.name == "task.uploadsummary"]


def test_a_summary_is_uploaded(command: Command, tmp_path: Path) -> None:
    """From a file of its own, since the agent reads it later, and steps share the folder."""
    paths = []
    for image in (GOOD, BAD):
        (path,) = uploaded(command("check", image, env=AZURE | {"AGENT_TEMPDIRECTORY": str(tmp_path)}))
        paths.append(Path(path))
        assert paths[-1].is_absolute()
    assert paths[0] != paths[1]
    assert {path.name for path in paths} == {"image-validator.md"}
    assert ["undeployable" in path.read_text().split("\n")[0] for path in paths] == [False, True]


@posix
@pytest.mark.parametrize("where", ["relative", "missing", "unset", "not to be written"])
def test_no_summary_without_a_place_for_it(
    command: Command, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent fails a task that names a file that is not there."""
    monkeypatch.chdir(tmp_path)
    places = {"relative": ".", "missing": str(tmp_path / "none"), "unset": "", "not to be written": "/proc"}
    outcome = command("check", BAD, env=AZURE | {"AGENT_TEMPDIRECTORY": places[where]})
    assert (outcome.code, uploaded(outcome)) == (1, [])
    assert dialect(outcome.stdout) == "azure-devops"
    assert bool(outcome.stderr) is (where == "not to be written")


# --- the exit code -------------------------------------------------------------------------------


@pytest.mark.parametrize("output_format", FORMATS)
def test_no_format_changes_the_exit_code(
    command: Command, output_format: str, github: dict[str, str], tmp_path: Path
) -> None:
    """Printed or written, on any host, quiet or verbose."""
    kinds = {"good": [GOOD], "bad": [BAD], "doubt": [DOUBTFUL], "several": [GOOD, DOUBTFUL], "none": ["no*"]}
    wanted = {"good": 0, "bad": 1, "doubt": 3, "several": 3, "none": 4}
    ways: list[tuple[dict[str, str], list[str]]] = [
        ({}, ["--quiet"]),
        (github, []),
        (AZURE | {"AGENT_TEMPDIRECTORY": str(tmp_path)}, ["--verbose"]),
        (GITLAB, ["--report", f"{output_format}={tmp_path / 'report'}"]),
    ]
    for index, (kind, images) in enumerate(kinds.items()):
        for env, more in ways[index % 2 :: 2]:
            assert command("check", "-f", output_format, *more, *images, env=env).code == wanted[kind]


# --- standard error ------------------------------------------------------------------------------


@pytest.mark.parametrize("output_format", FORMATS)
def test_quiet_leaves_standard_error_empty(command: Command, output_format: str) -> None:
    """There are pipelines that take any word there for a failure."""
    for image in (GOOD, BAD, DOUBTFUL):
        assert command("check", "--quiet", "-f", output_format, image).stderr == ""


def test_what_makes_the_command_fail_is_said_all_the_same(command: Command) -> None:
    """But not where nothing fails."""
    failing = command("check", "--quiet", "none*.vhd")
    assert (failing.code, failing.stderr) == (4, "nothing to check: no image matches none*.vhd\n")
    trial = command("check", "--quiet", "--exit-zero", "none*.vhd")
    assert (trial.code, trial.stderr) == (0, "")
    assert command("check", "--exit-zero", "none*.vhd").stderr


# --- files ---------------------------------------------------------------------------------------


def test_default_names(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What programs look for, in the working directory."""
    monkeypatch.chdir(tmp_path)
    command("check", BAD, *[word for name in FORMATS for word in ("--report", name)])
    assert sorted(os.listdir(tmp_path)) == sorted(FORMATS.values())
    assert len(set(FORMATS.values())) == len(FORMATS)
    assert json.loads((tmp_path / "image-validator.json").read_text())["exit_code"] == 1
    known = {
        "junit": "TEST-image-validator.xml",
        "sarif": "image-validator.sarif",
        "gitlab": "gl-code-quality-report.json",
        "markdown": "image-validator.md",
        "html": "image-validator.html",
        "json": "image-validator.json",
    }
    assert {name: known.get(name, file) for name, file in FORMATS.items()} == FORMATS


@pytest.mark.parametrize("value", ["junit=", "=x", "xml", "xml=x", "text=-", ""])
def test_a_report_that_makes_no_sense(command: Command, value: str) -> None:
    """An empty name is a variable that was not set, not the default."""
    outcome = command("check", GOOD, "--report", value)
    assert (outcome.code, outcome.stdout) == (2, "")


def test_two_reports_to_one_file(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command("check", GOOD, "--report", "json", "--report", f"text={tmp_path}/image-validator.json")
    assert (outcome.code, outcome.stdout, os.listdir(tmp_path)) == (2, "", [])


FULL = """
import resource, signal, sys
from validator.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
main()
"""


@posix
@pytest.mark.parametrize("older", ["older", None])
def test_a_report_that_is_cut_short_leaves_the_older(
    command: Command, tmp_path: Path, older: str | None
) -> None:
    """Where the disk is full: no half of a report, and nothing beside it."""
    report = tmp_path / "report.json"
    if older:
        report.write_text(older)
    outcome = command.process("check", BAD, "--report", f"json={report}", script=FULL)
    assert outcome.code == 2
    assert f"cannot write the report {report}: " in outcome.stderr.replace("\n", "")
    assert [path.read_text() for path in tmp_path.iterdir()] == ([older] if older else [])


@posix
def test_links_stay_what_they_are(command: Command, tmp_path: Path) -> None:
    """A report goes where a link leads; another name of the older file keeps the older."""
    target, link, other = (tmp_path / name for name in ("target.json", "link.json", "other.json"))
    target.write_text("older")
    link.symlink_to(target)
    other.hardlink_to(target)
    mask = os.umask(0o027)
    try:
        command("check", BAD, "--report", f"json={link}")
    finally:
        os.umask(mask)
    assert link.is_symlink()
    assert json.loads(target.read_text())["exit_code"] == 1
    assert other.read_text() == "older"
    assert target.stat().st_mode & 0o777 == 0o640
    assert len(os.listdir(tmp_path)) == 3


@posix
def test_a_report_goes_into_a_pipe(command: Command, tmp_path: Path) -> None:
    """As shells make them for `>(...)`; a pipe is not replaced by a file."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe:
        outcome = command.process("check", GOOD, "--report", f"markdown=/dev/fd/{writer}", pass_fds=[writer])
        os.close(writer)
        assert (outcome.code, pipe.readline()) == (0, "## image-validator: deployable\n")


@pytest.mark.parametrize("named", [True, False], ids=["named", "found beside it"])
def test_a_report_never_lands_on_a_parent(
    command: Command, image: Image, tmp_path: Path, named: bool
) -> None:
    """Not on one that the image was found to rest on, either."""
    parent = image(installed(), name="parent.vhdx")
    folder = tmp_path if named else parent.parent
    child = vhdx.child_of(vhdx.Parent(parent), folder / "child.vhdx", {})
    before = parent.read_bytes()
    options = ["--parent", parent] if named else []
    report = f"json={parent.parent}/../{parent.parent.name}/parent.vhdx"
    outcome = command("check", child, *options, "--report", report)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "would overwrite an image" in outcome.stderr
    assert parent.read_bytes() == before


def test_no_output_lands_on_an_input(command: Command, image: Image, tmp_path: Path) -> None:
    """Whatever is written, and whatever is read: 2, and each file is what it was."""
    empty, policy, accepted = image(installed()), tmp_path / "policy.toml", tmp_path / "accepted.json"
    empty.write_bytes(b"")
    assert command("check", "--no-policy", "--write-baseline", accepted, GOOD).code == 0
    policy.write_text('baseline = "accepted.json"\n')
    alone = tmp_path / "alone.toml"
    alone.touch()
    link = tmp_path / "link"
    link.symlink_to(policy)
    for target, options in (
        (empty, []),
        (alone, ["--policy", alone]),
        (link, ["--policy", policy]),
        (accepted, ["--policy", policy]),
        (accepted, ["--baseline", accepted]),
    ):
        before = target.read_bytes()
        for output in (f"--report=json={target}", f"--receipt={target}", f"--write-baseline={target}"):
            if target == accepted and output.startswith("--write"):
                continue  # it is renewed
            outcome = command("check", empty, *options, output, watched=False)
            assert (outcome.code, outcome.stdout) == (2, ""), output
            assert "would overwrite" in outcome.stderr, output
            assert target.read_bytes() == before


@pytest.mark.parametrize(
    "outputs",
    [
        ("--report=json={}", "--report=text={}"),
        ("--report=json={}", "--write-baseline={}"),
        ("--report=json={}", "--receipt={}"),
        ("--receipt={}", "--write-baseline={}"),
    ],
    ids=" ".join,
)
def test_no_output_lands_on_another(command: Command, tmp_path: Path, outputs: tuple[str, ...]) -> None:
    """By whatever name, and whether or not there is a file yet."""
    for name, other in (("out", "./out"), ("there", "link")):
        (tmp_path / other).exists() or (tmp_path / "link").symlink_to("there")
        (tmp_path / "there").touch()
        given = [output.format(f"{tmp_path}/{each}") for output, each in zip(outputs, (name, other))]
        outcome = command("check", GOOD, *given)
        assert (outcome.code, outcome.stdout) == (2, ""), given
        assert "would" in outcome.stderr
    assert not (tmp_path / "out").exists()


# --- text from an image is no command ------------------------------------------------------------


def allowed(output_format: str, host: str, found: Found) -> bool:
    """Whether a command is one of ours: a remark, or that there is doubt."""
    if (output_format, host) == ("github", "GitHub Actions"):
        return (
            found.name in ("error", "warning", "notice")
            and set(found.properties) == {"title"}
            and found.data != "injected"
        )
    if (output_format, host) == ("azure-devops", "Azure Pipelines"):
        return found.name == "task.logissue" and set(found.properties) <= {"type", "code"}
    return False


@cache
def shouting(length: int) -> RunReport:
    """The hostile report; where its texts are long, with one finding, or it would fill the memory."""
    run = hostile(length)
    if not length:
        return run
    (image,) = run.images
    error = next(
        each for each in image.findings if (each.status, each.severity) == (Status.FAILED, Severity.ERROR)
    )
    return run_of(replace(image, judgement=image.judgement._replace(findings=(error,))))


@pytest.mark.parametrize("length", [0, 2**20], ids=["short", "1 MiB"])
@pytest.mark.parametrize("output_format", FORMATS)
def test_text_of_an_image_is_no_command(output_format: str, length: int) -> None:
    """Not for any host, whatever it was printed for: logs are copied, and formats are printed anywhere."""
    for style in (Style(),) if length else (Style(), Style(verbose=True), Style(quiet=True)):
        shown = render(output_format, shouting(length), style)
        for host, commands in HOSTS.items():
            wrong = [each for each in commands(shown) if not allowed(output_format, host, each)]
            assert wrong == [], host


@pytest.mark.parametrize("host", AROUND)
@pytest.mark.parametrize("length", [0, 2**20], ids=["short", "1 MiB"])
def test_what_a_host_gets_is_no_command(
    github: dict[str, str],
    tmp_path: Path,
    host: str,
    length: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With all that it takes: log, summary, outputs."""
    for name, value in (github | AZURE | GITLAB | {"AGENT_TEMPDIRECTORY": str(tmp_path)}).items():
        if name not in GITHUB | AZURE | GITLAB or name in AROUND[host]:
            monkeypatch.setenv(name, value)
    for name in {*GITHUB, *AZURE, *GITLAB} - {*AROUND[host]}:
        monkeypatch.delenv(name, raising=False)
    run = shouting(length)
    Reporting(None, (), quiet=False, verbose=False, no_color=False).give(run)
    out, err = capsys.readouterr()
    assert err == ""
    spoken = {"GitHub Actions": "github", "Azure Pipelines": "azure-devops"}.get(host, "text")
    own = [each for each in HOSTS[host](out) if each.name != "task.uploadsummary"]
    assert own == [each for each in own if allowed(spoken, host, each)]
    assert bool(own) is (spoken != "text")
    summaries = [Path(path).read_text() for path in uploaded(Outcome(0, out, ""))]
    summaries += [Path(github["GITHUB_STEP_SUMMARY"]).read_text()]
    assert len([is_inert(each, run) for each in summaries if each]) == (spoken != "text")
    outputs = github_outputs(Path(github["GITHUB_OUTPUT"]).read_text())
    assert outputs.get("verdict", "undeployable") == "undeployable"
    assert len(outputs) == (7 if host == "GitHub Actions" else 0)


EVIL = "##vso[task.complete result=Succeeded]::error::x ##[error]y ##teamcity[z]"
STATE = r"Microsoft\Windows\CurrentVersion\Setup\State"


@pytest.mark.parametrize("env", AROUND.values(), ids=AROUND)
def test_a_real_image_commands_nobody(
    command: Command, image: Image, tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its file's name and by a value of its registry, wherever lines are wrapped, in every format."""
    state = f"\r\n{EVIL}\n" + " ::error::x" * 30
    path = image(installed().software(STATE, ImageState=state), name=f"::error::{EVIL}.vhdx")
    monkeypatch.chdir(path.parent)
    for output_format in FORMATS:
        outcome = command("check", "--verbose", "-f", output_format, path.name, env=env)
        assert outcome.code == 1
        for host, commands in HOSTS.items():
            for printed in (outcome.stdout, outcome.stderr):
                assert [each for each in commands(printed) if not allowed(output_format, host, each)] == []


@posix
@pytest.mark.parametrize("name", [f"--{EVIL}", f"-x{EVIL}", f"a\n{EVIL}", f"{EVIL}[*"])
def test_names_that_a_shell_expands_command_nobody(
    command: Command, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check *` in a folder of somebody else's files: complaints are read by the host as well."""
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["check", name],
        ["check", "--parent", name, GOOD],
        ["inspect", name],
        ["checks", name],
        [name],
    ):
        outcome = command(*arguments)
        assert outcome.code in (2, 4)
        for host, commands in HOSTS.items():
            assert commands(outcome.stdout + "\n" + outcome.stderr) == [], host


# --- a renderer that fails -----------------------------------------------------------------------


@pytest.mark.parametrize("broken", FORMATS)
def test_a_report_that_cannot_be_made(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Printed or written, one failure, one code; then nothing of the others is printed or written."""
    other = "text" if broken == "json" else "json"
    monkeypatch.setattr(f"validator.report.{broken.replace('-', '_')}.render", _fail)
    written = tmp_path / "written"
    ways = [["-f", broken, "--report", f"{other}={written}"]]
    if broken != JOURNAL:  # whose file is written before
        ways += [
            ["-f", other, "--report", f"{other}={written}", "--report", f"{broken}={tmp_path / 'broken'}"]
        ]
    for options in ways:
        outcome = command("check", *options, BAD)
        assert (outcome.code, outcome.stdout) == (3, "")
        assert outcome.stderr == (
            "image-validator failed (RuntimeError: a report cannot be made: ValueError: of ours); "
            "there is no report.\n"
        )
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["GitHub Actions", "Azure Pipelines"])
def test_a_summary_that_cannot_be_made(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What the host takes beside the report is part of it."""
    monkeypatch.setattr("validator.report.markdown.within", _fail)
    summary = tmp_path / "summary"
    summary.write_text("")
    folder = tmp_path / "agent"
    folder.mkdir()
    variables = {"GITHUB_STEP_SUMMARY": str(summary), "AGENT_TEMPDIRECTORY": str(folder)}
    outcome = command("check", "--report", f"json={tmp_path / 'x'}", BAD, env=AROUND[name] | variables)
    assert (outcome.code, outcome.stdout) == (3, "")
    assert "a report cannot be made" in outcome.stderr
    assert sorted(os.listdir(tmp_path)) == ["agent", "summary"]
    assert os.listdir(folder) == []


def _fail(*_: object) -> str:
    raise ValueError("of ours")
